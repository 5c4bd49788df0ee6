"""Told at the issue or the record that the ask came from: a comment, a work note, and never a vote's place."""

from collections.abc import Callable, Iterator

import pytest

from connectors import accounts
from connectors.jira import elsewhere as in_jira
from connectors.models import Delivery, State
from connectors.origin import NOT_ALLOWED
from connectors.servicenow import elsewhere as in_servicenow
from evidence import clock
from examples.lookalikes.faults import Fault
from examples.lookalikes.jira.server import Jira
from examples.lookalikes.jira.site import Issue, Person, Site
from examples.lookalikes.servicenow.instance import CHANGES, Row
from examples.lookalikes.slack.acme import PEOPLE, user_id
from registry.models import Channel
from tests.approvals import asking
from tests.connectors.jira.world import SECRET, link, listening
from tests.connectors.origins import allow, delivery, notices, opened, settle, told
from tests.connectors.servicenow.world import Now, connected
from tests.connectors.slack import house
from tests.connectors.slack_world import slack_world
from tests.worlds import SETUP, World, world


class Desk:
    """A tenant whose administrator allows lines in the project DESK, and the site it is connected to."""

    def __init__(self, jira: Jira) -> None:
        self.jira, self.site = jira, jira.site
        self.acme: World = world(quorum=1, step_up="none", change={"channels": []})
        given = jira.settings(webhook_secret=SECRET)
        accounts.save(self.acme.tenant, "jira", given, actor=SETUP, now=clock.now())
        allow(self.acme.tenant, "jira", "DESK")
        self.dana: Person = self.site.add_person("dana")

    def ticket(self, project: str = "DESK") -> Issue:
        fields = {"project": {"key": project}, "issuetype": {"name": "Task"}, "summary": "Please refund A-1001"}
        return self.site.create(fields, by=self.dana)

    def ours(self, issue: Issue) -> list[str]:
        return [one.body for one in issue.comments if one.author == self.site.bot]


@pytest.fixture(scope="module")
def running() -> Iterator[Jira]:
    with Jira(Site(storm=None)) as server:
        for key in ("DESK", "OPS", "BOARD"):
            server.site.add_project(key)
        yield server


@pytest.fixture
def desk(running: Jira) -> Iterator[Desk]:
    yield Desk(running)
    running.site.faults.clear()
    running.hooks.wait()
    running.hooks.hooks.clear()


@pytest.fixture
def now(database: None) -> Iterator[Now]:
    with connected(quorum=1) as made:
        made.acme.tenant.channels.all().delete()
        allow(made.acme.tenant, "servicenow", CHANGES)
        yield made


@pytest.fixture
def ticket(now: Now) -> Callable[[], Row]:
    """A change of somebody's own."""
    owner = now.instance.person("owner", "itil")
    return lambda: now.instance.create(CHANGES, {"short_description": "Please refund A-1001"}, by=owner)


def from_issue(issue: Issue) -> dict[str, str]:
    return {"kind": "jira", "issue": issue.key}


def from_record(row: Row) -> dict[str, str]:
    return {"kind": "servicenow", "record": row["number"]}


class TestJira:
    def test_says_that_it_waits_and_then_how_it_ended(self, desk):
        issue = desk.ticket()
        request = opened(desk.acme, from_issue(issue))
        settle(desk.acme.tenant)
        asking.vote(
            request, desk.acme.erin, asking.DENY, reason="no receipt [~accountid:x] {noformat} AKIAIOSFODNN7EXAMPLE"
        )
        settle(desk.acme.tenant)
        waits, ended = desk.ours(issue)
        assert waits.startswith("payments.refund create by support\\-bot waits for approval: http")
        assert waits.endswith(f"/requests/{request.pk}/"), "our own address stays one"
        assert "Denied by erin" in ended
        assert "AKIA" not in ended
        assert "[~" not in ended.replace("\\[", "")
        assert notices(request) == ["notification.sent"]

    def test_drops_what_no_administrator_allowed(self, desk):
        issue = desk.ticket("BOARD")
        request = opened(desk.acme, from_issue(issue))
        settle(desk.acme.tenant)
        assert told(request) == [(f"origin:{issue.key}", NOT_ALLOWED)]
        assert issue.comments == []

    def test_follows_no_issue_into_a_project_that_is_not_allowed(self, desk):
        issue = desk.ticket()
        old = from_issue(issue)
        desk.site.carry(issue, desk.site.projects["BOARD"])
        request = opened(desk.acme, old)
        settle(desk.acme.tenant)
        assert issue.comments == []
        assert (delivery(request).state, delivery(request).last_error) == (State.DEAD, in_jira.NOT_WITHIN)

    def test_says_nothing_at_an_issue_of_ours(self, desk):
        Channel.objects.create(
            tenant=desk.acme.tenant, kind="jira", key="DESK", teams=["finance"], config={"project": "DESK"}
        )
        other = opened(desk.acme, None)
        settle(desk.acme.tenant)
        ref = Delivery.objects.get(request=other).ref
        request = opened(desk.acme, {"kind": "jira", "issue": ref["key"]})
        settle(desk.acme.tenant)
        assert delivery(request).last_error == in_jira.OURS
        assert desk.ours(desk.site.issue(ref["id"])) == []

    def test_an_issue_that_is_none_is_given_up_on_record(self, desk):
        request = opened(desk.acme, {"kind": "jira", "issue": "DESK-99999"})
        settle(desk.acme.tenant)
        assert delivery(request).state == State.DEAD
        assert notices(request) == ["notification.failed"]
        assert asking.vote(request, desk.acme.erin).status == "approved"

    def test_a_comment_whose_answer_was_lost_is_not_made_twice(self, desk):
        desk.site.faults.weather = None
        issue = desk.ticket()
        request = opened(desk.acme, from_issue(issue))
        desk.site.faults.add(Fault("comments.add", drop="after"))
        settle(desk.acme.tenant)
        asking.vote(request, desk.acme.erin)
        desk.site.faults.add(Fault("comments.add", drop="after"))
        settle(desk.acme.tenant)
        assert len(desk.ours(issue)) == 2

    def test_nobody_votes_at_the_ticket_that_an_ask_came_from(self, desk):
        issue, erin = desk.ticket(), desk.site.add_person("erin")
        link(desk.acme.erin, erin)
        request = opened(desk.acme, from_issue(issue))
        settle(desk.acme.tenant)
        with listening() as hook:
            desk.jira.hooks.add(hook, SECRET)
            desk.site.comment(issue, "/approve", by=erin)
            desk.jira.hooks.wait()
            settle(desk.acme.tenant)
        request.refresh_from_db()
        assert request.status == "pending"

    def test_one_request_is_told_where_each_of_its_askers_is(self, desk):
        with slack_world() as slack:
            slack.workspace.add_channel("C0SUPPORT", "support", members=[user_id(name) for name in PEOPLE])
            house.connect(desk.acme.tenant, slack)
            allow(desk.acme.tenant, "slack", "C0SUPPORT")
            issue, asked = desk.ticket(), slack.say("dana", "Please!", channel="C0SUPPORT")
            made = asking.call(desk.acme)
            request = opened(desk.acme, from_issue(issue), made=made)
            thread = {"kind": "slack", "channel": "C0SUPPORT", "thread": asked.ts}
            assert opened(desk.acme, thread, made=made, token=desk.acme.agent_key).pk == request.pk
            settle(desk.acme.tenant)
            asking.vote(request, desk.acme.erin)
            settle(desk.acme.tenant)
            said = [one for one in slack.messages("C0SUPPORT") if one.thread_ts == asked.ts]
            assert (len(desk.ours(issue)), len(said)) == (2, 2)


class TestServiceNow:
    def notes(self, now: Now, row: Row) -> list[str]:
        return now.instance.notes(row["sys_id"], "work_notes")

    def test_says_that_it_waits_and_then_how_it_ended(self, now, ticket):
        row = ticket()
        request = opened(now.acme, from_record(row))
        settle(now.acme.tenant)
        asking.vote(request, now.acme.erin, asking.DENY, reason="no [code]<b>receipt</b>[/code]")
        settle(now.acme.tenant)
        waits, ended = self.notes(now, row)
        assert waits.startswith("payments.refund create by support-bot waits for approval: http")
        assert "Denied by erin" in ended
        assert "[code]" not in ended
        assert row["short_description"] == "Please refund A-1001"
        assert notices(request) == ["notification.sent"]

    def test_drops_what_no_administrator_allowed(self, now, ticket):
        Channel.objects.filter(tenant=now.acme.tenant).delete()
        row = ticket()
        assert told(opened(now.acme, from_record(row)))[0][1] == NOT_ALLOWED

    def test_looks_in_no_table_that_is_not_allowed(self, now, ticket):
        Channel.objects.filter(tenant=now.acme.tenant).update(config={"origins": ["sys_user"]})
        row = ticket()
        request = opened(now.acme, from_record(row))
        settle(now.acme.tenant)
        assert delivery(request).last_error == in_servicenow.NOT_WITHIN
        assert self.notes(now, row) == []

    def test_says_nothing_at_a_record_of_ours(self, now):
        Channel.objects.create(tenant=now.acme.tenant, kind="servicenow", key=CHANGES, teams=["finance"], config={})
        other = opened(now.acme, None)
        settle(now.acme.tenant)
        ref = Delivery.objects.get(request=other).ref
        before = self.notes(now, {"sys_id": ref["sys_id"]})
        request = opened(now.acme, {"kind": "servicenow", "record": ref["number"]})
        settle(now.acme.tenant)
        assert delivery(request).last_error == in_servicenow.OURS
        assert self.notes(now, {"sys_id": ref["sys_id"]}) == before

    def test_a_note_whose_answer_was_lost_is_not_made_twice(self, now, ticket):
        now.faults.weather = None
        row = ticket()
        request = opened(now.acme, from_record(row))
        now.faults.add(Fault(f"PATCH {CHANGES}", drop="after"))
        settle(now.acme.tenant)
        asking.vote(request, now.acme.erin)
        now.faults.add(Fault(f"PATCH {CHANGES}", drop="after"))
        settle(now.acme.tenant)
        assert len(self.notes(now, row)) == 2
