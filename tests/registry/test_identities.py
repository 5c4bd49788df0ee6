"""By which names other systems know a member: found by them, set once, never moved silently."""

import pytest

from evidence import clock
from evidence.models import Record
from registry import changes, people
from registry.models import Membership
from tests.worlds import SETUP, World, world


@pytest.fixture
def ours(database: None) -> World:
    return unknown(world())


def unknown(made: World) -> World:
    """The quickstart's people are known to its Slack already."""
    made.tenant.memberships.update(identities={})
    for member in made.people.values():
        member.refresh_from_db()
    return made


def known_as(member: Membership, value: str | None, kind: str = "slack") -> Membership:
    return people.set_identity(member, kind, value, actor=SETUP, now=clock.now())


class TestByIdentity:
    @pytest.mark.parametrize("value", ["", "T1/U1", "t0acme/u0erin", "U0ERIN"])
    def test_finds_nobody_for_what_nobody_is_known_by(self, ours: World, value: str) -> None:
        assert people.by_identity(ours.tenant, "slack", value) is None

    def test_finds_nobody_where_two_are_said_to_be_the_same_one(self, ours: World) -> None:
        Membership.objects.filter(pk__in=[ours.erin.pk, ours.frank.pk]).update(identities={"slack": "T1/U1"})
        assert people.by_identity(ours.tenant, "slack", "T1/U1") is None

    def test_another_tenants_member_is_nobody_here(self, ours: World) -> None:
        known_as(unknown(world()).erin, "T1/U9")
        assert people.by_identity(ours.tenant, "slack", "T1/U9") is None

    def test_finds_the_one_member_by_that_kind_alone(self, ours: World) -> None:
        known_as(ours.frank, "T1/U1")
        assert people.by_identity(ours.tenant, "slack", "T1/U1") == ours.frank
        assert people.by_identity(ours.tenant, "jira", "T1/U1") is None


class TestSetIdentity:
    def test_abuse_146_refuses_one_that_is_another_members(self, ours: World) -> None:
        known_as(ours.frank, "T1/U1")
        with pytest.raises(people.IdentityTaken):
            known_as(ours.dana, "T1/U1")
        assert people.by_identity(ours.tenant, "slack", "T1/U1") == ours.frank

    def test_abuse_146_refuses_to_put_another_in_the_place_of_one(self, ours: World) -> None:
        known_as(ours.frank, "T1/U1")
        with pytest.raises(people.IdentityTaken):
            known_as(ours.frank, "T1/U2")

    def test_is_recorded_and_keeps_the_others(self, ours: World) -> None:
        known_as(ours.frank, "5b10:frank", kind="jira")
        known_as(ours.frank, "T1/U1")
        thread = changes.thread(changes.PERSON, ours.username("frank"))
        record = Record.objects.filter(log=ours.slug, thread=thread).latest("n")
        assert record.event == "registry.changed"
        assert b'"after":"T1/U1"' in bytes(record.body)
        ours.frank.refresh_from_db()
        assert ours.frank.identities == {"jira": "5b10:frank", "slack": "T1/U1"}

    def test_is_forgotten_at_wish(self, ours: World) -> None:
        known_as(ours.frank, "T1/U1")
        known_as(ours.frank, None)
        assert people.by_identity(ours.tenant, "slack", "T1/U1") is None
        known_as(ours.frank, "T1/U2")
        assert people.by_identity(ours.tenant, "slack", "T1/U2") == ours.frank
