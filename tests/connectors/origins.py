"""Requests that were asked for from a thread or a ticket, and the pump run by hand, in any weather."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from django.db import transaction

from approvals import origins, requests
from approvals.models import AccessRequest
from connectors.models import Delivery, Origin
from countersign.policy.values import Call
from evidence import clock
from outbox import pump
from registry.models import Channel, Tenant
from tests.approvals import asking
from tests.connectors.storms import hurried
from tests.worlds import World


def opened(
    ours: World, origin: Mapping[str, Any] | None, *, made: Call | None = None, token: str | None = None
) -> AccessRequest:
    """One vote is enough, without a step-up."""
    needs = asking.requirement(quorum=1, step_up=asking.NONE)
    ask = asking.ask(ours, made, requirements=[needs], token=token)
    named = None if origin is None else origins.parse(dict(origin))
    with transaction.atomic():
        return requests.open_or_join(replace(ask, origin=named), max_open=10_000, now=clock.now()).request


def allow(tenant: Tenant, kind: str, *containers: str) -> Channel:
    """As an administrator does: a channel that asks nobody here, and lists where lines may be told."""
    config = {"origins": list(containers)}
    return Channel.objects.create(tenant=tenant, kind=kind, key="elsewhere", teams=["nobody"], config=config)


def settle(tenant: Tenant) -> None:
    """Until nothing is left to tell."""
    for _ in range(200):
        if not hurried(tenant):
            return
        pump.run_due()


def told(request: AccessRequest) -> list[tuple[str, str]]:
    """The places of its asks with what kept each from being told."""
    rows = Origin.objects.filter(request=request).order_by("pk")
    return [(row.place_key, row.why) for row in rows]


def delivery(request: AccessRequest) -> Delivery:
    return Delivery.objects.get(request=request, place_key__startswith="origin:")


def notices(request: AccessRequest) -> list[str]:
    return [event for event in asking.events(request) if event.startswith("notification.")]
