"""What auditors read of their own tenant's evidence over HTTP, and what they carry away."""

from io import StringIO
from pathlib import Path

import pytest
from django.core.management import CommandError, call_command
from django.test import Client

from countersign.proof import base64text, checkpoint, dsse, merkle, pack, tlog_proof
from evidence import keys, seal, sink
from evidence.keys import Purpose
from tests.evidence.shared import append, decisions
from tests.evidence.tampering import tampering
from tests.worlds import World, world

pytestmark = pytest.mark.filterwarnings("ignore:No directory at")


@pytest.fixture
def ours(database: None) -> World:
    made = world()
    decisions(made.slug, 5, session="s-1")
    append(made.slug, "arq_1", request="arq_1")
    seal.seal_due(made.slug)
    return made


@pytest.fixture
def auditor(ours: World) -> Client:
    return Client(headers={"Authorization": f"Bearer {ours.person_key('ada', 'read')}"})


def opened(note: str) -> checkpoint.Checkpoint:
    return checkpoint.open_checkpoint(note, verifiers=keys.verifiers(Purpose.SEALER))


PATHS = [
    "/api/v1/records",
    "/api/v1/records/eva_1",
    "/api/v1/checkpoints/latest",
    "/api/v1/checkpoints/1",
    "/api/v1/proofs/inclusion?event_id=eva_1",
    "/api/v1/proofs/consistency?from=1",
]


@pytest.mark.parametrize("path", PATHS)
class TestAccess:
    def test_refuses_a_stranger(self, path: str) -> None:
        assert Client().get(path).status_code == 401

    def test_refuses_machines(self, ours: World, path: str) -> None:
        for key in (ours.pep_key, ours.agent_key):
            assert Client().get(path, headers={"Authorization": f"Bearer {key}"}).status_code == 403

    def test_refuses_members_who_are_no_auditors(self, ours: World, path: str) -> None:
        key = ours.person_key("erin", "read")
        assert Client().get(path, headers={"Authorization": f"Bearer {key}"}).status_code == 403

    def test_writes_nothing(self, auditor: Client, path: str) -> None:
        for method in (auditor.post, auditor.put, auditor.patch, auditor.delete):
            assert method(path).status_code in {403, 405}

    def test_serves_administrators_in_their_session_too(self, ours: World, path: str) -> None:
        client = Client()
        client.force_login(ours.dana.user)
        assert client.get(path).status_code in {200, 404}


class TestRecords:
    @pytest.mark.parametrize(
        "query", ["event=nonsense", "before=-1", "before=x", "limit=0", "limit=201", "before=9223372036854775808"]
    )
    def test_refuses_a_query_that_means_nothing(self, auditor: Client, query: str) -> None:
        assert auditor.get(f"/api/v1/records?{query}").status_code == 400

    def test_abuse_057_shows_nothing_of_another_tenant(self, ours: World, auditor: Client) -> None:
        other = world()
        (entry,) = decisions(other.slug, 1)
        seal.seal_due(other.slug)
        shown = auditor.get("/api/v1/records?limit=200").json()["records"]
        assert {record["statement"]["predicate"]["tenant"] for record in shown} == {ours.slug}
        assert auditor.get(f"/api/v1/records/{entry.event_id}").status_code == 404
        assert auditor.get(f"/api/v1/proofs/inclusion?event_id={entry.event_id}").status_code == 404

    def test_pages_through_all_newest_first(self, ours: World, auditor: Client) -> None:
        found, before = [], ""
        while True:
            page = auditor.get(f"/api/v1/records?limit=4{before}").json()
            found += [record["seq"] for record in page["records"]]
            if page["next"] is None:
                break
            before = f"&before={page['next']}"
        size = opened(seal.sink.latest(ours.slug)).size
        assert found == list(range(size))[::-1]

    @pytest.mark.parametrize(("query", "count"), [("session=s-1", 5), ("request=arq_1", 1), ("thread=arq_1", 1), ("session=s-2", 0), ("event=decision.made", 5), ("transaction=x", 0)])  # fmt: skip
    def test_are_narrowed(self, auditor: Client, query: str, count: int) -> None:
        assert len(auditor.get(f"/api/v1/records?{query}").json()["records"]) == count


class TestRecord:
    def test_carries_an_envelope_that_verifies(self, auditor: Client) -> None:
        shown = auditor.get("/api/v1/records?thread=arq_1").json()["records"][0]
        one = auditor.get(f"/api/v1/records/{shown['event_id']}").json()
        assert one == shown
        dsse.verify(one["envelope"], keys.verifiers(Purpose.SEALER), dsse.IN_TOTO)

    def test_that_waits_for_the_sealer_has_no_place_yet(self, ours: World, auditor: Client) -> None:
        (entry,) = decisions(ours.slug, 1)
        one = auditor.get(f"/api/v1/records/{entry.event_id}").json()
        assert (one["seq"], one["envelope"]) == (None, None)


class TestProofs:
    def test_a_record_stands_below_the_head(self, auditor: Client) -> None:
        record = auditor.get("/api/v1/records?thread=arq_1").json()["records"][0]
        response = auditor.get(f"/api/v1/proofs/inclusion?event_id={record['event_id']}")
        assert response["Content-Type"].startswith("text/plain")
        proof = tlog_proof.parse(response.content.decode())
        head = opened(proof.checkpoint)
        leaf = merkle.leaf_hash(base64text.decode(record["envelope"]["payload"]))
        merkle.verify_inclusion(index=proof.index, size=head.size, leaf=leaf, path=proof.path, root=head.root)

    def test_a_record_stands_not_below_an_older_head(self, ours: World, auditor: Client) -> None:
        size = opened(auditor.get("/api/v1/checkpoints/latest").content.decode()).size
        (entry,) = decisions(ours.slug, 1)
        seal.seal_due(ours.slug)
        assert auditor.get(f"/api/v1/proofs/inclusion?event_id={entry.event_id}&size={size}").status_code == 404

    def test_an_older_tree_is_the_beginning(self, ours: World, auditor: Client) -> None:
        before = opened(auditor.get("/api/v1/checkpoints/latest").content.decode())
        decisions(ours.slug, 3)
        seal.seal_due(ours.slug)
        shown = auditor.get(f"/api/v1/proofs/consistency?from={before.size}").json()
        old, new = opened(shown["from"]), opened(shown["to"])
        assert old == before
        path = [base64text.decode(node) for node in shown["path"]]
        merkle.verify_consistency(old=old.size, old_root=old.root, new=new.size, new_root=new.root, path=path)

    def test_of_checkpoints_that_are_not_there_are_not_found(self, auditor: Client) -> None:
        for path in ("checkpoints/9999", "proofs/consistency?from=9999", "proofs/consistency?from=1&to=9999"):
            assert auditor.get(f"/api/v1/{path}").status_code == 404


class TestExportEvidence:
    def run(self, *arguments: object) -> str:
        out = StringIO()
        call_command("export_evidence", *map(str, arguments), stdout=out)
        return out.getvalue()

    def test_refuses_what_selects_nothing(self, ours: World, tmp_path: Path) -> None:
        with pytest.raises(CommandError, match="no record"):
            self.run("--tenant", ours.slug, "--out", tmp_path / "pack", "--session", "nothing")

    def test_refuses_a_checkpoint_of_somebody_else(self, ours: World, tmp_path: Path) -> None:
        other = world()
        seal.seal_due(other.slug)
        (tmp_path / "held").write_text(sink.latest(other.slug))
        with pytest.raises(CommandError, match="is of log"):
            self.run("--tenant", ours.slug, "--out", tmp_path / "pack", "--against", tmp_path / "held")

    @pytest.mark.parametrize("side", ["--from", "--to"])
    def test_says_how_a_time_is_written(self, ours: World, tmp_path: Path, side: str) -> None:
        with pytest.raises(CommandError, match="ISO 8601 with a zone, such as 2026-11-21T10:00:00Z"):
            self.run("--tenant", ours.slug, "--out", tmp_path / "pack", side, "yesterday")

    def test_writes_a_pack_that_verifies(self, ours: World, tmp_path: Path) -> None:
        said = self.run("--tenant", ours.slug, "--out", tmp_path / "pack", "--from", "2020-01-01", "--to", "2099-01-01")
        assert "countersign verify" in said
        report = pack.verify(tmp_path / "pack", key=keys.signer(Purpose.SEALER).vkey)
        assert report.ok, report.failed
        assert [path.suffix for path in (tmp_path / "pack/policy").iterdir()] == [".yaml"]


class TestVerifyEvidence:
    def test_names_what_was_changed_and_fails(self, ours: World) -> None:
        with tampering() as cursor:
            cursor.execute(
                "UPDATE evidence_sealed SET signature = %s WHERE log = %s AND seq = 1", [b"x" * 64, ours.slug]
            )
        out = StringIO()
        with pytest.raises(CommandError, match="1 findings"):
            call_command("verify_evidence", "--tenant", ours.slug, stdout=out)
        assert f"✗ {ours.slug}: record 1" in out.getvalue()

    def test_is_content_with_a_sound_log(self, ours: World) -> None:
        call_command("verify_evidence", "--tenant", ours.slug, stdout=(out := StringIO()))
        assert out.getvalue().startswith(f"✓ {ours.slug}")
