"""No row is overlooked because it became visible late."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta

import pytest
from django.db import connection
from django.db.backends.base.base import BaseDatabaseWrapper
from django.test.utils import CaptureQueriesContext

from evidence import horizon, journal, seal
from evidence.horizon import Horizon
from evidence.models import Record
from evidence.sealer import Sealer
from tests.evidence.shared import NOW, a_decision, a_log, decisions
from tests.evidence.test_seal import assert_one_sound_tree


@contextmanager
def another_writer() -> Iterator[BaseDatabaseWrapper]:
    """A connection of its own, inside a transaction that ends when the test says so."""
    other = connection.copy()
    other.set_autocommit(False)
    try:
        yield other
    finally:
        other.close()


def rounds(sealer: Sealer, count: int, *, start: float = 0.0) -> None:
    for i in range(count):
        sealer.round(at=start + i)


@pytest.fixture
def sealer() -> Sealer:
    return Sealer(threading.Event())


class TestDue:
    @pytest.mark.postgres
    def test_finds_a_row_that_commits_after_many_later_ones(self, sealer: Sealer) -> None:
        """The slow writer holds an id below all that are sealed while it is open; none is lost, none sealed twice."""
        slow, fast = a_log(), a_log()
        with another_writer() as other:
            with other.cursor() as cursor:
                journal.insert_many(cursor, [a_decision(slow), a_decision(fast)])
            for i in range(6):
                decisions(fast, 5)
                rounds(sealer, 3, start=10.0 * i)
            other.commit()
        rounds(sealer, 2, start=100)
        assert_one_sound_tree(slow)
        assert_one_sound_tree(fast)
        assert Record.objects.filter(log=fast).count() == 31

    @pytest.mark.postgres
    def test_does_not_move_past_an_id_that_somebody_still_holds(self) -> None:
        log, memory = a_log(), Horizon()
        with another_writer() as other:
            with other.cursor() as cursor:
                journal.insert_many(cursor, [a_decision(log)])
                cursor.execute("SELECT max(id) FROM evidence_record")
                (held,) = cursor.fetchone()
            decisions(log, 3)
            seal.seal_due(log)
            for _ in range(5):
                memory.due()
                memory.all_sealed()
            assert memory._sealed_to < held
            other.rollback()
        for _ in range(2):
            memory.due()
            memory.all_sealed()
        assert memory._sealed_to >= held

    def test_starts_again_behind_what_is_sealed(self, sealer: Sealer) -> None:
        log = a_log()
        decisions(log, 10)
        rounds(sealer, 3)
        assert sealer._horizon._sealed_to >= max(Record.objects.filter(log=log).values_list("id", flat=True))

    def test_goes_back_for_an_old_row_that_a_sealer_before_left(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(horizon, "_WINDOW", 2)
        monkeypatch.setattr(horizon, "_SWEEP", 3)
        old, new = a_log(), a_log()
        decisions(old, 1)
        decisions(new, 12)
        memory, found = Horizon(), {}
        assert old not in memory.due()
        while memory._swept_to and old not in found:
            found = memory.due()
        assert old in found

    def test_does_not_skip_the_rest_when_there_is_more_than_one_answer_holds(
        self, monkeypatch: pytest.MonkeyPatch, sealer: Sealer
    ) -> None:
        monkeypatch.setattr(horizon, "AT_ONCE", 5)
        log = a_log()
        rounds(sealer, 20)
        decisions(log, 23)
        rounds(sealer, 40, start=100)
        assert_one_sound_tree(log)

    def test_asks_little_when_there_is_nothing_to_do(self, sealer: Sealer) -> None:
        decisions(a_log(), 3)
        rounds(sealer, 3)
        with CaptureQueriesContext(connection) as queries:
            sealer.round(at=4)
        assert len(queries) <= 4


class TestLogsBehind:
    def test_names_the_age_of_the_oldest(self) -> None:
        log = a_log()
        decisions(log, 2)
        assert horizon.logs_behind(NOW + timedelta(seconds=9))[log] == timedelta(seconds=9)

    def test_is_silent_about_a_log_that_is_sealed(self) -> None:
        log = a_log()
        decisions(log, 2)
        seal.seal_due(log)
        assert log not in horizon.logs_behind(NOW)
