"""Arguments beside the records: kept once, encrypted, erasable."""

import pytest

from evidence import kept, keys
from evidence.models import KeptArguments
from tests.evidence.shared import COMMITMENT, NOW, a_log

ACTION = {"tool": "payments.refund", "agent": "support-bot"}
ARGUMENTS = {"order": "A-1001", "amount": "250.00"}


def keep(log: str, **more: object) -> None:
    kept.keep(
        log,
        **{"commitment": COMMITMENT, "action": ACTION, "arguments": ARGUMENTS, "salt": b"s" * 32, "now": NOW, **more},
    )


class TestRead:
    def test_refuses_a_row_moved_to_another_commitment(self) -> None:
        log, other = a_log(), "sha256:" + "d" * 64
        keep(log)
        KeptArguments.objects.filter(log=log).update(commitment=other)
        with pytest.raises(keys.CannotUnseal):
            kept.read(log, other)

    def test_knows_nothing_of_another_log(self) -> None:
        keep(a_log())
        assert kept.read(a_log(), COMMITMENT) is None

    def test_gives_back_what_was_kept(self) -> None:
        log = a_log()
        keep(log)
        assert kept.read(log, COMMITMENT) == kept.Kept(ACTION, ARGUMENTS, b"s" * 32)


class TestKeep:
    def test_keeps_the_first_when_asked_twice(self) -> None:
        log = a_log()
        keep(log)
        keep(log, arguments={"order": "other"})
        assert kept.read(log, COMMITMENT).arguments == ARGUMENTS

    def test_stores_no_argument_in_the_clear(self) -> None:
        log = a_log()
        keep(log)
        box = bytes(KeptArguments.objects.get(log=log).sealed_box)
        assert b"A-1001" not in box
        assert b"support-bot" not in box


class TestErase:
    def test_says_whether_there_was_something(self) -> None:
        log = a_log()
        keep(log)
        assert kept.erase(log, COMMITMENT) is True
        assert kept.erase(log, COMMITMENT) is False
        assert kept.read(log, COMMITMENT) is None
