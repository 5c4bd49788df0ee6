"""Who feels out where a limit lies is noticed; who works is not."""

from collections.abc import Iterator
from typing import Any

import pytest

from enforcement import many, probing
from evidence import alerts, clock, ledger
from outbox.queue import handler_of
from tests.approvals.browsing import signed_in, text
from tests.enforcement.machine import ask, big, post, question
from tests.enforcement.test_search import find
from tests.worlds import World, world


@pytest.fixture
def own(database: None) -> World:
    return world(caps={})


def fired(own: World) -> list[dict[str, Any]]:
    probing.look(clock.now())
    return [dict(alert.detail) for alert in alerts.latest(own.slug, since=clock.now() - probing.QUIET)]


def amounts() -> Iterator[str]:
    """Ever a little less, as somebody would who looks for the limit."""
    return (f"{100 + 2**n}.00" for n in range(7, 0, -1))


class TestEscalations:
    def test_abuse_145_the_same_with_ever_other_amounts_is_told(self, own: World) -> None:
        for amount in amounts():
            asked = big(amount, transaction=f"t-{amount}", session=f"s-{amount}")
            assert ask(own.pep_key, asked).context["outcome"] == "escalate"
        (alert,) = fired(own)
        assert alert == {
            "alert": "threshold.probed", "credential": own.credential(own.pep_key).key_id, "agent": "support-bot",
            "tool": "payments.refund", "method": "create", "refusals": 7, "window_seconds": 600,
        }  # fmt: skip

    def test_abuse_145_it_is_told_once_and_not_every_minute(self, own: World) -> None:
        for amount in amounts():
            ask(own.pep_key, big(amount))
        assert len(fired(own)) == len(fired(own)) == 1

    def test_the_same_call_asked_again_and_again_is_none(self, own: World) -> None:
        """A PEP that polls by asking anew, or an agent in a loop: nothing is learnt from it."""
        for _ in range(30):
            ask(own.pep_key, big(open_request=True))
        assert fired(own) == []

    def test_other_orders_with_other_amounts_are_work(self, own: World) -> None:
        for n, amount in enumerate(amounts()):
            ask(own.pep_key, question(arguments={"order": f"A-{n}", "amount": amount}))
        assert fired(own) == []

    def test_one_agents_refusals_are_not_counted_for_another(self, own: World) -> None:
        for n, amount in enumerate(amounts()):
            ask(own.key("pep") if n % 2 else own.pep_key, big(amount))
        assert fired(own) == []


class TestDenials:
    def test_abuse_145_denials_are_counted_where_it_is_not_kept_what_they_were_about(self, own: World) -> None:
        for _ in range(probing.REFUSED):
            ask(own.pep_key, denied())
        (alert,) = fired(own)
        assert (alert["tool"], alert["refusals"]) == ("crm.delete", probing.REFUSED)

    def test_denials_of_several_cases_are_work(self, own: World) -> None:
        for n in range(probing.REFUSED):
            ask(own.pep_key, denied(session=f"s-{n}"))
        assert fired(own) == []

    def test_what_does_not_depend_on_values_is_no_probing(self, own: World) -> None:
        for _ in range(probing.REFUSED):
            ask(own.pep_key, question(intent="lookup", action={"name": "unknown"}))
        assert fired(own) == []

    def test_abuse_145_kept_arguments_tell_probing_from_a_loop(self, database: None) -> None:
        own = world(caps={"spend": {"argument": "amount", "per_call": "50.00", "currency": "EUR"}}, change=KEEPS)
        for _ in range(probing.REFUSED):
            ask(own.pep_key, question(arguments={"order": "A-1", "amount": "99.00"}))
        assert fired(own) == []
        for cents in range(probing.CHANGED):
            ask(own.pep_key, question(arguments={"order": "A-1", "amount": f"98.0{cents}"}))
        assert [alert["alert"] for alert in fired(own)] == ["threshold.probed"]

    def test_abuse_145_ever_other_transactions_do_not_hide_it(self, own: World) -> None:
        """Nor ever other sessions: what is counted is the limit."""
        for places in ("transaction", "session"):
            key = own.key("pep")
            at_once(key, *(denied(**{places: f"{places}-{n}"}) for n in range(probing.SCATTERED)))
            alert = fired(own)[0]
            assert (alert["credential"], alert["tool"]) == (own.credential(key).key_id, "crm.delete")
            assert alert["refusals"] == probing.SCATTERED

    def test_abuse_145_ever_other_amounts_with_ever_other_transactions_are_told(self, database: None) -> None:
        own = world(caps={"spend": {"argument": "amount", "per_call": "50.00", "currency": "EUR"}})
        at_once(
            own.agent_key,
            *(question(arguments={"order": "A-1", "amount": f"{98 - n / 2:.2f}"}, transaction=f"t-{n}", session=f"s-{n}")
              for n in range(probing.SCATTERED)),
        )  # fmt: skip
        assert [alert["tool"] for alert in fired(own)] == ["payments.refund"]

    def test_limits_met_now_and_then_at_work_are_none(self, database: None) -> None:
        own = world(caps={"spend": {"argument": "amount", "per_call": "50.00", "currency": "EUR"}})
        work = [
            question(arguments={"order": f"A-{n}", "amount": amount}, transaction=f"t-{n}-{amount}")
            for n in range(probing.SCATTERED) for amount in ("99.00", "9.00")
        ]  # fmt: skip
        at_once(own.pep_key, *work, question(transaction="one more"))
        assert fired(own) == []

    def test_nor_are_those_of_somebody_who_is_no_agent(self, own: World) -> None:
        own.with_policy(
            "version: 1\nname: other\nrules:\n"
            "  - {id: some, effect: allow, match: {subjects: ['user:*']}}\n"
            "  - {id: few, effect: deny, when: 'arguments.pages > 10'}\n"
        )
        ann, record = {"type": "user", "id": "ann"}, {"type": "record", "id": "r-1"}
        asked = [
            question(subject=ann, resource=record, action={"name": "read"}, intent=None, arguments={"pages": pages})
            for pages in (1, 2, 99)
        ]  # fmt: skip
        key = own.key("pep", subjects=["user:*"])
        at_once(key, *(one | {"context": one["context"] | {"transaction": f"t-{n}"}}
                       for n in range(probing.SCATTERED) for one in asked))  # fmt: skip
        assert fired(own) == []

    def test_several_limits_are_not_added_up(self, own: World) -> None:
        stops = "\n".join(
            f"  - {{id: stop-{n}, effect: deny, when: 'arguments.customer == \"C-{n}\"'}}" for n in range(2)
        )
        own.with_policy(f"version: 1\nname: stops\nrules:\n{stops}\n")
        at_once(own.pep_key, *(
            denied(transaction=f"t-{n}", arguments={"customer": f"C-{n % 2}"}) for n in range(probing.SCATTERED + 2)
        ))  # fmt: skip
        assert fired(own) == []


class TestSearches:
    def test_abuse_145_with_ever_other_arguments_are_told(self, own: World) -> None:
        for n in range(probing.REFUSED):
            find(own.pep_key, "action", big(f"{100 + n}.00"))
        (alert,) = fired(own)
        assert (alert["agent"], alert["tool"], alert["method"]) == ("support-bot", "payments.refund", "*")
        assert "Searched 20 times within 10 minutes" in text(signed_in(own.ada).get("/"))

    def test_abuse_145_with_ever_other_transactions_are_told(self, own: World) -> None:
        for n in range(probing.SCATTERED):
            find(own.pep_key, "action", big(f"{100 + n}.00", transaction=f"t-{n}"))
        assert [alert["refusals"] for alert in fired(own)] == [probing.SCATTERED]

    def test_without_arguments_or_from_page_to_page_are_work(self, own: World) -> None:
        for _ in range(probing.REFUSED):
            find(own.pep_key, "resource", arguments={})
        own.with_policy("version: 1\nname: n\nrules: [{id: all, effect: allow}]\n")
        own.apply(tools=[{"id": f"t-{n:02}", "group": "crm", "owner": own.username("dana"), "risk_tier": 1,
                          "methods": ["create"]} for n in range(probing.REFUSED)])  # fmt: skip
        first = find(own.pep_key, "resource", page={"limit": 1})
        while token := first.json["page"]["next_token"]:
            first = find(own.pep_key, "resource", page={"token": token})
        assert fired(own) == []


KEEPS = {"settings": {"keep_arguments": True}}


def denied(**changes: Any) -> dict[str, Any]:
    """Denied by a rule that looks at nothing but the tool."""
    tool = {"type": "tool", "id": "crm.delete"}
    asked = {"intent": "lookup", "arguments": {"customer": "C-7"}, **changes}
    return question(resource=tool, action={"name": "delete"}, **asked)


def at_once(key: str, *asked: dict[str, Any]) -> None:
    """So many that asking one after another would take a while."""
    for start in range(0, len(asked), many.MOST):
        assert (
            post("/access/v1/evaluations", key, {"evaluations": list(asked[start : start + many.MOST])}).status == 200
        )


class TestTelling:
    def test_it_comes_round_by_itself(self, own: World) -> None:
        for amount in amounts():
            ask(own.pep_key, big(amount))
        handler_of("enforcement.probing")({})
        assert len(alerts.latest(own.slug, since=clock.now() - probing.QUIET)) == 1

    @pytest.mark.parametrize("page", ["/", "/decisions/"])
    def test_who_reads_decisions_is_shown_it(self, own: World, page: str) -> None:
        for amount in amounts():
            ask(own.pep_key, big(amount))
        fired(own)
        shown = text(signed_in(own.ada).get(page))
        assert "Refused 7 times within 10 minutes" in shown
        assert 'href="/decisions/?agent=support-bot&amp;tool=payments.refund"' in shown
        assert "Refused" not in text(signed_in(own.erin).get("/"))

    def test_no_argument_is_in_its_record(self, own: World) -> None:
        for amount in amounts():
            ask(own.pep_key, big(amount))
        fired(own)
        (record,) = ledger.history(own.slug, ledger.ALERTS, limit=None)
        assert "164" not in str(record["predicate"]["detail"])

    def test_nothing_fired_shows_nothing(self, own: World) -> None:
        assert "Alerts" not in text(signed_in(own.ada).get("/"))
