"""Approve and remember: who may draft, that the draft is of exactly the call's shape, and that others must grant it."""

import html
import re
from datetime import timedelta
from typing import Any

import pytest

from approvals.models import AccessRequest, Waiver
from approvals.waivers import conditions
from countersign.policy.values import Principal
from evidence import clock, kept
from tests.approvals import asking
from tests.approvals.browsing import signed_in, text
from tests.approvals.waivers.asking_page import local, made
from tests.approvals.waivers.excepting import asked, easy
from tests.enforcement.machine import ask, question
from tests.worlds import World

ORDER = {"order": 'A-1" || true || "', "amount": "250.00"}
CAPS = {"spend": {"argument": "amount", "per_call": "1000.00", "currency": "EUR"}}


@pytest.fixture(scope="module")
def ours(database: None) -> World:
    return easy(caps=CAPS)


@pytest.fixture
def request_(ours: World) -> AccessRequest:
    person = Principal("user", "desk@acme.test")
    return asking.opened(ours, made=asking.call(ours, ORDER, principal=person, transaction=f"case-{clock.now()}"))


def draft(own: World, request: AccessRequest, who: str = "erin", **changes: Any) -> Any:
    fields = {
        "argument": ["0", "1"], "principal": "1", "reason": "Every week.", "owner": own.username("carol"),
        "expires_at": local(timedelta(days=3)), **changes,
    }  # fmt: skip
    sent = {name: value for name, value in fields.items() if value is not None}
    return signed_in(own.people[who]).post(f"/requests/{request.pk}/remember/", sent)


def asked_for(own: World, preview: Any, who: str = "erin") -> Waiver:
    """Press the one button of the preview that asks."""
    page = text(preview)
    assert preview.status_code == 200, page
    form = re.findall(r'<input type="hidden" name="([^"]+)" value="([^"]*)">', page.split('id="ask"')[1])
    fields: dict[str, list[str]] = {}
    for name, value in form:
        fields.setdefault(name, []).append(html.unescape(value))
    return made(signed_in(own.people[who]).post("/waivers/new/", {**fields, "do": "ask"}))


class TestWho:
    @pytest.mark.parametrize("who", ["ada", "dana"])
    def test_who_may_not_vote_may_not_draft(self, ours: World, request_: AccessRequest, who: str) -> None:
        client = signed_in(ours.people[who])
        assert client.get(f"/requests/{request_.pk}/remember/").status_code == 403
        assert draft(ours, request_, who).status_code == 403
        assert "remember" not in text(client.get(f"/requests/{request_.pk}/"))

    def test_another_tenants_request_is_absent(self, request_: AccessRequest) -> None:
        assert signed_in(easy().erin).get(f"/requests/{request_.pk}/remember/").status_code == 404

    def test_an_approver_finds_the_way_from_the_request(self, ours: World, request_: AccessRequest) -> None:
        page = text(signed_in(ours.erin).get(f"/requests/{request_.pk}/"))
        assert f'href="/requests/{request_.pk}/remember/"' in page

    def test_a_waivers_own_request_is_none_to_remember(self, ours: World) -> None:
        waiver = asked(ours)
        assert signed_in(ours.erin).get(f"/requests/{waiver.request_id}/remember/").status_code == 404


class TestDraft:
    def test_looking_and_drafting_ask_for_nothing(self, ours: World, request_: AccessRequest) -> None:
        before = Waiver.objects.filter(tenant=ours.tenant).count()
        assert signed_in(ours.erin).get(f"/requests/{request_.pk}/remember/").status_code == 200
        assert draft(ours, request_).status_code == 200
        assert Waiver.objects.filter(tenant=ours.tenant).count() == before

    def test_offers_money_at_most_and_all_else_exactly(self, ours: World, request_: AccessRequest) -> None:
        page = text(signed_in(ours.erin).get(f"/requests/{request_.pk}/remember/"))
        assert re.search(r"<code>amount</code> at most", page)
        assert re.search(r"<code>order</code> exactly", page)

    def test_says_in_words_what_it_covers(self, ours: World, request_: AccessRequest) -> None:
        page = html.unescape(text(draft(ours, request_)))
        assert "amount is at most 250.00" in page
        assert 'order is exactly "A-1\\" || true || \\""' in page
        assert "desk@acme.test" in page
        assert "What it would have let through" in page

    @pytest.mark.parametrize(
        ("changes", "words"),
        [
            ({"reason": ""}, "Say why."),
            ({"expires_at": ""}, "Say until when."),
            ({"owner": "nobody"}, "Nobody here is called"),
            ({"max_uses": "-1"}, "whole number"),
        ],
    )
    def test_what_is_wrong_stands_at_its_field(
        self, ours: World, request_: AccessRequest, changes: dict[str, str], words: str
    ) -> None:
        response = draft(ours, request_, **changes)
        assert response.status_code == 422
        assert words in text(response)

    def test_a_call_that_is_not_what_was_recorded_is_not_remembered(self, database: None) -> None:
        other = easy()
        changed = asking.opened(other)
        AccessRequest.objects.filter(pk=changed.pk).update(display_hash="sha256:" + "0" * 64)
        response = signed_in(other.erin).get(f"/requests/{changed.pk}/remember/")
        assert response.status_code == 403
        assert "is not what was recorded" in text(response)

    def test_the_call_of_erased_arguments_is_not_remembered(self, ours: World) -> None:
        erased = asking.opened(ours)
        kept.erase(ours.slug, erased.commitment)
        response = signed_in(ours.erin).get(f"/requests/{erased.pk}/remember/")
        assert response.status_code == 403
        assert "erased" in text(response)


class TestShape:
    def test_covers_this_call_and_none_beside_it(self, ours: World, request_: AccessRequest) -> None:
        waiver = asked_for(ours, draft(ours, request_))
        said = waiver.terms["terms"]
        assert said["match"] == {
            "agents": ["support-bot"], "tools": ["payments.refund"], "methods": ["create"],
            "principals": ["desk@acme.test"],
        }  # fmt: skip
        told = conditions.words(said["when"])
        assert told is not None
        asking.vote(AccessRequest.objects.get(pk=waiver.request_id), ours.frank)
        desk = {"type": "user", "id": "desk@acme.test"}

        def outcome(arguments: dict[str, str], principal: Any = desk) -> Any:
            return ask(ours.pep_key, question(arguments=arguments, principal=principal)).told[2]

        assert outcome(ORDER) == "waiver"
        assert outcome({**ORDER, "amount": "120.00"}) == "waiver"
        assert outcome({**ORDER, "amount": "250.01"}) != "waiver"
        assert outcome({**ORDER, "order": "A-2"}) != "waiver"
        assert outcome(ORDER, {"type": "user", "id": "other@acme.test"}) != "waiver"

    def test_who_drafted_it_cannot_grant_it(self, ours: World, request_: AccessRequest) -> None:
        waiver = asked_for(ours, draft(ours, request_, argument=["1"]))
        request = AccessRequest.objects.get(pk=waiver.request_id)
        page = signed_in(ours.erin).post(
            f"/requests/{request.pk}/vote/", {"decision": "approve", "reason": "", "seen": request.display_hash}
        )
        assert page.status_code == 403
        assert "others decide" in text(page)
