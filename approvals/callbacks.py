"""Endpoints that requesters registered: which are told of a task, and what a submission may say of one."""

from collections.abc import Mapping, Sequence
from typing import Any

from django.db.models import Q, QuerySet

from approvals import bundles
from approvals.models import AccessRequest, Bundle, Callback, CallbackWish, RequestParty, Status
from evidence.queries import Compiled

EVENTS = (*(status.value for status in Status if status is not Status.PENDING), bundles.PARTIAL)
"""The ends a submission may choose from."""

MAX_STATE = 1000


class BadWish(ValueError):
    """What a submission says of its callback cannot be honoured; the text says why."""


def wish(task: AccessRequest | Bundle, said: Any, *, credential_id: int) -> None:
    """Keep what a submission says of its callback, in its transaction. Raises BadWish."""
    members = _checked(said)
    found = _live(task.tenant_id).filter(Q(credential=None) | Q(credential_id=credential_id))
    callback = found.filter(url=members["endpoint"]).order_by("pk").first()
    if callback is None:
        raise BadWish("`callback.endpoint` is not registered for this credential; poll the task instead.")
    wanted = {"state": members.get("state", ""), "events": members.get("events", [])}
    CallbackWish.objects.update_or_create(
        **_about(task), callback=callback, defaults={"tenant_id": task.tenant_id, **wanted}
    )


def concerned(task: AccessRequest | Bundle, *, status: str) -> Sequence[Callback]:
    """Who is to be told of this end: callbacks of its parties, save who wished for other ends, and of the tenant.

    A tenant's own hear of every end: no key of it may wish that away. A bundle has one party, who submitted it.
    """
    if isinstance(task, Bundle):
        whose = Q(credential=None) | Q(credential_id=task.opened_by_id)
        callbacks = list(_live(task.tenant_id).filter(whose))
    else:
        callbacks = _concerned(task.tenant_id, task.pk)
    if not callbacks:
        return ()
    wished = {row.callback_id: row.events for row in CallbackWish.objects.filter(**_about(task))}
    return [
        one
        for one in callbacks
        if one.credential_id is None or not wished.get(one.pk) or status in wished[one.pk]
    ]  # fmt: skip


def state_for(callback: Callback, task: AccessRequest | Bundle) -> str:
    """What the submission gave us to give back to it; empty if nothing."""
    found = CallbackWish.objects.filter(**_about(task), callback=callback).values_list("state", flat=True)
    return found.first() or ""


def is_live(callback: Callback) -> bool:
    """Whether it may still be told: it is not removed, and neither is the credential it belongs to."""
    return _live(callback.tenant_id).filter(pk=callback.pk).exists()


def _about(task: AccessRequest | Bundle) -> dict[str, Any]:
    return {"bundle" if isinstance(task, Bundle) else "request": task}


def _live(tenant_id: int) -> QuerySet[Callback]:
    live = Callback.objects.filter(tenant_id=tenant_id, removed_at__isnull=True)
    return live.filter(Q(credential=None) | Q(credential__revoked_at__isnull=True))


_concerned = Compiled(
    lambda tenant, request: _live(tenant).filter(
        Q(credential=None) | Q(credential__in=RequestParty.objects.filter(request=request).values("credential_id"))
    )
)


def _checked(said: Any) -> Mapping[str, Any]:
    """Only what the profile knows: what is not understood is refused, not ignored."""
    if not isinstance(said, dict) or said.keys() - {"endpoint", "state", "events"}:
        raise BadWish("`callback` is an object with `endpoint`, `state` and `events`.")
    if not isinstance(said.get("endpoint"), str):
        raise BadWish("`callback.endpoint` must be a string.")
    state, events = said.get("state", ""), said.get("events", [])
    if not isinstance(state, str) or len(state) > MAX_STATE:
        raise BadWish(f"`callback.state` must be a string of at most {MAX_STATE} characters.")
    if not isinstance(events, list) or any(event not in EVENTS for event in events):
        raise BadWish(f"`callback.events` must be a list of {', '.join(EVENTS)}.")
    return said
