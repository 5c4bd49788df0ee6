"""Caps over the API: what is counted, what is refused, exactly."""

import pytest

from enforcement.models import Counter
from tests.enforcement.machine import EVALUATION, ask, question, send, together
from tests.worlds import world

SPEND = {"spend": {"argument": "amount", "per_call": "90.00", "per_day": "100.00", "currency": "EUR"}}


def paid(amount) -> dict:
    return question(arguments={"order": "A", "amount": amount})


class TestRate:
    def test_lets_exactly_the_limit_pass(self):
        own = world(caps={"rate": ["7/day"]})
        replies = together([send("POST", EVALUATION, own.pep_key, question()) for _ in range(40)])
        assert (
            sorted(reply.told for reply in replies)
            == [(False, "deny", "rate_cap")] * 33 + [(True, "allow", "rule")] * 7
        )
        assert Counter.objects.get(tenant=own.tenant).used == 7

    def test_counts_each_agent_apart_unless_shared(self):
        for caps, wanted in (({"rate": ["1/day"]}, True), ({"rate": ["1/day"], "per": "tool"}, False)):
            own = world(caps=caps, policy="version: 1\nname: n\nrules:\n  - {id: all, effect: allow}\n")
            own.apply(
                agents=[
                    {
                        "id": "other-bot",
                        "owner": own.username("dana"),
                        "team": "support",
                        "intents": ["*"],
                        "tool_groups": ["*"],
                    }
                ]
            )
            assert ask(own.pep_key).told[0] is True
            assert ask(own.pep_key, subject={"type": "agent", "id": "other-bot"}).told[0] is wanted

    def test_is_not_used_by_denials(self):
        own = world(caps={"rate": ["2/day"]})
        for _ in range(3):
            assert ask(own.pep_key, arguments={}).told == (False, "deny", "arguments_schema")
        assert ask(own.pep_key).told[0] is True
        assert Counter.objects.get(tenant=own.tenant).used == 1


class TestSpend:
    def test_refuses_one_call_that_is_too_dear(self):
        own = world(caps=SPEND)
        assert ask(own.pep_key, paid("90.01")).told == (False, "deny", "spend_cap")
        assert ask(own.pep_key, paid("90.00")).told == (True, "allow", "rule")

    def test_adds_up_exactly(self):
        own = world(caps={"spend": {"argument": "amount", "per_day": "1.00", "currency": "EUR"}})
        told = [ask(own.pep_key, paid("0.10")).told for _ in range(11)]
        assert told == [(True, "allow", "rule")] * 10 + [(False, "deny", "spend_cap")]
        assert Counter.objects.get(tenant=own.tenant).used == 1_000_000

    def test_takes_all_or_nothing(self):
        own = world(caps={**SPEND, "rate": ["10/day"]})
        assert ask(own.pep_key, paid("60.00")).told[0] is True
        assert ask(own.pep_key, paid("60.00")).told == (False, "deny", "spend_cap")
        assert ask(own.pep_key, paid("40.00")).told[0] is True
        used = {counter.key.split("/")[0]: counter.used for counter in Counter.objects.filter(tenant=own.tenant)}
        assert used == {"rate": 2, "spend": 100_000_000}

    @pytest.mark.parametrize("amount", ["-5.00", "much", None, True, "1e400", "١٠.00", [], {}])
    def test_refuses_what_cannot_be_counted(self, amount):
        own = world(caps=SPEND, policy="version: 1\nname: n\nrules:\n  - {id: all, effect: allow}\n", change={})
        own.apply(
            tools=[
                {
                    "id": "free.tool",
                    "group": "crm",
                    "owner": own.username("dana"),
                    "risk_tier": 1,
                    "methods": ["get"],
                    "caps": SPEND,
                }
            ]
        )
        body = question(
            resource={"type": "tool", "id": "free.tool"}, action={"name": "get"}, arguments={"amount": amount}
        )
        assert ask(own.pep_key, body).told == (False, "deny", "spend_cap")
        absent = question(resource={"type": "tool", "id": "free.tool"}, action={"name": "get"}, arguments={})
        assert ask(own.pep_key, absent).told == (False, "deny", "spend_cap")


class TestTokens:
    def test_counts_what_the_caller_declares(self):
        own = world(caps={"tokens": {"per_call": 60, "per_day": 100}})
        assert ask(own.pep_key, usage={"tokens": 61}).told == (False, "deny", "token_cap")
        assert ask(own.pep_key, usage={"tokens": 60}).told[0] is True
        assert ask(own.pep_key, usage={"tokens": 41}).told == (False, "deny", "token_cap")
        assert ask(own.pep_key, usage={"tokens": 40}).told[0] is True
        assert ask(own.pep_key).told[0] is True


class TestEscalation:
    def test_asks_nobody_for_what_no_yes_could_let_pass(self):
        own = world(caps={"spend": {"argument": "amount", "per_call": "500.00", "currency": "EUR"}})
        reply = ask(own.pep_key, paid("600.00"))
        assert reply.told == (False, "deny", "spend_cap")
        assert "access_request" not in reply.context

    def test_waits_for_people_below_the_cap(self):
        own = world(caps={"spend": {"argument": "amount", "per_call": "500.00", "currency": "EUR"}})
        assert ask(own.pep_key, paid("400.00")).told == (False, "escalate", "approval_required")
