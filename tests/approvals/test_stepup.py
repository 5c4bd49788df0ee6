"""Step-ups: a code in, a proof for one vote out, and a trace of those that failed."""

from datetime import timedelta

import pytest
from django.db import transaction

from approvals import enrolment, stepup, totp
from approvals.lifecycle import NotPending, UnknownRequest
from approvals.models import AccessRequest, RecoveryCode, StepUpProof, TotpDevice
from approvals.stepup import SeenOther
from approvals.votes import ProofRefused
from countersign.proof import digests
from evidence import clock, ledger
from tests.approvals.asking import APPROVE, DENY, TOTP, code, enrolled, events, opened, proven, requirement, vote
from tests.worlds import World, world


@pytest.fixture(scope="module")
def ours(database: None) -> World:
    return world()


@pytest.fixture(scope="module")
def secret(ours: World) -> str:
    return enrolled(ours.erin)


@pytest.fixture
def asked(ours: World) -> AccessRequest:
    return opened(ours, requirements=(requirement(step_up=TOTP),))


class TestRefusals:
    def test_abuse_150_refuses_another_display_before_a_code_is_burnt(
        self, ours: World, secret: str, asked: AccessRequest
    ) -> None:
        with pytest.raises(SeenOther):
            proven(asked, ours.erin, secret, seen="sha256:" + "0" * 64)
        assert TotpDevice.objects.get(user=ours.erin.user).last_step == 0

    def test_abuse_041_refuses_a_request_past_its_time(self, ours: World, secret: str) -> None:
        late = opened(ours, now=clock.now() - timedelta(hours=1))
        with pytest.raises(NotPending):
            proven(late, ours.erin, secret)

    def test_abuse_057_refuses_a_member_of_another_tenant(self, asked: AccessRequest) -> None:
        stranger = world().erin
        with pytest.raises(UnknownRequest):
            proven(asked, stranger, enrolled(stranger))

    def test_records_a_code_that_did_not_pass(self, ours: World, secret: str, asked: AccessRequest) -> None:
        with pytest.raises(totp.WrongCode):
            proven(asked, ours.erin, secret, code="12345x")
        assert events(asked) == ["request.opened", "stepup.failed"]
        assert not StepUpProof.objects.filter(request=asked).exists()


class TestProof:
    def test_is_bound_to_vote_and_display_and_good_for_five_minutes(
        self, ours: World, secret: str, asked: AccessRequest
    ) -> None:
        proof = StepUpProof.objects.get(pk=proven(asked, ours.erin, secret, DENY))
        assert proof.challenge == digests.challenge(
            request=asked.pk, decision="deny", action_digest=asked.action_digest, seen=asked.display_hash,
            nonce=proof.nonce,
        )  # fmt: skip
        assert proof.expires_at - proof.passed_at == timedelta(minutes=5)

    def test_is_recorded_with_its_challenge(self, ours: World, secret: str, asked: AccessRequest) -> None:
        proof = StepUpProof.objects.get(pk=proven(asked, ours.erin, secret))
        statement = ledger.find(ours.slug, proof.pk)
        assert statement is not None
        assert statement["predicate"]["event"] == "stepup.passed"
        assert statement["predicate"]["detail"]["challenge"] == proof.challenge

    def test_is_used_up_by_its_vote(self, ours: World, secret: str, asked: AccessRequest) -> None:
        proof = proven(asked, ours.erin, secret)
        vote(asked, ours.erin, step_up=proof)
        assert StepUpProof.objects.get(pk=proof).used_at is not None

    def test_abuse_060_one_code_is_one_proof(self, ours: World, secret: str, asked: AccessRequest) -> None:
        now = clock.now()
        proven(asked, ours.erin, secret, now=now)
        with pytest.raises(totp.CodeUsed):
            stepup.pass_totp(
                asked.pk, tenant_id=ours.tenant.pk, membership=ours.erin, decision=APPROVE, seen=asked.display_hash,
                code=code(secret, now), now=now,
            )  # fmt: skip

    def test_abuse_066_dies_with_the_authenticator_it_was_passed_with(self, asked: AccessRequest) -> None:
        here = world()
        request = opened(here, requirements=(requirement(step_up=TOTP),))
        old = enrolled(here.erin)
        proof = proven(request, here.erin, old)
        now = clock.now() + timedelta(seconds=1)
        fresh = enrolment.begin(here.erin.user, now=now)
        enrolment.confirm(
            here.erin, fresh.device_id, code(fresh.secret, now), current_code=code(old, now, steps=1), now=now
        )  # fmt: skip
        with pytest.raises(ProofRefused, match="replaced"):
            vote(request, here.erin, step_up=proof, now=now + timedelta(seconds=1))


class TestRecovery:
    def test_a_recovery_code_is_a_step_up_and_said_to_be_one(
        self, ours: World, secret: str, asked: AccessRequest
    ) -> None:
        text = "0000-1111-2222-3333"
        RecoveryCode.objects.create(
            user=ours.erin.user, code_hash=totp.recovery_hash(ours.erin.user, text), created_at=clock.now()
        )
        proof = proven(asked, ours.erin, secret, code=text, method=stepup.Method.RECOVERY)
        vote(asked, ours.erin, step_up=proof)
        (last,) = ledger.history(ours.slug, asked.pk, limit=1)
        assert last["predicate"]["actor"]["auth"]["amr"] == ["recovery"]
        assert last["predicate"]["detail"]["assurance"] == "totp"


class TestConsume:
    """What a vote takes, looked at without the vote, whose own rules would refuse much of this too."""

    def consumed(self, asked: AccessRequest, ours: World, proof_id: str) -> StepUpProof:
        with transaction.atomic():
            return stepup.consume(
                proof_id, asked, ours.erin, decision=APPROVE, seen=asked.display_hash, now=clock.now()
            )  # fmt: skip

    def test_abuse_060_a_proof_is_used_once(self, ours: World, secret: str, asked: AccessRequest) -> None:
        proof_id = proven(asked, ours.erin, secret)
        self.consumed(asked, ours, proof_id)
        with pytest.raises(ProofRefused):
            self.consumed(asked, ours, proof_id)

    def test_abuse_140_a_proof_written_by_hand_is_worth_nothing(
        self, ours: World, secret: str, asked: AccessRequest
    ) -> None:
        """A row that says all that a proof says: but nobody recorded that a code was checked."""
        row = StepUpProof.objects.get(pk=proven(asked, ours.erin, secret))
        row.pk = f"su_{ours.suffix}"
        row.save(force_insert=True)
        with pytest.raises(ProofRefused, match="not in evidence"):
            self.consumed(asked, ours, f"su_{ours.suffix}")

    def test_abuse_140_a_weaker_proof_made_stronger_in_its_row_is_refused(
        self, ours: World, secret: str, asked: AccessRequest
    ) -> None:
        proof_id = proven(asked, ours.erin, secret)
        StepUpProof.objects.filter(pk=proof_id).update(method="recovery")
        with pytest.raises(ProofRefused, match="not in evidence"):
            self.consumed(asked, ours, proof_id)
