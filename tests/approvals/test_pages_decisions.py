"""What was decided, why, and the evidence of it: who may read it, found by filter, page by page."""

import re
from typing import Any

import pytest
from django.db import transaction

from approvals import decisions
from countersign import ids
from countersign.proof.events import Event
from evidence import clock, ledger, seal
from evidence.ledger import Actor
from registry import people
from tests.approvals import asking
from tests.approvals.browsing import signed_in, text
from tests.worlds import World, world

PEP = Actor("pep", "k1", {"method": "bearer"})


def decided(log: str, outcome: str = "allow", *, thread: str | None = None, **action: Any) -> str:
    evaluation = ids.new("eva")
    told = {"agent": "support-bot", "tool": "crm.lookup", "method": "get", **action}
    decision = {
        "outcome": outcome, "reason": "rule", "mode": "enforce", "reasons": [{"code": "rule", "rule": "lookups"}],
        "policy": {"revision": 7, "digest": "sha256:" + "d" * 64}, "risk": 12, "permitted": outcome == "allow",
    }  # fmt: skip
    with transaction.atomic():
        ledger.append(
            Event.DECISION_MADE, tenant=log, thread=thread or evaluation, actor=PEP, now=clock.now(),
            commitment="sha256:" + "c" * 64, event_id=evaluation, action=told, decision=decision,
        )  # fmt: skip
    return evaluation


@pytest.fixture(scope="module")
def ours(database: None) -> World:
    made = world()
    for n in range(120):
        decided(made.slug, "deny" if n % 10 == 0 else "allow", tool="crm.delete" if n % 10 == 0 else "crm.lookup")
    decided(made.slug, agent="evil\u202ebot", tool="crm.lookup")
    seal.seal_due(made.slug)
    return made


def shown(page: str) -> list[str]:
    return [part.split("/")[0] for part in page.split('href="/decisions/eva_')[1:]]


class TestWhoReads:
    @pytest.mark.parametrize("name", ["erin", "frank", "carol"])
    def test_approvers_do_not_read_all_decisions(self, ours: World, name: str) -> None:
        client = signed_in(ours.people[name])
        assert client.get("/decisions/").status_code == 403
        assert client.get(f"/decisions/{decided(ours.slug)}/").status_code == 403

    @pytest.mark.parametrize("name", ["dana", "ada"])
    def test_administrators_and_auditors_do(self, ours: World, name: str) -> None:
        client = signed_in(ours.people[name])
        assert client.get("/decisions/").status_code == 200
        assert "lookups" in text(client.get(f"/decisions/{decided(ours.slug)}/"))

    def test_abuse_057_another_tenants_decision_is_not_there(self, ours: World) -> None:
        assert signed_in(world().ada).get(f"/decisions/{decided(ours.slug)}/").status_code == 404

    def test_who_was_asked_reads_the_why_of_that_request_alone(self, ours: World) -> None:
        request = asking.opened(ours)
        evaluation = decided(ours.slug, "escalate", thread=request.pk)
        assert signed_in(ours.erin).get(f"/decisions/{evaluation}/").status_code == 200
        other = world()
        foreign = decided(other.slug, "escalate", thread=asking.opened(other).pk)
        assert signed_in(ours.erin).get(f"/decisions/{foreign}/").status_code == 403

    def test_who_may_not_read_them_all_is_led_to_what_they_may_read(self, ours: World) -> None:
        request = asking.opened(ours)
        evaluation = decided(ours.slug, "escalate", thread=request.pk)
        pages = ["/", "/inbox/", f"/requests/{request.pk}/", f"/decisions/{evaluation}/"]
        erin, ada = signed_in(ours.erin), signed_in(ours.ada)
        assert ['href="/decisions/"' in text(erin.get(page)) for page in pages] == [False] * 4
        assert ['href="/decisions/"' in text(ada.get(page)) for page in pages] == [True] * 4
        assert 'href="/evidence/"' not in text(erin.get("/"))

    def test_the_why_is_linked_for_those_who_may_read_it(self, ours: World) -> None:
        request = asking.opened(ours)
        link = f'href="/decisions/{request.evaluation_id}/"'
        people.put_in_teams(ours.carol, [])
        pages = {name: text(signed_in(ours.people[name]).get(f"/requests/{request.pk}/")) for name in ours.people}
        people.put_in_teams(ours.carol, ["finance"])
        assert {name for name, page in pages.items() if link in page} == {"erin", "frank", "dana", "ada"}

    @pytest.mark.parametrize("name", ["erin", "ada"])
    def test_values_are_not_pushed_about_by_the_templates_own_spaces(self, ours: World, name: str) -> None:
        request = asking.opened(ours)
        evaluation = decided(ours.slug, "escalate", thread=request.pk)
        client = signed_in(ours.people[name])
        for page in (f"/requests/{request.pk}/", f"/decisions/{evaluation}/"):
            assert not re.findall(r"<dd>\s[^<]*|<dd>[^<]*\s</dd>", text(client.get(page))), page

    def test_other_records_are_no_decisions(self, ours: World) -> None:
        request = asking.opened(ours)
        statement = ledger.history(ours.slug, request.pk, limit=1)[0]
        event_id = statement["predicate"]["event_id"]
        assert signed_in(ours.ada).get(f"/decisions/{event_id}/").status_code == 404


class TestList:
    def test_pages_hold_each_decision_once(self, ours: World) -> None:
        client = signed_in(ours.ada)
        found, path = [], "/decisions/"
        while path:
            page = text(client.get(path))
            found += shown(page)
            path = "/decisions/?" + page.split('href="/decisions/?')[-1].split('"')[0] if ">Older<" in page else ""
        assert len(found) == len(set(found)) >= 121

    def test_filters_by_outcome_and_tool(self, ours: World) -> None:
        client = signed_in(ours.ada)
        assert len(shown(text(client.get("/decisions/?outcome=deny")))) == 12
        assert len(shown(text(client.get("/decisions/?tool=crm.delete&agent=support-bot")))) == 12
        assert shown(text(client.get("/decisions/?outcome=deny&tool=crm.lookup"))) == []

    def test_what_people_let_through_says_so_and_codes_are_words(self) -> None:
        own = world()
        with transaction.atomic():
            for name, reason, more in (
                ("approved", "rule", {"entitlement": {"approval": "apr_1", "request": "arq_1"}}),
                ("capped", "spend_cap", {}),
            ):
                ledger.append(
                    Event.DECISION_MADE, tenant=own.slug, thread="arq_1" if more else ids.new("eva"), actor=PEP,
                    now=clock.now(), commitment="sha256:" + "c" * 64, event_id=ids.new("eva"),
                    action={"agent": name, "tool": "crm.lookup", "method": "get"},
                    decision={"outcome": "allow" if more else "deny", "reason": reason, "mode": "enforce", "reasons": []},
                    **more,
                )  # fmt: skip
        seal.seal_due(own.slug)
        page = text(signed_in(own.ada).get("/decisions/"))
        assert "approved · approved by people" in page
        assert "capped · more money than the cap has left" in page

    def test_a_filter_compares_whole_names(self, ours: World) -> None:
        page = text(signed_in(ours.ada).get("/decisions/?agent=support"))
        assert "None found" in page

    def test_it_says_how_far_it_looked(self, ours: World, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(decisions, "SCANNED", 20)
        monkeypatch.setattr(decisions, "_AT_ONCE", 10)
        page = text(signed_in(ours.ada).get("/decisions/?agent=nobody"))
        assert "No decision back to" in page
        assert "A filter looks through 20 decisions at a time. This page looked back to" in page
        assert ">Older<" in page

    def test_it_says_how_far_it_looked_below_what_it_found(self, ours: World, monkeypatch: pytest.MonkeyPatch) -> None:
        """Else three of a hundred denials would look like all there are."""
        monkeypatch.setattr(decisions, "SCANNED", 20)
        monkeypatch.setattr(decisions, "_AT_ONCE", 10)
        page = text(signed_in(ours.ada).get("/decisions/?outcome=deny"))
        assert 0 < len(shown(page)) < 12
        assert "This page looked back to" in page

    def test_a_list_that_is_whole_says_nothing_of_that(self, ours: World) -> None:
        assert "This page looked back to" not in text(signed_in(ours.ada).get("/decisions/?outcome=deny"))

    def test_abuse_016_names_that_hide_are_escaped(self, ours: World) -> None:
        page = text(signed_in(ours.ada).get("/decisions/"))
        assert "evil⟨U+202E⟩bot" in page
        assert "\u202e" not in page

    @pytest.mark.parametrize("before", ["x", "-1", "9" * 40, "²", "0"])
    def test_a_place_that_is_none_breaks_nothing(self, ours: World, before: str) -> None:
        assert signed_in(ours.ada).get("/decisions/", {"before": before}).status_code == 200

    def test_nothing_decided_yet_is_told(self) -> None:
        assert "Nothing decided yet" in text(signed_in(world().ada).get("/decisions/"))


class TestEvidence:
    @pytest.mark.parametrize(("name", "status"), [("erin", 403), ("ada", 200), ("dana", 200)])
    def test_is_for_auditors_and_administrators(self, ours: World, name: str, status: int) -> None:
        assert signed_in(ours.people[name]).get("/evidence/").status_code == status

    def test_shows_the_head_of_ones_own_log(self, ours: World) -> None:
        page = text(signed_in(ours.ada).get("/evidence/"))
        assert f"\n{ours.slug}\n" in page or f">{ours.slug}\n" in page
        assert "countersign verify pack --key" in page

    def test_an_empty_log_says_what_to_expect(self, database: None) -> None:
        fresh = world()
        assert "Nothing sealed yet" in text(signed_in(fresh.ada).get("/evidence/"))
