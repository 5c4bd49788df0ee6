"""What a process judges with: as new as it is asked to be, one tenant's own, refused when it cannot be vouched for."""

import threading
from collections.abc import Callable

import pytest
from django.db import connection, transaction

from countersign.policy import release as signed
from countersign.proof.keys import Signer
from evidence import clock, keys
from evidence.keys import Purpose
from registry import changes, credentials, releases, snapshot
from registry.models import Release, Tenant, Tool
from tests.worlds import POLICY, SETUP, World, world

OTHER = POLICY.replace("name: acme", "name: other")


@pytest.fixture
def ours(database: None) -> World:
    return world()


def latest(world_: World) -> snapshot.Snapshot:
    return snapshot.at_least(world_.slug, Tenant.objects.get(pk=world_.tenant.pk).epoch)


def bump(world_: World, **how: bool) -> int:
    with transaction.atomic():
        return changes.bump(world_.tenant, **how)


class TestCurrent:
    def test_knows_no_stranger(self, database: None) -> None:
        with pytest.raises(snapshot.UnknownTenant):
            snapshot.current("nobody")

    def test_asks_the_database_nothing_once_it_is_built(self, ours: World, django_assert_num_queries: Callable) -> None:
        first = snapshot.current(ours.slug)
        with django_assert_num_queries(0):
            assert snapshot.current(ours.slug) is first
            assert snapshot.at_least(ours.slug, first.epoch) is first
            assert snapshot.tenant_of(next(iter(first.keys))) == ours.slug

    def test_a_tenant_without_a_policy_is_denied_everything(self, database: None) -> None:
        tenant = Tenant.objects.create(slug=f"bare-{world().suffix}", name="bare", created_at=clock.now())
        bare = snapshot.current(tenant.slug)
        assert (bare.release_revision, bare.release_digest, bare.bundle.policy.rules) == (0, "", ())

    def test_is_not_kept_from_inside_a_transaction(self, ours: World) -> None:
        before = snapshot.current(ours.slug)
        with transaction.atomic():
            Tool.objects.filter(tenant=ours.tenant).update(active=False)
            epoch = changes.bump(ours.tenant)
            assert snapshot.at_least(ours.slug, epoch).epoch == epoch
            transaction.set_rollback(True)
        assert snapshot.current(ours.slug) is before
        assert bump(ours) == epoch  # the number that was rolled back is given again, to another change
        assert all(tool.active for tool in snapshot.at_least(ours.slug, epoch).bundle.registry.tools.values())

    def test_many_threads_get_one(self, ours: World) -> None:
        snapshot.forget(ours.slug)
        found: list[snapshot.Snapshot] = []

        def work() -> None:
            found.append(snapshot.current(ours.slug))
            connection.close()

        threads = [threading.Thread(target=work) for _ in range(6)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert len({id(one) for one in found}) == 1


class TestParts:
    def test_a_key_leaves_policy_and_registry_alone(self, ours: World) -> None:
        before = snapshot.current(ours.slug)
        key = ours.credential(ours.key("pep"))
        after = latest(ours)
        assert key.key_id in after.keys
        assert after.bundle.policy is before.bundle.policy
        assert after.bundle.tools is before.bundle.tools
        assert after.bundle.epoch == after.epoch == before.epoch + 1

    def test_a_tool_compiles_that_tool_alone(self, ours: World) -> None:
        before = snapshot.current(ours.slug)
        ours.apply(
            tools=[
                {"id": "crm.lookup", "group": "crm", "owner": ours.username("dana"), "risk_tier": 2, "methods": ["get"]}
            ]
        )
        after = latest(ours)
        assert after.bundle.registry.tools["crm.lookup"].risk_tier == 2
        assert after.bundle.tools["payments.refund"] is before.bundle.tools["payments.refund"]
        assert after.bundle.policy is before.bundle.policy
        assert after.registry_revision == before.registry_revision + 1

    def test_a_release_leaves_the_tools_alone(self, ours: World) -> None:
        before = snapshot.current(ours.slug)
        row = ours.with_policy(OTHER)
        after = latest(ours)
        assert (after.release_revision, after.release_digest) == (before.release_revision + 1, row.digest)
        assert after.bundle.policy.name == "other"
        assert after.bundle.tools is before.bundle.tools

    def test_a_tool_that_cannot_be_read_is_switched_off(self, ours: World) -> None:
        Tool.objects.filter(tenant=ours.tenant, tool_id="crm.lookup").update(approval={"quorum": 0})
        bump(ours)
        tools = latest(ours).bundle.registry.tools
        assert not tools["crm.lookup"].active
        assert tools["payments.refund"].active


class TestTenantOf:
    def test_a_new_key_works_at_once_and_its_snapshot_knows_it(self, ours: World) -> None:
        snapshot.current(ours.slug)
        presented = credentials.parse(ours.key("pep"))
        assert presented
        assert snapshot.tenant_of(presented.key_id) == ours.slug
        assert presented.key_id in snapshot.current(ours.slug).keys

    def test_a_stranger_costs_one_query_a_second_not_one_a_call(
        self, database: None, django_assert_num_queries: Callable
    ) -> None:
        with django_assert_num_queries(1):
            assert [snapshot.tenant_of("zzzzzzzzzzzz") for _ in range(20)] == [None] * 20

    def test_strangers_do_not_fill_the_memory(self, database: None, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(snapshot, "MAX_STRANGERS", 8)
        for n in range(20):
            snapshot.tenant_of(f"stranger{n:04}")
        assert len(snapshot._strangers) <= 8


class TestReleaseRefused:
    """ABUSE 140: what somebody wrote into the table by hand is no policy."""

    def refused(self, world_: World) -> str:
        snapshot.forget(world_.slug)
        with pytest.raises(releases.ReleaseRefused) as refusal:
            snapshot.current(world_.slug)
        assert world_.slug in str(refusal.value)
        return refusal.value.why

    def test_abuse_140_refuses_an_edited_source(self, ours: World) -> None:
        Release.objects.filter(tenant=ours.tenant).update(source=OTHER)
        assert "not what was signed" in self.refused(ours)

    def test_abuse_140_refuses_an_edited_envelope(self, ours: World) -> None:
        row = Release.objects.get(tenant=ours.tenant)
        forged = signed.sign(
            OTHER, revision=1, tenant=ours.slug, published_at=clock.now(),
            signer=Signer(name=keys.key_name(Purpose.RELEASES), seed=b"m" * 32),
        )  # fmt: skip
        row.envelope, row.source, row.digest = forged, OTHER, signed.digest_of(OTHER)
        row.save()
        assert "not signed by a known key" in self.refused(ours)

    def test_abuse_140_refuses_a_key_of_another_purpose(self, ours: World) -> None:
        forged = signed.sign(
            OTHER, revision=1, tenant=ours.slug, published_at=clock.now(), signer=keys.signer(Purpose.APPROVALS)
        )
        Release.objects.filter(tenant=ours.tenant).update(envelope=forged, source=OTHER, digest=signed.digest_of(OTHER))
        self.refused(ours)

    def test_abuse_140_refuses_an_inserted_row(self, ours: World) -> None:
        first = Release.objects.get(tenant=ours.tenant)
        Release.objects.create(
            tenant=ours.tenant, revision=2, digest=first.digest, source=first.source, envelope=first.envelope,
            published_at=clock.now(), published_by="nobody",
        )  # fmt: skip
        Tenant.objects.filter(pk=ours.tenant.pk).update(policy_revision=2)
        assert "not what was signed" in self.refused(ours)

    def test_abuse_140_refuses_another_tenants_release(self, ours: World) -> None:
        theirs = Release.objects.get(tenant=world().tenant)
        Release.objects.filter(tenant=ours.tenant).update(
            envelope=theirs.envelope, source=theirs.source, digest=theirs.digest
        )
        assert "another tenant" in self.refused(ours)

    def test_abuse_140_refuses_a_release_that_is_gone(self, ours: World) -> None:
        Release.objects.filter(tenant=ours.tenant).delete()
        assert "not there" in self.refused(ours)

    def test_abuse_113_refuses_a_number_turned_back(self, ours: World) -> None:
        ours.with_policy(OTHER)
        Tenant.objects.filter(pk=ours.tenant.pk).update(policy_revision=1)
        assert "although 2 was published" in self.refused(ours)
        Tenant.objects.filter(pk=ours.tenant.pk).update(policy_revision=0)
        self.refused(world_with_number(ours, 1))

    def test_abuse_113_refuses_a_number_turned_back_in_a_running_process(self, ours: World) -> None:
        ours.with_policy(OTHER)
        assert latest(ours).release_revision == 2
        Tenant.objects.filter(pk=ours.tenant.pk).update(policy_revision=1)
        bump(ours)
        with pytest.raises(releases.ReleaseRefused, match="in force after revision 2"):
            latest(ours)

    def test_a_refused_tenant_is_not_judged_by_what_is_in_memory_and_others_are(self, ours: World) -> None:
        other = world()
        snapshot.current(ours.slug)
        Release.objects.filter(tenant=ours.tenant).delete()
        ours.tenant.policy_revision = 7
        ours.tenant.save()
        bump(ours)
        for _ in range(2):
            with pytest.raises(releases.ReleaseRefused):
                latest(ours)
        with pytest.raises(releases.ReleaseRefused):
            snapshot.current(ours.slug)
        assert snapshot.current(other.slug)

    def test_publishing_again_serves_again(self, ours: World) -> None:
        Release.objects.filter(tenant=ours.tenant).update(source=OTHER)
        self.refused(ours)
        ours.with_policy(POLICY)
        assert latest(ours).release_revision == 2


def world_with_number(world_: World, revision: int) -> World:
    Tenant.objects.filter(pk=world_.tenant.pk).update(policy_revision=revision)
    return world_


class TestPublish:
    def test_refuses_a_policy_with_mistakes_and_changes_nothing(self, ours: World) -> None:
        epoch = Tenant.objects.get(pk=ours.tenant.pk).epoch
        with pytest.raises(releases.PolicyErrors) as errors:
            ours.with_policy("version: 1\nrules:\n  - {id: a, effect: alow}\n")
        assert errors.value.problems[0].line == 3
        assert Tenant.objects.get(pk=ours.tenant.pk).epoch == epoch

    def test_abuse_050_refuses_a_quorum_nobody_can_reach(self, ours: World) -> None:
        with pytest.raises(releases.PolicyErrors, match="only 3 could"):
            ours.with_policy(POLICY.replace("quorum: 2, step_up", "quorum: 4, step_up"))

    def test_abuse_050_counts_one_human_of_two_teams_once(self, ours: World) -> None:
        ours.apply(
            teams=[{"name": "audit"}],
            people=[
                {"username": ours.username(name), "email": ours.people[name].user.email, "teams": ["finance", "audit"]}
                for name in ("erin", "frank", "carol")
            ],
        )
        text = POLICY.replace("teams: [finance], quorum: 2", "teams: [finance, audit], quorum: 4")
        with pytest.raises(releases.PolicyErrors, match="must agree but only 3 could") as errors:
            ours.with_policy(text)
        assert "quorum: 4" in text.splitlines()[errors.value.problems[0].line - 1]

    def test_two_at_once_get_two_numbers(self, ours: World) -> None:
        def work(name: str) -> None:
            releases.publish(
                Tenant.objects.get(pk=ours.tenant.pk), POLICY.replace("name: acme", f"name: {name}"),
                file="p.yaml", actor=SETUP, now=clock.now(),
            )  # fmt: skip
            connection.close()

        threads = [threading.Thread(target=work, args=(f"p{n}",)) for n in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert sorted(ours.tenant.releases.values_list("revision", flat=True)) == [1, 2, 3, 4, 5]
        assert latest(ours).release_revision == 5
