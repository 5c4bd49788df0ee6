"""A token of ours is verified; whatever is not exactly one of them, of this kind, from us, for us and in time, is not."""

import base64
import json
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import jwt
import pytest
from django.conf import settings

from evidence import keys, tokens
from evidence.keys import Purpose
from evidence.tokens import APPROVAL, BINDING, Expired, NotOurs

NOW = datetime(2026, 11, 29, 12, 0, tzinfo=UTC)
CLAIMS = {"iss": "https://pdp.test", "aud": "https://pdp.test/a", "exp": int(NOW.timestamp()) + 60, "n": 7}


@pytest.fixture(autouse=True)
def directory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    keys.create_missing(tmp_path)
    monkeypatch.setattr(settings, "COUNTERSIGN", settings.COUNTERSIGN.model_copy(update={"keys_dir": tmp_path}))
    return tmp_path


def verify(token: object, kind: tokens.Kind = BINDING, **changes: Any) -> Any:
    given = {"issuer": "https://pdp.test", "audience": "https://pdp.test/a", "now": NOW}
    return tokens.verify(token, kind, **(given | changes))


def rotate(directory: Path, purpose: Purpose, *, seed: bytes = b"n") -> None:
    """As docs/decision-api.md has it: one more line, the first."""
    path = directory / f"{purpose}.key"
    path.write_text(base64.b64encode(seed * 32).decode() + "\n" + path.read_text())


def part(value: Any) -> str:
    return base64.urlsafe_b64encode(json.dumps(value).encode()).decode().rstrip("=")


def header(token: str) -> dict[str, str]:
    return jwt.get_unverified_header(token)


def headed(token: str, **changes: Any) -> str:
    """The token under another header, its payload and signature as they were."""
    _, payload, signature = token.split(".")
    told = {name: value for name, value in {**header(token), **changes}.items() if value is not None}
    return f"{part(told)}.{payload}.{signature}"


class TestVerify:
    def test_gives_the_claims_of_what_was_signed(self):
        assert verify(tokens.sign(CLAIMS, BINDING)) == CLAIMS

    def test_an_audience_may_be_one_of_several(self):
        several = {**CLAIMS, "aud": ["https://other.test", "https://pdp.test/a"]}
        assert verify(tokens.sign(several, BINDING))["n"] == 7

    @pytest.mark.parametrize(
        "forge",
        [
            pytest.param(lambda token: headed(token, alg="none").rsplit(".", 1)[0] + ".", id="abuse_035 alg none"),
            pytest.param(lambda token: headed(token, alg="none"), id="abuse_035 alg none with a signature"),
            pytest.param(lambda token: headed(token, alg="HS256"), id="abuse_035 alg of a shared secret"),
            pytest.param(
                lambda token: jwt.encode(CLAIMS, keys.signer(Purpose.PDP).verifier.public, "HS256", {**header(token), "alg": "HS256"}),
                id="abuse_035 the public key as a shared secret",
            ),
            pytest.param(lambda token: headed(token, kid="unknown"), id="abuse_035 key id unknown"),
            pytest.param(
                lambda token: headed(token, kid=tokens.thumbprint(keys.signer(Purpose.APPROVALS).verifier)),
                id="abuse_035 key id swapped",
            ),
            pytest.param(lambda token: headed(token, kid=None), id="no key id"),
            pytest.param(lambda token: headed(token, kid=7), id="key id no text"),
            pytest.param(lambda token: headed(token, typ="JWT"), id="abuse_036 another type"),
            pytest.param(lambda token: headed(token, typ=APPROVAL.typ), id="abuse_036 the other type of ours"),
            pytest.param(lambda token: headed(token, jku="https://evil.test/jwks"), id="a header that names its key"),
            pytest.param(lambda token: headed(token, crit=["b64"], b64=False), id="an unencoded payload"),
            pytest.param(lambda token: token[:-4] + "AAAA", id="another signature"),
            pytest.param(lambda token: ".".join([token.split(".")[0], part({**CLAIMS, "n": 8}), token.split(".")[2]]), id="another payload"),
            pytest.param(lambda token: token + "=", id="padded"),
            pytest.param(lambda token: token + ".x", id="four parts"),
            pytest.param(lambda token: "", id="nothing"),
            pytest.param(lambda token: "é" + token, id="not ASCII"),
            pytest.param(lambda token: "A" * 9000, id="too long"),
            pytest.param(lambda token: {"token": token}, id="no text"),
            pytest.param(lambda token: None, id="null"),
        ],
    )  # fmt: skip
    def test_refuses_what_is_not_as_we_signed_it(self, forge: Callable[[str], object]):
        with pytest.raises(NotOurs):
            verify(forge(tokens.sign(CLAIMS, BINDING)))

    def test_abuse_036_refuses_another_type_though_the_key_is_right(self):
        with pytest.raises(NotOurs, match="header"):
            verify(tokens.sign(CLAIMS, tokens.Kind("JWT", Purpose.PDP)))

    def test_refuses_a_header_that_says_more_though_it_is_signed(self):
        signer = keys.signer(Purpose.PDP)
        told = {"kid": tokens.thumbprint(signer.verifier), "typ": BINDING.typ, "jku": "https://evil.test/jwks"}
        token = tokens._jws.encode(json.dumps(CLAIMS).encode(), signer, "EdDSA", told)
        with pytest.raises(NotOurs, match="header"):
            verify(token)

    def test_abuse_036_refuses_a_token_of_the_other_kind(self):
        with pytest.raises(NotOurs):
            verify(tokens.sign(CLAIMS, APPROVAL))

    @pytest.mark.parametrize(
        "changes", [{"iss": "https://other.test"}, {"aud": "https://other.test"}, {"aud": []}, {"aud": 7}, {"exp": "9"}, {"exp": True}]
    )  # fmt: skip
    def test_refuses_what_is_from_or_for_another_or_never_ends(self, changes):
        with pytest.raises(NotOurs):
            verify(tokens.sign({**CLAIMS, **changes}, BINDING))

    @pytest.mark.parametrize("missing", ["iss", "aud", "exp"])
    def test_refuses_what_lacks_a_claim(self, missing):
        with pytest.raises(NotOurs):
            verify(tokens.sign({name: value for name, value in CLAIMS.items() if name != missing}, BINDING))

    def test_ends_exclusive(self):
        token = tokens.sign(CLAIMS, BINDING)
        assert verify(token, now=NOW + timedelta(seconds=59, milliseconds=999))
        with pytest.raises(Expired):
            verify(token, now=NOW + timedelta(seconds=60))


class TestRotation:
    def test_old_tokens_still_verify_and_new_ones_are_signed_with_the_new_key(self, directory):
        old = tokens.sign(CLAIMS, BINDING)
        rotate(directory, Purpose.PDP)
        assert verify(old)["n"] == 7
        keys.forget()
        new = tokens.sign(CLAIMS, BINDING)
        assert header(new)["kid"] != header(old)["kid"]
        assert verify(old) == verify(new)
        assert [one["kid"] for one in tokens.jwks()["keys"][:2]] == [header(new)["kid"], header(old)["kid"]]

    def test_every_older_line_of_the_file_still_counts(self, directory):
        rotate(directory, Purpose.PDP)
        keys.forget()
        second = tokens.sign(CLAIMS, BINDING)
        rotate(directory, Purpose.PDP, seed=b"o")
        keys.forget()
        assert verify(second)["n"] == 7

    def test_a_process_that_has_not_seen_the_new_key_reads_it_when_it_meets_it(self, directory):
        rotate(directory, Purpose.PDP)
        keys.forget()
        new = tokens.sign(CLAIMS, BINDING)
        newer, older = (directory / "pdp.key").read_text().splitlines()
        (directory / "pdp.key").write_text(older + "\n")
        keys.forget()
        keys.verifiers(Purpose.PDP)  # remembered without the new key
        (directory / "pdp.key").write_text(f"{newer}\n{older}\n")
        assert verify(new)["n"] == 7

    def test_a_key_that_was_taken_away_counts_no_more(self, directory):
        old = tokens.sign(CLAIMS, BINDING)
        (directory / "pdp.key").write_text(base64.b64encode(b"n" * 32).decode() + "\n")
        (directory / "pdp.vkeys").write_text(keys.Signer(name="countersign/pdp", seed=b"n" * 32).vkey + "\n")
        keys.forget()
        with pytest.raises(NotOurs):
            verify(old)


class TestJwks:
    def test_any_library_verifies_with_what_is_published(self):
        token = tokens.sign(CLAIMS, APPROVAL)
        published = jwt.PyJWKSet.from_dict(tokens.jwks())
        assert jwt.decode(
            token, published[header(token)["kid"]], ["EdDSA"], audience=CLAIMS["aud"], options={"verify_exp": False}
        ) == CLAIMS  # fmt: skip

    def test_tells_public_halves_alone(self):
        for one in tokens.jwks()["keys"]:
            assert one.keys() == {"kty", "crv", "x", "alg", "kid", "use"}
