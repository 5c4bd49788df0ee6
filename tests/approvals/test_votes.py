"""Votes: who may, on what, with which proof, and what they decide."""

from datetime import timedelta
from typing import Any

import pytest
from django.db import IntegrityError, transaction

from approvals import requests, votes
from approvals.models import AccessRequest, Approval, Decision, Status, StepUpProof, Vote
from approvals.votes import (
    AlreadyVoted,
    NotEligible,
    NotPending,
    ProofRefused,
    SeenOther,
    SelfApproval,
    StepUpNeeded,
    UnknownRequest,
)
from countersign.policy.values import Principal
from evidence import clock, kept, ledger
from registry import people
from registry.models import Human, Membership
from tests.approvals.asking import (
    APPROVE,
    DENY,
    TESTS,
    TOTP,
    WEBAUTHN,
    call,
    enrolled,
    events,
    opened,
    proven,
    requirement,
    unchanged,
    vote,
)
from tests.worlds import SETUP, World, world


@pytest.fixture(scope="module")
def ours(database: None) -> World:
    return world()


@pytest.fixture(scope="module")
def seeds(ours: World) -> dict[str, str]:
    return {name: enrolled(ours.people[name]) for name in ("erin", "frank")}


@pytest.fixture
def alone(database: None) -> World:
    """For tests that change people."""
    return world()


def member(ours: World, username: str, *teams: str, email: str | None = None) -> Membership:
    name = f"{username}-{ours.suffix}"
    return people.add(
        name, email=email or f"{name}@acme.test", tenant=ours.tenant, teams=teams, actor=SETUP, now=clock.now()
    )  # fmt: skip


class TestSeparationOfDuties:
    def test_abuse_038_the_agents_owner_does_not_approve(self, alone: World) -> None:
        people.put_in_teams(alone.dana, ["finance"])
        request = opened(alone)
        with unchanged(request), pytest.raises(SelfApproval):
            vote(request, alone.dana)

    def test_abuse_038_who_owned_the_agent_at_asking_stays_out_after_handing_it_over(self, alone: World) -> None:
        people.put_in_teams(alone.dana, ["finance"])
        request = opened(alone)
        alone.tenant.agents.update(owner=alone.ada)
        with unchanged(request), pytest.raises(SelfApproval):
            vote(request, alone.dana)

    def test_abuse_037_who_asked_with_their_own_key_does_not_approve(self, ours: World) -> None:
        request = opened(ours, token=ours.person_key("erin", "read"))
        with unchanged(request), pytest.raises(SelfApproval):
            vote(request, ours.erin)

    def test_abuse_037_a_person_who_is_the_subject_does_not_approve(self, ours: World) -> None:
        made = call(ours, subject_type="user", subject_id=ours.username("erin"))
        request = opened(ours, made=made)
        with unchanged(request), pytest.raises(SelfApproval):
            vote(request, ours.erin)

    def test_abuse_142_the_principal_does_not_approve_however_spelt(self, ours: World) -> None:
        email = ours.erin.user.email
        for spelling in (ours.username("erin"), email, email.upper(), email.replace("@", "+refunds@"), f" {email} "):
            request = opened(ours, made=call(ours, principal=Principal("user", spelling)))
            with unchanged(request), pytest.raises(SelfApproval):
                vote(request, ours.erin)

    def test_abuse_142_the_principal_at_asking_stays_one_under_a_new_address(self, alone: World) -> None:
        request = opened(alone, made=call(alone, principal=Principal("user", alone.erin.user.email)))
        Human.objects.filter(pk=alone.erin.user.human_id).update(subject=f"new-{alone.suffix}@acme.test")
        with unchanged(request), pytest.raises(SelfApproval):
            vote(request, alone.erin)

    def test_abuse_142_an_account_linked_to_the_principal_since_is_still_the_principal(self, alone: World) -> None:
        request = opened(alone, made=call(alone, principal=Principal("user", f"late-{alone.suffix}")))
        late = member(alone, "late", "finance")
        with unchanged(request), pytest.raises(SelfApproval):
            vote(request, late)

    def test_abuse_040_another_account_of_the_owners_human_does_not_approve(self, alone: World) -> None:
        name, domain = alone.dana.user.email.split("@")
        other = member(alone, "dana2", "finance", email=f"{name}+two@{domain}")
        request = opened(alone)
        with unchanged(request), pytest.raises(SelfApproval):
            vote(request, other)


class TestEligibility:
    def test_who_is_in_no_team_that_is_asked_does_not_vote(self, ours: World) -> None:
        request = opened(ours)
        for decision in (APPROVE, DENY):
            with unchanged(request), pytest.raises(NotEligible):
                vote(request, ours.ada, decision)

    def test_abuse_046_who_left_the_team_does_not_vote(self, alone: World) -> None:
        request = opened(alone)
        people.put_in_teams(alone.erin, [])
        with unchanged(request), pytest.raises(NotEligible):
            vote(request, alone.erin)

    def test_abuse_045_who_was_deactivated_does_not_vote_with_an_old_session(self, alone: World) -> None:
        request = opened(alone)
        Membership.objects.filter(pk=alone.erin.pk).update(active=False)
        type(alone.frank.user).objects.filter(pk=alone.frank.user_id).update(is_active=False)
        for late in (alone.erin, alone.frank):
            with unchanged(request), pytest.raises(NotEligible, match="not active"):
                vote(request, late)

    def test_abuse_051_a_service_account_does_not_vote(self, alone: World) -> None:
        request = opened(alone)
        type(alone.erin.user).objects.filter(pk=alone.erin.user_id).update(is_service=True)
        with unchanged(request), pytest.raises(NotEligible, match="service account"):
            vote(request, alone.erin)

    def test_abuse_057_a_member_of_another_tenant_does_not_know_the_request(self, ours: World) -> None:
        request, theirs = opened(ours), world()
        for tenant_id in (ours.tenant.pk, theirs.tenant.pk):
            with unchanged(request), pytest.raises(UnknownRequest):
                vote(request, theirs.erin, tenant_id=tenant_id)

    def test_a_refused_vote_leaves_a_record(self, ours: World) -> None:
        request = opened(ours)
        with pytest.raises(NotEligible):
            vote(request, ours.ada)
        assert events(request) == ["request.opened", "vote.refused"]


class TestTime:
    def test_abuse_041_refuses_at_the_moment_of_expiry(self, ours: World) -> None:
        request = opened(ours)
        with unchanged(request), pytest.raises(NotPending) as caught:
            vote(request, ours.erin, now=request.expires_at)
        assert caught.value.status == Status.EXPIRED

    def test_abuse_137_a_slow_clock_of_the_caller_revives_nothing(self, ours: World) -> None:
        request = opened(ours, now=clock.now() - timedelta(hours=1))
        with unchanged(request), pytest.raises(NotPending):
            vote(request, ours.erin, now=clock.now() - timedelta(hours=1))

    def test_abuse_042_refuses_on_a_denied_request(self, ours: World) -> None:
        request = opened(ours)
        vote(request, ours.erin, DENY)
        with unchanged(request), pytest.raises(NotPending):
            vote(request, ours.frank)

    def test_refuses_on_a_cancelled_request(self, ours: World) -> None:
        request = opened(ours)
        requests.cancel(request.pk, tenant_id=ours.tenant.pk, actor=TESTS, reason="", now=clock.now())
        with unchanged(request), pytest.raises(NotPending):
            vote(request, ours.erin)


class TestOneHumanOneVote:
    def test_abuse_044_a_double_click_is_one_vote(self, ours: World) -> None:
        request = opened(ours)
        vote(request, ours.erin)
        assert vote(request, ours.erin).status == Status.PENDING
        assert events(request) == ["request.opened", "vote.cast"]

    def test_abuse_044_the_last_vote_clicked_twice_answers_with_the_decided_request(self, ours: World) -> None:
        request = opened(ours, requirements=(requirement(quorum=1),))
        vote(request, ours.erin)
        assert vote(request, ours.erin).status == Status.APPROVED
        assert Approval.objects.filter(request=request).count() == 1

    def test_refuses_a_change_of_mind(self, ours: World) -> None:
        request = opened(ours)
        vote(request, ours.erin)
        with unchanged(request), pytest.raises(AlreadyVoted):
            vote(request, ours.erin, DENY)

    def test_abuse_039_one_human_through_three_surfaces_is_one_vote(self, ours: World) -> None:
        request = opened(ours)
        for surface in ("slack", "web", "jira"):
            vote(request, ours.erin, surface=surface)
        assert (Vote.objects.filter(request=request).count(), refreshed(request).status) == (1, Status.PENDING)

    def test_abuse_040_two_accounts_of_one_human_are_one_vote(self, alone: World) -> None:
        name, domain = alone.erin.user.email.split("@")
        alias = member(alone, "erin2", "finance", email=f"{name}+second@{domain}")
        request = opened(alone)
        vote(request, alone.erin)
        vote(request, alias)
        assert (Vote.objects.filter(request=request).count(), refreshed(request).status) == (1, Status.PENDING)

    def test_abuse_040_two_accounts_of_one_identity_are_one_vote(self, alone: World) -> None:
        same = Human.objects.create(issuer="https://id.example", subject=f"sub-{alone.suffix}")
        for voter in (alone.erin, alone.frank):
            voter.user.human = same
            voter.user.save()
        request = opened(alone)
        vote(request, alone.erin)
        vote(request, alone.frank)
        assert (Vote.objects.filter(request=request).count(), refreshed(request).status) == (1, Status.PENDING)

    def test_abuse_040_the_database_itself_takes_one_vote_a_human(self, ours: World) -> None:
        request = opened(ours)
        vote(request, ours.erin)
        copy = Vote.objects.get(request=request)
        copy.pk = None
        with pytest.raises(IntegrityError), transaction.atomic():
            copy.save(force_insert=True)


def refreshed(request: AccessRequest) -> AccessRequest:
    return AccessRequest.objects.get(pk=request.pk)


class TestSeen:
    def test_abuse_150_refuses_a_vote_on_another_display(self, ours: World) -> None:
        shown, other = opened(ours), opened(ours)
        with unchanged(other), pytest.raises(SeenOther):
            vote(other, ours.erin, seen=shown.display_hash)

    def test_abuse_150_refuses_a_display_with_another_justification(self, ours: World) -> None:
        made = call(ours)
        first = opened(ours, made=made, justification="a small one")
        vote(first, ours.erin, DENY)
        second = opened(ours, made=made, justification="a big one")
        with unchanged(second), pytest.raises(SeenOther):
            vote(second, ours.erin, seen=first.display_hash)


class TestStepUp:
    @pytest.fixture
    def asked(self, ours: World) -> AccessRequest:
        return opened(ours, requirements=(requirement(step_up=TOTP),))

    def test_abuse_052_refuses_a_vote_without_one(self, ours: World, asked: AccessRequest) -> None:
        for decision in (APPROVE, DENY):
            with unchanged(asked), pytest.raises(StepUpNeeded) as caught:
                vote(asked, ours.erin, decision, surface="api")
            assert caught.value.needed == TOTP

    def test_accepts_one_and_says_so_in_the_record(
        self, ours: World, asked: AccessRequest, seeds: dict[str, str]
    ) -> None:
        proof = proven(asked, ours.erin, seeds["erin"])
        vote(asked, ours.erin, step_up=proof)
        (last,) = ledger.history(ours.slug, asked.pk, limit=1)
        auth = last["predicate"]["actor"]["auth"]
        assert (auth["acr"], auth["amr"], auth["step_up_id"]) == ("totp", ["otp"], proof)
        assert Vote.objects.get(request=asked).assurance == TOTP

    def test_abuse_067_refuses_the_proof_of_another_request(
        self, ours: World, asked: AccessRequest, seeds: dict[str, str]
    ) -> None:
        other = opened(ours, requirements=(requirement(step_up=TOTP),))
        proof = proven(other, ours.erin, seeds["erin"])
        with unchanged(asked), pytest.raises(ProofRefused):
            vote(asked, ours.erin, step_up=proof)

    def test_abuse_067_refuses_the_proof_of_an_earlier_request_for_the_very_same_action(
        self, ours: World, seeds: dict[str, str]
    ) -> None:
        wanted, made = (requirement(step_up=TOTP),), call(ours)
        first = opened(ours, made=made, requirements=wanted)
        proof = proven(first, ours.erin, seeds["erin"])
        requests.cancel(first.pk, tenant_id=ours.tenant.pk, actor=TESTS, reason="", now=clock.now())
        second = opened(ours, made=made, requirements=wanted)
        assert second.display_hash == first.display_hash
        with unchanged(second), pytest.raises(ProofRefused):
            vote(second, ours.erin, step_up=proof)

    def test_refuses_the_proof_of_the_other_decision(
        self, ours: World, asked: AccessRequest, seeds: dict[str, str]
    ) -> None:
        proof = proven(asked, ours.erin, seeds["erin"], DENY)
        with unchanged(asked), pytest.raises(ProofRefused):
            vote(asked, ours.erin, APPROVE, step_up=proof)

    def test_refuses_the_proof_of_another_person(
        self, ours: World, asked: AccessRequest, seeds: dict[str, str]
    ) -> None:
        proof = proven(asked, ours.frank, seeds["frank"])
        with unchanged(asked), pytest.raises(ProofRefused):
            vote(asked, ours.erin, step_up=proof)

    def test_refuses_a_proof_used_before(self, ours: World, asked: AccessRequest, seeds: dict[str, str]) -> None:
        proof = proven(asked, ours.erin, seeds["erin"])
        StepUpProof.objects.filter(pk=proof).update(used_at=clock.now())
        with unchanged(asked), pytest.raises(ProofRefused):
            vote(asked, ours.erin, step_up=proof)

    def test_abuse_068_refuses_a_proof_at_the_moment_it_is_too_old(
        self, ours: World, asked: AccessRequest, seeds: dict[str, str]
    ) -> None:
        proof = StepUpProof.objects.get(pk=proven(asked, ours.erin, seeds["erin"]))
        with unchanged(asked), pytest.raises(ProofRefused):
            vote(asked, ours.erin, step_up=proof.pk, now=proof.expires_at)

    def test_abuse_140_refuses_a_proof_written_by_hand(
        self, ours: World, asked: AccessRequest, seeds: dict[str, str]
    ) -> None:
        proof = StepUpProof.objects.get(pk=proven(asked, ours.erin, seeds["erin"]))
        proof.pk = f"su_{ours.suffix}"
        proof.save(force_insert=True)
        with unchanged(asked), pytest.raises(ProofRefused):
            vote(asked, ours.erin, step_up=f"su_{ours.suffix}")

    def test_abuse_140_refuses_a_proof_bent_to_another_vote(
        self, ours: World, asked: AccessRequest, seeds: dict[str, str]
    ) -> None:
        proof = proven(asked, ours.erin, seeds["erin"], DENY)
        StepUpProof.objects.filter(pk=proof).update(decision="approve")
        with unchanged(asked), pytest.raises(ProofRefused):
            vote(asked, ours.erin, step_up=proof)

    def test_a_refused_vote_does_not_use_up_the_proof(
        self, ours: World, asked: AccessRequest, seeds: dict[str, str]
    ) -> None:
        proof = proven(asked, ours.erin, seeds["erin"])
        with pytest.raises(SeenOther):
            vote(asked, ours.erin, step_up=proof, seen="sha256:" + "0" * 64)
        assert vote(asked, ours.erin, step_up=proof)

    def test_a_totp_is_no_webauthn(self, ours: World, seeds: dict[str, str]) -> None:
        request = opened(ours, requirements=(requirement(step_up=WEBAUTHN),))
        proof = proven(request, ours.erin, seeds["erin"])
        with unchanged(request), pytest.raises(StepUpNeeded):
            vote(request, ours.erin, step_up=proof)

    def test_the_strongest_of_all_requirements_a_person_answers_is_needed(self, ours: World) -> None:
        request = opened(ours, requirements=(requirement(), requirement(source="tool", step_up=TOTP)))
        assert votes.needed_step_up(request, ours.erin) == TOTP


class TestDeciding:
    def test_one_eligible_deny_denies(self, ours: World) -> None:
        request = opened(ours)
        vote(request, ours.erin)
        assert vote(request, ours.frank, DENY, reason="wrong customer").status == Status.DENIED
        assert events(request) == ["request.opened", "vote.cast", "vote.cast", "request.denied"]
        assert not Approval.objects.filter(request=request).exists()

    def test_the_quorum_approves_and_issues_in_one_go(self, ours: World) -> None:
        request = opened(ours)
        assert vote(request, ours.erin).status == Status.PENDING
        assert vote(request, ours.frank).status == Status.APPROVED
        assert events(request)[-2:] == ["request.approved", "approval.issued"]

    def test_abuse_046_a_vote_whose_voter_left_the_team_does_not_count_at_the_next(self, alone: World) -> None:
        request = opened(alone)
        vote(request, alone.erin)
        people.put_in_teams(alone.erin, [])
        assert vote(request, alone.frank).status == Status.PENDING
        assert vote(request, alone.carol).status == Status.APPROVED

    def test_every_requirement_must_be_met(self, alone: World) -> None:
        people.put_in_teams(alone.ada, ["support"])
        both = (requirement(quorum=1), requirement(source="tool", teams=("support",), quorum=1))
        request = opened(alone, requirements=both)
        assert vote(request, alone.erin).status == Status.PENDING
        assert vote(request, alone.ada).status == Status.APPROVED

    def test_abuse_049_a_quorum_below_one_is_never_met(self, ours: World) -> None:
        request = opened(ours, requirements=(requirement(quorum=0),))
        assert vote(request, ours.erin).status == Status.PENDING

    def test_the_approval_lives_as_long_as_the_shortest_requirement_says(self, ours: World) -> None:
        wanted = (requirement(quorum=1), requirement(quorum=1, approved_for=timedelta(minutes=1), uses=3))
        request = opened(ours, requirements=wanted)
        vote(request, ours.erin)
        approval = Approval.objects.get(request=request)
        assert (approval.expires_at - approval.issued_at, approval.uses_allowed) == (timedelta(minutes=1), 1)

    @pytest.mark.parametrize(("after", "flags"), [(0.5, ["quick"]), (5.0, [])])
    def test_abuse_053_a_vote_faster_than_reading_is_flagged(self, ours: World, after: float, flags: list[str]) -> None:
        request = opened(ours)
        now = clock.now() + timedelta(minutes=1)
        vote(request, ours.erin, now=now, first_seen_at=now - timedelta(seconds=after))
        (last,) = ledger.history(ours.slug, request.pk, limit=1)
        assert last["predicate"]["detail"]["flags"] == flags

    def test_an_unknown_decision_is_no_vote(self, ours: World) -> None:
        request = opened(ours)
        unknown: Any = "maybe"
        with unchanged(request), pytest.raises(ValueError, match="maybe"):
            vote(request, ours.erin, unknown)
        assert Decision("deny") is DENY


class TestOtherLines:
    def test_abuse_150_refuses_a_vote_while_the_row_points_at_the_lines_of_another_request(
        self, database: None
    ) -> None:
        ours = world()
        request, harmless = opened(ours), opened(ours)
        AccessRequest.objects.filter(pk=request.pk).update(commitment=harmless.commitment)
        with pytest.raises(votes.SeenOther):
            vote(request, ours.erin)

    def test_refuses_a_vote_once_the_lines_are_erased(self, database: None) -> None:
        ours = world()
        request = opened(ours)
        kept.erase(ours.slug, request.commitment)
        with pytest.raises(votes.SeenOther):
            vote(request, ours.erin)
