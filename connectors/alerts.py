"""An alert in, a word to the tenant's administrators out: by e-mail, or where the whole tenant reads."""

from collections.abc import Iterator, Mapping
from typing import Any

from django.conf import settings
from django.db import transaction

from connectors import accounts, once, plain, routing
from connectors.attention import ALERT
from connectors.deliver import say_later
from connectors.kinds import KINDS
from connectors.port import Place
from evidence import clock
from outbox.queue import handler
from registry.models import Channel, Membership, Role, Tenant


@handler(ALERT)
def alert(payload: Mapping[str, Any]) -> None:
    """Have it said to each of them once. Safe to repeat."""
    tenant, now = Tenant.objects.get(pk=payload["tenant"]), clock.now()
    for place in administrators(tenant):
        with transaction.atomic():
            if once.first(ALERT, f"{payload['turn']}:{place.kind}:{place.key}", now=now):
                say_later(tenant, place, _words(tenant, payload["agents"]))


def administrators(tenant: Tenant) -> Iterator[Place]:
    """The administrators' mailboxes; without e-mail, the channels that are for the whole tenant."""
    connected = accounts.kinds_of(tenant)
    if routing.EMAIL in connected:
        members = Membership.objects.filter(tenant=tenant, active=True, user__is_active=True).select_related("user")
        yield from (routing.place_of_person(one) for one in members if Role.ADMIN in one.roles and one.user.email)
        return
    for row in Channel.objects.filter(tenant=tenant, kind__in=connected & KINDS.keys()).order_by("kind", "key"):
        if row.config.get("tenant_wide") is True:
            yield routing.place_of(row)


def _words(tenant: Tenant, agents: Mapping[str, int]) -> str:
    minutes = int(settings.COUNTERSIGN.attention_window.total_seconds() // 60)
    asked = ", ".join(f"{plain.line(name, most=100)} ({number})" for name, number in agents.items())
    return "\n".join(
        (
            f"Countersign: agents of {tenant.slug} ask for more approvals than people can judge",
            f"In the last {minutes} minutes, in one place: {asked}.",
            "The requests wait in the inbox and are told in a digest. If an agent runs wild, deactivate it or its key.",
            f"{settings.COUNTERSIGN.base_url}/inbox/",
        )
    )
