"""Ever so many ends that nobody knows each block their action, and flood nobody."""

from typing import Any

import pytest

from approvals import alerting
from connectors import alarms
from enforcement import blocking
from enforcement.blocking import MOST, TOLD, UNKNOWN_END, UNKNOWN_ENDS
from evidence import alerts, clock
from registry.models import Tenant
from tests.approvals.browsing import signed_in, text
from tests.enforcement.machine import Reply, ask, question
from tests.enforcement.test_custody import told
from tests.enforcement.test_unsettled import UNRECONCILED, named, operator, settled
from tests.worlds import AGENT, World, world


@pytest.fixture
def own(database: None) -> World:
    return world(caps={})


def case(n: int) -> dict[str, Any]:
    return question(transaction=f"case-{n}")


def hoarded(own: World, key: str, count: int) -> list[Reply]:
    """As many allows, of calls that nothing was said about yet."""
    return [ask(key, case(n)) for n in range(count)]


def leave(key: str, allows: list[Reply]) -> None:
    """By whoever was allowed them: nobody knows how they ended."""
    for reply in allows:
        assert told(key, reply.context["evaluation_id"], "indeterminate", **named(reply)).status == 200


def fired(own: World) -> list[str]:
    return [alert.name for alert in reversed(alerts.latest(own.slug, since=clock.now() - blocking.WINDOW))]


def epoch(own: World) -> int:
    return Tenant.objects.get(pk=own.tenant.pk).epoch


class TestTelling:
    @pytest.mark.parametrize("kind", ["agent", "pep"])
    def test_is_of_the_first_each_then_of_all_together(self, own: World, kind: str) -> None:
        key = own.agent_key if kind == "agent" else own.pep_key
        leave(key, hoarded(own, key, TOLD + 3))
        assert fired(own) == [UNKNOWN_END] * TOLD + [UNKNOWN_ENDS]
        for n in range(TOLD + 3):
            assert ask(own.pep_key, case(n)).told == UNRECONCILED, "and each is blocked"

    def test_says_whose_key_it_is_and_where_to_look(self, own: World) -> None:
        leave(own.agent_key, hoarded(own, own.agent_key, TOLD + 1))
        (last, *_) = alerts.latest(own.slug, since=clock.now() - blocking.WINDOW)
        whose = own.credential(own.agent_key).key_id
        words = alarms._WORDS[UNKNOWN_ENDS](own.tenant, last.detail)
        assert whose in words
        assert words.endswith("/executions/")
        (shown, *_) = alerting.latest(own.slug, now=clock.now())
        assert (whose in shown.subject, shown.link) == (True, "/executions/")
        assert f"Nobody knows how {TOLD + 1} calls of this key ended" in text(signed_in(own.ada).get("/"))

    def test_of_one_key_takes_no_word_from_another(self, own: World) -> None:
        leave(own.agent_key, hoarded(own, own.agent_key, TOLD + 2))
        other = ask(own.pep_key, question(transaction="of-the-pep"))
        leave(own.pep_key, [other])
        assert fired(own)[-2:] == [UNKNOWN_ENDS, UNKNOWN_END]


class TestOwnWord:
    @pytest.fixture
    def left(self, own: World) -> list[Reply]:
        """Two more than an agent may leave open, allowed while it had none."""
        allows = hoarded(own, own.agent_key, MOST + 2)
        leave(own.agent_key, allows)
        return allows

    def test_denies_the_agent_everything_until_people_brought_it_below(self, own: World, left: list[Reply]) -> None:
        olga = operator(own)
        for reply in left[:2]:
            assert ask(own.agent_key).told == ask(own.pep_key).told == UNRECONCILED
            settled(reply.context["evaluation_id"], olga)
        assert ask(own.pep_key, transaction="another").told == UNRECONCILED
        settled(left[2].context["evaluation_id"], olga)
        assert ask(own.pep_key).told[0], "one less than that"
        for n in range(3, MOST + 2):
            assert ask(own.pep_key, case(n)).told == UNRECONCILED, "and each is blocked as before"
        assert ask(own.pep_key, case(0)).told[0]

    def test_makes_no_process_learn_anew_once_everything_is_denied(self, own: World) -> None:
        allows = hoarded(own, own.agent_key, MOST + 2)
        before = epoch(own)
        leave(own.agent_key, allows)
        assert epoch(own) - before == MOST

    def test_is_no_enforcement_points_word(self, own: World) -> None:
        """What many agents share does not stop them."""
        key = own.key("pep", agents=[AGENT])
        leave(key, hoarded(own, key, MOST + 1))
        assert ask(own.pep_key).told[0]
        assert ask(own.pep_key, case(MOST)).told == UNRECONCILED
