"""Every fourth call to Slack, Jira and ServiceNow goes wrong, and deliveries come twice: each tells each end, once."""

from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass

import pytest

from approvals.models import AccessRequest
from connectors import accounts
from connectors.models import Delivery
from connectors.slack.card import APPROVE
from evidence import clock
from examples.lookalikes.jira.server import Jira
from examples.lookalikes.jira.site import Issue, Person, Site
from examples.lookalikes.servicenow.rule import BusinessRule
from examples.lookalikes.slack.acme import APPROVALS
from examples.lookalikes.slack.workspace import Message
from outbox import pump
from outbox.models import Job
from registry.models import Channel
from tests.approvals import asking
from tests.connectors.jira import world as in_jira
from tests.connectors.servicenow.world import Now, connected
from tests.connectors.slack import house
from tests.connectors.slack_world import SlackWorld, actions_in
from tests.connectors.storms import hurried
from tests.worlds import SETUP

ROUNDS = 2


@dataclass
class Storm:
    """One tenant on four surfaces, three of them in bad weather."""

    slack: SlackWorld
    jira: Jira
    now: Now
    rule: BusinessRule
    erin_in_jira: Person

    def settle(self) -> None:
        """Until nothing is left to tell on any side."""
        for _ in range(200):
            self.jira.hooks.wait()
            self.rule.settle()
            if not hurried(self.now.acme.tenant):
                return
            pump.run_due()

    def answers(self, surface: str, request: AccessRequest) -> None:
        match surface:
            case "slack":
                assert self.slack.press("erin", self.cards(request)[0].ts, APPROVE).is_taken
            case "jira":
                self.jira.site.comment(self.issues(request)[0], "/approve", by=self.erin_in_jira)
            case "servicenow":
                self.now.answer(request, self.now.erin, "approved")
            case _:
                asking.vote(request, self.now.acme.erin)

    def cards(self, request: AccessRequest) -> list[Message]:
        return [one for one in self.slack.messages() if request.pk in str(one.metadata) and not one.thread_ts]

    def issues(self, request: AccessRequest) -> list[Issue]:
        return [one for one in self.jira.site.issues.values() if request.pk in one.fields["labels"]]

    def tells(self, request: AccessRequest) -> dict[str, object]:
        """What each surface tells, every message of it."""
        request.refresh_from_db()
        return {
            "us": request.status,
            "votes": [vote.surface for vote in request.votes.all()],
            "slack": [actions_in(card.blocks) for card in self.cards(request)],
            "jira": [issue.status for issue in self.issues(request)],
            "servicenow": self.now.record(request)["approval"],
            "approval": self.now.approval(request, self.now.erin)["state"],
            "deliveries": {*Delivery.objects.filter(request=request).values_list("state", flat=True)},
        }


@pytest.fixture
def storm(database: None) -> Iterator[Storm]:
    Job.objects.filter(state="ready").update(state="done", dedupe=None)
    with ExitStack() as stack:
        url = stack.enter_context(house.serving())
        now = stack.enter_context(connected(quorum=1, storm=True))
        slack = stack.enter_context(SlackWorld(storm=True, request_url=f"{url}/slack/events"))
        jira = stack.enter_context(Jira(Site(storm=True)))
        rule = BusinessRule(f"{url}/servicenow/webhook", now.secret, now.faults)
        now.instance.rules.append(rule)
        jira.hooks.add(f"{url}/jira/webhook", in_jira.SECRET)
        yield Storm(slack, jira, now, rule, _introduced(now, slack, jira))
        Job.objects.filter(tenant=now.acme.slug).delete()


def _introduced(now: Now, slack: SlackWorld, jira: Jira) -> Person:
    """The tenant's other two systems, and who Erin is there."""
    tenant, erin = now.acme.tenant, jira.site.add_person("erin")
    jira.site.add_project("OPS")
    house.connect(tenant, slack)
    house.link(now.acme.erin, "erin")
    in_jira.link(now.acme.erin, erin)
    given = jira.settings(webhook_secret=in_jira.SECRET)
    accounts.save(tenant, "jira", given, actor=SETUP, now=clock.now())
    config = {"project": "OPS", "transitions": in_jira.TRANSITIONS}
    for kind, key, told in (("slack", APPROVALS, {"channel": APPROVALS}), ("jira", "OPS", config)):
        Channel.objects.create(tenant=tenant, kind=kind, key=key, config=told, teams=["finance"])
    return erin


class TestStorm:
    def test_abuse_134_in_a_storm_every_surface_takes_an_answer_and_each_tells_each_end_once(self, storm: Storm):
        asked = {}
        for surface in ("slack", "jira", "servicenow", "web") * ROUNDS:
            needs = [asking.requirement(quorum=1, step_up=asking.NONE)]
            request = asking.opened(storm.now.acme, requirements=needs)
            asked[request.pk] = (request, surface)
            storm.settle()
            storm.answers(surface, request)
        storm.settle()
        told = {pk: storm.tells(request) for pk, (request, _) in asked.items()}
        assert told == {pk: _ended_on(surface) for pk, (_, surface) in asked.items()}
        for faults in (storm.slack.workspace.faults, storm.jira.site.faults, storm.now.faults):
            assert faults.weather
            assert faults.weather.struck.total() >= ROUNDS


def _ended_on(surface: str) -> dict[str, object]:
    return {
        "us": "approved", "votes": [surface], "slack": [[]], "jira": ["Approved"], "servicenow": "approved",
        "approval": "approved", "deliveries": {"done"},
    }  # fmt: skip
