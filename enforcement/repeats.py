"""Work on a task under an Idempotency-Key in; the task told, the work done once out. Blocking, in its own transaction.

The same key leads to the same task for as long as that can be looked at; `jobs` takes it away after.
"""

from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Any

from django.db.models import Exists, OuterRef, Q

from approvals import bundles, handle, repeating
from approvals.models import AccessRequest, BundleItem, Status
from enforcement.authn import Caller
from enforcement.models import Submission
from enforcement.moments import Moment
from enforcement.problems import Kind, Problem


def key_of(headers: Mapping[str, str]) -> str:
    """Empty if there is none. Raises Problem."""
    try:
        return repeating.checked(headers.get("idempotency-key", ""))
    except repeating.KeyTooLong as error:
        raise Problem(Kind.UNREPRESENTABLE, str(error)) from error


def once(
    caller: Caller, key: str, body: Mapping[str, Any], moment: Moment, work: Callable[[], dict[str, Any]]
) -> dict[str, Any]:
    """What `work` tells of its task; if it was done under this key before, that task as it stands. Raises Problem.

    Two at once under one key stand behind its unique row: who comes second looks again and finds it.
    """
    known = Submission.objects.filter(credential_id=caller.key.id, key=key).first() if key else None
    if known is not None:
        try:
            repeating.check_same(known.body_digest, body)
        except repeating.KeyReused as error:
            raise Problem(Kind.DUPLICATE_REQUEST, "The Idempotency-Key was used with another body.") from error
        return _again(caller, known.request_id, now=moment.now)
    told = work()
    if key:
        Submission.objects.create(
            credential_id=caller.key.id,
            key=key,
            body_digest=repeating.digest(body),
            request_id=told["task"]["id"],
            made_at=moment.now,
        )
    return told


def _again(caller: Caller, task_id: str, *, now: datetime) -> dict[str, Any]:
    bundle = bundles.find(task_id, tenant_id=caller.world.tenant_id)
    if bundle is not None:
        return handle.bundle(bundle, brief=caller.key.brief, now=now)
    return handle.document(AccessRequest.objects.get(pk=task_id), brief=caller.key.brief, now=now)


def forget(now: datetime) -> int:
    """Take away each key whose task has been over for as long as a task is told of. How many there were.

    A key that leads to several requests stays until the last of them is over.
    """
    edge = now - handle.TOLD_FOR
    over = Q(closed_at__lte=edge) | Q(status=Status.PENDING, expires_at__lte=edge)
    ended = AccessRequest.objects.filter(over)
    items = BundleItem.objects.filter(bundle_id=OuterRef("request_id"))
    one = Exists(ended.filter(pk=OuterRef("request_id")))
    several = Exists(items) & ~Exists(items.exclude(request__in=ended))
    found = Submission.objects.filter(made_at__lte=edge).filter(one | several)
    return found.delete()[0]
