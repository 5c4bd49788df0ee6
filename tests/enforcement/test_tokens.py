"""A token holds if its issuer's own key signed just this, for us, for now; and in no other way."""

import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric import rsa

from countersign.proof import base64text
from enforcement import tokens
from enforcement.tokens import BadToken, UnknownKey
from registry import jwks
from registry.snapshot import IssuerView
from tests.enforcement.vouching import ALL, ISSUER, pem, public, signed

NOW = datetime(2026, 11, 20, 10, tzinfo=UTC)
AT = int(NOW.timestamp())
VIEW = IssuerView(1, "corp", "acme", "jwt", ISSUER, "us", {}, "", tuple(ALL), "sub", "", 3600, "")
KEYS = jwks.read({"keys": [public(algorithm) for algorithm in ALL]})


def said(**changes: Any) -> dict[str, Any]:
    told = {"iss": ISSUER, "aud": "us", "iat": AT, "exp": AT + 600, "sub": "support-bot", **changes}
    return {name: value for name, value in told.items() if value is not None}


def check(text: str, view: IssuerView = VIEW, *, now: datetime = NOW) -> datetime:
    return tokens.check(tokens.read(text), view, KEYS, now=now)


def segment(value: Any) -> str:
    raw = value if isinstance(value, bytes) else json.dumps(value).encode()
    return base64text.encode(raw).rstrip("=").replace("+", "-").replace("/", "_")


def unsigned(header: Any, claims: Any, signature: str = "AAAA") -> str:
    return f"{segment(header)}.{segment(claims)}.{signature}"


class TestCheck:
    @pytest.mark.parametrize("algorithm", ALL)
    def test_believes_a_listed_algorithm_until_the_end_and_a_little_longer(self, algorithm: str) -> None:
        assert check(signed(said(), algorithm)) == NOW + timedelta(seconds=600) + tokens.LEEWAY

    @pytest.mark.parametrize("algorithm", ["none", "None", "HS256", "HS512", "", None, 7, ["EdDSA"]])
    def test_abuse_035_believes_no_algorithm_that_is_no_signature(self, algorithm: Any) -> None:
        with pytest.raises(BadToken, match="algorithm"):
            check(unsigned({"alg": algorithm, "kid": "RS256-one"}, said()))

    def test_abuse_035_takes_no_public_key_for_a_secret(self) -> None:
        hmac = jwt.algorithms.HMACAlgorithm(jwt.algorithms.HMACAlgorithm.SHA256)
        head = f"{segment({'alg': 'HS256', 'kid': 'RS256-one'})}.{segment(said())}"
        with pytest.raises(BadToken, match="algorithm"):
            check(f"{head}.{segment(hmac.sign(head.encode(), pem()))}")

    def test_abuse_035_tries_a_key_only_with_the_algorithm_it_is_for(self) -> None:
        for kid in ("RS256-one", "ES256-one"):
            with pytest.raises(UnknownKey):
                check(signed(said(), header={"kid": kid}))

    def test_abuse_035_a_key_of_another_name_does_not_sign_for_this_one(self) -> None:
        with pytest.raises(BadToken, match="signature"):
            check(signed(said(), name="two", header={"kid": "EdDSA-one"}))
        with pytest.raises(UnknownKey):
            check(signed(said(), name="two"))

    def test_abuse_035_looks_at_no_key_that_the_token_brings(self) -> None:
        for brought in ({"jwk": public(name="two")}, {"jku": "https://evil.test/keys"}, {"x5u": "https://evil.test/c"}):
            with pytest.raises(UnknownKey):
                check(signed(said(), name="two", header=brought))

    def test_an_algorithm_that_this_issuer_does_not_list_is_none_of_its(self) -> None:
        with pytest.raises(BadToken, match="algorithm"):
            check(signed(said(), "RS256"), replace(VIEW, algorithms=("EdDSA",)))

    def test_needs_no_name_of_the_key_where_there_is_one(self) -> None:
        check(signed(said(), header={"kid": None}))
        two = (*KEYS, *jwks.read({"keys": [public(name="two")]}))
        with pytest.raises(UnknownKey):
            tokens.check(tokens.read(signed(said(), header={"kid": None})), VIEW, two, now=NOW)

    @pytest.mark.parametrize(
        "changes",
        [
            {"iss": ISSUER.rstrip("/")}, {"iss": ISSUER.upper()}, {"iss": None}, {"aud": "US"}, {"aud": "us "}, {"aud": None},
            {"aud": ["us", "them"]}, {"aud": []}, {"aud": ["them"]}, {"aud": {"us": 1}},
        ],
        ids=str,
    )  # fmt: skip
    def test_is_of_exactly_this_issuer_for_exactly_us(self, changes: dict[str, Any]) -> None:
        with pytest.raises(BadToken):
            check(signed(said(**changes)))

    def test_an_audience_alone_in_a_list_is_that_audience(self) -> None:
        check(signed(said(aud=["us"])))

    @pytest.mark.parametrize(
        ("changes", "words"),
        [
            ({"exp": AT - 30}, "expired"),
            ({"exp": None}, "exp is missing"),
            ({"exp": "soon"}, "exp is missing"),
            ({"exp": True}, "exp is missing"),
            ({"exp": 10**12}, "exp is missing"),
            ({"iat": None}, "iat is missing"),
            ({"iat": AT + 31}, "not valid yet"),
            ({"nbf": AT + 31}, "not valid yet"),
            ({"exp": AT + 3601}, "longer than is allowed"),
            ({"iat": AT - 4000}, "longer than is allowed"),
            ({"iat": AT - 10, "exp": AT - 10}, "longer than is allowed"),
        ],
        ids=str,
    )
    def test_holds_only_in_its_time_which_is_short(self, changes: dict[str, Any], words: str) -> None:
        with pytest.raises(BadToken, match=words):
            check(signed(said(**changes)))

    def test_forgives_a_clock_that_is_half_a_minute_off(self) -> None:
        check(signed(said(exp=AT - 29, iat=AT - 60)))
        check(signed(said(iat=AT + 30, nbf=AT + 30)))


class TestRead:
    @pytest.mark.parametrize(
        "text",
        [
            "", "a.b", "a.b.c.d", "..", "e30.e30.", "=.=.=", "Ã.b.c", unsigned([], said()), unsigned({"alg": "EdDSA"}, []),
            unsigned(b'{"alg":"EdDSA","alg":"EdDSA"}', said()),
            unsigned({"alg": "EdDSA"}, b'{"iss":"a","iss":"b","aud":"us"}'),
            unsigned({"alg": "EdDSA", "crit": ["exp"]}, said()), unsigned({"alg": "EdDSA", "b64": False}, said()),
            unsigned({"alg": "EdDSA", "kid": 7}, said()), unsigned({"alg": "EdDSA"}, b"\xff"),
        ],
    )  # fmt: skip
    def test_refuses_what_two_readers_could_read_differently(self, text: str) -> None:
        with pytest.raises(BadToken):
            tokens.read(text)

    def test_refuses_a_token_of_any_length(self) -> None:
        with pytest.raises(BadToken, match="long"):
            tokens.read(signed(said(more="x" * tokens.MAX_TOKEN)))

    def test_tells_nothing_of_the_token_when_it_is_printed(self) -> None:
        text = signed(said())
        told = repr(tokens.read(text))
        assert text.split(".")[1] not in told
        assert "support-bot" not in told


class TestKeys:
    def test_refuses_a_set_with_a_secret_in_it(self) -> None:
        secret = {**public(), "d": "AAAA"}
        for value in ({"keys": [public(), secret]}, {"keys": [{"kty": "oct", "k": "AAAA"}]}):
            with pytest.raises(jwks.BadKeys, match="private or symmetric"):
                jwks.read(value)

    @pytest.mark.parametrize("value", [None, [], {}, {"keys": {}}, {"keys": ["x"]}, {"keys": []}, {"keys": [{}] * 101}])
    def test_refuses_what_is_no_set(self, value: Any) -> None:
        with pytest.raises(jwks.BadKeys):
            jwks.read(value)

    def test_passes_over_what_cannot_verify(self) -> None:
        short = jwt.algorithms.RSAAlgorithm.to_jwk(rsa.generate_private_key(65537, 1024).public_key(), as_dict=True)
        others = [
            {**short, "kid": "short"}, {**public(), "use": "enc"}, {**public(), "alg": "ES256"}, {**public(), "kid": 7},
            {"kty": "EC", "crv": "secp256k1", "x": "AA", "y": "AA"}, {**public(), "x": "AA"},
        ]  # fmt: skip
        assert [key.kid for key in jwks.read({"keys": [*others, public("ES256")]})] == ["ES256-one"]
        with pytest.raises(jwks.BadKeys, match="no key in it"):
            jwks.read({"keys": others})
