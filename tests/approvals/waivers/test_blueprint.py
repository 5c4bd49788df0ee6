"""Drafts of waivers in a blueprint: judged as text, applied as rows that lift nothing, shown until somebody asks."""

import json
from datetime import timedelta
from pathlib import Path
from typing import Any

import jsonschema_rs
import pytest
import yaml

from approvals.models import AccessRequest, Waiver
from approvals.waivers import asking, drafts
from countersign.policy.source import PolicyErrors
from countersign.proof.events import Event
from evidence import clock, ledger
from registry import blueprints
from registry.blueprints import report
from registry.models import WaiverDraft
from tests.approvals.browsing import by_key, signed_in
from tests.approvals.browsing import text as browsed
from tests.approvals.waivers.asking_page import local, made, press, typed
from tests.approvals.waivers.excepting import call, easy, terms
from tests.worlds import POLICY, SETUP, World

SCHEMA = json.loads((Path(__file__).parents[3] / "registry" / "blueprint.schema.json").read_text())
GOOD = {
    "id": "migration", "category": "waiver", "rules": ["refunds-over-100"], "reason": "Migration.", "owner": "carol",
    "match": {"agents": ["support-bot"], "tools": ["payments.refund"]}, "expires_at": "2027-01-31T18:00:00Z",
}  # fmt: skip
WORSE: dict[str, dict[str, Any]] = {
    "a state": {"state": "active"},
    "a version": {"version": 1},
    "who grants it": {"granted_by": ["erin"]},
    "no id": {"id": None},
    "a star in its id": {"id": "a*"},
    "no end": {"expires_at": None},
    "an end without a zone": {"expires_at": "2027-01-31T18:00:00"},
    "no rules": {"rules": []},
    "no agents": {"match": {"tools": ["a.b"]}},
    "no tools": {"match": {"agents": ["a"]}},
    "no use": {"max_uses": 0},
    "an unknown category": {"category": "forever"},
    "mitigated by nothing": {"category": "mitigated"},
    "a control of no kind": {"controls": [{"type": "notify"}]},
    "a check of nothing": {"controls": [{"kind": "check", "every": "5m"}]},
    "a check of two things": {"controls": [{"kind": "check", "url": "https://a.test/", "verified_uses": 3}]},
    "a check of a file": {"controls": [{"kind": "check", "url": "file:///etc/passwd"}]},
    "an attestation by nobody": {"controls": [{"kind": "attestation", "valid_until": "2027-01-01T00:00:00Z"}]},
}
ONLY_THE_READER: dict[str, dict[str, Any]] = {
    "every agent": {"match": {"agents": ["*"], "tools": ["a.b"]}},
    "a waiver of waivers": {"match": {"agents": ["a"], "resources": ["waiver:*"]}},
    "a condition that is none": {"when": "arguments.amount <"},
    "a number that evidence cannot keep": {
        "controls": [{"kind": "obligation", "type": "log", "properties": {"n": 9007199254740993}}],
    },
}  # fmt: skip


@pytest.fixture
def ours(database: None) -> World:
    return easy()


def text(**changes: Any) -> str:
    entry = {name: part for name, part in {**GOOD, **changes}.items() if part is not None}
    return yaml.safe_dump({"tenant": "t", "waivers": [entry]})


def parse(source: str) -> blueprints.Blueprint:
    return blueprints.parse(source, file="b.yaml", read=lambda _: POLICY)


def entry(own: World, **changes: Any) -> dict[str, Any]:
    return {"id": "migration", **terms(own, **changes)}


class TestParse:
    @pytest.mark.parametrize("mistake", WORSE)
    def test_refuses_and_so_does_the_schema_that_editors_use(self, mistake: str) -> None:
        source = text(**WORSE[mistake])
        with pytest.raises(PolicyErrors):
            parse(source)
        assert not jsonschema_rs.is_valid(SCHEMA, yaml.safe_load(source))

    @pytest.mark.parametrize("mistake", ONLY_THE_READER)
    def test_refuses_what_no_schema_can_say(self, mistake: str) -> None:
        with pytest.raises(PolicyErrors):
            parse(text(**ONLY_THE_READER[mistake]))

    def test_a_good_one_fits_both(self) -> None:
        controls = [
            {"kind": "obligation", "type": "notification", "properties": {"to": "#finance"}},
            {
                "kind": "attestation",
                "person": "erin",
                "link": "https://wiki.test/1",
                "valid_until": "2027-01-31T00:00:00Z",
            },
            {"kind": "check", "url": "https://probe.test/ok", "expect": 200, "every": "5m"},
            {"kind": "check", "metric": "failed_share", "over": "1h", "most": 5},
            {"kind": "check", "verified_uses": 10},
        ]
        source = text(category="mitigated", controls=controls, max_uses=10, when='method == "create"', ticket="OPS-1")
        jsonschema_rs.validate(SCHEMA, yaml.safe_load(source))
        (item,) = parse(source).items
        assert item.fields["terms"]["controls"][4] == {"kind": "check", "verified_uses": 10, "every": "5m"}

    def test_each_fault_is_told_at_its_place(self) -> None:
        source = (
            "tenant: t\n"
            "waivers:\n"
            "  - id: migration\n"
            "    category: waiver\n"
            "    rules: [a]\n"
            "    match: {agents: ['*'], tools: [a.b]}\n"
            "    when: arguments.amount <\n"
            "    reason: because\n"
            "    owner: carol\n"
            "    expires_at: tomorrow\n"
            "    granted: true\n"
        )
        with pytest.raises(PolicyErrors) as errors:
            parse(source)
        assert [problem.line for problem in errors.value.problems] == [6, 7, 10, 11]

    def test_refuses_one_name_twice(self) -> None:
        source = yaml.safe_dump({"tenant": "t", "waivers": [GOOD, json.loads(json.dumps(GOOD))]})
        with pytest.raises(PolicyErrors, match="waiver_draft 'migration' is there already"):
            parse(source)


class TestApply:
    def test_only_drafts(self, ours: World) -> None:
        ours.apply(waivers=[entry(ours)])
        assert not Waiver.objects.filter(tenant=ours.tenant).exists()
        assert not AccessRequest.objects.filter(tenant=ours.tenant).exists()
        assert call(ours).told == (False, "escalate", "approval_required")

    def test_twice_is_once_and_each_change_is_recorded(self, ours: World) -> None:
        assert [(one.kind, one.key) for one in ours.apply(waivers=[entry(ours)]).changes] == [
            ("waiver_draft", "migration"),
        ]  # fmt: skip
        ours.apply(waivers=[{**WaiverDraft.objects.get(tenant=ours.tenant).terms, "id": "migration"}])
        said = [
            one["predicate"]["detail"]["verb"]
            for one in ledger.history(ours.slug, "registry:waiver_draft:migration", limit=9)
            if one["predicate"]["event"] == Event.REGISTRY_CHANGED
        ]
        assert said == ["added"]

    def test_a_rehearsal_tells_and_changes_nothing(self, ours: World) -> None:
        source = yaml.safe_dump({"tenant": ours.slug, "waivers": [entry(ours, max_uses=3)]})
        applied = blueprints.rehearse(parse(source), actor=SETUP, now=clock.now())
        told = list(report.lines(applied))
        assert "+ waiver_draft migration" in told
        assert "    terms.max_uses: 3" in told
        assert not WaiverDraft.objects.filter(tenant=ours.tenant).exists()

    def test_pruning_takes_away_what_is_not_named(self, ours: World) -> None:
        ours.apply(waivers=[entry(ours)])
        source = yaml.safe_dump({"tenant": ours.slug, "prune": True})
        applied = blueprints.rehearse(parse(source), actor=SETUP, now=clock.now())
        assert "- waiver_draft migration" in list(report.lines(applied))


class TestApi:
    def test_tells_the_drafts(self, ours: World) -> None:
        ours.apply(waivers=[entry(ours)])
        (draft,) = by_key(ours, "ada", "read").get("/api/v1/waivers/drafts").json()
        assert (draft["id"], draft["asked"]) == ("migration", None)
        waiver = asking.ask(ours.tenant, draft["terms"], by=ours.dana, now=clock.now())
        (draft,) = by_key(ours, "ada", "read").get("/api/v1/waivers/drafts").json()
        assert draft["asked"] == waiver.pk


class TestPage:
    def test_another_tenants_draft_is_absent(self, ours: World) -> None:
        theirs = easy()
        theirs.apply(waivers=[entry(theirs)])
        assert "Proposed by the blueprint" not in page(ours, "/waivers/")
        assert signed_in(ours.dana).get("/waivers/new/?draft=migration").status_code == 404

    def test_a_member_takes_one_up_and_it_is_proposed_no_more(self, ours: World) -> None:
        until = local(timedelta(days=3))
        ours.apply(waivers=[entry(ours, expires_at=f"{until}:00Z", max_uses=3)])
        assert 'href="/waivers/new/?draft=migration"' in page(ours, "/waivers/")
        assert "draft=migration" not in page(ours, "/waivers/?state=live")
        form = page(ours, "/waivers/new/?draft=migration")
        assert "The migration of last year&#x27;s orders.</textarea>" in form
        assert f'name="expires_at" value="{until}"' in form
        assert not Waiver.objects.filter(tenant=ours.tenant).exists()
        fields = typed(ours, reason=terms(ours)["reason"], expires_at=until, max_uses="3")
        waiver = made(press(signed_in(ours.dana), "ask", fields))
        assert drafts.listed(ours.tenant)[0].asked == waiver
        assert "draft=migration" not in page(ours, "/waivers/")


def page(own: World, path: str) -> str:
    return browsed(signed_in(own.dana).get(path))


class TestListed:
    def test_abuse_057_shows_none_of_another_tenant(self, ours: World) -> None:
        theirs = easy()
        theirs.apply(waivers=[entry(theirs)])
        assert drafts.listed(ours.tenant) == []
        assert drafts.find(ours.tenant, "migration") is None

    def test_says_whether_somebody_asked_for_just_that(self, ours: World) -> None:
        ours.apply(waivers=[entry(ours)])
        (draft,) = drafts.listed(ours.tenant)
        assert draft.asked is None
        other = {**draft.terms, "expires_at": terms(ours, lasts=timedelta(days=2))["expires_at"]}
        asking.ask(ours.tenant, other, by=ours.dana, now=clock.now())
        assert drafts.listed(ours.tenant)[0].asked is None
        waiver = asking.ask(ours.tenant, dict(draft.terms), by=ours.dana, now=clock.now())
        found = drafts.find(ours.tenant, "migration")
        assert found is not None
        assert found.asked == waiver
