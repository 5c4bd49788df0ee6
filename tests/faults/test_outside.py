"""The last rows of a log are deleted by somebody who may do anything to the database, but not to what has left it."""

from pathlib import Path

import psycopg
import pytest

from tests.journeys.console import CommandFailed
from tests.journeys.server import Place, Server, until
from tests.journeys.speakers import Pep, lookup
from tests.journeys.world import world

TABLES = ("evidence_record", "evidence_sealed", "evidence_node", "evidence_checkpoint")


def delete_last(place: Place, log: str, keep: int) -> None:
    """As a superuser would: triggers off, records, places, nodes and checkpoints beyond `keep` away, triggers on."""
    assert place.owner_url
    with psycopg.connect(place.owner_url) as connection:
        for table in TABLES:
            connection.execute(f"ALTER TABLE {table} DISABLE TRIGGER insert_only")
        gone = connection.execute(
            "DELETE FROM evidence_sealed WHERE log = %s AND seq >= %s RETURNING record_id", (log, keep)
        ).fetchall()
        connection.execute("DELETE FROM evidence_record WHERE id = ANY(%s)", ([row[0] for row in gone],))
        connection.execute("DELETE FROM evidence_checkpoint WHERE log = %s AND size > %s", (log, keep))
        connection.execute("DELETE FROM evidence_node WHERE log = %s AND (index + 1) << level > %s", (log, keep))
        for table in TABLES:
            connection.execute(f"ALTER TABLE {table} ENABLE ALWAYS TRIGGER insert_only")


class TestOutsideCheckpoint:
    def test_abuse_119_the_last_rows_deleted_is_named_and_the_log_stops(self, place: Place, tmp_path: Path):
        with Server(place) as server:
            acme = world(place, server.url)
            kept = Path(place.environment["COUNTERSIGN_CHECKPOINTS_DIR"]) / acme.slug / "latest"
            auditor = acme.reader("ada")
            sizes = []
            for _ in range(3):
                last = acme.pep.ask(lookup(transaction="case-1"))["evaluation_id"]
                until(lambda last=last: auditor.get(f"/api/v1/records/{last}").json()["seq"] is not None)
                until(lambda: kept.exists() and (tmp_path / "held").write_text(kept.read_text()))
                sizes.append(int((tmp_path / "held").read_text().splitlines()[1]))
        assert "every record is as it was" in place.manage("verify_evidence", "--tenant", acme.slug)

        delete_last(place, acme.slug, sizes[0])
        with pytest.raises(CommandFailed, match="checkpoint"):
            place.manage("verify_evidence", "--tenant", acme.slug)
        for against in ((), ("--against", str(tmp_path / "held"))):
            with pytest.raises(CommandFailed, match="No pack was written"):
                acme.export(tmp_path / "pack", "--transaction", "case-1", *against)
        published = kept.read_text()
        with Server(place) as again:
            Pep(again.url, acme.key).ask(lookup())
            until(lambda: f"log {acme.slug}" in again.log and "sealing stopped" in again.log, seconds=20)
            assert kept.read_text() == published
