"""What people register about a tool, checked."""

from datetime import timedelta
from decimal import Decimal
from typing import Any

import pytest

from countersign.policy.faults import InvalidError, parse_duration
from countersign.policy.tools import check_argument_rules, check_schema, check_teams, parse_approval, parse_caps
from countersign.policy.values import RateCap, Requirement, SpendCap, StepUp, Tier, TokenCap


def refused(function: Any, *args: Any, **kwargs: Any) -> InvalidError:
    with pytest.raises(InvalidError) as caught:
        function(*args, **kwargs)
    assert isinstance(caught.value, ValueError)
    return caught.value


class TestDurations:
    @pytest.mark.parametrize(
        "text", ["", "0s", "-1s", "1", "1w", "1.5h", "15 m", "01m", "m", "15M", 15, None, "9" * 9 + "d"]
    )
    def test_refuses(self, text: object) -> None:
        assert parse_duration(text) is None

    def test_reads(self) -> None:
        assert [parse_duration(one) for one in ("10s", "15m", "2h", "7d")] == [
            timedelta(seconds=10), timedelta(minutes=15), timedelta(hours=2), timedelta(days=7),
        ]  # fmt: skip


class TestApproval:
    @pytest.mark.parametrize("quorum", [0, -1, None, 1.0, "2", True, 21])
    def test_abuse_049_a_quorum_that_is_none(self, quorum: object) -> None:
        error = refused(parse_approval, {"teams": ["f"], "quorum": quorum}, tier=Tier.HIGH, source="tool")

        assert error.path == ("quorum",)

    def test_tells_all_faults(self) -> None:
        block = {"teams": [], "quorum": 0, "step_up": "sms", "expires_in": "x", "usess": 1}

        assert len(refused(parse_approval, block, tier=None, source="rule:a").faults) == 5

    @pytest.mark.parametrize("value", [None, [], "finance", 1])
    def test_refuses_what_is_no_mapping(self, value: Any) -> None:
        refused(parse_approval, value, tier=None, source="tool")

    def test_defaults(self) -> None:
        assert parse_approval({"teams": ["f"], "always": True}, tier=Tier.CRITICAL, source="tool") == Requirement(
            source="tool", teams=("f",), step_up=StepUp.TOTP
        )

    def test_abuse_050_more_than_there_are(self) -> None:
        refused(check_teams, Requirement("tool", ("f", "g"), quorum=3), {"f": ["erin"], "g": ["frank"]})

    def test_abuse_050_one_person_in_two_teams_counts_once(self) -> None:
        refused(check_teams, Requirement("tool", ("f", "g"), quorum=3), {"f": ["erin", "frank"], "g": ["erin"]})


class TestCaps:
    @pytest.mark.parametrize(
        ("block", "path"),
        [
            ({"rate": ["30/min"]}, ("rate", 0)),
            ({"rate": ["0/minute"]}, ("rate", 0)),
            ({"rate": [30]}, ("rate", 0)),
            ({"rate": ["1/day", "2/day"]}, ("rate", 1)),
            ({"rate": 5}, ("rate",)),
            ({"spend": {"argument": "a", "currency": "EUR"}}, ("spend",)),
            ({"spend": {"argument": "a", "per_call": 10.5, "currency": "EUR"}}, ("spend", "per_call")),
            ({"spend": {"argument": "a", "per_call": 10, "currency": "EUR"}}, ("spend", "per_call")),
            ({"spend": {"argument": "a", "per_call": "-1", "currency": "EUR"}}, ("spend", "per_call")),
            ({"spend": {"argument": "a", "per_call": "0.00", "currency": "EUR"}}, ("spend", "per_call")),
            ({"spend": {"argument": "a", "per_call": "1e3", "currency": "EUR"}}, ("spend", "per_call")),
            ({"spend": {"argument": "a", "per_call": "1", "currency": "euro"}}, ("spend", "currency")),
            ({"spend": {"per_call": "1", "currency": "EUR"}}, ("spend",)),
            ({"tokens": {}}, ("tokens",)),
            ({"tokens": {"per_call": "5"}}, ("tokens", "per_call")),
            ({"per": "team"}, ("per",)),
            ({"rates": []}, ("rates",)),
        ],
    )
    def test_refuses_with_the_path(self, block: dict[str, Any], path: tuple[str, ...]) -> None:
        assert refused(parse_caps, block).path == path

    def test_reads_the_contracts_example(self) -> None:
        caps = parse_caps(
            {
                "rate": ["30/minute", "500/day"],
                "spend": {"argument": "amount", "per_call": "1000.00", "per_day": "5000.00", "currency": "EUR"},
                "tokens": {"per_call": 2000, "per_day": 100000},
                "per": "tool",
            }
        )

        assert caps.rates == (RateCap(30, 60), RateCap(500, 86400))
        assert caps.spend == SpendCap("amount", Decimal("1000.00"), Decimal("5000.00"), "EUR")
        assert caps.tokens == TokenCap(2000, 100000)
        assert caps.shared


class TestSchema:
    @pytest.mark.parametrize(
        "schema",
        [
            [],
            None,
            {"type": "strin"},
            {"minimum": "x"},
            {"properties": {"a": {"$ref": "http://127.0.0.1:9/x"}}},
            {"$ref": "file:///etc/passwd"},
            {"$ref": "#/nowhere"},
            {"$dynamicRef": "other.json"},
            {"format": "no-such-format"},
            {"$schema": "http://json-schema.org/draft-07/schema#"},
            {"enum": [[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]},
        ],
    )
    def test_refuses(self, schema: Any) -> None:
        refused(check_schema, schema)

    @pytest.mark.parametrize("pattern", ["(", "(?=a)b", r"(a)\1", "a{1000}{1000}"])
    def test_abuse_147_a_pattern_that_cannot_run_in_linear_time(self, pattern: str) -> None:
        assert refused(check_schema, {"properties": {"a": {"pattern": pattern}}}).path == ("properties", "a", "pattern")

    def test_accepts_references_inside(self) -> None:
        assert check_schema({"$ref": "#/$defs/a", "$defs": {"a": {"type": "object"}}}).is_valid({})

    def test_formats_bind(self) -> None:
        assert not check_schema({"properties": {"a": {"format": "email"}}}).is_valid({"a": "nobody"})


class TestArgumentRules:
    @pytest.mark.parametrize(
        ("rules", "path"),
        [
            ({}, ()),
            ([{"sql": ["select"]}], (0,)),
            ([{"argument": "q"}], (0,)),
            ([{"argument": "q", "sql": []}], (0, "sql")),
            ([{"argument": "q", "sql": ["drop"]}], (0, "sql", 0)),
            ([{"argument": "q", "sqll": ["select"]}], (0, "sqll")),
            ([{"argument": "u", "endpoints": {}}], (0, "endpoints")),
            ([{"argument": "u", "endpoints": {"allow": ["*/v1/*"]}}], (0, "endpoints", "allow", 0)),
            (
                [{"argument": "u", "endpoints": {"allow": ["https://a.test/*"], "deny": ["a b"]}}],
                (0, "endpoints", "deny", 0),
            ),
        ],
    )
    def test_refuses_with_the_path(self, rules: Any, path: tuple[Any, ...]) -> None:
        assert refused(check_argument_rules, rules).path == path

    @pytest.mark.parametrize(
        ("arguments", "passes"),
        [
            ({}, True),
            ({"q": "select 1"}, True),
            ({"q": ["select 1", "select 2"]}, True),
            ({"q": ["select 1", "drop table t"]}, False),
            ({"q": 5}, False),
            ({"q": None}, False),
            ({"q": {"sql": "select 1"}}, False),
        ],
    )
    def test_every_item_must_pass(self, arguments: dict[str, Any], passes: bool) -> None:
        (rule,) = check_argument_rules([{"argument": "q", "sql": ["select"]}])

        assert (rule.refuses(arguments) is None) == passes
