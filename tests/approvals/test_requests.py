"""Requests opened, joined, cancelled and expired."""

from datetime import timedelta

import pytest
from django.db import transaction

from approvals import requests
from approvals.models import AccessRequest, RequestParty, Status
from approvals.requests import NotPending, TooManyOpen, UnknownRequest
from approvals.requirements import NoRequirement
from approvals.signals import Change, request_changed
from countersign.policy.values import Principal
from evidence import clock, kept, ledger
from outbox.models import Job
from tests.approvals.asking import DENY, TESTS, approved, ask, call, events, opened, requirement, use, vote
from tests.worlds import World, world


@pytest.fixture(scope="module")
def ours(database: None) -> World:
    return world()


def open_(asked: requests.Ask, max_open: int = 10_000) -> requests.Opened:
    with transaction.atomic():
        return requests.open_or_join(asked, max_open=max_open, now=clock.now())


class TestOpening:
    def test_refuses_an_escalation_that_asks_nobody(self, ours: World) -> None:
        with pytest.raises(NoRequirement):
            opened(ours, requirements=())

    def test_refuses_more_open_requests_than_the_tenant_allows(self, database: None) -> None:
        alone = world()
        opened(alone, max_open=2)
        opened(alone, max_open=2)
        with pytest.raises(TooManyOpen):
            opened(alone, max_open=2)

    def test_does_not_count_what_is_closed_or_past_its_time(self, database: None) -> None:
        alone = world()
        requests.cancel(
            opened(alone).pk, tenant_id=alone.tenant.pk, actor=TESTS, reason="", now=clock.now()
        )  # fmt: skip
        opened(alone, now=clock.now() - timedelta(hours=1))
        assert opened(alone, max_open=1).status == Status.PENDING

    def test_keeps_action_arguments_and_salt_beside_the_evidence(self, ours: World) -> None:
        asked = ask(ours)
        open_(asked)
        found = kept.read(ours.slug, asked.commitment)
        assert found is not None
        assert (found.arguments, found.salt) == (asked.call.arguments, asked.salt)

    def test_records_the_opening_without_a_word_of_the_arguments(self, ours: World) -> None:
        request = opened(ours, made=call(ours, {"order": "A-very-secret"}))
        (statement,) = ledger.history(ours.slug, request.pk, limit=5)
        assert statement["predicate"]["event"] == "request.opened"
        assert statement["predicate"]["rendered"]["display_hash"] == request.display_hash
        assert "A-very-secret" not in str(statement)

    def test_knows_the_humans_on_the_asking_side(self, ours: World) -> None:
        made = call(ours, principal=Principal("user", ours.erin.user.email.upper()))
        request = opened(ours, made=made)
        assert request.agent_owner_id == ours.dana.user.human_id
        assert request.principal_human_id == ours.erin.user.human_id

    def test_waits_no_longer_than_the_shortest_requirement(self, ours: World) -> None:
        short = requirement(expires_in=timedelta(minutes=3))
        request = opened(ours, requirements=(requirement(), short))
        assert request.expires_at - request.opened_at == timedelta(minutes=3)

    def test_sets_a_timer_that_commits_with_it(self, ours: World) -> None:
        request = opened(ours)
        job = Job.objects.get(dedupe=f"approvals.expire:{request.pk}")
        assert job.run_at == request.expires_at

    def test_tells_the_rooms_above_inside_the_transaction(self, ours: World) -> None:
        def receive(*, request: AccessRequest, change: Change, **_: object) -> None:
            raise RuntimeError(f"{change} {transaction.get_connection().in_atomic_block}")

        request_changed.connect(receive)
        asked = ask(ours)
        try:
            with pytest.raises(RuntimeError, match="opened True"):
                open_(asked)
        finally:
            request_changed.disconnect(receive)
        assert not AccessRequest.objects.filter(action_digest=asked.call.action_digest).exists()


class TestJoining:
    def test_the_same_action_is_not_asked_twice(self, ours: World) -> None:
        made = call(ours)
        first, second = open_(ask(ours, made)), open_(ask(ours, made, token=ours.agent_key))
        assert (first.joined, second.joined) == (False, True)
        assert first.request.pk == second.request.pk
        assert events(first.request) == ["request.opened", "request.joined"]

    def test_asking_again_with_the_same_key_leaves_no_second_trace(self, ours: World) -> None:
        made = call(ours)
        request = open_(ask(ours, made)).request
        assert open_(ask(ours, made)).joined
        assert events(request) == ["request.opened"]

    def test_joining_is_not_held_against_the_limit(self, ours: World) -> None:
        made = call(ours)
        open_(ask(ours, made))
        assert open_(ask(ours, made), max_open=0).joined

    def test_a_request_past_its_time_gives_way_although_its_timer_is_late(self, ours: World) -> None:
        made = call(ours)
        late = opened(ours, made=made, now=clock.now() - timedelta(hours=1))
        fresh = open_(ask(ours, made))
        late.refresh_from_db()
        assert (fresh.joined, late.status) == (False, Status.EXPIRED)
        assert events(late) == ["request.opened", "request.expired"]

    def test_a_denied_request_is_not_joined(self, ours: World) -> None:
        made = call(ours)
        denied = opened(ours, made=made)
        vote(denied, ours.erin, DENY)
        assert open_(ask(ours, made)).request.pk != denied.pk

    def test_who_asked_before_gets_the_unused_approval(self, ours: World) -> None:
        made = call(ours)
        approval = approved(ours, made=made)
        again = open_(ask(ours, made))
        assert (again.joined, again.request.pk) == (True, approval.request_id)

    def test_abuse_034_who_did_not_ask_before_the_approval_opens_a_request_of_their_own(self, ours: World) -> None:
        made = call(ours)
        approval = approved(ours, made=made)
        other = open_(ask(ours, made, token=ours.agent_key))
        assert (other.joined, other.request.pk == approval.request_id) == (False, False)

    def test_an_approval_that_would_be_refused_does_not_block_a_new_request(self, ours: World) -> None:
        made = call(ours)
        approval = approved(ours, made=made)
        stricter = open_(ask(ours, made, requirements=(requirement(quorum=3),)))
        assert stricter.request.pk != approval.request_id


class TestMatching:
    def test_nothing_was_asked(self, ours: World) -> None:
        assert requests.matching(ours.tenant.pk, call(ours).action_digest, now=clock.now()) is None

    def test_abuse_026_another_tenants_request_matches_nothing(self, ours: World) -> None:
        request = opened(ours)
        assert requests.matching(ours.tenant.pk + 1, request.action_digest, now=clock.now()) is None

    def test_finds_what_is_pending_until_its_last_moment(self, ours: World) -> None:
        request = opened(ours)
        assert requests.matching(ours.tenant.pk, request.action_digest, now=clock.now()) == request
        assert requests.matching(ours.tenant.pk, request.action_digest, now=request.expires_at) is None

    def test_finds_an_approval_only_while_a_use_is_left(self, ours: World) -> None:
        approval = approved(ours)
        found = requests.matching(ours.tenant.pk, approval.action_digest, now=clock.now())
        assert found is not None
        assert found.approval == approval
        use(approval, ours)
        assert requests.matching(ours.tenant.pk, approval.action_digest, now=clock.now()) is None

    def test_tells_a_stranger_of_no_approval(self, ours: World) -> None:
        approval = approved(ours)
        stranger = ours.credential(ours.agent_key).pk
        asked = {"now": clock.now(), "credential_id": stranger}
        assert requests.matching(ours.tenant.pk, approval.action_digest, **asked) is None


class TestCancel:
    def test_refuses_what_is_closed(self, ours: World) -> None:
        approval = approved(ours)
        with pytest.raises(NotPending):
            cancel(ours, approval.request_id)

    def test_refuses_what_is_past_its_time(self, ours: World) -> None:
        late = opened(ours, now=clock.now() - timedelta(hours=1))
        with pytest.raises(NotPending):
            cancel(ours, late.pk)

    def test_abuse_057_does_not_know_another_tenants_request(self, ours: World) -> None:
        request = opened(ours)
        with pytest.raises(UnknownRequest):
            requests.cancel(
                request.pk, tenant_id=ours.tenant.pk + 1, actor=TESTS, reason="", now=clock.now()
            )  # fmt: skip

    def test_is_one_record(self, ours: World) -> None:
        request = opened(ours)
        closed = cancel(ours, request.pk)
        assert closed.status == Status.CANCELLED
        assert events(request) == ["request.opened", "request.cancelled"]


def cancel(ours: World, request_id: str) -> AccessRequest:
    return requests.cancel(request_id, tenant_id=ours.tenant.pk, actor=TESTS, reason="not needed", now=clock.now())


class TestExpireDue:
    def test_leaves_alone_what_still_has_time(self, ours: World) -> None:
        request = opened(ours)
        requests.expire_due(clock.now())
        request.refresh_from_db()
        assert request.status == Status.PENDING

    def test_closes_what_is_due_once(self, ours: World) -> None:
        request = opened(ours, now=clock.now() - timedelta(hours=1))
        assert requests.expire_due(clock.now()) >= 1
        requests.expire_due(clock.now())
        request.refresh_from_db()
        assert request.status == Status.EXPIRED
        assert events(request) == ["request.opened", "request.expired"]

    def test_expires_at_the_very_moment(self, ours: World) -> None:
        request = opened(ours)
        requests.expire_due(request.expires_at)
        request.refresh_from_db()
        assert request.status == Status.EXPIRED


class TestParties:
    def test_abuse_026_a_key_of_another_tenant_cannot_be_written_in(self, ours: World) -> None:
        request, other = opened(ours), world()
        with pytest.raises(Exception, match=r"(?i)foreign key"), transaction.atomic():
            RequestParty.objects.create(
                tenant=ours.tenant, request=request, credential=other.credential(other.pep_key),
                evaluation_id="eva_x", joined_at=clock.now(),
            )  # fmt: skip
