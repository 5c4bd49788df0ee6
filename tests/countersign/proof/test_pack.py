"""A pack is refused, with the step named, for whatever was changed, left out, put in, swapped or reordered."""

import random
import subprocess
import tarfile
from pathlib import Path

import pytest

from countersign.proof import base64text, canonical, dsse, keys, pack, pack_archive, pack_writer
from countersign.proof.events import Event
from countersign.proof.keys import Signer
from countersign.proof.pack_layout import BadPack, Limits, PreviousCheckpoint


def failed(path, **given):
    step = pack.verify(path, **given).failed
    return None if step is None else step.name


def says(path, **given):
    return pack.verify(path, **given).failed.says


def flips(data: bytes, chance: random.Random):
    """Every byte, one random bit of it."""
    for at in range(len(data)):
        yield data[:at] + bytes([data[at] ^ 1 << chance.randrange(8)]) + data[at + 1 :]


class TestFlippedBits:
    def test_abuse_129_any_flipped_bit_of_any_member_is_found(self, log):
        members, chance = pack_writer.members(log.pack(1, 2, 3, 4, 5)), random.Random(129)
        assert pack.verify_members(members).ok
        for name, honest in members.items():
            for bent in flips(honest, chance):
                step = "frame" if name == "MANIFEST.dsse.json" else "manifest"
                assert pack.verify_members({**members, name: bent}).failed.name == step, name

    def test_abuse_129_a_flipped_bit_of_a_file_of_a_directory_is_found(self, full, lay):
        path, chance = lay(full), random.Random(129)
        for file in sorted(file for file in path.rglob("*") if file.is_file()):
            honest = file.read_bytes()
            file.write_bytes(chance.choice(list(flips(honest, chance))))
            assert failed(path) == ("frame" if file.name == "MANIFEST.dsse.json" else "manifest"), file
            file.write_bytes(honest)
        assert pack.verify(path).ok

    def test_abuse_129_any_flipped_bit_of_an_archive_is_found(self, log):
        honest, chance = pack_archive.archive(pack_writer.members(log.pack(1, 2, 3, 4, 5))), random.Random(129)
        for bent in flips(honest, chance):
            with pytest.raises(BadPack, match="not as it was written"):
                pack_archive.unpack(bent)

    def test_abuse_129_a_flipped_bit_of_an_archive_file_is_found(self, full, lay):
        path, chance = lay(full, name="pack.tar.gz"), random.Random(129)
        path.write_bytes(chance.choice(list(flips(path.read_bytes(), chance))))
        assert failed(path) == "container"

    def test_abuse_129_a_flipped_bit_is_found_even_if_the_manifest_was_mended(self, full):
        members, chance = pack_writer.members(full), random.Random(129)
        for name in sorted(set(members) - {"MANIFEST.sha256"}):
            for bent in list(flips(members[name], chance))[:: max(1, len(members[name]) // 40)]:
                report = pack.verify_members(mended({**members, name: bent}), trusted=full.keys)
                assert report.failed is not None, name
                assert report.failed.number > 3, name


def mended(members):
    """With the manifest that a forger would write."""
    others = {name: data for name, data in members.items() if name != "MANIFEST.sha256"}
    return {**others, "MANIFEST.sha256": pack_writer.manifest(others)}


class TestContainer:
    def test_refuses_a_symlink(self, full, lay, tmp_path):
        path = lay(full)
        (path / "checkpoint").rename(tmp_path / "elsewhere")
        (path / "checkpoint").symlink_to(tmp_path / "elsewhere")
        assert (failed(path), says(path)) == ("container", "checkpoint: not a plain file")

    def test_refuses_a_symlink_to_a_directory(self, full, lay, tmp_path):
        path = lay(full)
        (path / "keys").rename(tmp_path / "elsewhere")
        (path / "keys").symlink_to(tmp_path / "elsewhere")
        assert (failed(path), says(path)) == ("container", "keys: not a plain file")

    @pytest.mark.parametrize(
        "name",
        [
            "extra",
            ".hidden",
            "keys/x.vkey",
            "proofs/01.tlog-proof",
            "args/short.json",
            "policy/x.yaml",
            "mapping/case.json",
        ],
    )
    def test_refuses_an_extra_member_even_in_the_manifest(self, full, lay, name):
        assert failed(lay(full, forge=lambda m: m.update({name: b"x"}))) == "layout"

    def test_refuses_an_extra_directory(self, full, lay):
        path = lay(full)
        (path / "more").mkdir()
        assert failed(path) == "container"

    @pytest.mark.parametrize(
        "name",
        [
            "MANIFEST.dsse.json",
            "README-VERIFY.md",
            "pack.json",
            "checkpoint",
            "checkpoint.prev.json",
            "records.jsonl",
            "mapping/session.json",
        ],
    )
    def test_refuses_a_missing_member(self, full, lay, name):
        path = lay(full, forge=lambda m: m.pop(name))
        assert (failed(path), says(path)) == ("layout", f"{name}: missing")

    def test_refuses_a_pack_without_its_manifest(self, full, lay):
        path = lay(full)
        (path / "MANIFEST.sha256").unlink()
        assert failed(path) == "layout"

    @pytest.mark.parametrize("limits", [Limits(members=5), Limits(member_bytes=1_000), Limits(total_bytes=5_000)])
    @pytest.mark.parametrize("name", ["pack", "pack.tar.gz"])
    def test_refuses_what_is_larger_than_allowed(self, full, lay, limits, name):
        path = lay(full, name=name)
        assert "allowed" in says(path, limits=limits)

    def test_refuses_an_archive_that_is_too_large_before_it_is_read(self, full, lay):
        path = lay(full, name="pack.tar.gz")
        assert says(path, limits=Limits(total_bytes=1_000)) == "the archive is larger than allowed"

    def test_refuses_a_bomb_before_it_unpacks(self, tmp_path):
        path = tmp_path / "pack.tar.gz"
        path.write_bytes(pack_archive.archive({"checkpoint": b"\0" * 50_000_000}))
        assert path.stat().st_size < 100_000
        assert "unpacks to more than allowed" in says(path, limits=Limits(total_bytes=1_000_000))

    @pytest.mark.parametrize("name", ["../checkpoint", "/etc/passwd", "keys/../checkpoint", "./checkpoint"])
    def test_refuses_a_name_that_leads_elsewhere(self, full, tmp_path, name):
        path = tmp_path / "pack.tar.gz"
        path.write_bytes(pack_archive.archive({**pack_writer.members(full), name: b"x"}))
        assert failed(path) == "layout"

    def bent_archive(self, tmp_path, full, change):
        """An archive with a right comment over a tar that an honest writer would not have made."""
        path = tmp_path / "pack.tar.gz"
        path.write_bytes(pack_archive.compress(change(pack_archive.tar(pack_writer.members(full)))))
        return path

    def test_refuses_a_member_that_is_there_twice(self, tmp_path, full):
        def twice(honest):
            entry = tarfile.TarInfo("pack.json")
            entry.size = 1
            return entry.tobuf(tarfile.USTAR_FORMAT) + b"x".ljust(512, b"\0") + honest

        assert says(self.bent_archive(tmp_path, full, twice)) == "pack.json: there twice"

    @pytest.mark.parametrize(
        "kind", [tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.DIRTYPE, tarfile.FIFOTYPE, b"\0", b"x", b"L"]
    )
    def test_refuses_what_is_no_plain_file(self, tmp_path, full, kind):
        def linked(honest):
            entry = tarfile.TarInfo("checkpoint")
            entry.type = kind
            return entry.tobuf(tarfile.USTAR_FORMAT) + honest

        assert says(self.bent_archive(tmp_path, full, linked)).endswith(": not a plain file")

    @pytest.mark.parametrize("change", [
        pytest.param(lambda honest: honest.replace(b"0000644", b"0000755", 1), id="mode"),
        pytest.param(lambda honest: honest + b"\0" * 512, id="padding"),
        pytest.param(lambda honest: honest[:-1] + b"x", id="after the end"),
        pytest.param(lambda honest: honest[: len(honest) // 2], id="cut"),
        pytest.param(lambda honest: b"x" * 512 + honest, id="no header"),
    ])  # fmt: skip
    def test_refuses_a_tar_that_says_more_than_its_members(self, tmp_path, full, change):
        assert failed(self.bent_archive(tmp_path, full, change)) == "container"

    @pytest.mark.parametrize(
        "change", [lambda d: d + b"\0", lambda d: d + d, lambda d: d[:-1], lambda d: b"", lambda d: b"x" * 500]
    )
    def test_refuses_bytes_after_its_end_or_missing(self, full, lay, change):
        path = lay(full, name="pack.tar.gz")
        path.write_bytes(change(path.read_bytes()))
        assert failed(path) == "container"

    @pytest.mark.parametrize(
        ("change", "words"),
        [
            pytest.param(lambda body: body[:-1], "cut short or goes on", id="trailer cut"),
            pytest.param(lambda body: body[:-20], "cut short or goes on", id="body cut"),
            pytest.param(lambda body: body + b"\0", "cut short or goes on", id="more"),
            pytest.param(lambda body: body[:-8] + bytes(8), "cut short or goes on", id="checksum"),
            pytest.param(lambda body: b"\xff" * 100, "decompressed", id="noise"),
        ],
    )
    def test_refuses_a_bent_stream_even_under_a_right_comment(self, full, change, words):
        honest = pack_archive.archive(pack_writer.members(full))
        body = change(honest[pack_archive._HEADER_BYTES :])
        with pytest.raises(BadPack, match=words):
            pack_archive.unpack(pack_archive._header(body) + body)

    @pytest.mark.parametrize(
        ("change", "words"),
        [
            pytest.param(lambda tar: tar[:700], "MANIFEST.dsse.json: cut short", id="cut"),
            pytest.param(
                lambda tar: tar[:124] + b"-0000000001" + tar[135:], "MANIFEST.dsse.json: cut short", id="negative size"
            ),
            pytest.param(lambda tar: tar[:124] + b"zzz" + tar[127:], "malformed", id="no size"),
            pytest.param(lambda tar: b"\xff" + tar[1:], "malformed", id="no name"),
        ],
    )
    def test_refuses_a_bent_tar_header(self, full, change, words):
        with pytest.raises(BadPack, match=words):
            pack_archive.unpack(pack_archive.compress(change(pack_archive.tar(pack_writer.members(full)))))

    def test_ordinary_tar_unpacks_it(self, full, lay, tmp_path):
        path = lay(full, name="pack.tar.gz")
        (tmp_path / "out").mkdir()
        subprocess.run(["tar", "xzf", path, "-C", tmp_path / "out"], check=True, capture_output=True)
        assert pack.verify(tmp_path / "out").ok

    def test_is_written_completely_or_not_at_all(self, full, lay, tmp_path):
        path = lay(full)
        with pytest.raises(FileExistsError):
            pack_writer.write(path, full)
        pack_writer.write(tmp_path / "new" / "pack", full)
        assert sorted(p.name for p in (tmp_path / "new").iterdir()) == ["pack"]


class TestManifest:
    def test_refuses_a_changed_file(self, full, lay):
        path = lay(full)
        (path / "README-VERIFY.md").write_text("All is well.")
        assert (failed(path), says(path)) == ("manifest", "README-VERIFY.md: not the bytes that the manifest lists")

    @pytest.mark.parametrize("change", [
        pytest.param(lambda lines: lines[1:], id="unlisted"),
        pytest.param(lambda lines: [*lines, f"{'0' * 64}  zzz\n"], id="listed only"),
        pytest.param(lambda lines: lines[::-1], id="unsorted"),
        pytest.param(lambda lines: [lines[0], *lines], id="twice"),
        pytest.param(lambda lines: [lines[0].upper(), *lines[1:]], id="upper case"),
        pytest.param(lambda lines: [*lines[:-1], lines[-1][:-1]], id="no end"),
        pytest.param(lambda lines: ["\n", *lines], id="empty line"),
    ])  # fmt: skip
    def test_refuses_a_manifest_bent_in_any_way(self, full, lay, change):
        path = lay(full)
        lines = (path / "MANIFEST.sha256").read_text().splitlines(keepends=True)
        (path / "MANIFEST.sha256").write_text("".join(change(lines)))
        assert failed(path) == "manifest"

    def test_refuses_a_manifest_without_its_last_newline(self, full):
        members = pack_writer.members(full)
        bent = {**members, "MANIFEST.sha256": members["MANIFEST.sha256"][:-1]}
        assert pack.verify_members(bent).failed.says == "MANIFEST.sha256: does not end in a newline"

    def test_sha256sum_takes_it(self, full, lay):
        done = subprocess.run(
            ["sha256sum", "--strict", "-c", "MANIFEST.sha256"], cwd=lay(full), capture_output=True, check=False
        )
        assert done.returncode == 0, done


class TestContents:
    @pytest.mark.parametrize("change", [
        pytest.param(lambda a: a.update(v=2), id="version"),
        pytest.param(lambda a: a.pop("tenant"), id="member missing"),
        pytest.param(lambda a: a.update(more=1), id="member superfluous"),
        pytest.param(lambda a: a.update(records=[0, 1, 2, 3, 4, 6, 5]), id="order"),
        pytest.param(lambda a: a.update(records=[0, 1, 2, 3, 4, 5, 5]), id="twice"),
        pytest.param(lambda a: a.update(records=[0, 1, 2, 3, 4, 5, 7]), id="outside"),
        pytest.param(lambda a: a.update(records=[-1, 1, 2, 3, 4, 5, 6]), id="negative"),
        pytest.param(lambda a: a.update(records=["0"]), id="no number"),
        pytest.param(lambda a: a.update(span=[0]), id="span of one"),
        pytest.param(lambda a: a.update(span="all"), id="span no range"),
        pytest.param(lambda a: a.update(span=[1, 6]), id="span too short"),
        pytest.param(lambda a: a.update(span=[0, 9]), id="span too long"),
        pytest.param(lambda a: a.update(span=[0, 10**15]), id="span much too long"),
        pytest.param(lambda a: a.update(span=[6, 0]), id="span backwards"),
        pytest.param(lambda a: [], id="no object"),
    ])  # fmt: skip
    def test_refuses_contents_bent_in_any_way(self, full, lay, bend, change):
        path = lay(full, forge=bend("pack.json", lambda a: change(a) if not isinstance(change(dict(a)), list) else [1]))
        assert failed(path) == "contents"

    @pytest.mark.parametrize("data", [b'{"v":1,"v":1}', b'{"v": 1}', b"{", b"\xff"])
    def test_refuses_duplicate_keys_and_other_spellings(self, full, lay, data):
        assert failed(lay(full, forge=lambda m: m.update({"pack.json": data}))) == "contents"

    @pytest.mark.parametrize(
        ("seqs", "words"),
        [
            ([0, 1, 2, 3, 4, 6, 5], "order of the tree"),
            ([0, 1, 2, 3, 4, 5, 5], "order of the tree"),
            ([0, 1, 2, 3, 4, 5, 7], "outside of the tree"),
            ([-1, 1, 2, 3, 4, 5, 6], "outside of the tree"),
            ([True, 2, 3, 4, 5, 6], "outside of the tree"),
        ],
    )
    def test_abuse_122_refuses_places_out_of_order_or_outside_without_a_span_too(self, log, lay, bend, seqs, words):
        path = lay(log.pack(), forge=bend("pack.json", lambda a: a.update(records=seqs)))
        assert (failed(path), words in says(path)) == ("contents", True)

    def test_abuse_128_a_gap_in_a_span_is_named(self, log, lay):
        path = lay(log.pack(0, 1, 2, 3, 5, 6, span=(0, 6)))
        assert (failed(path), says(path)) == ("contents", "record 4 is missing from the span 0 to 6")


class TestKeys:
    def test_abuse_124_a_swapped_key_is_found_by_who_knows_the_key(self, log, another, tell, lay):
        """The forger signed all anew with a key of their own: only the key from outside can tell."""
        path = lay(tell(another(seed=b"f" * 32)).pack())
        assert pack.verify(path).ok
        assert failed(path, key=log.signer.vkey) == "keys"

    def test_without_a_key_the_fingerprint_is_shown_as_self_asserted(self, log, full, lay):
        step = pack.verify(lay(full)).steps[4]
        assert "SELF-ASSERTED" in step.says
        assert log.signer.verifier.fingerprint in step.says

    @pytest.mark.parametrize("change", [
        pytest.param(lambda m, k: m.pop(f"keys/{k}.pem"), id="no pem"),
        pytest.param(lambda m, k: m.pop(f"keys/{k}.vkey"), id="no vkey"),
        pytest.param(lambda m, k: (m.pop(f"keys/{k}.pem"), m.pop(f"keys/{k}.vkey")), id="none"),
        pytest.param(lambda m, k: m.update({f"keys/{k}.pem": Signer(name="x", seed=b"x" * 32).pem.encode()}), id="other pem"),
        pytest.param(lambda m, k: m.update({f"keys/{k}.vkey": Signer(name="x", seed=b"x" * 32).vkey.encode() + b"\n"}), id="other vkey"),
        pytest.param(lambda m, k: m.update({f"keys/{k}.vkey": m[f"keys/{k}.vkey"].strip()}), id="no end"),
        pytest.param(lambda m, k: m.update({f"keys/{k}.vkey": b"\xff"}), id="no text"),
        pytest.param(lambda m, k: m.update({f"keys/{k}.vkey": b"nonsense\n"}), id="no key"),
        pytest.param(lambda m, k: m.update({"keys/00000000.pem": b"x"}), id="stray pem"),
    ])  # fmt: skip
    def test_refuses_keys_that_do_not_fit(self, log, full, lay, change):
        assert failed(lay(full, forge=lambda m: change(m, log.signer.key_id))) == "keys"

    def test_a_key_that_is_none_is_the_callers_mistake(self, full, lay):
        with pytest.raises(keys.BadKey):
            pack.verify(lay(full), key="nonsense")

    def test_takes_the_right_key_among_several(self, log, full, lay):
        assert pack.verify(lay(full), key=f"{Signer(name='x', seed=b'x' * 32).vkey}\n{log.signer.vkey}\n").ok


class TestCheckpoint:
    def test_refuses_a_checkpoint_of_another_key(self, full, lay, another, tell):
        other = tell(another(seed=b"f" * 32)).head()
        assert failed(lay(full, forge=lambda m: m.update({"checkpoint": other.encode()}))) == "checkpoint"

    def test_refuses_a_checkpoint_of_another_size_or_log(self, log, full, lay, another, tell):
        assert failed(lay(full, forge=lambda m: m.update({"checkpoint": log.head(6).encode()}))) == "checkpoint"
        elsewhere = tell(another(name="log.example/other"))
        elsewhere.signer = log.signer
        path = lay(full, forge=lambda m: m.update({"checkpoint": elsewhere.head().encode()}), name="second")
        assert (failed(path), says(path)) == ("checkpoint", "checkpoint: of another log, log.example/other")


class TestConsistency:
    def test_abuse_119_deleted_records_show_against_a_checkpoint_kept_outside(self, log, another, tell, lay):
        kept = log.head()
        restored = tell(another())
        restored.records = restored.records[:5]
        path = lay(restored.pack())
        assert pack.verify(path).ok
        assert (failed(path, against=kept), "deleted" in says(path, against=kept)) == ("consistency", True)
        assert says(path, against=kept).endswith(
            "or that checkpoint is newer than this pack: compare with one from before the export"
        )

    def test_abuse_120_a_restored_log_that_grew_again_is_found_out(self, log, another, tell, lay):
        kept = log.head(6)
        restored = tell(another())
        restored.records = restored.records[:5]
        for n in range(3):
            restored.add(Event.ALERT_FIRED, f"alert_{n}", detail={"n": n})
        path = lay(restored.pack(previous=(restored.previous(6),)))
        assert pack.verify(path).ok
        assert failed(path, against=kept) == "consistency"
        assert "rewritten" in says(path, against=kept)
        assert "rewritten" in says(lay(restored.pack(), name="same size"), against=another_size(log, restored))

    def test_refuses_an_outside_checkpoint_without_a_proof(self, log, lay):
        path = lay(log.pack(previous=(log.previous(3),)))
        assert (failed(path, against=log.head(5)), "export it again" in says(path, against=log.head(5))) == (
            "consistency",
            True,
        )

    @pytest.mark.parametrize("held", ["", "nonsense", "o\n3\nAAAA\n\n— x AAAAAAA=\n"])
    def test_refuses_an_outside_checkpoint_that_is_none(self, full, lay, held):
        assert failed(lay(full), against=held) == "consistency"

    def test_refuses_an_outside_checkpoint_of_another_log(self, full, lay, another, tell):
        assert failed(lay(full), against=tell(another(name="log.example/other")).head()) == "consistency"

    def test_refuses_an_older_checkpoint_that_is_no_beginning(self, log, another, lay):
        elsewhere = another()
        elsewhere.add(Event.ALERT_FIRED, "a", detail={})
        lie = PreviousCheckpoint(elsewhere.head(), log.previous(1).path)
        assert failed(lay(log.pack(previous=(lie,)))) == "consistency"

    @pytest.mark.parametrize("change", [
        lambda p: {"a": 1}, lambda p: [1], lambda p: p[0].update(more=1), lambda p: p[0]["path"].append(1), lambda p: p[0]["path"].append("!"),
        lambda p: p[0]["path"].pop(), lambda p: p[0].update(checkpoint="x"),
    ])  # fmt: skip
    def test_refuses_malformed_older_checkpoints(self, full, lay, bend, change):
        assert failed(lay(full, forge=bend("checkpoint.prev.json", lambda p: kept(change(p))))) == "consistency"

    def test_refuses_older_checkpoints_that_are_no_list_even_if_empty(self, full, lay):
        path = lay(full, forge=lambda m: m.update({"checkpoint.prev.json": b"{}"}))
        assert (failed(path), says(path)) == ("consistency", "checkpoint.prev.json: not a list")

    @pytest.mark.parametrize("size", [3, 6, 7])
    def test_takes_a_checkpoint_that_fits(self, log, full, lay, size):
        assert pack.verify(lay(full), against=log.head(size)).ok


def another_size(log, restored):
    """The honest log's head at the size that the restored one has reached."""
    while len(log.records) < len(restored.records):
        log.add(Event.ALERT_FIRED, f"honest_{len(log.records)}", detail={})
    return log.head()


def kept(value):
    """Only what replaces a member, not what an in-place change happens to return."""
    return value if isinstance(value, dict | list) and value in ({"a": 1}, [1]) else None


class TestSignatures:
    def envelope(self, members, line, change):
        lines = members["records.jsonl"].splitlines()
        envelope = canonical.loads(lines[line])
        change(envelope)
        lines[line] = canonical.dumps(envelope)
        members["records.jsonl"] = b"\n".join(lines) + b"\n"

    @pytest.mark.parametrize("change", [
        pytest.param(lambda e: e.update(payload=base64text.encode(b"{}")), id="payload"),
        pytest.param(lambda e: e.update(payloadType="x"), id="type"),
        pytest.param(lambda e: e.update(more=1), id="member"),
        pytest.param(lambda e: e.update(signatures=[]), id="none"),
    ])  # fmt: skip
    def test_refuses_an_envelope_that_was_changed(self, full, lay, change):
        path = lay(full, forge=lambda m: self.envelope(m, 3, change))
        assert failed(path) == "signatures"
        assert says(path).startswith("record 3:")

    def test_refuses_a_record_signed_by_another_key(self, log, full, lay, another):
        forged = dsse.sign(log.records[2], dsse.IN_TOTO, another(seed=b"f" * 32).signer)
        assert failed(lay(full, forge=lambda m: self.envelope(m, 2, lambda e: e.update(forged)))) == "signatures"

    @pytest.mark.parametrize("change", [
        pytest.param(lambda d: d[:-1], id="no end"),
        pytest.param(lambda d: d + b"\n", id="empty line"),
        pytest.param(lambda d: d.replace(b":", b": ", 1), id="spelling"),
        pytest.param(lambda d: d.replace(b'{"payload"', b'{"payload":"","payload"', 1), id="duplicate key"),
        pytest.param(lambda d: d.split(b"\n", 1)[1], id="one less"),
        pytest.param(lambda d: b"", id="none"),
    ])  # fmt: skip
    def test_refuses_lines_bent_in_any_way(self, full, lay, change):
        assert (
            failed(lay(full, forge=lambda m: m.update({"records.jsonl": change(m["records.jsonl"])}))) == "signatures"
        )

    def test_refuses_a_last_line_without_its_end(self, full, lay):
        path = lay(full, forge=lambda m: m.update({"records.jsonl": m["records.jsonl"][:-1]}))
        assert says(path) == "records.jsonl: the last line has no end"


class TestStatements:
    def test_refuses_a_signed_payload_that_is_no_record(self, log, lay):
        log.records[6] = b'{"a":1}'
        path = lay(log.pack())
        assert (failed(path), says(path).startswith("record 6:")) == ("statements", True)


class TestInclusion:
    def test_abuse_122_reordered_records_are_refused(self, full, lay):
        def swap(members):
            lines = members["records.jsonl"].splitlines(keepends=True)
            lines[2], lines[3] = lines[3], lines[2]
            members["records.jsonl"] = b"".join(lines)

        path = lay(full, forge=swap)
        assert (failed(path), says(path).startswith("record 2:")) == ("inclusion", True)

    def test_refuses_a_record_that_was_never_in_the_log(self, log, lay):
        contents = log.pack()
        log.add(Event.ALERT_FIRED, "a", detail={})
        log.records[0] = log.records.pop()
        forged = (log.sealed(0), *contents.records[1:])
        assert failed(lay(log.pack(records=forged, checkpoint=contents.checkpoint))) == "inclusion"

    @pytest.mark.parametrize("change", [
        pytest.param(lambda m: m.pop("proofs/3.tlog-proof"), id="missing"),
        pytest.param(lambda m: m.update({"proofs/9.tlog-proof": m["proofs/3.tlog-proof"]}), id="superfluous"),
        pytest.param(lambda m: m.update({"proofs/3.tlog-proof": m["proofs/2.tlog-proof"]}), id="of another"),
        pytest.param(lambda m: m.update({"proofs/3.tlog-proof": m["proofs/3.tlog-proof"].replace(b"index 3", b"index 03")}), id="malformed"),
        pytest.param(lambda m: m.update({"proofs/3.tlog-proof": m["proofs/3.tlog-proof"].replace(b"index", b"extra ZQ==\nindex")}), id="extra"),
        pytest.param(lambda m: m.update({"proofs/3.tlog-proof": m["proofs/3.tlog-proof"] + b"x"}), id="checkpoint"),
        pytest.param(lambda m: m.update({"proofs/3.tlog-proof": b"\xff"}), id="no text"),
    ])  # fmt: skip
    def test_refuses_proofs_that_do_not_fit(self, full, lay, change):
        assert failed(lay(full, forge=change)) == "inclusion"


class TestBelonging:
    @pytest.mark.parametrize("where", [{"tenant": "rival"}, {"name": "log.example/rival"}])
    def test_abuse_123_another_tenants_record_is_refused(self, log, another, lay, where):
        rival = another(**where)
        rival.add(Event.ALERT_FIRED, "a", detail={})
        log.records.append(rival.records[0])
        path = lay(log.pack())
        assert (failed(path), says(path).startswith("record 7:")) == ("belonging", True)

    def test_abuse_123_another_tenants_pack_does_not_pass_for_ours(self, full, lay, bend):
        path = lay(full, forge=bend("pack.json", lambda a: a.update(tenant="rival")))
        assert failed(path) == "belonging"


class TestThreads:
    @pytest.mark.parametrize(
        ("seqs", "step"), [((2, 3, 4, 5), 0), ((1, 3, 4, 5), 1), ((1, 2, 4, 5), 2), ((1, 2, 3, 5), 3)]
    )
    def test_abuse_149_a_step_left_out_is_named(self, log, lay, seqs, step):
        path = lay(log.pack(*seqs))
        assert failed(path) == "threads"
        assert says(path).startswith(f"thread arq_1: step {step} is missing")

    def test_refuses_a_step_that_comes_twice(self, log, lay):
        place = log.threads["arq_1"]
        log.add(Event.REQUEST_JOINED, "arq_1", detail={})
        log.threads["arq_1"] = place
        log.add(Event.REQUEST_CANCELLED, "arq_1", detail={})
        path = lay(log.pack())
        assert (failed(path), "twice" in says(path)) == ("threads", True)

    def test_refuses_a_step_after_another_record(self, log, lay):
        log.threads["arq_1"] = (log.threads["arq_1"][0], log.threads["keys"][1])
        log.add(Event.REQUEST_JOINED, "arq_1", detail={})
        path = lay(log.pack())
        assert (failed(path), "follows another" in says(path)) == ("threads", True)

    def test_a_span_may_begin_in_the_middle_of_a_thread_but_not_skip_a_step(self, log, lay):
        assert pack.verify(lay(log.pack(3, 4, 5, 6, span=(3, 6)))).ok
        assert failed(lay(log.pack(3, 5, 6, span=(3, 6)), name="second")) == "contents"


class TestArguments:
    @pytest.mark.parametrize("change", [
        pytest.param(lambda a: a["arguments"].update(amount="2.00"), id="argument"),
        pytest.param(lambda a: a["action"].update(tool="x"), id="action"),
        pytest.param(lambda a: a["action"].update(tenant="rival"), id="tenant"),
        pytest.param(lambda a: a["action"].pop("arguments_digest"), id="no digest"),
        pytest.param(lambda a: a.update(salt=base64text.encode(b"t" * 32)), id="salt"),
        pytest.param(lambda a: a.update(salt=base64text.encode(b"s" * 31)), id="short salt"),
        pytest.param(lambda a: a.update(salt=1), id="no salt"),
        pytest.param(lambda a: a.update(salt="!"), id="salt no base64"),
        pytest.param(lambda a: a.update(more=1), id="member"),
        pytest.param(lambda a: a.update(action=1), id="no action"),
        pytest.param(lambda a: a.update(arguments=1), id="no arguments"),
    ])  # fmt: skip
    def test_refuses_what_was_not_committed_to(self, full, lay, bend, disclose, change):
        name = f"args/{disclose().commitment[7:]}.json"
        assert failed(lay(full, forge=bend(name, change))) == "arguments"

    def test_refuses_arguments_that_no_record_is_committed_to(self, log, lay, disclose):
        path = lay(log.pack(arguments=(disclose(amount="1.00"),)))
        assert (failed(path), "no record" in says(path)) == ("arguments", True)

    def test_refuses_arguments_under_another_name(self, full, lay, disclose):
        name = f"args/{disclose().commitment[7:]}.json"
        path = lay(full, forge=lambda m: m.update({f"args/{'0' * 64}.json": m.pop(name)}))
        assert (failed(path), "not those that were committed to" in says(path)) == ("arguments", True)

    def test_abuse_123_refuses_another_tenants_action_even_if_committed_to(self, log, lay, disclose):
        rival = disclose(tenant="rival")
        log.add(Event.DECISION_MADE, "eva_9", commitment=rival.commitment, action={"tool": "x"})
        path = lay(log.pack(arguments=(rival,)))
        assert (failed(path), "another tenant" in says(path)) == ("arguments", True)


class TestApprovals:
    def rest_on(self, log, **members):
        log.add(Event.APPROVAL_ISSUED, "arq_2", **members)
        return log.pack()

    @pytest.mark.parametrize(
        "members",
        [
            {"detail": {}},
            {"detail": {"votes": []}},
            {"detail": {"votes": [1]}},
            {"detail": {"votes": "x"}},
            {"detail": {"votes": [{}]}},
            {"detail": {"votes": [{"leaf": 1}]}},
        ],
    )
    def test_refuses_an_approval_that_names_no_votes(self, log, lay, members):
        path = lay(self.rest_on(log, **members))
        assert (failed(path), "no votes" in says(path)) == ("approvals", True)

    def test_refuses_an_approval_on_votes_that_are_not_there(self, log, lay):
        path = lay(self.rest_on(log, detail={"votes": [{"leaf": "sha256:" + "0" * 64}]}))
        assert (failed(path), "not in the pack" in says(path)) == ("approvals", True)

    def test_refuses_an_approval_on_a_record_that_is_no_vote(self, log, lay):
        leaf = log.add(Event.REQUEST_OPENED, "arq_2", detail={})
        assert failed(lay(self.rest_on(log, detail={"votes": [{"leaf": leaf}]}))) == "approvals"

    def test_refuses_an_approval_on_another_requests_votes(self, log, lay):
        leaf = log.add(Event.VOTE_CAST, "arq_3", detail={})
        assert failed(lay(self.rest_on(log, detail={"votes": [{"leaf": leaf}]}))) == "approvals"


class TestPolicies:
    def test_refuses_a_source_of_another_digest(self, full, lay):
        name = f"policy/{next(iter(full.policies))[7:]}.yaml"
        assert failed(lay(full, forge=lambda m: m.update({name: b"version: 1\n"}))) == "policies"

    def test_refuses_a_source_that_no_record_names(self, full, lay, replace):
        stray = b"version: 1\nname: stray\n"
        digest = f"sha256:{__import__('hashlib').sha256(stray).hexdigest()}"
        path = lay(replace(full, policies={digest: stray}))
        assert (failed(path), "no record" in says(path)) == ("policies", True)

    def test_refuses_a_source_under_another_digest(self, full, lay):
        name = f"policy/{next(iter(full.policies))[7:]}.yaml"
        path = lay(full, forge=lambda m: m.update({f"policy/{'0' * 64}.yaml": m.pop(name)}))
        assert (failed(path), "not the source of that digest" in says(path)) == ("policies", True)


class TestMapping:
    @pytest.mark.parametrize(("name", "value"), [
        ("request", {"arq_1": [1, 9]}), ("request", {"arq_2": [1]}), ("request", {"arq_1": [0]}), ("session", {"s": [2, 1]}), ("session", {"s": [1, 1]}),
        ("session", {"s": [True]}), ("session", {"s": 1}), ("session", []),
    ])  # fmt: skip
    def test_refuses_an_index_that_leads_astray(self, full, lay, name, value):
        assert (
            failed(lay(full, forge=lambda m: m.update({f"mapping/{name}.json": canonical.dumps(value)}))) == "mapping"
        )


class TestFrame:
    """What no record says of a pack is signed too: its scope, its time, how its store was protected, its index."""

    @pytest.mark.parametrize(
        "change",
        [
            {"created_at": "2025-11-20T11:00:00Z"}, {"scope": {}}, {"scope": {"request": "arq_2"}},
            {"protection": "tamper-resistant"}, {"span": [0, 6]},
        ],
        ids=str,
    )  # fmt: skip
    def test_refuses_a_pack_that_says_something_else_of_itself(self, log, lay, bend, change):
        assert failed(lay(log.pack(), forge=bend("pack.json", lambda about: about.update(change)))) == "frame"

    def test_refuses_an_index_that_leaves_something_out(self, full, lay, bend):
        path = lay(full, forge=bend("mapping/request.json", lambda index: index.update(arq_1=[1])))
        assert failed(path) == "frame"

    def test_refuses_another_readme(self, log, lay):
        """It tells a stranger what to type."""
        assert failed(lay(log.pack(), forge=lambda m: m.update({"README-VERIFY.md": b"Run this."}))) == "frame"

    @pytest.mark.parametrize(
        "change",
        [
            lambda frame: {**frame, "payloadType": dsse.IN_TOTO},
            lambda frame: {**frame, "signatures": []},
            lambda frame: {**frame, "signatures": frame["signatures"] * 2},
            lambda frame: {**frame, "signatures": [{"sig": frame["signatures"][0]["sig"]}]},
            lambda frame: {**frame, "signatures": [{**frame["signatures"][0], "keyid": "00000000"}]},
            lambda frame: [frame],
        ],
    )
    def test_refuses_a_signature_bent_in_any_way(self, full, lay, bend, change):
        assert failed(lay(full, forge=bend("MANIFEST.dsse.json", change))) == "frame"

    def test_refuses_a_signature_by_another_key(self, log, full, lay, another, replace):
        stranger = another(seed=b"9" * 32).signer
        assert failed(lay(replace(full, signer=stranger))) == "frame"

    def test_refuses_the_signature_of_another_pack(self, log, full, lay):
        other = pack_writer.members(log.pack(0, 6))["MANIFEST.dsse.json"]
        assert failed(lay(full, forge=lambda m: m.update({"MANIFEST.dsse.json": other}))) == "frame"


class TestWriter:
    def test_refuses_two_keys_under_one_id(self, log, full, replace):
        with pytest.raises(BadPack, match="key id"):
            pack_writer.members(replace(full, keys=(log.signer.verifier, log.signer.verifier)))

    def test_refuses_a_mapping_no_pack_has(self, full, replace):
        with pytest.raises(BadPack, match="maps"):
            pack_writer.members(replace(full, mapping={"case": {}}))

    def test_refuses_a_member_no_pack_has(self, full, replace):
        with pytest.raises(BadPack, match="member"):
            pack_writer.members(replace(full, policies={"x": b""}))


class TestVerify:
    @pytest.mark.parametrize("name", ["pack", "pack.tar.gz"])
    def test_takes_an_honest_pack_and_numbers_its_steps(self, log, full, lay, name):
        report = pack.verify(lay(full, name=name), against=log.head(3), key=log.signer.vkey)
        assert report.ok
        assert report.failed is None
        assert [step.number for step in report.steps] == list(range(1, len(pack.STEPS) + 2))

    def test_takes_a_pack_of_one_case(self, log, lay):
        assert pack.verify(lay(log.pack(1, 2, 3, 4, 5))).ok

    def test_steps_after_a_failure_are_not_reached_and_nothing_is_ok(self, full, lay):
        path = lay(full, forge=lambda m: m.update({"checkpoint": b"x"}))
        report = pack.verify(path)
        assert [step.ok for step in report.steps] == [True] * 5 + [False] + [None] * 11
        assert not report.ok

    def test_a_path_that_is_no_pack_is_a_failed_container(self, tmp_path):
        assert failed(tmp_path / "absent") == "container"
        assert failed(tmp_path) == "layout"


def walk(value, chance):
    """The value with one leaf, member or whole branch replaced by something else."""
    other = chance.choice([None, 0, -1, 2**53 - 1, "", "x", "sha256:" + "0" * 64, [], {}, [[]], {"a": 1}, True, 1.5])
    if chance.random() < 0.3 or not isinstance(value, dict | list) or not value:
        return other
    if isinstance(value, list):
        at = chance.randrange(len(value))
        return [*value[:at], walk(value[at], chance), *value[at + 1 :]]
    name = chance.choice(sorted(value))
    return {**value, name: walk(value[name], chance)}


class TestHostility:
    @pytest.mark.parametrize("seed", range(12))
    def test_whatever_a_signed_pack_says_it_gets_a_report_and_no_crash(self, log, disclose, seed):
        """Even the log's own key may be in wrong hands: members and records are replaced at random, and signed."""
        chance = random.Random(seed)
        for _ in range(25):
            at = chance.randrange(len(log.records))
            honest, log.records[at] = log.records[at], canonical.dumps(walk(canonical.loads(log.records[at]), chance))
            members = pack_writer.members(log.pack(arguments=(disclose(),), previous=(log.previous(3),)))
            log.records[at] = honest
            name = chance.choice([name for name in sorted(members) if name.endswith(".json")])
            members[name] = canonical.dumps(walk(canonical.loads(members[name]), chance))
            report = pack.verify_members(mended(members), against=log.head())
            assert len(report.steps) == len(pack.STEPS) + 1


class TestReadme:
    def shell(self, path: Path):
        text = (path / "README-VERIFY.md").read_text()
        return text.split("```sh\n")[1].split("```")[0], text.split("```sh\n")[2].split("```")[0]

    @pytest.mark.parametrize("line", [1, 6])
    def test_its_openssl_recipe_accepts_a_record_and_shows_its_leaf(self, log, full, lay, line):
        path = lay(full)
        verify, leaf = self.shell(path)
        script = verify.replace("N=1\n", f"N={line}\n") + leaf
        done = subprocess.run(["sh", "-eu", "-c", script], cwd=path, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done
        assert "Signature Verified Successfully" in done.stdout
        assert log.hashes()[line - 1].hex() in done.stdout

    def test_names_no_file_that_nobody_makes_and_no_package_index(self, full, lay):
        text = (lay(full) / "README-VERIFY.md").read_text()
        assert "LOG.vkey" not in text
        assert "pip install" not in text
        assert "--key 'NAME+12ab34cd+AbC…='" in text

    def test_its_openssl_recipe_refuses_a_changed_record(self, full, lay):
        path = lay(full)
        data = (path / "records.jsonl").read_bytes()
        (path / "records.jsonl").write_bytes(data.replace(b'"payload":"eyJf', b'"payload":"eyJg', 1))
        done = subprocess.run(
            ["sh", "-eu", "-c", self.shell(path)[0]], cwd=path, capture_output=True, text=True, check=False
        )
        assert done.returncode != 0
        assert "Verified" not in done.stdout.replace("Verification", "")
