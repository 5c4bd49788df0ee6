"""A requester's endpoint hears how its task ended: once, signed, no more than it could ask for, and nobody else's."""

import hashlib
import hmac
import io
import json
from datetime import timedelta
from typing import Any

import pytest
from django.conf import settings
from django.core.management import call_command
from django.core.management.base import CommandError
from django.db import transaction

from approvals import requests
from approvals.models import AccessRequest, Callback
from connectors import pauses
from connectors.webhook import deliver, notify, registering
from countersign.proof.events import Event
from evidence import clock, ledger
from outbox import pump, reachable
from outbox.models import Job, State
from registry import credentials
from tests.approvals.asking import DENY, TESTS, approved, events, opened, vote
from tests.connectors.webhook.receiver import Receiver
from tests.enforcement.machine import REQUESTS, ask, big, get, post
from tests.worlds import World, world


def register(own: World, url: str, *, key: str | None = None, name: str = "mine") -> str:
    credential = own.credential(key) if key else None
    return registering.add(own.tenant, name=name, url=url, credential=credential, actor=TESTS, now=clock.now())


def job() -> Job:
    return Job.objects.filter(kind=notify.TELL).latest("pk")


class TestTelling:
    def test_the_task_is_told_as_its_requester_could_ask_for_it(self, own: World, here: Receiver) -> None:
        register(own, here.url, key=own.pep_key)
        approval = approved(own)
        pump.run_due()
        (got,) = here.got
        assert got.line == "POST /hook?token=t HTTP/1.1"
        asked = run_get(own, approval.request_id)
        assert json.loads(got.body) == asked
        assert asked["result"]["approval"]["id"] == approval.pk

    def test_it_is_a_cloud_event_by_its_headers(self, own: World, here: Receiver) -> None:
        register(own, here.url)
        request = vote(opened(own), own.erin, DENY)
        pump.run_due()
        told = here.got[0].headers
        assert (told["ce-specversion"], told["ce-type"]) == ("1.0", "countersign.request.denied")
        assert (told["ce-subject"], told["content-type"]) == (request.pk, "application/json")
        assert told["ce-id"].startswith("cbk_")

    def test_its_signature_is_over_time_and_body(self, own: World, here: Receiver) -> None:
        secret = register(own, here.url)
        vote(opened(own), own.erin, DENY)
        pump.run_due()
        (got,) = here.got
        stamp, _, given = got.headers["countersign-signature"].removeprefix("t=").partition(",v1=")
        expected = hmac.new(secret.encode(), stamp.encode() + b"." + got.body, hashlib.sha256).hexdigest()
        assert given == expected
        assert abs(int(stamp) - clock.now().timestamp()) < 60

    @pytest.mark.parametrize("end", ["approved", "denied", "cancelled", "expired"])
    def test_each_end_is_told(self, own: World, here: Receiver, end: str) -> None:
        register(own, here.url)
        ended(own, end)
        pump.run_due()
        assert [json.loads(got.body)["task"]["status"] for got in here.got] == [end]

    def test_what_is_rolled_back_is_not_told(self, own: World, here: Receiver) -> None:
        register(own, here.url)
        request = opened(own)
        with pytest.raises(ZeroDivisionError), transaction.atomic():
            vote(request, own.erin, DENY)
            raise ZeroDivisionError
        pump.run_due()
        assert here.got == []

    def test_it_is_recorded_in_the_requests_thread(self, own: World, here: Receiver) -> None:
        register(own, here.url)
        request = vote(opened(own), own.erin, DENY)
        pump.run_due()
        (said,) = ledger.history(own.slug, request.pk, limit=5, events={Event.NOTIFICATION_SENT})
        assert said["predicate"]["detail"] == {"kind": "webhook", "place": "mine"}


def run_get(own: World, request_id: str) -> dict[str, Any]:
    answer: dict[str, Any] = get(f"{REQUESTS}/{request_id}", own.pep_key).json
    return answer


def ended(own: World, end: str) -> AccessRequest:
    if end == "approved":
        return approved(own).request
    request = opened(own, now=clock.now() - timedelta(hours=1) if end == "expired" else None)
    match end:
        case "denied":
            return vote(request, own.erin, DENY)
        case "cancelled":
            return requests.cancel(request.pk, tenant_id=own.tenant.pk, actor=TESTS, reason="", now=clock.now())
        case _:
            requests.expire_due(clock.now())
            return request


class TestWhom:
    def test_abuse_026_another_tenants_endpoint_hears_nothing(self, own: World, here: Receiver) -> None:
        register(world(), here.url)
        vote(opened(own), own.erin, DENY)
        assert pump.run_due() == 0 or here.got == []

    def test_an_endpoint_of_another_credential_hears_nothing(self, own: World, here: Receiver) -> None:
        register(own, here.url, key=own.key("pep"))
        vote(opened(own), own.erin, DENY)
        pump.run_due()
        assert here.got == []

    def test_abuse_145_an_agents_own_endpoint_is_not_told_why(self, own: World, here: Receiver) -> None:
        register(own, here.url, key=own.agent_key)
        vote(opened(own, token=own.agent_key), own.erin, DENY, reason="Only up to 180.")
        pump.run_due()
        assert json.loads(here.got[0].body)["task"]["status"] == "denied"
        assert b"180" not in here.got[0].body

    def test_who_lost_the_key_meanwhile_is_not_told(self, own: World, here: Receiver) -> None:
        register(own, here.url, key=own.pep_key)
        vote(opened(own), own.erin, DENY)
        credentials.revoke(own.credential(own.pep_key), actor=TESTS, now=clock.now())
        pump.run_due()
        assert (here.got, job().state) == ([], State.DONE)

    def test_what_waits_for_a_removed_endpoint_is_not_sent(self, own: World, here: Receiver) -> None:
        register(own, here.url)
        vote(opened(own), own.erin, DENY)
        registering.remove(own.tenant, name="mine", actor=TESTS, now=clock.now())
        pump.run_due()
        assert here.got == []


class TestTryingAgain:
    def test_what_was_not_taken_is_sent_again(self, own: World, here: Receiver) -> None:
        register(own, here.url)
        here.say(b"HTTP/1.1 500 No\r\n\r\n")
        request = vote(opened(own), own.erin, DENY)
        pump.run_due()
        assert (job().state, job().attempts) == (State.READY, 1)
        here.say(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")
        again()
        assert (job().state, len(here.got)) == (State.DONE, 2)
        assert len({got.headers["ce-id"] for got in here.got}) == 1
        assert events(request).count("notification.sent") == 1

    @pytest.mark.parametrize(("said", "seconds"), [("7", 7), ("999999", 1800)])
    def test_who_asks_for_time_gets_it_within_reason(self, own: World, here: Receiver, said: str, seconds: int) -> None:
        register(own, here.url)
        here.say(f"HTTP/1.1 429 Later\r\nRetry-After: {said}\r\n\r\n".encode())
        vote(opened(own), own.erin, DENY)
        pump.run_due()
        assert job().attempts == 0
        assert timedelta(seconds=seconds - 3) < job().run_at - clock.now() <= timedelta(seconds=seconds)

    def test_who_is_gone_is_left_alone(self, own: World, here: Receiver) -> None:
        register(own, here.url)
        here.say(b"HTTP/1.1 410 Gone\r\n\r\n")
        request = vote(opened(own), own.erin, DENY)
        pump.run_due()
        assert (job().state, events(request)[-1]) == (State.DEAD, "notification.failed")

    def test_abuse_095_where_it_may_not_go_it_is_given_up_at_once(
        self, own: World, here: Receiver, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(settings, "COUNTERSIGN", settings.COUNTERSIGN.model_copy(update={"callback_networks": ""}))
        register(own, here.url)
        request = vote(opened(own), own.erin, DENY)
        pump.run_due()
        assert (job().state, here.connections, events(request)[-1]) == (State.DEAD, 0, "notification.failed")

    @pytest.mark.parametrize(
        ("says", "why"),
        [
            (b"HTTP/1.1 503 Later\r\nRetry-After: 5\r\n\r\n", "asked for more time for a day"),
            (b"HTTP/1.1 500 No\r\n\r\n", "answered 500"),
            (b"nonsense\r\n\r\n", "127.0.0.1 did not answer: BadStatusLine."),
        ],
    )
    def test_for_a_day_and_no_longer_and_the_end_is_recorded(
        self, own: World, here: Receiver, says: bytes, why: str
    ) -> None:
        register(own, here.url)
        here.say(says)
        request = vote(opened(own), own.erin, DENY)
        pump.run_due()
        assert (job().state, failures(request)) == (State.READY, [])
        AccessRequest.objects.filter(pk=request.pk).update(closed_at=clock.now() - deliver.GIVEN_UP_AFTER)
        again()
        assert (job().state, failures(request)) == (State.DEAD, [why])

    def test_what_breaks_here_is_recorded_too(self, own: World, here: Receiver) -> None:
        register(own, here.url)
        request = vote(opened(own), own.erin, DENY)
        Callback.objects.filter(tenant=own.tenant).update(secret=b"by hand")
        AccessRequest.objects.filter(pk=request.pk).update(closed_at=clock.now() - deliver.GIVEN_UP_AFTER)
        pump.run_due()
        assert (job().state, failures(request)) == (State.DEAD, ["unexpected: CannotUnseal"])

    def test_no_count_of_tries_ends_it_before(self, own: World, here: Receiver) -> None:
        register(own, here.url)
        vote(opened(own), own.erin, DENY)
        shortest = timedelta(minutes=5)  # of the pauses, once they no longer grow
        assert job().max_attempts > deliver.GIVEN_UP_AFTER / shortest

    def test_an_endpoint_that_fails_is_left_alone_by_all_that_waits_for_it(self, own: World, here: Receiver) -> None:
        register(own, here.url)
        here.say(b"HTTP/1.1 500 No\r\n\r\n")
        for _ in range(5):
            vote(opened(own), own.erin, DENY)
        pump.run_due()
        assert here.connections == 1
        here.say(b"HTTP/1.1 204 No Content\r\n\r\n")
        for _ in range(2):  # one tries for all
            again()
        assert Job.objects.filter(tenant=own.slug, kind=notify.TELL, state=State.DONE).count() == 5


def failures(request: AccessRequest) -> list[str]:
    found = ledger.history(request.tenant.slug, request.pk, limit=9, events={Event.NOTIFICATION_FAILED})
    return [one["predicate"]["detail"]["why"] for one in found]


def again() -> None:
    """What waits for its next try is due now, and the endpoints have rested."""
    pauses._resting.clear()
    Job.objects.filter(kind=notify.TELL, state=State.READY).update(run_at=clock.now())
    pump.run_due()


class TestNaming:
    """What a submission may say of its callback."""

    def submit(self, own: World, callback: Any, *, key: str | None = None) -> Any:
        body = big(transaction=f"case-{clock.now().timestamp()}")
        denied = ask(own.pep_key, body).context
        denial = {"evaluation_id": denied["evaluation_id"], "expires_at": denied["access_request"]["expires_at"]}
        members = {name: body[name] for name in ("subject", "action", "resource")}
        return post(REQUESTS, key or own.pep_key, {**members, "denial": denial, "callback": callback})

    def end(self, own: World, reply: Any) -> None:
        assert reply.status == 202, reply.json
        vote(AccessRequest.objects.get(pk=reply.json["task"]["id"]), own.erin, DENY)
        pump.run_due()

    def test_its_state_is_given_back(self, own: World, here: Receiver) -> None:
        register(own, here.url, key=own.pep_key)
        self.end(own, self.submit(own, {"endpoint": here.url, "state": "row 7", "events": ["denied"]}))
        assert json.loads(here.got[0].body)["state"] == "row 7"

    def test_ends_it_did_not_wish_for_are_not_told(self, own: World, here: Receiver) -> None:
        register(own, here.url, key=own.pep_key)
        self.end(own, self.submit(own, {"endpoint": here.url, "events": ["approved", "partial"]}))
        assert here.got == []

    def test_nobody_wishes_away_what_the_whole_tenants_endpoint_hears(self, own: World, here: Receiver) -> None:
        register(own, here.url)
        self.end(own, self.submit(own, {"endpoint": here.url, "events": ["partial"]}))
        assert json.loads(here.got[0].body)["task"]["status"] == "denied"

    @pytest.mark.parametrize("whose", ["nobody's", "another key's", "another tenant's", "a removed one's"])
    def test_abuse_095_an_endpoint_that_was_not_registered_is_refused(
        self, own: World, here: Receiver, whose: str
    ) -> None:
        if whose == "another key's":
            register(own, here.url, key=own.key("pep"))
        elif whose == "another tenant's":
            register(world(), here.url)
        elif whose == "a removed one's":
            register(own, here.url)
            registering.remove(own.tenant, name="mine", actor=TESTS, now=clock.now())
        reply = self.submit(own, {"endpoint": here.url})
        assert (reply.status, "not registered" in reply.json["detail"]) == (400, True)
        assert not AccessRequest.objects.filter(tenant=own.tenant).exists()

    @pytest.mark.parametrize(
        "said",
        [{}, [], "https://x.test/", {"endpoint": 1}, {"endpoint": "U", "state": 1}, {"endpoint": "U", "events": ["opened"]},
         {"endpoint": "U", "events": "denied"}, {"endpoint": "U", "state": "x" * 1001}, {"endpoint": "U", "secret": "s"}],
    )  # fmt: skip
    def test_what_cannot_be_honoured_is_refused(self, own: World, here: Receiver, said: Any) -> None:
        register(own, here.url)
        if isinstance(said, dict) and said.get("endpoint") == "U":
            said = {**said, "endpoint": here.url}
        assert self.submit(own, said).status == 400


class TestRegistering:
    def test_the_secret_is_shown_once_and_kept_sealed(self, own: World, here: Receiver) -> None:
        said = command("add", "mine", here.url, tenant=own)
        secret = said.split()[-1]
        assert secret.startswith("cswh_")
        row = Callback.objects.get(tenant=own.tenant)
        assert secret.encode() not in bytes(row.secret)
        assert registering.secret_of(row) == secret
        assert secret not in command("list", tenant=own)

    def test_its_record_names_where_to_and_no_token(self, own: World, here: Receiver) -> None:
        register(own, here.url)
        (said,) = ledger.history(own.slug, "registry:callback:mine", limit=1)
        assert said["predicate"]["detail"]["changes"]["to"] == {"after": f"http://127.0.0.1:{here.port}"}
        assert "token" not in str(said)

    def test_a_name_is_taken_until_it_is_removed(self, own: World, here: Receiver) -> None:
        command("add", "mine", here.url, tenant=own)
        with pytest.raises(CommandError, match="already"):
            command("add", "mine", here.url, tenant=own)
        command("remove", "mine", tenant=own)
        assert "Registered" in command("add", "mine", here.url, "--key", own.credential(own.pep_key).key_id, tenant=own)

    @pytest.mark.parametrize("url", ["file:///etc/passwd", "https://u:p@h.test/", "http://2130706433/"])
    def test_a_url_that_can_never_be_reached_is_refused_at_once(self, own: World, url: str) -> None:
        with pytest.raises(CommandError):
            command("add", "mine", url, tenant=own)

    def test_another_tenants_key_is_unknown(self, own: World, here: Receiver) -> None:
        other = world()
        with pytest.raises(CommandError, match="no key"):
            command("add", "mine", here.url, "--key", other.credential(other.pep_key).key_id, tenant=own)

    def test_abuse_140_a_url_moved_in_the_database_is_none_of_another_secrets(self, own: World, here: Receiver) -> None:
        register(own, here.url)
        register(own, here.url, name="second")
        first, second = Callback.objects.filter(tenant=own.tenant).order_by("pk")
        Callback.objects.filter(pk=first.pk).update(secret=bytes(second.secret))
        vote(opened(own), own.erin, DENY)
        pump.run_due()
        assert len(here.got) == 1


def command(verb: str, *words: str, tenant: World) -> str:
    out = io.StringIO()
    call_command("callback", verb, *words, "--tenant", tenant.slug, stdout=out)
    return out.getvalue()


def test_networks_that_are_none_stop_the_start() -> None:
    with pytest.raises(ValueError, match="does not appear"):
        reachable.networks("10.0.0.0/8, everywhere")
