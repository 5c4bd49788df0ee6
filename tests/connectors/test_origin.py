"""Told in the thread that the ask came from, where an administrator allows it: once that it waits, once how it ended."""

from collections.abc import Callable, Iterator
from datetime import timedelta

import pytest

from approvals import lifecycle, requests
from connectors import accounts, reminders
from connectors.models import Delivery, State
from connectors.origin import CROWDED, MOST, NOT_ALLOWED, NOT_CONNECTED, TOO_MANY
from connectors.slack.thread import NO_THREAD, NOT_WITHIN, OURS
from evidence import clock
from examples.lookalikes.slack.acme import APPROVALS, GENERAL, PEOPLE, user_id
from examples.lookalikes.slack.workspace import Message
from outbox import pump
from registry.models import Channel
from tests.approvals import asking
from tests.connectors.origins import allow, delivery, notices, opened, settle, told
from tests.connectors.slack import house
from tests.connectors.slack_world import SlackWorld, slack_world, words_in
from tests.worlds import World, world

SUPPORT, SECRET = "C0SUPPORT", "C0SECRET"
KEY = "AKIAIOSFODNN7EXAMPLE"


@pytest.fixture(scope="module")
def slack(database: None) -> Iterator[SlackWorld]:
    with slack_world() as made:
        for channel in (SUPPORT, SECRET):
            made.workspace.add_channel(channel, channel.lower(), members=[user_id(name) for name in PEOPLE])
        yield made


@pytest.fixture
def calm(slack: SlackWorld) -> Iterator[SlackWorld]:
    """For what breaks things itself, or looks at single calls."""
    weather, slack.workspace.faults.weather = slack.workspace.faults.weather, None
    yield slack
    slack.workspace.faults.weather = weather


@pytest.fixture
def ours(slack: SlackWorld) -> World:
    return connected(slack)


def connected(slack: SlackWorld) -> World:
    """Its administrator allows lines in one channel."""
    made = world(quorum=1, step_up="none", change={"channels": []})
    house.connect(made.tenant, slack)
    allow(made.tenant, "slack", SUPPORT)
    return made


@pytest.fixture
def begun(slack: SlackWorld) -> Callable[..., dict[str, str]]:
    """Somebody's message, as the origin that a PEP would name."""

    def begin(channel: str = SUPPORT) -> dict[str, str]:
        return {"kind": "slack", "channel": channel, "thread": slack.say("dana", "Please!", channel=channel).ts}

    return begin


def lines(slack: SlackWorld, origin: dict[str, str]) -> list[str]:
    """What was said below it."""
    return [words_in(one.blocks) for one in below(slack, origin)]


def below(slack: SlackWorld, origin: dict[str, str]) -> list[Message]:
    return [one for one in slack.messages(origin["channel"]) if one.thread_ts == origin["thread"]]


def ours_said(slack: SlackWorld) -> int:
    return len([one for one in slack.workspace.messages if one.user == slack.workspace.bot_user])


class TestTelling:
    def test_says_that_it_waits_and_then_how_it_ended(self, ours, slack, begun):
        origin = begun()
        request = opened(ours, origin)
        settle(ours.tenant)
        (waits,) = lines(slack, origin)
        assert waits.startswith("payments.refund create by support-bot waits for approval: ")
        assert f"/requests/{request.pk}/>" in waits
        asking.vote(request, ours.erin)
        settle(ours.tenant)
        (_, ended) = lines(slack, origin)
        assert f"payments.refund create by support-bot: Approved by {ours.username('erin')}." in ended
        assert notices(request) == ["notification.sent"]

    def test_says_no_more_when_the_approval_is_used(self, ours, slack, begun):
        origin = begun()
        request = opened(ours, origin)
        approval = asking.vote(request, ours.erin).approval
        settle(ours.tenant)
        asking.use(approval, ours, requirements=(asking.requirement(quorum=1, step_up=asking.NONE),))
        settle(ours.tenant)
        assert len(lines(slack, origin)) == 1, "the end alone, for it came before anything was told"
        assert delivery(request).state == State.DONE

    def test_tells_a_denial_with_its_reason_and_without_secrets(self, ours, slack, begun):
        origin = begun()
        request = opened(ours, origin)
        settle(ours.tenant)
        asking.vote(request, ours.erin, asking.DENY, reason=f"no\n<!channel> `{KEY}` <https://evil.test|here>")
        settle(ours.tenant)
        ended = lines(slack, origin)[-1]
        assert f"Denied by {ours.username('erin')}: no" in ended
        assert "[redacted: aws-access-key]" in ended
        assert KEY not in str(slack.workspace.messages)
        assert "<!channel>" not in ended
        assert "<https://evil" not in ended

    def test_tells_that_nobody_answered_and_that_it_was_withdrawn(self, ours, slack, begun):
        expired, withdrawn = begun(), begun()
        late, second = opened(ours, expired), opened(ours, withdrawn)
        settle(ours.tenant)
        lifecycle.expire(late.pk, tenant_id=ours.tenant.pk, now=late.expires_at)
        requests.cancel(second.pk, tenant_id=ours.tenant.pk, actor=asking.TESTS, reason="not needed", now=clock.now())
        settle(ours.tenant)
        assert "Expired: not enough people answered in time." in lines(slack, expired)[-1]
        assert "Withdrawn by the requester: not needed" in lines(slack, withdrawn)[-1]

    def test_reminds_nobody_there(self, ours, begun):
        request = opened(ours, begun())
        settle(ours.tenant)
        assert list(reminders._told_places(request)) == []

    def test_keeps_to_its_own_words_of_agents(self, ours, slack, begun):
        made = asking.call(ours, subject_id="<!here> *bot*\u202e")
        origin = begun()
        opened(ours, origin, made=made)
        settle(ours.tenant)
        (waits,) = lines(slack, origin)
        assert "<!here>" not in waits
        assert "\u202e" not in waits


class TestAllowing:
    def test_drops_what_no_administrator_allowed(self, ours, slack, begun):
        before = ours_said(slack)
        request = opened(ours, begun(SECRET))
        settle(ours.tenant)
        assert [why for _, why in told(request)] == [NOT_ALLOWED]
        assert not Delivery.objects.filter(request=request).exists()
        assert ours_said(slack) == before
        assert notices(request) == ["notification.failed"]
        assert asking.vote(request, ours.erin).status == "approved"

    def test_an_approvals_channel_is_no_place_for_lines_by_itself(self, ours, begun):
        Channel.objects.create(tenant=ours.tenant, kind="slack", key=APPROVALS, teams=["finance"], config={})
        assert told(opened(ours, begun(APPROVALS)))[0][1] == NOT_ALLOWED

    def test_another_tenants_list_allows_nothing_here(self, ours, slack, begun):
        theirs = connected(slack)
        allow_secret = Channel.objects.get(tenant=theirs.tenant, key="elsewhere")
        allow_secret.config = {"origins": [SECRET]}
        allow_secret.save()
        assert told(opened(ours, begun(SECRET)))[0][1] == NOT_ALLOWED
        assert told(opened(theirs, begun(SECRET)))[0][1] == ""

    def test_drops_what_the_tenant_is_not_connected_to(self, ours, begun):
        accounts.forget(ours.tenant, "slack", actor=asking.TESTS, now=clock.now())
        assert told(opened(ours, begun()))[0][1] == NOT_CONNECTED

    def test_what_is_taken_back_before_it_is_told_is_not_told(self, ours, slack, begun):
        origin = begun()
        request = opened(ours, origin)
        Channel.objects.filter(tenant=ours.tenant).update(config={"origins": [SECRET]})
        settle(ours.tenant)
        assert lines(slack, origin) == []
        assert (delivery(request).state, delivery(request).last_error) == (State.DEAD, NOT_WITHIN)
        Channel.objects.filter(tenant=ours.tenant).delete()
        asking.vote(request, ours.erin)
        settle(ours.tenant)
        assert lines(slack, origin) == []

    def test_the_first_places_of_a_request_are_told_and_no_crowd_of_them(self, ours, begun):
        made = asking.call(ours)
        for _ in range(MOST + 3):
            request = opened(ours, begun(), made=made)
        assert [why for _, why in told(request)] == [""] * MOST + [TOO_MANY]
        assert notices(request) == ["notification.failed"]

    def test_a_channel_hears_of_so_many_and_no_more(self, ours, begun, settings):
        settings.COUNTERSIGN = settings.COUNTERSIGN.model_copy(update={"attention_limit": 1})
        found = [told(opened(ours, begun()))[0][1] for _ in range(5)]
        assert found == ["", "", "", "", CROWDED]


class TestHostileThreads:
    def test_a_thread_of_another_channel_is_not_found_under_an_allowed_name(self, ours, slack, begun):
        origin = begun(SECRET)
        request = opened(ours, {**origin, "channel": SUPPORT})
        settle(ours.tenant)
        assert lines(slack, origin) == []
        assert delivery(request).state == State.DEAD
        assert notices(request) == ["notification.failed"]

    def test_nothing_is_said_below_a_card_of_ours(self, ours, slack, begun):
        Channel.objects.create(tenant=ours.tenant, kind="slack", key=SUPPORT, teams=["finance"], config={})
        other = opened(ours, None)
        settle(ours.tenant)
        card = Delivery.objects.get(request=other).ref
        request = opened(ours, {"kind": "slack", "channel": SUPPORT, "thread": card["ts"]})
        settle(ours.tenant)
        assert below(slack, {"channel": SUPPORT, "thread": card["ts"]}) == []
        assert (delivery(request).state, delivery(request).last_error) == (State.DEAD, OURS)

    def test_a_reply_begins_no_thread(self, ours, slack, begun):
        origin = begun()
        request = opened(ours, origin)
        settle(ours.tenant)
        (line,) = below(slack, origin)
        second = opened(ours, {**origin, "thread": line.ts})
        settle(ours.tenant)
        assert delivery(second).last_error == NO_THREAD
        assert delivery(request).state == State.DONE

    def test_a_channel_that_the_app_is_not_in_stays_silent(self, ours, slack, begun):
        Channel.objects.filter(tenant=ours.tenant).update(config={"origins": [GENERAL]})
        request = opened(ours, begun(GENERAL))
        settle(ours.tenant)
        assert delivery(request).state == State.DEAD


class TestJoining:
    def test_two_asks_from_two_threads_are_told_in_both(self, ours, slack, begun):
        first, second, made = begun(), begun(), asking.call(ours)
        request = opened(ours, first, made=made)
        settle(ours.tenant)
        assert opened(ours, second, made=made, token=ours.agent_key).pk == request.pk
        assert opened(ours, first, made=made).pk == request.pk
        settle(ours.tenant)
        asking.vote(request, ours.erin)
        settle(ours.tenant)
        for origin in (first, second):
            assert ["waits" in one for one in lines(slack, origin)] == [True, False]
        assert notices(request) == ["notification.sent", "notification.sent"]

    def test_a_card_and_a_line_in_one_channel_are_two_things(self, ours, slack, begun):
        Channel.objects.create(tenant=ours.tenant, kind="slack", key=SUPPORT, teams=["finance"], config={})
        origin = begun()
        request = opened(ours, origin)
        settle(ours.tenant)
        asking.vote(request, ours.erin)
        settle(ours.tenant)
        assert len(lines(slack, origin)) == 2
        cards = [one for one in slack.messages(SUPPORT) if request.pk in str(one.metadata) and not one.thread_ts]
        assert len(cards) == 1
        assert "Approved by" in words_in(cards[0].blocks)


class TestFailures:
    def test_a_line_whose_answer_was_lost_is_not_said_twice(self, ours, calm, begun):
        origin = begun()
        request = opened(ours, origin)
        calm.fault("chat.postMessage", drop="after")
        settle(ours.tenant)
        asking.vote(request, ours.erin)
        calm.fault("chat.postMessage", drop="after")
        settle(ours.tenant)
        assert len(lines(calm, origin)) == 2

    def test_somebody_elses_message_with_our_mark_does_not_silence_us(self, ours, calm, begun):
        origin = begun()
        request = opened(ours, origin)
        fake = calm.say("mallory", "nothing", channel=SUPPORT)
        fake.thread_ts = origin["thread"]
        fake.metadata = {
            "event_type": "countersign_line", "event_payload": {"request": request.pk, "line": "opened"}
        }  # fmt: skip
        settle(ours.tenant)
        assert ["waits" in one for one in lines(calm, origin)] == [False, True]

    def test_is_tried_again_and_holds_up_no_decision(self, ours, calm, begun):
        origin = begun()
        request = opened(ours, origin)
        for _ in range(3):
            calm.fault("conversations.replies", status=500)
        assert pump.run_due() >= 1
        assert lines(calm, origin) == []
        assert asking.vote(request, ours.erin).status == "approved"
        settle(ours.tenant)
        assert ["Approved" in one for one in lines(calm, origin)] == [True]

    def test_a_worker_that_died_in_between_leaves_one_line(self, ours, calm, begun):
        origin = begun()
        request = opened(ours, origin)
        settle(ours.tenant)
        past = clock.now() - timedelta(minutes=5)
        Delivery.objects.filter(request=request).update(
            ref={}, told=0, attempting=True, state=State.READY, lease="gone", leased_until=past
        )
        Delivery.objects.filter(request=request).update(wanted=2)
        asking.vote(request, ours.erin)
        settle(ours.tenant)
        assert ["waits" in one for one in lines(calm, origin)] == [True, False]
