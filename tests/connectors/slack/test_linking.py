"""Binding a Slack account to a member: begun on our page, typed in Slack, named and confirmed on our page, never by a link."""

import json
import re
from collections.abc import Iterator

import pytest
from django.test import Client

from approvals.models import Vote
from connectors.models import Linking
from connectors.slack import linking
from connectors.slack.card import APPROVE
from evidence import clock
from evidence.models import Record
from registry import people
from registry.models import Membership
from tests.approvals.browsing import signed_in, text
from tests.connectors.slack.house import House, house, serving
from tests.connectors.slack_world import words_in
from tests.worlds import world

MALLORY = "T0ACME/U0MALLORY"


@pytest.fixture(scope="module")
def url(database: None) -> Iterator[str]:
    with serving() as address:
        yield address


@pytest.fixture
def ours(url: str) -> Iterator[House]:
    """`ada` is an auditor without a Slack account; Mallory is in Slack, linked to nobody."""
    with house(url) as made:
        yield made


def begun(member: Membership) -> tuple[Client, str]:
    """The member's browser, and the line its page tells them to type."""
    client = signed_in(member)
    page = text(client.post("/account/slack/code/"))
    found = re.search(r"<code>(/approvals link [0-9a-z]{4}-[0-9a-z]{4})</code>", page)
    assert found
    return client, found[1]


def confirm(client: Client) -> str:
    found = re.search(r'name="linking" value="(\w+)"', text(client.get("/account/slack/")))
    sent = {"linking": found[1] if found else "lnk_none"}
    return text(client.post("/account/slack/confirm/", sent, follow=True))


def typed(ours: House, who: str, line: str) -> str:
    return str(json.loads(ours.slack.command(who, line).body)["text"])


def identity(member: Membership) -> str | None:
    return Membership.objects.get(pk=member.pk).identities.get("slack")


class TestLinking:
    def test_abuse_146_typing_a_code_binds_nothing(self, ours: House) -> None:
        """Whoever is talked into typing somebody's code learns whose it is, and nothing is bound yet."""
        _, line = begun(ours.world.ada)
        said = typed(ours, "mallory", line)
        assert ours.world.username("ada") in said
        assert "nothing is linked" in said
        assert identity(ours.world.ada) is None
        assert people.by_identity(ours.world.tenant, "slack", MALLORY) is None

    def test_abuse_146_no_message_in_chat_holds_a_link_that_binds(self, ours: House) -> None:
        client, line = begun(ours.world.ada)
        said = [typed(ours, "mallory", one) for one in ("/approvals", "/approvals link", "/approvals help", line)]
        for address in re.findall(r"https?://[^\s|>]+", " ".join(said)):
            client.get(address.partition("//")[2].partition("/")[2].join(("/", "")))
        assert identity(ours.world.ada) is None

    def test_abuse_146_another_member_cannot_confirm_what_was_offered(self, ours: House) -> None:
        client, line = begun(ours.world.ada)
        typed(ours, "mallory", line)
        offered = Linking.objects.get(identity=MALLORY, tenant=ours.world.tenant)
        other = signed_in(ours.world.carol)
        other.post("/account/slack/unlink/")
        other.post("/account/slack/confirm/", {"linking": offered.pk})
        assert people.by_identity(ours.world.tenant, "slack", MALLORY) is None
        assert "is linked" in confirm(client)

    def test_abuse_146_an_account_of_another_member_is_not_moved(self, ours: House) -> None:
        client, line = begun(ours.world.ada)
        assert "linked already" in typed(ours, "erin", line)
        Linking.objects.filter(membership=ours.world.ada).update(identity="T0ACME/U0ERIN")
        assert "somebody else" in confirm(client)
        assert identity(ours.world.ada) is None
        assert identity(ours.world.erin) == "T0ACME/U0ERIN"

    def test_abuse_055_confirming_needs_the_forms_token(self, ours: House) -> None:
        _, line = begun(ours.world.ada)
        typed(ours, "mallory", line)
        offered = Linking.objects.get(identity=MALLORY, tenant=ours.world.tenant)
        bare = signed_in(ours.world.ada, enforce_csrf_checks=True)
        assert bare.post("/account/slack/confirm/", {"linking": offered.pk}).status_code == 403
        assert bare.get("/account/slack/confirm/").status_code == 405
        assert identity(ours.world.ada) is None

    def test_the_page_names_the_account_and_binds_it_at_a_press(self, ours: House) -> None:
        client, line = begun(ours.world.ada)
        assert client.get("/account/slack/offered/").headers.get("HX-Redirect") is None
        typed(ours, "mallory", line)
        assert client.get("/account/slack/offered/").headers["HX-Redirect"] == "/account/slack/"
        page = text(client.get("/account/slack/"))
        assert "@mallory in acme (T0ACME/U0MALLORY)" in page
        assert "is linked" in confirm(client)
        assert people.by_identity(ours.world.tenant, "slack", MALLORY) == ours.world.ada
        record = Record.objects.filter(log=ours.world.slug, event="registry.changed").latest("id")
        assert MALLORY.encode() in bytes(record.body)

    def test_slack_is_told_too_and_can_take_it_back(self, ours: House) -> None:
        client, line = begun(ours.world.ada)
        typed(ours, "mallory", line)
        confirm(client)
        ours.pump()
        direct = ours.slack.workspace.direct("U0MALLORY").id
        assert "If that is not you" in words_in([block for one in ours.slack.messages(direct) for block in one.blocks])
        assert "no longer" in typed(ours, "mallory", "/approvals unlink")
        assert identity(ours.world.ada) is None

    def test_who_is_linked_answers_and_who_is_unlinked_does_not(self, ours: House) -> None:
        dana = ours.world.carol
        signed_in(dana).post("/account/slack/unlink/")
        client, line = begun(dana)
        typed(ours, "mallory", line)
        confirm(client)
        request = ours.opened()
        ours.slack.press("mallory", ours.card(request).ts, APPROVE)
        assert Vote.objects.get(request=request).membership == dana
        client.post("/account/slack/unlink/")
        other = ours.opened()
        ours.slack.press("mallory", ours.card(other).ts, APPROVE)
        assert Vote.objects.filter(request=other).count() == 0


class TestCodes:
    def test_are_good_once(self, ours: House) -> None:
        _, line = begun(ours.world.ada)
        typed(ours, "mallory", line)
        ours.slack.workspace.people["U0MALLORY"].name = "somebody"
        assert "unknown" in typed(ours, "mallory", line)

    def test_are_worth_nothing_after_five_minutes(self, ours: House) -> None:
        _, line = begun(ours.world.ada)
        Linking.objects.filter(membership=ours.world.ada).update(expires_at=clock.now())
        assert "unknown" in typed(ours, "mallory", line)

    def test_are_replaced_by_a_newer_one(self, ours: House) -> None:
        _, older = begun(ours.world.ada)
        _, newer = begun(ours.world.ada)
        assert "unknown" in typed(ours, "mallory", older)
        assert "This is the code of" in typed(ours, "mallory", newer)

    def test_of_another_tenant_are_unknown(self, ours: House) -> None:
        code = linking.begin(world().ada, now=clock.now())
        assert "unknown" in typed(ours, "mallory", f"/approvals link {code}")

    def test_are_read_as_people_type_them(self, ours: House) -> None:
        code = linking.begin(ours.world.ada, now=clock.now())
        spelt = f" {code.upper().replace('-', ' ').replace('0', 'o').replace('1', 'I')} "
        assert "This is the code of" in typed(ours, "mallory", f"/approvals link {spelt}")

    def test_cannot_be_guessed_for_long(self, ours: House) -> None:
        said = [typed(ours, "mallory", f"/approvals link 0000-{n:04d}") for n in range(7)]
        assert "Too many wrong codes" in said[-1]
        code = linking.begin(ours.world.ada, now=clock.now())
        assert "Too many wrong codes" in typed(ours, "mallory", f"/approvals link {code}")

    def test_are_kept_as_a_keyed_hash(self, ours: House) -> None:
        code = linking.begin(ours.world.ada, now=clock.now())
        kept = Linking.objects.get(membership=ours.world.ada)
        assert code.replace("-", "") not in f"{kept.pk}{kept.shown_as}{kept.identity}"


class TestPage:
    def test_says_so_where_there_is_no_slack(self) -> None:
        assert "No Slack here" in text(signed_in(world().ada).get("/account/slack/"))

    def test_is_reached_from_ones_account(self, ours: House) -> None:
        assert 'href="/account/slack/"' in text(signed_in(ours.world.ada).get("/account/"))

    def test_an_account_is_named_harmlessly(self, ours: House) -> None:
        ours.slack.workspace.people["U0MALLORY"].name = "<script>alert(1)</script>"
        client, line = begun(ours.world.ada)
        typed(ours, "mallory", line)
        assert "<script>alert" not in text(client.get("/account/slack/"))
