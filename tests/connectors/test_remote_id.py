"""What another system's call names is found by an index, also where it was told before there was one."""

import importlib

import pytest
from django.apps import apps
from django.db import connection, transaction

from connectors.models import Delivery
from evidence import clock
from tests.approvals import asking
from tests.worlds import World, world

migration = importlib.import_module("connectors.migrations.0004_remote_id")


@pytest.fixture(scope="module")
def ours(database: None) -> World:
    return world()


def told(ours: World, kind: str, **ref: str) -> Delivery:
    now = clock.now()
    return Delivery.objects.create(
        tenant=ours.tenant, request=asking.opened(ours), kind=kind, place_key="x", ref=ref, created_at=now, updated_at=now
    )  # fmt: skip


@pytest.mark.parametrize(
    ("kind", "ref", "found"),
    [
        ("jira", {"id": "10001", "key": "OPS-1"}, "10001"),
        ("servicenow", {"table": "change_request", "sys_id": "a" * 32}, "a" * 32),
        ("jira", {"held": "digest"}, ""),
        ("jira", {}, ""),
        ("slack", {"channel": "C1", "ts": "1.2"}, ""),
    ],
)
def test_an_upgrade_fills_it_from_the_ref(ours: World, kind: str, ref: dict[str, str], found: str) -> None:
    row = told(ours, kind, **ref)
    with connection.schema_editor() as editor:
        migration.fill(apps, editor)
    row.refresh_from_db()
    assert row.remote_id == found


def test_it_is_looked_up_by_the_index(ours: World) -> None:
    rows = Delivery.objects.filter(tenant_id=ours.tenant.pk, kind="jira", remote_id="10001")
    with transaction.atomic(), connection.cursor() as cursor:
        if connection.vendor == "postgresql":
            cursor.execute("SET LOCAL enable_seqscan = off")  # in a table as small as this one it would be cheaper
        assert "delivery_by_remote_id" in rows.explain()
