"""References across tenants, tried in raw SQL on whichever database this run has."""

import pytest
from django.db import DatabaseError, connection, transaction

from registry.models import Agent, Tool
from tests.worlds import World, world


def run(sql: str, *values: object) -> None:
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute(sql, values)


@pytest.fixture(scope="module")
def worlds(database: None) -> tuple[World, World]:
    return world(), world()


class TestSameTenant:
    @pytest.mark.parametrize(
        ("child", "column", "parent"),
        [
            ("registry_agent", "team_id", "registry_team"),
            ("registry_agent", "owner_id", "registry_membership"),
            ("registry_tool", "owner_id", "registry_membership"),
            ("registry_teammember", "team_id", "registry_team"),
            ("registry_teammember", "membership_id", "registry_membership"),
        ],
    )
    def test_abuse_026_refuses_an_update_that_points_into_another_tenant(
        self, worlds: tuple[World, World], child: str, column: str, parent: str
    ) -> None:
        ours, theirs = worlds
        foreign = f"(SELECT max(id) FROM {parent} WHERE tenant_id = %s)"
        one = f"(SELECT min(id) FROM {child} WHERE tenant_id = %s)"
        with pytest.raises(DatabaseError, match=f"(?i)foreign key constraint.*{child}_{column}_same_tenant"):
            run(f"UPDATE {child} SET {column} = {foreign} WHERE id = {one}", theirs.tenant.pk, ours.tenant.pk)

    def test_refuses_a_row_inserted_by_hand(self, worlds: tuple[World, World]) -> None:
        ours, theirs = worlds
        team = theirs.erin.teams.get().team
        with pytest.raises(DatabaseError, match="registry_teammember_team_id_same_tenant"):
            run(
                "INSERT INTO registry_teammember (tenant_id, team_id, membership_id) VALUES (%s, %s, %s)",
                ours.tenant.pk, team.pk, ours.ada.pk,
            )  # fmt: skip

    def test_refuses_a_persons_key_for_somebody_elses_member(self, worlds: tuple[World, World]) -> None:
        ours, theirs = worlds
        row = ours.credential(ours.person_key("erin"))
        with pytest.raises(DatabaseError, match="registry_credential_membership_id_same_tenant"):
            run("UPDATE registry_credential SET membership_id = %s WHERE id = %s", theirs.erin.pk, row.pk)

    def test_refuses_to_move_a_row_that_others_refer_to(self, worlds: tuple[World, World]) -> None:
        ours, theirs = worlds
        with pytest.raises(DatabaseError, match=r"(?i)foreign key constraint"):
            run("UPDATE registry_team SET tenant_id = %s, name = 'x' WHERE id = %s", theirs.tenant.pk,
                ours.erin.teams.get().team_id)  # fmt: skip

    def test_refuses_to_move_a_row_together_with_nothing_it_refers_to(self, worlds: tuple[World, World]) -> None:
        ours, theirs = worlds
        tool = Tool.objects.filter(tenant=ours.tenant).first()
        assert tool
        with pytest.raises(DatabaseError, match="registry_tool_owner_id_same_tenant"):
            run("UPDATE registry_tool SET tenant_id = %s, tool_id = 'x' WHERE id = %s", theirs.tenant.pk, tool.pk)

    def test_lets_a_reference_move_within_its_tenant(self, worlds: tuple[World, World]) -> None:
        ours, _ = worlds
        run("UPDATE registry_agent SET owner_id = %s WHERE tenant_id = %s", ours.erin.pk, ours.tenant.pk)
        assert Agent.objects.get(tenant=ours.tenant).owner == ours.erin

    def test_lets_an_absent_reference_be(self, worlds: tuple[World, World]) -> None:
        ours, _ = worlds
        assert ours.credential(ours.pep_key).membership_id is None
