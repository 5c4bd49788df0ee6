"""A request's timeline: whatever a machine repeats, what people did can be read, and what became of the approval."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from django.db import transaction

from approvals import story
from approvals.models import AccessRequest
from approvals.story import After, Moment
from countersign import ids
from countersign.proof.events import Event
from evidence import clock, ledger
from evidence.ledger import Actor
from tests.approvals import asking
from tests.approvals.asking import opened
from tests.approvals.browsing import signed_in, text
from tests.worlds import World, world

PEP = Actor("pep", "k1", {"method": "bearer"})
NOON = datetime(2026, 11, 21, 12, tzinfo=UTC)


@pytest.fixture(scope="module")
def ours(database: None) -> World:
    return world()


def happened(request: AccessRequest, event: Event, *, now: datetime | None = None, **said: Any) -> None:
    with transaction.atomic():
        ledger.append(
            event, tenant=request.tenant.slug, thread=request.pk, actor=PEP, now=now or clock.now(),
            commitment=request.commitment, **{"action": {}, **said},
        )  # fmt: skip


def asked(request: AccessRequest, times: int = 1, outcome: str = "escalate") -> None:
    for n in range(times):
        decision = {"outcome": outcome, "reason": "rule", "reasons": []}
        later = NOON + timedelta(seconds=3 * n)
        happened(request, Event.DECISION_MADE, now=later, event_id=ids.new("eva"), decision=decision)


def texts(request: AccessRequest) -> list[str]:
    return [moment.text for moment in story.story(request, now=clock.now()).timeline]


def after(request: AccessRequest) -> After:
    found = story.story(request, now=clock.now()).after
    assert found
    return found


class TestTimeline:
    def test_an_agent_that_asks_again_and_again_is_one_line_between_the_votes(self, ours: World) -> None:
        request = opened(ours)
        asked(request, 46)
        asking.vote(request, ours.erin)
        asked(request, 2)
        erin = f"{ours.username('erin')} voted to approve on the web"
        assert texts(request) == [
            "Request opened", "Decision: escalate", "Asked again ×45, last 12:02:15 UTC", erin,
            "Asked again ×2, last 12:00:03 UTC",
        ]  # fmt: skip

    def test_a_vote_faster_than_reading_says_so_to_everybody(self, ours: World) -> None:
        request = opened(ours)
        now = clock.now()
        asking.vote(request, ours.erin, now=now, first_seen_at=now - timedelta(seconds=1))
        asking.vote(request, ours.frank)
        voted = [line for line in texts(request) if " voted " in line]
        assert ["less than two seconds after first seeing it" in line for line in voted] == [True, False]

    def test_a_flood_pushes_no_vote_out(self, ours: World, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(story, "_LIMIT", 6)
        request = opened(ours)
        asked(request)
        asking.vote(request, ours.erin)
        asked(request, 9)
        assert texts(request) == [
            story._LEFT_OUT, "Request opened", f"{ours.username('erin')} voted to approve on the web",
            "Asked again ×6, last 12:00:24 UTC",
        ]  # fmt: skip

    def test_what_differs_is_not_folded(self) -> None:
        moments = [Moment(NOON, one) for one in ("a", "b", "a", "a")]
        assert [moment.text for moment in story._folded(moments)] == ["a", "b", "a ×2, last 12:00:00 UTC"]

    def test_the_open_page_is_told_of_each_repetition(self, ours: World) -> None:
        request = opened(ours)
        asked(request, 3)
        client = signed_in(ours.frank)
        was = text(client.get(f"/requests/{request.pk}/")).split("was=")[1].split('"')[0]
        path = f"/requests/{request.pk}/live/?state=pending&was={was}"
        assert client.get(path).status_code == 204
        asked(request)
        assert "Asked again ×3" in text(client.get(path))


class TestAfter:
    @pytest.fixture
    def used(self, ours: World) -> AccessRequest:
        approval = asking.approved(ours)
        asking.use(approval, ours)
        return approval.request

    @pytest.mark.parametrize(
        ("status", "brief"),
        [("executing", "running"), ("committed", "committed"), ("failed", "failed"), ("indeterminate", "end unknown")],
    )
    def test_the_badge_says_when_it_was_used_and_how_it_ended(
        self, ours: World, used: AccessRequest, status: str, brief: str
    ) -> None:
        at = after(used).used_at
        assert at
        happened(used, Event.EXECUTION_REPORTED, now=at + timedelta(minutes=2), execution={"status": status})
        page = text(signed_in(ours.frank).get(f"/requests/{used.pk}/"))
        assert f"Approved · used {at:%H:%M:%S} · {brief}</span>" in page
        assert f">{at + timedelta(minutes=2):%-d %b, %H:%M:%S} UTC<" in page

    def test_before_the_call_starts_it_is_used_and_no_more(self, ours: World, used: AccessRequest) -> None:
        page = text(signed_in(ours.frank).get(f"/requests/{used.pk}/"))
        assert f"Approved · used {after(used).used_at:%H:%M:%S}</span>" in page

    def test_a_page_that_is_open_gets_the_new_badge(self, ours: World, used: AccessRequest) -> None:
        happened(used, Event.EXECUTION_REPORTED, execution={"status": "committed"})
        page = text(signed_in(ours.frank).get(f"/requests/{used.pk}/live/?state=approved&was=earlier"))
        assert '<span id="state" hx-swap-oob="innerHTML">' in page
        assert "· committed</span>" in page

    def test_refused_attempts_do_not_hide_that_it_was_used(
        self, used: AccessRequest, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(story, "_LIMIT", 20)
        for _ in range(25):
            happened(used, Event.APPROVAL_REFUSED)
        assert after(used).name == "used"

    def test_an_approval_nobody_used_says_so(self, ours: World) -> None:
        request = asking.approved(ours).request
        assert "Approved · not used yet</span>" in text(signed_in(ours.frank).get(f"/requests/{request.pk}/"))
