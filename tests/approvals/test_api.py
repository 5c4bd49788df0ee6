"""The people's API for requests: the same refusals as the pages, as problem details, and nothing for machines."""

import re
from pathlib import Path
from typing import Any

import pytest
from django.http import HttpResponse
from django.test import Client
from django.urls import URLPattern, URLResolver, get_resolver

from approvals import problems
from approvals.models import TotpDevice
from countersign.proof.digests import display_hash
from tests.approvals import asking
from tests.approvals.asking import TOTP, enrolled, opened, requirement, unchanged
from tests.approvals.browsing import by_key, fresh_code, post, signed_in
from tests.worlds import World, world


@pytest.fixture(scope="module")
def ours(database: None) -> World:
    return world()


@pytest.fixture(scope="module")
def secret(ours: World) -> str:
    return enrolled(ours.erin)


def cast(client: Client, request: Any, decision: str = "approve", **members: Any) -> HttpResponse:
    body = {"decision": decision, "seen": request.display_hash, **members}
    return post(client, f"/api/v1/requests/{request.pk}/votes", body)


def step_up(client: Client, request: Any, code: str, **members: Any) -> HttpResponse:
    body = {"method": "totp", "code": code, "decision": "approve", "seen": request.display_hash, **members}
    return post(client, f"/api/v1/requests/{request.pk}/step-up", body)


def problem(response: HttpResponse) -> tuple[int, str]:
    assert response["Content-Type"] == "application/problem+json"
    told = response.json()
    assert told["status"] == response.status_code
    return response.status_code, told["type"].rpartition(":")[2]


def built() -> list[str]:
    """Every path under /api/v1/ that is built, with something in its places."""
    return sorted(
        f"/{path}" for path in _paths(get_resolver().url_patterns, "") if path.startswith("api/v1/")
    )  # fmt: skip


def _paths(patterns: list[URLPattern | URLResolver], before: str) -> list[str]:
    found = []
    for one in patterns:
        here = before + str(one.pattern)
        if isinstance(one, URLResolver):
            found += _paths(one.url_patterns, here)
        else:
            parts = ["1" if part.startswith("<int:") else "arq_x" if "<" in part else part for part in here.split("/")]
            found.append("/".join(parts))
    return found


class TestMachines:
    @pytest.mark.parametrize("path", [*built(), "/api/v1", "/api/v1/", "/api/v1/policies", "/api/v1/not/built/at/all"])
    @pytest.mark.parametrize("method", ["get", "post", "put", "delete"])
    def test_abuse_143_their_keys_reach_no_path_built_or_not(self, ours: World, path: str, method: str) -> None:
        for key in (ours.pep_key, ours.agent_key):
            response = getattr(Client(), method)(path, headers={"Authorization": f"Bearer {key}"})
            assert problem(response) == (403, "forbidden")

    def test_abuse_143_a_session_behind_a_machines_key_does_not_help_it(self, ours: World) -> None:
        client = signed_in(ours.erin, headers={"Authorization": f"Bearer {ours.agent_key}"})
        assert client.get("/api/v1/requests").status_code == 403

    def test_every_path_is_behind_the_door(self) -> None:
        assert "/api/v1/requests" in built()
        assert len(built()) >= 10


class TestStrangers:
    @pytest.mark.parametrize("path", built())
    def test_are_challenged(self, path: str) -> None:
        response = Client().get(path)
        assert response.status_code == 401
        assert response["WWW-Authenticate"].startswith("Bearer")

    def test_abuse_057_another_tenants_request_is_not_there(self, ours: World) -> None:
        request = opened(world())
        client = by_key(ours, "erin", "vote")
        with unchanged(request):
            found = [
                client.get(f"/api/v1/requests/{request.pk}"), cast(client, request), step_up(client, request, "123456"),
            ]  # fmt: skip
        assert [one.status_code for one in found] == [404, 404, 404]
        absent = client.get("/api/v1/requests/arq_none").json()
        assert found[0].json() == absent

    def test_abuse_057_another_tenants_requests_are_in_no_list(self, ours: World) -> None:
        request = opened(world())
        listed = by_key(ours, "erin").get("/api/v1/requests?limit=1000").json()["results"]
        assert request.pk not in {one["id"] for one in listed}


class TestVote:
    def test_abuse_143_a_key_without_the_scope_does_not_vote(self, ours: World) -> None:
        request = opened(ours)
        client = by_key(ours, "erin", "read")
        with unchanged(request):
            assert problem(cast(client, request))[0] == 403
            assert problem(step_up(client, request, "123456"))[0] == 403

    def test_abuse_052_a_key_without_a_step_up_is_challenged(self, ours: World) -> None:
        request = opened(ours, requirements=[requirement(step_up=TOTP)])
        with unchanged(request):
            response = cast(by_key(ours, "erin", "vote"), request)
        assert problem(response) == (401, "step-up-needed")
        challenge = response["WWW-Authenticate"]
        assert 'error="insufficient_user_authentication"' in challenge
        assert 'acr_values="totp"' in challenge

    def test_with_a_step_up_it_votes_and_the_answer_is_the_request(self, ours: World, secret: str) -> None:
        request = opened(ours, requirements=[requirement(step_up=TOTP, quorum=1)])
        client = by_key(ours, "erin", "vote")
        passed = step_up(client, request, fresh_code(ours.erin, secret))
        assert passed.status_code == 201
        response = cast(client, request, step_up=passed.json()["step_up"], reason="checked")
        assert response.status_code == 201
        told = response.json()
        assert (told["status"], told["requirements"][0]["met"], told["after"]["name"]) == ("approved", True, "unused")
        assert told["votes"][0] | {"cast_at": ""} == {
            "person": ours.username("erin"), "decision": "approve", "reason": "checked", "assurance": "totp",
            "surface": "api", "cast_at": "",
        }  # fmt: skip

    def test_abuse_067_a_step_up_serves_no_other_request(self, ours: World, secret: str) -> None:
        first, second = (opened(ours, requirements=[requirement(step_up=TOTP)]) for _ in range(2))
        client = by_key(ours, "erin", "vote")
        proof = step_up(client, first, fresh_code(ours.erin, secret)).json()["step_up"]
        with unchanged(second):
            assert problem(cast(client, second, step_up=proof)) == (401, "step-up-refused")

    def test_abuse_150_another_display_than_is_shown_is_refused(self, ours: World, secret: str) -> None:
        request = opened(ours)
        client = by_key(ours, "erin", "vote")
        other = "sha256:" + "0" * 64
        with unchanged(request):
            assert problem(cast(client, request, seen=other)) == (409, "seen-other")
            refused = step_up(client, request, fresh_code(ours.erin, secret), seen=other)
        assert problem(refused) == (409, "seen-other")

    def test_abuse_037_who_asked_is_refused(self, ours: World) -> None:
        request = opened(ours, token=ours.person_key("erin", "read"))
        with unchanged(request):
            assert problem(cast(by_key(ours, "erin", "vote"), request)) == (403, "self-approval")

    def test_abuse_042_a_closed_request_is_a_conflict(self, ours: World) -> None:
        request = opened(ours)
        asking.vote(request, ours.frank, asking.DENY)
        with unchanged(request):
            assert problem(cast(by_key(ours, "erin", "vote"), request)) == (409, "not-pending")

    def test_abuse_064_a_locked_authenticator_says_when_to_try_again(self, database: None) -> None:
        ours = world()
        enrolled(ours.erin)
        client = by_key(ours, "erin", "vote")
        request = opened(ours)
        statuses = [step_up(client, request, "000000").status_code for _ in range(6)]
        assert statuses == [401] * 5 + [429]
        response = step_up(client, request, "000000")
        assert problem(response) == (429, "locked")
        assert int(response["Retry-After"]) >= 1

    def test_abuse_064_an_administrator_of_another_tenant_cannot_burn_a_persons_codes(self, database: None) -> None:
        ours, theirs = world(), world()
        enrolled(ours.erin)
        boss = signed_in(theirs.dana)
        joining = {"username": ours.username("erin"), "email": ours.erin.user.email, "active": "on"}
        joining["in_teams"] = str(theirs.tenant.teams.get(name="finance").pk)
        assert boss.post("/admin/registry/membership/add/", joining).status_code == 302
        there = theirs.tenant.memberships.get(user=ours.erin.user)
        request = opened(theirs, requirements=[requirement(step_up=TOTP)])
        issued = []
        for scopes in (["read", "vote"], ["vote"], ["read"], []):
            key = {"kind": "person", "name": "hers", "membership": there.pk, "scopes": scopes}
            page = boss.post("/admin/registry/credential/add/", key, follow=True).content.decode()
            for token in re.findall(r"csk_person_\w+", page):
                issued.append(scopes)
                client = Client(headers={"Authorization": f"Bearer {token}"})
                assert step_up(client, request, "000000").status_code == 403
                assert client.post(f"/requests/{request.pk}/vote/", {"code": "000000"}).status_code == 302  # to sign in
        assert issued == [["read"], []]
        assert TotpDevice.objects.get(user=ours.erin.user).failures == 0

    @pytest.mark.parametrize(
        "body",
        [
            {},
            {"decision": "maybe", "seen": "x"},
            {"decision": "approve"},
            [],
            "approve",
            {"decision": "approve", "seen": "s" * 72},
        ],
    )
    def test_a_body_that_is_none_is_told_member_by_member(self, ours: World, body: Any) -> None:
        request = opened(ours)
        with unchanged(request):
            assert problem(post(by_key(ours, "erin", "vote"), f"/api/v1/requests/{request.pk}/votes", body))[0] == 400


class TestRead:
    def test_what_is_shown_hashes_to_what_a_vote_must_carry(self, ours: World) -> None:
        request = opened(ours, justification="because")
        told = by_key(ours, "erin").get(f"/api/v1/requests/{request.pk}").json()
        lines = told["display"]["lines"]
        computed = display_hash(profile="countersign-lines-v1", action_digest=told["action_digest"], lines=lines)
        assert told["display"]["hash"] == computed == request.display_hash

    def test_lists_are_filtered(self, ours: World) -> None:
        client = by_key(ours, "frank")
        voted, other = opened(ours), opened(ours)
        asking.vote(voted, ours.frank)

        def ids(query: str) -> set[str]:
            return {one["id"] for one in client.get(f"/api/v1/requests?limit=1000&{query}").json()["results"]}

        assert voted.pk in ids("mine=true")
        assert other.pk not in ids("mine=true")
        assert other.pk in ids("mine=false&status=pending&agent=support-bot&tool=payments.refund")
        assert ids("agent=nobody") == set()

    def test_a_filter_that_is_none_is_told(self, ours: World) -> None:
        assert problem(by_key(ours, "erin").get("/api/v1/requests?status=maybe"))[0] == 400

    def test_a_session_reads_too(self, ours: World) -> None:
        assert signed_in(ours.erin).get("/api/v1/requests").status_code == 200


class TestDocs:
    def test_the_schema_names_every_path_and_how_to_sign_in(self, ours: World) -> None:
        schema = signed_in(ours.erin).get("/api/schema/", headers={"Accept": "application/json"}).json()
        assert set(schema["components"]["securitySchemes"]) >= {"personKey", "cookieAuth"}
        assert "/api/v1/requests/{request_id}/votes" in schema["paths"]
        assert "/api/v1/records" in schema["paths"]

    def test_the_docs_load_nothing_from_elsewhere(self, ours: World) -> None:
        page = signed_in(ours.erin).get("/api/docs/").content.decode()
        assert "swagger-ui" in page
        assert "https://" not in page.replace("https://www.w3.org", "")

    @pytest.mark.parametrize("name", sorted({name for _, name, _ in problems._TABLE.values()}))
    def test_the_page_of_the_docs_names_every_refusal(self, name: str) -> None:
        assert f"`{name}`" in (Path(__file__).parents[2] / "docs" / "people-api.md").read_text()
