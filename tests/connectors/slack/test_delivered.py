"""Requests told in Slack from their rows: a secret never leaves, and a Slack that fails for long keeps nobody waiting."""

from collections.abc import Iterator

import pytest
from django.db.models import F

from approvals.models import AccessRequest, Status
from connectors import pauses
from connectors.models import Delivery, State
from connectors.slack import card
from examples.lookalikes.slack.acme import APPROVALS
from outbox.models import Job
from outbox.models import State as JobState
from tests.approvals import asking
from tests.connectors.slack.house import House, connect
from tests.connectors.slack_world import SlackWorld, actions_in, slack_world, words_in
from tests.worlds import world

AWS = "AKIA" + "Z7QH3M5XW2KD4RTP"  # in two halves, for scanners of this repository


@pytest.fixture(scope="module")
def slack() -> Iterator[SlackWorld]:
    with slack_world() as made:
        yield made


@pytest.fixture
def ours(slack: SlackWorld) -> House:
    Job.objects.filter(state=JobState.READY).update(state=JobState.DONE, dedupe=None)
    slack.workspace.messages.clear()
    slack.workspace.faults.clear()
    made = world(quorum=2, step_up="none")
    connect(made.tenant, slack)
    return House(made, slack)


def opened(house: House, **asked) -> AccessRequest:
    return house.opened(requirements=[asking.requirement(step_up=asking.NONE)], **asked)


def later(house: House) -> None:
    """Whatever waits for a better moment is due now."""
    pauses._resting.clear()
    Delivery.objects.filter(tenant=house.world.tenant).update(not_before=None)
    Job.objects.filter(tenant=house.world.slug, state=JobState.READY).update(run_at=F("created_at"))
    house.pump()


class TestDelivered:
    def test_a_request_is_one_card_from_its_opening_to_its_end(self, ours):
        request = opened(ours)
        assert actions_in(ours.card(request).blocks) == [card.APPROVE, card.DENY, card.DETAILS]
        asking.vote(request, ours.world.erin)
        ours.pump()
        assert "1 of 2 approvals" in words_in(ours.card(request).blocks)
        asking.vote(request, ours.world.frank)
        ours.pump()
        assert actions_in(ours.card(request).blocks) == []
        assert "Approved by" in words_in(ours.card(request).blocks)

    @pytest.mark.parametrize(
        "fault",
        [{"status": 500}, {"status": 429, "retry_after": 30}, {"error": "fatal_error"}, {"drop": "after"}],
        ids=["500", "429", "ok:false", "cut"],
    )
    def test_abuse_134_slack_fails_for_long_and_nobody_is_kept_from_deciding(self, ours, fault):
        ours.slack.fault("*", times=-1, **fault)
        request = opened(ours)
        for voter in (ours.world.erin, ours.world.frank):
            later(ours)
            asking.vote(request, voter)
        later(ours)
        request.refresh_from_db()
        assert request.status == Status.APPROVED
        ours.slack.workspace.faults.clear()
        for _ in range(3):
            later(ours)
        assert actions_in(ours.card(request).blocks) == []
        assert Delivery.objects.get(request=request).state == State.DONE

    def test_abuse_103_a_secret_in_an_argument_is_in_no_call_to_slack(self, ours):
        request = opened(ours, made=asking.call(ours.world, {"order": f"A {AWS}", "amount": "250.00"}))
        message = ours.card(request)
        assert card.APPROVE not in actions_in(message.blocks)
        assert "[redacted" in words_in(message.blocks)
        asking.vote(request, ours.world.erin)
        ours.pump()
        assert AWS not in repr([call.arguments for call in ours.slack.workspace.calls])

    def test_abuse_093_what_an_agent_says_reaches_slack_inert(self, ours):
        hostile = "```<!channel> <https://evil.example|ok> *x*"
        request = opened(ours, made=asking.call(ours.world, {"order": hostile, "amount": "250.00"}))
        sent = repr([call.arguments for call in ours.slack.calls("chat.postMessage")])
        assert request.pk in sent
        assert "<!channel>" not in sent
        assert "<https://evil" not in sent

    def test_a_channel_the_app_is_not_in_is_given_up_with_words(self, ours):
        ours.slack.workspace.channels[APPROVALS].members.discard(ours.slack.workspace.bot_user)
        try:
            request = opened(ours)
        finally:
            ours.slack.workspace.channels[APPROVALS].members.add(ours.slack.workspace.bot_user)
        row = Delivery.objects.get(request=request)
        assert row.state == State.DEAD
        assert "/invite @Countersign" in row.last_error
