"""An issue for each request: told once, rewritten, commented once a moment, moved at the end; failures in our words."""

import logging
import time
from dataclasses import replace
from datetime import timedelta

import pytest

from connectors.jira import api, board
from connectors.jira.transport import Jira, open_
from connectors.port import Account, Board, Item, Moment, Name, Place, TransportError, Waiting
from examples.lookalikes.faults import Fault
from examples.lookalikes.jira.server import Jira as Server
from tests.connectors import sample
from tests.connectors.webhook.receiver import receiver

TRANSITIONS = {"approved": "Approve", "denied": "declined", "expired": "Close"}
PLACE = Place("jira", "OPS", {"project": "OPS", "transitions": TRANSITIONS})
NAME = Name("dgs_1", sample.OPENED)
PLAIN = Place("jira", "OPS", {"project": "OPS"})
pytestmark = pytest.mark.usefixtures("calm")


@pytest.fixture
def transport(account: Account) -> Jira:
    return open_(account)


def called(server: Server, where: str) -> int:
    return sum(call.where == where for call in server.site.calls)


class TestPost:
    def test_opens_without_asking_anybody(self, account: Account, server: Server):
        begun = time.monotonic()
        open_(replace(account, settings={**account.settings, "url": "http://192.0.2.1"}))
        assert time.monotonic() - begun < 5
        assert server.site.calls == []

    def test_makes_one_issue_with_fields_labels_and_link(self, transport: Jira, server: Server):
        told = sample.told()
        ref = transport.post(PLACE, told)
        issue = server.site.the_only_issue()
        assert (ref["id"], ref["key"], ref["account"]) == (issue.id, issue.key, server.site.bot.id)
        assert issue.fields["labels"] == ["countersign", "countersign-tier-3", told.request_id]
        assert issue.fields["issuetype"] == {"name": "Task"}
        assert told.link in issue.fields["description"]
        assert ref["seen"] == told.display_hash
        assert issue.comments == []

    def test_learns_where_the_named_transitions_lead(self, transport: Jira, server: Server):
        ids = server.site.projects["OPS"].statuses
        ref = transport.post(PLACE, sample.told())
        assert (ref["approved_to"], ref["denied_to"]) == (ids["Approved"], ids["Declined"])
        assert "approved_to" not in transport.post(PLAIN, sample.told())

    def test_takes_the_issue_type_of_the_channel(self, transport: Jira, server: Server):
        transport.post(Place("jira", "OPS", {"project": "OPS", "issue_type": "Service Request"}), sample.told())
        assert server.site.the_only_issue().fields["issuetype"] == {"name": "Service Request"}

    def test_says_that_nothing_was_seen_where_the_issue_does_not_show_all(self, transport: Jira):
        assert transport.post(PLACE, sample.told(is_whole=False))["seen"] == ""

    def test_works_at_the_gateway_of_scoped_tokens(self, account: Account, server: Server):
        server.site.scoped = True
        scoped = open_(replace(account, settings={**account.settings, "url": server.scoped_url}))
        ref = scoped.post(PLACE, sample.told())
        scoped.edit(PLACE, ref, sample.closed())
        assert server.site.the_only_issue().status == "Approved"

    def test_is_done_although_the_workflow_may_not_be_read(self, transport: Jira, server: Server):
        server.site.faults.add(Fault("transitions.list", status=403))
        assert transport.post(PLACE, sample.told())["id"] == server.site.the_only_issue().id

    def test_is_not_done_before_it_is_known_where_people_would_move_it(self, transport: Jira, server: Server):
        server.site.faults.add(Fault("transitions.list", status=429, retry_after="5"))
        with pytest.raises(TransportError) as caught:
            transport.post(PLACE, sample.told())
        assert caught.value.retry_after is None
        found = transport.find(PLACE, sample.told().name)
        assert found
        assert "approved_to" in transport.edit(PLACE, found, sample.told())
        server.site.the_only_issue()

    def test_of_a_request_that_is_over_ends_where_it_belongs(self, transport: Jira, server: Server):
        transport.post(PLACE, sample.closed("denied"))
        assert server.site.the_only_issue().status == "Declined"

    def test_that_is_there_but_not_moved_yet_is_looked_for_and_not_made_anew(self, transport: Jira, server: Server):
        server.site.faults.add(Fault("transitions.do", status=429, retry_after="5"))
        with pytest.raises(TransportError) as caught:
            transport.post(PLACE, sample.closed())
        assert caught.value.retry_after is None
        ref = transport.find(PLACE, sample.closed().name)
        assert ref is not None
        transport.edit(PLACE, ref, sample.closed())
        assert server.site.the_only_issue().status == "Approved"


class TestEdit:
    def test_rewrites_comments_and_moves_at_the_end(self, transport: Jira, server: Server):
        ref = transport.edit(PLACE, transport.post(PLACE, sample.told()), sample.closed())
        issue = server.site.the_only_issue()
        assert issue.fields["summary"].startswith("Approved: ")
        assert "/approve" not in issue.fields["description"]
        assert issue.status == "Approved"
        (comment,) = issue.comments
        assert [line.split(" – ")[1] for line in comment.body.splitlines()] == ["erin voted to approve", "Closed"]
        assert ref["comments"].count(" ") == 2

    def test_tells_each_moment_once_however_often_it_is_repeated(self, transport: Jira, server: Server):
        first = transport.post(PLACE, sample.told())
        transport.edit(PLACE, first, sample.closed())
        transport.edit(PLACE, first, sample.closed())
        later = sample.closed()
        later = replace(later, story=(*later.story, Moment(sample.OPENED + timedelta(minutes=2), "Approval used")))
        ref = transport.edit(PLACE, first, later)
        transport.edit(PLACE, ref, later)
        bodies = [comment.body for comment in server.site.the_only_issue().comments]
        assert len(bodies) == 2
        assert bodies[1].endswith("Approval used")
        assert called(server, "transitions.do") == 1

    def test_is_not_silenced_by_somebody_who_said_the_same_before(self, transport: Jira, server: Server):
        ref = transport.post(PLACE, sample.told())
        issue = server.site.the_only_issue()
        mallory = server.site.add_person("Mallory")
        server.site.comment(issue, "2026-11-20 10:01 UTC – erin voted to deny", by=mallory)
        transport.edit(PLACE, ref, sample.closed("denied"))
        assert "erin voted to deny" in issue.comments[-1].body
        assert issue.comments[-1].author == server.site.bot

    @pytest.mark.parametrize(
        ("status", "wanted"), [("denied", "Declined"), ("expired", "Closed"), ("cancelled", "To Do")]
    )
    def test_moves_by_the_channels_names_and_only_what_is_named(
        self, transport: Jira, server: Server, status: str, wanted: str
    ):
        transport.edit(PLACE, transport.post(PLACE, sample.told()), sample.closed(status))
        assert server.site.the_only_issue().status == wanted

    def test_only_comments_where_no_transition_is_named(self, transport: Jira, server: Server):
        transport.edit(PLAIN, transport.post(PLAIN, sample.told()), sample.closed())
        assert server.site.the_only_issue().status == "To Do"
        assert called(server, "transitions.list") == 0

    def test_leaves_an_issue_that_a_person_moved_there_already(self, transport: Jira, server: Server):
        ref = transport.post(PLACE, sample.told())
        issue = server.site.the_only_issue()
        server.site.moved_by_name(issue, "Approve", by=server.site.add_person("Erin"))
        transport.edit(PLACE, ref, sample.closed())
        assert called(server, "transitions.do") == 0
        assert len(issue.comments) == 1

    def test_says_once_that_it_cannot_be_moved(self, transport: Jira, server: Server):
        ref = transport.post(PLACE, sample.told())
        issue = server.site.the_only_issue()
        server.site.moved_by_name(issue, "Decline", by=server.site.add_person("Erin"))
        for _ in range(2):
            transport.edit(PLACE, ref, sample.closed())
        said = [
            line for comment in issue.comments for line in comment.body.splitlines() if "could not be moved" in line
        ]
        assert len(said) == 1

    def test_goes_on_where_the_transition_is_refused(self, transport: Jira, server: Server):
        ref = transport.post(PLACE, sample.told())
        server.site.faults.add(Fault("transitions.do", status=400))
        transport.edit(PLACE, ref, sample.closed())
        assert "could not be moved" in server.site.the_only_issue().comments[-1].body

    def test_stops_talking_with_a_machine_that_answers_everything(self, transport: Jira, server: Server):
        ref = transport.post(PLACE, sample.told())
        issue = server.site.the_only_issue()
        for count in range(board.MOST_COMMENTS):
            server.site.comment(issue, f"{count}", by=server.site.bot)
        transport.edit(PLACE, ref, sample.closed())
        assert len(issue.comments) == board.MOST_COMMENTS


class TestFind:
    def test_finds_the_issue_whose_answer_was_lost(self, transport: Jira, server: Server):
        told = sample.told()
        server.site.faults.add(Fault("issue.create", drop="after"))
        with pytest.raises(TransportError) as caught:
            transport.post(PLACE, told)
        assert not caught.value.permanent
        ref = transport.find(PLACE, told.name)
        assert ref is not None
        assert ref["id"] == server.site.the_only_issue().id
        edited = transport.edit(PLACE, ref, told)
        assert edited["seen"] == told.display_hash
        assert "approved_to" in edited

    def test_finds_nothing_that_never_arrived(self, transport: Jira, server: Server):
        server.site.faults.add(Fault("issue.create", drop="before"))
        with pytest.raises(TransportError):
            transport.post(PLACE, sample.told())
        assert transport.find(PLACE, sample.told().name) is None

    def test_takes_no_issue_that_somebody_else_labelled(self, transport: Jira, server: Server):
        fields = {"project": {"key": "OPS"}, "summary": "x", "labels": [sample.told().request_id]}
        server.site.create(fields, by=server.site.add_person("Mallory"))
        assert transport.find(PLACE, sample.told().name) is None

    def test_asks_for_nothing_else_whatever_the_project_is_called(self, transport: Jira, server: Server):
        issue = server.site.create({"project": {"key": "OPS"}, "summary": "x"}, by=server.site.bot)
        issue.fields["labels"] = [sample.told().request_id]
        place = Place("jira", "x", {"project": 'x" OR project = "OPS'})
        assert transport.find(place, sample.told().name) is None


class TestSayAndCheck:
    def test_says_something_as_an_issue_of_its_own(self, transport: Jira, server: Server):
        transport.say(PLACE, "A test.\n{noformat}[x|https://evil.test]")
        issue = server.site.the_only_issue()
        assert issue.fields["labels"] == ["countersign", "countersign-message"]
        assert issue.fields["description"].count("{noformat}") == 2

    def test_says_a_reminder_as_a_comment_of_the_issue_it_is_about(self, transport: Jira, server: Server):
        ref = transport.post(PLACE, sample.told())
        transport.say(Place("jira", "OPS", {**PLACE.config, "about": dict(ref)}), "Still waiting")
        (comment,) = server.site.the_only_issue().comments
        assert "Still waiting" in comment.body

    def test_keeps_one_issue_for_many_requests_and_rewrites_it(self, transport: Jira, server: Server):
        item = Item("payments.refund create by {noformat}", sample.OPENED, "http://testserver/requests/arq_1/")
        inbox = "http://testserver/inbox/"
        assert isinstance(transport, Board)
        ref = transport.digest(PLACE, None, Waiting(7, (item,), inbox), name=NAME)
        issue = server.site.the_only_issue()
        assert "7" in issue.fields["summary"]
        assert issue.fields["description"].count("{noformat}") == 2
        assert issue.fields["description"].startswith(inbox)
        assert transport.digest(PLACE, ref, Waiting(0, (), inbox), name=NAME) == ref
        assert "arq_1" not in server.site.the_only_issue().fields["description"]

    @pytest.mark.parametrize("body", [b"", b"{}", b"null", b"[]", b'{"accountId": null}'])
    def test_tells_no_good_health_of_what_names_no_account(self, body: bytes):
        """A proxy or a gateway that answers everything with 200, or with 204 and nothing."""
        with receiver() as here:
            here.say(
                b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n%s" % (len(body), body)
            )
            given = {"url": f"http://127.0.0.1:{here.port}", "email": "e", "token": "t", "webhook_secret": "w"}
            with pytest.raises(TransportError, match="something that Jira's API does not say"):
                open_(Account("acme", 1, "jira", given)).check()

    def test_tells_good_health_in_a_sentence(self, transport: Jira, server: Server):
        assert transport.check() == f"127.0.0.1 answers; signed in as {server.site.email}."


class TestFailures:
    @pytest.mark.parametrize(
        ("fault", "permanent", "seconds"),
        [
            (Fault(status=429, retry_after="17"), False, 17),
            (Fault(status=429, retry_after="99999"), False, 3600),
            (Fault(status=429, retry_after="soon"), False, None),
            (Fault(status=429, retry_after="²"), False, None),
            (Fault(status=500), False, None),
            (Fault(status=503, retry_after="3"), False, 3),
            (Fault(status=403), True, None),
            (Fault(status=404), True, None),
            (Fault(status=410), True, None),
            (Fault(status=418), True, None),
            (Fault(drop="before"), False, None),
            (Fault(garbage=True), False, None),
        ],
    )
    def test_tells_what_passes_from_what_stays(
        self, transport: Jira, server: Server, fault: Fault, permanent: bool, seconds: int | None
    ):
        server.site.faults.add(replace(fault))
        begun = time.monotonic()
        with pytest.raises(TransportError) as caught:
            transport.check()
        assert time.monotonic() - begun < 5, "it slept"
        assert caught.value.permanent is permanent
        wait = caught.value.retry_after
        assert (wait.total_seconds() if wait else None) == seconds
        assert called(server, "myself") == 1

    def test_waits_no_longer_than_its_timeout(self, account: Account, server: Server, monkeypatch: pytest.MonkeyPatch):
        monkeypatch.setattr(api, "TIMEOUT", (0.3, 0.3))
        server.site.faults.add(Fault(delay=1.0))
        with pytest.raises(TransportError, match="did not answer in time") as caught:
            open_(account).check()
        assert not caught.value.permanent

    def test_prints_no_secret_of_an_account(self, account: Account):
        assert account.settings["token"] not in f"{account!r} {account}"

    def test_says_which_token_to_renew(self, account: Account):
        with pytest.raises(TransportError, match="token") as caught:
            open_(replace(account, settings={**account.settings, "token": "sup3r"})).check()
        assert caught.value.permanent
        assert "sup3r" not in f"{caught.value!r}{caught.value.__cause__}"

    def test_names_the_fields_and_never_repeats_what_was_sent(self, transport: Jira):
        place = Place("jira", "OPS", {"project": "OPS", "issue_type": "AKIAIOSFODNN7EXAMPLE"})
        with pytest.raises(TransportError, match="issuetype") as caught:
            transport.post(place, sample.told())
        assert caught.value.permanent
        assert "AKIA" not in str(caught.value)

    def test_follows_no_address_that_an_answer_names(self, account: Account, server: Server):
        transport = open_(account)
        ref = transport.post(PLACE, sample.told())
        server.site.base_url = "http://192.0.2.1"
        transport.edit(PLACE, ref, sample.closed())
        assert server.site.the_only_issue().status == "Approved"

    def test_is_sent_nowhere_else_with_its_token(self, transport: Jira, server: Server):
        server.site.faults.add(Fault("myself", status=302, location=f"{server.url}/rest/api/2/serverInfo"))
        with pytest.raises(TransportError, match="sends us elsewhere") as caught:
            transport.check()
        assert caught.value.permanent
        assert called(server, "serverInfo") == 0

    def test_logs_no_body(self, transport: Jira, server: Server, caplog: pytest.LogCaptureFixture):
        caplog.set_level(logging.DEBUG)
        for fault in (Fault(garbage=True), Fault(status=500), Fault(drop="before")):
            server.site.faults.add(fault)
            with pytest.raises(TransportError):
                transport.post(PLACE, sample.told())
        server.site.faults.add(Fault("issue.read", garbage=True))
        with pytest.raises(TransportError):
            transport.site.read("10001")
        assert "maintenance" not in caplog.text
        assert "250.00" not in caplog.text
        assert server.site.token not in caplog.text

    def test_reaches_nobody_at_a_closed_port(self, account: Account):
        with Server() as other:
            url = other.url
        with pytest.raises(TransportError, match=r"127.0.0.1 cannot be reached") as caught:
            open_(replace(account, settings={**account.settings, "url": url})).check()
        assert not caught.value.permanent
