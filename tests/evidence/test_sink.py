"""What lies outside of the database only ever grows, and says so when it is contradicted."""

from datetime import timedelta

import pytest

from countersign.proof import checkpoint
from countersign.proof.checkpoint import Checkpoint
from evidence import keys, sink
from evidence.keys import Purpose
from tests.evidence.shared import NOW, a_log


def a_note(log: str, size: int, root: bytes = b"r" * 32) -> str:
    return checkpoint.sign(Checkpoint(log, size, root), signers=[keys.signer(Purpose.SEALER)])


class TestWrite:
    def test_refuses_a_second_tree_of_the_same_size(self) -> None:
        log = a_log()
        sink.write(log, a_note(log, 5), made_at=NOW)
        with pytest.raises(sink.Contradiction, match="two trees of 5 records"):
            sink.write(log, a_note(log, 5, b"x" * 32), made_at=NOW)

    def test_refuses_to_follow_what_is_no_checkpoint(self) -> None:
        log = a_log()
        sink.write(log, a_note(log, 5), made_at=NOW)
        (sink.directory(log) / "latest").write_text("5\n")
        with pytest.raises(sink.Contradiction):
            sink.write(log, a_note(log, 6), made_at=NOW)

    @pytest.mark.parametrize("log", ["", ".", "..", "../acme", "a/b", ".hidden"])
    def test_refuses_a_log_that_is_no_file_name(self, log: str) -> None:
        with pytest.raises(sink.NoSuchLog):
            sink.write(log, a_note("x", 5), made_at=NOW)

    def test_does_not_go_back(self) -> None:
        log = a_log()
        sink.write(log, a_note(log, 7), made_at=NOW)
        sink.write(log, a_note(log, 5), made_at=NOW)
        assert sink.latest(log) == a_note(log, 7)

    def test_keeps_one_a_minute_for_good(self) -> None:
        log = a_log()
        for size, seconds in ((1, 0), (2, 59), (3, 60), (4, 61)):
            sink.write(log, a_note(log, size), made_at=NOW + timedelta(seconds=seconds))
        kept = sorted(path.name for path in sink.directory(log).iterdir() if not path.name.startswith("."))
        assert kept == ["1", "3", "latest"]
        assert (sink.directory(log) / "3").read_text() == a_note(log, 3)
        assert sink.latest(log) == a_note(log, 4)
