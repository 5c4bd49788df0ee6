"""Whatever a superuser changes is named."""

from datetime import timedelta

import pytest

from evidence import audit, seal, sink, tree
from tests.evidence.shared import NOW, a_decision, a_log, decisions
from tests.evidence.tampering import tampering


@pytest.fixture
def log() -> str:
    """Six records under two checkpoints."""
    name = a_log()
    for _ in range(2):
        decisions(name, 3)
        seal.seal_due(name)
    return name


def findings(log: str) -> list[str]:
    seal._trees.clear()
    return [finding.text for finding in audit.audit(log, now=NOW)]


class TestAudit:
    def test_finds_nothing_in_a_sound_log(self) -> None:
        log = a_log()
        for size in (1, 254, 1, 1, 300):
            decisions(log, size)
            seal.seal_due(log)
        assert findings(log) == []

    def test_abuse_119_the_last_rows_deleted(self, log: str) -> None:
        with tampering() as cursor:
            cursor.execute(
                "DELETE FROM evidence_record WHERE id IN"
                " (SELECT record_id FROM evidence_sealed WHERE log = %s AND seq >= 4)", [log]
            )  # fmt: skip
            cursor.execute("DELETE FROM evidence_sealed WHERE log = %s AND seq >= 4", [log])
            cursor.execute("DELETE FROM evidence_checkpoint WHERE log = %s AND size = 6", [log])
        assert (
            "record 4 to 5 is missing: the checkpoint outside of the database counts 6, the database has 4"
            in findings(log)
        )

    def test_abuse_119_an_old_dump_restored(self, log: str) -> None:
        with tampering() as cursor:
            cursor.execute("DELETE FROM evidence_sealed WHERE log = %s AND seq >= 3", [log])
            cursor.execute("DELETE FROM evidence_checkpoint WHERE log = %s AND size = 6", [log])
        assert any(
            "the checkpoint outside of the database counts 6, the database has 3" in text for text in findings(log)
        )

    def test_abuse_122_places_swapped(self, log: str) -> None:
        with tampering() as cursor:
            for old, new in ((1, 100), (2, 1), (100, 2)):
                cursor.execute("UPDATE evidence_sealed SET seq = %s WHERE log = %s AND seq = %s", [new, log, old])
        (text,) = findings(log)
        assert "the first 3 records are not those under the checkpoint" in text
        assert "one from 0 to 2 was moved or replaced" in text

    def test_abuse_122_places_swapped_and_signed_anew(self, log: str) -> None:
        """By someone with the database and the sealer's key; the checkpoint kept outside is what they do not have."""
        with tampering() as cursor:
            for old, new in ((4, 100), (5, 4), (100, 5)):
                cursor.execute("UPDATE evidence_sealed SET seq = %s WHERE log = %s AND seq = %s", [new, log, old])
            root = tree.frontier(log, 6).root()
            head = seal.Checkpoint(origin=log, size=6, root=root)
            note = seal.checkpoint.sign(head, signers=[seal.keys.signer(seal.Purpose.SEALER)])
            cursor.execute(
                "UPDATE evidence_checkpoint SET root = %s, note = %s WHERE log = %s AND size = 6", [root, note, log]
            )
        (text,) = findings(log)
        assert "the first 6 records are not those under the checkpoint outside of the database" in text

    @pytest.mark.parametrize(
        ("change", "words"),
        [
            ("UPDATE evidence_record SET body = %s WHERE log = %s AND id = %s", "not the record that was sealed here"),
            ("UPDATE evidence_record SET leaf = %s WHERE log = %s AND id = %s", "not the record that was sealed here"),
        ],
    )
    def test_a_record_changed(self, log: str, change: str, words: str) -> None:
        with tampering() as cursor:
            cursor.execute("SELECT record_id FROM evidence_sealed WHERE log = %s AND seq = 2", [log])
            (record,) = cursor.fetchone()
            cursor.execute(change, [a_decision(log).body, log, record])
        (text,) = findings(log)
        assert text.startswith("record 2: eva_")
        assert words in text

    def test_a_column_changed_to_hide_a_record_from_a_selection(self, log: str) -> None:
        with tampering() as cursor:
            cursor.execute("SELECT record_id FROM evidence_sealed WHERE log = %s AND seq = 2", [log])
            cursor.execute("UPDATE evidence_record SET thread = 'elsewhere' WHERE id = %s", cursor.fetchone())
        assert ["its columns say something else than its bytes" in text for text in findings(log)] == [True]

    def test_a_record_deleted_from_the_middle(self, log: str) -> None:
        with tampering() as cursor:
            cursor.execute("SELECT record_id FROM evidence_sealed WHERE log = %s AND seq = 2", [log])
            cursor.execute("DELETE FROM evidence_record WHERE id = %s", cursor.fetchone())
        assert findings(log) == ["record 2: it was deleted"]

    def test_a_place_deleted_from_the_middle(self, log: str) -> None:
        with tampering() as cursor:
            cursor.execute("DELETE FROM evidence_sealed WHERE log = %s AND seq = 2", [log])
        assert "record 2 is missing from the tree" in findings(log)

    def test_a_signature_changed(self, log: str) -> None:
        with tampering() as cursor:
            cursor.execute("UPDATE evidence_sealed SET signature = %s WHERE log = %s AND seq = 2", [b"s" * 64, log])
        (text,) = findings(log)
        assert "its signature is by none of the sealer's keys" in text

    def test_a_checkpoint_changed(self, log: str) -> None:
        with tampering() as cursor:
            cursor.execute("UPDATE evidence_checkpoint SET root = %s WHERE log = %s AND size = 3", [b"r" * 32, log])
        assert findings(log) == ["the checkpoint of size 3 in the database is not one that was signed"]

    def test_a_stored_node_changed(self) -> None:
        log = a_log()
        decisions(log, 256)
        seal.seal_due(log)
        with tampering() as cursor:
            cursor.execute("UPDATE evidence_node SET hash = %s WHERE log = %s", [b"n" * 32, log])
        assert findings(log) == ["stored node 0 of level 1 is missing or not over its records"]

    def test_a_file_outside_changed(self, log: str) -> None:
        latest = sink.directory(log) / "latest"
        latest.write_text(latest.read_text().replace("\n6\n", "\n5\n"))
        assert findings(log) == ["a checkpoint outside of the database does not verify"]

    def test_a_record_that_waits_longer_than_promised(self) -> None:
        log = a_log()
        decisions(log, 1)
        assert list(audit.audit(log, now=NOW + timedelta(seconds=10))) == []
        (finding,) = audit.audit(log, now=NOW + timedelta(seconds=11))
        assert "waits unsealed since 2026-11-20 10:00:00" in finding.text
