"""Waivers over HTTP: asked for with every fault told, granted by the same votes, ended by one person; not by machines."""

import json
from datetime import timedelta
from functools import partial
from typing import Any

import pytest
from django.http import HttpResponse
from django.test import Client

from approvals.models import Waiver
from approvals.waivers import asking
from approvals.waivers.models import State
from countersign.proof.digests import display_hash
from evidence import clock, seal
from tests.approvals.asking import enrolled, events
from tests.approvals.browsing import by_key, fresh_code, post, signed_in
from tests.approvals.test_api import problem
from tests.approvals.waivers.excepting import RULE, asked, at, call, easy, granted, terms
from tests.races.crowd import at_once
from tests.worlds import AGENT, World, world

PATH = "/api/v1/waivers"


@pytest.fixture
def ours(database: None) -> World:
    return easy()


def ask(own: World, name: str = "dana", *, raw: str | None = None, **changes: Any) -> HttpResponse:
    client = by_key(own, name, "read", "vote")
    if raw is not None:
        return client.post(PATH, raw, content_type="application/json")
    return post(client, PATH, terms(own, **changes))


def under(own: World, key: str, said: dict[str, Any], name: str = "dana") -> HttpResponse:
    client = by_key(own, name, "read", "vote")
    return client.post(PATH, said, content_type="application/json", headers={"Idempotency-Key": key})


def to(own: World, waiver: Waiver, verb: str, body: Any, name: str = "carol", *scopes: str) -> HttpResponse:
    return post(by_key(own, name, *(scopes or ("read", "vote"))), f"{PATH}/{waiver.pk}/{verb}", body)


def vote(own: World, waiver: Waiver, name: str = "erin", decision: str = "approve", **members: Any) -> HttpResponse:
    body = {"decision": decision, "seen": waiver.request.display_hash, **members}
    return to(own, waiver, "votes", body, name)


def pointers(response: HttpResponse) -> set[str]:
    assert problem(response) == (400, "invalid")
    return {one["pointer"] for one in response.json()["errors"]}


class TestAsk:
    def test_answers_what_now_waits(self, ours: World) -> None:
        response = ask(ours, ticket="OPS-1", max_uses=3, when="double(arguments.amount) < 500.0")
        assert response.status_code == 201
        told = response.json()
        waiver = Waiver.objects.get(pk=told["id"])
        assert response["Location"] == f"{PATH}/{waiver.pk}"
        assert (told["state"], told["asked_by"], told["owner"]) == (
            "pending", ours.username("dana"), ours.username("carol"),
        )  # fmt: skip
        assert (told["ticket"], told["max_uses"], told["uses"]) == ("OPS-1", 3, 0)
        assert (told["rules"], told["agents"], told["tools"]) == ([RULE], [AGENT], ["payments.refund"])
        assert told["terms"]["when"] == "double(arguments.amount) < 500.0"
        assert not call(ours).told[0]

    def test_under_one_key_is_one_waiver_as_it_then_stands(self, ours: World) -> None:
        said = terms(ours)
        first, again = under(ours, "k-1", said), under(ours, "k-1", dict(reversed(said.items())))
        assert (first.status_code, again.status_code) == (201, 201)
        assert (again.json(), again["Location"]) == (first.json(), first["Location"])
        waiver = Waiver.objects.get(tenant=ours.tenant)
        assert events(waiver.request).count("waiver.requested") == 1
        vote(ours, waiver)
        assert under(ours, "k-1", said).json()["state"] == "active"

    def test_under_a_key_that_came_with_other_terms_is_refused(self, ours: World) -> None:
        said = terms(ours)
        under(ours, "k-1", said)
        assert problem(under(ours, "k-1", said | {"reason": "Another."})) == (409, "key-reused")
        assert problem(under(ours, "k" * 201, said)) == (422, "key-too-long")
        assert Waiver.objects.filter(tenant=ours.tenant).count() == 1

    def test_knows_no_key_of_somebody_else(self, ours: World) -> None:
        said = terms(ours)
        made = {under(ours, "k-1", said, name).json()["id"] for name in ("dana", "carol")}
        assert len(made | {under(ours, "k-2", said).json()["id"]}) == 3

    @pytest.mark.postgres
    def test_is_one_waiver_for_several_at_once_under_one_key(self, ours: World) -> None:
        said = terms(ours)
        act = partial(asking.ask, ours.tenant, said, by=ours.dana, now=clock.now(), key="k-1")
        made = [one.pk if isinstance(one, Waiver) else one for one in at_once([act] * 4)]
        assert made == [Waiver.objects.get(tenant=ours.tenant).pk] * 4

    def test_tells_every_fault_with_its_pointer(self, ours: World) -> None:
        response = ask(
            ours, rules=[], match={"agents": ["*"], "tools": ["a.b"]}, expires_at="tomorrow", owner=None, when="arguments.",
            controls=[{"kind": "attestation", "person": "x", "valid_until": "never"}], state="active",
        )  # fmt: skip
        assert pointers(response) == {
            "", "/rules", "/match", "/expires_at", "/when", "/controls/0/valid_until", "/state",
        }  # fmt: skip

    @pytest.mark.parametrize(
        ("changes", "pointer"),
        [
            ({"rules": ["no-such-rule"]}, "/rules/0"),
            ({"owner": "nobody"}, "/owner"),
            ({"expires_at": "2020-01-01T00:00:00Z"}, "/expires_at"),
            ({"lasts": timedelta(days=91)}, "/expires_at"),
            ({"match": {"agents": ["other.*"], "tools": ["payments.refund"]}}, "/match/agents"),
            ({"renews": "wvr_none"}, "/renews"),
            ({"controls": [{"kind": "attestation", "person": "nobody", "valid_until": "2099-01-01T00:00:00Z"}]},
             "/controls/0/person"),
        ],
    )  # fmt: skip
    def test_tells_what_the_registry_has_against_it(self, ours: World, changes: Any, pointer: str) -> None:
        assert pointers(ask(ours, **changes)) == {pointer}

    @pytest.mark.parametrize("raw", ["[]", '"waiver"', "null", "7", "{}"])
    def test_refuses_what_is_no_terms_at_all(self, ours: World, raw: str) -> None:
        assert problem(ask(ours, raw=raw))[0] == 400

    @pytest.mark.parametrize("raw", ["{", "[" * 5000])
    def test_abuse_009_refuses_what_is_no_json(self, ours: World, raw: str) -> None:
        assert problem(ask(ours, raw=raw)) == (400, "parse-error")

    @pytest.mark.parametrize("value", ["NaN", "1e400", "9007199254740993", '{"a": 1, "a": 2}'])
    def test_abuse_001_to_006_refuses_what_evidence_cannot_keep(self, ours: World, value: str) -> None:
        """In terms that are good but for it."""
        good = json.dumps(terms(ours, controls=[{"kind": "obligation", "type": "log", "properties": {"n": "here"}}]))
        assert problem(ask(ours, raw=good.replace('"here"', value))) == (400, "parse-error")

    @pytest.mark.parametrize("text", ["a\x00b", "\ud800"])
    def test_abuse_007_008_refuses_characters_that_no_row_can_hold(self, ours: World, text: str) -> None:
        assert problem(ask(ours, reason=text))[0] == 400
        assert problem(ask(ours, controls=[{"kind": "obligation", "type": "log", "properties": {text: 1}}]))[0] == 400

    def test_abuse_143_a_key_that_only_reads_does_not_ask(self, ours: World) -> None:
        for path in (PATH, f"{PATH}/preview"):
            assert problem(post(by_key(ours, "dana", "read"), path, terms(ours)))[0] == 403
        assert not Waiver.objects.filter(tenant=ours.tenant).exists()

    @pytest.mark.parametrize("path", [PATH, f"{PATH}/preview", f"{PATH}/wvr_x/revoke", f"{PATH}/wvr_x/votes"])
    def test_abuse_143_machines_do_not(self, ours: World, path: str) -> None:
        for key in (ours.pep_key, ours.agent_key):
            client = Client(headers={"Authorization": f"Bearer {key}"})
            assert problem(post(client, path, terms(ours))) == (403, "forbidden")
        assert not Waiver.objects.filter(tenant=ours.tenant).exists()

    def test_abuse_055_a_session_needs_its_token(self, ours: World) -> None:
        client = signed_in(ours.dana, enforce_csrf_checks=True)
        assert post(client, PATH, terms(ours)).status_code == 403
        assert not Waiver.objects.filter(tenant=ours.tenant).exists()

    def test_somebody_inactive_does_not(self, ours: World) -> None:
        client = by_key(ours, "dana", "read", "vote")
        ours.tenant.memberships.filter(pk=ours.dana.pk).update(active=False)
        assert post(client, PATH, terms(ours)).status_code in {401, 403}
        assert not Waiver.objects.filter(tenant=ours.tenant).exists()


class TestPreview:
    def test_tells_the_pins_who_grants_it_and_what_it_would_have_covered(self, ours: World) -> None:
        call(ours)
        seal.seal_due(ours.slug)
        told = post(by_key(ours, "erin", "vote"), f"{PATH}/preview", terms(ours)).json()
        assert told["pins"]["agents"] == [AGENT]
        assert told["requirements"][0]["teams"] == ["finance"]
        assert (told["covered"]["number"], told["covered"]["whole"]) == (1, True)
        assert told["covered"]["samples"][0]["agent"] == AGENT
        assert not Waiver.objects.filter(tenant=ours.tenant).exists()

    def test_tells_no_calls_to_whoever_may_not_see_them(self, ours: World) -> None:
        ours.apply(people=[{"username": ours.username("zoe"), "email": f"zoe-{ours.suffix}@acme.test"}])
        zoe = ours.tenant.memberships.get(user__username=ours.username("zoe"))
        call(ours)
        seal.seal_due(ours.slug)
        key = ours.key("person", membership=zoe, scopes=["vote"])
        client = Client(headers={"Authorization": f"Bearer {key}"})
        told = post(client, f"{PATH}/preview", terms(ours, when='arguments.amount == "250.00"')).json()
        assert told["covered"] is None
        assert told["requirements"]

    def test_refuses_like_asking(self, ours: World) -> None:
        bad = terms(ours, rules=["no-such-rule"])
        assert pointers(post(by_key(ours, "erin", "vote"), f"{PATH}/preview", bad)) == {"/rules/0"}


class TestRead:
    def test_abuse_057_another_tenants_waiver_is_not_there(self, ours: World) -> None:
        waiver = asked(easy())
        client = by_key(ours, "erin", "vote")
        assert client.get(PATH).json()["results"] == []
        found = [
            client.get(f"{PATH}/{waiver.pk}"), vote(ours, waiver), to(ours, waiver, "revoke", {"reason": "x"}),
            to(ours, waiver, "shorten", {"reason": "x", "expires_at": at(timedelta(hours=1))}),
            to(ours, waiver, "step-up", {}),
        ]  # fmt: skip
        assert [problem(one) for one in found] == [(404, "unknown-waiver")] * 5
        waiver.refresh_from_db()
        assert waiver.state == State.PENDING

    def test_tells_what_people_decide_on(self, ours: World) -> None:
        waiver = asked(ours, controls=[{"kind": "obligation", "type": "log"}])
        told = by_key(ours, "ada", "read").get(f"{PATH}/{waiver.pk}").json()
        lines = told["display"]["lines"]
        digest = waiver.request.action_digest
        assert (
            display_hash(profile="countersign-lines-v1", action_digest=digest, lines=lines) == told["display"]["hash"]
        )
        assert any(line["label"] == "arguments.terms.expires_at" for line in lines)
        assert told["pins"]["tools"]["payments.refund"]["risk_tier"] == 3
        assert (told["request"]["id"], told["request"]["status"]) == (waiver.request_id, "pending")
        assert told["controls"] == [
            {"place": 0, "kind": "obligation", "said": {"kind": "obligation", "type": "log"}, "person": None,
             "holds": True, "lacks": "", "good_until": None, "looked_at": None, "found": ""},
        ]  # fmt: skip
        assert told["requirements"][0]["approvals"] == 0

    def test_tells_what_became_of_it(self, ours: World) -> None:
        waiver = granted(ours, max_uses=5)
        call(ours)
        told = by_key(ours, "ada", "read").get(f"{PATH}/{waiver.pk}").json()
        assert (told["state"], told["uses"], told["max_uses"]) == ("active", 1, 5)
        assert told["votes"][0]["person"] == ours.username("erin")
        assert [day["uses"] for day in told["uses_by_day"]] == [1]
        assert told["timeline"]
        assert told["flags"] == []

    def test_lists_are_narrowed(self, ours: World) -> None:
        waiting, live = asked(ours, ticket="OPS-1"), granted(ours)
        client = by_key(ours, "ada", "read")

        def ids(query: str) -> list[str]:
            return [one["id"] for one in client.get(f"{PATH}?{query}").json()["results"]]

        assert ids("") == [live.pk, waiting.pk]
        assert ids("state=pending") == ids("q=ops-1") == [waiting.pk]
        assert ids("state=live") == [live.pk]
        assert ids(f"rule={RULE}&tool=payments.refund&limit=1&offset=1") == [waiting.pk]
        assert ids("tool=payments") == ids("owner=nobody") == []
        assert problem(client.get(f"{PATH}?state=forever"))[0] == 400


class TestVote:
    def test_grants_it_and_answers_the_waiver(self, ours: World) -> None:
        waiver = asked(ours)
        response = vote(ours, waiver, reason="agreed")
        assert response.status_code == 201
        assert (response.json()["state"], response.json()["request"]["status"]) == ("active", "approved")
        assert call(ours).told == (True, "allow", "waiver")

    def test_a_denial_refuses_it(self, ours: World) -> None:
        waiver = asked(ours)
        assert vote(ours, waiver, decision="deny").json()["state"] == "refused"

    def test_abuse_037_who_asked_is_refused(self, ours: World) -> None:
        waiver = asked(ours, by=ours.erin)
        assert problem(vote(ours, waiver)) == (403, "self-approval")

    def test_abuse_038_the_agents_owner_is_refused(self, database: None) -> None:
        ours = easy()
        waiver = asked(ours, by=ours.ada)
        ours.apply(people=[{"username": ours.username("dana"), "email": ours.dana.user.email, "teams": ["finance"]}])
        assert problem(vote(ours, waiver, "dana")) == (403, "self-approval")

    def test_abuse_150_another_display_is_refused(self, ours: World) -> None:
        waiver = asked(ours)
        assert problem(vote(ours, waiver, seen="sha256:" + "0" * 64)) == (409, "seen-other")

    def test_abuse_143_a_key_without_the_scope_does_not_vote(self, ours: World) -> None:
        waiver = asked(ours)
        body = {"decision": "approve", "seen": waiver.request.display_hash}
        assert problem(to(ours, waiver, "votes", body, "erin", "read"))[0] == 403

    def test_abuse_052_needs_the_step_up_of_its_rules(self, database: None) -> None:
        ours = world(quorum=1, caps={})
        secret = enrolled(ours.erin)
        waiver = asked(ours)
        assert problem(vote(ours, waiver)) == (401, "step-up-needed")
        seen = waiver.request.display_hash
        body = {"method": "totp", "code": fresh_code(ours.erin, secret), "decision": "approve", "seen": seen}
        passed = to(ours, waiver, "step-up", body, "erin")
        assert passed.status_code == 201
        assert vote(ours, waiver, step_up=passed.json()["step_up"]).json()["state"] == "active"


class TestEnd:
    def test_its_owner_revokes_it(self, ours: World) -> None:
        waiver = granted(ours)
        told = to(ours, waiver, "revoke", {"reason": "no more"}).json()
        assert (told["state"], told["ended_by"], told["ended_why"]) == ("revoked", ours.username("carol"), "no more")
        assert not call(ours).told[0]

    def test_somebody_else_does_not(self, ours: World) -> None:
        waiver = granted(ours)
        assert problem(to(ours, waiver, "revoke", {"reason": "x"}, "ada")) == (403, "not-yours")
        body = {"reason": "x", "expires_at": at(timedelta(hours=1))}
        assert problem(to(ours, waiver, "shorten", body, "ada")) == (403, "not-yours")
        assert call(ours).told[0]

    def test_nobody_does_without_a_reason(self, ours: World) -> None:
        waiver = granted(ours)
        assert problem(to(ours, waiver, "revoke", {}))[0] == 400
        assert problem(to(ours, waiver, "revoke", {"reason": " "}))[0] == 400
        assert call(ours).told[0]

    def test_abuse_143_nor_with_a_key_that_only_reads(self, ours: World) -> None:
        waiver = granted(ours)
        assert problem(to(ours, waiver, "revoke", {"reason": "x"}, "carol", "read"))[0] == 403

    def test_what_is_over_is_a_conflict(self, ours: World) -> None:
        waiver = granted(ours)
        to(ours, waiver, "revoke", {"reason": "x"})
        assert problem(to(ours, waiver, "revoke", {"reason": "x"})) == (409, "not-now")
        body = {"reason": "x", "expires_at": at(timedelta(hours=1))}
        assert problem(to(ours, waiver, "shorten", body)) == (409, "not-now")

    def test_it_is_shortened_and_never_prolonged(self, ours: World) -> None:
        waiver = granted(ours)
        sooner = clock.now() + timedelta(hours=1)
        told = to(ours, waiver, "shorten", {"reason": "x", "expires_at": sooner.isoformat()}).json()
        assert (told["version"], told["expires_at"]) == (2, sooner.isoformat().replace("+00:00", "Z"))
        for later in (at(timedelta(days=2)), at(timedelta(hours=-1))):
            body = {"reason": "x", "expires_at": later}
            assert problem(to(ours, waiver, "shorten", body)) == (409, "not-shorter")
        waiver.refresh_from_db()
        assert waiver.expires_at == sooner


class TestAttest:
    @pytest.fixture
    def waiting(self, ours: World) -> Waiver:
        """Granted, and suspended until frank has confirmed."""
        control = {"kind": "attestation", "person": ours.username("frank"), "valid_until": at(timedelta(hours=9))}
        return granted(ours, controls=[control])

    def test_the_person_named_brings_it_in_force(self, ours: World, waiting: Waiver) -> None:
        assert waiting.state == State.SUSPENDED
        told = to(ours, waiting, "controls/0/attest", {}, "frank").json()
        assert (told["state"], told["controls"][0]["holds"]) == ("active", True)
        assert told["controls"][0]["person"] == ours.username("frank")
        assert call(ours).told[0]

    def test_and_takes_it_back(self, ours: World, waiting: Waiver) -> None:
        to(ours, waiting, "controls/0/attest", {}, "frank")
        told = to(ours, waiting, "controls/0/withdraw", {}, "frank").json()
        assert (told["state"], told["controls"][0]["holds"]) == ("suspended", False)
        assert problem(to(ours, waiting, "controls/0/withdraw", {}, "frank")) == (409, "not-now")
        assert not call(ours).told[0]

    def test_nobody_else_does(self, ours: World, waiting: Waiver) -> None:
        for name in ("carol", "dana", "erin"):
            assert problem(to(ours, waiting, "controls/0/attest", {}, name)) == (403, "not-yours")
        assert problem(to(ours, waiting, "controls/0/attest", {}, "frank", "read"))[0] == 403
        assert not call(ours).told[0]

    @pytest.mark.parametrize("place", ["1", "99999999999999999999", "-1", "x"])
    def test_what_is_no_control_is_not_there(self, ours: World, waiting: Waiver, place: str) -> None:
        assert to(ours, waiting, f"controls/{place}/attest", {}, "frank").status_code == 404


class TestDocs:
    def test_the_schema_names_every_call(self, ours: World) -> None:
        schema = signed_in(ours.erin).get("/api/schema/", headers={"Accept": "application/json"}).json()
        paths = {path for path in schema["paths"] if path.startswith(PATH)}
        verbs = (
            "step-up",
            "votes",
            "revoke",
            "shorten",
            "pack",
            "controls/{place}/attest",
            "controls/{place}/withdraw",
        )
        assert paths >= {PATH, f"{PATH}/preview", *(f"{PATH}/{{waiver_id}}/{verb}" for verb in verbs)}
        body = schema["paths"][PATH]["post"]["requestBody"]["content"]["application/json"]["schema"]
        assert body["$ref"].endswith("/TermsAsked")
