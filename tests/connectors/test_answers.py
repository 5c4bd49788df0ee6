"""What somebody says in another system is a vote of whom we know, or plain words; never an error, never a login."""

import pytest

from approvals.models import Decision
from connectors import answers
from connectors.answers import Counted, Refused, StepUpNeeded, Unlinked
from evidence import clock
from tests.approvals import asking
from tests.worlds import World, world


@pytest.fixture
def ours() -> World:
    made = world(quorum=2, step_up="none")
    for name in ("erin", "frank", "ada"):
        known(made, name, f"T1/U{name}")
    return made


def known(made: World, name: str, identity: str) -> None:
    member = made.people[name]
    member.identities = {"slack": identity}
    member.save()


def requirement(**changes):
    return [asking.requirement(step_up=asking.NONE, **changes)]


def said(request, who: str, **changes):
    given = {
        "tenant_id": request.tenant_id, "kind": "slack", "identity": f"T1/U{who}", "request_id": request.pk,
        "decision": Decision.APPROVE, "reason": "", "seen": request.display_hash, "now": clock.now(),
    }  # fmt: skip
    return answers.answer(**(given | changes))


class TestAnswer:
    def test_abuse_083_knows_nobody_by_name_or_address(self, ours):
        request = asking.opened(ours, requirements=requirement())
        for identity in (ours.username("erin"), ours.erin.user.email, "Uerin", "", "t1/uerin"):
            assert isinstance(said(request, "erin", identity=identity), Unlinked)
        assert request.votes.count() == 0

    def test_knows_nobody_where_two_share_an_identity(self, ours):
        known(ours, "frank", "T1/Uerin")
        request = asking.opened(ours, requirements=requirement())
        assert isinstance(said(request, "erin"), Unlinked)

    def test_knows_nobody_of_another_tenant(self, ours):
        other = world(quorum=1, step_up="none")
        request = asking.opened(other, requirements=requirement())
        assert isinstance(said(request, "erin"), Unlinked)
        assert isinstance(said(request, "erin", tenant_id=ours.tenant.pk), Refused)

    def test_knows_nobody_who_left(self, ours):
        request = asking.opened(ours, requirements=requirement())
        ours.erin.active = False
        ours.erin.save()
        assert isinstance(said(request, "erin"), Unlinked)

    def test_counts_a_vote_and_names_its_surface(self, ours):
        request = asking.opened(ours, requirements=requirement(quorum=1))
        answer = said(request, "erin", reason="fine\x00 by me")
        assert isinstance(answer, Counted)
        assert answer.request.status == "approved"
        vote = request.votes.get()
        assert (vote.surface, vote.reason) == ("slack", "fine� by me")

    def test_counts_a_double_click_once(self, ours):
        request = asking.opened(ours, requirements=requirement())
        assert isinstance(said(request, "erin"), Counted)
        assert isinstance(said(request, "erin"), Counted)
        assert request.votes.count() == 1

    def test_leads_to_our_page_where_a_step_up_is_needed(self, ours):
        request = asking.opened(ours, requirements=[asking.requirement(step_up=asking.TOTP)])
        answer = said(request, "erin")
        assert isinstance(answer, StepUpNeeded)
        assert answer.link == f"http://testserver/requests/{request.pk}/"
        assert asking.events(request) == ["request.opened"], "meaning to vote is no refused vote"

    def test_refuses_in_words_that_say_what_to_do(self, ours):
        request = asking.opened(ours, requirements=requirement())
        assert "teams" in said(request, "ada").words
        assert "Read it" in said(request, "erin", seen="sha256:" + "0" * 64).words
        said(request, "erin")
        assert "a vote stands" in said(request, "erin", decision=Decision.DENY).words
        said(request, "frank")
        known(ours, "carol", "T1/Ucarol")
        assert "approved already" in said(request, "carol").words
        assert "no such request" in said(request, "carol", request_id="arq_forged").words
