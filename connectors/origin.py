"""An origin named in, a delivery for it out where an administrator allows lines there; else a record that none is told.

A caller names the place its ask came from, and nothing more: it has no say in where this service may write. An origin
that nobody allowed is dropped, and the decision stays what it was.
"""

from datetime import datetime
from typing import Any

from django.conf import settings
from django.dispatch import receiver

from approvals import lifecycle
from approvals.models import AccessRequest
from approvals.origins import Origin as Named
from approvals.signals import origin_named
from connectors import accounts
from connectors.models import Delivery, Origin
from connectors.notify import call
from connectors.port import ORIGIN, Place
from countersign.proof.events import Event
from evidence import clock
from evidence.ledger import Actor
from registry.models import Channel

MOST = 4  # places of one request
MEMBER = "origins"  # of a channel's config: the places beside it that may hear of what is asked there
_TURNS = 4  # a channel or project hears of so many times as many requests as it would be shown cards
_SYSTEM = Actor(type="system", id="connectors")

NOT_ALLOWED = "No channel of the tenant lists that place under origins, so nothing is told there."
NOT_CONNECTED = "That system is not connected for this tenant, so nothing is told there."
CROWDED = "Too many requests came from there lately, so this one is not told there."
TOO_MANY = "The request was asked for from too many places, so it is not told in this one."


@receiver(origin_named)
def on_named(request: AccessRequest, origin: Named, credential_id: int, **_signal: Any) -> None:
    """Runs under the request's lock, in the asker's transaction: no network, and no failure but the database's."""
    place, container = place_of(origin), _container(origin)
    named = Origin.objects.filter(request=request)
    before = named.count()
    if before > MOST or named.filter(kind=place.kind, place_key=place.key).exists():
        return
    now = clock.now()
    why = TOO_MANY if before == MOST else _refusal(request, place, container, now=now)
    Origin.objects.create(
        tenant=request.tenant, request=request, kind=place.kind, place_key=place.key, container=container, why=why,
        named_by_id=credential_id, named_at=now,
    )  # fmt: skip
    if why:
        detail = {"kind": place.kind, "place": place.key, "why": why}
        lifecycle.record(Event.NOTIFICATION_FAILED, request, actor=_SYSTEM, now=now, detail=detail)
        return
    delivery = Delivery.objects.create(
        tenant=request.tenant, request=request, kind=place.kind, place_key=place.key, config=dict(place.config),
        created_at=now, updated_at=now,
    )  # fmt: skip
    call(delivery)


def place_of(origin: Named) -> Place:
    """Its key can be no channel's: those of channels are names of the other system alone."""
    return Place(origin.kind, f"origin:{'/'.join(origin.members.values())}", {ORIGIN: dict(origin.members)})


def allowed(tenant_id: int, kind: str) -> frozenset[str]:
    """The channels, projects or tables that the tenant's administrators allow lines in, as of now."""
    configs = Channel.objects.filter(tenant_id=tenant_id, kind=kind).values_list("config", flat=True)
    return frozenset(str(name) for config in configs for name in config.get(MEMBER, ()))


def _refusal(request: AccessRequest, place: Place, container: str, *, now: datetime) -> str:
    """Why nothing is told there; empty if it is. In which table a record is only ServiceNow can say, later."""
    within = allowed(request.tenant_id, place.kind)
    if not within or (container and container not in within):
        return NOT_ALLOWED
    if place.kind not in accounts.kinds_of(request.tenant):
        return NOT_CONNECTED
    since = now - settings.COUNTERSIGN.attention_window
    lately = Origin.objects.filter(
        tenant_id=request.tenant_id, kind=place.kind, container=container, named_at__gt=since, why=""
    )  # fmt: skip
    return CROWDED if lately.count() >= _TURNS * settings.COUNTERSIGN.attention_limit else ""


def _container(origin: Named) -> str:
    """What an administrator allows as a whole."""
    match origin.kind:
        case "slack":
            return origin.members["channel"]
        case "jira":
            return origin.members["issue"].rpartition("-")[0]
        case _:
            return ""
