"""A waiver's request is granted where any other is: its card says what is asked, and a step-up is never one click."""

from collections.abc import Callable, Iterator
from typing import Any

import pytest

from approvals import shown
from approvals.models import AccessRequest, Vote, Waiver
from connectors import telling
from connectors.slack.card import APPROVE
from examples.lookalikes.jira.server import Jira
from examples.lookalikes.jira.site import Site
from tests.approvals.waivers import excepting
from tests.connectors.jira.world import Desk, connected, listening
from tests.connectors.slack.house import house, serving, words_of
from tests.connectors.slack_world import actions_in, words_in
from tests.worlds import World

NewDesk = Callable[..., Desk]
TITLE = "Exception from refunds-over-100 for support-bot on payments.refund"


@pytest.fixture(scope="module")
def url(database: None) -> Iterator[str]:
    with serving() as address:
        yield address


@pytest.fixture
def new_desk(database: None) -> Iterator[NewDesk]:
    with Jira(Site(storm=False)) as site, listening() as hook:
        site.site.add_project("OPS")
        yield lambda **changes: connected(site, hook, **changes)


def asked(own: World, **changes: Any) -> tuple[Waiver, AccessRequest]:
    waiver = excepting.asked(own, **changes)
    return waiver, AccessRequest.objects.get(pk=waiver.request_id)


def state(waiver: Waiver) -> str:
    waiver.refresh_from_db()
    return waiver.state


class TestTold:
    def test_its_lines_are_in_words_and_none_is_left_out(self, database: None) -> None:
        control = {"kind": "check", "url": "https://ci.acme.test/health", "every": "5m"}
        _, request = asked(excepting.easy(), max_uses=3, ticket="OPS-1", controls=[control])
        lines = telling.told(request, version=0).lines
        said = {line.label for line in lines}
        assert {"Rule it lifts", "Until", "Times at most", "Instead, 1: address looked at"} <= said
        assert not [label for label in said if label.startswith("arguments.")], said
        assert sorted(line.value for line in lines) == sorted(line["value"] for line in shown.lines_of(request))
        labelled = [line.label for line in lines if line.kind == "argument"]
        first_pin = next(n for n, label in enumerate(labelled) if label.startswith("As it is now"))
        assert all(label.startswith("As it is now") for label in labelled[first_pin:])


class TestSlack:
    def test_a_click_grants_it_and_the_card_says_what_it_is(self, url: str) -> None:
        with house(url, quorum=1, step_up="none") as ours:
            waiver, request = asked(ours.world)
            ours.pump()
            words = words_in(ours.card(request).blocks)
            assert "asks for an exception from the policy" in words
            assert TITLE in words
            assert "Grant this exception?" in words
            assert "asks to run" not in words
            ours.slack.press("erin", ours.card(request).ts, APPROVE)
            ours.slack.until(lambda: state(waiver) == "active")
            ours.pump()
            assert "The exception is in force until" in words_in(ours.card(request).blocks)
            assert actions_in(ours.card(request).blocks) == []

    def test_who_asked_cannot_grant_it_there(self, url: str) -> None:
        with house(url, quorum=1, step_up="none") as ours:
            waiver, request = asked(ours.world, by=ours.world.erin)
            ours.pump()
            ours.slack.press("erin", ours.card(request).ts, APPROVE)
            ours.pump()
            assert state(waiver) == "pending"
            assert not Vote.objects.filter(request=request).exists()
            assert ours.whispers("erin")

    def test_a_step_up_leads_to_the_page_and_no_click_counts(self, url: str) -> None:
        with house(url, quorum=1, step_up="totp") as ours:
            waiver, request = asked(ours.world)
            ours.pump()
            words = words_of(ours.card(request))
            assert "Each answer is confirmed with a code" in words
            assert "Grant this exception?" not in words
            ours.slack.press("erin", ours.card(request).ts, APPROVE)
            ours.pump()
            assert state(waiver) == "pending"
            assert not Vote.objects.filter(request=request).exists()


class TestJira:
    def test_a_comment_grants_it_and_the_issue_says_what_it_is(self, new_desk: NewDesk) -> None:
        desk = new_desk()
        waiver, request = asked(desk.acme)
        desk.settle()
        issue = desk.issue(request)
        assert issue.fields["summary"] == f"Approval needed: {TITLE}"
        assert "A person asks for an exception from the policy." in issue.fields["description"]
        assert "/approve" in issue.fields["description"]
        desk.says(desk.erin, request, "/approve for the migration")
        assert desk.votes(request) == [("erin", "approve", "jira")]
        assert state(waiver) == "active"
        assert "The exception is in force until" in desk.issue(request).fields["description"]

    def test_a_step_up_leads_to_the_page_and_no_comment_counts(self, new_desk: NewDesk) -> None:
        desk = new_desk(step_up="totp")
        waiver, request = asked(desk.acme)
        desk.settle()
        assert "/approve" not in desk.issue(request).fields["description"]
        desk.says(desk.erin, request, "/approve")
        assert desk.votes(request) == []
        assert state(waiver) == "pending"
        assert request.pk in desk.said(request)
