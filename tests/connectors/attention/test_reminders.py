"""What waits is said once more: where it was told, in its thread, to who has not voted, and never after the end."""

from collections.abc import Iterator
from datetime import timedelta

import pytest

from approvals import requests
from approvals.models import AccessRequest
from connectors.reminders import REMIND
from evidence import clock
from outbox import queue
from outbox.models import Job
from tests.approvals.asking import TESTS, opened, requirement, vote
from tests.connectors.attention.world import Crowd, crowd, settle, words_of
from tests.connectors.servicenow.world import connected
from tests.worlds import world


@pytest.fixture
def here(database: None) -> Iterator[Crowd]:
    with crowd(mailed=("erin", "frank"), storm=False) as made:  # words may be said twice where an answer is lost
        yield made


def timers(request: AccessRequest) -> list[Job]:
    return list(Job.objects.filter(kind=REMIND, payload__request=request.pk, state="ready").order_by("run_at"))


def remind(here: Crowd, *requests_: AccessRequest, turns: slice = slice(1)) -> None:
    """Its timers are up, by default the first."""
    for request in requests_:
        for timer in timers(request)[turns]:
            queue.handler_of(REMIND)(timer.payload)
    settle(here)


def reminders(here: Crowd, who: str) -> list[str]:
    return [one["Subject"] for one in here.letters(who) if one["Subject"].startswith("Still waiting")]


class TestTimers:
    def test_are_set_with_the_request_and_go_back_with_it(self, here):
        (request,) = here.ask()
        lasts = request.expires_at - request.opened_at
        at = [timer.run_at - request.opened_at for timer in timers(request)]
        assert at == [lasts / 2, lasts - timedelta(minutes=2)]

    def test_are_not_set_where_nothing_was_told(self):
        lonely = world(quorum=2, step_up="none")
        assert timers(opened(lonely)) == []

    def test_let_a_request_be_opened_that_is_too_short_for_any(self, here):
        assert timers(opened(here.acme, requirements=(requirement(expires_in=timedelta(seconds=20)),))) == []

    def test_follow_the_settings(self, here, settings):
        settings.COUNTERSIGN = settings.COUNTERSIGN.model_copy(update={"reminders": ""})
        assert timers(here.ask()[0]) == []


class TestRemind:
    def test_says_it_in_the_thread_of_each_message(self, here):
        (request,) = here.ask()
        settle(here)
        remind(here, request)
        (said,) = [one for one in here.replies() if "Still waiting" in words_of(one)]
        assert said.thread_ts == here.cards()[0].ts
        for word in ("0 of 2 approvals by finance", "15 minutes", f"/requests/{request.pk}/"):
            assert word in words_of(said), words_of(said)
        (letter,) = [one for one in here.letters("erin") if one["Subject"].startswith("Still waiting")]
        assert letter["In-Reply-To"] == here.letters("erin")[0]["Message-ID"]

    def test_leaves_who_voted_in_peace(self, here):
        (request,) = here.ask()
        settle(here)
        vote(request, here.acme.erin)
        remind(here, request)
        assert (reminders(here, "erin"), len(reminders(here, "frank"))) == ([], 1)

    def test_says_it_once_for_each_time_however_often_the_timer_runs(self, here):
        (request,) = here.ask()
        settle(here)
        remind(here, request)
        remind(here, request)
        assert len(reminders(here, "erin")) == 1
        remind(here, request, turns=slice(2))
        assert len(reminders(here, "erin")) == 2

    def test_says_nothing_after_the_end(self, here):
        (request,) = here.ask()
        settle(here)
        requests.cancel(request.pk, tenant_id=request.tenant_id, actor=TESTS, reason="", now=clock.now())
        remind(here, request)
        assert reminders(here, "erin") == []

    def test_says_nothing_when_the_next_one_is_due_already(self, here):
        (request,) = here.ask()
        settle(here)
        late = {**timers(request)[0].payload, "until": (clock.now() - timedelta(seconds=1)).isoformat()}
        queue.handler_of(REMIND)(late)
        settle(here)
        assert reminders(here, "erin") == []

    def test_abuse_059_says_nothing_of_what_a_digest_tells(self, here):
        asked = here.ask(7)
        settle(here)
        remind(here, *asked)
        assert len(reminders(here, "erin")) == 5
        assert sum("Still waiting" in words_of(one) for one in here.replies()) == 5

    def test_is_a_note_at_the_record_in_servicenow(self, database):
        with connected(storm=False) as now:
            Job.objects.filter(state="ready").update(state="done", dedupe=None)
            request, here = opened(now.acme), Crowd(now.acme, None, None)  # type: ignore[arg-type]
            settle(here)
            remind(here, request)
            assert "Still waiting: payments.refund create by support-bot" in now.notes(request)
