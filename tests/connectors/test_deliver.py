"""Each change of a request reaches each of its places, once and in order, whatever breaks on the way."""

import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta

import pytest
from django.db import connection, transaction
from django.db.models import F

from approvals import requests
from approvals.models import AccessRequest, Decision
from connectors import deliver, notify, pauses
from connectors.models import Delivery, State
from connectors.port import Place
from evidence import clock
from evidence.ledger import Actor
from outbox import pump
from outbox.models import Job
from outbox.models import State as JobState
from tests.approvals import asking
from tests.connectors.board import KIND, Board, Fault, board, channel, connect
from tests.worlds import World, world


@pytest.fixture(autouse=True)
def _only_mine() -> None:
    """Jobs of other tests wait: a test pumps what it made."""
    Job.objects.filter(state=JobState.READY).update(state=JobState.DONE, dedupe=None)


@pytest.fixture
def here() -> Iterator[Board]:
    with board() as made:
        yield made


@pytest.fixture
def ours(here: Board) -> World:
    made = world(quorum=2, step_up="none")
    connect(made.tenant, here.url)
    channel(made.tenant)
    return made


def opened(ours: World, **asked) -> AccessRequest:
    return asking.opened(ours, requirements=[asking.requirement(step_up=asking.NONE)], **asked)


def pumped() -> None:
    """All that is due, and what becomes due by that."""
    while pump.run_due():
        pass


def soon() -> None:
    """What waits for later is due now."""
    pauses._resting.clear()
    Delivery.objects.update(not_before=None)
    Job.objects.filter(state=JobState.READY).update(run_at=F("created_at"))
    pumped()


def row(request: AccessRequest) -> Delivery:
    return Delivery.objects.get(request=request)


def notices(request: AccessRequest) -> list[str]:
    return [event for event in asking.events(request) if event.startswith("notification.")]


class TestNotify:
    def test_makes_no_delivery_when_the_change_rolls_back(self, ours, here):
        with pytest.raises(ZeroDivisionError), transaction.atomic():
            requests.open_or_join(asking.ask(ours), max_open=9, now=clock.now())
            raise ZeroDivisionError
        assert not Delivery.objects.filter(tenant=ours.tenant).exists()
        assert not Job.objects.filter(tenant=ours.slug, kind=notify.DELIVER).exists()

    def test_makes_none_where_nothing_is_connected(self, here):
        lonely = world(quorum=2, step_up="none")
        channel(lonely.tenant)
        assert not Delivery.objects.filter(request=opened(lonely)).exists()

    def test_loses_no_change_that_comes_while_an_older_one_is_told(self, ours, here):
        request = opened(ours)
        here.faults.append(Fault(seconds=0.4))
        with ThreadPoolExecutor(1) as pool:
            telling = pool.submit(in_thread, pumped)
            time.sleep(0.15)
            asking.vote(request, ours.erin)
            asking.vote(request, ours.frank)
            telling.result()
        pumped()
        (message,) = here.about(request.pk)
        assert message["status"] == "approved"
        assert row(request).state == State.DONE
        assert row(request).wanted == row(request).told

    def test_tells_many_changes_in_one_message(self, ours, here):
        request = opened(ours)
        asking.vote(request, ours.erin)
        asking.vote(request, ours.frank)
        pumped()
        (message,) = here.about(request.pk)
        assert message["versions"] == [row(request).wanted]

    def test_tells_nothing_anew_when_an_agent_asks_again(self, ours, here):
        made = asking.call(ours)
        request = opened(ours, made=made)
        pumped()
        opened(ours, made=made, token=ours.agent_key)
        assert "request.joined" in asking.events(request)
        pumped()
        assert len(here.calls) == 1
        assert row(request).wanted == 1


def in_thread(work) -> None:
    try:
        work()
    finally:
        connection.close()


class TestDeliver:
    def test_refuses_to_use_the_network_inside_a_transaction(self, ours, here):
        request = opened(ours)
        with pytest.raises(deliver.InTransaction), transaction.atomic():
            deliver.deliver({"delivery": row(request).pk})
        with pytest.raises(deliver.InTransaction), transaction.atomic():
            deliver.say({})

    def test_posts_once_and_edits_ever_after(self, ours, here):
        request = opened(ours)
        pumped()
        asking.vote(request, ours.erin)
        pumped()
        asking.vote(request, ours.frank)
        pumped()
        assert [method for _, method, _ in here.calls] == ["POST", "PUT", "PUT"]
        (message,) = here.about(request.pk)
        assert message["outcome"].startswith(f"Approved by {ours.username('erin')} and {ours.username('frank')}.")
        assert notices(request) == ["notification.sent"]

    @pytest.mark.parametrize("end", ["denied", "expired", "cancelled"])
    def test_tells_every_end(self, ours, here, end):
        request = opened(ours)
        pumped()
        if end == "denied":
            asking.vote(request, ours.erin, Decision.DENY, reason="too much")
        elif end == "cancelled":
            requests.cancel(
                request.pk, tenant_id=request.tenant_id, actor=Actor("pep", "x"), reason="", now=clock.now()
            )
        else:
            requests.expire_due(request.expires_at)
        pumped()
        (message,) = here.about(request.pk)
        assert message["status"] == end
        assert message["outcome"]

    def test_sends_one_delivery_from_one_pump_at_a_time(self, ours, here):
        request = opened(ours)
        here.always = Fault(seconds=0.05)
        for _ in range(6):
            notify._raise(request)
        with ThreadPoolExecutor(4) as pool:
            list(pool.map(lambda _: in_thread(pumped), range(4)))
        here.always = None
        soon()
        assert here.overlaps == []
        assert len(here.about(request.pk)) == 1
        assert row(request).told == row(request).wanted

    def test_never_lets_an_older_telling_stand_over_a_newer(self, ours, here):
        request = opened(ours)
        pumped()
        for member in (ours.erin, ours.frank):
            asking.vote(request, member)
            pumped()
        (message,) = here.about(request.pk)
        assert message["versions"] == sorted(message["versions"])

    def test_looks_for_a_post_whose_answer_was_lost(self, ours, here):
        request = opened(ours)
        here.faults.append(Fault(hang_up=True))
        pumped()
        assert row(request).attempting
        soon()
        assert len(here.about(request.pk)) == 1
        assert row(request).ref
        assert not row(request).attempting

    def test_posts_anew_what_never_arrived(self, ours, here):
        request = opened(ours)
        here.faults.append(Fault(status=500))
        pumped()
        assert row(request).attempts == 1
        soon()
        assert len(here.about(request.pk)) == 1
        assert (row(request).state, row(request).attempts, row(request).last_error) == (State.DONE, 0, "")

    def test_tries_again_within_seconds(self, ours, here):
        request = opened(ours)
        here.faults.append(Fault(status=500))
        pumped()
        assert row(request).not_before - clock.now() < timedelta(seconds=2)

    def test_waits_as_long_as_it_is_told_to(self, ours, here):
        request = opened(ours)
        here.faults.append(Fault(status=429, retry_after="37"))
        pumped()
        wait = row(request).not_before - clock.now()
        assert timedelta(seconds=35) < wait <= timedelta(seconds=37)
        asking.vote(request, ours.erin)
        pauses._resting.clear()  # another process has not heard of it, but the row has
        pumped()
        assert len(here.calls) == 1, "a change does not make the other system less busy"
        soon()
        assert len(here.about(request.pk)) == 1

    def test_gives_up_what_is_refused_for_good_and_says_so(self, ours, here):
        request = opened(ours)
        here.always = Fault(status=403)
        pumped()
        assert (row(request).state, row(request).last_error) == (State.DEAD, "The board answered 403.")
        assert notices(request) == ["notification.failed"]

    def test_gives_up_after_many_attempts(self, ours, here):
        request = opened(ours)
        Delivery.objects.filter(request=request).update(attempts=deliver.MAX_ATTEMPTS - 1)
        here.always = Fault(status=500)
        pumped()
        assert row(request).state == State.DEAD

    def test_sends_again_what_was_given_up(self, ours, here):
        request = opened(ours)
        here.always = Fault(status=403)
        pumped()
        here.always = None
        with transaction.atomic():
            deliver.send_again(row(request), now=clock.now())
        pumped()
        assert len(here.about(request.pk)) == 1
        assert notices(request) == ["notification.failed", "notification.sent"]

    def test_mends_a_message_that_was_given_up_once_the_request_changes(self, ours, here):
        request = opened(ours)
        pumped()
        here.always = Fault(status=403)
        asking.vote(request, ours.erin)
        pumped()
        here.always = None
        asking.vote(request, ours.frank)
        pumped()
        (message,) = here.about(request.pk)
        assert message["status"] == "approved"
        assert notices(request) == ["notification.sent", "notification.failed", "notification.sent"]

    def test_leaves_a_place_that_lost_its_credentials_to_the_dead_letters(self, ours, here):
        request = opened(ours)
        ours.tenant.pk and Delivery.objects.filter(request=request).update(kind="jira")
        pumped()
        assert row(request).state == State.DEAD
        assert "Enter its credentials" in row(request).last_error

    def test_abuse_108_tells_no_secret_of_an_error(self, ours, here, monkeypatch):
        request = opened(ours)
        connect(ours.tenant, "http://127.0.0.1:9/AKIAIOSFODNN7EXAMPLF")
        monkeypatch.setattr(
            "tests.connectors.board.Boards._call",
            lambda *_: (_ for _ in ()).throw(deliver.TransportError("said AKIAQ4ABCDEFGHIJ23KL", permanent=True)),
        )
        pumped()
        assert row(request).last_error == "said [redacted: aws-access-key]"

    def test_tries_again_when_the_work_itself_breaks(self, ours, here, monkeypatch, caplog):
        request = opened(ours)
        with monkeypatch.context() as broken:
            broken.setattr("tests.connectors.board.Boards.post", lambda *_: 1 / 0)
            pumped()
        assert row(request).last_error == "unexpected: ZeroDivisionError"
        soon()
        assert len(here.about(request.pk)) == 1

    def test_takes_over_from_a_worker_that_died(self, ours, here):
        request = opened(ours)
        stale = clock.now() - timedelta(seconds=1)
        Delivery.objects.filter(request=request).update(lease="lse_dead", leased_until=stale, attempting=True)
        pumped()
        assert len(here.about(request.pk)) == 1

    def test_leaves_alone_what_another_worker_holds(self, ours, here):
        request = opened(ours)
        Delivery.objects.filter(request=request).update(
            lease="lse_other", leased_until=clock.now() + timedelta(seconds=30)
        )
        pumped()
        assert here.calls == []
        Delivery.objects.filter(request=request).update(lease="", leased_until=None)
        soon()
        assert len(here.about(request.pk)) == 1


class TestPauses:
    def test_abuse_134_leave_a_system_that_times_out_alone_for_everybody(self, ours, here):
        here.always = Fault(status=500)
        waiting = [opened(ours) for _ in range(4)]
        pumped()
        assert len(here.calls) == 1, "one tries for all"
        assert all(row(one).attempts <= 1 for one in waiting)
        here.always = None
        soon()
        assert all(len(here.about(one.pk)) == 1 for one in waiting)

    def test_end_with_the_first_that_works(self, ours):
        account = (ours.tenant.pk, KIND)
        pauses.failed(*account, after=timedelta(seconds=30))
        assert pauses.left(*account) > timedelta(seconds=29)
        pauses.worked(*account)
        assert not pauses.left(*account)

    def test_let_one_try_and_the_others_wait(self, ours):
        account = (ours.tenant.pk, KIND)
        pauses.failed(*account, after=timedelta(0))
        assert [bool(pauses.left(*account)) for _ in range(3)] == [False, True, True]

    def test_are_one_accounts_own(self, ours):
        pauses.failed(ours.tenant.pk, KIND, after=None)
        assert not pauses.left(ours.tenant.pk, "slack")
        assert not pauses.left(ours.tenant.pk + 1, KIND)


class TestSay:
    def test_says_plain_words_once(self, ours, here):
        with transaction.atomic():
            deliver.say_later(ours.tenant, Place(KIND, "C1", {}), "three wait for you", dedupe=f"digest:{ours.slug}")
            deliver.say_later(ours.tenant, Place(KIND, "C1", {}), "three wait for you", dedupe=f"digest:{ours.slug}")
        pumped()
        assert [one["words"] for one in here.messages.values()] == ["three wait for you"]

    def test_tries_again_as_it_is_told(self, ours, here):
        here.faults.append(Fault(status=429, retry_after="9"))
        deliver.say_later(ours.tenant, Place(KIND, "C1", {}), "hello")
        pumped()
        job = Job.objects.get(tenant=ours.slug, kind=deliver.SAY)
        assert (job.state, job.attempts) == (JobState.READY, 0)
        assert job.run_at > clock.now() + timedelta(seconds=5)

    def test_leaves_a_system_alone_that_failed_a_moment_ago(self, ours, here):
        here.always = Fault(status=500)
        for words in ("one", "two", "three"):
            deliver.say_later(ours.tenant, Place(KIND, "C1", {}), words)
        pumped()
        assert len(here.calls) == 1
        here.always = None
        soon()
        soon()
        assert {one["words"] for one in here.messages.values()} == {"one", "two", "three"}

    def test_gives_up_what_is_refused_for_good(self, ours, here):
        here.always = Fault(status=404)
        deliver.say_later(ours.tenant, Place(KIND, "C1", {}), "hello")
        pumped()
        assert Job.objects.get(tenant=ours.slug, kind=deliver.SAY).state == JobState.DEAD
