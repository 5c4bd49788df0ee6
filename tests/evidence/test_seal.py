"""Journalled records get one place each, under one signed tree, whatever happens in between."""

import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import pytest
from django.db import connection, transaction

from countersign.proof import checkpoint, dsse, merkle
from evidence import horizon, journal, keys, seal, sink, tree
from evidence.keys import Purpose
from evidence.models import Checkpoint, Node, Record, Sealed
from tests.evidence.shared import a_decision, a_log, append, decisions
from tests.evidence.tampering import tampering


def assert_one_sound_tree(log: str) -> None:
    """Each journalled record has exactly one place, without gaps, and the newest head is over just these leaves."""
    records = dict(Record.objects.filter(log=log).values_list("id", "leaf"))
    places = list(Sealed.objects.filter(log=log).order_by("seq").values_list("record_id", "seq", "leaf"))
    assert [seq for _, seq, _ in places] == list(range(len(records)))
    assert {record: bytes(leaf) for record, _, leaf in places} == {key: bytes(leaf) for key, leaf in records.items()}
    head = Checkpoint.objects.filter(log=log).order_by("-size").first()
    assert head.size == len(records)
    signed = checkpoint.open_checkpoint(head.note, verifiers=keys.verifiers(Purpose.SEALER))
    assert (signed.origin, signed.size, signed.root) == (log, head.size, bytes(head.root))
    assert signed.root == merkle.root(bytes(leaf) for _, _, leaf in places)


def forget() -> None:
    """As a process that has just started."""
    seal._trees.clear()


class TestSealDue:
    def test_refuses_to_run_inside_a_transaction(self) -> None:
        log = a_log()
        decisions(log, 1)
        if connection.vendor == "postgresql":
            with pytest.raises(RuntimeError, match="durable"), transaction.atomic():
                seal.seal_due(log)

    def test_makes_no_checkpoint_without_growth(self) -> None:
        log = a_log()
        decisions(log, 2)
        assert [seal.seal_due(log), seal.seal_due(log)] == [2, 0]
        assert Checkpoint.objects.filter(log=log).count() == 1

    def test_signs_each_record_in_its_envelope(self) -> None:
        log = a_log()
        (entry,) = decisions(log, 1)
        seal.seal_due(log)
        signature = bytes(Sealed.objects.get(log=log).signature)
        keys.verifiers(Purpose.SEALER)[0].verify(signature, dsse.pae(entry.body, dsse.IN_TOTO))

    def test_keeps_the_order_of_a_thread(self) -> None:
        log = a_log()
        for _ in range(5):
            append(log, "registry:tool:a")
        seal.seal_due(log)
        assert list(Sealed.objects.filter(log=log).order_by("seq").values_list("record__n", flat=True)) == [
            0,
            1,
            2,
            3,
            4,
        ]

    def test_publishes_outside_of_the_database(self) -> None:
        log = a_log()
        decisions(log, 3)
        seal.seal_due(log)
        assert sink.latest(log) == Checkpoint.objects.get(log=log).note

    @pytest.mark.parametrize("sizes", [(1, 1, 1), (255, 1, 1), (256, 300), (513,), (2001,)])
    def test_grows_one_tree_over_many_starts(self, sizes: tuple[int, ...]) -> None:
        log = a_log()
        for size in sizes:
            decisions(log, size)
            seal.seal_due(log)
            forget()
        assert_one_sound_tree(log)
        assert Node.objects.filter(log=log, level=1).count() == sum(sizes) // 256

    def test_abuse_128_a_gap_in_ids_after_a_rollback_is_none_in_the_log(self) -> None:
        log = a_log()
        decisions(log, 2)
        with pytest.raises(ZeroDivisionError), transaction.atomic(), connection.cursor() as cursor:
            journal.insert_many(cursor, [a_decision(log) for _ in range(3)])
            raise ZeroDivisionError
        decisions(log, 2)
        assert seal.seal_due(log) == 4
        assert_one_sound_tree(log)

    @pytest.mark.races
    def test_abuse_121_two_sealers_at_once_never_fork(self) -> None:
        log, stop = a_log(), threading.Event()

        def run(work: Callable[[], object]) -> None:
            try:
                while not stop.is_set():
                    work()
            finally:
                connection.close()

        with ThreadPoolExecutor(4) as pool:
            sealers = [pool.submit(run, lambda: seal.seal(log, horizon.unsealed_of(log))) for _ in range(3)]
            for _ in range(30):
                decisions(log, 7)
            stop.set()
            for sealer in sealers:
                sealer.result()
        seal.seal_due(log)
        assert_one_sound_tree(log)

    def test_abuse_121_a_sealer_that_holds_a_stale_tree_grows_the_stored_one(self) -> None:
        log = a_log()
        decisions(log, 3)
        seal.seal_due(log)
        stale = dict(seal._trees)
        decisions(log, 3)
        seal.seal_due(log)
        seal._trees.update(stale)
        decisions(log, 3)
        assert seal.seal(log, horizon.unsealed_of(log)) == 3  # at once, not after the database refused the fork
        assert_one_sound_tree(log)

    def test_abuse_121_the_database_refuses_a_place_given_twice(self) -> None:
        log = a_log()
        decisions(log, 1)
        seal.seal_due(log)
        (late,) = decisions(log, 1)
        record = Record.objects.get(event_id=late.event_id)
        growth = seal._grow(log, [record.id], now=record.recorded_at, rest=seal._hurry)
        seal.seal_due(log)
        with pytest.raises(seal.IntegrityError), transaction.atomic(), connection.cursor() as cursor:
            seal._write(cursor, growth)


class TestCrash:
    """A crash between any two steps of sealing loses nothing and leaves one tree."""

    @pytest.mark.parametrize("step", ["_grow", "_write", "_publish"])
    @pytest.mark.parametrize("after", [False, True])
    def test_between_two_steps(self, monkeypatch: pytest.MonkeyPatch, step: str, after: bool) -> None:
        log = a_log()
        decisions(log, 300)
        seal.seal_due(log)
        decisions(log, 300)
        real = getattr(seal, step)

        def dies(*args: object, **more: object) -> object:
            if after:
                real(*args, **more)
            raise KeyboardInterrupt

        with monkeypatch.context() as patch:
            patch.setattr(seal, step, dies)
            with pytest.raises(KeyboardInterrupt):
                seal.seal_due(log)
        forget()
        seal.publish_missing()
        decisions(log, 5)
        seal.seal_due(log)
        assert_one_sound_tree(log)
        assert sink.latest(log) == Checkpoint.objects.filter(log=log).order_by("-size").first().note

    @pytest.mark.parametrize("table", ["_SEALED", "_NODES", "_CHECKPOINTS"])
    def test_between_two_tables(self, monkeypatch: pytest.MonkeyPatch, table: str) -> None:
        log = a_log()
        decisions(log, 300)

        class Dies:
            def insert(self, *args: object) -> None:
                raise KeyboardInterrupt

        with monkeypatch.context() as patch:
            patch.setattr(seal, table, Dies())
            with pytest.raises(KeyboardInterrupt):
                seal.seal_due(log)
        assert not Sealed.objects.filter(log=log).exists()
        seal.seal_due(log)
        assert_one_sound_tree(log)


class TestPublishMissing:
    def test_brings_out_a_checkpoint_that_a_crash_kept_in(self) -> None:
        log = a_log()
        decisions(log, 1)
        seal.seal_due(log)
        (sink.directory(log) / "latest").unlink()
        seal.publish_missing()
        assert sink.latest(log) == Checkpoint.objects.get(log=log).note


class TestBrokenLog:
    """A sealer that starts on a changed database signs nothing on top of it."""

    def refuses(self, log: str, *, saying: str) -> None:
        forget()
        decisions(log, 1)
        before = Checkpoint.objects.filter(log=log).count()
        with pytest.raises(seal.BrokenLog, match=saying):
            seal.seal_due(log)
        assert Checkpoint.objects.filter(log=log).count() == before

    def a_sealed_log(self) -> str:
        log = a_log()
        for _ in range(2):
            decisions(log, 3)
            seal.seal_due(log)
        return log

    def test_abuse_119_the_last_places_deleted(self) -> None:
        log = self.a_sealed_log()
        with tampering() as cursor:
            cursor.execute("DELETE FROM evidence_sealed WHERE log = %s AND seq >= 4", [log])
        self.refuses(log, saying="newest checkpoint is not that of the 4")

    def test_abuse_119_the_last_places_deleted_with_their_checkpoint(self) -> None:
        log = self.a_sealed_log()
        with tampering() as cursor:
            cursor.execute("DELETE FROM evidence_sealed WHERE log = %s AND seq >= 3", [log])
            cursor.execute("DELETE FROM evidence_checkpoint WHERE log = %s AND size > 3", [log])
        self.refuses(log, saying="6 records were published, 3 are in the database")

    def test_abuse_119_everything_deleted(self) -> None:
        log = self.a_sealed_log()
        with tampering() as cursor:
            for table in ("sealed", "checkpoint", "record"):
                cursor.execute(f"DELETE FROM evidence_{table} WHERE log = %s", [log])
        self.refuses(log, saying="6 records were published, 0 are in the database")

    def test_abuse_122_places_swapped(self) -> None:
        log = self.a_sealed_log()
        with tampering() as cursor:
            for old, new in ((1, 100), (2, 1), (100, 2)):
                cursor.execute("UPDATE evidence_sealed SET seq = %s WHERE log = %s AND seq = %s", [new, log, old])
        self.refuses(log, saying="newest checkpoint is not that of the 6")

    def test_abuse_122_places_swapped_under_a_checkpoint_signed_anew(self) -> None:
        """By someone who holds the sealer's key, but not what was published outside."""
        log = self.a_sealed_log()
        with tampering() as cursor:
            for old, new in ((1, 100), (2, 1), (100, 2)):
                cursor.execute("UPDATE evidence_sealed SET seq = %s WHERE log = %s AND seq = %s", [new, log, old])
            root = tree.frontier(log, 6).root()
            cursor.execute("UPDATE evidence_checkpoint SET root = %s WHERE log = %s AND size = 6", [root, log])
        self.refuses(log, saying="first 6 records are not those that were published")

    def test_a_record_changed_before_it_was_sealed(self) -> None:
        log = a_log()
        decisions(log, 1)
        other = a_decision(log)
        with tampering() as cursor:
            cursor.execute("UPDATE evidence_record SET body = %s WHERE log = %s", [other.body, log])
        self.refuses(log, saying="not the one that was journalled")

    def test_a_checkpoint_outside_that_is_not_ours(self) -> None:
        log = self.a_sealed_log()
        latest = sink.directory(log) / "latest"
        latest.write_text(latest.read_text().replace("\n6\n", "\n5\n"))
        self.refuses(log, saying="does not verify")
