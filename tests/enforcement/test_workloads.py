"""Whoever shows a token of a registered issuer speaks as the one agent it names, in the one tenant that believes it."""

import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from django.conf import settings

from enforcement import authn, keysets, memory, workloads
from enforcement.problems import Problem
from evidence import clock, ledger
from registry import credentials
from registry.models import Agent, Credential
from tests.connectors.webhook.receiver import Receiver, receiver
from tests.enforcement import machine, vouching
from tests.enforcement.machine import ask, big, question
from tests.enforcement.vouching import agents, people, persons, public, token
from tests.worlds import AGENT, SETUP, World, world

ALLOWED = (True, "allow", "rule")


@pytest.fixture(scope="module")
def acme(database: None) -> World:
    """For tests that leave it as it is."""
    own = world(caps={})
    own.apply(issuers=[agents(own)])
    return own


@pytest.fixture
def ours(database: None) -> World:
    own = world(caps={})
    own.apply(issuers=[agents(own)])
    return own


def refused(reply: machine.Reply, words: str = "") -> bool:
    assert reply.headers["www-authenticate"] == "Bearer"
    return reply.status == 401 and words in reply.json["detail"]


class TestToken:
    def test_speaks_as_its_agent_alone_and_is_told_briefly(self, acme: World) -> None:
        shown = token(acme)
        reply = ask(shown)
        assert reply.told == ALLOWED
        assert all("rule" not in one for one in reply.context["reasons"])
        assert ask(shown, subject={"type": "agent", "id": "other-bot"}).status == 403
        assert ask(shown, subject={"type": "user", "id": AGENT}).status == 403

    def test_is_recorded_as_what_it_was_and_by_a_credential_that_was_issued_once(self, ours: World) -> None:
        replies = [ask(token(ours)), ask(token(ours, more="another"))]
        actors = [
            ledger.find(ours.slug, reply.context["evaluation_id"])["predicate"]["actor"]  # type: ignore[index]
            for reply in replies
        ]
        stands = Credential.objects.get(issuer__tenant=ours.tenant)
        assert actors == [{"type": "agent", "id": stands.key_id, "auth": {"method": "jwt"}}] * 2
        (issued,) = ledger.history(ours.slug, f"registry:credential:{stands.key_id}", limit=9)
        assert issued["predicate"]["event"] == "credential.issued"
        assert issued["predicate"]["detail"]["changes"]["issuer"] == {"after": "corp"}

    def test_asks_nothing_of_the_database_the_second_time(self, ours: World, monkeypatch: pytest.MonkeyPatch) -> None:
        shown = {"authorization": f"Bearer {token(ours)}"}
        first = machine.run(authn.caller(shown))

        async def look(*_: Any) -> None:
            raise AssertionError("it is known already")

        monkeypatch.setattr(authn.pool, "look", look)
        again = machine.run(authn.caller(shown))
        assert again.key is first.key
        assert authn.remembered(shown["authorization"].encode()) is not None

    def test_ends_by_the_databases_clock(self, acme: World, monkeypatch: pytest.MonkeyPatch) -> None:
        now = int(time.time())
        short = token(acme, iat=now - 60, exp=now + 5)
        assert ask(short).told == ALLOWED
        monkeypatch.setattr(authn.clock, "offset", authn.clock.offset + 3600)  # this machine's is wrong, and is told so
        assert ask(short).told == ALLOWED
        told = clock.now
        monkeypatch.setattr(authn.database_clock, "now", lambda: told() + timedelta(seconds=60))
        authn.clock.told(clock.now())
        assert refused(ask(short))

    @pytest.mark.parametrize("agent", ["nobody", "support-bot ", "*", "**", None, 7, [AGENT]])
    def test_speaks_for_no_one_who_is_not_registered(self, ours: World, agent: Any) -> None:
        assert refused(ask(token(ours, client_id=agent)))
        assert not Credential.objects.filter(issuer__tenant=ours.tenant).exists()

    def test_of_an_agent_that_was_deactivated_is_denied_as_with_a_key(self, ours: World) -> None:
        shown = token(ours)
        assert ask(shown).told == ALLOWED
        ours.apply(agents=[{**_agent(ours), "active": False}])
        assert ask(shown).told == (False, "deny", "agent_inactive")

    def test_looks_at_the_claim_of_exactly_that_name(self, acme: World) -> None:
        assert refused(ask(token(acme, client_id=None, sub=AGENT, Client_id=AGENT)), "claim")

    def test_counts_from_the_next_request_on_which_issuers_there_are(self, ours: World) -> None:
        shown = token(ours)
        assert ask(shown).told == ALLOWED
        ours.apply(issuers=[agents(ours, active=False)])
        assert refused(ask(shown), "believes")
        ours.apply(issuers=[agents(ours, active=True)])
        assert ask(shown).told == ALLOWED
        ours.apply(issuers=[agents(ours, jwks={"keys": [public(name="two", kid="EdDSA-one")]})])
        assert refused(ask(shown), "signature")

    def test_is_turned_away_for_good_once_what_stands_for_it_is_revoked(self, ours: World) -> None:
        shown = token(ours)
        assert ask(shown).told == ALLOWED
        stands = Credential.objects.get(issuer__tenant=ours.tenant)
        credentials.revoke(stands, actor=SETUP, now=clock.now())
        assert refused(ask(shown), "turned away")
        assert refused(ask(token(ours, more="a new one")), "turned away")

    def test_is_of_one_tenant_whatever_another_registers(self, acme: World) -> None:
        other = world(caps={})
        other.apply(issuers=[agents(other)])
        assert ask(token(other)).json["context"]["receipt"]["log"] == other.slug
        assert ask(token(acme)).json["context"]["receipt"]["log"] == acme.slug
        assert refused(ask(vouching.signed(vouching.claims(acme, aud="countersign-nobody"))), "believes")

    def test_is_not_remembered_under_an_issuer_that_changed_while_it_was_checked(self, ours: World) -> None:
        world_ = memory.renew(ours.slug, ours.tenant.epoch)
        view = world_.snapshot.issuers["jwt", vouching.ISSUER, vouching.audience(ours)]
        with pytest.raises(Problem, match="changed just now"):
            workloads._standing_for(replace(view, jwks={}), world_, AGENT)

    def test_of_a_person_is_no_agents(self, ours: World) -> None:
        ours.apply(issuers=[people(ours)])
        assert refused(ask(persons(ours, client_id=AGENT)), "believes")

    def test_has_no_key_that_could_be_guessed(self, acme: World) -> None:
        ask(token(acme))
        stands = Credential.objects.get(issuer__tenant=acme.tenant)
        assert refused(ask(f"csk_agent_{stands.key_id}_{'a' * 43}"))

    def test_is_no_key_to_the_peoples_pages(self, acme: World, client: Any) -> None:
        reply = client.get("/api/v1/requests", headers={"authorization": f"Bearer {token(acme)}"})
        assert reply.status_code == 401

    def test_opens_a_request_and_withdraws_it_like_a_key(self, acme: World) -> None:
        shown = token(acme)
        asked = ask(shown, big(open_request=True))
        task = asked.context["access_request"]["task"]["id"]
        assert machine.get(f"{machine.REQUESTS}/{task}", token(acme, more="later")).status == 200
        assert machine.get(f"{machine.REQUESTS}/{task}", acme.agent_key).status == 200  # the same subject
        cancelled = machine.post(f"{machine.REQUESTS}/{task}/cancel", shown, {})
        assert cancelled.json["task"]["status"] == "cancelled"
        told = [one["predicate"] for one in ledger.history(acme.slug, task, limit=9)]
        methods = {one["event"]: one["actor"]["auth"]["method"] for one in told}
        assert methods["request.opened"] == methods["request.cancelled"] == "jwt"


class TestKeySet:
    """Keys that are fetched, over a real socket, by the one way out."""

    @pytest.fixture
    def here(self, monkeypatch: pytest.MonkeyPatch) -> Iterator[Receiver]:
        given = settings.COUNTERSIGN.model_copy(update={"issuer_networks": "127.0.0.0/8"})
        monkeypatch.setattr(settings, "COUNTERSIGN", given)
        with receiver() as made:
            yield made

    @pytest.fixture
    def fetching(self, database: None, here: Receiver) -> World:
        own = world(caps={})
        own.apply(issuers=[agents(own, jwks=None, jwks_url=here.url)])
        tell(here, public())
        return own

    @pytest.fixture
    def seconds(self, monkeypatch: pytest.MonkeyPatch) -> Callable[[float], None]:
        passed = [0.0]
        monkeypatch.setattr(keysets, "_now", lambda: time.monotonic() + passed[0])
        return lambda more: passed.__setitem__(0, passed[0] + more)

    def test_is_fetched_once_for_many_tokens(self, fetching: World, here: Receiver) -> None:
        replies = machine.together(
            machine.send("POST", machine.EVALUATION, token(fetching, n=n), question()) for n in range(8)
        )
        assert {reply.told for reply in replies} == {ALLOWED}
        assert here.connections == 1

    def test_is_fetched_anew_for_a_key_it_lacks_but_once_a_minute(
        self, fetching: World, here: Receiver, seconds: Callable[[float], None]
    ) -> None:
        assert ask(token(fetching)).told == ALLOWED
        tell(here, public(), public(name="two"))
        new = vouching.signed(vouching.claims(fetching), name="two")
        assert refused(ask(new), "no such key")
        assert here.connections == 1
        seconds(keysets.PAUSE + 1)
        assert ask(new).told == ALLOWED
        for n in range(3):
            assert refused(ask(vouching.signed(vouching.claims(fetching), name=f"three-{n}")), "no such key")
        assert here.connections == 2

    def test_serves_its_last_good_copy_for_a_day_and_no_longer(
        self, fetching: World, here: Receiver, seconds: Callable[[float], None]
    ) -> None:
        assert ask(token(fetching)).told == ALLOWED
        here.say(b"HTTP/1.1 500 No\r\nContent-Length: 0\r\n\r\n")
        seconds(keysets.FRESH + 1)
        assert ask(token(fetching, n=1)).told == ALLOWED
        assert here.connections == 2
        seconds(keysets.KEPT - keysets.FRESH)
        assert ask(token(fetching, n=2)).status == 503
        tell(here, public(name="two"))
        seconds(keysets.PAUSE + 1)
        assert refused(ask(token(fetching, n=3)), "no such key")

    @pytest.mark.parametrize(
        "answer",
        [
            b"HTTP/1.1 200 OK\r\n\r\n{}",
            b"HTTP/1.1 200 OK\r\n\r\n[",
            b'HTTP/1.1 200 OK\r\n\r\n{"keys":[],"keys":[]}',
            b"HTTP/1.1 302 Found\r\nLocation: http://127.0.0.1/\r\nContent-Length: 0\r\n\r\n",
            b"HTTP/1.1 200 OK\r\n\r\n" + b" " * (keysets.MAX_BYTES + 1),
            b"nonsense",
        ],
    )
    def test_decides_nothing_without_keys(self, fetching: World, here: Receiver, answer: bytes) -> None:
        here.say(answer)
        assert ask(token(fetching)).status == 503

    def test_is_not_fetched_from_inside_unless_that_is_allowed(
        self, fetching: World, here: Receiver, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        closed = settings.COUNTERSIGN.model_copy(update={"issuer_networks": ""})
        monkeypatch.setattr(settings, "COUNTERSIGN", closed)
        assert ask(token(fetching)).status == 503
        assert here.connections == 0


def tell(here: Receiver, *keys: dict[str, Any]) -> None:
    body = vouching.json.dumps({"keys": list(keys)}).encode()
    here.say(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%b" % (len(body), body))


def _agent(own: World) -> dict[str, Any]:
    row = Agent.objects.select_related("owner__user", "team").get(tenant=own.tenant, agent_id=AGENT)
    return {"id": AGENT, "owner": row.owner.user.username, "team": row.team.name, "intents": row.intents,
            "tool_groups": row.tool_groups}  # fmt: skip
