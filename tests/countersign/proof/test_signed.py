"""Keys, notes, checkpoints, tlog-proofs and envelopes: what is bent in any way is refused."""

import base64
import copy
import subprocess

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from countersign.proof import base64text, checkpoint, dsse, keys, merkle, note, tlog_proof
from countersign.proof.base64text import BadBase64
from countersign.proof.checkpoint import BadCheckpoint, Checkpoint
from countersign.proof.dsse import BadEnvelope
from countersign.proof.keys import BadKey, BadSignature, Signer, Verifier
from countersign.proof.note import BadNote
from countersign.proof.tlog_proof import BadTlogProof, TlogProof

LOG = Signer(name="log.example/acme", seed=b"1" * 32)
OTHER = Signer(name="log.example/acme", seed=b"2" * 32)
HEAD = Checkpoint(origin="log.example/acme", size=3, root=b"r" * 32)

# The published example of C2SP signed-note.
FOO = "example.com/foo+530d903a+AekyeRrm56hApGFkyQR4ZCbV54Id2LKaANYcrnKv3U2k"
FOO_NOTE = (
    "This is an example message.\n\n"
    "— example.com/foo Uw2QOkn8srV1yJGh2VYRlL1Tnagv1YEq6TfXppzi2ONncAlTgK7Ztg1ERYNZXsYjOBH3mFXmRKuwHjG1Yu72IneyaQM=\n"
)


class TestBase64:
    @pytest.mark.parametrize("text", ["QQ", "QQ=", "QQ===", "QR==", "Q Q==", "QQ==\n", "====", "é", "-_8=", "QQ==QQ=="])
    def test_refuses_every_other_spelling(self, text):
        with pytest.raises(BadBase64):
            base64text.decode(text)

    def test_refuses_a_mixture_of_alphabets(self):
        with pytest.raises(BadBase64):
            base64text.decode("+_8=", url_safe_too=True)

    @given(st.binary(max_size=40))
    def test_reads_what_it_writes_in_both_alphabets(self, data):
        assert base64text.decode(base64text.encode(data)) == data
        assert base64text.decode(base64.urlsafe_b64encode(data).decode(), url_safe_too=True) == data


class TestKeys:
    @pytest.mark.parametrize(
        "text",
        [
            "", "x", "a+b", FOO + "\n", " " + FOO, FOO.replace("530d903a", "530d903b"), FOO.replace("530d903a", "530D903A"),
            FOO.replace("foo", "bar"), FOO[:-1], FOO[:-1] + "l", FOO + "+", "+530d903a+AekyeRrm56hApGFkyQR4ZCbV54Id2LKaANYcrnKv3U2k",
            FOO.replace("+Aek", "+Auk"), "a b" + FOO[15:], "example.com/foo+530d903a+AQ==",
        ],
    )  # fmt: skip
    def test_refuses_a_vkey_whose_parts_do_not_fit(self, text):
        with pytest.raises(BadKey):
            Verifier.from_vkey(text)

    @pytest.mark.parametrize("name", ["", "a b", "a+b", "a\nb", "a\u00a0b", "a\u2003b", "a\x00b"])
    def test_refuses_a_name_that_would_break_a_line(self, name):
        with pytest.raises(BadKey):
            Signer(name=name, seed=b"1" * 32)

    @pytest.mark.parametrize("seed", [b"", b"1" * 31, b"1" * 33])
    def test_refuses_a_seed_of_another_length(self, seed):
        with pytest.raises(BadKey):
            Signer(name="a", seed=seed)

    def test_refuses_a_signature_of_another_key_or_over_other_bytes(self):
        with pytest.raises(BadSignature):
            LOG.verifier.verify(OTHER.sign(b"x"), b"x")
        with pytest.raises(BadSignature):
            LOG.verifier.verify(LOG.sign(b"x"), b"y")

    def test_the_private_half_is_never_printed(self):
        assert "1" * 8 not in repr(LOG)
        assert b"1".hex() * 8 not in repr(LOG)

    def test_reads_what_it_writes(self):
        assert Verifier.from_vkey(LOG.vkey) == LOG.verifier
        assert {Verifier.from_vkey(LOG.vkey), LOG.verifier} == {LOG.verifier}
        assert Verifier.from_vkey(FOO).vkey == FOO

    def test_a_list_of_vkeys_skips_comments_and_empty_lines(self):
        assert keys.verifiers_of(f"# ours\n\n{LOG.vkey}\n  {FOO}\n") == (LOG.verifier, Verifier.from_vkey(FOO))

    def test_a_list_without_a_vkey_is_refused(self):
        with pytest.raises(BadKey, match="no vkey"):
            keys.verifiers_of("# none\n")

    def test_openssl_reads_the_pem_and_takes_the_signature(self, tmp_path):
        (tmp_path / "key.pem").write_text(LOG.pem)
        (tmp_path / "data").write_bytes(b"hello")
        (tmp_path / "sig").write_bytes(LOG.sign(b"hello"))
        done = subprocess.run(
            ["openssl", "pkeyutl", "-verify", "-rawin", "-pubin", "-inkey", "key.pem", "-in", "data", "-sigfile", "sig"],
            cwd=tmp_path, capture_output=True, check=False,
        )  # fmt: skip
        assert done.returncode == 0, done


class TestNote:
    SIGNED = note.sign("one\n\ntwo\n", signers=[LOG])

    @pytest.mark.parametrize(
        "bend",
        [
            lambda n: n.replace("two", "tow"),
            lambda n: n.replace("\n\n—", "\n—"),
            lambda n: n.replace("— ", "- "),
            lambda n: n.replace("— ", "—"),
            lambda n: n.replace("— log", "—  log"),
            lambda n: n[:-1],
            lambda n: n + "\n",
            lambda n: n + "x",
            lambda n: n.replace("one", "o\tne"),
            lambda n: n.replace("one", "o\rne"),
            lambda n: n.replace("\n", "\r\n"),
            lambda n: n + n.splitlines(keepends=True)[-1],
            lambda n: n.replace("log.example/acme ", "log.example/acme"),
            lambda n: n.replace("/acme", "/acne"),
            lambda n: n[:-3] + "\n",
            lambda n: n + "— x \n",
            lambda n: n + "— x AAAA\n",
            lambda n: n + "".join(f"— k{i} AAAAAAA=\n" for i in range(64)),
            lambda n: "\n" + n[n.index("\n— ") :],
        ],
    )
    def test_refuses_a_note_bent_in_any_way(self, bend):
        with pytest.raises(BadNote):
            note.open_note(bend(self.SIGNED), verifiers=[LOG.verifier])

    def test_refuses_a_note_that_is_too_large_before_anything_else(self):
        with pytest.raises(BadNote, match="too large"):
            note.open_note(note.sign("x" * 1_000_000 + "\n", signers=[LOG]), verifiers=[LOG.verifier])

    def test_refuses_a_note_with_too_many_signatures(self):
        crowd = "".join(f"— k{n} AAAAAAA=\n" for n in range(64))
        with pytest.raises(BadNote, match="too many"):
            note.open_note(self.SIGNED + crowd, verifiers=[LOG.verifier])

    def test_refuses_a_note_that_no_known_key_signed(self):
        with pytest.raises(BadNote, match="no known key"):
            note.open_note(self.SIGNED, verifiers=[OTHER.verifier])
        with pytest.raises(BadNote, match="no known key"):
            note.open_note(self.SIGNED, verifiers=[])

    def test_refuses_a_known_name_and_id_over_another_signature(self):
        forged = note.sign("one\n\ntwo\n", signers=[OTHER]).splitlines()[-1].split(" ")[2]
        material = bytes.fromhex(LOG.key_id) + base64text.decode(forged)[4:]
        with pytest.raises(BadNote):
            note.open_note(f"one\n\ntwo\n\n— {LOG.name} {base64text.encode(material)}\n", verifiers=[LOG.verifier])

    @pytest.mark.parametrize("text", ["", "\n", "x", "a\x00\n", "\ud800\n"])
    def test_does_not_sign_what_is_no_text(self, text):
        with pytest.raises(BadNote):
            note.sign(text, signers=[LOG])

    def test_does_not_sign_by_nobody(self):
        with pytest.raises(BadNote):
            note.sign("x\n", signers=[])

    def test_ignores_signatures_of_unknown_keys(self):
        signed = note.sign("x\n", signers=[OTHER, LOG])
        assert note.open_note(signed, verifiers=[LOG.verifier]) == "x\n"

    def test_opens_the_published_example(self):
        assert note.open_note(FOO_NOTE, verifiers=[Verifier.from_vkey(FOO)]) == "This is an example message.\n"

    @given(st.data())
    @settings(max_examples=300, deadline=None)
    def test_no_flipped_bit_is_taken(self, data):
        raw = bytearray(self.SIGNED.encode())
        raw[data.draw(st.integers(0, len(raw) - 1))] ^= 1 << data.draw(st.integers(0, 7))
        try:
            bent = raw.decode()
        except UnicodeDecodeError:
            return
        with pytest.raises(BadNote):
            note.open_note(bent, verifiers=[LOG.verifier])


class TestCheckpoint:
    @pytest.mark.parametrize(
        "text",
        [
            "", "o\n", "o\n3\n", HEAD.text[:-1], HEAD.text.replace("3\n", "03\n"), HEAD.text.replace("3\n", "-3\n"), HEAD.text.replace("3\n", "+3\n"),
            HEAD.text.replace("3\n", "³\n"), HEAD.text.replace("3\n", "3 \n"), HEAD.text.replace("3\n", "9" * 20 + "\n"), "\n" + HEAD.text,
            HEAD.text + "\n", HEAD.text + "x\n\n", "o\n3\ncnI=\n", HEAD.text.replace("=", ""), HEAD.text.replace("I=", "J="),
        ],
    )  # fmt: skip
    def test_refuses_what_is_no_tree_head(self, text):
        with pytest.raises(BadCheckpoint):
            checkpoint.parse(text)

    def test_does_not_sign_what_it_would_not_read(self):
        with pytest.raises(BadCheckpoint):
            checkpoint.sign(Checkpoint(origin="a\nb", size=3, root=b"r" * 32), signers=[LOG])

    def test_reads_what_it_writes_with_extensions_verbatim(self):
        head = Checkpoint(origin="o", size=0, root=merkle.EMPTY_ROOT, extensions=("x y", "z"))
        assert checkpoint.open_checkpoint(checkpoint.sign(head, signers=[LOG]), verifiers=[LOG.verifier]) == head


class TestTlogProof:
    PROOF = TlogProof(index=1, path=(b"a" * 32, b"b" * 32), checkpoint=checkpoint.sign(HEAD, signers=[LOG]), extra=b"e")

    @pytest.mark.parametrize(
        "bend",
        [
            lambda t: t.replace("@v1", "@v2"),
            lambda t: t.replace("index 1", "index 01"),
            lambda t: t.replace("index 1", "index -1"),
            lambda t: t.replace("index 1", "index  1"),
            lambda t: t.replace("index 1\n", ""),
            lambda t: t.replace("extra ZQ==", "extra ZQ"),
            lambda t: t.replace("extra ZQ==\nindex 1\n", "index 1\nextra ZQ==\n"),
            lambda t: t.replace("YWE=", "YWF="),
            lambda t: t.replace("YWE=\n", "YWE=\n" + "YWE=\n"),
            lambda t: t.replace("index 1\n", "index 1\n" + (base64text.encode(b"a" * 32) + "\n") * 64),
            lambda t: t[: t.index("\n\n")],
            lambda t: t[: t.index("\n\n") + 2],
            lambda t: "",
        ],
    )
    def test_refuses_a_proof_bent_in_any_way(self, bend):
        with pytest.raises(BadTlogProof):
            tlog_proof.parse(bend(self.PROOF.text))

    @pytest.mark.parametrize("extra", [None, b"", b"e"])
    @pytest.mark.parametrize("path", [(), (b"a" * 32,)])
    def test_reads_what_it_writes(self, extra, path):
        proof = TlogProof(index=0, path=path, checkpoint=self.PROOF.checkpoint, extra=extra)
        assert tlog_proof.parse(proof.text) == proof

    def test_is_laid_out_as_the_specification_shows(self):
        a, b = (base64text.encode(c * 32) for c in (b"a", b"b"))
        assert self.PROOF.text == f"c2sp.org/tlog-proof@v1\nextra ZQ==\nindex 1\n{a}\n{b}\n\n{self.PROOF.checkpoint}"


class TestEnvelope:
    PAYLOAD = b'{"a":"\xc3\xbf>>>???"}'
    ENVELOPE = dsse.sign(PAYLOAD, dsse.IN_TOTO, LOG)

    def bent(self, change):
        envelope = copy.deepcopy(self.ENVELOPE)
        change(envelope)
        return envelope

    @pytest.mark.parametrize(
        "change",
        [
            pytest.param(lambda e: e.update(payload=base64text.encode(b'{"a":"b"}')), id="payload"),
            pytest.param(lambda e: e.update(payload=e["payload"].rstrip("=") + "!"), id="payload no base64"),
            pytest.param(lambda e: e.update(payload=1), id="payload no text"),
            pytest.param(lambda e: e.update(extra=1), id="extra member"),
            pytest.param(lambda e: e.pop("payload"), id="missing member"),
            pytest.param(lambda e: e.update(signatures=[]), id="no signature"),
            pytest.param(lambda e: e.update(signatures="x"), id="signatures no list"),
            pytest.param(lambda e: e["signatures"][0].update(extra=1), id="extra member of a signature"),
            pytest.param(lambda e: e["signatures"][0].update(keyid=1), id="keyid no text"),
            pytest.param(lambda e: e["signatures"][0].pop("sig"), id="no sig"),
            pytest.param(lambda e: e["signatures"].append("x"), id="signature no object"),
            pytest.param(
                lambda e: e["signatures"].append({"keyid": "x", "sig": base64text.encode(b"s" * 64)}),
                id="one more, by nobody",
            ),
            pytest.param(lambda e: e["signatures"][0].update(sig=base64text.encode(b"s" * 64)), id="signature"),
            pytest.param(
                lambda e: e["signatures"][0].update(sig=e["signatures"][0]["sig"][:-3] + "B=="), id="padding bits"
            ),
        ],
    )
    def test_refuses_an_envelope_bent_in_any_way(self, change):
        with pytest.raises(BadEnvelope):
            dsse.verify(self.bent(change), [LOG.verifier], dsse.IN_TOTO)

    def test_abuse_036_refuses_a_swapped_payload_type(self):
        swapped = self.bent(lambda e: e.update(payloadType="text/plain"))
        for envelope, kind in ((swapped, dsse.IN_TOTO), (swapped, "text/plain"), (self.ENVELOPE, "text/plain")):
            with pytest.raises(BadEnvelope):
                dsse.verify(envelope, [LOG.verifier], kind)

    def test_abuse_035_never_trusts_the_key_id(self):
        claimed = self.bent(lambda e: e["signatures"][0].update(keyid=OTHER.key_id))
        assert dsse.verify(claimed, [LOG.verifier], dsse.IN_TOTO) == self.PAYLOAD
        forged = dsse.sign(self.PAYLOAD, dsse.IN_TOTO, OTHER)
        forged["signatures"][0]["keyid"] = LOG.key_id
        with pytest.raises(BadEnvelope, match="known key"):
            dsse.verify(forged, [LOG.verifier], dsse.IN_TOTO)

    @pytest.mark.parametrize("envelope", [None, [], "x", 1])
    def test_refuses_what_is_no_object(self, envelope):
        with pytest.raises(BadEnvelope):
            dsse.verify(envelope, [LOG.verifier], dsse.IN_TOTO)

    def test_refuses_all_without_a_known_key(self):
        with pytest.raises(BadEnvelope):
            dsse.verify(self.ENVELOPE, [], dsse.IN_TOTO)

    def test_takes_both_alphabets_and_writes_the_standard_one(self):
        assert set("+/") & set(self.ENVELOPE["payload"])
        url_safe = self.bent(lambda e: e.update(payload=e["payload"].translate(str.maketrans("+/", "-_"))))
        assert dsse.verify(url_safe, [LOG.verifier], dsse.IN_TOTO) == self.PAYLOAD

    def test_takes_an_envelope_without_a_key_id(self):
        assert (
            dsse.verify(self.bent(lambda e: e["signatures"][0].pop("keyid")), [LOG.verifier], dsse.IN_TOTO)
            == self.PAYLOAD
        )

    def test_signs_the_encoding_of_the_specification(self):
        assert (
            dsse.pae(b"hello world", "http://example.com/HelloWorld")
            == b"DSSEv1 29 http://example.com/HelloWorld 11 hello world"
        )
