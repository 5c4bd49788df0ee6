"""One use of an approval: who may take it, for what, how long, how often, and on whose word."""

import threading
from collections.abc import Callable, Iterator, Mapping
from datetime import timedelta
from typing import Any

import pytest
from django.db import connection, transaction
from django.db.backends.utils import CursorWrapper

from approvals import issuing, requests
from approvals.models import AccessRequest, Approval, RequestParty, Vote
from approvals.requests import NotUsable
from countersign import ids
from countersign.policy.values import Reason
from countersign.proof import canonical, digests, dsse
from countersign.proof.events import Event
from countersign.proof.keys import Signer
from evidence import clock, journal, kept, keys, ledger
from evidence.journal import Entry
from evidence.keys import Purpose
from evidence.models import KeptArguments
from registry import people
from tests.approvals.asking import TESTS, TOTP, approved, call, events, opened, requirement, use, vote
from tests.worlds import World, world


@pytest.fixture(scope="module")
def ours(database: None) -> World:
    return world()


def refused(approval: Approval, ours: World, **changes: Any) -> Reason:
    """The reason, and nothing used."""
    with pytest.raises(NotUsable) as caught:
        use(approval, ours, **changes)
    assert Approval.objects.get(pk=approval.pk).uses == approval.uses
    return caught.value.reason


class TestScope:
    @pytest.mark.parametrize("change", [{"amount": "250.01"}, {"amount": "250.0"}, {"extra": ""}])
    def test_abuse_023_refuses_when_one_field_changed(self, ours: World, change: Mapping[str, str]) -> None:
        made = call(ours)
        approval = approved(ours, made=made)
        other = call(ours, {**made.arguments, **change})
        assert refused(approval, ours, action_digest=other.action_digest) == Reason.OUT_OF_SCOPE

    def test_abuse_024_refuses_when_the_environment_changed(self, ours: World) -> None:
        made = call(ours, environment={"files": {"refund.py": "sha256:aa"}})
        approval = approved(ours, made=made)
        other = call(ours, made.arguments, environment={"files": {"refund.py": "sha256:ab"}})
        assert refused(approval, ours, action_digest=other.action_digest) == Reason.OUT_OF_SCOPE

    def test_abuse_025_refuses_another_agent(self, ours: World) -> None:
        made = call(ours)
        approval = approved(ours, made=made)
        other = call(ours, made.arguments, subject_id="another-bot")
        assert refused(approval, ours, action_digest=other.action_digest) == Reason.OUT_OF_SCOPE

    def test_abuse_026_refuses_another_tenant(self, ours: World) -> None:
        approval, theirs = approved(ours), world()
        changes = {"tenant_id": theirs.tenant.pk, "credential_id": theirs.credential(theirs.pep_key).pk}
        assert refused(approval, ours, **changes) == Reason.APPROVAL_UNVERIFIABLE

    def test_abuse_032_refuses_a_guessed_id(self, ours: World) -> None:
        guess = Approval(id="apr_guessed", action_digest=call(ours).action_digest)
        with pytest.raises(NotUsable) as caught:
            use(guess, ours)
        assert caught.value.reason == Reason.APPROVAL_UNVERIFIABLE

    def test_abuse_034_refuses_a_credential_that_never_asked(self, ours: World) -> None:
        approval = approved(ours)
        stranger = ours.credential(ours.agent_key).pk
        assert refused(approval, ours, credential_id=stranger) == Reason.OUT_OF_SCOPE

    def test_lets_every_credential_that_asked(self, ours: World) -> None:
        made = call(ours)
        opened(ours, made=made)
        approval = approved(ours, made=made, token=ours.agent_key)
        assert use(approval, ours).pk == approval.request_id


class TestLife:
    def test_abuse_027_refuses_a_second_use(self, ours: World) -> None:
        approval = approved(ours)
        use(approval, ours)
        approval.refresh_from_db()
        assert refused(approval, ours) == Reason.APPROVAL_USED

    def test_allows_as_many_uses_as_asked_for_and_no_more(self, ours: World) -> None:
        approval = approved(ours, requirements=(requirement(uses=2),))
        use(approval, ours)
        use(approval, ours)
        approval.refresh_from_db()
        assert refused(approval, ours) == Reason.APPROVAL_USED

    def test_abuse_028_refuses_at_the_very_moment_of_expiry(self, ours: World) -> None:
        approval = approved(ours)
        assert refused(approval, ours, now=approval.expires_at) == Reason.APPROVAL_EXPIRED

    def test_a_microsecond_before_is_in_time(self, ours: World) -> None:
        approval = approved(ours)
        assert use(approval, ours, now=approval.expires_at - timedelta(microseconds=1))

    def test_abuse_137_a_slow_clock_of_the_caller_revives_nothing(self, ours: World) -> None:
        short = requirement(approved_for=timedelta(milliseconds=20))
        approval = approved(ours, requirements=(short,))
        threading.Event().wait(0.05)
        assert refused(approval, ours, now=clock.now() - timedelta(hours=1)) == Reason.APPROVAL_EXPIRED

    def test_abuse_029_refuses_what_was_revoked(self, ours: World) -> None:
        approval = approved(ours)
        revoke(ours, approval)
        assert refused(approval, ours) == Reason.APPROVAL_EXPIRED

    @pytest.mark.postgres
    def test_abuse_029_a_use_that_waits_behind_a_revocation_sees_it(self, ours: World) -> None:
        approval = approved(ours)
        outcome: list[object] = []
        with transaction.atomic():
            revoke(ours, approval)
            waiting = threading.Thread(target=attempt, args=(outcome, lambda: use(approval, ours)))
            waiting.start()
            wait_for_a_blocked_query()
        waiting.join()
        assert [getattr(error, "reason", error) for error in outcome] == [Reason.APPROVAL_EXPIRED]


def revoke(ours: World, approval: Approval) -> Approval:
    return requests.revoke_approval(
        approval.pk, tenant_id=ours.tenant.pk, actor=TESTS, reason="a mistake", now=clock.now()
    )  # fmt: skip


def attempt(outcome: list[object], act: Callable[[], object]) -> None:
    try:
        outcome.append(act())
    except Exception as error:  # noqa: BLE001  whatever it is, the test looks at it
        outcome.append(error)
    finally:
        connection.close()


def wait_for_a_blocked_query() -> None:
    """Until another connection waits for a lock (of which `pg_stat_activity` tells a transaction only once)."""
    for _ in range(500):
        with connection.cursor() as cursor:
            cursor.execute("SELECT count(*) FROM pg_locks WHERE NOT granted")
            if cursor.fetchone()[0]:
                return
        threading.Event().wait(0.01)
    raise AssertionError("nobody waits")


class TestQuorumNow:
    def test_abuse_046_refuses_when_a_voter_left_the_team(self, database: None) -> None:
        alone = world()
        approval = approved(alone)
        people.put_in_teams(alone.frank, ["support"])
        assert refused(approval, alone) == Reason.OUT_OF_SCOPE

    def test_abuse_045_refuses_when_a_voter_was_deactivated(self, database: None) -> None:
        alone = world()
        approval = approved(alone)
        alone.erin.user.is_active = False
        alone.erin.user.save()
        assert refused(approval, alone) == Reason.OUT_OF_SCOPE

    def test_abuse_030_refuses_when_the_requirement_of_now_is_stricter(self, ours: World) -> None:
        approval = approved(ours)
        for stricter in (requirement(quorum=3), requirement(step_up=TOTP), requirement(teams=("support",))):
            assert refused(approval, ours, requirements=(stricter,)) == Reason.OUT_OF_SCOPE

    def test_refuses_when_nobody_says_what_is_required_now(self, ours: World) -> None:
        assert refused(approved(ours), ours, requirements=()) == Reason.OUT_OF_SCOPE

    def test_abuse_048_a_lower_quorum_of_now_does_not_lower_the_one_asked_under(self, database: None) -> None:
        alone = world()
        approval = approved(alone)
        people.put_in_teams(alone.frank, [])
        assert refused(approval, alone, requirements=(requirement(quorum=1),)) == Reason.OUT_OF_SCOPE

    def test_abuse_038_a_voter_who_came_to_own_the_agent_counts_no_more(self, database: None) -> None:
        alone = world()
        approval = approved(alone)
        alone.tenant.agents.update(owner=alone.erin)
        assert refused(approval, alone) == Reason.OUT_OF_SCOPE

    def test_abuse_040_two_voters_found_to_be_one_human_count_once(self, database: None) -> None:
        alone = world()
        approval = approved(alone)
        alone.frank.user.human = alone.erin.user.human
        alone.frank.user.save()
        assert refused(approval, alone) == Reason.OUT_OF_SCOPE


def rewritten(approval: Approval, **changes: Any) -> dict[str, Any]:
    """The envelope with other content and the old signature."""
    statement = canonical.loads_object(dsse.verify(approval.envelope, keys.verifiers(Purpose.APPROVALS), TYPE))
    forged = dsse.sign(canonical.dumps({**statement, **changes}), TYPE, STRANGER)
    return {**forged, "signatures": approval.envelope["signatures"]}


TYPE = issuing.PAYLOAD_TYPE
STRANGER = Signer(name="countersign/approvals", seed=bytes(32))


class TestForgedRows:
    """Whoever can write to the database can write rows, but no signature and no leaf."""

    def test_abuse_033_refuses_an_edited_action(self, ours: World) -> None:
        approval = approved(ours)
        box = KeptArguments.objects.get(log=ours.slug, commitment=approval.request.commitment)
        box.sealed_box = bytes(box.sealed_box)[:-1] + b"\x00"
        box.save()
        assert refused(approval, ours) == Reason.APPROVAL_UNVERIFIABLE

    def test_abuse_033_refuses_another_action_under_our_own_key(self, ours: World) -> None:
        """Even who holds the box's key: the digest that was approved is another."""
        approval = approved(ours)
        place = {"log": ours.slug, "commitment": approval.request.commitment}
        was = kept.read(**place)
        other = {**was.action, "action": {"name": "get"}}
        box = kept.row(**place, action=other, arguments=was.arguments, salt=was.salt, now=clock.now()).sealed_box
        KeptArguments.objects.filter(**place).update(sealed_box=box)
        assert refused(approval, ours) == Reason.APPROVAL_UNVERIFIABLE

    def test_refuses_what_was_erased(self, ours: World) -> None:
        approval = approved(ours)
        kept.erase(ours.slug, approval.request.commitment)
        assert refused(approval, ours) == Reason.APPROVAL_UNVERIFIABLE

    @pytest.mark.parametrize(
        "change",
        [
            lambda row: {"expires_at": row.expires_at + timedelta(days=1)},
            lambda row: {"uses_allowed": 100},
            lambda row: {"issued_at": row.issued_at - timedelta(seconds=1)},
            lambda row: {"envelope": rewritten(row, uses=100)},
            lambda row: {"envelope": {**row.envelope, "payloadType": "application/json"}},
            lambda row: {"envelope": {**row.envelope, "signatures": []}},
            lambda row: {"envelope": {}},
        ],
        ids=["longer", "more uses", "earlier", "payload", "type", "unsigned", "empty"],
    )
    def test_abuse_140_refuses_an_edited_approval(
        self, ours: World, change: Callable[[Approval], dict[str, Any]]
    ) -> None:
        approval = approved(ours)
        Approval.objects.filter(pk=approval.pk).update(**change(approval))
        assert refused(approval, ours) == Reason.APPROVAL_UNVERIFIABLE

    def test_abuse_035_refuses_a_signature_by_another_key(self, ours: World) -> None:
        approval = approved(ours)
        payload = dsse.verify(approval.envelope, keys.verifiers(Purpose.APPROVALS), TYPE)
        forged = dsse.sign(payload, TYPE, STRANGER)
        forged["signatures"][0]["keyid"] = approval.envelope["signatures"][0]["keyid"]
        Approval.objects.filter(pk=approval.pk).update(envelope=forged)
        assert refused(approval, ours) == Reason.APPROVAL_UNVERIFIABLE

    def test_abuse_036_refuses_an_envelope_of_another_payload_type(self, ours: World) -> None:
        approval = approved(ours)
        payload = dsse.verify(approval.envelope, keys.verifiers(Purpose.APPROVALS), TYPE)
        other = dsse.sign(payload, dsse.IN_TOTO, keys.signer(Purpose.APPROVALS))
        Approval.objects.filter(pk=approval.pk).update(envelope=other)
        assert refused(approval, ours) == Reason.APPROVAL_UNVERIFIABLE

    def test_abuse_140_refuses_the_signed_approval_of_another_request(self, ours: World) -> None:
        approval, other = approved(ours), approved(ours)
        Approval.objects.filter(pk=approval.pk).update(envelope=other.envelope)
        assert refused(approval, ours) == Reason.APPROVAL_UNVERIFIABLE

    def test_abuse_140_refuses_a_vote_written_by_hand(self, ours: World) -> None:
        """Even if our own key signed over it: its leaf is in no evidence."""
        request = opened(ours)
        vote(request, ours.erin)
        approval = forge(ours, request, leaf=bytes(32))
        assert refused(approval, ours) == Reason.APPROVAL_UNVERIFIABLE

    def test_abuse_140_refuses_a_vote_that_borrows_anothers_leaf(self, ours: World) -> None:
        request = opened(ours)
        vote(request, ours.erin)
        approval = forge(ours, request, leaf=bytes(Vote.objects.get(request=request).leaf))
        assert refused(approval, ours) == Reason.APPROVAL_UNVERIFIABLE

    def test_abuse_140_refuses_a_vote_whose_row_says_more_than_its_record(self, ours: World) -> None:
        approval = approved(ours)
        Vote.objects.filter(request=approval.request_id).update(assurance="totp")
        assert refused(approval, ours) == Reason.APPROVAL_UNVERIFIABLE

    def test_abuse_150_refuses_a_vote_whose_row_was_moved_to_another_display(self, ours: World) -> None:
        approval = approved(ours)
        Vote.objects.filter(request=approval.request_id).update(seen="sha256:" + "0" * 64)
        assert refused(approval, ours) == Reason.APPROVAL_UNVERIFIABLE

    def test_abuse_140_refuses_a_party_written_by_hand(self, ours: World) -> None:
        approval = approved(ours)
        other = ours.credential(ours.key("pep", agents=["**"]))
        row = RequestParty.objects.get(request=approval.request)
        row.pk, row.credential = None, other
        row.save()
        assert refused(approval, ours, credential_id=other.pk) == Reason.APPROVAL_UNVERIFIABLE

    def test_abuse_140_refuses_when_requirements_were_lowered_in_the_row(self, ours: World) -> None:
        approval = approved(ours)
        AccessRequest.objects.filter(pk=approval.request_id).update(requirements=[])
        assert refused(approval, ours) == Reason.APPROVAL_UNVERIFIABLE

    def test_abuse_140_a_use_cannot_be_taken_back_in_the_row(self, ours: World) -> None:
        approval = approved(ours)
        use(approval, ours)
        Approval.objects.filter(pk=approval.pk).update(uses=0)
        assert refused(approval, ours) == Reason.APPROVAL_UNVERIFIABLE

    def test_abuse_140_a_revocation_cannot_be_taken_back_in_the_row(self, ours: World) -> None:
        approval = approved(ours)
        revoke(ours, approval)
        Approval.objects.filter(pk=approval.pk).update(revoked_at=None)
        assert refused(approval, ours) == Reason.APPROVAL_UNVERIFIABLE

    def test_abuse_140_refuses_an_approval_of_a_request_that_is_not_approved(self, ours: World) -> None:
        approval = approved(ours)
        AccessRequest.objects.filter(pk=approval.request_id).update(status="denied")
        assert refused(approval, ours) == Reason.APPROVAL_UNVERIFIABLE


def forge(ours: World, request: AccessRequest, *, leaf: bytes) -> Approval:
    """Frank's vote by hand, and an approval over it as the service itself would sign one."""
    Vote.objects.create(
        tenant=ours.tenant, request=request, human=ours.frank.user.human, membership=ours.frank, decision="approve",
        seen=request.display_hash, assurance="none", surface="web", cast_at=clock.now(), leaf=leaf,
    )  # fmt: skip
    AccessRequest.objects.filter(pk=request.pk).update(status="approved", closed_at=clock.now())
    request.refresh_from_db()
    with transaction.atomic():
        return issuing.issue(request, list(request.votes.order_by("pk")), actor=TESTS, now=clock.now())


class TestTrace:
    def test_a_use_is_recorded_in_the_requests_thread(self, ours: World) -> None:
        approval = approved(ours)
        request = use(approval, ours)
        assert events(request)[-2:] == ["approval.issued", "approval.used"]
        (last,) = ledger.history(ours.slug, request.pk, limit=1)
        assert last["predicate"]["entitlement"] == {"approval": approval.pk, "use": 1, "of": 1}

    def test_a_use_is_taken_back_with_the_transaction_it_stands_in(self, ours: World) -> None:
        approval = approved(ours)
        with pytest.raises(ZeroDivisionError), transaction.atomic():
            use(approval, ours)
            raise ZeroDivisionError
        assert use(approval, ours)

    def test_the_signature_names_every_vote_by_its_leaf(self, ours: World) -> None:
        approval = approved(ours)
        signed = canonical.loads_object(dsse.verify(approval.envelope, keys.verifiers(Purpose.APPROVALS), TYPE))
        leaves = [digests.text(bytes(one.leaf)) for one in approval.request.votes.order_by("pk")]
        assert [one["leaf"] for one in signed["votes"]] == leaves

    def test_a_thread_that_a_machine_made_long_hides_no_vote(self, ours: World) -> None:
        approval = approved(ours)
        with transaction.atomic(), connection.cursor() as cursor:
            journal.insert_many(cursor, list(noise(cursor, approval.request, records=10_001)))
        assert use(approval, ours)

    def test_revoking_twice_is_refused(self, ours: World) -> None:
        approval = approved(ours)
        revoke(ours, approval)
        with pytest.raises(requests.NotRevocable):
            revoke(ours, approval)
        assert events(approval.request).count("approval.revoked") == 1

    def test_abuse_026_another_tenant_cannot_revoke(self, ours: World) -> None:
        approval = approved(ours)
        with pytest.raises(requests.UnknownApproval):
            requests.revoke_approval(
                approval.pk, tenant_id=ours.tenant.pk + 1, actor=TESTS, reason="", now=clock.now()
            )  # fmt: skip


def noise(cursor: CursorWrapper, request: AccessRequest, *, records: int) -> Iterator[Entry]:
    """An agent that asks the same again and again, as its request's thread keeps it."""
    n, leaf = ledger.thread_head(cursor, request.tenant.slug, request.pk) or (0, b"")
    for number in range(n + 1, n + 1 + records):
        entry = journal.entry(
            Event.DECISION_MADE, event_id=ids.new("eva"), tenant=request.tenant.slug, thread=request.pk, n=number,
            prev_leaf=leaf, recorded_at=request.opened_at, actor=TESTS.member, commitment=request.commitment,
            members={"decision": {"outcome": "escalate"}}, request=request.pk,
        )  # fmt: skip
        leaf = entry.leaf
        yield entry
