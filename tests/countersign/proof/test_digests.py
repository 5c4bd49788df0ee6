"""That no two meanings share a digest, and that the digests are those that the documents promise."""

import hashlib
from itertools import combinations

import pytest

from countersign.proof import digests

ACTION = digests.action_digest({"tool": "payments.refund"})
SEEN = digests.sha256(b"seen")
PARTS = {"request": "arq_1", "decision": "approve", "action_digest": ACTION, "seen": SEEN, "nonce": "n-1"}


def plain(data: bytes) -> str:
    return f"sha256:{hashlib.sha256(data).hexdigest()}"


class TestCommitment:
    @pytest.mark.parametrize("salt", [b"", b"s" * 31, b"s" * 33])
    def test_refuses_a_salt_that_is_not_32_bytes(self, salt):
        with pytest.raises(digests.BadSalt):
            digests.commitment(salt, ACTION)

    @pytest.mark.parametrize(
        "digest", ["", "sha256:", ACTION[7:], ACTION.upper(), ACTION + "\n", ACTION[:-1], "sha256:" + " " * 64, None, 1]
    )
    def test_refuses_what_is_no_digest(self, digest):
        with pytest.raises(digests.NotADigest):
            digests.commitment(b"s" * 32, digest)

    def test_is_over_domain_salt_and_raw_digest(self):
        expected = plain(b"countersign/commitment/v1\n" + b"s" * 32 + bytes.fromhex(ACTION[7:]))
        assert digests.commitment(b"s" * 32, ACTION) == expected


class TestChallenge:
    @pytest.mark.parametrize("part", ["request", "decision", "nonce"])
    @pytest.mark.parametrize("value", ["a\nb", "", "\n"])
    def test_refuses_a_part_with_a_newline_or_nothing(self, part, value):
        with pytest.raises(digests.BadPart):
            digests.challenge(**{**PARTS, part: value})

    @pytest.mark.parametrize("part", ["action_digest", "seen"])
    def test_refuses_a_part_that_must_be_a_digest(self, part):
        with pytest.raises(digests.NotADigest):
            digests.challenge(**{**PARTS, part: "approve"})

    def test_changes_with_every_part(self):
        changed = [
            digests.challenge(**{**PARTS, name: plain(b"x") if ":" in value else "x"}) for name, value in PARTS.items()
        ]
        assert all(a != b for a, b in combinations([digests.challenge(**PARTS), *changed], 2))

    def test_nothing_slides_between_two_parts(self):
        assert digests.challenge(**{**PARTS, "request": "ab", "decision": "c"}) != digests.challenge(
            **{**PARTS, "request": "a", "decision": "bc"}
        )

    def test_closes_each_part_with_a_newline(self):
        expected = f"countersign/challenge/v1\narq_1\napprove\n{ACTION}\n{SEEN}\nn-1\n"
        assert digests.challenge(**PARTS) == plain(expected.encode())


class TestDomains:
    def test_equal_values_in_different_roles_have_different_digests(self):
        value = {"a": 1}
        assert len({digests.arguments_digest(value), digests.action_digest(value), digests.sha256(b'{"a":1}')}) == 3

    def test_arguments_and_action_are_over_domain_and_canonical_bytes(self):
        assert digests.arguments_digest({"b": 1, "a": "x"}) == plain(b'countersign/arguments/v1\n{"a":"x","b":1}')
        assert digests.action_digest({"b": 1, "a": "x"}) == plain(b'countersign/action/v1\n{"a":"x","b":1}')

    def test_the_order_of_members_does_not_matter(self):
        assert digests.arguments_digest({"a": 1, "b": 2}) == digests.arguments_digest({"b": 2, "a": 1})


class TestDisplayHash:
    def test_changes_with_profile_action_and_every_line(self):
        lines = [{"label": "Amount", "value": "250.00"}, {"label": "To", "value": "A"}]
        shown = [
            digests.display_hash(profile="web/1", action_digest=ACTION, lines=lines),
            digests.display_hash(profile="slack/1", action_digest=ACTION, lines=lines),
            digests.display_hash(profile="web/1", action_digest=SEEN, lines=lines),
            digests.display_hash(profile="web/1", action_digest=ACTION, lines=lines[:1]),
            digests.display_hash(profile="web/1", action_digest=ACTION, lines=lines[::-1]),
        ]
        assert len(set(shown)) == 5

    def test_is_over_domain_and_canonical_bytes(self):
        expected = f'countersign/display/v1\n{{"action_digest":"{ACTION}","lines":[{{"v":"é"}}],"profile":"web/1"}}'
        assert digests.display_hash(profile="web/1", action_digest=ACTION, lines=[{"v": "é"}]) == plain(
            expected.encode()
        )


class TestText:
    def test_refuses_raw_bytes_of_another_length(self):
        with pytest.raises(digests.NotADigest):
            digests.text(b"x" * 31)

    def test_is_undone_by_raw(self):
        assert digests.raw(digests.text(b"x" * 32)) == b"x" * 32
