"""A request told to the Slack look-alike over real HTTP: posted once, edited ever after, found again, whatever goes wrong."""

import logging
from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta

import pytest

from connectors.port import Account, Item, Moment, Name, Place, TransportError, Waiting
from connectors.slack import card, transport
from connectors.slack.failures import PERMANENT
from connectors.slack.transport import Slack
from examples.lookalikes.slack.acme import APPROVALS, GENERAL
from examples.lookalikes.slack.workspace import Message
from tests.connectors.slack.telling import NOW, approved, argument, told
from tests.connectors.slack_world import SlackWorld, actions_in, slack_world, words_in
from tests.servers import free_port

PLACE = Place("slack", APPROVALS, {"channel": APPROVALS})
SECRET = "AKIAIOSFODNN7EXAMPLE"


@pytest.fixture(scope="module")
def served() -> Iterator[SlackWorld]:
    with slack_world(storm=False) as world:
        yield world


@pytest.fixture
def world(served: SlackWorld) -> SlackWorld:
    served.workspace.messages.clear()
    served.workspace.calls.clear()
    served.workspace.faults.clear()
    return served


def account(world: SlackWorld, **changes: str) -> Account:
    return Account("acme", 1, "slack", {**world.settings, **changes})


@pytest.fixture
def slack(world: SlackWorld) -> Slack:
    return transport.open_(account(world))


def cards(world: SlackWorld, channel: str = APPROVALS) -> list[Message]:
    return [message for message in world.messages(channel) if not message.thread_ts]


def replies(world: SlackWorld) -> list[Message]:
    return [message for message in world.messages() if message.thread_ts]


def voted():
    """One vote later."""
    return told(version=2, story=[*told().story, Moment(NOW + timedelta(minutes=1), "erin voted to approve")])


def ended():
    later = [
        Moment(NOW + timedelta(minutes=2), "frank voted to approve"),
        Moment(NOW + timedelta(minutes=2), "Approved"),
    ]
    return approved(story=[*voted().story, *later])


class TestPost:
    def test_leaves_one_card_with_its_request_in_the_metadata(self, slack, world):
        ref = slack.post(PLACE, told())
        (message,) = cards(world)
        assert (ref["channel"], ref["ts"]) == (APPROVALS, message.ts)
        assert message.metadata["event_type"] == "countersign_request"
        assert message.metadata["event_payload"]["request"] == "arq_1"
        assert actions_in(message.blocks) == [card.APPROVE, card.DENY, card.DETAILS]

    def test_metadata_holds_nothing_that_a_passer_by_should_not_read(self, slack, world):
        slack.post(PLACE, told())
        assert set(cards(world)[0].metadata["event_payload"]) == {"request", "until"}

    def test_asks_slack_to_unfold_and_to_look_for_nothing(self, slack, world):
        slack.edit(PLACE, slack.post(PLACE, told()), ended())
        (posted, replied), (updated,) = world.calls("chat.postMessage"), world.calls("chat.update")
        for call in (posted, updated, replied):
            assert call.arguments["parse"] == "none"
            assert str(call.arguments["link_names"]) in {"0", "False"}
        for call in (posted, replied):
            assert str(call.arguments["unfurl_links"]) in {"0", "False"}
            assert str(call.arguments["unfurl_media"]) in {"0", "False"}

    def test_a_person_is_told_in_direct_messages(self, slack, world):
        ref = slack.post(Place("slack", "T0ACME/U0ERIN", {}), told())
        assert ref["channel"].startswith("D")
        slack.edit(PLACE, ref, ended())
        assert actions_in(cards(world, ref["channel"])[0].blocks) == []


class TestEdit:
    def test_after_the_end_the_card_has_no_buttons(self, slack, world):
        slack.edit(PLACE, slack.post(PLACE, told()), ended())
        (message,) = cards(world)
        assert actions_in(message.blocks) == []
        assert "Approved by erin and frank." in words_in(message.blocks)

    def test_tells_what_is_new_of_the_story_in_the_thread_once(self, slack, world):
        ref = slack.post(PLACE, told())
        ref = slack.edit(PLACE, ref, voted())
        ref = slack.edit(PLACE, ref, ended())
        slack.edit(PLACE, ref, ended())
        first, second = replies(world)
        assert {first.thread_ts, second.thread_ts} == {ref["ts"]}
        assert "erin voted" in words_in(first.blocks)
        assert "frank voted" in words_in(second.blocks)
        assert "erin voted" not in words_in(second.blocks)

    def test_what_the_card_said_when_it_was_posted_is_not_said_again(self, slack, world):
        slack.edit(PLACE, slack.post(PLACE, voted()), voted())
        assert replies(world) == []

    def test_a_reply_whose_answer_was_lost_is_not_said_twice(self, slack, world):
        ref = slack.post(PLACE, told())
        world.fault("chat.postMessage", drop="after")
        with pytest.raises(TransportError) as raised:
            slack.edit(PLACE, ref, voted())
        assert not raised.value.permanent
        assert len(replies(world)) == 1
        slack.edit(PLACE, ref, voted())
        assert len(replies(world)) == 1

    def test_what_others_write_into_the_thread_is_not_taken_for_ours(self, slack, world):
        ref = slack.post(PLACE, told())
        reply = world.say("mallory", "hello")
        reply.thread_ts = ref["ts"]
        reply.metadata = {"event_type": "countersign_request", "event_payload": {"request": "arq_1", "until": "9999"}}
        slack.edit(PLACE, ref, voted())
        assert any("erin voted" in words_in(message.blocks) for message in replies(world))

    def test_a_line_that_folds_neither_repeats_nor_hides_another(self, slack, world):
        ref = slack.post(PLACE, told())
        asked = Moment(NOW + timedelta(seconds=1), "Asked again ×3, last 10:00:09")
        ref = slack.edit(PLACE, ref, told(story=[*told().story, asked, *voted().story[1:]]))
        slack.edit(PLACE, ref, told(story=[replace(asked, words="Asked again ×9"), *ended().story[1:]]))
        said = [words_in(message.blocks) for message in replies(world)]
        assert len(said) == 2
        assert "Asked again" not in said[1]
        assert "frank voted" in said[1]

    def test_without_the_right_to_read_it_believes_its_own_notes(self, slack, world):
        ref = slack.post(PLACE, told())
        world.fault("conversations.*", error="missing_scope", times=-1)
        ref = slack.edit(PLACE, ref, voted())
        slack.edit(PLACE, ref, voted())
        assert len(replies(world)) == 1

    def test_a_card_that_was_deleted_while_it_waits_is_posted_anew(self, slack, world):
        ref = slack.post(PLACE, told())
        cards(world)[0].deleted = True
        again = slack.edit(PLACE, ref, voted())
        assert again["ts"] != ref["ts"]
        assert actions_in(cards(world)[0].blocks)
        assert slack.edit(PLACE, ref, voted())["ts"] == again["ts"]
        assert len(cards(world)) == 1

    def test_a_card_that_was_deleted_after_the_end_stays_deleted(self, slack, world):
        ref = slack.post(PLACE, told())
        cards(world)[0].deleted = True
        assert slack.edit(PLACE, ref, ended()) == ref
        assert cards(world) == []


class TestFind:
    def test_finds_nothing_that_never_arrived(self, slack, world):
        world.fault("chat.postMessage", drop="before")
        with pytest.raises(TransportError):
            slack.post(PLACE, told())
        assert slack.find(PLACE, told().name) is None

    def test_finds_the_card_whose_answer_was_lost(self, slack, world):
        now = _now()
        world.fault("chat.postMessage", drop="after")
        with pytest.raises(TransportError) as raised:
            slack.post(PLACE, now)
        assert not raised.value.permanent
        found = slack.find(PLACE, now.name)
        assert found is not None
        assert found["ts"] == cards(world)[0].ts
        assert slack.edit(PLACE, found, now)["ts"] == found["ts"]
        assert len(world.messages()) == 1

    def test_is_not_led_astray_by_somebody_elses_metadata(self, slack, world):
        forged = world.say("mallory", "hello")
        forged.metadata = {"event_type": "countersign_request", "event_payload": {"request": "arq_1", "until": "0"}}
        assert slack.find(PLACE, _now().name) is None

    def test_takes_no_other_request_for_this_one(self, slack, world):
        slack.post(PLACE, replace(_now(), request_id="arq_2"))
        assert slack.find(PLACE, _now().name) is None

    def test_finds_a_digest_by_its_name_and_nothing_else_by_that(self, slack, world):
        ref = slack.digest(PLACE, None, WAITING, name=DIGEST)
        found = slack.find(PLACE, DIGEST)
        assert (found["channel"], found["ts"]) == (ref["channel"], ref["ts"])
        assert slack.find(PLACE, Name("dgs_2", DIGEST.since)) is None
        assert cards(world)[0].metadata == {
            "event_type": "countersign_digest", "event_payload": {"digest": "dgs_1"},
        }  # fmt: skip

    def test_is_not_led_astray_by_somebody_elses_digest(self, slack, world):
        forged = world.say("mallory", "hello")
        forged.metadata = {"event_type": "countersign_digest", "event_payload": {"digest": "dgs_1"}}
        assert slack.find(PLACE, DIGEST) is None

    def test_finds_it_in_a_busy_channel(self, slack, world):
        now = _now()
        ref = slack.post(PLACE, now)
        for number in range(700):
            world.say("erin", f"chatter {number}")
        assert slack.find(PLACE, now.name)["ts"] == ref["ts"]

    def test_without_the_right_to_read_it_knows_of_nothing(self, slack, world):
        slack.post(PLACE, _now())
        world.fault("conversations.history", error="missing_scope")
        assert slack.find(PLACE, _now().name) is None


DIGEST = Name("dgs_1", transport.datetime.now(transport.UTC))
WAITING = Waiting(1, (Item("refund", NOW, "http://testserver/requests/arq_1/"),), "http://testserver/inbox/")


def _now():
    """A request of this very minute: the look-alike stamps messages with the real time."""
    return told(opened_at=transport.datetime.now(transport.UTC))


class TestFaults:
    @pytest.mark.parametrize(
        "fault",
        [
            {"status": 500},
            {"status": 503, "garbage": True},
            {"garbage": True},
            {"drop": "before"},
            {"drop": "after"},
            {"error": "internal_error"},
            {"error": "fatal_error"},
            {"error": "an_error_of_a_later_slack"},
            {"error": "ratelimited"},
            {"status": 429, "retry_after": 7},
        ],
    )
    @pytest.mark.parametrize("verb", ["post", "edit", "say", "check"])
    def test_abuse_134_what_may_pass_is_tried_again(self, world, verb, fault):
        slack = Slack(transport.client(account(world), seconds=1))
        ref = slack.post(PLACE, told())
        acts = {
            "post": lambda: slack.post(PLACE, _now()),
            "edit": lambda: slack.edit(PLACE, ref, voted()),
            "say": lambda: slack.say(PLACE, "hello"),
            "check": slack.check,
        }
        world.fault("*", **fault)
        with pytest.raises(TransportError) as raised:
            acts[verb]()
        assert not raised.value.permanent
        assert (raised.value.retry_after is not None) == ("ratelimited" in fault.values() or 429 in fault.values())
        acts[verb]()

    def test_abuse_134_a_slack_that_stalls_is_left_after_its_time(self, world):
        slack = Slack(transport.client(account(world), seconds=1))
        world.fault("chat.postMessage", delay=1.5)
        with pytest.raises(TransportError, match="did not answer in time") as raised:
            slack.post(PLACE, told())
        assert not raised.value.permanent
        assert transport.client(account(world)).timeout == transport.SECONDS == 5

    def test_abuse_134_waits_as_long_as_slack_asks(self, slack, world):
        world.fault("chat.postMessage", status=429, retry_after=7)
        with pytest.raises(TransportError) as raised:
            slack.post(PLACE, told())
        assert raised.value.retry_after == timedelta(seconds=7)

    @pytest.mark.parametrize(("said", "waited"), [(0, 0), (999_999, 3600), (10**30, 30), (-5, 30)])
    def test_abuse_134_an_absurd_wait_is_bounded(self, slack, world, said, waited):
        world.fault("chat.postMessage", status=429, retry_after=said)
        with pytest.raises(TransportError) as raised:
            slack.post(PLACE, told())
        assert raised.value.retry_after == timedelta(seconds=waited)

    def test_abuse_134_the_sdk_tries_nothing_by_itself(self, slack, world):
        world.fault("chat.postMessage", status=429, retry_after=1, times=-1)
        with pytest.raises(TransportError):
            slack.post(PLACE, told())
        assert world.workspace.faults.waiting()
        assert cards(world) == []

    def test_abuse_134_a_slack_that_is_not_there_is_no_crash(self, world):
        gone = transport.open_(account(world, api_url=f"http://127.0.0.1:{free_port()}/api/"))
        with pytest.raises(TransportError) as raised:
            gone.post(PLACE, told())
        assert not raised.value.permanent
        assert "ConnectionRefusedError" in str(raised.value)

    @pytest.mark.parametrize("code", sorted(PERMANENT))
    def test_what_a_person_must_mend_is_said_in_words_and_not_tried_again(self, slack, world, code):
        world.fault("chat.postMessage", error=code)
        with pytest.raises(TransportError) as raised:
            slack.post(PLACE, told())
        assert raised.value.permanent
        assert PERMANENT[code] in str(raised.value)
        assert f"({code})" in str(raised.value)

    def test_a_channel_the_app_is_not_in_says_how_to_invite_it(self, slack):
        with pytest.raises(TransportError, match=r"/invite @Countersign") as raised:
            slack.post(Place("slack", GENERAL, {"channel": GENERAL}), told())
        assert raised.value.permanent

    def test_something_else_at_that_address_is_named(self, world):
        elsewhere = transport.open_(account(world, api_url=f"{world.url}/nothing/"))
        with pytest.raises(TransportError, match="not Slack's Web API") as raised:
            elsewhere.post(PLACE, told())
        assert raised.value.permanent


class TestSecrets:
    @pytest.mark.parametrize(
        "fault",
        [
            {"status": 500, "garbage": True}, {"garbage": True}, {"drop": "after"},
            {"error": "invalid_blocks"}, {"error": f"x {SECRET}"}, {"status": 429},
        ],
    )  # fmt: skip
    def test_abuse_108_no_error_or_log_holds_a_token_or_what_was_sent(self, world, fault, caplog):
        caplog.set_level(logging.DEBUG)
        slack = Slack(transport.client(account(world), seconds=1))
        world.fault("chat.postMessage", **fault)
        with pytest.raises(TransportError) as raised:
            slack.post(PLACE, told(lines=[argument(SECRET)]))
        said = str(raised.value) + repr(raised.value.__cause__) + caplog.text
        assert raised.value.__suppress_context__
        for secret in (SECRET, world.workspace.bot_token, "payments.refund", "Bad gateway"):
            assert secret not in said


class TestSay:
    def test_says_words_in_which_only_our_addresses_are_links(self, slack, world, settings):
        words = f"<!channel> 3 wait: {settings.COUNTERSIGN.base_url}/inbox/?a=1&b=2. See https://evil.example/x"
        slack.say(PLACE, words)
        said = words_in(cards(world)[0].blocks)
        assert f"<{settings.COUNTERSIGN.base_url}/inbox/?a=1&amp;b=2>." in said
        assert "&lt;!channel&gt;" in said
        assert "<https://evil" not in said

    def test_says_no_more_than_slack_takes(self, slack, world):
        slack.say(PLACE, "& " * 5000)
        assert cards(world)


class TestCheck:
    def test_names_the_workspace_and_the_app_there(self, slack):
        assert slack.check() == "Slack lets us into Acme (T0ACME) as countersign."

    def test_a_wrong_token_says_what_to_do(self, world):
        with pytest.raises(TransportError, match="bot token") as raised:
            transport.open_(account(world, bot_token="xoxb-wrong")).check()
        assert raised.value.permanent
        assert "xoxb-wrong" not in str(raised.value)

    def test_another_workspace_than_the_accounts_is_refused(self, world):
        with pytest.raises(TransportError, match="T0ACME, not of T0OTHER"):
            transport.open_(account(world, team="T0OTHER")).check()
