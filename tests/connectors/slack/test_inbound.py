"""What comes in at /slack/events: only what Slack signed, lately and once; a click is a vote of whom we know, or words."""

import hashlib
import hmac
import http.client
import json
import logging
import threading
import time
from collections.abc import Iterator
from datetime import timedelta
from typing import Any
from urllib.parse import urlencode, urlsplit

import pytest
from django.db import transaction

from approvals import lifecycle, votes
from approvals.models import AccessRequest, Decision, Intent, Status, Vote
from connectors.slack import modal, pressing
from connectors.slack.card import APPROVE, DENY, DETAILS
from countersign.policy.values import StepUp
from evidence import clock
from examples.lookalikes.slack.acme import APPROVALS, user_id
from examples.lookalikes.slack.payloads import body_of
from examples.lookalikes.slack.sending import deliver
from examples.lookalikes.slack.workspace import Json
from outbox import pump
from outbox.models import Job
from tests.approvals import asking
from tests.approvals.asking import TOTP, events, pace, requirement, unchanged
from tests.connectors.slack.house import House, act, act_beside, connect, house, link, serving
from tests.connectors.slack_world import PATIENCE, words_in


@pytest.fixture(scope="module")
def url(database: None) -> Iterator[str]:
    with serving() as address:
        yield address


@pytest.fixture(scope="module")
def shared(url: str) -> Iterator[House]:
    """For tests that change nobody: people vote once on requests of their own."""
    with house(url) as made:
        yield made


@pytest.fixture
def ours(shared: House) -> House:
    shared.slack.workspace.faults.clear()
    return shared


@pytest.fixture
def alone(url: str) -> Iterator[House]:
    with house(url) as made:
        yield made


def post(url: str, body: bytes, headers: dict[str, str]) -> tuple[int, bytes]:
    """As bytes, headers included: what the library would never send."""
    parts = urlsplit(url)
    connection = http.client.HTTPConnection(parts.netloc, timeout=30)
    connection.putrequest("POST", "/slack/events")
    for name, value in {"Content-Length": str(len(body)), **headers}.items():
        connection.putheader(name, value.encode("latin-1"))
    connection.endheaders(body)
    response = connection.getresponse()
    answer = response.status, response.read()
    connection.close()
    act()
    return answer


def approving(ours: House, request: AccessRequest, who: str = "erin") -> Json:
    return ours.slack.press_payload(who, ours.card(request).ts, APPROVE)


def forged(body: bytes, secret: str, *, timestamp: str) -> dict[str, str]:
    """Headers with any timestamp, rightly signed."""
    mac = hmac.new(secret.encode(), b"v0:" + timestamp.encode("latin-1") + b":" + body, hashlib.sha256).hexdigest()
    return {"X-Slack-Request-Timestamp": timestamp, "X-Slack-Signature": f"v0={mac}",
            "Content-Type": "application/x-www-form-urlencoded"}  # fmt: skip


class TestSignature:
    def test_abuse_076_without_a_signature_nothing_is_read(self, ours: House, url: str) -> None:
        request = ours.opened()
        body, headers = ours.slack.signed(approving(ours, request))
        with unchanged(request):
            for missing in ("X-Slack-Signature", "X-Slack-Request-Timestamp"):
                kept = {name: value for name, value in headers.items() if name != missing}
                assert post(url, body, kept) == (401, b"")

    @pytest.mark.parametrize("secret", ["", "wrong", "0" * 32])
    def test_abuse_077_another_secret_is_refused(self, ours: House, url: str, secret: str) -> None:
        request = ours.opened()
        body, headers = ours.slack.signed(approving(ours, request), secret=secret)
        with unchanged(request):
            assert post(url, body, headers) == (401, b"")

    @pytest.mark.parametrize("seconds", [-302, 303, -86400, 10**9])
    def test_abuse_078_five_minutes_away_is_too_far(self, ours: House, url: str, seconds: int) -> None:
        request = ours.opened()
        body, headers = ours.slack.signed(approving(ours, request), at=time.time() + seconds)
        with unchanged(request):
            assert post(url, body, headers)[0] == 401

    def test_almost_five_minutes_away_is_taken(self, ours: House, url: str) -> None:
        body, headers = ours.slack.signed(approving(ours, ours.opened()), at=time.time() - 290)
        assert post(url, body, headers)[0] == 200

    def test_abuse_079_the_same_signed_bytes_again_are_refused(self, ours: House, url: str) -> None:
        request = ours.opened()
        body, headers = ours.slack.signed(approving(ours, request))
        assert post(url, body, headers)[0] == 200
        assert [post(url, body, headers)[0] for _ in range(3)] == [401] * 3
        assert Vote.objects.filter(request=request).count() == 1

    @pytest.mark.parametrize(
        "timestamp",
        [
            "abc",
            "",
            "1.0",
            "1e9",
            "-1",
            "+1",
            "0x10",
            "nan",
            "inf",
            " 1",
            "1 ",
            "01",
            "1_0",
            "²",
            "9" * 400,
            "1763726400,1",
        ],
    )
    def test_abuse_080_a_timestamp_that_is_no_number_is_refused(self, ours: House, url: str, timestamp: str) -> None:
        body, _ = ours.slack.signed(approving(ours, ours.opened()))
        headers = forged(body, ours.slack.workspace.signing_secret, timestamp=timestamp)
        assert post(url, body, headers)[0] in {400, 401}

    @pytest.mark.parametrize(
        "mangled",
        ["v0=é", "v0=", "", "v1={}", "{}", "v0={}\xff", "V0={}", "v0={}, v0={}", "v0={}0", "v0=" + "ü" * 64],
    )  # fmt: skip
    def test_abuse_080_a_signature_of_another_shape_is_refused(self, ours: House, url: str, mangled: str) -> None:
        body, headers = ours.slack.signed(approving(ours, ours.opened()))
        said = mangled.replace("{}", headers["X-Slack-Signature"].removeprefix("v0="))
        assert post(url, body, headers | {"X-Slack-Signature": said})[0] == 401

    def test_abuse_080_bytes_that_are_no_text_are_refused(self, ours: House, url: str) -> None:
        body = b"payload=\xff\xfe\x80"
        headers = forged(body, ours.slack.workspace.signing_secret, timestamp=str(int(time.time())))
        assert post(url, body, headers) == (401, b"")

    def test_abuse_081_the_same_in_other_bytes_is_refused(self, ours: House, url: str) -> None:
        request = ours.opened()
        payload = approving(ours, request)
        _, headers = ours.slack.signed(payload)
        other = urlencode({"payload": json.dumps(payload, indent=1)}).encode()
        with unchanged(request):
            assert post(url, other, headers)[0] == 401
            assert post(url, body_of(payload)[0] + b"&", headers)[0] == 401

    @pytest.mark.parametrize(
        "body",
        [b"payload=%7B", b"payload=%5B%5D", b"payload=null", b"payload=1", b"", b"payload=%22x%22", b"payload=%7B%7D",
         b"payload=%7B%22type%22%3A%22block_actions%22%7D", b"command=%2Fapprovals",
         b"payload=%7B%22type%22%3A%22block_actions%22%2C%22actions%22%3A5%2C%22user%22%3A%22x%22%7D"],
    )  # fmt: skip
    def test_abuse_080_signed_nonsense_is_no_fault_of_ours(self, ours: House, url: str, body: bytes) -> None:
        headers = forged(body, ours.slack.workspace.signing_secret, timestamp=str(int(time.time())))
        assert post(url, body, headers)[0] in {400, 401, 404}

    def test_abuse_103_what_is_refused_leaves_no_word_in_a_log(
        self, ours: House, url: str, caplog: pytest.LogCaptureFixture
    ) -> None:
        caplog.set_level(logging.DEBUG)
        payload = approving(ours, ours.opened())
        payload["message"]["text"] = "AKIAIOSFODNN7EXAMPLE"
        body, headers = ours.slack.signed(payload, secret="wrong")
        assert post(url, body, headers)[0] == 401
        body, headers = ours.slack.signed(payload)
        assert post(url, body, headers)[0] == 200
        assert "AKIA" not in caplog.text

    def test_get_is_not_for_this_address(self, url: str) -> None:
        connection = http.client.HTTPConnection(urlsplit(url).netloc, timeout=10)
        connection.request("GET", "/slack/events")
        assert connection.getresponse().status == 405

    def test_a_new_address_is_proven_to_slack(self, ours: House, url: str) -> None:
        body = json.dumps({"type": "url_verification", "challenge": "c4", "token": "x"}).encode()
        headers = forged(body, ours.slack.workspace.signing_secret, timestamp=str(int(time.time())))
        status, answer = post(url, body, headers | {"Content-Type": "application/json"})
        assert (status, json.loads(answer)["challenge"]) == (200, "c4")


class TestWhoseItIs:
    @pytest.mark.parametrize(
        "change",
        [{"team": {"id": "T0OTHER", "domain": "other"}}, {"api_app_id": "A0OTHER"}, {"team": None},
         {"user": {"id": "U0ERIN", "username": "erin", "team_id": "T0OTHER"}}],
    )  # fmt: skip
    def test_abuse_082_another_workspace_or_app_is_refused(self, ours: House, url: str, change: Json) -> None:
        request = ours.opened()
        payload = {**approving(ours, request), **change}
        if change == {"team": None}:
            payload["user"] = {"id": "U0ERIN", "username": "erin"}
        body, headers = ours.slack.signed(payload)
        with unchanged(request):
            assert post(url, body, headers)[0] == 401

    def test_abuse_082_another_tenants_slack_reaches_nothing_here(self, ours: House, alone: House, url: str) -> None:
        request = ours.opened()
        payload = approving(ours, request)
        body, headers = alone.slack.signed(payload)  # their secret, our card
        with unchanged(request):
            assert post(url, body, headers)[0] == 200
        assert Vote.objects.filter(request=request).count() == 0

    def test_abuse_083_a_name_is_nobody(self, ours: House) -> None:
        request = ours.opened()
        payload = approving(ours, request, "mallory")
        payload["user"] |= {"username": ours.world.username("erin"), "name": "erin", "email": "erin@acme.test"}
        with unchanged(request):
            assert ours.slack.deliver(payload).is_taken
        assert "not linked" in ours.whispers("mallory")

    def test_who_is_not_linked_learns_where_people_link(self, ours: House) -> None:
        request = ours.opened()
        with unchanged(request):
            ours.slack.press("mallory", ours.card(request).ts, APPROVE)
        said = ours.whispers("mallory")
        assert "/account/" in said
        assert ours.slack.messages(APPROVALS, who="erin")[-1].only_for is None


class TestApproving:
    def test_abuse_084_a_forged_value_is_no_vote(self, ours: House) -> None:
        """The value comes back through the person's client; the message, through Slack."""
        shown, other = ours.opened(), ours.opened()
        payload = approving(ours, shown)
        payload["actions"][0]["value"] = other.pk
        with unchanged(other), unchanged(shown):
            assert ours.slack.deliver(payload).is_taken
        assert "not the request as it stands now" in ours.whispers("erin")

    @pytest.mark.parametrize("value", ["arq_none", "x" * 2000, "' OR 1=1 --", "\u0000", "../..", "arq_é"])
    def test_abuse_084_nonsense_is_no_request(self, ours: House, value: str) -> None:
        request = ours.opened()
        payload = approving(ours, request)
        payload["actions"][0] |= {"value": value, "action_ts": f"{time.time():.6f}"}
        with unchanged(request):
            assert ours.slack.deliver(payload).status in {200, 400}

    def test_abuse_057_another_tenants_request_is_as_absent_as_none(self, ours: House, alone: House) -> None:
        theirs = alone.opened()
        payload = approving(ours, ours.opened())
        payload["actions"][0]["value"] = theirs.pk
        payload["message"]["blocks"][-2]["elements"][0]["value"] = theirs.pk
        with unchanged(theirs):
            assert ours.slack.deliver(payload).is_taken
        assert "no such request" in ours.whispers("erin")

    def test_abuse_094_a_card_without_the_button_takes_no_approval(self, ours: House) -> None:
        request = ours.opened(made=asking.call(ours.world, {"order": "A-1", "amount": "250.00", "note": "x" * 9000}))
        payload = ours.slack.press_payload("erin", ours.card(request).ts, DENY)
        payload["actions"][0] |= {"action_id": APPROVE}
        with unchanged(request):
            assert ours.slack.deliver(payload).is_taken

    def test_one_click_counts(self, ours: House) -> None:
        request = ours.opened()
        assert ours.slack.press("erin", ours.card(request).ts, APPROVE).is_taken
        vote = Vote.objects.get(request=request)
        assert (vote.decision, vote.surface, vote.assurance) == ("approve", "slack", "none")
        assert vote.seen == request.display_hash
        request.refresh_from_db()
        assert request.status == Status.APPROVED

    def test_a_click_on_a_card_that_changed_since_counts(self, alone: House) -> None:
        request = alone.opened(requirements=[requirement(step_up=asking.NONE, quorum=2)])
        ts = alone.card(request).ts
        alone.slack.press("erin", ts, APPROVE)
        alone.pump()
        alone.slack.press("frank", ts, APPROVE, stale=True)
        request.refresh_from_db()
        assert request.status == Status.APPROVED

    def test_a_click_after_the_end_is_told_so(self, ours: House) -> None:
        request = ours.opened()
        ts = ours.card(request).ts
        ours.slack.press("erin", ts, APPROVE)
        ours.pump()
        with unchanged(request):
            ours.slack.press("frank", ts, APPROVE, stale=True)
        assert "approved already" in ours.whispers("frank")

    def test_abuse_038_the_agents_owner_is_told_why_not_and_nobody_else_is(self, ours: House) -> None:
        request = ours.opened()
        with unchanged(request):
            ours.slack.press("dana", ours.card(request).ts, APPROVE)
        assert "others decide" in ours.whispers("dana")
        assert "others decide" not in str([one.text for one in ours.slack.messages()])

    def test_abuse_044_a_double_click_is_one_vote(self, ours: House) -> None:
        request = ours.opened(requirements=[requirement(step_up=asking.NONE, quorum=2)])
        ts = ours.card(request).ts
        presses = [ours.slack.press_payload("erin", ts, APPROVE) for _ in range(8)]
        taken = [ours.slack.begin(deliver(ours.slack.workspace, ours.slack.sockets, one)) for one in presses]
        assert all(one.result(PATIENCE).is_taken for one in taken)
        pumps = [threading.Thread(target=act_beside) for _ in range(4)]
        [one.start() for one in pumps]
        [one.join() for one in pumps]
        assert Vote.objects.filter(request=request).count() == 1
        assert events(request).count("vote.cast") == 1

    def test_abuse_085_what_slack_delivers_twice_is_acted_on_once(self, ours: House) -> None:
        request = ours.opened()
        ours.slack.fault("deliver.block_actions", duplicate=3)
        told = ours.slack.press("dana", ours.card(request).ts, APPROVE)
        assert (told.attempts, told.is_taken) == (4, True)
        assert events(request).count("vote.refused") == 1

    def test_abuse_039_one_human_through_slack_and_web_is_one_vote(self, ours: House) -> None:
        request = ours.opened(requirements=[requirement(step_up=asking.NONE, quorum=2)])
        ours.slack.press("erin", ours.card(request).ts, APPROVE)
        asking.vote(request, ours.world.erin)
        assert Vote.objects.filter(request=request).count() == 1

    def test_abuse_040_a_second_account_of_the_human_adds_nothing(self, alone: House) -> None:
        frank = alone.world.frank
        frank.user.human = alone.world.erin.user.human
        frank.user.save(update_fields=["human"])
        request = alone.opened(requirements=[requirement(step_up=asking.NONE, quorum=2)])
        ts = alone.card(request).ts
        for who in ("erin", "frank"):
            alone.slack.press(who, ts, APPROVE)
        assert Vote.objects.filter(request=request).count() == 1

    def test_abuse_045_who_was_deactivated_is_nobody(self, alone: House) -> None:
        request = alone.opened()
        payload = approving(alone, request)
        alone.world.erin.active = False
        alone.world.erin.save(update_fields=["active"])
        with unchanged(request):
            alone.slack.deliver(payload)

    def test_an_identity_two_are_said_to_have_is_nobodys(self, alone: House) -> None:
        link(alone.world.frank, "erin")
        request = alone.opened()
        with unchanged(request):
            alone.slack.press("erin", alone.card(request).ts, APPROVE)

    def test_abuse_058_nobody_approves_faster_than_they_read(
        self, alone: House, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        pace(monkeypatch, 2)
        asking.vote(asking.opened(alone.world), alone.world.erin)
        last, next_one = alone.opened(), alone.opened()
        for request in (last, next_one):
            alone.slack.press("erin", alone.card(request).ts, APPROVE)
        assert Vote.objects.filter(membership=alone.world.erin).count() == 2
        assert "in one minute" in alone.whispers("erin")
        alone.slack.press("frank", alone.card(next_one).ts, APPROVE)
        assert Vote.objects.filter(membership=alone.world.frank).count() == 1


class TestDenying:
    def test_asks_for_the_reason_and_counts_with_it(self, ours: House) -> None:
        request = ours.opened()
        ours.slack.press("frank", ours.card(request).ts, DENY)
        ours.pump()
        assert "payments.refund" in words_in(ours.slack.modal("frank").shape["blocks"])
        assert ours.slack.submit("frank", reason="Wrong *account* <!channel>").is_taken
        assert not ours.slack.has_modal("frank")
        vote = Vote.objects.get(request=request)
        assert (vote.decision, vote.reason) == (Decision.DENY, "Wrong *account* <!channel>")
        request.refresh_from_db()
        assert request.status == Status.DENIED

    def test_one_who_may_not_answer_is_told_in_the_window(self, ours: House) -> None:
        request = ours.opened()
        ours.slack.press("dana", ours.card(request).ts, DENY)
        ours.pump()
        with unchanged(request):
            ours.slack.submit("dana", reason="No.")
        assert "others decide" in ours.slack.modal("dana").errors["reason"]
        ours.slack.close("dana")

    def test_a_window_sent_twice_denies_once(self, ours: House) -> None:
        request = ours.opened()
        ours.slack.press("frank", ours.card(request).ts, DENY)
        ours.pump()
        ours.slack.fault("deliver.view_submission", duplicate=2)
        ours.slack.submit("frank", reason="No.")
        assert events(request).count("vote.cast") == 1

    def test_a_closed_request_opens_no_window(self, ours: House) -> None:
        request = ours.opened()
        ts = ours.card(request).ts
        ours.slack.press("erin", ts, APPROVE)
        ours.pump()
        ours.slack.press("frank", ts, DENY, stale=True)
        assert "closed already" in ours.whispers("frank")
        assert not ours.slack.has_modal("frank")

    def test_who_waits_too_long_for_a_window_is_told(self, ours: House) -> None:
        request = ours.opened()
        ours.slack.press("frank", ours.card(request).ts, DENY)
        late = Job.objects.get(tenant=ours.world.slug, kind="connectors.slack.modal", state="ready")
        late.payload["pressed_at"] = (clock.now() - timedelta(seconds=3)).isoformat()
        late.save(update_fields=["payload"])
        said = ours.whispers("frank")
        assert "waited too long" in said
        assert f"/requests/{request.pk}/" in said
        assert not ours.slack.has_modal("frank")


class TestDetails:
    def test_show_every_line(self, ours: House) -> None:
        request = ours.opened()
        ours.slack.press("carol", ours.card(request).ts, DETAILS)
        ours.pump()
        words = words_in(ours.slack.modal("carol").shape["blocks"])
        assert "250.00" in words
        assert "This is all of it." in words
        ours.slack.close("carol")

    def test_say_what_they_do_not_hold(self, ours: House) -> None:
        many = {f"item{n}": f"{n} `<!channel>` & " * 60 for n in range(200)}
        request = ours.opened(made=asking.call(ours.world, {"order": "A-1", "amount": "250.00", **many}))
        ours.slack.press("carol", ours.card(request).ts, DETAILS)
        ours.pump()
        view = ours.slack.modal("carol").shape
        words = words_in(view["blocks"])
        assert "more lines do not fit here" in words
        assert "<!channel>" not in words
        ours.slack.close("carol")

    def test_are_not_for_strangers_nor_of_another_message(self, ours: House) -> None:
        request, other = ours.opened(), ours.opened()
        ours.slack.press("mallory", ours.card(request).ts, DETAILS)
        payload = ours.slack.press_payload("carol", ours.card(request).ts, DETAILS)
        payload["actions"][0]["value"] = other.pk
        ours.slack.deliver(payload)
        assert "not linked" in ours.whispers("mallory")
        assert "does not belong to this message" in ours.whispers("carol")
        assert not ours.slack.has_modal("mallory")
        assert not ours.slack.has_modal("carol")


class TestTheListener:
    def test_silences_no_logger_but_its_own(self, ours: House, url: str) -> None:
        """Bolt sets the level of a logger that it names after the app."""
        body, headers = ours.slack.signed(approving(ours, ours.opened()))
        assert post(url, body, headers)[0] == 200
        names = [name for name in logging.root.manager.loggerDict if "bolt" not in name and "slack.sdk" not in name]
        assert not [name for name in names if logging.getLogger(name).level > logging.CRITICAL]

    def test_uses_no_network(self, ours: House, monkeypatch: pytest.MonkeyPatch) -> None:
        """Slack waits three seconds for us; nobody waits for Slack."""
        monkeypatch.setattr(ours.slack, "pressed", lambda: None)
        request = ours.opened(requirements=[requirement(step_up=TOTP)])
        before = len(ours.slack.workspace.calls)
        for action in (APPROVE, DENY, DETAILS):
            assert ours.slack.press("erin", ours.card(request).ts, action).is_taken
        ours.slack.command("erin", "/approvals list")
        ours.slack.open_home("erin")
        assert len(ours.slack.workspace.calls) == before
        ours.pump()

    @pytest.mark.postgres
    def test_waits_for_nobody_who_holds_the_request(self, ours: House, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(ours.slack, "pressed", lambda: None)
        request = ours.opened()
        ts = ours.card(request).ts
        with transaction.atomic():
            lifecycle.locked(request.pk, tenant_id=request.tenant_id)
            assert ours.slack.press("erin", ts, APPROVE).is_taken
        act()
        assert Vote.objects.filter(request=request).exists()

    def test_abuse_082_a_click_kept_before_the_workspace_changed_is_no_vote(
        self, alone: House, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(alone.slack, "pressed", lambda: None)
        request = alone.opened()
        assert alone.slack.press("erin", alone.card(request).ts, APPROVE).is_taken
        kept = Job.objects.get(kind=pressing.PRESSED, payload__click__request_id=request.pk)
        connect(alone.world.tenant, alone.slack, team="T0OTHER")
        with unchanged(request), pytest.raises(pump.Permanent):
            pressing.act(kept.payload)

    @pytest.mark.parametrize("step_up", [asking.NONE, TOTP])
    def test_a_click_that_waited_for_five_minutes_is_no_vote_and_is_told_so(
        self, alone: House, monkeypatch: pytest.MonkeyPatch, step_up: StepUp
    ) -> None:
        monkeypatch.setattr(alone.slack, "pressed", lambda: None)
        request = alone.opened(requirements=[requirement(step_up=step_up, quorum=1)])
        assert alone.slack.press("erin", alone.card(request).ts, APPROVE).is_taken
        kept = Job.objects.get(kind=pressing.PRESSED, payload__click__request_id=request.pk)
        kept.payload["at"] = (clock.now() - votes.MEANT_FOR).isoformat()
        kept.save(update_fields=["payload"])
        with unchanged(request):
            act()
        assert events(request)[-1] == "vote.refused"
        assert "more than five minutes ago" in alone.whispers("erin")
        assert not Intent.objects.filter(request=request).exists()

    def test_a_click_that_could_not_be_kept_was_never_there(
        self, ours: House, url: str, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        request = ours.opened()
        payload = approving(ours, request)
        with monkeypatch.context() as broken:
            broken.setattr(pressing, "enqueue", lambda *_, **__: 1 / 0)
            assert post(url, *ours.slack.signed(payload, at=time.time() - 5))[0] == 500
        assert not Vote.objects.filter(request=request).exists()
        assert post(url, *ours.slack.signed(payload))[0] == 200
        assert Vote.objects.filter(request=request).exists()

    def test_a_click_acted_on_again_after_a_worker_died_is_one_vote(self, ours: House) -> None:
        request = ours.opened(requirements=[requirement(step_up=asking.NONE, quorum=2)])
        ours.slack.press("erin", ours.card(request).ts, APPROVE)
        kept = Job.objects.get(kind=pressing.PRESSED, payload__click__request_id=request.pk)
        with unchanged(request):
            pressing.act(kept.payload)

    def test_a_button_that_is_a_link_is_taken_too(self, ours: House) -> None:
        ours.slack.press("erin", ours.card(ours.opened(requirements=[requirement(step_up=TOTP)])).ts, APPROVE)
        ours.pump()
        message = ours.slack.only_for("erin")[-1]
        assert ours.slack.press("erin", message.ts, "countersign.open").is_taken

    def test_whispers_reach_who_left_the_channel(self, ours: House) -> None:
        payload = approving(ours, ours.opened(), "dana")
        ours.slack.workspace.channels[APPROVALS].members.discard(user_id("dana"))
        try:
            ours.slack.deliver(payload)
            ours.pump()
            direct = ours.slack.workspace.direct(user_id("dana")).id
            assert "others decide" in str([one.blocks for one in ours.slack.messages(direct)])
        finally:
            ours.slack.workspace.channels[APPROVALS].members.add(user_id("dana"))

    def test_opening_the_home_asks_for_it_once(self, ours: House) -> None:
        drawn = Job.objects.filter(tenant=ours.world.slug, kind="connectors.slack.home", payload__user=user_id("erin"))
        before = drawn.count()
        ours.slack.fault("deliver.app_home_opened", duplicate=2)
        assert ours.slack.open_home("erin").is_taken
        assert drawn.count() == before + 1


class TestCommand:
    def test_lists_what_waits_and_escapes_it(self, alone: House) -> None:
        request = alone.opened(made=asking.call(alone.world, action_name="create`<!channel>"))
        said = json.loads(alone.slack.command("erin", "/approvals list").body)
        assert said["response_type"] == "ephemeral"
        assert f"/requests/{request.pk}/" in said["text"]
        assert "<!channel>" not in said["text"]

    def test_says_so_where_nothing_waits_or_nobody_is_known(self, alone: House) -> None:
        assert "Nothing waits" in alone.slack.command("erin", "/approvals").body
        assert "not linked" in alone.slack.command("mallory", "/approvals list").body
        assert "/approvals link CODE" in alone.slack.command("mallory", "/approvals what?").body


def test_modals_keep_to_slacks_limits() -> None:
    long = "&<>`" * 1000
    for view in (
        modal.reason(what=long[:3000], memory="{}"),
        modal.totp(what="x", verb="Approve", memory="{}"),
        modal.confirm("https://example.test/" + "x" * 200, number=42),
    ):
        assert len(view["title"]["text"]) <= 24
        assert len(json.dumps(view)) < 250_000


def test_the_house_says_who_presses(ours: House) -> None:
    """The payload is the documented one; what we read of it is there."""
    payload: Any = approving(ours, ours.opened())
    assert {"user", "team", "api_app_id", "container", "actions", "message", "trigger_id"} <= payload.keys()
