"""A pack of real rows, read by the stranger's verifier."""

import subprocess
from datetime import timedelta
from pathlib import Path

import pytest

from countersign.proof import base64text, canonical, digests, dsse, pack
from countersign.proof.events import Event
from evidence import kept, keys, packs, seal, sink
from evidence.keys import Purpose
from evidence.ledger import Actor
from evidence.models import KeptArguments, Record
from evidence.packs import Selection
from tests.evidence.shared import NOW, a_log, append, decisions
from tests.evidence.tampering import tampering

ROOT = Actor("command", "root")
POLICY = b"version: 1\nname: acme\n"


def export(log: str, out: Path, **more: object) -> packs.Exported:
    selection = Selection(**{key: more.pop(key) for key in list(more) if key in Selection.__dataclass_fields__})
    return packs.export(log, out, selection=selection, policies=more.pop("policies", {}), actor=ROOT, now=NOW, **more)


def failure(path: Path, **more: str | None) -> str:
    report = pack.verify(path, **more)
    return "" if report.ok else f"{report.failed.name}: {report.failed.says}"


@pytest.fixture
def log() -> str:
    """Three plain decisions, a case of three steps about a request, and noise around it."""
    name = a_log()
    decisions(name, 3, session="s-1", transaction="case-1")
    for step in range(3):
        append(name, "arq_1", request="arq_1", detail={"step": step, "policy": digests.sha256(POLICY)})
        decisions(name, 1)
    seal.seal_due(name)
    return name


class TestExport:
    def test_refuses_to_write_over_something(self, log: str, tmp_path: Path) -> None:
        with pytest.raises(FileExistsError):
            export(log, tmp_path)
        assert not Record.objects.filter(log=log, event=Event.EXPORT_MADE.value).exists()

    @pytest.mark.parametrize(
        "selection", [{"request": "arq_9"}, {"session": "s-2"}, {"since": NOW + timedelta(hours=1)}]
    )
    def test_refuses_an_empty_selection(self, log: str, tmp_path: Path, selection: dict[str, object]) -> None:
        with pytest.raises(packs.NothingSelected):
            export(log, tmp_path / "pack", **selection)

    def test_refuses_a_log_without_records(self, tmp_path: Path) -> None:
        with pytest.raises(packs.NothingSelected, match="empty"):
            export(a_log(), tmp_path / "pack")

    @pytest.mark.parametrize(
        ("selection", "count"),
        [
            ({"request": "arq_1"}, 3),
            ({"session": "s-1"}, 3),
            ({"transaction": "case-1"}, 3),
            ({}, 9),
            ({"since": NOW}, 9),
        ],
    )
    def test_verifies_offline(self, log: str, tmp_path: Path, selection: dict[str, object], count: int) -> None:
        out = tmp_path / "pack.tar.gz"
        assert export(log, out, **selection).records == count
        key = keys.signer(Purpose.SEALER).vkey
        assert failure(out, key=key, against=sink.kept(log, newest=1)[0]) == ""

    def test_seals_what_it_exports(self, tmp_path: Path) -> None:
        log = a_log()
        decisions(log, 300, session="s-1")
        assert export(log, tmp_path / "pack", session="s-1").records == 300
        assert failure(tmp_path / "pack") == ""

    def test_brings_the_whole_thread_of_a_record_that_an_id_finds(self, tmp_path: Path) -> None:
        log = a_log()
        for step, session in enumerate(["", "s-7", ""]):
            append(log, "case", session=session, detail={"step": step})
        assert export(log, tmp_path / "pack", session="s-7").records == 3
        assert failure(tmp_path / "pack") == ""

    def test_abuse_149_a_step_deleted_from_the_database_is_missed_by_the_reader(self, log: str, tmp_path: Path) -> None:
        with tampering() as cursor:
            cursor.execute("DELETE FROM evidence_record WHERE log = %s AND thread = 'arq_1' AND n = 1", [log])
        export(log, tmp_path / "pack", request="arq_1")
        assert failure(tmp_path / "pack").startswith("threads: thread arq_1: step 1 is missing")

    def test_is_proven_against_a_checkpoint_that_the_reader_holds(self, tmp_path: Path) -> None:
        log = a_log()
        for _ in range(4):
            decisions(log, 5, session="s-1")
            seal.seal_due(log)
            held = sink.latest(log)
            decisions(log, 5)
        export(log, tmp_path / "without", session="s-1", held=[])
        export(log, tmp_path / "with", session="s-1", held=[held])
        assert failure(tmp_path / "with", against=held) == ""

    def test_of_a_log_at_rest_fits_the_newest_checkpoint_there_is(self, log: str, tmp_path: Path) -> None:
        made = export(log, tmp_path / "pack", session="s-1")
        seal.seal_due(log)
        assert (made.records, made.size) == (3, 10)
        assert failure(tmp_path / "pack", against=sink.latest(log)) == ""

    def test_records_nothing_if_a_checkpoint_held_by_the_reader_is_not_ours(self, log: str, tmp_path: Path) -> None:
        with pytest.raises(packs.NotOurs):
            export(log, tmp_path / "pack", session="s-1", held=["nonsense"])
        assert not Record.objects.filter(log=log, event=Event.EXPORT_MADE.value).exists()

    def test_abuse_123_refuses_to_be_held_against_the_checkpoint_of_another_log(self, log: str, tmp_path: Path) -> None:
        """It is signed by the very same key."""
        other = a_log()
        decisions(other, 2)
        seal.seal_due(other)
        with pytest.raises(packs.NotOurs, match=other):
            export(log, tmp_path / "pack", session="s-1", held=[sink.latest(other)])

    def test_is_recorded(self, log: str, tmp_path: Path) -> None:
        made = export(log, tmp_path / "pack", request="arq_1")
        record = canonical.loads(bytes(Record.objects.get(event_id=made.event_id).body))["predicate"]
        assert record["event"] == "export.made"
        assert record["actor"] == {"type": "command", "id": "root", "auth": {}}
        assert record["detail"] == {"scope": {"request": "arq_1"}, "records": 3, "size": 9}

    def test_carries_only_policies_that_its_records_name(self, log: str, tmp_path: Path) -> None:
        sources = {digests.sha256(text): text for text in (POLICY, b"another\n")}
        export(log, tmp_path / "pack", request="arq_1", policies=sources)
        assert [path.read_bytes() for path in (tmp_path / "pack/policy").iterdir()] == [POLICY]
        assert failure(tmp_path / "pack") == ""

    def test_says_how_the_store_was_protected(self, log: str, tmp_path: Path) -> None:
        export(log, tmp_path / "pack", request="arq_1")
        about = canonical.loads((tmp_path / "pack/pack.json").read_bytes())
        assert about["protection"] == "tamper-evident, not tamper-resistant"

    def test_a_record_of_it_is_accepted_by_openssl(self, log: str, tmp_path: Path) -> None:
        export(log, tmp_path / "pack", request="arq_1")
        line = (tmp_path / "pack/records.jsonl").read_bytes().split(b"\n")[0]
        envelope = canonical.loads(line)
        payload = base64text.decode(envelope["payload"])
        (tmp_path / "pae").write_bytes(dsse.pae(payload, dsse.IN_TOTO))
        (tmp_path / "sig").write_bytes(base64text.decode(envelope["signatures"][0]["sig"]))
        (pem,) = (tmp_path / "pack/keys").glob("*.pem")
        command = ["openssl", "pkeyutl", "-verify", "-rawin", "-pubin", "-inkey", pem, "-in", "pae", "-sigfile", "sig"]
        done = subprocess.run(command, cwd=tmp_path, capture_output=True, check=False)
        assert done.returncode == 0, done.stderr


class TestArguments:
    @pytest.fixture
    def kept_log(self) -> tuple[str, str]:
        log, salt = a_log(), b"s" * 32
        action = {"tenant": log, "tool": "t", "arguments_digest": digests.arguments_digest({"amount": "250.00"})}
        commitment = digests.commitment(salt, digests.action_digest(action))
        kept.keep(log, commitment=commitment, action=action, arguments={"amount": "250.00"}, salt=salt, now=NOW)
        append(log, "arq_1", request="arq_1", commitment=commitment, action={"tool": "t"})
        return log, commitment

    def test_go_in_where_they_are_kept(self, kept_log: tuple[str, str], tmp_path: Path) -> None:
        export(kept_log[0], tmp_path / "pack", request="arq_1")
        (path,) = (tmp_path / "pack/args").iterdir()
        assert canonical.loads(path.read_bytes())["arguments"] == {"amount": "250.00"}
        assert failure(tmp_path / "pack") == ""

    def test_stay_out_when_told_or_erased(self, kept_log: tuple[str, str], tmp_path: Path) -> None:
        log, commitment = kept_log
        export(log, tmp_path / "told", request="arq_1", arguments=False)
        kept.erase(log, commitment)
        export(log, tmp_path / "erased", request="arq_1")
        for name in ("told", "erased"):
            assert list((tmp_path / name / "args").glob("*")) == []
            assert failure(tmp_path / name) == ""

    def test_that_were_changed_by_hand_are_left_out_and_named(self, kept_log: tuple[str, str], tmp_path: Path) -> None:
        log, commitment = kept_log
        KeptArguments.objects.filter(log=log).update(sealed_box=b"rubbish")
        export(log, tmp_path / "pack", request="arq_1")
        about = canonical.loads((tmp_path / "pack/pack.json").read_bytes())
        assert about["scope"]["arguments_unreadable"] == [commitment]
        assert failure(tmp_path / "pack") == ""

    def test_that_are_of_another_action_are_left_out_and_named(self, kept_log: tuple[str, str], tmp_path: Path) -> None:
        """Even in a box of our own making: what does not fit the commitment proves nothing, and spoils the pack."""
        log, commitment = kept_log
        was = kept.read(log, commitment)
        assert was is not None
        other = kept.row(
            log, commitment=commitment, action={**was.action, "tool": "u"}, arguments=was.arguments, salt=was.salt, now=NOW
        )  # fmt: skip
        KeptArguments.objects.filter(log=log).update(sealed_box=other.sealed_box)
        export(log, tmp_path / "pack", request="arq_1")
        about = canonical.loads((tmp_path / "pack/pack.json").read_bytes())
        assert about["scope"]["arguments_unreadable"] == [commitment]
        assert failure(tmp_path / "pack") == ""
