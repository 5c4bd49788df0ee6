"""The loop: everything gets sealed, nothing stops it for good."""

import threading
import time

import pytest
from django.db import connection

from evidence import seal, sink
from evidence import sealer as looping
from evidence.models import Checkpoint, Sealed
from evidence.sealer import Sealer
from tests.evidence.shared import a_log, decisions
from tests.evidence.tampering import tampering
from tests.evidence.test_seal import assert_one_sound_tree


@pytest.fixture
def sealer() -> Sealer:
    return Sealer(threading.Event())


class TestRound:
    def test_a_broken_log_does_not_hold_up_the_others(self, sealer: Sealer, caplog: pytest.LogCaptureFixture) -> None:
        broken, sound = a_log(), a_log()
        decisions(broken, 3)
        seal.seal_due(broken)
        seal._trees.clear()
        with tampering() as cursor:
            cursor.execute("DELETE FROM evidence_sealed WHERE log = %s AND seq = 2", [broken])
        decisions(broken, 1)
        for at in (0, 10, 100):
            decisions(sound, 2)
            sealer.round(at=at)
        assert_one_sound_tree(sound)
        assert sealer._horizon._sealed_to >= max(Sealed.objects.filter(log=sound).values_list("record_id", flat=True))
        told = [record for record in caplog.records if broken in record.message]
        assert [record.levelname for record in told] == ["CRITICAL"]
        with tampering() as cursor:  # so that later tests' sealers have nothing to say about it
            for table in ("sealed", "checkpoint", "record"):
                cursor.execute(f"DELETE FROM evidence_{table} WHERE log = %s", [broken])

    def test_a_log_that_is_whole_again_is_taken_up_where_it_was_left(
        self, sealer: Sealer, caplog: pytest.LogCaptureFixture
    ) -> None:
        log, other = a_log(), a_log()
        decisions(log, 3)
        sealer.round(at=0)
        seal._trees.clear()
        latest = sink.directory(log) / "latest"
        kept = latest.read_text()
        latest.write_text("rubbish")
        decisions(log, 3)
        for at in (10, 20):
            decisions(other, 1)
            sealer.round(at=at)
        assert Sealed.objects.filter(log=log).count() == 3
        latest.write_text(kept)
        sealer.round(at=100)
        assert_one_sound_tree(log)
        assert_one_sound_tree(other)

    def test_leaves_time_between_two_checkpoints_of_a_log(self, sealer: Sealer) -> None:
        log = a_log()
        for tenth in range(20):
            decisions(log, 1)
            sealer.round(at=tenth / 10)
        assert Checkpoint.objects.filter(log=log).count() == 3

    def test_a_sink_that_is_away_stops_no_sealing(
        self, sealer: Sealer, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
    ) -> None:
        log = a_log()
        decisions(log, 1)
        sealer.round(at=0)
        away = sink.directory(log).rename(sink.directory(f"{log}-away"))
        sink.directory(log).write_text("a file where the directory should be")
        decisions(log, 1)
        sealer.round(at=10)
        assert_one_sound_tree(log)
        assert f"{log} did not reach the sink" in caplog.text
        sink.directory(log).unlink()
        away.rename(sink.directory(log))
        sealer.round(at=100)
        assert sink.latest(log) == Checkpoint.objects.get(log=log, size=2).note


class TestRun:
    def test_seals_in_its_own_thread_until_told_to_stop(self) -> None:
        log, stop = a_log(), threading.Event()
        thread = Sealer(stop)
        thread.start()
        decisions(log, 5)
        deadline = time.monotonic() + 30
        while Sealed.objects.filter(log=log).count() < 5 and time.monotonic() < deadline:
            time.sleep(0.05)
        stop.set()
        thread.join(30)
        assert not thread.is_alive()
        assert_one_sound_tree(log)

    @pytest.mark.postgres
    @pytest.mark.filterwarnings("error")
    def test_goes_on_after_its_connection_was_cut(self, caplog: pytest.LogCaptureFixture) -> None:
        log, stop = a_log(), threading.Event()
        thread = Sealer(stop)
        thread.start()
        with connection.cursor() as cursor:
            cursor.execute(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
                " WHERE datname = current_database() AND pid <> pg_backend_pid()"
            )
        decisions(log, 5)
        deadline = time.monotonic() + 30
        while Sealed.objects.filter(log=log).count() < 5 and time.monotonic() < deadline:
            time.sleep(0.05)
        stop.set()
        thread.join(30)
        assert_one_sound_tree(log)


class TestRest:
    """What `seal` calls between a few signatures and the next."""

    @pytest.fixture
    def rested(self, monkeypatch: pytest.MonkeyPatch) -> list[float]:
        naps: list[float] = []
        monkeypatch.setattr("evidence.sealer.time.sleep", naps.append)
        return naps

    def test_comes_between_the_signatures_of_a_round_with_much_to_do(self, sealer: Sealer, rested: list[float]) -> None:
        log = a_log()
        decisions(log, 100)
        sealer.round(at=0)
        assert_one_sound_tree(log)
        assert len(rested) >= 3
        assert 0 < sum(rested) <= looping._RESTING

    def test_ends_where_being_in_time_comes_first(
        self, sealer: Sealer, rested: list[float], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(looping, "_RESTING", 0.0)
        log = a_log()
        decisions(log, 100)
        sealer.round(at=0)
        assert_one_sound_tree(log)
        assert rested == []
