"""What tests of controls share: a page that answers as it is told, waivers that stand on it, and time that passed."""

from datetime import datetime, timedelta
from typing import Any

import pytest
from django.conf import settings

from approvals.models import Control, Waiver
from approvals.waivers import controls
from evidence import clock
from evidence.models import Record
from tests.approvals.waivers.excepting import at, granted
from tests.connectors.webhook.receiver import Receiver
from tests.worlds import World

DOWN = b"HTTP/1.1 503 Service Unavailable\r\nConnection: close\r\n\r\n"
UP = b"HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n"


def private(monkeypatch: pytest.MonkeyPatch, *, allowed: bool = True) -> None:
    """Whether checks may reach loopback, as `COUNTERSIGN_PROBE_PRIVATE` says."""
    monkeypatch.setattr(settings, "COUNTERSIGN", settings.COUNTERSIGN.model_copy(update={"probe_private": allowed}))


def check(here: Receiver, **changes: Any) -> dict[str, Any]:
    return {"kind": "check", "url": here.url, "every": "30s", **changes}


def attestation(own: World, name: str = "frank", **changes: Any) -> dict[str, Any]:
    return {"kind": "attestation", "person": own.username(name), "valid_until": at(timedelta(hours=1)), **changes}


def mitigated(own: World, *said: dict[str, Any], **changes: Any) -> Waiver:
    """Granted, with these controls, none of which holds yet."""
    return granted(own, category="mitigated", controls=list(said), **changes)


def control(waiver: Waiver, place: int = 0) -> Control:
    return Control.objects.get(waiver=waiver, place=place)


def looked(waiver: Waiver, place: int = 0, *, now: datetime | None = None) -> str:
    """The waiver's state after one look."""
    controls.look(control(waiver, place).pk, now=now or clock.now())
    return state(waiver)


def attested(own: World, waiver: Waiver, place: int = 0, *, name: str = "frank") -> Waiver:
    return controls.attest(waiver.pk, place, tenant_id=own.tenant.pk, by=own.people[name], now=clock.now())


def state(waiver: Waiver) -> str:
    waiver.refresh_from_db()
    return waiver.state


def events(waiver: Waiver, *prefixes: str) -> list[str]:
    """What happened to it and to its controls, in order."""
    rows = Record.objects.filter(thread=waiver.request_id).order_by("n").values_list("event", flat=True)
    return [one for one in rows if one.startswith(prefixes or ("waiver.", "control."))]
