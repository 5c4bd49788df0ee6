"""What a browser sends from the form for a waiver."""

from datetime import datetime, timedelta
from typing import Any

from django.http import HttpResponse
from django.test import Client

from approvals.models import Waiver
from evidence import clock
from tests.worlds import World


def local(ahead: timedelta) -> str:
    """So far from now, as a field for a time takes it: UTC, to the minute."""
    at: datetime = clock.now() + ahead
    return f"{at:%Y-%m-%dT%H:%M}"


def typed(own: World, **changes: Any) -> dict[str, Any]:
    """Big refunds of support-bot need nobody for three days. A change to None leaves the field out."""
    fields = {
        "category": "waiver", "agents": "support-bot", "tools": "payments.refund", "methods": "create",
        "rules": ["refunds-over-100"], "reason": "The migration.", "owner": own.username("carol"),
        "expires_at": local(timedelta(days=3)), **changes,
    }  # fmt: skip
    return {name: value for name, value in fields.items() if value is not None}


def press(client: Client, button: str, fields: dict[str, Any]) -> HttpResponse:
    return client.post("/waivers/new/", {**fields, "do": button})


def made(response: HttpResponse) -> Waiver:
    """The waiver whose page the answer leads to."""
    assert response.status_code == 302, response.content.decode()
    return Waiver.objects.get(pk=response["Location"].split("/")[2])
