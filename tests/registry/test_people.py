"""Who is one human, and who a principal names."""

import pytest

from evidence import clock
from registry import people
from registry.models import Human, Membership, User
from tests.worlds import SETUP, World, world


@pytest.fixture(scope="module")
def ours(database: None) -> World:
    return world()


def add(world_: World, username: str, email: str, **more: object) -> Membership:
    return people.add(username, email=email, tenant=world_.tenant, actor=SETUP, now=clock.now(), **more)  # type: ignore[arg-type]


class TestHumans:
    @pytest.mark.parametrize(
        "spelling", ["ERIN-{}@acme.test", "erin-{}+two@acme.test", "erin-{}@ACME.TEST", " ｅｒｉｎ-{}@acme.test"]
    )
    def test_abuse_040_an_alias_is_not_a_second_person(self, ours: World, spelling: str) -> None:
        name = f"alias{abs(hash(spelling)) % 10**6}-{ours.suffix}"
        second = add(ours, name, spelling.format(ours.suffix))
        assert second.user != ours.erin.user
        assert second.user.human == ours.erin.user.human

    def test_abuse_040_two_accounts_of_one_subject_are_one_human(self, database: None) -> None:
        one = people.human_of("https://idp.test", "subject-1")
        assert people.human_of("https://idp.test", "subject-1") == one
        assert people.human_of("https://other.test", "subject-1") != one

    def test_a_subject_of_a_provider_is_taken_literally(self, database: None) -> None:
        assert people.human_of("https://idp.test", "A+b") != people.human_of("https://idp.test", "a+b")


class TestAdd:
    def test_refuses_a_username_of_another_address(self, ours: World) -> None:
        with pytest.raises(people.UsernameTaken):
            add(ours, ours.username("erin"), "mallory@acme.test")
        assert not User.objects.filter(email="mallory@acme.test").exists()

    def test_refuses_a_username_that_is_somebody_elses_address(self, ours: World) -> None:
        with pytest.raises(people.BadUsername):
            add(ours, f"frank-{ours.suffix}@acme.test", "mallory@acme.test")

    @pytest.mark.parametrize("username", ["", "Erin", "e rin", "erin+x", "еrin", "-erin", "x" * 151])
    def test_refuses_names_that_could_be_taken_for_others(self, ours: World, username: str) -> None:
        with pytest.raises(people.BadUsername):
            add(ours, username, "x@acme.test")

    def test_refuses_unknown_teams_and_roles(self, ours: World) -> None:
        with pytest.raises(people.UnknownTeam):
            add(ours, f"gus-{ours.suffix}", "gus@acme.test", teams=["nobody"])
        with pytest.raises(people.UnknownRole):
            add(ours, f"gus-{ours.suffix}", "gus@acme.test", roles=["root"])
        assert not Membership.objects.filter(user__username=f"gus-{ours.suffix}").exists()

    def test_one_login_is_a_member_of_two_tenants(self, ours: World) -> None:
        theirs = world()
        member = add(theirs, ours.username("erin"), ours.erin.user.email, teams=["finance"])
        assert member.user == ours.erin.user
        assert member.tenant == theirs.tenant
        assert people.team_names(member) == {"finance"}

    def test_makes_a_login_without_a_password(self, ours: World) -> None:
        assert not ours.erin.user.has_usable_password()


class TestResolve:
    @pytest.mark.parametrize(
        "spelling",
        [
            "erin-{}",
            "ERIN-{}",
            "erin-{}@acme.test",
            "Erin-{}@Acme.Test",
            "erin-{}+work@acme.test",
            " ｅｒｉｎ-{}",
            "erin-{}+x",
        ],
    )
    def test_abuse_142_finds_the_person_however_the_principal_is_spelt(self, ours: World, spelling: str) -> None:
        found = people.resolve(ours.tenant, spelling.format(ours.suffix))
        assert found
        assert found.user.human == ours.erin.user.human

    def test_abuse_142_finds_an_account_of_a_provider_by_its_address(self, database: None) -> None:
        theirs = world()
        human = people.human_of("https://idp.test", theirs.suffix)
        User.objects.filter(pk=theirs.frank.user_id).update(human=human, email=f"Frank-{theirs.suffix}+idp@acme.test")
        found = people.resolve(theirs.tenant, f"frank-{theirs.suffix}@acme.test")
        assert found == theirs.frank

    def test_finds_somebody_who_left(self, database: None) -> None:
        theirs = world()
        Membership.objects.filter(pk=theirs.erin.pk).update(active=False)
        assert people.resolve(theirs.tenant, theirs.username("erin")) == theirs.erin

    @pytest.mark.parametrize("stranger", ["", "+x", "nobody", "nobody@acme.test"])
    def test_knows_no_stranger(self, ours: World, stranger: str) -> None:
        assert people.resolve(ours.tenant, stranger) is None

    def test_abuse_057_knows_nobody_of_another_tenant(self, ours: World) -> None:
        assert people.resolve(world().tenant, ours.username("erin")) is None


class TestTeamNames:
    def test_reads_the_database_every_time(self, database: None) -> None:
        theirs = world()
        assert people.team_names(theirs.erin) == {"finance"}
        theirs.erin.teams.all().delete()
        assert people.team_names(theirs.erin) == frozenset()

    def test_abuse_045_an_inactive_member_answers_for_no_team(self, database: None) -> None:
        theirs = world()
        Membership.objects.filter(pk=theirs.erin.pk).update(active=False)
        User.objects.filter(pk=theirs.frank.user_id).update(is_active=False)
        User.objects.filter(pk=theirs.carol.user_id).update(is_service=True)
        assert {people.team_names(row) for row in (theirs.erin, theirs.frank, theirs.carol)} == {frozenset()}
        assert Human.objects.filter(users=theirs.erin.user).exists()
