"""Any order of asking, granting, using, suspending, ending and changing the policy, against a model of what is granted.

Held after each step: no call is let through outside of what people granted, none that is granted is held up, uses never
exceed what is allowed, and each use is named in exactly one record.
"""

import time
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import pytest
from django.db import transaction
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, invariant, rule, run_state_machine_as_test

from approvals.models import AccessRequest, Waiver
from approvals.waivers import ending, moving
from approvals.waivers.models import State
from approvals.waivers.moving import SYSTEM
from evidence import clock, ledger
from tests.approvals.asking import DENY, vote
from tests.approvals.waivers.excepting import asked, easy
from tests.approvals.waivers.test_creep import easy_policy, tool
from tests.enforcement.machine import ask, big
from tests.races.crowd import SOAK, rounds
from tests.worlds import World

LIMITS = (100, 300, 900)
SOON = timedelta(milliseconds=40)


@dataclass
class Known:
    """What the model knows of one waiver: the state it must be in, what it covers, how often it was used."""

    id: str
    limit: int
    most: int | None
    threshold: int  # of the rule, on the day it was asked for
    tier: int
    state: State = State.PENDING
    uses: int = 0

    def covers(self, amount: int, *, threshold: int, tier: int) -> bool:
        granted = self.state is State.ACTIVE and self.threshold == threshold and tier <= self.tier
        return granted and amount <= self.limit and (self.most is None or self.uses < self.most)


class Exceptions(RuleBasedStateMachine):
    """One tenant; the rule asks about refunds from a threshold on."""

    waivers = Bundle("waivers")

    def __init__(self) -> None:
        super().__init__()
        self.own: World = easy()
        self.own.with_policy(easy_policy())
        self.known: list[Known] = []
        self.threshold, self.tier, self.calls = 100, 3, 0

    @rule(target=waivers, limit=st.sampled_from(LIMITS), most=st.sampled_from([None, 1, 2]))
    def asks(self, limit: int, most: int | None) -> Known:
        waiver = asked(self.own, when=f"double(arguments.amount) <= {limit}.0", max_uses=most)
        known = Known(waiver.pk, limit, most, self.threshold, self.tier)
        self.known.append(known)
        return known

    @rule(known=waivers, grant=st.booleans())
    def decides(self, known: Known, grant: bool) -> None:
        if known.state is not State.PENDING:
            return
        request = AccessRequest.objects.get(waiver=known.id)
        if grant:
            vote(request, self.own.erin)
        else:
            vote(request, self.own.erin, DENY)
        known.state = State.ACTIVE if grant else State.REFUSED

    @rule(known=waivers)
    def suspends(self, known: Known) -> None:
        if known.state is State.ACTIVE:
            with transaction.atomic():
                moving.move(self._locked(known), State.SUSPENDED, actor=SYSTEM, now=clock.now(), why="a control")
            known.state = State.SUSPENDED

    @rule(known=waivers)
    def resumes(self, known: Known) -> None:
        if known.state is State.SUSPENDED:
            with transaction.atomic():
                moving.activate(self._locked(known), actor=SYSTEM, now=clock.now())
            known.state = State.ACTIVE

    @rule(known=waivers)
    def revokes(self, known: Known) -> None:
        place: dict[str, Any] = {"tenant_id": self.own.tenant.pk, "by": self.own.carol, "why": "enough"}
        if known.state in {State.ACTIVE, State.SUSPENDED}:
            ending.revoke(known.id, now=clock.now(), **place)
            known.state = State.REVOKED
        else:
            with pytest.raises(moving.NotNow):
                ending.revoke(known.id, now=clock.now(), **place)

    @rule(known=waivers)
    def expires(self, known: Known) -> None:
        if known.state in {State.ACTIVE, State.SUSPENDED}:
            soon = clock.now() + SOON
            ending.shorten(
                known.id, tenant_id=self.own.tenant.pk, by=self.own.carol, expires_at=soon, why="", now=clock.now()
            )
            while clock.now() < soon:
                time.sleep(0.005)
            known.state = State.EXPIRED

    @rule(threshold=st.sampled_from([100, 200]))
    def publishes(self, threshold: int) -> None:
        self.own.with_policy(easy_policy().replace(">= 100.0", f">= {threshold}.0"))
        self.threshold = threshold

    @rule(tier=st.sampled_from([3, 4]))
    def rates(self, tier: int) -> None:
        tool(self.own, risk_tier=tier)
        self.tier = tier

    @rule(amount=st.sampled_from([99, 150, 250, 500, 950]))
    def calls_for(self, amount: int) -> None:
        self.calls += 1
        reply = ask(self.own.pep_key, big(f"{amount}.00", transaction=f"case-{self.calls}"))
        told = reply.told
        if amount < self.threshold:
            assert told[1] == ("allow" if amount < 100 else "deny")
            return
        could = [one for one in self.known if one.covers(amount, threshold=self.threshold, tier=self.tier)]
        if not could:
            assert told == (False, "escalate", "approval_required")
            return
        assert told == (True, "allow", "waiver")
        (used,) = [one for one in could if one.id == reply.context["waiver"]["id"]]
        used.uses += 1
        assert reply.context["waiver"]["use"] == used.uses
        if used.uses == used.most:
            used.state = State.USED_UP

    @invariant()
    def agrees(self) -> None:
        ending.expire_due(now=clock.now())
        rows = {row.pk: row for row in Waiver.objects.filter(tenant=self.own.tenant)}
        assert {one.id: (one.state, one.uses) for one in self.known} == {
            row.pk: (State(row.state), row.uses) for row in rows.values()
        }
        for row in rows.values():
            story = [one["predicate"] for one in ledger.history(self.own.slug, row.request_id, limit=None)]
            named = [one["waiver"]["use"] for one in story if one["event"] == "decision.made"]
            assert sorted(named) == list(range(1, row.uses + 1))

    def _locked(self, known: Known) -> Waiver:
        return moving.locked(known.id, tenant_id=self.own.tenant.pk)


def test_nothing_is_let_through_but_what_was_granted(database: None) -> None:
    run_state_machine_as_test(
        Exceptions,
        settings=settings(
            max_examples=rounds(full=200, reduced=4),
            stateful_step_count=25,
            deadline=None,
            derandomize=not SOAK,
            suppress_health_check=list(HealthCheck),
        ),
    )
