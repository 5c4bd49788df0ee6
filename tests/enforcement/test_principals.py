"""Whom an agent acts for is proven by that person's own token, or it is only said."""

import json
import time
from datetime import timedelta
from typing import Any

import pytest

from enforcement import principals
from enforcement.models import Escalation
from evidence import clock, kept, keys, ledger
from registry.models import Membership, Tool
from tests.enforcement import machine
from tests.enforcement.machine import REQUESTS, ask, question
from tests.enforcement.vouching import agents, people, persons, token
from tests.worlds import POLICY, World, world

EVALUATIONS, TOOLS = "/access/v1/evaluations", "/access/v1/search/resource"
VERIFIED = POLICY.replace(
    "rules:\n",
    "rules:\n"
    "  - {id: tells-verified, match: {tools: [crm.lookup]}, effect: deny, when: 'has(principal.verified) && principal.verified', reason: x}\n"
    "  - {id: sees-no-token, match: {tools: [crm.lookup]}, effect: deny, when: 'has(context.principal_token)', reason: x}\n",
    1,
)


@pytest.fixture(scope="module")
def acme(database: None) -> World:
    """Refunds need a principal that a token proves."""
    own = world(caps={})
    own.apply(issuers=[agents(own), people(own)])
    Tool.objects.filter(tenant=own.tenant, tool_id="payments.refund").update(verified_principal=True)
    own.apply(settings={"name": "so that the change above is seen"})
    return own


def of(own: World, name: str = "dana", **changes: Any) -> dict[str, Any]:
    """Both members, as a call names and proves a person."""
    return {"principal": {"type": "user", "id": own.username(name)}, "principal_token": persons(own, name), **changes}


class TestProof:
    def test_is_needed_where_a_tool_says_so(self, acme: World) -> None:
        assert ask(acme.pep_key).told == (False, "deny", "principal")
        assert ask(acme.pep_key, **of(acme, principal_token=None)).told == (False, "deny", "principal")
        assert ask(acme.pep_key, **of(acme)).told == (True, "allow", "rule")
        assert ask(token(acme), **of(acme)).told == (True, "allow", "rule")

    def test_abuse_142_is_of_the_one_who_is_named(self, acme: World) -> None:
        stolen = of(acme, "frank", principal_token=persons(acme, "dana"))
        reply = ask(acme.pep_key, **stolen)
        assert (reply.status, "somebody else" in reply.json["detail"]) == (403, True)
        for other in ("nobody", "dana", ""):
            named = {"type": "user", "id": other}
            assert ask(acme.pep_key, **of(acme, principal=named)).status in {400, 403}

    def test_knows_a_person_by_name_or_address_but_a_machine_not_at_all(self, acme: World) -> None:
        address = acme.dana.user.email.upper()
        assert ask(acme.pep_key, **of(acme, principal={"type": "user", "id": address})).status == 200
        assert ask(acme.pep_key, **of(acme, principal={"type": "service", "id": address})).status == 403

    @pytest.mark.parametrize(
        "changes",
        [
            {"exp": 1}, {"aud": "countersign-nobody"}, {"iss": "https://evil.test/"}, {"email": None},
            {"email": "nobody@acme.test"}, {"email_verified": False}, {"email_verified": "true"}, {"email": ["x"]},
        ],
        ids=str,
    )  # fmt: skip
    def test_refuses_what_proves_nothing(self, acme: World, changes: dict[str, Any]) -> None:
        reply = ask(acme.pep_key, **of(acme, principal_token=persons(acme, **changes)))
        assert reply.status == 403
        assert reply.json["type"].endswith("forbidden")

    @pytest.mark.parametrize(
        "given", ["", "x", "a.b.c", "x" * 9000, 7, None, {"proven_by": "staff"}, ["x"]], ids=range(8)
    )
    def test_refuses_what_is_no_token(self, acme: World, given: Any) -> None:
        told = {**question(**of(acme)), "context": {**question()["context"], **of(acme, principal_token=given)}}
        assert ask(acme.pep_key, told).status in {400, 403, 422}

    def test_proves_nobody_who_is_not_named(self, acme: World) -> None:
        assert ask(acme.pep_key, **of(acme, principal=None)).status == 400

    def test_is_no_agents_token_and_no_other_tenants(self, acme: World) -> None:
        as_agent = token(acme, email=acme.dana.user.email)
        assert ask(acme.pep_key, **of(acme, principal_token=as_agent)).status == 403
        other = world(caps={})
        other.apply(issuers=[people(other)])
        foreign = persons(other, email=acme.dana.user.email)
        assert ask(acme.pep_key, **of(acme, principal_token=foreign)).status == 403

    def test_ends_by_the_databases_clock(self, acme: World, monkeypatch: pytest.MonkeyPatch) -> None:
        now = int(time.time())
        short = of(acme, principal_token=persons(acme, iat=now - 60, exp=now + 5))
        assert ask(acme.pep_key, **short).status == 200
        real = clock.now
        monkeypatch.setattr(principals.database_clock, "now", lambda: real() + timedelta(seconds=60))
        monkeypatch.setattr(principals.clock, "offset", principals.clock.offset + 60)
        assert ask(acme.pep_key, **short).status == 403

    def test_ends_with_the_person_and_with_the_issuer(self) -> None:
        own = world(caps={})
        own.apply(issuers=[people(own)])
        proven = of(own)
        assert ask(own.pep_key, **proven).status == 200
        own.apply(issuers=[people(own, active=False)])
        assert ask(own.pep_key, **proven).status == 403
        own.apply(issuers=[people(own, active=True)])
        assert ask(own.pep_key, **proven).status == 200
        dana = Membership.objects.get(pk=own.dana.pk)
        person = {"username": dana.user.username, "email": dana.user.email, "teams": ["support"], "roles": ["admin"]}
        own.apply(people=[{**person, "active": False}])
        assert ask(own.pep_key, **proven).status == 403


class TestTold:
    def test_conditions_see_that_it_is_proven_and_never_the_token(self) -> None:
        own = world(caps={}, policy=VERIFIED)
        own.apply(issuers=[people(own)])
        look = {"resource": {"type": "tool", "id": "crm.lookup"}, "action": {"name": "get"}, "intent": "lookup"}
        look["arguments"] = {"customer": "C-1"}  # type: ignore[dict-item]
        plain = ask(own.pep_key, **look, **of(own, principal_token=None))
        proven = ask(own.pep_key, **look, **of(own))
        assert [one["rule"] for one in proven.context["reasons"]] == ["tells-verified"]
        assert plain.context["reason"] != proven.context["reason"] or plain.context["outcome"] == "allow"

    def test_the_record_says_by_whom_and_an_approval_binds_that_it_was(self, acme: World) -> None:
        proven, said = ask(acme.pep_key, **of(acme)), ask(acme.pep_key, **of(acme, principal_token=None))
        action = _record(acme, proven)["action"]
        assert action["principal"] == {"verified_by": "staff"}
        assert "principal" not in _record(acme, said)["action"]
        assert proven.context["action_digest"] != said.context["action_digest"]
        again = ask(acme.pep_key, **of(acme, principal_token=persons(acme, more="another token")))
        assert again.context["action_digest"] == proven.context["action_digest"]

    def test_the_token_is_kept_nowhere(self, acme: World) -> None:
        told = of(acme, arguments={"order": "A-1", "amount": "250.00"})
        reply = ask(acme.pep_key, **told)
        assert reply.context["outcome"] == "escalate"
        evaluation = reply.context["evaluation_id"]
        row = Escalation.objects.get(pk=evaluation)
        question_kept = keys.unseal(bytes(row.question), bound_to=f"escalation/{acme.slug}/{evaluation}")
        box = kept.read(acme.slug, row.commitment)
        assert box is not None
        for part in told["principal_token"].split("."):
            for where in (
                question_kept.decode(),
                json.dumps(dict(box.action)),
                str(_record(acme, reply)),
                str(reply.json),
            ):
                assert part not in where

    def test_a_denial_is_submitted_as_it_was_asked(self, acme: World) -> None:
        told = of(acme, arguments={"order": "A-1", "amount": "251.00"})
        asked = ask(acme.pep_key, **told)
        names = ("subject", "action", "resource")
        body = {name: question()[name] for name in names} | {
            "denial": {"evaluation_id": asked.context["evaluation_id"]}
        }
        task = machine.post(REQUESTS, acme.pep_key, {**body, "context": {"principal_token": told["principal_token"]}})
        assert task.status == 202
        again = ask(acme.pep_key, **told)
        assert again.context["access_request"]["task"]["id"] == task.json["task"]["id"]
        unproven = ask(acme.pep_key, **{**told, "principal_token": None})
        assert unproven.told == (False, "deny", "principal")

    def test_each_of_many_items_is_proven_or_refused_for_itself(self, acme: World) -> None:
        told = [
            question(**of(acme)),
            question(**of(acme, "frank", principal_token=persons(acme, "dana"))),
            question(**of(acme, "erin")),
            question(**of(acme, principal_token=None)),
        ]
        items = machine.post(EVALUATIONS, acme.pep_key, {"evaluations": told}).json["evaluations"]
        assert [item["decision"] for item in items] == [True, False, True, False]
        assert items[1]["context"]["error"]["status"] == 403
        assert items[3]["context"]["reason"] == "principal"

    def test_a_search_finds_what_only_a_proven_principal_may(self, acme: World) -> None:
        def found(**context: Any) -> list[str]:
            asked = question(**context)
            del asked["resource"]["id"]
            return [one["id"] for one in machine.post(TOOLS, acme.pep_key, asked).json["results"]]

        assert "payments.refund" in found(**of(acme))
        assert "payments.refund" not in found(**of(acme, principal_token=None))

    def test_a_large_call_is_proven_like_a_small_one(self, acme: World) -> None:
        assert ask(acme.pep_key, **of(acme), justification="x" * 3900, session="s" * 150).status == 200


def _record(own: World, reply: machine.Reply) -> Any:
    statement = ledger.find(own.slug, reply.context["evaluation_id"])
    assert statement is not None
    return statement["predicate"]
