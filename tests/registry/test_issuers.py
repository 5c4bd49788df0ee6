"""Whom a tenant believes is written in its blueprint, recorded when it changes, and believed by no two tenants."""

from datetime import timedelta
from typing import Any

import jsonschema_rs
import pytest
import yaml
from django.db import DatabaseError, IntegrityError, connection, transaction
from django.test import Client

from countersign.policy.source import PolicyErrors
from evidence import clock, ledger
from registry import issuers, snapshot
from registry.models import Agent, Credential, Issuer, Tenant
from tests.enforcement.vouching import agents, audience, people, public
from tests.registry.test_blueprints import SCHEMA, parse, refused
from tests.worlds import AGENT, World, world

CERTIFICATE = {"id": "cert", "certificate": "spiffe://acme.test/support", "agent": "a"}


@pytest.fixture
def ours(database: None) -> World:
    return world()


@pytest.fixture(scope="module")
def acme(database: None) -> World:
    """For tests that leave it as it is."""
    return world()


def told(own: World, key: str) -> dict[str, Any]:
    return dict(ledger.history(own.slug, f"registry:issuer:{key}", limit=1)[0]["predicate"])


def certificate(own: World, **changes: Any) -> dict[str, Any]:
    return {"id": "cert", "certificate": f"spiffe://{own.slug}.test/support", "agent": AGENT, **changes}


class TestBlueprint:
    def test_twice_is_once_and_a_change_is_recorded_with_its_difference(self, ours: World) -> None:
        first = ours.apply(issuers=[agents(ours), people(ours), certificate(ours)])
        assert [(change.kind, change.key) for change in first.changes] == [
            ("issuer", "corp"), ("issuer", "staff"), ("issuer", "cert"),
        ]  # fmt: skip
        epoch = ours.tenant.epoch
        assert ours.apply(issuers=[agents(ours), people(ours), certificate(ours)]).changes == ()
        assert ours.tenant.epoch == epoch
        ours.apply(issuers=[agents(ours, max_lifetime="10m", algorithms=["EdDSA"])])
        assert ours.tenant.epoch == epoch + 1
        assert told(ours, "corp")["event"] == "registry.changed"
        assert told(ours, "corp")["detail"]["changes"] == {
            "algorithms": {"before": ["ES256", "EdDSA", "RS256"], "after": ["EdDSA"]},
            "max_lifetime": {"before": 3600, "after": 600},
        }

    def test_an_entry_is_told_whole(self, ours: World) -> None:
        ours.apply(issuers=[agents(ours, max_lifetime="10m")])
        ours.apply(issuers=[agents(ours)])
        assert Issuer.objects.get(tenant=ours.tenant).max_lifetime == 3600
        ours.apply(issuers=[certificate(ours, id="corp")])
        row = Issuer.objects.select_related("agent").get(tenant=ours.tenant)
        assert (row.kind, row.audience, row.jwks, row.agent_claim) == ("certificate", "", {}, "")
        assert row.agent is not None
        assert row.agent.agent_id == AGENT

    def test_what_is_not_named_any_more_is_believed_no_more(self, ours: World) -> None:
        ours.apply(issuers=[agents(ours)])
        ours.apply(prune=True)
        assert told(ours, "corp")["detail"]["changes"] == {"active": {"before": True, "after": False}}
        ours.apply(issuers=[agents(ours, max_lifetime="5m")])
        assert not Issuer.objects.get(tenant=ours.tenant).active, "a routine apply revives nothing"

    def test_no_two_believe_the_same(self, ours: World, acme: World) -> None:
        acme.apply(issuers=[agents(acme), certificate(acme)])
        for entry in (agents(ours, audience=audience(acme)), {**certificate(acme), "agent": AGENT}):
            with pytest.raises(PolicyErrors, match="registered already") as refusal:
                ours.apply(issuers=[entry])
            assert acme.slug not in str(refusal.value)
        ours.apply(issuers=[agents(ours)])
        with pytest.raises(PolicyErrors, match="registered already"):
            ours.apply(issuers=[agents(ours, id="again")])
        acme.apply(issuers=[agents(acme, active=False)])
        ours.apply(issuers=[agents(ours, id="free", audience=audience(acme))])

    def test_a_certificates_agent_exists(self, acme: World) -> None:
        with pytest.raises(PolicyErrors, match="no agent 'suport-bot' exists"):
            acme.apply(issuers=[certificate(acme, agent="suport-bot")])

    @pytest.mark.parametrize(
        ("changes", "words"),
        [
            ({"id": None}, "'id' is missing"),
            ({"audience": None}, "'audience' is missing"),
            ({"algorithms": ["none"]}, "must be one of"),
            ({"algorithms": ["HS256"]}, "must be one of"),
            ({"algorithms": []}, "must not be empty"),
            ({"principal_claim": "email"}, "either agent_claim or principal_claim"),
            ({"agent_claim": None}, "either agent_claim or principal_claim"),
            ({"jwks": None}, "either jwks or jwks_url"),
            ({"jwks_url": "https://login.acme.test/keys"}, "either jwks or jwks_url"),
            ({"jwks": {"keys": [{**public(), "d": "AA"}]}}, "private"),
            ({"jwks": {"keys": []}}, "no key in it"),
            ({"jwks": None, "jwks_url": "file:///etc/passwd"}, "must begin with"),
            ({"jwks": None, "jwks_url": "https://a@b/"}, "no user name"),
            ({"agent": "a"}, "named by a certificate"),
            ({"issuer": " https://x"}, "space at the ends"),
            ({"audience": "a\u200b"}, "control characters"),
            ({"max_lifetime": "2d"}, "longer than 1d"),
            ({"max_lifetime": "0s"}, "duration"),
            ({"secret": "x"}, "unknown key"),
        ],
        ids=str,
    )  # fmt: skip
    def test_mistakes_are_located_and_the_schema_sees_most_of_them(
        self, acme: World, changes: dict[str, Any], words: str
    ) -> None:
        entry = {name: value for name, value in {**agents(acme), **changes}.items() if value is not None}
        document = {"tenant": "t", "issuers": [entry]}
        (problem, *_) = refused(yaml.safe_dump(document))
        assert problem.startswith("b.yaml:")
        assert words in problem
        if words not in {
            "private",
            "no user name",
            "space at the ends",
            "control characters",
            "longer than 1d",
            "duration",
        }:
            assert not jsonschema_rs.is_valid(SCHEMA, document)

    def test_the_schema_takes_what_is_right(self, acme: World) -> None:
        fetched = agents(acme, jwks=None, jwks_url="https://login.acme.test/keys", max_lifetime="10m", active=True)
        document = {"tenant": "t", "issuers": [fetched, people(acme), CERTIFICATE]}
        jsonschema_rs.validate(SCHEMA, document)
        assert [item.key for item in parse(yaml.safe_dump(document)).of("issuer")] == ["corp", "staff", "cert"]

    def test_an_entry_is_of_one_kind(self, acme: World) -> None:
        (problem, *_) = refused(yaml.safe_dump({"tenant": "t", "issuers": [{**agents(acme), **CERTIFICATE}]}))
        assert "either certificate or issuer" in problem
        twice = [agents(acme), agents(acme, id="other")]
        (problem,) = refused(yaml.safe_dump({"tenant": "t", "issuers": twice}))
        assert "there already" in problem


class TestRows:
    def test_promise_what_the_reader_could_state(self, ours: World, acme: World) -> None:
        ours.apply(issuers=[agents(ours), certificate(ours)])
        row, cert = Issuer.objects.filter(tenant=ours.tenant).order_by("kind").reverse()
        theirs = Agent.objects.filter(tenant=acme.tenant).first()
        assert theirs is not None
        for changes in ({"audience": ""}, {"principal_claim": "sub"}, {"agent_claim": ""}, {"kind": "certificate"}):
            with pytest.raises(IntegrityError), transaction.atomic():
                Issuer.objects.filter(pk=row.pk).update(**changes)
        with pytest.raises(DatabaseError), transaction.atomic():
            Issuer.objects.filter(pk=cert.pk).update(agent=theirs)
        Issuer.objects.create(tenant=acme.tenant, issuer_id="x", **_same(row), active=False)
        with pytest.raises(IntegrityError), transaction.atomic():
            Issuer.objects.filter(tenant=acme.tenant, issuer_id="x").update(active=True)

    def test_a_workload_has_one_credential_and_no_other_tenants(self, ours: World, acme: World) -> None:
        ours.apply(issuers=[agents(ours)])
        row = Issuer.objects.get(tenant=ours.tenant)
        key_id = issuers.admit(row.pk, AGENT, now=clock.now())
        assert issuers.admit(row.pk, AGENT, now=clock.now()) == key_id
        stands = Credential.objects.get(key_id=key_id)
        values = {
            "key_id": "abcdefghijkl",
            "kind": "agent",
            "secret_hash": b"",
            "created_at": clock.now(),
            "issuer": row,
        }
        for wrong in ({"tenant": ours.tenant, "name": AGENT}, {"tenant": acme.tenant, "name": "x"}):
            with pytest.raises(DatabaseError), transaction.atomic():
                Credential.objects.create(**values, **wrong)
        with pytest.raises(IntegrityError), transaction.atomic(), connection.cursor() as cursor:
            cursor.execute("UPDATE registry_credential SET kind = 'pep' WHERE id = %s", [stands.pk])

    def test_a_snapshot_knows_only_the_believed_and_who_stands_for_them(self, ours: World) -> None:
        ours.apply(issuers=[agents(ours)])
        row = Issuer.objects.get(tenant=ours.tenant)
        key_id = issuers.admit(row.pk, AGENT, now=clock.now() + timedelta(seconds=1))
        seen = _latest(ours)
        assert seen.standing == {(row.pk, AGENT): key_id}
        assert (seen.keys[key_id].method, seen.keys[key_id].brief) == ("jwt", True)
        ours.apply(issuers=[agents(ours, active=False)])
        gone = _latest(ours)
        assert (dict(gone.issuers), dict(gone.standing), key_id in gone.keys) == ({}, {}, False)
        with pytest.raises(issuers.TurnedAway):
            issuers.admit(row.pk, AGENT, now=clock.now())


@pytest.mark.filterwarnings("ignore:No directory at")
class TestAdmin:
    def test_shows_them_and_switches_them_off_on_record(self, ours: World) -> None:
        ours.apply(issuers=[agents(ours), certificate(ours)])
        browser = Client()
        browser.force_login(ours.dana.user)
        path = "/admin/registry/issuer/"
        row = Issuer.objects.get(tenant=ours.tenant, issuer_id="corp")
        assert "corp" in browser.get(path).content.decode()
        page = browser.get(f"{path}{row.pk}/change/").content.decode()
        assert audience(ours) in page
        assert browser.get(f"{path}add/").status_code == 403
        browser.post(path, {"action": "deactivate", "_selected_action": row.pk})
        row.refresh_from_db()
        assert not row.active
        assert told(ours, "corp")["actor"]["id"] == ours.username("dana")
        assert "corp" in browser.get(f"{path}{row.pk}/history/").content.decode()

    def test_does_not_switch_on_what_somebody_else_has_by_now(self, ours: World, acme: World) -> None:
        ours.apply(issuers=[agents(ours, active=False)])
        row = Issuer.objects.get(tenant=ours.tenant)
        Issuer.objects.create(tenant=acme.tenant, issuer_id="taken", **_same(row))
        browser = Client()
        browser.force_login(ours.dana.user)
        done = browser.post("/admin/registry/issuer/", {"action": "activate", "_selected_action": row.pk}, follow=True)
        assert "registered elsewhere" in done.content.decode()
        row.refresh_from_db()
        assert not row.active


def _same(row: Issuer) -> dict[str, Any]:
    names = ("kind", "issuer", "audience", "jwks", "algorithms", "agent_claim")
    return {name: getattr(row, name) for name in names}


def _latest(own: World) -> snapshot.Snapshot:
    return snapshot.at_least(own.slug, Tenant.objects.get(pk=own.tenant.pk).epoch)
