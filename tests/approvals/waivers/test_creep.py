"""Sixty ways in which an exception could come to cover more than people granted: each is refused.

"As before" means: the call is judged as if there were no waiver, so the rule asks people about it.
"""

import threading
from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any

import pytest
import yaml
from django.db import connection, transaction

from approvals.models import AccessRequest, Control, Waiver
from approvals.votes import NotEligible, SelfApproval
from approvals.waivers import ending, moving, using
from approvals.waivers.models import ControlKind, State
from approvals.waivers.moving import SYSTEM
from countersign.policy.faults import InvalidError
from enforcement import memory
from evidence import clock, ledger
from registry import people, snapshot
from registry.models import Tool
from tests.approvals.asking import vote
from tests.approvals.waivers.excepting import RULE, asked, at, call, easy, granted, over
from tests.enforcement.machine import EVALUATION, Reply, ask, big, question, send, together
from tests.enforcement.test_requests import STRICTER
from tests.worlds import AGENT, BLUEPRINT, POLICY, World

AS_BEFORE = (False, "escalate", "approval_required")
WAIVED = (True, "allow", "waiver")
ELSEWHERE = {"agents": [AGENT], "tools": ["payments.refund"], "methods": ["get"]}
DENYING = """\
version: 1
name: denying
rules:
  - {id: refunds-over-100, match: {agents: ["**"]}, effect: deny, waivable: true}
  - {id: all, match: {agents: ["**"]}, effect: allow}
"""
REFUND = yaml.safe_load(BLUEPRINT)["tools"][0]


@pytest.fixture
def ours(database: None) -> World:
    return easy()


def tool(own: World, **changes: Any) -> None:
    """Change the refund tool, as an administrator would."""
    approval = {**REFUND["approval"], "quorum": 1, "step_up": "none"}
    block = {**REFUND, "caps": {}, "approval": approval, "owner": own.username("carol"), **changes}
    own.apply(tools=[{name: value for name, value in block.items() if value is not None}])


def policy(own: World, change: Callable[[str], str]) -> None:
    own.with_policy(change(easy_policy()))


def easy_policy() -> str:
    text = POLICY.replace("quorum: 2, step_up: totp", "quorum: 1, step_up: none")
    return text[: text.index("tests:")]


def with_rule(own: World, **rule: Any) -> None:
    policy(own, lambda text: text + yaml.safe_dump([rule], default_flow_style=True).strip("[]\n").join(("  - ", "\n")))


def by_hand(waiver: Waiver, **changes: Any) -> None:
    """What somebody with a database shell would do."""
    Waiver.objects.filter(pk=waiver.pk).update(**changes)
    waiver.tenant.refresh_from_db()
    with transaction.atomic():
        moving.changes.bump(waiver.tenant, registry=False, waivers=True)


def refused(own: World, path: tuple[str | int, ...], **changes: Any) -> None:
    """Not even to be asked for, and the fault says where."""
    with pytest.raises(InvalidError) as caught:
        asked(own, **changes)
    assert path in {fault.path for fault in caught.value.faults}


def uses(waiver: Waiver) -> int:
    return Waiver.objects.get(pk=waiver.pk).uses


class TestWhoAndWhat:
    def test_creep_01_another_tool_of_the_group(self, ours: World) -> None:
        tool(ours, id="payments.payout")
        with_rule(ours, id="payouts", match={"tools": ["payments.payout"]}, effect="escalate")
        granted(ours, rules=[RULE, "payouts"])
        assert call(ours, resource={"type": "tool", "id": "payments.payout"}).told == AS_BEFORE

    def test_creep_02_a_tool_that_fits_the_glob_later(self, ours: World) -> None:
        with_rule(ours, id="all-payments", match={"tools": ["payments.*"]}, effect="escalate")
        granted(ours, rules=[RULE, "all-payments"], match={"agents": [AGENT], "tools": ["payments.*"]})
        assert call(ours).told == WAIVED
        tool(ours, id="payments.wire")
        assert call(ours, resource={"type": "tool", "id": "payments.wire"}).told == AS_BEFORE

    def test_creep_03_an_agent_that_fits_the_glob_later(self, ours: World) -> None:
        granted(ours, match={"agents": ["support-*"], "tools": ["payments.refund"]})
        ours.apply(agents=[agent(ours, "support-new")])
        assert call(ours, subject={"type": "agent", "id": "support-new"}).told == AS_BEFORE

    def test_creep_04_another_agent(self, ours: World) -> None:
        ours.apply(agents=[agent(ours, "support-two")])
        granted(ours)
        assert call(ours, subject={"type": "agent", "id": "support-two"}).told == AS_BEFORE

    def test_creep_05_another_method(self, ours: World) -> None:
        with_rule(ours, id="reads", match={"tools": ["payments.refund"], "methods": ["get"]}, effect="escalate")
        granted(ours, rules=[RULE, "reads"])
        assert call(ours, action={"name": "get"}).told == AS_BEFORE

    def test_creep_06_a_schema_that_takes_more(self, ours: World) -> None:
        granted(ours)
        schema = {**REFUND["arguments_schema"], "additionalProperties": True}
        tool(ours, arguments_schema=schema)
        assert call(ours).told == AS_BEFORE

    def test_creep_07_no_schema_any_more(self, ours: World) -> None:
        granted(ours)
        Tool.objects.filter(tenant=ours.tenant, tool_id="payments.refund").update(arguments_schema=None)
        with transaction.atomic():
            moving.changes.bump(ours.tenant)
        assert call(ours).told == AS_BEFORE

    def test_creep_08_another_principal(self, ours: World) -> None:
        granted(ours, match={"agents": [AGENT], "tools": ["payments.refund"], "principals": ["sam@acme.test"]})
        assert call(ours, principal={"type": "user", "id": "sam@acme.test"}).told == WAIVED
        assert call(ours, principal={"type": "user", "id": "kim@acme.test"}).told == AS_BEFORE

    def test_creep_09_nobody_where_a_principal_is_named(self, ours: World) -> None:
        granted(ours, match={"agents": [AGENT], "tools": ["payments.refund"], "principals": ["sam@acme.test"]})
        assert call(ours).told == AS_BEFORE

    def test_creep_10_another_tenant(self, ours: World) -> None:
        granted(ours)
        assert call(easy()).told == AS_BEFORE


class TestCondition:
    def test_creep_11_one_that_errors(self, ours: World) -> None:
        granted(ours, when="arguments.missing == 'x'")
        assert call(ours).told == AS_BEFORE

    def test_creep_12_one_that_does_not_hold(self, ours: World) -> None:
        granted(ours, when="double(arguments.amount) <= 300.0")
        assert call(ours).told == WAIVED
        assert ask(ours.pep_key, big("300.01")).told == AS_BEFORE

    def test_creep_13_one_that_looks_at_the_risk_it_lowers(self, ours: World) -> None:
        refused(ours, ("when",), when="risk.score < 50")


class TestTime:
    def test_creep_14_expired_by_a_millisecond(self, ours: World) -> None:
        waiver = granted(ours)
        assert call(ours).told == WAIVED
        over(ours, waiver)
        assert call(ours, transaction="after").told == AS_BEFORE

    def test_creep_15_not_yet_valid(self, ours: World) -> None:
        granted(ours, not_before=at(timedelta(hours=1)))
        assert call(ours).told == AS_BEFORE

    def test_creep_16_longer_than_its_tier_allows(self, ours: World) -> None:
        refused(ours, ("expires_at",), lasts=timedelta(days=91))

    def test_creep_17_without_an_end(self, ours: World) -> None:
        refused(ours, (), expires_at=None)

    def test_creep_18_shortening_that_lengthens(self, ours: World) -> None:
        waiver = granted(ours)
        later = waiver.expires_at + timedelta(seconds=1)
        with pytest.raises(ending.NotShorter):
            ending.shorten(
                waiver.pk, tenant_id=ours.tenant.pk, by=ours.carol, expires_at=later, why="", now=clock.now()
            )

    def test_creep_19_a_clock_that_is_behind(self, ours: World) -> None:
        """ABUSE 137: what the caller of a door takes for the time cannot stretch it."""
        waiver = over(ours, granted(ours))
        before = waiver.expires_at - timedelta(milliseconds=10)
        with transaction.atomic(), pytest.raises(using.NotWaived):
            using.use(waiver.pk, tenant_id=ours.tenant.pk, version=2, wanted=(), principal=None, now=before)


class TestUses:
    def test_creep_20_sixteen_at_once_for_the_last_three(self, ours: World) -> None:
        waiver = granted(ours, max_uses=3)
        calls = [send("POST", EVALUATION, ours.pep_key, big(transaction=f"case-{n}")) for n in range(16)]
        told = [reply.told for reply in together(calls)]
        assert told.count(WAIVED) == 3
        assert told.count(AS_BEFORE) == 13
        assert uses(waiver) == 3

    def test_creep_21_a_repeated_attempt_takes_none(self, ours: World) -> None:
        waiver = granted(ours)
        first, again = (call(ours, attempt="one") for _ in range(2))
        assert first.body == again.body
        assert uses(waiver) == 1

    @pytest.mark.parametrize("effect", ["escalate", "deny"])
    @pytest.mark.parametrize("learnt", ["in the same world", "in another", "in another process"])
    def test_abuse_148_nor_one_whose_answer_to_the_last_use_was_lost(self, effect: str, learnt: str) -> None:
        own = easy()
        if effect == "deny":
            own.with_policy(DENYING)
        waiver = granted(own, max_uses=1)
        first = call(own, attempt="one")
        assert first.told == WAIVED
        if learnt == "in another":
            granted(own, match=ELSEWHERE)
        elif learnt == "in another process":
            memory.forget()
            snapshot.forget()
        assert call(own, attempt="one").body == first.body
        assert uses(waiver) == 1
        assert call(own, attempt="two").told[:2] == (False, effect)

    @pytest.mark.parametrize("uses", [None, 1], ids=["in force", "used up"])
    def test_creep_21_makes_no_allow_good_again_that_another_gave(self, ours: World, uses: int | None) -> None:
        """The one it was given under was taken back; that there is or was one more like it does not help."""
        gone = granted(ours)
        assert call(ours, attempt="one").told == WAIVED
        ending.revoke(gone.pk, tenant_id=ours.tenant.pk, by=ours.carol, why="enough", now=clock.now())
        granted(ours, max_uses=uses)
        assert call(ours, attempt="two").told == WAIVED
        for known in (True, False):
            if not known:
                memory.forget()
                snapshot.forget()
            assert call(ours, attempt="one").status == 409

    def test_creep_21_makes_no_allow_good_again_that_took_none(self) -> None:
        """Allowed by policy alone, then asked for again where people are asked now and a waiver would lift that."""
        own = easy()
        small = question(attempt="one")
        assert ask(own.pep_key, small).told == (True, "allow", "rule")
        own.with_policy(STRICTER)
        waiver = granted(own)
        assert ask(own.pep_key, small).status == 409
        assert uses(waiver) == 0

    def test_creep_22_a_call_over_its_cap_takes_none(self, ours: World) -> None:
        capped = easy(caps={"spend": {"argument": "amount", "per_call": "200.00", "currency": "EUR"}})
        waiver = granted(capped)
        assert call(capped).told == (False, "deny", "spend_cap")
        assert uses(waiver) == 0

    def test_creep_23_a_cap_that_is_used_up(self, ours: World) -> None:
        capped = easy(caps={"rate": ["1/day"]})
        waiver = granted(capped)
        assert call(capped, transaction="a").told == WAIVED
        assert call(capped, transaction="b").told == (False, "deny", "rate_cap")
        assert uses(waiver) == 1

    def test_creep_58_a_use_that_races_a_suspension(self, ours: World) -> None:
        """One thread of evidence has both: no use stands behind the suspension."""
        waiver = granted(ours)

        def suspend() -> None:
            with transaction.atomic():
                locked = moving.locked(waiver.pk, tenant_id=ours.tenant.pk)
                moving.move(locked, State.SUSPENDED, actor=SYSTEM, now=clock.now(), why="a control failed")
            connection.close()

        suspending = threading.Thread(target=suspend)
        suspending.start()
        replies = together([send("POST", EVALUATION, ours.pep_key, big(transaction=f"case-{n}")) for n in range(24)])
        suspending.join()
        assert {reply.told for reply in replies} <= {WAIVED, AS_BEFORE}
        story = ledger.history(ours.slug, waiver.request_id, limit=None)  # newest first
        assert story[0]["predicate"]["event"] == "waiver.suspended"
        assert call(ours, transaction="after").told == AS_BEFORE

    def test_creep_59_a_version_that_is_no_more(self, ours: World) -> None:
        waiver = granted(ours)
        with transaction.atomic(), pytest.raises(using.NotWaived):
            using.use(waiver.pk, tenant_id=ours.tenant.pk, version=2, wanted=(), principal=None, now=clock.now())


class TestGranting:
    def test_creep_24_who_asked(self, ours: World) -> None:
        waiver = asked(ours, by=ours.erin)
        with pytest.raises(SelfApproval):
            vote(AccessRequest.objects.get(pk=waiver.request_id), ours.erin)

    def test_creep_25_whose_agent_it_is(self, ours: World) -> None:
        ours.apply(agents=[agent(ours, AGENT, owner="frank")])
        waiver = asked(ours)
        with pytest.raises(SelfApproval):
            vote(AccessRequest.objects.get(pk=waiver.request_id), ours.frank)

    def test_creep_26_for_whom_it_is(self, ours: World) -> None:
        match = {"agents": [AGENT], "tools": ["payments.refund"], "principals": [ours.username("erin")]}
        waiver = asked(ours, match=match)
        with pytest.raises(SelfApproval):
            vote(AccessRequest.objects.get(pk=waiver.request_id), ours.erin)

    def test_creep_27_an_agent_handed_to_who_granted_it(self, ours: World) -> None:
        granted(ours)
        assert call(ours).told == WAIVED
        ours.apply(agents=[agent(ours, AGENT, owner="erin")])
        assert call(ours, transaction="after").told == AS_BEFORE

    def test_creep_28_a_call_made_for_who_granted_it(self, ours: World) -> None:
        granted(ours)
        mine = {"type": "user", "id": ours.username("erin")}
        assert call(ours, principal=mine).told == AS_BEFORE

    def test_creep_29_who_left_the_team_since(self, ours: World) -> None:
        granted(ours)
        people.put_in_teams(ours.erin, [])
        assert call(ours).told == AS_BEFORE

    def test_creep_30_who_is_in_no_team_that_is_asked(self, ours: World) -> None:
        waiver = asked(ours, by=ours.carol)
        with pytest.raises(NotEligible):
            vote(AccessRequest.objects.get(pk=waiver.request_id), ours.ada)

    def test_creep_31_a_quorum_raised_since(self, ours: World) -> None:
        granted(ours)
        tool(ours, approval={**REFUND["approval"], "quorum": 2, "step_up": "none"})
        assert call(ours).told == AS_BEFORE

    def test_creep_60_a_quorum_lowered_since(self, ours: World) -> None:
        tool(ours, approval={**REFUND["approval"], "quorum": 2, "step_up": "none"})
        waiver = granted(ours)
        assert waiver.state == State.PENDING
        vote(AccessRequest.objects.get(pk=waiver.request_id), ours.frank)
        assert call(ours).told == WAIVED
        tool(ours)
        people.put_in_teams(ours.frank, [])
        assert call(ours, transaction="after").told == AS_BEFORE

    def test_creep_32_nobody_left_to_grant_it(self, ours: World) -> None:
        alone = easy(change={"teams": [{"name": "finance"}, {"name": "support"}, {"name": "lone"}]})
        people.put_in_teams(alone.dana, ["lone", "support"])
        with_rule(alone, id="lone", match={"tools": ["crm.lookup"]}, effect="escalate", approval={"teams": ["lone"]})
        match = {"agents": [AGENT], "tools": ["crm.lookup"]}
        refused(alone, ("match",), rules=["lone"], match=match)


class TestRules:
    def test_creep_33_renamed(self, ours: World) -> None:
        granted(ours)
        policy(ours, lambda text: text.replace("id: refunds-over-100", "id: refunds-of-100"))
        assert call(ours).told == AS_BEFORE

    def test_creep_34_made_unwaivable(self, ours: World) -> None:
        granted(ours)
        policy(ours, lambda text: text.replace("effect: escalate", "effect: escalate\n    waivable: false"))
        assert call(ours).told == AS_BEFORE

    def test_creep_35_edited(self, ours: World) -> None:
        granted(ours)
        policy(ours, lambda text: text.replace(">= 100.0", ">= 50.0"))
        assert call(ours).told == AS_BEFORE

    def test_creep_36_rolled_back_to_what_it_was_before(self, ours: World) -> None:
        policy(ours, lambda text: text.replace(">= 100.0", ">= 200.0"))
        granted(ours)
        assert call(ours).told == WAIVED
        policy(ours, lambda text: text)
        assert call(ours, transaction="after").told == AS_BEFORE

    def test_creep_37_another_rule_that_asks(self, ours: World) -> None:
        granted(ours)
        with_rule(ours, id="all-refunds", match={"tools": ["payments.refund"]}, effect="escalate")
        assert call(ours).told == AS_BEFORE

    def test_creep_38_another_rule_that_denies(self, ours: World) -> None:
        granted(ours)
        with_rule(ours, id="stop", match={"tools": ["payments.refund"]}, effect="deny")
        assert call(ours).told == (False, "deny", "rule")

    def test_creep_39_two_waivers_that_only_together_would_do(self, ours: World) -> None:
        with_rule(ours, id="all-refunds", match={"tools": ["payments.refund"]}, effect="escalate")
        granted(ours)
        granted(ours, rules=["all-refunds"])
        assert call(ours).told == AS_BEFORE
        granted(ours, rules=["all-refunds", RULE])
        assert call(ours).told == WAIVED

    def test_creep_40_a_denial_that_does_not_say_it_may_be_waived(self, ours: World) -> None:
        refused(ours, ("rules", 0), rules=["no-deletes"], match={"agents": [AGENT], "tools": ["crm.delete"]})

    def test_creep_41_a_denial_says_so_and_says_so_no_more(self, ours: World) -> None:
        waivable = "effect: deny\n    waivable: true"
        policy(ours, lambda text: text.replace("effect: deny", waivable))
        tool(ours, id="crm.delete", group="crm", methods=["delete"], arguments_schema=None, risk_tier=4)
        granted(ours, rules=["no-deletes"], match={"agents": [AGENT], "tools": ["crm.delete"]})
        assert deleted(ours).told == WAIVED
        policy(ours, lambda text: text)
        assert deleted(ours).told == (False, "deny", "rule")

    def test_creep_42_risk(self, ours: World) -> None:
        granted(ours)
        policy(ours, lambda text: text.replace("rules:", "risk: {auto_allow_below: 0, auto_block_from: 0}\nrules:", 1))
        assert call(ours).told == (False, "deny", "risk_block")


class TestTools:
    def test_creep_43_a_tier_raised_after_the_grant(self, ours: World) -> None:
        granted(ours)
        tool(ours, risk_tier=4)
        assert call(ours).told == AS_BEFORE

    def test_creep_44_what_runs_anything_without_a_condition(self, ours: World) -> None:
        tool(ours, wrapper=True)
        refused(ours, ("when",))
        granted(ours, when="double(arguments.amount) <= 300.0")
        assert call(ours).told == WAIVED

    def test_creep_45_what_is_found_to_run_anything(self, ours: World) -> None:
        granted(ours)
        tool(ours, wrapper=True)
        assert call(ours).told == AS_BEFORE

    @pytest.mark.parametrize("bare", ["*", "**"])
    def test_creep_46_a_bare_star(self, ours: World, bare: str) -> None:
        refused(ours, ("match",), match={"agents": [AGENT], "tools": [bare]})
        refused(ours, ("match",), match={"agents": [bare], "tools": ["payments.refund"]})

    def test_creep_47_all_tools_by_naming_none(self, ours: World) -> None:
        refused(ours, ("match",), match={"agents": [AGENT]})

    def test_creep_48_waivers_themselves(self, ours: World) -> None:
        refused(ours, ("match",), match={"agents": [AGENT], "resources": ["waiver:wvr_*"]})

    @pytest.mark.parametrize(
        ("wrong", "reason"),
        [
            ({"action": {"name": "destroy"}}, "method"),
            ({"intent": "something-else"}, "intent"),
            ({"arguments": {"order": "A-1"}}, "arguments_schema"),
            ({"subject": {"type": "agent", "id": "stranger"}}, "unknown_agent"),
            ({"resource": {"type": "tool", "id": "payments.unknown"}}, "unknown_tool"),
        ],
    )
    def test_creep_49_what_the_registry_refuses(self, ours: World, wrong: dict[str, Any], reason: str) -> None:
        granted(ours, match={"agents": [AGENT], "tools": ["payments.*"]})
        assert (
            ask(ours.pep_key, question(**{"arguments": big()["context"]["arguments"], **wrong})).context["reason"]
            == reason
        )


class TestRows:
    """ABUSE 140: what somebody writes into the database gives no right."""

    def test_creep_50_terms_edited(self, ours: World) -> None:
        waiver = granted(ours, when="double(arguments.amount) <= 300.0")
        terms = {**waiver.terms, "terms": {**waiver.terms["terms"], "when": "true"}}
        by_hand(waiver, terms=terms, version=2)
        assert ask(ours.pep_key, big("900.00")).told == AS_BEFORE

    @pytest.mark.parametrize("state", [State.PENDING, State.SUSPENDED, State.REVOKED, State.EXPIRED, State.REFUSED])
    def test_creep_51_set_in_force(self, ours: World, state: State) -> None:
        waiver = asked(ours)
        with transaction.atomic():
            locked = moving.locked(waiver.pk, tenant_id=ours.tenant.pk)
            if state not in {State.PENDING, State.REFUSED}:
                vote(AccessRequest.objects.get(pk=waiver.request_id), ours.erin)
                locked.refresh_from_db()
            if state is not State.PENDING:
                moving.move(locked, state, actor=SYSTEM, now=clock.now())
        by_hand(waiver, state=State.ACTIVE, ended_at=None, granted_at=clock.now())
        assert call(ours).told == AS_BEFORE

    @pytest.mark.parametrize("changes", [{"uses": 0}, {"max_uses": 9}, {"max_uses": None}])
    def test_creep_52_uses_given_back(self, ours: World, changes: dict[str, Any]) -> None:
        waiver = granted(ours, max_uses=2)
        assert call(ours).told == WAIVED
        by_hand(waiver, **changes)
        assert call(ours, transaction="after").told == AS_BEFORE

    def test_creep_53_an_end_moved_back(self, ours: World) -> None:
        waiver = granted(ours)
        by_hand(waiver, expires_at=waiver.expires_at + timedelta(days=30), version=2)
        assert call(ours).told == AS_BEFORE

    def test_creep_54_terms_of_one_that_was_not_granted(self, ours: World) -> None:
        wider = {"agents": [AGENT], "tools": ["payments.refund"], "methods": ["create", "get"]}
        waiver = granted(ours, when="false")
        asked_for = asked(ours, match=wider)
        by_hand(waiver, terms=asked_for.terms, version=2)
        assert call(ours).told == AS_BEFORE


class TestControls:
    def test_creep_55_one_nobody_confirmed(self, ours: World) -> None:
        waiver = granted(ours, category="mitigated", controls=[attestation(ours)])
        assert waiver.state == State.SUSPENDED
        assert call(ours).told == AS_BEFORE

    def test_creep_56_one_expired_by_a_millisecond(self, ours: World) -> None:
        waiver = granted(ours)
        Control.objects.create(
            tenant=ours.tenant, waiver=waiver, place=0, kind=ControlKind.ATTESTATION, said={},
            good_until=clock.now() + timedelta(hours=1),
        )  # fmt: skip
        assert call(ours).told == WAIVED
        Control.objects.filter(waiver=waiver).update(good_until=clock.now())
        assert call(ours, transaction="after").told == AS_BEFORE

    def test_creep_57_mitigated_by_nothing(self, ours: World) -> None:
        refused(ours, ("controls",), category="mitigated")


def agent(own: World, identifier: str, *, owner: str = "dana") -> dict[str, Any]:
    (block,) = yaml.safe_load(BLUEPRINT)["agents"]
    return {**block, "id": identifier, "owner": own.username(owner)}


def attestation(own: World) -> dict[str, Any]:
    until: datetime = clock.now() + timedelta(hours=1)
    return {"kind": "attestation", "person": own.username("frank"), "valid_until": until.isoformat()}


def deleted(own: World) -> Reply:
    wanted = {"action": {"name": "delete"}, "resource": {"type": "tool", "id": "crm.delete"}, "intent": "lookup"}
    return ask(own.pep_key, question(arguments={"customer": "C-7"}, **wanted))
