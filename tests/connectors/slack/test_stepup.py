"""Where a click is not enough: our page with the number and a code, or a window for the code where the tenant allows it."""

import re
import threading
from collections.abc import Iterator

import pytest
from django.db import connections
from django.test import Client

from approvals.models import AccessRequest, Intent, Status, TotpDevice, Vote
from connectors.slack.card import APPROVE, DENY
from countersign.policy.values import StepUp
from evidence.models import Record
from registry.models import Tenant
from tests.approvals import asking
from tests.approvals.asking import TOTP, enrolled, events, requirement, unchanged
from tests.approvals.browsing import fresh_code, signed_in, text, vote
from tests.connectors.slack.house import House, act_beside, house, serving
from tests.connectors.slack_world import actions_in, words_in


@pytest.fixture(scope="module")
def url(database: None) -> Iterator[str]:
    with serving() as address:
        yield address


@pytest.fixture(scope="module")
def shared(url: str) -> Iterator[House]:
    with house(url) as made:
        yield made


@pytest.fixture(scope="module")
def secret(shared: House) -> str:
    return enrolled(shared.world.erin)


@pytest.fixture
def ours(shared: House, secret: str) -> House:
    """Codes are typed on our pages only."""
    Tenant.objects.filter(pk=shared.world.tenant.pk).update(chat_codes=False)
    return shared


@pytest.fixture
def chatty(shared: House, secret: str) -> House:
    """The tenant takes codes in Slack."""
    Tenant.objects.filter(pk=shared.world.tenant.pk).update(chat_codes=True)
    return shared


def guarded(ours: House, **changes: object) -> AccessRequest:
    return ours.opened(requirements=[requirement(step_up=TOTP, quorum=1)], **changes)


def pressed(ours: House, request: AccessRequest, action: str = APPROVE, who: str = "erin") -> None:
    assert ours.slack.press(who, ours.card(request).ts, action).is_taken
    ours.pump()


def told(ours: House, who: str = "erin") -> tuple[str, str]:
    """The number and the address that the last message to one person holds."""
    message = ours.slack.only_for(who)[-1]
    number = re.search(r"number is \*(\d\d)\*", words_in(message.blocks))
    address = re.search(r"https?://[^/]+(/requests/[^'\"]+)'", str(message.blocks))
    assert number
    assert address
    return number[1], address[1]


def confirmed(ours: House, secret: str, *, number: str, path: str) -> int:
    client = signed_in(ours.world.erin)
    page = text(client.get(path))
    seen = re.search(r'name="seen" value="([^"]+)"', page)
    assert seen
    intent = path.partition("intent=")[2]
    sent = {"intent": intent, "number": number, "seen": seen[1], "code": fresh_code(ours.world.erin, secret)}
    return client.post(path.partition("?")[0], sent).status_code


def denied_on_the_web(client: Client, request: AccessRequest) -> None:
    try:
        vote(client, request, "deny")
    finally:
        connections.close_all()


class TestOnOurPage:
    def test_a_click_votes_nothing_and_records_no_refusal(self, ours: House) -> None:
        request = guarded(ours)
        with unchanged(request):
            pressed(ours, request)
        assert not {"vote.cast", "vote.refused", "stepup.failed"} & set(events(request))

    def test_the_number_in_slack_and_the_code_on_the_page_make_the_vote(self, ours: House, secret: str) -> None:
        request = guarded(ours)
        pressed(ours, request)
        number, path = told(ours)
        assert confirmed(ours, secret, number=number, path=path) == 302
        cast = Vote.objects.get(request=request)
        assert (cast.surface, cast.assurance) == ("slack+web", "totp")
        request.refresh_from_db()
        assert request.status == Status.APPROVED
        ours.pump()
        assert "in Slack, confirmed on the web" in words_in(ours.card(request).blocks)

    def test_only_who_pressed_is_told_the_number(self, ours: House) -> None:
        request = guarded(ours)
        pressed(ours, request)
        number, _ = told(ours)
        assert f"*{number}*" not in words_in([block for one in ours.slack.messages() for block in one.blocks])
        assert request.pk not in str([one.blocks for one in ours.slack.only_for("frank")])

    def test_another_persons_link_opens_nothing(self, ours: House) -> None:
        pressed(ours, guarded(ours))
        _, path = told(ours)
        assert signed_in(ours.world.frank).get(path).status_code == 404

    def test_a_denial_is_confirmed_in_the_same_window_it_was_given(self, ours: House, secret: str) -> None:
        request = guarded(ours)
        pressed(ours, request, DENY)
        with unchanged(request):
            ours.slack.submit("erin", reason="Wrong account.")
        view = ours.slack.modal("erin").shape
        number = re.search(r"number is \*(\d\d)\*", words_in(view["blocks"]))
        path = re.search(r"(/requests/[^'\"]+)'", str(view["blocks"]))
        assert number
        assert path
        assert actions_in(view["blocks"]) == ["countersign.open"]
        assert confirmed(ours, secret, number=number[1], path=path[1]) == 302
        cast = Vote.objects.get(request=request)
        assert (cast.decision, cast.reason) == ("deny", "Wrong account.")
        ours.slack.close("erin")

    def test_a_request_that_needs_a_passkey_takes_no_code_in_slack(self, chatty: House) -> None:
        request = chatty.opened(requirements=[requirement(step_up=StepUp.WEBAUTHN, quorum=1)])
        pressed(chatty, request)
        assert not chatty.slack.has_modal("erin")


class TestInSlack:
    def test_is_off_unless_the_tenant_says_so(self, ours: House) -> None:
        pressed(ours, guarded(ours))
        assert not ours.slack.has_modal("erin")

    def test_is_never_for_the_gravest_tier(self, chatty: House) -> None:
        request = guarded(chatty)
        AccessRequest.objects.filter(pk=request.pk).update(risk_tier=4)
        pressed(chatty, request)
        assert not chatty.slack.has_modal("erin")

    def test_a_code_makes_the_vote_and_evidence_says_where(self, chatty: House, secret: str) -> None:
        request = guarded(chatty)
        pressed(chatty, request)
        assert chatty.slack.submit("erin", code=fresh_code(chatty.world.erin, secret)).is_taken
        assert not chatty.slack.has_modal("erin")
        cast = Vote.objects.get(request=request)
        assert (cast.surface, cast.assurance) == ("slack", "totp")
        passed = Record.objects.get(thread=request.pk, event="stepup.passed")
        assert b'"method":"totp","surface":"slack"' in bytes(passed.body)

    def test_abuse_060_the_same_code_again_is_refused_in_the_window(self, chatty: House, secret: str) -> None:
        request, other = guarded(chatty), guarded(chatty)
        code = fresh_code(chatty.world.erin, secret)
        pressed(chatty, request)
        chatty.slack.submit("erin", code=code)
        pressed(chatty, other)
        with unchanged(other):
            chatty.slack.submit("erin", code=code)
        assert "used already" in chatty.slack.modal("erin").errors["code"]
        chatty.slack.close("erin")

    def test_abuse_064_wrong_codes_are_counted_where_all_are(self, chatty: House, secret: str) -> None:
        request = guarded(chatty)
        fresh_code(chatty.world.erin, secret)
        pressed(chatty, request)
        for _ in range(6):
            chatty.slack.submit("erin", code="000000")
        assert TotpDevice.objects.get(user=chatty.world.erin.user).failures == 5
        assert "Too many wrong codes" in chatty.slack.modal("erin").errors["code"]
        web = vote(signed_in(chatty.world.erin), request, code="000000")
        assert web.status_code == 429
        fresh_code(chatty.world.erin, secret)
        chatty.slack.close("erin")

    @pytest.mark.parametrize("memory", ['{"intent": "int_none"}', "", "[]", "nonsense", '{"intent": 5}'])
    def test_a_window_that_is_nobodys_votes_nothing(self, chatty: House, secret: str, memory: str) -> None:
        request = guarded(chatty)
        pressed(chatty, request)
        payload = chatty.slack.submit_payload("erin", code=fresh_code(chatty.world.erin, secret))
        payload["view"]["private_metadata"] = memory
        with unchanged(request):
            assert "not yours" in chatty.slack.deliver(payload).body
        chatty.slack.close("erin")

    def test_another_persons_window_votes_nothing(self, chatty: House) -> None:
        request = guarded(chatty)
        frank = enrolled(chatty.world.frank)
        pressed(chatty, request)
        payload = chatty.slack.submit_payload("erin", code=fresh_code(chatty.world.frank, frank))
        payload["user"] |= {"id": "U0FRANK", "username": "frank"}
        with unchanged(request):
            assert "not yours" in chatty.slack.deliver(payload).body
        chatty.slack.close("erin")

    def test_a_wish_taken_back_meanwhile_counts(self, chatty: House, secret: str) -> None:
        """The tenant turned it off while a window was open."""
        request = guarded(chatty)
        pressed(chatty, request)
        Tenant.objects.filter(pk=chatty.world.tenant.pk).update(chat_codes=False)
        with unchanged(request):
            chatty.slack.submit("erin", code=fresh_code(chatty.world.erin, secret))
        assert "Confirm here" in chatty.slack.modal("erin").errors["code"]
        chatty.slack.close("erin")

    def test_abuse_150_a_card_without_the_button_leads_to_the_page(self, chatty: House) -> None:
        """Not all of it was on the card; a window over it would vote on what nobody read."""
        arguments = {"order": "A-1", "amount": "250.00", "note": "x" * 9000}
        request = guarded(chatty, made=asking.call(chatty.world, arguments))
        payload = chatty.slack.press_payload("erin", chatty.card(request).ts, DENY)
        payload["actions"][0] |= {"action_id": APPROVE}
        with unchanged(request):
            chatty.slack.deliver(payload)
            chatty.pump()
        assert not chatty.slack.has_modal("erin")
        assert Intent.objects.filter(request=request).count() == 1


class TestStory:
    def test_slack_and_the_web_race_and_there_is_one_state(self, ours: House, monkeypatch: pytest.MonkeyPatch) -> None:
        """Two approvers in Slack, one on the web who denies: whoever was first, every surface tells the same."""
        monkeypatch.setattr(ours.slack, "pressed", lambda: None)
        for _ in range(4):
            request = ours.opened(requirements=[requirement(step_up=asking.NONE, quorum=2)])
            ts = ours.card(request).ts
            for who in ("erin", "frank"):
                assert ours.slack.press(who, ts, APPROVE).is_taken
            acts = [threading.Thread(target=act_beside) for _ in range(2)]
            acts.append(threading.Thread(target=denied_on_the_web, args=(signed_in(ours.world.carol), request)))
            [act.start() for act in acts]
            [act.join() for act in acts]
            request.refresh_from_db()
            told = events(request)
            assert [one for one in told if one in {"request.approved", "request.denied"}] == [
                f"request.{request.status}"
            ]
            assert Vote.objects.filter(request=request).count() == told.count("vote.cast")
            ours.pump()
            card = ours.card(request)
            assert actions_in(card.blocks) == []
            assert request.status.capitalize() in card.text
