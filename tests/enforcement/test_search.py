"""Search says who may do what: what evaluation would allow, no more and no less, and leaves nothing but its record."""

import json
from typing import Any

import pytest
import yaml
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from approvals.models import AccessRequest
from countersign.policy.index import Part
from enforcement import search
from enforcement.models import Attempt, Counter, Escalation, Execution
from evidence import ledger
from evidence.models import KeptArguments, Record
from tests.approvals.waivers import excepting
from tests.enforcement.machine import EVALUATION, OUTCOMES, Reply, ask, big, get, post, question, send, together
from tests.enforcement.test_requests import approved, easy, using
from tests.worlds import World, world

PATH = "/access/v1/search/"
ALL = "version: 1\nname: acme\nrules: [{id: all, effect: allow}]\n"


@pytest.fixture(scope="module")
def acme(database: None) -> World:
    return world(caps={})


@pytest.fixture(scope="module")
def wide(database: None) -> World:
    """Everything is allowed, by agents, people and what the catalogue has."""
    own = world(caps={}, policy=ALL)
    bots = [
        {"id": f"bot-{n}", "owner": own.username("dana"), "team": "support", "intents": ["**"], "tool_groups": ["**"]}
        for n in range(6)
    ]
    own.apply(agents=bots, entities=[{"type": "record", "id": f"r {n}/é"} for n in range(4)])
    return own


def left_open(part: str, asked: dict[str, Any]) -> dict[str, Any]:
    """The question without what is searched for."""
    left = {name: value for name, value in asked.items() if name != part}
    return left if part == "action" else {**left, part: {k: v for k, v in asked[part].items() if k != "id"}}


def find(key: str, part: str, body: Any = None, *, page: Any = None, **changes: Any) -> Reply:
    """A search for what a refund of 10 by support-bot leaves open."""
    asked = left_open(part, question(**changes) if body is None else body)
    return post(PATH + part, key, asked if page is None else {**asked, "page": page})


def names(reply: Reply) -> list[str]:
    assert reply.status == 200, reply.body
    return [one.get("id") or one["name"] for one in reply.json["results"]]


def pages(key: str, part: str, body: Any, **page: Any) -> list[list[str]]:
    """All pages, one after the other."""
    replies = [find(key, part, body, page=page)]
    while token := replies[-1].json["page"]["next_token"]:
        replies.append(find(key, part, body, page={**page, "token": token}))
        assert len(replies) < 50
    return [names(reply) for reply in replies]


def anybody(kind: str = "agent", **changes: Any) -> dict[str, Any]:
    return question(subject={"type": kind, "id": "?"}, **changes)


def lookup(**changes: Any) -> dict[str, Any]:
    return question(**{"action": {"name": "get"}, "resource": {"type": "tool", "id": "crm.lookup"}, **changes})


class TestFound:
    def test_is_what_the_standard_calls_it(self, acme: World) -> None:
        replies = [find(acme.pep_key, part) for part in ("subject", "resource", "action")]
        assert [reply.json["results"] for reply in replies] == [
            [{"type": "agent", "id": "support-bot"}],
            [{"type": "tool", "id": "payments.refund"}],
            [{"name": "create"}],
        ]
        assert [reply.json["page"] for reply in replies] == [{"next_token": "", "count": 1, "total": 1}] * 3
        assert replies[0].body.startswith(b'{"page":')

    def test_is_nothing_where_evaluation_denies_or_asks_people(self, acme: World) -> None:
        assert names(find(acme.pep_key, "subject", big())) == []
        assert names(find(acme.pep_key, "action", arguments={"order": "A-1"})) == []
        assert names(find(acme.pep_key, "resource", intent="idle")) == []
        assert names(find(acme.pep_key, "subject", anybody("spaceship"))) == []

    def test_is_among_people_and_the_catalogue_too(self, wide: World) -> None:
        people = sorted(wide.username(name) for name in ("erin", "frank", "carol", "dana", "ada"))
        key = wide.key("pep", subjects=["user:*"])
        assert names(find(key, "subject", anybody("user"))) == people
        record = question(resource={"type": "record", "id": "?"})
        assert names(find(wide.pep_key, "resource", record)) == [f"r {n}/é" for n in range(4)]
        assert names(find(wide.pep_key, "action", record)) == ["create", "delete", "get"]
        assert names(find(wide.pep_key, "resource", question(resource={"type": "user", "id": "?"}))) == []

    def test_ignores_what_stands_in_the_open_place(self, acme: World) -> None:
        plain = find(acme.pep_key, "subject").json["results"]
        for named in ("nobody", "", 7, None, "x" * 5000):
            body = {**question(), "subject": {"type": "agent", "id": named}}
            assert post(PATH + "subject", acme.pep_key, body).json["results"] == plain
        body = {**question(), "action": 12}
        assert names(post(PATH + "action", acme.pep_key, body)) == ["create"]

    def test_is_judged_with_the_properties_and_the_context_that_were_sent(self, database: None) -> None:
        rule = {
            "id": "r",
            "effect": "allow",
            "when": "subject.properties.role == 'admin' && resource.properties.old && context.mood == 'fine'",
        }
        own = world(caps={}, policy=yaml.safe_dump({"version": 1, "name": "n", "rules": [rule]}))
        body = lookup(
            subject={"type": "agent", "id": "support-bot", "properties": {"role": "admin"}},
            resource={"type": "tool", "id": "crm.lookup", "properties": {"old": True}},
            mood="fine",
        )
        for part, wanted in (("subject", "support-bot"), ("resource", "crm.lookup"), ("action", "get")):
            assert names(find(own.pep_key, part, body))[:1] == [wanted]
            assert names(find(own.pep_key, part, {**body, "context": {"mood": "bad"}})) == []

    def test_is_everything_the_registry_permits_where_the_policy_only_observes(self, database: None) -> None:
        own = world(caps={"rate": ["1/day"]}, policy="version: 1\nname: n\nmode: observe\nrules: []\n")
        assert names(find(own.pep_key, "resource")) == ["payments.refund"]
        assert [ask(own.pep_key).told[0] for _ in range(2)] == [True, True]
        assert names(find(own.pep_key, "subject")) == ["support-bot"]
        assert names(find(own.pep_key, "action", arguments={})) == []

    def test_is_nothing_over_a_cap(self, database: None) -> None:
        own = world(caps={"rate": ["2/day"], "spend": {"argument": "amount", "per_call": "50.00", "currency": "EUR"}})
        for part in ("subject", "resource", "action"):
            assert len(names(find(own.pep_key, part))) == 1
            assert names(find(own.pep_key, part, arguments={"order": "A", "amount": "50.01"})) == []
        assert [ask(own.pep_key).told[0] for _ in range(3)] == [True, True, False]
        for part in ("subject", "resource", "action"):
            assert names(find(own.pep_key, part)) == []

    def test_is_what_a_waiver_lets_through_while_it_has_a_use_left(self, database: None) -> None:
        own = excepting.easy()
        assert names(find(own.pep_key, "subject", big())) == []
        excepting.granted(own, max_uses=1)
        for _ in range(2):  # finding takes none
            assert names(find(own.pep_key, "subject", big())) == ["support-bot"]
            assert names(find(own.pep_key, "resource", using("apr_other", big()))) == ["payments.refund"]
        assert excepting.call(own).told[0] is True
        assert names(find(own.pep_key, "subject", big())) == []
        assert excepting.call(own).told[0] is False

    def test_is_not_what_a_person_has_to_reconcile_first(self, database: None) -> None:
        own = easy()
        body = question(transaction="t-1")
        reply = ask(own.pep_key, body)
        report = {name: reply.context[name] for name in ("evaluation_id", "action_digest", "commitment_salt")}
        post(OUTCOMES, own.pep_key, {**report, "status": "indeterminate"})
        assert ask(own.pep_key, body).context["reason"] == "unreconciled"
        for part, name in (("subject", "support-bot"), ("resource", "payments.refund"), ("action", "create")):
            assert name not in names(find(own.pep_key, part, body))
            assert name in names(find(own.pep_key, part, question(transaction="t-2")))

    def test_is_not_what_only_an_approval_would_allow(self, database: None) -> None:
        own = excepting.easy()
        given = approved(own, big())
        assert names(find(own.pep_key, "subject", using(given, big()))) == []
        assert ask(own.pep_key, using(given, big())).told[0] is True

    def test_is_not_what_obliges_to_more_than_the_pep_can_do(self, database: None) -> None:
        rule = "version: 1\nname: n\nrules: [{id: a, effect: allow, obligations: [{type: log}]}]\n"
        own = world(caps={}, policy=rule)
        assert names(find(own.pep_key, "subject", supported_obligations=["redact"])) == []
        assert names(find(own.pep_key, "subject", supported_obligations=["log"])) == ["support-bot"]

    def test_follows_a_change_at_once(self, database: None) -> None:
        own = world(caps={})
        assert names(find(own.pep_key, "subject")) == ["support-bot"]
        own.with_policy("version: 1\nname: n\nrules: []\n")
        assert names(find(own.pep_key, "subject")) == []


class TestReach:
    def test_leaves_out_whom_the_credential_does_not_speak_for(self, wide: World) -> None:
        everybody = [f"bot-{n}" for n in range(6)]
        assert names(find(wide.pep_key, "subject", anybody(intent=None)))[:6] == everybody
        few = wide.key("pep", agents=["bot-1"], subjects=["agent:*-4", "record:r 1*"])
        assert names(find(few, "subject", anybody(intent=None))) == ["bot-1", "bot-4"]
        assert names(find(few, "subject", anybody("record"))) == ["r 1/é"]
        assert names(find(few, "subject", anybody("user"))) == []

    def test_of_an_agent_is_itself(self, wide: World) -> None:
        assert names(find(wide.agent_key, "subject", anybody())) == ["support-bot"]
        assert names(find(wide.agent_key, "subject", anybody("user"))) == []
        assert names(find(wide.agent_key, "resource", lookup())) == ["crm.lookup", "payments.refund"]

    @pytest.mark.parametrize("part", ["resource", "action"])
    def test_refuses_a_search_for_somebody_else(self, wide: World, part: str) -> None:
        body = question(subject={"type": "agent", "id": "bot-1"})
        assert find(wide.agent_key, part, body).status == 403
        assert find(wide.key("pep", agents=["bot-2"]), part, body).status == 403

    def test_is_only_for_who_asks_for_decisions(self, acme: World) -> None:
        assert find(acme.key("verifier"), "subject").status == 403
        assert find(acme.person_key("dana", "read"), "subject").status == 403
        assert post(PATH + "subject", None, question()).status == 401

    def test_of_a_brief_credential_says_nothing_of_what_was_refused(self, database: None) -> None:
        own = world(caps={}, policy=ALL.replace("effect: allow", "effect: allow, when: arguments.amount == 'x'"))
        reply = find(own.agent_key, "resource")
        assert reply.json["results"] == []
        assert set(reply.json["context"]) == {"search_id", "evaluated_at", "policy", "registry"}
        assert reply.json["page"] == {"next_token": "", "count": 0, "total": 0}


@pytest.fixture(scope="module")
def mixed(database: None) -> World:
    """Agents of which one is off, tools of two groups, records and people that the catalogue knows beside members."""
    own = world(caps={})
    bots = [("bot-1", "lookup", "crm", True), ("bot-2", "lookup", "*", True), ("off", "*", "*", False)]
    own.apply(
        agents=[
            {"id": name, "owner": own.username("dana"), "team": "support", "intents": [intent], "tool_groups": [group],
             "active": active} for name, intent, group, active in bots
        ],
        entities=[{"type": kind, "id": name} for kind in ("record", "user") for name in ("r-1", "r-2")],
    )  # fmt: skip
    return own


matches = st.fixed_dictionaries(
    {},
    optional={
        "subjects": st.sampled_from([["agent:bot-*"], ["user:*"], ["agent:bot-1", "record:*"]]),
        "resources": st.sampled_from([["tool:crm.*"], ["record:*"], ["tool:payments.refund", "record:r-1"]]),
        "actions": st.sampled_from([["get"], ["read", "create"], ["g*"]]),
    },
)
ruled = st.fixed_dictionaries(
    {"effect": st.sampled_from(["allow", "allow", "deny"]), "match": matches},
    optional={"when": st.sampled_from(["arguments.n > 1", "intent == 'lookup'"])},
)


class TestExact:
    """Over the API, with all that decides there. That the names are complete, the pure search's own test says."""

    @given(st.lists(ruled, max_size=4), st.sampled_from(["enforce", "enforce", "observe"]), st.data())
    @settings(
        max_examples=8, deadline=None, phases=[Phase.generate], suppress_health_check=list(HealthCheck), database=None
    )
    def test_finds_what_evaluating_every_candidate_allows(
        self, mixed: World, rules: list[dict[str, Any]], mode: str, data: st.DataObject
    ) -> None:
        named = [{"id": f"r{n}", **rule} for n, rule in enumerate(rules)]
        mixed.with_policy(json.dumps({"version": 1, "name": "n", "mode": mode, "rules": named}))
        members = sorted(one.user.username for one in mixed.people.values())
        places = {
            "agent": ["bot-1", "bot-2", "off", "support-bot"], "user": [*members, "r-1", "r-2"],
            "record": ["r-1", "r-2"], "tool": ["crm.delete", "crm.lookup", "payments.refund"],
        }  # fmt: skip
        who, what = data.draw(st.sampled_from(["agent", "user"])), data.draw(st.sampled_from(["tool", "record"]))
        how = {name for rule in rules for name in rule["match"].get("actions", ()) if "*" not in name}
        body = question(
            subject={"type": who, "id": data.draw(st.sampled_from(places[who]))},
            resource={"type": what, "id": data.draw(st.sampled_from(places[what]))},
            action={"name": data.draw(st.sampled_from(["create", "get", "read"]))},
            intent=data.draw(st.sampled_from([None, "lookup"])),
            arguments=data.draw(st.sampled_from([{}, {"n": 2}, {"order": "A", "amount": "1.00"}])),
        )
        key = mixed.key("pep", subjects=["user:*", "agent:**"])
        candidates = {
            "subject": [{"type": who, "id": name} for name in places[who]],
            "resource": [{"type": what, "id": name} for name in places[what]],
            "action": [{"name": name} for name in sorted(how | {"create", "get", "delete"})],
        }
        for part, entities in candidates.items():
            replies = together([send("POST", EVALUATION, key, {**body, part: entity}) for entity in entities])
            allowed = [entity for entity, reply in zip(entities, replies, strict=True) if reply.json["decision"]]
            told = find(key, part, body).json["results"]
            assert sorted(map(sorted, map(dict.items, told))) == sorted(map(sorted, map(dict.items, allowed)))


class TestRecord:
    def test_is_one_and_nothing_else_is_left(self, database: None) -> None:
        own = world()
        before = Record.objects.filter(log=own.slug).count()
        replies = [
            find(own.pep_key, part, attempt="one", open_request=True, session="s-1") for part in ("subject", "action")
        ]
        replies.append(find(own.pep_key, "resource", big(open_request=True)))
        assert Record.objects.filter(log=own.slug).count() == before + 3
        for table in (Counter, Attempt, Escalation, Execution, AccessRequest):
            assert not table.objects.filter(
                **{"credential__tenant" if table is Attempt else "tenant": own.tenant}
            ).exists()
        assert not KeptArguments.objects.filter(log=own.slug).exists()

        row = Record.objects.get(event_id=replies[0].context["search_id"])
        assert (row.event, row.thread, row.n, row.session) == ("search.made", row.event_id, 0, "s-1")

    def test_names_who_searched_for_what_and_no_argument(self, acme: World) -> None:
        reply = find(acme.pep_key, "subject", arguments={"order": "A-secret-order", "amount": "11.11"})
        found = ledger.find(acme.slug, reply.context["search_id"])
        assert found is not None
        said = found["predicate"]
        assert said["actor"]["id"] == acme.credential(acme.pep_key).key_id
        assert said["detail"] == {
            "searched": "subject", "about": {
                "subject": {"type": "agent"}, "resource": {"type": "tool", "id": "payments.refund"},
                "action": {"name": "create"},
            },
            "arguments": True, "continued": False, "found": 1, "more": False, "results": said["detail"]["results"],
            "policy": reply.context["policy"], "registry": reply.context["registry"],
        }  # fmt: skip
        assert not any(word in str(found) for word in ("A-secret-order", "11.11"))


class TestPages:
    def test_hold_everything_once_and_in_order(self, wide: World) -> None:
        body = anybody(intent=None)
        everybody = [f"bot-{n}" for n in range(6)]
        assert pages(wide.pep_key, "subject", body, limit=4) == [everybody[:4], everybody[4:]]
        assert pages(wide.pep_key, "subject", body, limit=3) == [everybody[:3], everybody[3:]]
        assert pages(wide.pep_key, "subject", body, limit=6) == [everybody]
        assert pages(wide.pep_key, "subject", body, limit=10**15) == [everybody]

    def test_say_how_many_there_are_only_where_nobody_had_to_count(self, wide: World) -> None:
        first = find(wide.pep_key, "subject", anybody(intent=None), page={"limit": 4}).json["page"]
        assert (first["count"], "total" in first) == (4, False)
        last = find(wide.pep_key, "subject", anybody(intent=None), page={"token": first["next_token"]}).json["page"]
        assert last == {"next_token": "", "count": 2}

    def test_may_hold_nothing_and_lead_on(self, wide: World) -> None:
        reply = find(wide.pep_key, "subject", anybody(intent=None), page={"limit": 0})
        assert (names(reply), reply.json["page"]["count"]) == ([], 0)
        assert reply.json["page"]["next_token"]
        assert find(wide.pep_key, "subject", anybody("spaceship"), page={"limit": 0}).json["page"]["next_token"] == ""

    def test_come_short_and_lose_nothing_when_time_is_up(self, wide: World, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(search, "SECONDS", -1.0)
        short = pages(wide.pep_key, "subject", anybody(intent=None))
        assert [len(page) for page in short[:6]] == [1] * 6
        assert [name for page in short for name in page] == [f"bot-{n}" for n in range(6)]

    def test_neither_repeat_nor_lose_what_was_there_when_something_is_added_between(self, database: None) -> None:
        own = world(caps={}, policy=ALL)
        records = [{"type": "record", "id": f"r-{n}"} for n in (1, 3, 5, 7)]
        own.apply(entities=records)
        body = question(resource={"type": "record", "id": "?"})
        first = find(own.pep_key, "resource", body, page={"limit": 2})
        own.apply(entities=[*records, *({"type": "record", "id": f"r-{n}"} for n in (0, 2, 3.5, 6))])
        rest = find(own.pep_key, "resource", body, page={"token": first.json["page"]["next_token"], "limit": 2})
        last = find(own.pep_key, "resource", body, page={"token": rest.json["page"]["next_token"]})
        assert names(first) + names(rest) + names(last) == ["r-1", "r-3", "r-3.5", "r-5", "r-6", "r-7"]

    def test_leave_out_what_a_cap_refuses_without_ending_there(self, database: None) -> None:
        own = world(caps={"rate": ["1/day"]}, policy=ALL)
        own.apply(
            agents=[
                {
                    "id": f"bot-{n}",
                    "owner": own.username("dana"),
                    "team": "support",
                    "intents": ["*"],
                    "tool_groups": ["*"],
                }
                for n in range(3)
            ]
        )
        assert ask(own.pep_key, question(subject={"type": "agent", "id": "bot-1"})).told[0]
        assert pages(own.pep_key, "subject", anybody(), limit=2) == [["bot-0"], ["bot-2", "support-bot"]]


@pytest.fixture(scope="module")
def token(wide: World) -> str:
    return str(find(wide.pep_key, "subject", anybody(intent=None), page={"limit": 2}).json["page"]["next_token"])


class TestToken:
    def test_opens_the_next_page_of_its_query_and_no_other(self, wide: World, token: str) -> None:
        page = {"token": token}
        body = anybody(intent=None)
        assert names(find(wide.pep_key, "subject", body, page=page)) == ["bot-2", "bot-3"]
        for other in (
            anybody(intent="customer-refund"), anybody("user", intent=None),
            anybody(intent=None, arguments={"order": "A-2", "amount": "10.00"}),
            anybody(intent=None, action={"name": "get"}), anybody(intent=None, seen=True),
            question(intent=None, subject={"type": "agent", "id": "?", "properties": {"x": 1}}),
        ):  # fmt: skip
            assert find(wide.pep_key, "subject", other, page=page).status == 400
        assert find(wide.pep_key, "subject", body, page={**page, "limit": 3}).status == 400
        assert find(wide.pep_key, "subject", body, page={**page, "limit": 2}).status == 200
        assert find(wide.pep_key, "subject", body, page={**page, "properties": {"sort": "name"}}).status == 400
        assert find(wide.pep_key, "resource", question(intent=None), page=page).status == 400

    def test_opens_nothing_for_another_credential_or_tenant(self, wide: World, acme: World, token: str) -> None:
        for key in (wide.key("pep"), wide.agent_key, acme.pep_key):
            assert find(key, "subject", anybody(intent=None), page={"token": token}).status == 400

    @pytest.mark.parametrize("spoilt", ["", "x", "AAAA", 7, None, "\u00e9", "{}"])
    def test_that_is_none_of_ours_is_refused(self, wide: World, spoilt: Any) -> None:
        assert find(wide.pep_key, "subject", anybody(intent=None), page={"token": spoilt}).status == 400

    def test_that_was_tampered_with_is_refused(self, wide: World, token: str) -> None:
        for n in range(0, len(token) - 4, 13):
            spoilt = token[:n] + ("A" if token[n] != "A" else "B") + token[n + 1 :]
            assert find(wide.pep_key, "subject", anybody(intent=None), page={"token": spoilt}).status == 400

    def test_has_the_same_length_wherever_the_search_came_to(self, wide: World, token: str) -> None:
        other = find(wide.pep_key, "resource", question(resource={"type": "record", "id": "?"}), page={"limit": 1})
        assert len(other.json["page"]["next_token"]) == len(token)


class TestRefused:
    @pytest.mark.parametrize(
        ("part", "body"),
        [
            ("subject", {"subject": {"type": "agent"}, "resource": {"type": "tool", "id": "x"}}),
            ("subject", {"subject": {}, "action": {"name": "x"}, "resource": {"type": "tool", "id": "x"}}),
            ("subject", {"subject": {"type": "agent"}, "action": {"name": "x"}, "resource": {"type": "tool"}}),
            ("subject", {"subject": "agent", "action": {"name": "x"}, "resource": {"type": "tool", "id": "x"}}),
            ("resource", {"action": {"name": "x"}, "resource": {"type": "tool"}}),
            ("resource", {"subject": {"type": "agent"}, "action": {"name": "x"}, "resource": {"type": "tool"}}),
            ("resource", {"subject": {"type": "agent", "id": "x"}, "action": {"name": "x"}}),
            ("action", {"subject": {"type": "agent", "id": "x"}}),
            ("action", {"subject": {"type": "agent"}, "resource": {"type": "tool", "id": "x"}}),
            ("action", []),
        ],
    )
    def test_is_what_lacks_a_part_that_is_not_open(self, acme: World, part: str, body: Any) -> None:
        assert post(PATH + part, acme.pep_key, body).status == (422 if body == [] else 400)

    @pytest.mark.parametrize(
        "page", [[], 1, None, {"limit": -1}, {"limit": True}, {"limit": "1"}, {"limit": 1.5}, {"properties": 3}]
    )
    def test_is_a_page_of_another_shape(self, acme: World, page: Any) -> None:
        body = {**left_open("subject", question()), "page": page}
        assert post(PATH + "subject", acme.pep_key, body).status == 400

    def test_is_any_other_method_type_or_path(self, acme: World) -> None:
        assert get(PATH + "subject", acme.pep_key).status == 405
        assert post(PATH + "subject", acme.pep_key, b"{}", content_type="text/plain").status == 400
        assert post(PATH + "people", acme.pep_key, question()).status == 404


class TestDiscovery:
    def test_names_the_three_endpoints(self, acme: World) -> None:
        told = get("/.well-known/authzen-configuration", None).json
        ends = {part: told[f"search_{part}_endpoint"] for part in Part}
        assert all(end.endswith(PATH + part) for part, end in ends.items())
