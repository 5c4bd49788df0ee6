"""A job exists exactly if its cause does, runs by lease, and ends once."""

import threading
from datetime import timedelta
from uuid import uuid4

import pytest
from django.db import connection, transaction
from django.test.utils import CaptureQueriesContext

from outbox import doorbell, pump, queue
from outbox.models import Job, State


@pytest.fixture
def kind():
    """A kind of this test's own, so that other tests' jobs are nobody's business here."""
    return f"test.{uuid4().hex[:12]}"


@pytest.fixture(autouse=True)
def _only_mine(kind):
    """Other jobs of this database wait: a test pumps what it made."""
    Job.objects.filter(state=State.READY).exclude(kind=kind).update(run_at=pump.now() + timedelta(days=1))


def job(kind) -> Job:
    return Job.objects.get(kind=kind)


class TestEnqueue:
    def test_leaves_no_job_when_the_cause_rolls_back(self, kind):
        with pytest.raises(ZeroDivisionError), transaction.atomic():
            queue.enqueue(kind, {})
            raise ZeroDivisionError
        assert not Job.objects.filter(kind=kind).exists()

    def test_ignores_a_second_job_of_the_same_name(self, kind):
        for n in (1, 2):
            queue.enqueue(kind, {"n": n}, dedupe=f"{kind}:once")
        assert job(kind).payload == {"n": 1}

    def test_frees_the_name_once_the_job_is_done(self, kind):
        queue.handler(kind)(lambda payload: None)
        queue.enqueue(kind, {}, dedupe=kind)
        pump.run_due()
        queue.enqueue(kind, {}, dedupe=kind)
        assert Job.objects.filter(kind=kind).count() == 2

    def test_rings_only_after_the_commit(self, kind):
        doorbell.wait(0)
        with transaction.atomic():
            queue.enqueue(kind, {})
            assert not doorbell.wait(0)
        assert doorbell.wait(0)

    def test_refuses_two_handlers_of_one_kind(self, kind):
        queue.handler(kind)(lambda payload: None)
        with pytest.raises(queue.KindTaken):
            queue.handler(kind)(lambda payload: None)


class TestPump:
    def test_leaves_what_is_not_due(self, kind):
        queue.handler(kind)(lambda payload: pytest.fail("too early"))
        queue.enqueue(kind, {}, run_at=pump.now() + timedelta(minutes=1))
        pump.run_due()
        assert job(kind).state == State.READY

    def test_takes_what_is_due_in_this_very_millisecond(self, kind):
        queue.handler(kind)(lambda payload: None)
        for _ in range(100):
            queue.enqueue(kind, {})
            Job.objects.filter(kind=kind, state=State.READY).update(run_at=pump.now())
            assert pump.run_due() == 1
        assert Job.objects.filter(kind=kind, state=State.DONE).count() == 100

    def test_retries_a_failure_later(self, kind):
        queue.handler(kind)(lambda payload: 1 / 0)
        queue.enqueue(kind, {})
        pump.run_due()
        failed = job(kind)
        assert (failed.state, failed.attempts, failed.last_error) == (State.READY, 1, "ZeroDivisionError")
        assert failed.run_at > pump.now()

    def test_keeps_an_error_text_out_of_the_row(self, kind):
        def leak(payload):
            raise RuntimeError("AKIAIOSFODNN7EXAMPLE")

        queue.handler(kind)(leak)
        queue.enqueue(kind, {})
        pump.run_due()
        assert job(kind).last_error == "RuntimeError"

    def test_buries_a_job_that_failed_too_often(self, kind):
        queue.handler(kind)(lambda payload: 1 / 0)
        queue.enqueue(kind, {}, max_attempts=1)
        pump.run_due()
        assert job(kind).state == State.DEAD

    def test_buries_what_no_retry_can_help(self, kind):
        def hopeless(payload):
            raise pump.Permanent("gone")

        queue.handler(kind)(hopeless)
        queue.enqueue(kind, {})
        pump.run_due()
        assert job(kind).state == State.DEAD

    def test_does_not_count_later_as_a_failure(self, kind):
        def wait(payload):
            raise pump.Later(timedelta(minutes=5))

        queue.handler(kind)(wait)
        queue.enqueue(kind, {})
        pump.run_due()
        waiting = job(kind)
        assert (waiting.state, waiting.attempts) == (State.READY, 0)
        assert waiting.run_at > pump.now() + timedelta(minutes=4)

    def test_runs_a_job_again_whose_worker_died(self, kind):
        ran = []
        queue.handler(kind)(ran.append)
        queue.enqueue(kind, {"n": 1})
        Job.objects.filter(kind=kind).update(lease="lse_dead", leased_until=pump.now() - timedelta(seconds=1))
        pump.run_due()
        assert ran == [{"n": 1}]

    def test_leaves_a_job_that_another_worker_holds(self, kind):
        queue.handler(kind)(lambda payload: pytest.fail("held"))
        queue.enqueue(kind, {})
        Job.objects.filter(kind=kind).update(lease="lse_other", leased_until=pump.now() + timedelta(minutes=1))
        pump.run_due()
        assert job(kind).lease == "lse_other"

    def test_does_not_end_a_job_whose_lease_it_lost(self, kind):
        def slow(payload):
            Job.objects.filter(kind=kind).update(lease="lse_other")

        queue.handler(kind)(slow)
        queue.enqueue(kind, {})
        pump.run_due()
        assert (job(kind).state, job(kind).lease) == (State.READY, "lse_other")

    def test_takes_and_ends_a_job_with_one_statement_each(self, kind):
        """Whoever pressed a button waits behind these, job by job."""
        queue.handler(kind)(lambda payload: None)
        queue.enqueue(kind, {})
        with CaptureQueriesContext(connection) as asked:
            assert pump.run_due(1) == 1
        assert len(asked) == 2

    def test_runs_the_handler_outside_any_transaction(self, kind):
        seen = []
        queue.handler(kind)(lambda payload: seen.append(connection.in_atomic_block))
        queue.enqueue(kind, {})
        pump.run_due()
        assert seen == [False]

    def test_a_crowd_keeps_no_round_from_its_time_and_no_round_keeps_the_crowd(self, kind):
        ran = []

        def again():
            ran.append("round")
            raise pump.Later(timedelta(0))

        queue.handler(kind)(lambda payload: ran.append(payload["n"]))
        queue.every(f"{kind}.round", timedelta(minutes=5))(again)
        for n in range(3):
            queue.enqueue(kind, {"n": n})
        queue.enqueue(f"{kind}.round", {}, dedupe=f"{kind}.round")
        pump.run_due(limit=4)
        assert ran == ["round", 0, "round", 1]

    @pytest.mark.postgres
    def test_gives_each_job_to_one_of_many_workers(self, kind):
        ran, lock = [], threading.Lock()

        def note(payload):
            with lock:
                ran.append(payload["n"])

        queue.handler(kind)(note)
        for n in range(40):
            queue.enqueue(kind, {"n": n})

        def work():
            pump.run_due()
            connection.close()

        workers = [threading.Thread(target=work) for _ in range(4)]
        for worker in workers:
            worker.start()
        for worker in workers:
            worker.join()
        assert sorted(ran) == list(range(40))


class TestRounds:
    def test_go_back_to_waiting_after_each_run(self, kind):
        ran = []
        queue.every(kind, timedelta(minutes=5))(lambda: ran.append(1))
        queue.enqueue(kind, {}, dedupe=kind)
        pump.run_due()
        pump.run_due()
        waiting = job(kind)
        assert (len(ran), waiting.state, waiting.attempts, waiting.dedupe) == (1, State.READY, 0, kind)
        assert timedelta(minutes=4) < waiting.run_at - pump.now() <= timedelta(minutes=5)

    def test_have_one_row_however_often_they_begin(self, kind):
        queue.every(kind, timedelta(days=1))(lambda: None)
        queue.begin_rounds()
        queue.begin_rounds()
        assert Job.objects.filter(kind=kind).count() == 1

    def test_do_not_die_of_failures(self, kind):
        queue.every(kind, timedelta(minutes=5))(lambda: 1 / 0)
        queue.enqueue(kind, {}, dedupe=kind, max_attempts=1)
        pump.run_due()
        assert (job(kind).state, job(kind).last_error) == (State.READY, "ZeroDivisionError")

    def test_begin_with_the_pump(self, kind):
        stop = threading.Event()
        queue.every(kind, timedelta(days=1))(stop.set)
        pump.run_until(stop)
        assert job(kind).state == State.READY
