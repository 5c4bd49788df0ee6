"""The tally: distinct humans, every requirement, nobody excluded; held against a slow second counting."""

from itertools import permutations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from approvals.models import Decision
from approvals.quorum import Ballot, Standing, strongest, tally
from countersign.policy.values import Requirement, StepUp

TEAMS = ("finance", "legal", "ops")
STRENGTH = [StepUp.NONE, StepUp.TOTP, StepUp.WEBAUTHN]
NOBODY: frozenset[int] = frozenset()

requirements = st.lists(
    st.builds(
        Requirement,
        source=st.just("tool"),
        teams=st.lists(st.sampled_from(TEAMS), unique=True).map(tuple),
        quorum=st.integers(-1, 4),
        step_up=st.sampled_from(STRENGTH),
    ),
    max_size=3,
)
ballots = st.lists(
    st.builds(
        Ballot,
        human=st.integers(1, 5),
        decision=st.sampled_from(Decision),
        teams=st.frozensets(st.sampled_from(TEAMS)),
        assurance=st.sampled_from(STRENGTH),
    ),
    max_size=6,
)
humans = st.frozensets(st.integers(1, 5), max_size=3)


def need(quorum: int = 1, *teams: str, step_up: StepUp = StepUp.NONE) -> Requirement:
    return Requirement(source="tool", teams=teams or ("finance",), quorum=quorum, step_up=step_up)


def says(human: int, decision: Decision = Decision.APPROVE, *teams: str, assurance: StepUp = StepUp.NONE) -> Ballot:
    return Ballot(human, decision, frozenset(teams or ("finance",)), assurance)


class TestRefusals:
    def test_no_requirement_is_not_met(self) -> None:
        assert tally([], [says(1)], excluded=NOBODY).standing is Standing.OPEN

    @pytest.mark.parametrize("quorum", [0, -1])
    def test_abuse_049_a_quorum_below_one_is_not_met(self, quorum: int) -> None:
        assert tally([need(quorum)], [says(1)], excluded=NOBODY).standing is Standing.OPEN

    def test_a_requirement_without_teams_is_not_met(self) -> None:
        empty = Requirement(source="tool", teams=())
        assert tally([empty], [says(1)], excluded=NOBODY).standing is Standing.OPEN

    def test_abuse_040_one_human_twice_is_one(self) -> None:
        assert tally([need(2)], [says(1), says(1)], excluded=NOBODY).standing is Standing.OPEN

    def test_abuse_037_excluded_humans_do_not_count(self) -> None:
        assert tally([need(2)], [says(1), says(2)], excluded=frozenset({2})).standing is Standing.OPEN

    def test_a_weaker_assurance_does_not_count(self) -> None:
        strict = need(step_up=StepUp.WEBAUTHN)
        assert tally([strict], [says(1, assurance=StepUp.TOTP)], excluded=NOBODY).standing is Standing.OPEN

    def test_one_unmet_requirement_holds_all(self) -> None:
        assert tally([need(), need(1, "legal")], [says(1)], excluded=NOBODY).standing is Standing.OPEN

    def test_one_eligible_deny_denies(self) -> None:
        ballots = [says(1), says(2), says(3, Decision.DENY)]
        assert tally([need()], ballots, excluded=NOBODY).standing is Standing.DENIED

    def test_a_deny_from_outside_denies_nothing(self) -> None:
        ballots = [says(1), says(3, Decision.DENY, "ops")]
        assert tally([need()], ballots, excluded=NOBODY).standing is Standing.MET


class TestCounting:
    def test_a_vote_counts_for_every_requirement_it_is_eligible_for(self) -> None:
        both = says(1, Decision.APPROVE, "finance", "legal")
        assert tally([need(), need(1, "legal")], [both], excluded=NOBODY).standing is Standing.MET

    def test_the_strongest_of_nothing_is_none(self) -> None:
        assert strongest([]) is StepUp.NONE
        assert strongest([StepUp.TOTP, StepUp.NONE]) is StepUp.TOTP


class TestLaws:
    @given(requirements, ballots, humans)
    def test_equals_counting_by_hand(self, wanted: list[Requirement], cast: list[Ballot], out: frozenset[int]) -> None:
        assert tally(wanted, cast, excluded=out).standing is by_hand(wanted, cast, out)

    @given(requirements, st.lists(ballots, min_size=1).map(lambda many: many[0][:4]), humans)
    def test_the_order_of_votes_does_not_matter(
        self, wanted: list[Requirement], cast: list[Ballot], out: frozenset[int]
    ) -> None:
        assert len({tally(wanted, order, excluded=out).standing for order in permutations(cast)}) == 1

    @given(requirements, ballots, humans, st.integers(1, 5))
    def test_excluding_somebody_never_approves(
        self, wanted: list[Requirement], cast: list[Ballot], out: frozenset[int], one: int
    ) -> None:
        approvals = [ballot for ballot in cast if ballot.decision == Decision.APPROVE]
        if tally(wanted, approvals, excluded=out).standing is not Standing.MET:
            assert tally(wanted, approvals, excluded=out | {one}).standing is not Standing.MET

    @given(requirements, ballots, humans, requirements)
    def test_asking_for_more_never_approves(
        self, wanted: list[Requirement], cast: list[Ballot], out: frozenset[int], more: list[Requirement]
    ) -> None:
        if wanted and tally(wanted, cast, excluded=out).standing is Standing.OPEN:
            assert tally([*wanted, *more], cast, excluded=out).standing is not Standing.MET


def by_hand(wanted: list[Requirement], cast: list[Ballot], out: frozenset[int]) -> Standing:
    def eligible(ballot: Ballot, one: Requirement) -> bool:
        strong = STRENGTH.index(ballot.assurance) >= STRENGTH.index(one.step_up)
        return ballot.human not in out and bool(set(one.teams) & ballot.teams) and strong

    for ballot in cast:
        if ballot.decision == Decision.DENY and any(eligible(ballot, one) for one in wanted):
            return Standing.DENIED
    met = [
        one.quorum > 0
        and len({b.human for b in cast if b.decision == Decision.APPROVE and eligible(b, one)}) >= one.quorum
        for one in wanted
    ]
    return Standing.MET if met and all(met) else Standing.OPEN
