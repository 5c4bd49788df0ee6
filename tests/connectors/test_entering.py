"""Credentials that one administrator entered alone wait: recorded, told to the others, undone or confirmed by them."""

import json
from datetime import timedelta

import pytest
from django.conf import settings

from connectors import accounts, entering, held
from connectors.entering import NothingWaits, OwnChange
from connectors.held import Held, Next
from connectors.jira.inbound import NotSigned, mac_of, senders
from connectors.models import Access
from evidence import clock, keys
from evidence.ledger import Actor
from evidence.models import Record
from examples.lookalikes.jira.hooks import signature
from registry.models import Membership, User
from tests.connectors.attention.world import crowd, settle
from tests.worlds import SETUP, World, world

JIRA = {"url": "https://acme.atlassian.net", "email": "bot@acme.test", "token": "first", "webhook_secret": "w"}
THEIRS = JIRA | {"url": "https://mallory.atlassian.net", "webhook_secret": "mallorys"}
LATER = timedelta(hours=2)


@pytest.fixture
def ours(database: None) -> World:
    """Dana and Carol are administrators; Jira is connected by somebody at the machine."""
    made = world()
    Membership.objects.filter(pk=made.carol.pk).update(roles=["admin"])
    accounts.save(made.tenant, "jira", JIRA, actor=SETUP, now=clock.now())
    return made


def dana(ours: World) -> Actor:
    return ours.actor("dana")


def enter(ours: World, *, ago: timedelta = timedelta(0), kind: str = "jira", **changes: str) -> None:
    accounts.save(ours.tenant, kind, THEIRS | changes, actor=dana(ours), now=clock.now() - ago)


def token(ours: World) -> str | None:
    found = accounts.account(ours.tenant, "jira")
    return found.settings["url"] if found else None


def details(ours: World, event: str) -> list[dict[str, object]]:
    rows = Record.objects.filter(log=ours.slug, event=event).order_by("pk")
    return [json.loads(bytes(row.body))["predicate"]["detail"] for row in rows]


class TestWaiting:
    def test_abuse_141_what_one_administrator_enters_does_not_count_yet(self, ours: World) -> None:
        enter(ours)
        assert token(ours) == JIRA["url"]
        assert settings.COUNTERSIGN.connector_cooldown == timedelta(hours=1)

    def test_abuse_141_nor_does_a_first_connection(self, ours: World) -> None:
        given = {"bot_token": "xoxb-1", "signing_secret": "mallorys"}
        accounts.save(ours.tenant, "slack", given, actor=dana(ours), now=clock.now())
        assert accounts.account(ours.tenant, "slack") is None
        assert "slack" not in accounts.kinds_of(ours.tenant)
        assert ours.slug not in {one.tenant for one in accounts.accounts("slack")}

    def test_abuse_141_nor_is_what_is_signed_with_it_believed(self, ours: World) -> None:
        enter(ours)
        mine = [one for one in accounts.accounts("jira") if one.tenant == ours.slug]
        assert senders(mine, mac=mac_of(signature("w", b"{}")), body=b"{}")
        with pytest.raises(NotSigned):
            senders(mine, mac=mac_of(signature("mallorys", b"{}")), body=b"{}")

    def test_abuse_141_forgetting_first_makes_no_short_cut(self, ours: World) -> None:
        accounts.forget(ours.tenant, "jira", actor=dana(ours), now=clock.now())
        enter(ours)
        assert token(ours) is None

    def test_abuse_141_entering_it_twice_makes_it_wait_anew(self, ours: World) -> None:
        enter(ours, ago=timedelta(minutes=59))
        enter(ours, token="second")
        waits = entering.waiting(Access.objects.get(tenant=ours.tenant, kind="jira"))
        assert waits.counts_from > clock.now() + timedelta(minutes=59)

    def test_after_a_while_it_counts(self, ours: World) -> None:
        enter(ours, ago=LATER)
        assert token(ours) == THEIRS["url"]
        assert entering.waiting(Access.objects.get(tenant=ours.tenant, kind="jira")) is None
        enter(ours, url="https://third.atlassian.net")
        assert token(ours) == THEIRS["url"]

    def test_who_stands_at_the_machine_waits_for_nobody(self, ours: World) -> None:
        enter(ours)
        accounts.save(ours.tenant, "jira", JIRA | {"token": "third"}, actor=SETUP, now=clock.now())
        assert accounts.account(ours.tenant, "jira").settings["token"] == "third"
        assert entering.waiting(Access.objects.get(tenant=ours.tenant, kind="jira")) is None

    def test_entering_what_counts_already_takes_back_what_waits(self, ours: World) -> None:
        enter(ours)
        accounts.save(ours.tenant, "jira", JIRA, actor=dana(ours), now=clock.now())
        assert entering.waiting(Access.objects.get(tenant=ours.tenant, kind="jira")) is None

    def test_abuse_140_the_moment_cannot_be_hastened_in_the_database(self, ours: World) -> None:
        """It is under the seal, and a box that was made for another row does not open."""
        enter(ours)
        other = world()
        waits = Held(None, Next(THEIRS, clock.now() - LATER, "dana"))
        Access.objects.filter(tenant=ours.tenant).update(box=held.sealed(waits, other.tenant, "jira"))
        with pytest.raises(keys.CannotUnseal):
            accounts.account(ours.tenant, "jira")


class TestDeciding:
    def test_another_undoes_it(self, ours: World) -> None:
        enter(ours)
        entering.undo(ours.tenant, "jira", actor=ours.actor("carol"), now=clock.now())
        assert token(ours) == JIRA["url"]
        with pytest.raises(NothingWaits):
            entering.undo(ours.tenant, "jira", actor=ours.actor("carol"), now=clock.now())

    def test_another_undoes_a_first_connection(self, ours: World) -> None:
        accounts.forget(ours.tenant, "jira", actor=SETUP, now=clock.now())
        enter(ours)
        entering.undo(ours.tenant, "jira", actor=ours.actor("carol"), now=clock.now())
        assert not Access.objects.filter(tenant=ours.tenant).exists()

    def test_another_confirms_it(self, ours: World) -> None:
        enter(ours)
        entering.confirm(ours.tenant, "jira", actor=ours.actor("carol"), now=clock.now())
        assert token(ours) == THEIRS["url"]

    def test_abuse_141_who_entered_it_does_not_confirm_it(self, ours: World) -> None:
        enter(ours)
        with pytest.raises(OwnChange):
            entering.confirm(ours.tenant, "jira", actor=dana(ours), now=clock.now())
        assert token(ours) == JIRA["url"]

    def test_abuse_040_nor_under_another_name_of_theirs(self, ours: World) -> None:
        enter(ours)
        User.objects.filter(pk=ours.carol.user_id).update(human_id=ours.dana.user.human_id)
        with pytest.raises(OwnChange):
            entering.confirm(ours.tenant, "jira", actor=ours.actor("carol"), now=clock.now())

    def test_what_counts_already_is_neither_undone_nor_confirmed(self, ours: World) -> None:
        enter(ours, ago=LATER)
        for decide in (entering.undo, entering.confirm):
            with pytest.raises(NothingWaits):
                decide(ours.tenant, "jira", actor=ours.actor("carol"), now=clock.now())


class TestEvidence:
    def test_says_what_was_loosened_and_never_a_value(self, ours: World) -> None:
        enter(ours)
        (said,) = details(ours, "config.weakened")
        assert (said["setting"], said["by"]) == ("connector.jira", ours.username("dana"))
        assert said["changed"] == ["url", "webhook_secret"]
        (alert,) = details(ours, "alert.fired")
        assert (alert["alert"], alert["counts_from"]) == ("connector.changed", said["counts_from"])
        bodies = b"".join(bytes(row.body) for row in Record.objects.filter(log=ours.slug))
        assert b"mallory" not in bodies

    def test_says_how_it_was_decided(self, ours: World) -> None:
        enter(ours)
        entering.undo(ours.tenant, "jira", actor=ours.actor("carol"), now=clock.now())
        undone = details(ours, "registry.changed")[-1]
        assert set(undone["changes"]) == {f"next.{name}" for name in (*THEIRS, "counts_from")}

    def test_who_stands_at_the_machine_loosens_nothing(self, ours: World) -> None:
        assert details(ours, "config.weakened") == details(ours, "alert.fired") == []


def test_the_other_administrators_are_written_to_through_what_counts_until_then(database: None) -> None:
    """Who replaces the mail relay first does not silence the word about it."""
    with crowd() as here:
        Membership.objects.filter(pk=here.acme.carol.pk).update(roles=["admin"])
        relay = {"url": "smtps://relay.mallory.test?from=x@mallory.test", "sender": "x@mallory.test"}
        accounts.save(here.acme.tenant, "email", relay, actor=dana(here.acme), now=clock.now())
        given = {"bot_token": "xoxb-1", "signing_secret": "mallorys"}
        accounts.save(here.acme.tenant, "slack", given, actor=dana(here.acme), now=clock.now())
        settle(here, kinds=("connectors.alarm",))
        told = [letter.get_body(("plain",)).get_content() for letter in here.letters("carol")]
        assert len(told) == 2
        assert all("undo it now" in words and "/admin/connectors/access/" in words for words in told)
        assert not any("mallory" in words for words in told)
        assert here.letters("dana") == []
