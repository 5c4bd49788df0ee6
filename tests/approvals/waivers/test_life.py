"""A waiver from the asking to its end: granted like any approval, used by calls, counted, and over."""

import pytest

from approvals.models import AccessRequest, Waiver
from approvals.votes import NotEligible, SelfApproval
from approvals.waivers import ending
from approvals.waivers.models import State
from countersign.policy.faults import InvalidError
from evidence import clock, ledger
from tests.approvals.asking import DENY, vote
from tests.approvals.waivers.excepting import asked, call, easy, granted, over
from tests.approvals.waivers.test_creep import easy_policy
from tests.enforcement.machine import ask, big
from tests.worlds import World


@pytest.fixture
def ours(database: None) -> World:
    return easy()


class TestAsk:
    def test_waits_for_people_and_changes_nothing_before(self, ours: World) -> None:
        waiver = asked(ours)
        assert waiver.state == State.PENDING
        assert call(ours).told == (False, "escalate", "approval_required")

    def test_tells_every_fault_at_once(self, ours: World) -> None:
        with pytest.raises(InvalidError) as caught:
            asked(ours, rules=[], match={"agents": ["*"]}, expires_at="tomorrow", owner=None)
        assert {fault.path for fault in caught.value.faults} >= {("rules",), ("match",), ("expires_at",), ()}


class TestGrant:
    def test_puts_it_in_force_with_the_next_call(self, ours: World) -> None:
        waiver = granted(ours)
        assert waiver.state == State.ACTIVE
        reply = call(ours)
        assert reply.told == (True, "allow", "waiver")
        told = reply.context["waiver"]
        assert told["id"] == waiver.pk
        assert told["use"] == 1
        assert told["would_have"] == "escalate"

    def test_refuses_who_asked(self, ours: World) -> None:
        waiver = asked(ours, by=ours.erin)
        with pytest.raises(SelfApproval):
            vote(AccessRequest.objects.get(pk=waiver.request_id), ours.erin)

    def test_refuses_who_is_not_asked(self, ours: World) -> None:
        waiver = asked(ours)
        with pytest.raises(NotEligible):
            vote(AccessRequest.objects.get(pk=waiver.request_id), ours.ada)

    def test_a_denial_ends_it(self, ours: World) -> None:
        waiver = asked(ours)
        vote(AccessRequest.objects.get(pk=waiver.request_id), ours.erin, DENY)
        waiver.refresh_from_db()
        assert waiver.state == State.REFUSED
        assert not call(ours).told[0]


class TestUse:
    def test_counts_each_in_the_record_of_its_decision(self, ours: World) -> None:
        waiver = granted(ours, max_uses=2)
        replies = [call(ours, transaction=f"case-{n}") for n in range(3)]
        assert [reply.told[0] for reply in replies] == [True, True, False]
        waiver.refresh_from_db()
        assert (waiver.state, waiver.uses) == (State.USED_UP, 2)
        said = [one["predicate"] for one in ledger.history(ours.slug, waiver.request_id, limit=None)]
        uses = [one["waiver"]["use"] for one in said if one["event"] == "decision.made"]
        assert sorted(uses) == [1, 2]

    def test_is_not_taken_where_the_policy_only_observes(self, ours: World) -> None:
        ours.with_policy(easy_policy())
        waiver = granted(ours)
        ours.with_policy(easy_policy().replace("mode: enforce", "mode: observe"))
        assert call(ours).told[:2] == (True, "escalate")
        waiver.refresh_from_db()
        assert waiver.uses == 0

    def test_leaves_the_agent_with_a_brief_key_without_its_particulars(self, ours: World) -> None:
        granted(ours)
        reply = ask(ours.agent_key, big())
        assert reply.told == (True, "allow", "waiver")
        assert "waiver" not in reply.context


class TestEnd:
    def test_a_revoked_one_counts_from_the_next_decision(self, ours: World) -> None:
        waiver = granted(ours)
        assert call(ours).told[0]
        ending.revoke(waiver.pk, tenant_id=ours.tenant.pk, by=ours.frank, why="no more", now=clock.now())
        assert call(ours).told == (False, "escalate", "approval_required")

    def test_a_shortened_one_ends_when_it_is_said_to(self, ours: World) -> None:
        waiver = granted(ours)
        assert call(ours).told[0]
        over(ours, waiver)
        assert not call(ours, transaction="after").told[0]

    def test_expires_by_itself(self, ours: World) -> None:
        waiver = over(ours, granted(ours))
        ending.expire_due(now=clock.now())
        waiver.refresh_from_db()
        assert waiver.state == State.EXPIRED
        assert Waiver.objects.get(pk=waiver.pk).ended_at is not None
