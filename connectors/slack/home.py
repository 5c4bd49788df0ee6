"""A person in Slack in, their App Home out: what waits for their answer, nearest deadline first, each with its link.

A Home is drawn when it is opened, and again when a request of its tenant changes, for those who opened theirs lately.
That is a convenience: it is asked for after the commit, at most once in a few seconds a tenant, and may be lost.
"""

from collections.abc import Iterator, Mapping
from datetime import datetime, timedelta
from functools import partial
from typing import Any

from django.conf import settings
from django.db import transaction
from django.db.models.functions import Now
from django.dispatch import receiver
from slack_sdk.models.blocks import Block, ContextBlock, DividerBlock, HeaderBlock, SectionBlock
from slack_sdk.models.views import View

from approvals import inbox
from approvals.inbox import Inbox, Row
from approvals.models import AccessRequest
from approvals.signals import request_changed
from connectors import accounts, answers, scrubbed
from connectors.models import Seen
from connectors.slack import transport
from connectors.slack.boxes import TIERS
from connectors.slack.failures import SlackRefused
from connectors.slack.manifest import COMMAND
from connectors.slack.text import code, cut, link, marked, moment, plain
from evidence import clock
from evidence.queries import Compiled
from outbox import pump
from outbox.queue import enqueue, handler
from registry.models import Tenant

HOME = "connectors.slack.home"
HOMES = "connectors.slack.homes"
OPENED = "slack.home"  # who opened theirs, by tenant and identity
LISTED = 20
DRAWN_EVERY = timedelta(seconds=15)
_LATELY = timedelta(days=1)
_PEOPLE = 50
_KIND = "slack"
_NAME = 80


def view(found: Inbox | None) -> dict[str, Any]:
    """What waits, at most twenty of it, as Slack's `home` view; None: this Slack account is nobody's here yet."""
    blocks = list(_unlinked() if found is None else _waiting(found))
    told: dict[str, Any] = View(type="home", blocks=blocks).to_dict()
    return told


@handler(HOME)
def draw(payload: Mapping[str, Any]) -> None:
    """`{tenant, user, identity}`: publish one person's Home as of now. `again`: they did not just open it."""
    now, tenant = clock.now(), Tenant.objects.get(pk=payload["tenant"])
    account = accounts.account(tenant, _KIND)
    if account is None:
        return
    identity = str(payload["identity"])
    if not payload.get("again"):
        Seen.objects.update_or_create(kind=OPENED, key=f"{tenant.pk}:{identity}", defaults={"seen_at": now})
    member = answers.member_of(tenant.pk, _KIND, identity)
    drawn = view(inbox.of(member, now=now) if member else None)
    try:
        transport.open_(account).publish(str(payload["user"]), drawn)
    except SlackRefused as refused:
        if refused.permanent:
            raise pump.Permanent(str(refused)) from refused
        if refused.retry_after is not None:
            raise pump.Later(refused.retry_after) from refused
        raise


@receiver(request_changed)
def on_change(request: AccessRequest, **_signal: Any) -> None:
    """Nothing is written here: a name that several transactions share would make each wait for the others."""
    transaction.on_commit(partial(_draw_soon, request.tenant), robust=True)


@handler(HOMES)
def draw_all(payload: Mapping[str, Any]) -> None:
    """`{tenant}`: have the Homes that were opened lately drawn again, one job each."""
    tenant = Tenant.objects.get(pk=payload["tenant"])
    for key in _opened(f"{tenant.pk}:"):
        identity = key.partition(":")[2]
        again = {"tenant": tenant.pk, "user": identity.rpartition("/")[2], "identity": identity, "again": True}
        enqueue(HOME, again, tenant=tenant.slug, max_attempts=2)


def _draw_soon(tenant: Tenant) -> None:
    """One job a tenant and quarter of a minute, run when that is over."""
    if _opened(f"{tenant.pk}:"):
        now = clock.now()
        turn = int(now.timestamp() // DRAWN_EVERY.seconds)
        due = datetime.fromtimestamp((turn + 1) * DRAWN_EVERY.seconds, tz=now.tzinfo)
        name = f"{HOMES}:{tenant.pk}:{turn}"
        enqueue(HOMES, {"tenant": tenant.pk}, run_at=due, dedupe=name, tenant=tenant.slug, max_attempts=2)


_opened = Compiled(
    lambda tenant: (
        Seen.objects.filter(kind=OPENED, key__startswith=tenant, seen_at__gt=Now() - _LATELY)
        .order_by("-seen_at")
        .values_list("key", flat=True)[:_PEOPLE]
    )
)


# --- what it shows


def _waiting(found: Inbox) -> Iterator[Block]:
    if not found.waiting:
        yield HeaderBlock(text=plain("Nothing waits for your answer"))
    else:
        beyond = "more than " if found.beyond else ""
        yield HeaderBlock(text=plain(f"Waiting for your answer: {beyond}{found.total}"))
    for row in found.waiting[:LISTED]:
        yield from _row(row)
    more = found.total - len(found.waiting[:LISTED])
    if more > 0:
        yield SectionBlock(text=marked(f"… and {more} more"))
    yield DividerBlock()
    yield ContextBlock(elements=[marked(link(_address("/inbox/"), "Open your inbox in Countersign"))])


def _row(row: Row) -> Iterator[Block]:
    """Who wants what, how risky, until when. Arguments are read on the card or the page, never in a list."""
    asked = row.asked
    names = (scrubbed.raw(name).text for name in (asked.agent_id, asked.tool_id, asked.method))
    agent, tool, method = (code(cut(name, _NAME)) for name in names)
    risk = f"risk {TIERS[asked.risk_tier]} · " if asked.risk_tier else ""
    yield SectionBlock(
        text=marked(f"{link(answers.request_link(asked.pk), 'Read and answer')} {agent}: {tool} {method}")
    )
    yield ContextBlock(elements=[marked(f"{risk}answer by {moment(asked.expires_at)}")])


def _unlinked() -> Iterator[Block]:
    yield HeaderBlock(text=plain("Link this Slack account"))
    words = (
        f"Nobody in Countersign answers as this Slack account yet. {link(_address('/account/'), 'Sign in there')},"
        f" choose Slack, and type the code you are shown: `{COMMAND} link CODE`"
    )
    yield SectionBlock(text=marked(words))


def _address(path: str) -> str:
    return f"{settings.COUNTERSIGN.base_url}{path}"
