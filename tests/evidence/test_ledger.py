"""One event, one record, one transaction."""

from concurrent.futures import ThreadPoolExecutor

import pytest
from django.db import connection, transaction

from countersign.proof import statement
from countersign.proof.events import Event
from evidence import ledger
from evidence.models import Record
from tests.evidence.shared import ERIN, NOW, a_log, append, decisions


class TestAppend:
    def test_refuses_to_write_outside_of_a_transaction(self) -> None:
        log = a_log()
        with pytest.raises(ledger.NoTransaction):
            ledger.append(Event.REGISTRY_CHANGED, tenant=log, thread="x", actor=ERIN, now=NOW, detail={})
        assert not Record.objects.filter(log=log).exists()

    def test_goes_when_the_caller_rolls_back(self) -> None:
        log = a_log()
        with pytest.raises(ZeroDivisionError), transaction.atomic():
            ledger.append(Event.REGISTRY_CHANGED, tenant=log, thread="x", actor=ERIN, now=NOW, detail={})
            raise ZeroDivisionError
        assert not Record.objects.filter(log=log).exists()

    def test_chains_its_thread(self) -> None:
        log = a_log()
        first, second = append(log, "registry:tool:a"), append(log, "registry:tool:a")
        record = statement.parse(bytes(Record.objects.get(event_id=second.event_id).body))
        assert (first.n, second.n) == (0, 1)
        assert record.thread == statement.Thread("registry:tool:a", 1, f"sha256:{first.leaf.hex()}")

    def test_threads_of_two_logs_do_not_meet(self) -> None:
        assert [append(a_log(), "registry:tool:a").n for _ in range(2)] == [0, 0]

    def test_says_more_about_its_request_when_told(self) -> None:
        log = a_log()
        written = append(log, "arq_1", request="arq_1", request_member={"status": "approved"})
        assert ledger.find(log, written.event_id)["predicate"]["request"] == {"id": "arq_1", "status": "approved"}

    @pytest.mark.races
    def test_writers_of_one_registry_history_wait_for_each_other(self) -> None:
        log = a_log()

        def write(_: int) -> None:
            try:
                for _ in range(10):
                    append(log, "registry:tool:a")
            finally:
                connection.close()

        with ThreadPoolExecutor(4) as pool:
            list(pool.map(write, range(4)))
        assert sorted(Record.objects.filter(log=log).values_list("n", flat=True)) == list(range(40))


class TestFind:
    def test_knows_nothing_of_another_log(self) -> None:
        (entry,) = decisions(a_log(), 1)
        assert ledger.find(a_log(), entry.event_id) is None


class TestHistory:
    def test_is_newest_first(self) -> None:
        log = a_log()
        for i in range(3):
            append(log, "registry:tool:a", detail={"i": i})
        found = ledger.history(log, "registry:tool:a", limit=2)
        assert [item["predicate"]["detail"]["i"] for item in found] == [2, 1]

    def test_tells_of_the_events_that_are_named_and_no_others(self) -> None:
        log = a_log()
        append(log, "registry:tool:a")
        assert len(ledger.history(log, "registry:tool:a", limit=2, events={Event.REGISTRY_CHANGED})) == 1
        assert ledger.history(log, "registry:tool:a", limit=2, events={Event.VOTE_CAST}) == []
