"""An obligation of no form is refused where it is written: in rules, in waivers, in the schemas, by enforcement points."""

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import jsonschema_rs
import pytest

from countersign.pep.answer import Answer
from countersign.pep.client import Pdp
from countersign.pep.obligations import CannotComply, meet
from countersign.pep.question import Question
from countersign.policy import obligations, schema, waiver_terms
from countersign.policy.compile import compile_policy
from countersign.policy.faults import InvalidError
from countersign.policy.obligations import KINDS, Kind
from countersign.policy.values import Mode, Outcome
from tests.countersign.policy.obliging import BAD, GOOD, one
from tests.countersign.policy.samples import problems

ROOT = Path(__file__).parents[3]
POLICY_SCHEMA = schema.load()
BLUEPRINT_SCHEMA = json.loads((ROOT / "registry" / "blueprint.schema.json").read_text())
each_good = pytest.mark.parametrize("obligation", GOOD, ids=str)
each_bad = pytest.mark.parametrize(("obligation", "words"), BAD, ids=str)


def rule(*obliged: dict[str, Any]) -> dict[str, Any]:
    return {"version": 1, "rules": [{"id": "a", "effect": "allow", "obligations": list(obliged)}]}


def waived(obligation: dict[str, Any]) -> dict[str, Any]:
    return {
        "category": "mitigated", "rules": ["a"], "match": {"agents": ["a"], "tools": ["b.c"]}, "reason": "r",
        "owner": "o", "expires_at": datetime(2027, 1, 1, tzinfo=UTC).isoformat(),
        "controls": [{"kind": "obligation", **obligation}],
    }  # fmt: skip


def answer(obligation: dict[str, Any]) -> Answer:
    return Answer(
        allowed=True, outcome=Outcome.ALLOW, mode=Mode.ENFORCE, evaluation_id="eva_1", obligations=(obligation,), raw={}
    )


def ignore(_: object) -> None:
    """A handler that can do everything."""


PDP = Pdp("http://127.0.0.1:1", "never used")
ABLE = dict.fromkeys(Kind, ignore)


class TestCompiler:
    @each_bad
    def test_refuses_a_form_that_no_pep_of_ours_would_understand(self, obligation: dict[str, Any], words: str) -> None:
        found = problems(json.dumps(rule(obligation)))
        assert any(words in line for line in found), found

    @each_good
    def test_takes_each_form(self, obligation: dict[str, Any]) -> None:
        assert problems(json.dumps(rule(obligation))) == []

    def test_tells_all_at_once_each_at_its_place(self) -> None:
        text = """version: 1
rules:
  - id: a
    effect: allow
    obligations:
      - {type: notfication}
      - type: cap
        properties: {bytes: few, argument: amount}
      - {type: redact, properties: {paths: [/ok, iban]}}
      - type: notification
"""
        assert [line.split(" ")[0] for line in problems(text)] == ["6:16", "8:21", "8:29", "9:50", "10:9"]


class TestWaivers:
    @each_bad
    def test_refuse_the_same_as_a_control(self, obligation: dict[str, Any], words: str) -> None:
        with pytest.raises(InvalidError) as caught:
            waiver_terms.read(waived(obligation))
        assert words in str(caught.value)
        assert all(fault.path[:2] == ("controls", 0) for fault in caught.value.faults)

    @each_good
    def test_take_the_same(self, obligation: dict[str, Any]) -> None:
        assert waiver_terms.read(waived(obligation)).controls[0].said == {"kind": "obligation", **obligation}


class TestSchemas:
    @each_bad
    def test_refuse_the_same(self, obligation: dict[str, Any], words: str) -> None:
        assert not jsonschema_rs.is_valid(POLICY_SCHEMA, rule(obligation))
        entry = {"tenant": "t", "waivers": [{"id": "w", **waived(obligation)}]}
        assert not jsonschema_rs.is_valid(BLUEPRINT_SCHEMA, entry)

    @each_good
    def test_take_the_same(self, obligation: dict[str, Any]) -> None:
        jsonschema_rs.validate(POLICY_SCHEMA, rule(obligation))
        jsonschema_rs.validate(BLUEPRINT_SCHEMA, {"tenant": "t", "waivers": [{"id": "w", **waived(obligation)}]})

    def test_say_the_same_in_both_files_and_name_every_type(self) -> None:
        assert POLICY_SCHEMA["$defs"]["obligationForms"] == BLUEPRINT_SCHEMA["$defs"]["obligationForms"]
        assert POLICY_SCHEMA["$defs"]["obligation"]["properties"]["type"]["enum"] == list(KINDS)


class TestEnforcementPoints:
    @pytest.mark.parametrize("obligation", [bad for bad, _ in BAD if bad["type"] in KINDS], ids=str)
    def test_are_not_asked_to_do_it_and_the_call_does_not_run(self, obligation: dict[str, Any]) -> None:
        asked: list[object] = []
        with pytest.raises(CannotComply, match="could not be met"):
            PDP.perform(meet(answer(obligation), Question(agent="a", tool="t"), dict.fromkeys(Kind, asked.append)))
        assert asked == []

    @each_good
    def test_are_asked_to_do_what_compiles(self, obligation: dict[str, Any]) -> None:
        PDP.perform(meet(answer({"properties": {}, **obligation}), Question(agent="a", tool="t"), ABLE))

    def test_find_what_compiled_as_it_was_written(self) -> None:
        written = one("redact", paths=["/a~1b/*"])
        (compiled,) = compile_policy(json.dumps(rule(written))).rules[0].obligations
        assert obligations.pointers(compiled["properties"]) == (("a/b", "*"),)


class TestDocs:
    @pytest.mark.parametrize("kind", Kind)
    def test_each_type_has_its_word(self, kind: Kind) -> None:
        assert f"| `{kind}` |" in (ROOT / "docs" / "policy.md").read_text(encoding="utf-8")
