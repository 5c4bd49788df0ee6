"""From one call, terms of exactly its shape: no star, no second name and no wrapper slips anything wider in."""

from typing import Any

import pytest

from approvals.waivers import conditions, remembering, wording
from approvals.waivers.conditions import How
from approvals.waivers.remembering import CannotRemember
from countersign.policy import waiver_terms

ARGUMENTS = {"order": "A-1001", "amount": "250.00", "currency": "EUR"}
SAID = {"reason": "Every week.", "owner": "carol", "expires_at": "2027-01-31T18:00:00Z"}


def action(**changes: Any) -> dict[str, Any]:
    return {
        "subject": {"type": "agent", "id": "support-bot"}, "action": {"name": "create"},
        "resource": {"type": "tool", "id": "payments.refund"}, "intent": "customer-refund",
        "principal": {"type": "user", "id": "desk@acme.test"}, **changes,
    }  # fmt: skip


def shape(**changes: Any) -> remembering.Shape:
    return remembering.shape(action(**changes), ARGUMENTS, ["refunds-over-100"])


def drafted(*, wrapper: bool = False, chosen: bool = True) -> dict[str, Any]:
    one = shape()
    bound = remembering.choices(one, money="amount") if chosen else []
    return remembering.terms(one, bound, for_principal=True, wrapper=wrapper, **SAID)


class TestShape:
    @pytest.mark.parametrize(
        "changes",
        [
            {"subject": {"type": "user", "id": "*"}},
            {"resource": {"type": "record", "id": "record-*"}},
            {"resource": {"type": "record", "id": "record-1\n"}},
            {"action": {"name": "**"}},
            {"intent": "refund\nlookup"},
            {"principal": {"type": "user", "id": "dana\nfrank"}},
            {"principal": {"type": "user", "id": " dana"}},
        ],
    )
    def test_refuses_a_name_that_would_mean_more_than_this_call(self, changes: dict[str, Any]) -> None:
        with pytest.raises(CannotRemember, match="star"):
            shape(**changes)

    def test_refuses_a_call_that_no_rule_held_up(self) -> None:
        with pytest.raises(CannotRemember, match="No rule"):
            remembering.shape(action(), ARGUMENTS, [])

    def test_refuses_the_grant_of_a_waiver(self) -> None:
        with pytest.raises(CannotRemember, match="cannot be waived"):
            shape(resource={"type": "waiver", "id": "wvr_1"})

    def test_names_other_types_by_their_type(self) -> None:
        match = shape(subject={"type": "user", "id": "erin"}, resource={"type": "record", "id": "record-1"}).match
        assert (match["subjects"], match["resources"]) == (["user:erin"], ["record:record-1"])


class TestTerms:
    def test_can_be_asked_for_and_say_what_they_mean(self) -> None:
        said = drafted()
        read = waiver_terms.read(said)
        assert read.match.subjects == (("agent", "support-bot"),)
        assert read.match.resources == (("tool", "payments.refund"),)
        assert read.match.actions == ("create",)
        assert read.match.intents == ("customer-refund",)
        assert read.principals == {"desk@acme.test"}
        facts = {fact.label: fact.values for fact in wording.facts(said)}
        assert facts["Only if"] == (
            "amount is at most 250.00", 'currency is exactly "EUR"', 'order is exactly "A-1001"',
            "no arguments but amount, currency, order",
        )  # fmt: skip

    def test_bind_money_by_at_most_and_all_else_by_its_value(self) -> None:
        found = {one.name: one.how for one in remembering.choices(shape(), money="amount")}
        assert found == {"amount": How.AT_MOST, "currency": How.EQUALS, "order": How.EQUALS}

    def test_bind_the_names_of_the_arguments_where_no_value_is_chosen(self) -> None:
        assert conditions.words(drafted(chosen=False)["when"]) == ["no arguments but amount, currency, order"]

    def test_give_a_wrapper_no_condition_that_says_nothing(self) -> None:
        assert "when" not in drafted(chosen=False, wrapper=True)
        assert "when" in drafted(wrapper=True)


class TestWording:
    def test_a_title_names_what_is_lifted_and_for_whom(self) -> None:
        assert wording.title_of(drafted()) == "Exception from refunds-over-100 for support-bot"

    def test_a_title_of_many_stays_short(self) -> None:
        assert wording.title(list("abcde"), ["x"]) == "Exception from a, b, c and 2 more for x"

    def test_controls_are_told_in_words(self) -> None:
        assert wording.control({"kind": "check", "metric": "failed_share", "most": 5, "every": "5m"}) == (
            "5 % or fewer of the calls it let through failed in 1h, looked at every 5m"
        )

    def test_what_hides_is_made_visible(self) -> None:
        (fact,) = [fact for fact in wording.facts({**drafted(), "ticket": "a\u202eb"}) if fact.label == "Ticket"]
        assert fact.values == ("a⟨U+202E⟩b",)
