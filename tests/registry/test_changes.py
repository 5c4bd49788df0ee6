"""One door for changes: row, record and epoch together or not at all."""

import threading

import pytest
from django.db import connection, transaction

from countersign.proof.events import Event
from evidence import clock, ledger
from evidence.models import Record
from registry import changes, describe, people
from registry.models import Tenant
from tests.worlds import SETUP, World, world


@pytest.fixture
def ours(database: None) -> World:
    return world()


def numbers(world_: World) -> tuple[int, int]:
    tenant = Tenant.objects.get(pk=world_.tenant.pk)
    return tenant.epoch, tenant.registry_revision


def rename(world_: World, name: str) -> None:
    tenant = changes.lock(world_.tenant)
    before = describe.tenant(tenant)
    tenant.name = name
    tenant.save()
    changes.recorded(
        tenant,
        kind="tenant",
        key="settings",
        actor=SETUP,
        now=clock.now(),
        before=before,
        after=describe.tenant(tenant),
    )


class TestBump:
    def test_refuses_to_rise_outside_a_transaction(self, ours: World) -> None:
        with pytest.raises(changes.NoTransaction):
            changes.bump(ours.tenant)

    def test_leaves_the_registry_revision_alone_for_keys(self, ours: World) -> None:
        epoch, revision = numbers(ours)
        with transaction.atomic():
            assert changes.bump(ours.tenant, registry=False) == epoch + 1
        assert numbers(ours) == (epoch + 1, revision)

    def test_every_concurrent_rise_counts(self, ours: World) -> None:
        epoch, _ = numbers(ours)

        def work() -> None:
            with transaction.atomic():
                changes.bump(ours.tenant)
            connection.close()

        threads = [threading.Thread(target=work) for _ in range(6)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert numbers(ours)[0] == epoch + 6


class TestRecorded:
    def test_a_rollback_takes_row_record_and_epoch_with_it(self, ours: World) -> None:
        before = numbers(ours)
        with transaction.atomic():
            rename(ours, "Gone")
            transaction.set_rollback(True)
        assert numbers(ours) == before
        assert not ledger.history(ours.slug, "registry:tenant:settings", limit=1)

    def test_no_difference_is_no_change(self, ours: World) -> None:
        before = numbers(ours)
        with transaction.atomic():
            rename(ours, ours.tenant.name)
        assert numbers(ours) == before

    def test_writes_only_what_is_different(self, ours: World) -> None:
        with transaction.atomic():
            rename(ours, "Acme Ltd")
        predicate = ledger.history(ours.slug, "registry:tenant:settings", limit=1)[0]["predicate"]
        assert predicate["event"] == Event.REGISTRY_CHANGED
        assert predicate["detail"] == {
            "kind": "tenant",
            "key": "settings",
            "verb": "changed",
            "changes": {"name": {"before": ours.slug, "after": "Acme Ltd"}},
        }

    def test_never_writes_secrets_or_addresses(self, ours: World) -> None:
        ours.key("pep")
        name = ours.username("gus")
        people.add(name, email=f"{name}@acme.test", tenant=ours.tenant, actor=SETUP, now=clock.now())
        bodies = b"".join(bytes(body) for body in ours_records(ours))
        secret = ours.pep_key.split("_")[3].encode()
        assert secret not in bodies
        assert bytes(ours.credential(ours.pep_key).secret_hash).hex().encode() not in bodies
        assert b"@acme.test" not in bodies


def ours_records(world_: World) -> list[bytes]:
    return list(Record.objects.filter(log=world_.slug).values_list("body", flat=True))


class TestDifference:
    def test_tells_members_apart_and_shows_foreign_keys_whole(self) -> None:
        before = {"approval": {"quorum": 2, "teams": ["a"]}, "properties": {"x": 1}}
        after = {"approval": {"quorum": 3, "teams": ["a"]}, "properties": {"x": 2}}
        assert changes.difference(before, after) == {
            "approval.quorum": {"before": 2, "after": 3},
            "properties": {"before": {"x": 1}, "after": {"x": 2}},
        }

    def test_an_absent_side_is_left_out(self) -> None:
        assert changes.difference(None, {"a": None}) == {"a": {"after": None}}
        assert changes.difference({"a": 1}, {}) == {"a": {"before": 1}}


class TestThread:
    def test_a_long_key_still_has_a_history_of_its_own(self) -> None:
        one, other = changes.thread("entity", "x" * 400), changes.thread("entity", "x" * 401)
        assert one != other
        assert len(one) <= changes.MAX_THREAD
