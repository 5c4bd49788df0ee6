"""A member at the pages and at the API, as a browser or a program would be."""

from typing import Any

from django.http import HttpResponse
from django.test import Client

from approvals.models import AccessRequest, TotpDevice
from evidence import clock
from registry.models import Membership
from tests.approvals.asking import code
from tests.worlds import World


def signed_in(member: Membership, **options: Any) -> Client:
    client = Client(**options)
    client.force_login(member.user)
    return client


def vote(client: Client, request: AccessRequest, decision: str = "approve", **fields: str) -> HttpResponse:
    """What the form sends, as the page showed it."""
    sent = {"decision": decision, "reason": "", "seen": request.display_hash, **fields}
    return client.post(f"/requests/{request.pk}/vote/", sent)


def fresh_code(member: Membership, secret: str) -> str:
    """A code that counts; the device forgets its last step, so that tests need not wait for the next."""
    TotpDevice.objects.filter(user=member.user).update(last_step=0, failures=0, locked_until=None)
    return code(secret, clock.now())


def by_key(world: World, name: str, *scopes: str) -> Client:
    return Client(headers={"Authorization": f"Bearer {world.person_key(name, *scopes)}"})


def post(client: Client, path: str, body: dict[str, Any]) -> HttpResponse:
    return client.post(path, body, content_type="application/json")


def text(response: HttpResponse) -> str:
    return response.content.decode()
