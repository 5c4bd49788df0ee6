"""The database goes away at the worst moment: nothing is allowed, nothing is lost, nothing happens twice."""

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

import psycopg
import pytest
from django.db import connection

from enforcement.models import Counter, Execution
from evidence.models import Record
from tests.enforcement.machine import EVALUATION, OUTCOMES, REQUESTS, ask, post, question, send, together
from tests.enforcement.test_requests import approved, easy, fresh, submission, using
from tests.worlds import world

pytestmark = pytest.mark.postgres


@pytest.fixture(autouse=True)
def _on_postgres(database: None) -> None:
    if connection.vendor != "postgresql":
        pytest.skip("there is no connection to cut")


def _raw() -> "psycopg.Connection":
    settings = connection.settings_dict
    return psycopg.connect(
        host=settings["HOST"], port=settings["PORT"], user=settings["USER"], password=settings["PASSWORD"] or None,
        dbname=settings["NAME"], autocommit=True,
    )  # fmt: skip


@contextmanager
def cut_in_commit(table: str) -> Iterator[threading.Event]:
    """The next COMMIT that wrote to `table` is cut by another session.

    A deferred trigger runs inside COMMIT. There it waits for a lock of ours, until the other session ends its backend
    and the transaction is gone, which its client cannot know.
    """
    done = threading.Event()
    with _raw() as holder, _raw() as other:
        holder.execute("SELECT pg_advisory_lock(7331)")
        holder.execute(
            "CREATE OR REPLACE FUNCTION test_wait() RETURNS trigger LANGUAGE plpgsql AS"
            " $$ BEGIN PERFORM pg_advisory_xact_lock_shared(7331); RETURN NULL; END $$"
        )
        holder.execute(
            f"CREATE CONSTRAINT TRIGGER test_wait AFTER INSERT ON {table} DEFERRABLE INITIALLY DEFERRED"
            " FOR EACH ROW EXECUTE FUNCTION test_wait()"
        )

        def cut() -> None:
            ends = time.monotonic() + 20
            while time.monotonic() < ends:
                row = other.execute(
                    "SELECT pid FROM pg_locks WHERE locktype = 'advisory' AND objid = 7331 AND NOT granted LIMIT 1"
                ).fetchone()
                if row:
                    other.execute("SELECT pg_terminate_backend(%s)", [row[0]])
                    break
                time.sleep(0.01)
            holder.execute("SELECT pg_advisory_unlock(7331)")
            done.set()

        cutter = threading.Thread(target=cut)
        cutter.start()
        try:
            yield done
        finally:
            cutter.join(30)
            other.execute(f"DROP TRIGGER IF EXISTS test_wait ON {table}")


class TestCutDuringCommit:
    def test_abuse_133_decides_once_after_a_retry(self):
        own = world(caps={"rate": ["50/day"]})
        assert ask(own.pep_key).status == 200
        body = question(attempt="lost-1")
        with cut_in_commit("evidence_record"):
            assert post(EVALUATION, own.pep_key, body).status == 503
        again = post(EVALUATION, own.pep_key, body)
        assert again.told[0] is True
        assert Record.objects.filter(log=own.slug, event="decision.made").count() == 2
        assert Counter.objects.get(tenant=own.tenant).used == 2

    def test_abuse_133_takes_nobody_down_for_longer_than_the_cut(self):
        own = world(caps={})
        assert ask(own.pep_key).status == 200
        with cut_in_commit("evidence_record"):
            replies = together([send("POST", EVALUATION, own.pep_key, question(attempt=f"n-{n}")) for n in range(20)])
        assert {reply.status for reply in replies} <= {200, 503}
        replies = together([send("POST", EVALUATION, own.pep_key, question(attempt=f"n-{n}")) for n in range(20)])
        assert {reply.status for reply in replies} == {200}
        assert Record.objects.filter(log=own.slug, event="decision.made").count() == 21

    def test_abuse_133_uses_an_approval_once(self):
        own = easy()
        body = fresh(attempt="use-1")
        approval = approved(own, {**body, "context": {k: v for k, v in body["context"].items() if k != "attempt"}})
        with cut_in_commit("enforcement_execution"):
            assert post(EVALUATION, own.pep_key, using(approval, body)).status == 503
        approval.refresh_from_db()
        assert approval.uses == 0
        assert post(EVALUATION, own.pep_key, using(approval, body)).told[0] is True
        approval.refresh_from_db()
        assert (approval.uses, Execution.objects.filter(request_id=approval.request_id).count()) == (1, 1)

    def test_abuse_133_opens_one_request(self):
        own = easy()
        body = fresh()
        sent = submission(body, ask(own.pep_key, body))
        with cut_in_commit("approvals_accessrequest"):
            assert post(REQUESTS, own.pep_key, sent, idempotency_key="k").status == 503
        assert post(REQUESTS, own.pep_key, sent, idempotency_key="k").status == 202
        assert own.tenant.requests.count() == 1

    def test_abuse_133_claims_an_execution_once(self):
        own = world(caps={})
        claim = {"evaluation_id": ask(own.pep_key).context["evaluation_id"], "status": "executing"}
        with cut_in_commit("enforcement_execution"):
            assert post(OUTCOMES, own.pep_key, claim, idempotency_key="k").status == 503
        assert post(OUTCOMES, own.pep_key, claim, idempotency_key="k").status == 200
        assert post(OUTCOMES, own.pep_key, claim, idempotency_key="other").status == 409
        assert Execution.objects.filter(tenant=own.tenant).count() == 1


class TestGone:
    def test_denies_by_503_and_comes_back_by_itself(self):
        """Every backend but this test's is ended, twice: the writer's and the pool's connections are dead."""
        own = world(caps={})
        assert ask(own.pep_key).status == 200
        for _ in range(2):
            with _raw() as admin:
                admin.execute(
                    "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
                    " WHERE datname = current_database() AND pid NOT IN (pg_backend_pid(), %s)",
                    [connection.connection.info.backend_pid],
                )
            first = ask(own.pep_key)
            assert first.status in {200, 503}
            if first.status == 503:
                assert first.headers["retry-after"] == "1"
            assert ask(own.pep_key).status == 200
            assert ask(own.pep_key, fresh()).status == 200
