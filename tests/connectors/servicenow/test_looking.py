"""Answers given in ServiceNow: whose count, and what becomes of the others. A real webhook, a real look-alike."""

import json
from collections.abc import Iterator

import pytest
from django.test import Client

from approvals.models import AccessRequest
from connectors import telling
from connectors.models import Delivery
from connectors.servicenow import looking, transport
from connectors.servicenow.inbound import LOOK, Hint, take
from evidence import clock
from examples.lookalikes.faults import Fault
from examples.lookalikes.servicenow.instance import APPROVALS, CHANGES, USERS, Person
from examples.lookalikes.servicenow.rule import BusinessRule
from outbox import pump
from outbox.models import Job
from tests.approvals.asking import TOTP, opened, requirement
from tests.connectors.servicenow.world import PLACE, Now, connected, settle


@pytest.fixture(scope="module")
def shared(database: None) -> Iterator[Now]:
    with connected() as made:
        yield made


@pytest.fixture
def now(shared: Now) -> Iterator[Now]:
    shared.faults.clear()
    yield shared
    shared.faults.clear()


def asked(now: Now, **asking: object) -> AccessRequest:
    """A request that is told in ServiceNow, its record kept as the outbox would."""
    request = opened(now.acme, **asking)
    settle(now)
    if not Delivery.objects.filter(request=request).exclude(ref={}).exists():
        made = telling.told(AccessRequest.objects.select_related("tenant").get(pk=request.pk), version=1)
        at = clock.now()
        ref = dict(transport.open_(now.account).post(PLACE, made))
        Delivery.objects.create(
            tenant=now.acme.tenant, request=request, kind="servicenow", place_key=CHANGES, config={}, ref=ref,
            created_at=at, updated_at=at,
        )  # fmt: skip
    return request


def send(now: Now, told: dict[str, object]) -> int:
    """As the business rule does."""
    body = json.dumps(told).encode()
    headers = BusinessRule("", now.secret, now.faults).headers(body)
    content_type = headers.pop("Content-Type")
    return Client().post("/servicenow/webhook", body, content_type=content_type, headers=headers).status_code


def answered(now: Now, request: AccessRequest, approver: Person, state: str, *, by: Person | None = None) -> None:
    """Answered in ServiceNow, called about, and looked at."""
    now.answer(request, approver, state, by=by)
    assert send(now, now.hint(request, approver)) == 202
    settle(now)


def votes(request: AccessRequest) -> list[tuple[str, str, str]]:
    return [(vote.membership.user.username.split("-")[0], vote.decision, vote.surface) for vote in request.votes.all()]


class TestNotCounted:
    """Each is set back, and the one who looks there reads why."""

    def unheard(self, now: Now, request: AccessRequest, approver: Person, *words: str) -> None:
        assert votes(request) == []
        assert now.approval(request, approver)["state"] == "requested"
        for word in (*words, f"/requests/{request.pk}/"):
            assert word in now.comments(request, approver)

    def test_abuse_083_somebody_who_answers_for_the_approver(self, now):
        boss = now.instance.person("boss", "approval_admin")
        request = asked(now)
        answered(now, request, now.erin, "approved", by=boss)
        self.unheard(now, request, now.erin, "not set by the approver")

    def test_abuse_083_a_change_of_the_approvers_own_on_top_of_anothers_answer(self, now):
        """Somebody else answers, and the approver touches the record before we look."""
        boss = now.instance.person("boss2", "approval_admin")
        request = asked(now)
        now.answer(request, now.erin, "approved", by=boss)
        told = now.hint(request, now.erin)
        now.patch(APPROVALS, now.approval(request, now.erin)["sys_id"], now.erin, comments="hm?")
        assert now.approval(request, now.erin)["sys_updated_by"] == "erin"
        send(now, told)
        settle(now)
        self.unheard(now, request, now.erin, "was changed again since")

    @pytest.mark.parametrize("flag", ["web_service_access_only", "internal_integration_user"])
    def test_abuse_089_an_automation_user(self, now, flag):
        request = asked(now)
        row = now.instance.tables[USERS][now.frank.sys_id]
        row[flag] = "true"
        answered(now, request, now.frank, "approved")
        row[flag] = "false"
        self.unheard(now, request, now.frank, "not set by the approver")

    def test_abuse_089_our_own_hand_is_nobodys_answer(self, now):
        request = asked(now)
        answered(now, request, now.erin, "approved", by=now.service)
        assert votes(request) == []

    def test_abuse_088_who_may_approve_there_and_not_here(self, now):
        request = asked(now)
        now.acme.erin.teams.all().delete()
        answered(now, request, now.erin, "approved")
        now.acme.apply(teams=[{"name": "finance"}])
        assert votes(request) == []
        assert "See http://testserver" in now.comments(request, now.erin)
        team = now.acme.tenant.teams.get(name="finance")
        team.members.get_or_create(tenant=now.acme.tenant, membership=now.acme.erin)

    def test_who_is_not_linked_is_told_where_to(self, now):
        request = asked(now)
        mia = now.instance.person("mia", "approver_user")
        record = now.record(request)["sys_id"]
        now.instance.create(APPROVALS, {"sysapproval": record, "approver": mia.sys_id}, by=now.service)
        answered(now, request, mia, "approved")
        assert votes(request) == []
        assert "/account/" in now.comments(request, mia)

    def test_who_needs_a_step_up_is_led_to_the_page(self, now):
        request = asked(now, requirements=(requirement(step_up=TOTP),))
        answered(now, request, now.erin, "approved")
        self.unheard(now, request, now.erin, "second factor")
        assert f"/requests/{request.pk}/" in now.notes(request)

    def test_is_set_back_even_if_the_answer_to_that_was_lost(self, now):
        request = asked(now, requirements=(requirement(step_up=TOTP),))
        now.faults.add(Fault("PATCH sysapproval_approver", drop="after"))
        answered(now, request, now.erin, "approved")
        Job.objects.filter(tenant=now.acme.slug, kind=LOOK, state="ready").update(run_at=pump.now())
        settle(now)
        self.unheard(now, request, now.erin, "second factor")

    def test_abuse_150_who_read_another_text(self, now):
        request = asked(now)
        now.patch(CHANGES, now.record(request)["sys_id"], now.service, description="pay the nice people 2.50")
        answered(now, request, now.erin, "approved")
        self.unheard(now, request, now.erin, "was changed here")
        assert "250.00" in now.record(request)["description"]
        answered(now, request, now.erin, "approved")
        assert votes(request) == [("erin", "approve", "servicenow")]

    def test_abuse_150_who_read_another_text_although_setting_it_back_failed(self):
        """The text is right again by the second look, the approval is not yet."""
        with connected(storm=False) as now:
            request = asked(now)
            now.patch(CHANGES, now.record(request)["sys_id"], now.service, description="pay the nice people 2.50")
            now.faults.add(Fault(f"PATCH {APPROVALS}", drop="before"))
            answered(now, request, now.erin, "approved")
            assert "250.00" in now.record(request)["description"]
            Job.objects.filter(tenant=now.acme.slug, kind=LOOK, state="ready").update(run_at=pump.now())
            settle(now)
            self.unheard(now, request, now.erin, "was changed here")

    def test_abuse_084_a_record_that_only_looks_like_ours(self, now):
        """The same correlation id and text, made by somebody else, with an approval of a real approver's."""
        request = asked(now)
        boss = now.instance.person("boss3", "itil", "approval_admin")
        copied = {name: now.record(request)[name] for name in ("description", "short_description", "correlation_id")}
        fake = now.instance.create(CHANGES, copied, by=boss)
        row = now.instance.create(APPROVALS, {"sysapproval": fake["sys_id"], "approver": now.erin.sys_id}, by=boss)
        now.patch(APPROVALS, row["sys_id"], now.erin, state="approved")
        hint = Hint(row["sys_id"], int(row["sys_mod_count"]), "erin")
        long_ago = clock.now() - 2 * looking.PATIENCE
        take(now.account, hint, now=long_ago)
        settle(now)
        assert votes(request) == []
        assert not Job.objects.filter(kind=LOOK, tenant=now.acme.slug, state="ready").exists()

    def test_abuse_041_who_comes_too_late(self, now):
        request = asked(now)
        AccessRequest.objects.filter(pk=request.pk).update(expires_at=clock.now())
        answered(now, request, now.erin, "approved")
        assert votes(request) == []
        assert "expired already" in now.comments(request, now.erin)
        assert now.approval(request, now.erin)["state"] != "approved"

    def test_a_call_that_lies_about_the_state(self, now):
        request = asked(now)
        told = {**now.hint(request, now.erin), "state": "approved", "updated_by": "erin", "mod_count": "1"}
        send(now, told)
        settle(now)
        assert votes(request) == []


class TestCounted:
    def test_the_approvers_own_answer_is_a_vote(self, now):
        request = asked(now)
        answered(now, request, now.erin, "approved")
        assert votes(request) == [("erin", "approve", "servicenow")]

    def test_a_rejection_denies(self, now):
        request = asked(now)
        answered(now, request, now.frank, "rejected")
        request.refresh_from_db()
        assert (request.status, votes(request)) == ("denied", [("frank", "deny", "servicenow")])

    def test_abuse_085_a_call_delivered_three_times_is_one_vote(self, now):
        request = asked(now)
        now.answer(request, now.erin, "approved")
        assert [send(now, now.hint(request, now.erin)) for _ in range(3)] == [202] * 3
        settle(now)
        assert votes(request) == [("erin", "approve", "servicenow")]

    def test_abuse_039_the_same_human_here_and_there_is_one_vote(self, now):
        request = asked(now)
        answered(now, request, now.erin, "approved")
        answered(now, request, now.frank, "approved")
        request.refresh_from_db()
        assert request.status == "approved"
        assert len(votes(request)) == 2

    def test_an_instance_that_is_out_of_order_is_asked_again(self, now):
        request = asked(now)
        now.answer(request, now.erin, "approved")
        now.faults.add(Fault(where="GET sysapproval_approver", status=429, retry_after="0"))
        now.faults.add(Fault(where="GET sysapproval_approver", status=500))
        send(now, now.hint(request, now.erin))
        settle(now)
        Job.objects.filter(kind=LOOK, tenant=now.acme.slug, state="ready").update(run_at=pump.now())
        settle(now)
        assert votes(request) == [("erin", "approve", "servicenow")]
