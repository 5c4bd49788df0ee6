"""What an approver is shown: all of it, from the bytes that are approved."""

import base64
import hashlib
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from approvals.display import Kind, Line, NotTheseArguments, flattened, show
from countersign.policy.values import Call, Principal, Risk, RiskFactor
from countersign.proof import canonical, digests
from tests.approvals import asking


class Anywhere:
    """A world is asked for its slug alone."""

    slug = "acme"


def call(arguments: Any = None, **changes: Any) -> Call:
    world: Any = Anywhere()
    return asking.call(world, arguments, **changes)


def lines(made: Call, justification: str = "") -> list[Line]:
    return show(made, asking.verdict(), risk_tier=3, policy_revision=41, justification=justification).lines


def observed(said: object, *, bound: str) -> Call:
    """A tool whose fingerprint the agent told among its properties, and the action names."""
    made = call(resource_properties={"descriptor_digest": said, "region": "eu"})
    action = {**made.action, "descriptor_digest": bound}
    return replace(made, action=action, action_digest=digests.action_digest(action))


def values(shown: list[Line], label: str) -> list[str]:
    return [line["value"] for line in shown if line["label"] == label]


class TestBinding:
    def test_refuses_arguments_of_another_digest(self) -> None:
        made = call({"amount": "1.00"})
        with pytest.raises(NotTheseArguments):
            lines(replace(made, arguments={"amount": "1000.00"}))

    def test_refuses_an_action_of_another_digest(self) -> None:
        made = call()
        with pytest.raises(NotTheseArguments):
            lines(replace(made, action={**made.action, "action": {"name": "get"}}))

    def test_abuse_150_everything_shown_is_in_the_hash(self) -> None:
        made, verdict = call({"amount": "1.00"}), asking.verdict()
        given: dict[str, Any] = {"risk_tier": 3, "policy_revision": 41, "justification": "please"}
        base = show(made, verdict, **given).hash
        for change in ({"risk_tier": 2}, {"policy_revision": 42}, {"justification": "please!"}):
            assert show(made, verdict, **(given | change)).hash != base
        assert show(replace(made, session="s-82"), verdict, **given).hash != base
        assert show(replace(made, principal=Principal("user", "dana")), verdict, **given).hash != base

    def test_the_hash_is_the_one_anybody_can_compute(self) -> None:
        made = call()
        shown = show(made, asking.verdict(), risk_tier=3, policy_revision=41, justification="")
        assert shown.hash == digests.display_hash(
            profile="countersign-lines-v1", action_digest=made.action_digest, lines=shown.lines
        )


class TestFacts:
    def test_says_who_for_whom_and_what(self) -> None:
        shown = lines(call(principal=Principal("user", "dana@acme.test")))
        assert values(shown, "Agent") == ["support-bot"]
        assert values(shown, "For") == ["user dana@acme.test (unverified: the agent says so)"]
        assert values(shown, "Tool") == ["payments.refund"]
        assert values(shown, "Method") == ["create"]
        assert values(shown, "Transaction") == ["case-4711"]
        assert values(shown, "Risk tier") == ["3 – high"]
        assert values(shown, "Policy revision") == ["41"]
        assert values(shown, "Reason") == ["Refunds of 100 or more need finance. [refunds-over-100]"]

    def test_says_when_the_principal_is_proven_and_when_there_is_none(self) -> None:
        assert values(lines(call(principal=Principal("user", "dana", verified=True))), "For") == [
            "user dana (verified)"
        ]
        assert values(lines(call()), "For") == ["nobody named"]

    def test_says_the_risk_and_what_it_is_made_of(self) -> None:
        risky = replace(asking.verdict(), risk=Risk(62, (RiskFactor("risk_tier", 45), RiskFactor("amount", 17))))
        shown = show(call(), risky, risk_tier=3, policy_revision=1, justification="").lines
        assert values(shown, "Risk score") == ["62 of 100 (risk tier 45, amount 17)"]

    def test_shows_environment_and_properties(self) -> None:
        shown = lines(call(environment={"cwd": "/srv"}, resource_properties={"region": "eu"}))
        assert values(shown, "environment.cwd") == ['"/srv"']
        assert values(shown, "tool properties.region") == ['"eu"']

    def test_says_that_the_session_is_not_among_what_is_approved(self) -> None:
        made = call(session="s-81")
        assert "s-81" not in canonical.dumps(made.action).decode()
        labels = [line["label"] for line in lines(made) if line["value"] == "s-81"]
        assert labels == ["Session (not part of what is approved)"]

    def test_a_fingerprint_the_action_binds_by_itself_is_shown_once(self) -> None:
        digest = "sha256:" + "ab" * 32
        shown = lines(observed(digest, bound=digest))
        assert [line["label"] for line in shown if digest in line["value"]] == ["descriptor_digest"]
        assert values(shown, "tool properties.region") == ['"eu"']

    @pytest.mark.parametrize("said", [None, 7, "sha256:cd"])
    def test_abuse_031_another_fingerprint_than_the_bound_one_is_shown_too(self, said: object) -> None:
        shown = lines(observed(said, bound="sha256:ab"))
        assert values(shown, "tool properties.descriptor_digest") == [canonical.dumps(said).decode()]
        assert values(shown, "descriptor_digest") == ['"sha256:ab"']

    def test_abuse_031_one_that_is_not_bound_by_itself_is_shown(self) -> None:
        shown = lines(call(resource_properties={"descriptor_digest": None}))
        assert values(shown, "tool properties.descriptor_digest") == ["null"]

    def test_abuse_031_shows_what_else_the_action_binds(self) -> None:
        made = call()
        action = {**made.action, "schema_digest": "sha256:ab"}
        bound = replace(made, action=action, action_digest=digests.action_digest(action))
        assert values(lines(bound), "schema_digest") == ['"sha256:ab"']


class TestArguments:
    def test_a_text_and_a_number_are_told_apart(self) -> None:
        shown = lines(call({"a": "true", "b": True, "c": "1", "d": 1, "e": None, "f": {}, "g": [], "h": 1.5}))
        assert [values(shown, f"arguments.{name}") for name in "abcdefgh"] == [
            ['"true"'], ["true"], ['"1"'], ["1"], ["null"], ["{}"], ["[]"], ["1.5"],
        ]  # fmt: skip

    def test_nothing_is_cut(self) -> None:
        long = "x y " * 50_000
        assert values(lines(call({"body": long})), "arguments.body") == [f'"{long}"']

    def test_paths_are_spelt_so_that_no_two_are_alike(self) -> None:
        nested = {"a": {"b": 1}, "a.b": 2, "c": [{"d": 3}], "c[0].d": 4, "": 5, "a\u202eb": 6}
        labels = [line["label"] for line in lines(call(nested)) if line["kind"] == Kind.ARGUMENT]
        assert labels == [
            'arguments[""]', "arguments.a.b", 'arguments["a.b"]', 'arguments["a⟨U+202E⟩b"]', "arguments.c[0].d",
            'arguments["c[0].d"]',
        ]  # fmt: skip

    def test_no_arguments_are_said(self) -> None:
        assert values(lines(call({})), "arguments") == ["{}"]

    def test_abuse_021_an_added_recipient_is_a_line_of_its_own(self) -> None:
        shown = lines(call({"to": "a@acme.test", "bcc": "evil@x.test"}))
        assert values(shown, "arguments.bcc") == ['"evil@x.test"']

    @pytest.mark.parametrize(
        ("text", "flag"),
        [
            ("ac\u200bme", "invisible"), ("p\u0430ypal", "mixed_script"), ("a\u202eb", "bidi"), ("a\rb", "control"),
            ("u\u0308", "not_normalised"),
        ],
        ids=["014", "015", "016", "017", "013"],
    )  # fmt: skip
    def test_abuse_013_to_017_tricks_are_flagged_on_their_line(self, text: str, flag: str) -> None:
        (line,) = [line for line in lines(call({"payee": text})) if line["kind"] == Kind.ARGUMENT]
        assert flag in line["flags"]
        assert text not in line["value"]

    def test_a_base64_blob_is_said_to_be_uninspectable_beside_its_text(self) -> None:
        blob = hashlib.sha512(b"blob").digest()
        encoded = base64.b64encode(blob).decode()
        shown = lines(call({"file": f"data:application/pdf;base64,{encoded}"}))
        text, note = values(shown, "arguments.file")
        assert encoded in text
        assert note == f"uninspectable (64 bytes, sha256 {hashlib.sha256(blob).hexdigest()})"

    def test_control_bytes_and_hexadecimal_blobs_are_uninspectable(self) -> None:
        for text in ("\x01\x02PK", "00ff" * 30):
            shown = [line for line in lines(call({"file": text})) if line["kind"] == Kind.UNINSPECTABLE]
            assert [line["flags"] for line in shown] == [["uninspectable"]]

    @pytest.mark.parametrize("text", ["sha256:" + "0f" * 32, "/srv/app/" + "very/long/path/" * 9, "word" * 20])
    def test_what_a_reader_can_judge_is_not(self, text: str) -> None:
        assert not [line for line in lines(call({"file": text})) if line["kind"] == Kind.UNINSPECTABLE]


class TestQuotes:
    def test_abuse_022_the_agents_words_come_last_and_as_a_quote(self) -> None:
        made = call({"amount": "900.00"}, context={"summary": "A harmless refund of 1.00"})
        shown = lines(made, "routine\n[approved by finance]")
        kinds = [line["kind"] for line in shown]
        assert kinds[-2:] == [Kind.QUOTE, Kind.QUOTE]
        assert Kind.QUOTE not in kinds[:-2]
        assert values(shown, "The agent's summary") == ["A harmless refund of 1.00"]
        assert values(shown, "The agent says") == ["routine⏎\n[approved by finance]"]

    def test_an_argument_called_summary_is_an_argument(self) -> None:
        (line,) = [line for line in lines(call({"summary": "fine"})) if "summary" in line["label"]]
        assert line["kind"] == Kind.ARGUMENT


json = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53) + 1, 2**53 - 1) | st.text(max_size=4),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
    max_leaves=8,
)


class TestLaws:
    @given(json, json)
    def test_different_arguments_are_never_shown_alike(self, one: Any, other: Any) -> None:
        try:
            same = canonical.dumps(one) == canonical.dumps(other)
        except canonical.NotCanonical:
            return
        shown = [[*flattened("arguments", value, Kind.ARGUMENT)] for value in (one, other)]
        assert (shown[0] == shown[1]) == same
