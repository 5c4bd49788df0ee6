"""A query's SQL is written once; what comes back is what the ORM gives."""

from datetime import UTC, datetime, timedelta, timezone

import pytest
from django.db import connection, transaction
from django.db.models import Case, QuerySet
from django.test.utils import CaptureQueriesContext

from evidence.models import Record
from evidence.queries import Compiled
from registry.models import Membership, Tenant, User
from tests.worlds import World, world


@pytest.fixture(scope="module")
def ours(database: None) -> World:
    return world()


def described(*names: str) -> QuerySet[Membership]:
    rows = Membership.objects.select_related("user__human", "tenant").order_by("pk")
    return rows.filter(user__username__in=names)


def fields_of(member: Membership) -> list[dict]:
    return [
        {field.attname: getattr(row, field.attname) for field in row._meta.concrete_fields}
        for row in (member, member.user, member.user.human, member.tenant)
    ]


class TestCompiled:
    def test_gives_the_models_that_the_orm_gives_with_all_that_was_joined(self, ours: World) -> None:
        asked = Compiled(described)
        names = [ours.username("erin"), ours.username("frank")]
        found = asked(*names)
        with CaptureQueriesContext(connection) as queries:
            assert [fields_of(row) for row in found] == [fields_of(row) for row in described(*names)]
        assert len(queries) == 1, "the ORM's own: nothing of ours was looked up again"
        assert found == list(described(*names))

    def test_gives_other_rows_for_other_values_and_writes_the_sql_once(self, ours: World) -> None:
        written = []

        def told(name: str) -> QuerySet[User]:
            written.append(name)
            return User.objects.filter(username=name)

        asked = Compiled(told)
        for name in ("erin", "carol", "erin"):
            assert asked.first(ours.username(name)) == ours.people[name].user
        assert asked.first("nobody") is None
        assert len(written) == 1

    def test_gives_tuples_and_single_values(self, ours: World) -> None:
        pairs = Compiled(lambda pk: Membership.objects.filter(pk=pk).values_list("user__username", "identities"))
        (pair,) = pairs(ours.erin.pk)
        assert pair == (ours.username("erin"), ours.erin.identities)
        assert type(pair) is tuple
        flat = Compiled(lambda pk: Membership.objects.filter(pk=pk).values_list("active", flat=True))
        assert flat(ours.erin.pk) == [True]
        assert flat(ours.erin.pk)[0] is True

    def test_defers_what_the_description_defers(self, ours: World) -> None:
        member = Compiled(lambda pk: Membership.objects.filter(pk=pk).only("active")).first(ours.erin.pk)
        assert member.get_deferred_fields() >= {"roles", "identities"}
        assert member.identities == ours.erin.identities

    def test_takes_times_with_their_zone(self, ours: World) -> None:
        record = Record.objects.filter(log=ours.slug).order_by("recorded_at").first()
        since = Compiled(lambda log, at: Record.objects.filter(log=log, recorded_at__gte=at).values_list("recorded_at"))
        tokyo = record.recorded_at.astimezone(timezone(timedelta(hours=9)))
        assert (record.recorded_at,) in since(ours.slug, tokyo)
        assert since(ours.slug, datetime(2999, 1, 1, tzinfo=UTC)) == []

    @pytest.mark.parametrize("count", [0, 1, 2, 9, 30])
    def test_takes_any_number_of_values_and_keeps_few_texts(self, ours: World, count: int) -> None:
        asked = Compiled(described)
        names = [ours.username("erin"), *(f"nobody-{number}" for number in range(count - 1))][:count]
        assert len(asked(*names)) == min(count, 1)
        assert len(asked._plans) == (1 if 0 < count < 9 else 0)

    @pytest.mark.parametrize("hostile", ["'; DROP TABLE x; --", "%s", "%(name)s", "\\", '"', "é", "%%"])
    def test_a_value_is_never_sql(self, ours: World, hostile: str) -> None:
        assert Compiled(lambda name: User.objects.filter(username=name))(hostile) == []

    def test_locks_only_inside_of_a_transaction(self, ours: World) -> None:
        if connection.vendor != "postgresql":
            pytest.skip("SQLite locks no rows")
        locked = Compiled(lambda slug: Tenant.objects.select_for_update().filter(slug=slug))
        for _ in range(2):
            with pytest.raises(transaction.TransactionManagementError):
                locked(ours.slug)
            with transaction.atomic(), CaptureQueriesContext(connection) as queries:
                assert locked.first(ours.slug) == ours.tenant
            assert "FOR UPDATE" in queries[0]["sql"]

    def test_refuses_what_it_does_not_build(self, ours: World) -> None:
        with pytest.raises(TypeError, match="ValuesIterable"):
            Compiled(lambda pk: Membership.objects.filter(pk=pk).values("active"))(1)
        with pytest.raises(TypeError, match="annotated"):
            Compiled(lambda pk: Membership.objects.filter(pk=pk).annotate(one=Case(default=1)))(1)
