"""What a digest leaves behind is never stale: it is rewritten where it can be, and leads to the outcome where not."""

import re
from collections.abc import Iterator
from datetime import timedelta

import pytest

from approvals import requests
from connectors import digest, pauses
from connectors.models import Digest
from connectors.port import TransportError
from evidence import clock
from examples.lookalikes.jira.server import Jira
from examples.lookalikes.jira.site import Issue, Site
from outbox import pump
from outbox.models import Job
from tests.approvals.asking import DENY, TESTS, vote
from tests.approvals.browsing import signed_in, text
from tests.connectors.attention.world import Crowd, crowd, later, settle
from tests.connectors.jira.world import Desk, connected
from tests.connectors.slack_world import SlackWorld


class TestInJira:
    @pytest.fixture
    def desk(self, database: None) -> Iterator[Desk]:
        Job.objects.filter(state="ready").update(state="done", dedupe=None)
        with Jira(Site(storm=False)) as server:
            server.site.add_project("OPS")
            yield connected(server, "")

    @pytest.fixture
    def here(self, desk: Desk) -> Crowd:
        return Crowd(desk.acme, None, None)  # type: ignore[arg-type]  # nobody asks for these here

    def test_the_issue_names_nothing_any_more_once_all_of_it_is_over(self, desk: Desk, here: Crowd) -> None:
        asked = [desk.asked() for _ in range(7)]
        settle(here)
        (issue,) = digests(desk)
        assert issue.fields["summary"] == "2 more requests wait for approval"
        assert asked[6].pk in issue.fields["description"]
        vote(asked[5], here.acme.erin, DENY)
        settle(here)
        assert asked[5].pk not in issue.fields["description"]
        requests.cancel(asked[6].pk, tenant_id=asked[6].tenant_id, actor=TESTS, reason="", now=clock.now())
        settle(here)
        assert issue.fields["summary"] == "Nothing more waits here."
        assert "/requests/" not in issue.fields["description"]

    def test_an_issue_that_a_newer_one_replaced_says_so(self, desk: Desk, here: Crowd) -> None:
        for _ in range(6):
            desk.asked()
        settle(here)
        later(here, 11)
        for _ in range(6):
            desk.asked()
        settle(here)
        older, newer = digests(desk)
        assert older.fields["summary"] == "What waits is told in a newer message."
        assert "/requests/" not in older.fields["description"]
        assert newer.fields["summary"] == "2 more requests wait for approval"


def digests(desk: Desk) -> list[Issue]:
    return [one for one in desk.server.site.issues.values() if "countersign-message" in one.fields["labels"]]


def test_a_letters_links_lead_to_how_it_ended(database: None) -> None:
    with crowd(mailed=("erin",)) as here:
        asked = here.ask(6)
        settle(here)
        (letter,) = [one for one in here.letters("erin") if "waits for approval" in one["Subject"]]
        body = letter.get_body(("plain",)).get_content()
        assert "says so on its page, and how it ended" in body
        vote(asked[5], here.acme.frank, DENY, reason="Not this one.")
        (link,) = re.findall(r"/requests/arq_\w+/", body)
        page = text(signed_in(here.acme.erin).get(link))
        assert "denied" in page.lower()
        assert "Not this one." in page


class TestPauses:
    @pytest.fixture
    def here(self, database: None) -> Iterator[Crowd]:
        with crowd(storm=False) as made:
            yield made
            pauses.worked(made.acme.tenant.pk, "slack")

    def test_a_system_that_rests_is_not_asked(self, here: Crowd) -> None:
        flooded(here)
        pauses.failed(here.acme.tenant.pk, "slack", after=timedelta(seconds=30))
        with pytest.raises(pump.Later):
            digest.tell(place(here))
        assert (posted(here.slack), Digest.objects.get(tenant=here.acme.tenant).lease) == (5, "")

    def test_a_digest_that_failed_lets_it_rest(self, here: Crowd) -> None:
        flooded(here)
        here.slack.fault("chat.postMessage", status=500)
        with pytest.raises(TransportError):
            digest.tell(place(here))
        with pytest.raises(pump.Later):
            digest.tell(place(here))
        assert posted(here.slack) == 5

    def test_a_request_that_a_digest_tells_does_not_end_the_rest(self, here: Crowd) -> None:
        here.ask(5)
        settle(here)
        here.slack.fault("chat.*", status=500, times=-1)
        here.ask(1)
        pauses.failed(here.acme.tenant.pk, "slack", after=timedelta(0))
        pump.run_due(200)
        assert pauses.left(here.acme.tenant.pk, "slack")

    def test_one_that_has_nothing_to_say_does_not_end_the_rest(self, here: Crowd) -> None:
        flooded(here)
        digest.tell(place(here))
        pauses.failed(here.acme.tenant.pk, "slack", after=timedelta(seconds=30))
        digest.tell(place(here))
        assert pauses.left(here.acme.tenant.pk, "slack")


def flooded(here: Crowd) -> None:
    """Five cards are sent, and a digest is due that nobody has sent yet."""
    here.ask(6)
    Job.objects.filter(tenant=here.acme.slug, kind="connectors.deliver", state="ready").update(run_at=pump.now())
    pump.run_due(200)
    assert posted(here.slack) == 5


def place(here: Crowd) -> dict[str, object]:
    return {"tenant": here.acme.tenant.pk, "kind": "slack", "key": "C0APPROVALS"}


def posted(slack: SlackWorld) -> int:
    return len(slack.calls("chat.postMessage"))
