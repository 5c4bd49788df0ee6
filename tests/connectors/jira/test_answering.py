"""What people do in Jira: a vote where all of it holds, else words and the issue back where it was."""

import secrets
from collections.abc import Callable
from datetime import timedelta

import pytest

from approvals.models import AccessRequest, Vote
from connectors.jira import jobs
from connectors.models import Delivery, Seen
from evidence import clock
from examples.lookalikes.faults import Fault
from examples.lookalikes.jira.site import Move
from outbox.models import Job
from tests.approvals import asking
from tests.connectors.jira.world import Desk

NewDesk = Callable[..., Desk]
NEEDLE = "AKIA" + "QWERTYUIOPASDFGH"


class TestACommand:
    def test_of_an_eligible_person_is_their_vote(self, desk: Desk):
        request = desk.opened()
        desk.says(desk.erin, request, "/approve looks right")
        assert desk.votes(request) == [("erin", "approve", "jira")]
        assert Vote.objects.get(request=request).reason == "looks right"
        assert desk.status(request) == ("approved", "Approved")
        assert desk.issue(request).fields["summary"].startswith("Approved: ")
        assert "voted to approve" in desk.said(request)
        assert "/approve" not in desk.issue(request).fields["description"]

    def test_denies_with_its_reason(self, desk: Desk):
        request = desk.opened()
        desk.says(desk.erin, request, "/Deny no receipt,\nand too much")
        assert desk.votes(request) == [("erin", "deny", "jira")]
        assert Vote.objects.get(request=request).reason == "no receipt,\nand too much"
        assert desk.status(request) == ("denied", "Declined")

    @pytest.mark.parametrize(
        "words", ["please /approve", "/approved", "approve", "{quote}/approve{quote}", "/approve-all"]
    )
    def test_is_nothing_else(self, desk: Desk, words: str):
        request = desk.opened()
        desk.says(desk.erin, request, words)
        assert desk.votes(request) == []
        assert "Not counted" not in desk.said(request)

    def test_counts_once_however_often_jira_tells_of_it(self, new_desk: NewDesk):
        desk = new_desk(quorum=2)
        request = desk.opened()
        desk.server.site.faults.add(Fault("deliver.*", duplicate=3))
        desk.says(desk.erin, request, "/approve")
        desk.says(desk.erin, request, "/approve")
        assert desk.votes(request) == [("erin", "approve", "jira")]
        assert desk.status(request) == ("pending", "To Do")

    def test_needs_the_quorum_of_different_people(self, new_desk: NewDesk):
        desk = new_desk(quorum=2)
        request = desk.opened()
        desk.says(desk.erin, request, "/approve")
        assert "Needs: 1 of 2 approvals by finance" in desk.issue(request).fields["description"]
        desk.moves(desk.frank, request, "Approve")
        assert desk.votes(request) == [("erin", "approve", "jira"), ("frank", "approve", "jira")]
        assert desk.status(request) == ("approved", "Approved")

    def test_abuse_039_of_somebody_who_voted_on_the_web_is_no_second_vote(self, new_desk: NewDesk):
        desk = new_desk(quorum=2)
        request = desk.opened()
        asking.vote(request, desk.acme.erin)
        desk.says(desk.erin, request, "/approve")
        desk.moves(desk.erin, request, "Approve")
        assert desk.votes(request) == [("erin", "approve", "web")]
        assert desk.status(request) == ("pending", "To Do")

    def test_gets_the_link_where_a_step_up_is_needed(self, new_desk: NewDesk):
        desk = new_desk(step_up="totp")
        request = desk.opened()
        assert "/approve" not in desk.issue(request).fields["description"]
        desk.says(desk.erin, request, "/approve")
        assert desk.votes(request) == []
        assert f"Confirm here: http://testserver/requests/{request.pk}/" in desk.said(request)
        assert f"[~accountid:{desk.erin.id}]" in desk.said(request)
        assert "vote.refused" not in asking.events(request)

    def test_abuse_058_does_not_count_when_it_comes_faster_than_anybody_reads(
        self, desk: Desk, monkeypatch: pytest.MonkeyPatch
    ):
        asking.pace(monkeypatch, 1)
        first, second = desk.opened(), desk.opened()
        desk.says(desk.erin, first, "/approve")
        desk.says(desk.erin, second, "/approve")
        assert desk.status(second) == ("pending", "To Do")
        assert "Not counted. You approved as many requests in one minute as anybody reads" in desk.said(second)
        assert asking.events(second)[-1] == "vote.refused"

    def test_comes_too_late_and_is_told_so(self, desk: Desk):
        request = desk.opened()
        desk.says(desk.erin, request, "/deny")
        desk.says(desk.frank, request, "/approve")
        assert desk.votes(request) == [("erin", "deny", "jira")]
        assert "denied already" in desk.said(request)

    def test_is_not_answered_any_more_once_the_request_is_long_over(self, desk: Desk):
        request = desk.opened()
        desk.says(desk.erin, request, "/deny")
        AccessRequest.objects.filter(pk=request.pk).update(closed_at=clock.now() - jobs.LONG_OVER - timedelta(hours=1))
        Seen.objects.filter(kind="jira", key__startswith=f"{desk.acme.tenant.pk}:").delete()  # as after a month
        said = desk.said(request)
        desk.says(desk.frank, request, "/approve")
        assert desk.said(request) == said


class TestWhoItWas:
    def test_abuse_083_is_never_a_name(self, desk: Desk):
        request = desk.opened()
        double = desk.server.site.add_person(desk.erin.name)
        desk.says(double, request, "/approve")
        assert desk.votes(request) == []
        assert "nobody here is known by this Jira account" in desk.said(request)

    def test_abuse_088_somebody_who_may_transition_but_not_approve(self, desk: Desk):
        request = desk.opened()
        desk.moves(desk.dana, request, "Approve")
        desk.moves(desk.mallory, request, "Approve")
        desk.says(desk.dana, request, "/approve")
        assert desk.votes(request) == []
        assert desk.status(request) == ("pending", "To Do")
        assert "others decide" in desk.said(request)
        assert "nobody here is known" in desk.said(request)

    @pytest.mark.parametrize("kind", ["app", "customer"])
    def test_abuse_089_no_rule_app_or_portal_customer_even_if_linked(self, desk: Desk, kind: str):
        request = desk.opened()
        rule = desk.server.site.add_person("Automation", kind=kind)
        desk.acme.erin.identities = {"jira": rule.id}
        desk.acme.erin.save()
        desk.moves(rule, request, "Approve")
        desk.says(rule, request, "/approve")
        assert desk.votes(request) == []
        assert desk.status(request) == ("pending", "To Do")
        assert "only people decide" in desk.said(request)

    def test_abuse_089_nor_a_rule_that_acts_under_a_persons_name(self, desk: Desk):
        request = desk.opened()
        desk.moves(desk.erin, request, "Approve", cause={"type": "automation", "generator": {"id": "rule-7"}})
        assert desk.votes(request) == []
        assert desk.status(request) == ("pending", "To Do")

    def test_nor_the_account_we_act_as(self, desk: Desk):
        request = desk.opened()
        desk.acme.erin.identities = {"jira": desk.server.site.bot.id}
        desk.acme.erin.save()
        desk.moves(desk.server.site.bot, request, "Approve")
        desk.says(desk.server.site.bot, request, "/approve")
        assert desk.votes(request) == []

    def test_nor_somebody_of_another_tenant(self, new_desk: NewDesk):
        desk, other = new_desk(), new_desk(secret="another-secret")
        request = desk.opened()
        desk.says(other.erin, request, "/approve")
        assert desk.votes(request) == []

    def test_nor_the_asker(self, desk: Desk):
        made = asking.call(desk.acme, principal=asking.Principal("user", desk.acme.username("erin"), verified=True))
        request = desk.opened(made=made)
        desk.says(desk.erin, request, "/approve")
        assert desk.votes(request) == []
        assert "Not counted" in desk.said(request)


class TestWhatIsBelieved:
    def test_nothing_that_a_webhook_says(self, desk: Desk):
        request = desk.opened()
        issue = desk.issue(request)
        comment = desk.server.site.comment(issue, "/approve", by=desk.erin)
        issue.comments.remove(comment)
        desk.settle()
        assert desk.votes(request) == []

    def test_no_label_or_text_of_an_issue_says_which_request_it_is_about(self, desk: Desk):
        request, other = desk.opened(), desk.opened()
        here, there = desk.issue(request), desk.issue(other)
        here.fields["labels"], there.fields["labels"] = there.fields["labels"], here.fields["labels"]
        desk.says(desk.erin, request, "/approve")
        assert (len(desk.votes(request)), len(desk.votes(other))) == (1, 0)

    def test_no_comment_that_was_changed_by_anybody(self, desk: Desk):
        request = desk.opened()
        site, issue = desk.server.site, desk.issue(request)
        for author, editor in ((desk.erin, desk.mallory), (desk.frank, desk.frank)):
            comment = site.comment(issue, "hello", by=author)
            site.edit_comment(issue, comment, "/approve", by=editor)
        desk.settle()
        assert desk.votes(request) == []
        assert desk.said(request).count("was changed after it was written") == 2

    def test_a_comment_counts_as_it_was_first_read(self, new_desk: NewDesk):
        desk = new_desk(quorum=2)
        request = desk.opened()
        desk.says(desk.erin, request, "/approve")
        desk.server.site.edit_comment(desk.issue(request), desk.issue(request).comments[0], "/deny", by=desk.erin)
        desk.settle()
        assert desk.votes(request) == [("erin", "approve", "jira")]
        assert desk.status(request) == ("pending", "To Do")
        assert "Not counted" not in desk.said(request), "it was looked at twice"

    @pytest.mark.parametrize("field", ["summary", "description"])
    def test_abuse_150_nothing_once_somebody_else_rewrote_what_is_read(self, desk: Desk, field: str):
        request = desk.opened()
        site, issue = desk.server.site, desk.issue(request)
        true = issue.fields[field]
        site.edit(issue, {field: true.replace("250.00", "2.50") + " "}, by=desk.mallory)
        site.edit(issue, {field: true}, by=desk.mallory)
        desk.says(desk.erin, request, "/approve")
        assert desk.votes(request) == []
        assert f"Decide here: http://testserver/requests/{request.pk}/" in desk.said(request)

    @pytest.mark.usefixtures("calm")
    def test_nothing_where_the_history_is_too_long_to_be_seen_whole(self, desk: Desk):
        request = desk.opened()
        site, issue = desk.server.site, desk.issue(request)
        site.edit(issue, {"description": "harmless"}, by=desk.mallory)
        desk.server.hooks.hooks.clear()
        for count in range(100):
            site.edit(issue, {"duedate": f"{count}"}, by=desk.mallory)
        site.comment(issue, "/approve", by=desk.erin)
        jobs.look({"delivery": desk.delivery(request).pk})
        assert desk.votes(request) == []

    def test_abuse_103_no_answer_counts_where_a_secret_had_to_be_left_out_and_none_is_there(self, desk: Desk):
        request = desk.opened(made=asking.call(desk.acme, {"order": "A-1", "note": f"key {NEEDLE}"}))
        shown = str(desk.server.site.shown(desk.issue(request)))
        assert "redacted" in shown
        desk.says(desk.erin, request, f"/deny because of {NEEDLE}")
        assert desk.votes(request) == []
        asking.vote(request, desk.acme.erin, asking.DENY, reason=f"it has {NEEDLE} in it")
        desk.settle()
        ours = [call.body for call in desk.server.site.calls]
        assert any("denied" in body.lower() for body in ours)
        assert NEEDLE not in str(ours)
        assert NEEDLE not in str([*Job.objects.filter(tenant=desk.acme.slug).values()])
        assert NEEDLE not in str([*Delivery.objects.filter(request=request).values()])


class TestAMove:
    def test_counts_and_goes_back_until_enough_people_agree(self, new_desk: NewDesk):
        desk = new_desk(quorum=2)
        request = desk.opened()
        desk.moves(desk.erin, request, "Approve")
        assert desk.votes(request) == [("erin", "approve", "jira")]
        assert desk.status(request) == ("pending", "To Do")
        assert "Counted" in desk.said(request)

    def test_after_the_end_is_set_right(self, desk: Desk):
        request = desk.opened()
        desk.says(desk.erin, request, "/deny")
        desk.server.site.moved_by_name(desk.issue(request), "Back to work", by=desk.mallory)
        desk.moves(desk.frank, request, "Approve")
        assert desk.status(request)[0] == "denied"
        assert "Not counted" in desk.said(request)
        assert "could not be moved: Decline is not open to our account from Approved" in desk.said(request).replace(
            "\\", ""
        )

    def test_after_the_end_is_set_right_where_the_workflow_lets_us(self, server, new_desk: NewDesk):
        anywhere = (Move("1", "Approve", "Approved"), Move("2", "Decline", "Declined"), Move("3", "Reopen", "To Do"))
        server.site.add_project("OPS", moves=anywhere)
        desk = new_desk()
        request = desk.opened()
        desk.says(desk.erin, request, "/deny")
        desk.moves(desk.frank, request, "Approve")
        assert desk.status(request) == ("denied", "Declined")

    def test_that_cannot_be_taken_back_is_noted(self, server, new_desk: NewDesk):
        server.site.add_project("OPS", moves=(Move("1", "Approve", "Approved", ("To Do",)),))
        desk = new_desk()
        request = desk.opened()
        desk.moves(desk.mallory, request, "Approve")
        assert desk.status(request) == ("pending", "Approved")
        assert "could not be moved back" in desk.said(request)

    def test_decides_nothing_where_one_status_stands_for_both(self, server, new_desk: NewDesk):
        server.site.add_project("OPS", moves=(Move("1", "Finish", "Done"), Move("2", "Reopen", "To Do")))
        desk = new_desk(config={"project": "OPS", "transitions": {"approved": "Done", "denied": "Finish"}})
        request = desk.opened()
        desk.moves(desk.erin, request, "Finish")
        assert desk.votes(request) == []

    def test_decides_nothing_where_the_channel_names_no_transitions(self, new_desk: NewDesk):
        desk = new_desk(config={"project": "OPS"})
        request = desk.opened()
        desk.moves(desk.erin, request, "Approve")
        assert desk.votes(request) == []
        desk.says(desk.erin, request, "/approve")
        assert desk.votes(request) == [("erin", "approve", "jira")]

    def test_by_a_rule_that_never_tires_is_left_at_last(self, desk: Desk):
        request = desk.opened()
        rule = desk.server.site.add_person("Automation", kind="app")
        for _ in range(jobs.MOST_MOVES + 3):
            if desk.issue(request).status == "To Do":
                desk.moves(rule, request, "Approve")
        assert desk.status(request) == ("pending", "Approved")
        assert "decides nothing" in desk.said(request)

    def test_made_while_it_was_decided_elsewhere_ends_at_the_outcome(self, new_desk: NewDesk):
        desk = new_desk(quorum=2)
        request = desk.opened()
        desk.server.site.moved_by_name(desk.issue(request), "Approve", by=desk.erin)
        desk.server.hooks.wait()
        asking.vote(request, desk.acme.frank)
        desk.settle()
        assert desk.status(request) == ("approved", "Approved")


@pytest.mark.usefixtures("calm")
class TestFaults:
    def test_a_look_is_tried_again_until_it_works(self, desk: Desk):
        request = desk.opened()
        desk.server.site.faults.add(Fault("myself", status=503, retry_after="1"))
        desk.server.site.faults.add(Fault("issue.read", status=500))
        desk.server.site.faults.add(Fault("comments.list", drop="after"))
        desk.says(desk.erin, request, "/approve")
        for _ in range(3):
            desk.hurry()
            desk.settle()
        assert all(desk.server.site.faults.take(where) is None for where in ("myself", "issue.read", "comments.list"))
        assert desk.votes(request) == [("erin", "approve", "jira")]

    def test_a_reply_whose_answer_was_lost_is_not_said_twice(self, desk: Desk):
        request = desk.opened()
        desk.server.site.faults.add(Fault("comments.add", drop="after"))
        desk.says(desk.mallory, request, "/approve")
        desk.hurry()
        desk.settle()
        assert desk.said(request).count("Not counted") == 1

    def test_a_vote_and_the_note_that_it_was_taken_commit_together(self, desk: Desk, monkeypatch: pytest.MonkeyPatch):
        request = desk.opened()
        monkeypatch.setattr(jobs.answers, "answer", _explode)
        desk.says(desk.erin, request, "/approve")
        monkeypatch.undo()
        desk.hurry()
        desk.settle()
        assert desk.votes(request) == [("erin", "approve", "jira")]

    def test_an_issue_whose_answer_was_lost_is_not_made_twice_even_if_the_search_is_turned_away(self, desk: Desk):
        faults = desk.server.site.faults
        faults.add(Fault("issue.create", drop="after"))
        faults.add(Fault("search", status=429, retry_after="0"))
        faults.add(Fault("issue.update", status=429, retry_after="0"))
        request = desk.asked()
        for _ in range(4):
            desk.settle()
            desk.hurry()
        assert desk.delivery(request).state == "done"
        assert len(desk.server.site.issues) == 1

    def test_abuse_135_a_jira_that_is_down_for_an_hour_hears_everything_when_it_is_back(self, desk: Desk):
        desk.server.close()
        try:
            requests = [desk.asked() for _ in range(3)]
            for _ in range(20):  # as many tries as an hour holds
                desk.settle()
                desk.hurry()
            asking.vote(requests[0], desk.acme.erin)  # all can be decided on the web meanwhile
            requests[0].refresh_from_db()
            assert requests[0].status == "approved"
            assert {row.state for row in Delivery.objects.filter(request__in=requests)} == {"ready"}
            errors = Delivery.objects.filter(request__in=requests).values_list("last_error", flat=True)
            assert any("127.0.0.1 cannot be reached" in error for error in errors)
        finally:
            desk.server.open()
        for _ in requests:
            desk.hurry()
            desk.settle()
        assert [desk.status(request) for request in requests] == [("approved", "Approved"), *[("pending", "To Do")] * 2]
        assert len(desk.server.site.issues) == 3


def _explode(**_: object) -> None:
    raise RuntimeError(secrets.token_hex(2))
