"""The same on pages: the connection breaks while a button is pressed, the person presses it again, and it counts once."""

from datetime import UTC, datetime, timedelta

import pytest

from tests.faults.case import Case, terms
from tests.faults.wire import Cut
from tests.journeys.speakers import Browser, refund


def local(**span: float) -> str:
    """So far from now, as a field for a time takes it."""
    return f"{datetime.now(UTC) + timedelta(**span):%Y-%m-%dT%H:%M}"


@pytest.mark.parametrize("cut", Cut)
class TestCutDuringCommitOfAPage:
    def pressed(self, case: Case, cut: Cut, browser: Browser, page: str, path: str, **typed: str) -> None:
        """Pressed, lost, pressed again: done, or told that it is done already."""
        shown = browser.read(page)
        answer = case.broken(cut, lambda: browser.press(path, shown, **typed))
        assert answer.status_code in ({200} if cut is Cut.BEFORE else {200, 409}), answer.text

    @pytest.mark.parametrize("marker", [b"approvals_stepupproof", b"approvals_vote"])
    def test_abuse_133_a_vote_on_a_page_counts_once(self, case: Case, cut: Cut, marker: bytes):
        request_id, browser = case.pep.pending(), case.acme.browser("erin")
        page = browser.read(f"/requests/{request_id}/")

        def press():
            typed = {"decision": "approve", "reason": "", "code": case.erin.code()}
            return browser.press(f"/requests/{request_id}/vote/", page, **typed)

        assert case.broken(cut, press, marker=b'INSERT INTO "' + marker).status_code == 200
        assert case.count("vote.cast") == 1
        assert case.frank.vote(request_id).json()["status"] == "approved"

    def test_abuse_133_a_waiver_is_asked_for_once_on_its_page(self, case: Case, cut: Cut):
        typed = {
            "category": "waiver", "agents": "support-bot", "tools": "payments.refund", "methods": "create",
            "rules": "refunds-over-100", "reason": "The migration.", "owner": case.acme.username("carol"),
            "expires_at": local(days=1), "do": "ask",
        }  # fmt: skip
        self.pressed(case, cut, case.acme.browser("dana"), "/waivers/new/", "/waivers/new/", **typed)
        assert case.count("waiver.requested") == 1

    def test_abuse_133_each_step_of_a_waiver_is_taken_once_on_its_page(self, case: Case, cut: Cut):
        made = case.member("dana").post("/api/v1/waivers", terms(case.acme)).json()
        page, dana, carol = f"/waivers/{made['id']}/", case.acme.browser("dana"), case.acme.browser("carol")
        self.pressed(case, cut, carol, page, f"{page}confirm/", place="0")
        for person in (case.erin, case.frank):
            assert person.vote(made["request"]["id"]).status_code == 201
        self.pressed(case, cut, dana, page, f"{page}shorten/", why="soon done", expires_at=local(hours=1))
        self.pressed(case, cut, carol, page, f"{page}take-back/", place="0")
        self.pressed(case, cut, dana, page, f"{page}revoke/", why="enough")
        told = ("control.attested", "waiver.granted", "waiver.shortened", "control.withdrawn", "waiver.revoked")
        assert [case.count(event) for event in told] == [1, 1, 1, 1, 1]

    def test_abuse_133_a_reconciliation_is_one_fact_on_its_page(self, case: Case, cut: Cut):
        told = case.pep.ask(refund(transaction="case-1"))
        named = {name: told[name] for name in ("action_digest", "commitment_salt")}
        assert case.pep.report(told["evaluation_id"], "indeterminate", **named).status_code == 200
        case.operator()
        page, olga = f"/executions/{told['evaluation_id']}/", case.acme.browser("olga")
        typed = {"outcome": "failed", "reason": "The bank shows none.", "evidence": "OPS-7"}
        self.pressed(case, cut, olga, page, f"{page}reconcile/", **typed)
        assert case.count("execution.reconciled") == 1
