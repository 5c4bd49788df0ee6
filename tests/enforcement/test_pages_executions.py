"""Executions whose end nobody knows, on pages and over the people's API: who reads them, who settles one, once."""

import pytest
from django.test import Client

from enforcement.models import Custody, Execution
from registry.models import Membership
from tests.approvals.browsing import by_key, post, signed_in, text
from tests.enforcement.machine import ask, question
from tests.enforcement.test_requests import easy, fresh
from tests.enforcement.test_unsettled import named, operator, silent, silent_approved
from tests.worlds import World

SAID = {"outcome": "failed", "reason": "The bank shows none <b>.", "evidence": "ticket OPS-7"}


@pytest.fixture(scope="module")
def acme(database: None) -> World:
    return easy()


@pytest.fixture(scope="module")
def olga(acme: World) -> Membership:
    return operator(acme)


def path(evaluation_id: str, verb: str = "") -> str:
    return f"/executions/{evaluation_id}/{verb}"


class TestPages:
    def test_are_for_who_answers_for_what_runs(self, acme, olga):
        evaluation_id = silent_approved(acme, fresh())
        for address in ("/executions/", path(evaluation_id)):
            assert signed_in(acme.erin).get(address).status_code == 403
            assert signed_in(acme.ada).get(address).status_code == 200, "auditors read"
            assert signed_in(olga).get(address).status_code == 200
            assert Client().get(address).status_code == 302
        assert signed_in(acme.erin).post(path(evaluation_id, "reconcile/"), SAID).status_code == 403
        assert signed_in(acme.ada).post(path(evaluation_id, "reconcile/"), SAID).status_code == 403
        assert "/executions/" not in text(signed_in(acme.erin).get("/inbox/"))

    def test_show_no_other_tenants(self, acme):
        other = easy()
        evaluation_id = silent_approved(other, fresh())
        client = signed_in(operator(acme, "otto"))
        assert client.get(path(evaluation_id)).status_code == 404
        assert client.post(path(evaluation_id, "reconcile/"), SAID).status_code == 404
        assert evaluation_id not in text(client.get("/executions/"))

    def test_settle_one_once_and_say_who_found_out_what(self, acme, olga):
        evaluation_id = silent_approved(acme, fresh())
        client = signed_in(olga)
        page = text(client.get(path(evaluation_id)))
        assert "the same call is denied" in page
        assert f"/requests/{Execution.objects.get(pk=evaluation_id).request_id}/" in page
        assert "A-1" not in page, "no argument"
        assert client.post(path(evaluation_id, "reconcile/"), SAID)["Location"] == path(evaluation_id)
        page = text(client.get(path(evaluation_id)))
        assert "It took no effect" in page
        assert "The bank shows none &lt;b&gt;." in page
        assert "<form action=" not in page.split("<main")[1]
        assert client.post(path(evaluation_id, "reconcile/"), SAID)["Location"] == path(evaluation_id), "sent again"
        assert client.post(path(evaluation_id, "reconcile/"), SAID | {"outcome": "committed"}).status_code == 409
        assert evaluation_id in text(client.get("/executions/")).split("Lately settled")[1]

    def test_say_what_is_missing_and_keep_what_was_typed(self, acme, olga):
        evaluation_id = silent_approved(acme, fresh())
        reply = signed_in(olga).post(
            path(evaluation_id, "reconcile/"), {"outcome": "lapsed", "reason": " ", "evidence": "here"}
        )
        assert reply.status_code == 422
        page = text(reply)
        assert "Say whether it took effect." in page
        assert "Say why you are sure" in page
        assert ">here</textarea>" in page
        long = signed_in(olga).post(path(evaluation_id, "reconcile/"), SAID | {"reason": "x" * 2001})
        assert long.status_code == 422
        assert Execution.objects.get(pk=evaluation_id).status == Custody.INDETERMINATE

    def test_offer_the_owner_of_the_agent_no_form_and_take_none_from_them(self, acme):
        evaluation_id = silent_approved(acme, fresh())
        client = signed_in(acme.dana)
        assert "Somebody else has to look." in text(client.get(path(evaluation_id)))
        reply = client.post(path(evaluation_id, "reconcile/"), SAID)
        assert reply.status_code == 403
        assert "others look into it" in text(reply)

    def test_want_a_token_against_forgery(self, acme, olga):
        evaluation_id = silent_approved(acme, fresh())
        assert (
            signed_in(olga, enforce_csrf_checks=True).post(path(evaluation_id, "reconcile/"), SAID).status_code == 403
        )
        assert signed_in(olga).get(path(evaluation_id, "reconcile/")).status_code == 405

    def test_list_the_longest_wait_first_and_page_by_page(self, monkeypatch):
        own = easy()
        monkeypatch.setattr("enforcement.custody.PAGE", 2)
        made = [silent(own, ask(own.pep_key).context["evaluation_id"]) for _ in range(3)]
        client = signed_in(operator(own))
        first, second = (text(client.get(f"/executions/?page={n}")) for n in (1, 2))
        assert [one for one in made if one in first] == made[:2]
        assert [one for one in made if one in second] == made[2:]
        assert "?page=2" in first
        assert "the same call is denied" not in first, "nothing tells these apart from the next"
        assert client.get("/executions/?page=00000000000").status_code == 200
        body = by_key(own, "ada").get("/api/v1/executions").json()
        assert ([one["evaluation_id"] for one in body["results"]], body["next"]) == (made[:2], 2)


class TestApi:
    def test_settles_one_once(self, acme, olga):
        reply = ask(acme.pep_key, question(transaction="case-api"))
        evaluation_id = silent(acme, reply.context["evaluation_id"], **named(reply))
        client = Client(
            headers={"Authorization": f"Bearer {acme.key('person', membership=olga, scopes=['read', 'vote'])}"}
        )
        address = f"/api/v1/executions/{evaluation_id}"
        found = client.get(address).json()
        assert (found["status"], found["blocks"], found["transaction"]) == ("indeterminate", True, "case-api")
        assert post(client, f"{address}/reconcile", {"outcome": "committed"}).status_code == 400
        done = post(client, f"{address}/reconcile", SAID | {"outcome": "committed"})
        assert done.status_code == 200
        assert done.json()["reconciliation"]["by"] == olga.user.username
        assert (done.json()["status"], done.json()["blocks"]) == ("committed", False)
        assert post(client, f"{address}/reconcile", SAID | {"outcome": "committed"}).json() == done.json(), "sent again"
        again = post(client, f"{address}/reconcile", SAID)
        assert (again.status_code, again.json()["type"]) == (409, "urn:countersign:problem:not-indeterminate")

    def test_reads_by_role_and_writes_by_scope(self, acme, olga):
        address = f"/api/v1/executions/{silent_approved(acme, fresh())}"
        reading = Client(headers={"Authorization": f"Bearer {acme.key('person', membership=olga, scopes=['read'])}"})
        assert reading.get(address).status_code == 200
        assert post(reading, f"{address}/reconcile", SAID).status_code == 403
        assert by_key(acme, "erin", "read", "vote").get(address).status_code == 403
        auditor = by_key(acme, "ada", "read", "vote")
        assert auditor.get(address).status_code == 200
        assert post(auditor, f"{address}/reconcile", SAID).json()["type"].endswith(":permission-denied")
        owner = by_key(acme, "dana", "read", "vote")
        assert post(owner, f"{address}/reconcile", SAID).json()["type"].endswith(":self-reconciliation")
        assert post(owner, "/api/v1/executions/eva_none/reconcile", SAID).json()["type"].endswith(":unknown-execution")

    def test_is_nothing_for_machines(self, acme):
        for key in (acme.pep_key, acme.agent_key):
            client = Client(headers={"Authorization": f"Bearer {key}"})
            assert client.get("/api/v1/executions").status_code == 403
            assert post(client, "/api/v1/executions/eva_x/reconcile", SAID).status_code == 403
