"""An exception from the asking to the proof: granted by two in two places, used, suspended, resumed, used up, verified."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from tests.connectors.webhook.receiver import Receiver, receiver
from tests.journeys.server import until
from tests.journeys.speakers import refund
from tests.journeys.test_approval import records, verified
from tests.journeys.world import World

HOLDS = b"HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n"
FAILS = b"HTTP/1.1 500 Internal Server Error\r\nConnection: close\r\n\r\n"
LIFE = [
    "waiver.requested", "vote.cast", "vote.cast", "waiver.granted", "waiver.suspended",  # until it was looked at
    "control.checked", "waiver.resumed", "decision.made",
    "control.checked", "waiver.suspended",
    "control.checked", "waiver.resumed", "decision.made", "waiver.used_up",
]  # fmt: skip


@pytest.fixture
def ledger() -> Iterator[Receiver]:
    """The page that must answer: finance reads there afterwards what was paid."""
    with receiver() as page:
        page.say(HOLDS)
        yield page


class TestException:
    def test_lives_from_the_asking_to_the_proof(self, acme: World, ledger: Receiver, out: Path):
        pep, dana, erin, frank = acme.pep, acme.voter("dana"), acme.voter("erin"), acme.voter("frank")
        call = refund("250.00", transaction="case-1")
        assert pep.ask(call)["reason"] == "approval_required"

        # Dana asks that large refunds, up to 300, need nobody for a day, twice at most, and while the page answers.
        asked = dana.post("/api/v1/waivers", {
            "category": "mitigated", "rules": ["refunds-over-100"], "max_uses": 2,
            "match": {"agents": ["support-bot"], "tools": ["payments.refund"], "methods": ["create"]},
            "when": "double(arguments.amount) <= 300.0",
            "reason": "Last year's orders are paid back until the migration is done.",
            "owner": acme.username("carol"), "expires_at": (datetime.now(UTC) + timedelta(days=1)).isoformat(),
            "controls": [{"kind": "check", "url": ledger.url, "every": "10s"}],
        })  # fmt: skip
        assert asked.status_code == 201, asked.text
        waiver, request = asked.json()["id"], asked.json()["request"]["id"]

        def state() -> str:
            return str(dana.get(f"/api/v1/waivers/{waiver}").json()["state"])

        # Nobody has granted it. Who asked cannot; one of finance does on our pages, another from a program of theirs.
        assert pep.ask(call)["reason"] == "approval_required"
        assert dana.vote(request).status_code == 403
        acme.browser("erin").approve(request, erin.code())
        assert state() == "pending"
        granted = frank.vote(request)
        assert granted.json()["status"] == "approved"
        assert [vote["surface"] for vote in granted.json()["votes"]] == ["web", "api"]

        # Once the page was looked at, the very call goes through, is told and counted, and runs; a larger one does not.
        until(lambda: state() == "active")
        used = pep.decision(call)
        told = used["context"]["waiver"]
        assert (used["decision"], used["context"]["reason"]) == (True, "waiver")
        assert (told["id"], told["use"], told["of"], told["would_have"]) == (waiver, 1, 2, "escalate")
        for status in ("executing", "committed"):
            assert pep.report(used["context"]["evaluation_id"], status).status_code == 200
        assert pep.ask(refund("301.00", transaction="case-1"))["reason"] == "approval_required"

        # The page fails: the exception suspends itself and says why, and people are asked again.
        ledger.say(FAILS)
        until(lambda: state() == "suspended")
        assert pep.ask(call)["reason"] == "approval_required"
        (control,) = dana.get(f"/api/v1/waivers/{waiver}").json()["controls"]
        assert control["lacks"] == "Control 1: It answered 500, not 200."

        # It answers again: in force again by itself, and over with the second use.
        ledger.say(HOLDS)
        until(lambda: state() == "active")
        assert pep.ask(call)["waiver"]["use"] == 2
        assert state() == "used_up"
        assert pep.ask(call)["reason"] == "approval_required"

        # Its whole life is one pack, which holds before a stranger, and not with a letter changed.
        vkey = acme.export(out, "--waiver", waiver)
        assert verified(out, "--key", vkey).returncode == 0
        told_in_order = [(event, record) for event, _, record in records(out) if event in LIFE]
        assert [event for event, _ in told_in_order] == LIFE
        assert [record["waiver"]["use"] for event, record in told_in_order if event == "decision.made"] == [1, 2]
        damaged = (out / "records.jsonl").read_bytes().replace(b'"payload":"eyJ', b'"payload":"eyK', 1)
        (out / "records.jsonl").write_bytes(damaged)
        assert verified(out, "--key", vkey).returncode != 0
