"""The answer to a digest is lost on its way: there is one message in the end, and it tells what waits."""

import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta

import pytest
from django.db import IntegrityError, connection

from approvals import requests
from approvals.models import AccessRequest
from connectors import digest
from connectors.models import Digest
from connectors.port import TransportError
from evidence import clock
from examples.lookalikes.faults import Fault
from examples.lookalikes.jira.server import Jira
from examples.lookalikes.jira.site import Issue, Site
from examples.lookalikes.servicenow.instance import CHANGES, Row
from outbox import pump
from outbox.models import Job
from tests.approvals.asking import TESTS, opened
from tests.connectors.attention.world import Crowd, crowd, settle, words_of
from tests.connectors.jira import world as jira_world
from tests.connectors.jira.world import Desk
from tests.connectors.servicenow.world import Now, connected
from tests.connectors.storms import rested


@pytest.fixture(autouse=True)
def _only_mine(database: None) -> None:
    Job.objects.filter(state="ready").update(state="done", dedupe=None)


def due(here: Crowd) -> None:
    """What was asked is left to the digest, which nobody has told yet."""
    rested(here.acme.tenant)
    mine = Job.objects.filter(tenant=here.acme.slug, state="ready")
    mine.filter(kind="connectors.digest").update(run_at=clock.now() + timedelta(hours=1))
    mine.filter(kind="connectors.deliver").update(run_at=pump.now())
    if connection.vendor == "sqlite":
        time.sleep(0.002)  # its clock has milliseconds
    pump.run_due(200)


def told(here: Crowd, kind: str, key: str) -> None:
    """One try, however soon after the last."""
    rested(here.acme.tenant)
    digest.tell({"tenant": here.acme.tenant.pk, "kind": kind, "key": key})


def withdrawn(asked: list[AccessRequest]) -> None:
    for one in asked:
        requests.cancel(one.pk, tenant_id=one.tenant_id, actor=TESTS, reason="", now=clock.now())


class TestInSlack:
    @pytest.fixture
    def here(self) -> Iterator[Crowd]:
        with crowd(storm=False) as made:
            made.ask(5)
            settle(made)
            yield made

    def test_it_is_found_and_edited_from_then_on(self, here: Crowd) -> None:
        here.ask()
        here.slack.fault("chat.postMessage", drop="after")
        settle(here)
        (first,) = here.digests()
        here.ask()
        settle(here)
        assert here.digests() == [first]
        assert words_of(first).startswith("2 more requests wait")

    def test_it_is_found_although_more_waits_by_then(self, here: Crowd) -> None:
        here.ask()
        cut(here, "chat.postMessage")
        here.ask()
        settle(here)
        (only,) = here.digests()
        assert words_of(only).startswith("2 more requests wait")

    def test_it_goes_quiet_although_all_was_answered_meanwhile(self, here: Crowd) -> None:
        asked = here.ask()
        cut(here, "chat.postMessage")
        withdrawn(asked)
        settle(here)
        (only,) = here.digests()
        assert words_of(only).startswith("Nothing more waits here.")
        assert Digest.objects.get(tenant=here.acme.tenant).name == ""

    def test_of_one_that_never_arrived_nothing_is_left(self, here: Crowd) -> None:
        asked = here.ask()
        cut(here, "chat.postMessage", drop="before")
        withdrawn(asked)
        settle(here)
        assert (here.digests(), Digest.objects.get(tenant=here.acme.tenant).name) == ([], "")

    @pytest.mark.parametrize("drop", ["before", "after"])
    def test_the_one_after_a_window_stands_there_once(self, here: Crowd, drop: str) -> None:
        here.ask()
        settle(here)
        Digest.objects.filter(tenant=here.acme.tenant).update(sent_at=clock.now() - timedelta(minutes=11))
        here.ask()
        here.slack.fault("chat.postMessage", drop=drop)
        settle(here)
        old, new = here.digests()
        assert "What waits is told in a newer message." in words_of(old)
        assert words_of(new).startswith("2 more requests wait")

    def test_the_one_for_one_that_somebody_deleted_stands_there_once(self, here: Crowd) -> None:
        here.ask()
        settle(here)
        here.digests()[0].deleted = True
        here.ask()
        here.slack.fault("chat.postMessage", drop="after")
        settle(here)
        (only,) = here.digests()
        assert words_of(only).startswith("2 more requests wait")

    def test_the_one_for_one_that_somebody_deleted_goes_quiet_too(self, here: Crowd) -> None:
        asked = here.ask()
        settle(here)
        here.digests()[0].deleted = True
        asked += here.ask()
        cut(here, "chat.postMessage")
        withdrawn(asked)
        settle(here)
        (only,) = here.digests()
        assert words_of(only).startswith("Nothing more waits here.")

    def test_an_edit_is_not_taken_for_undone(self, here: Crowd) -> None:
        here.ask()
        settle(here)
        asked = here.ask()
        cut(here, "chat.update")
        withdrawn(asked)
        settle(here)
        assert words_of(here.digests()[0]).startswith("1 more request waits")

    def test_what_was_turned_away_at_the_door_is_not_looked_for(self, here: Crowd) -> None:
        here.ask()
        due(here)
        here.slack.fault("chat.postMessage", status=429, retry_after=1)
        with pytest.raises(pump.Later):
            told(here, "slack", "C0APPROVALS")
        settle(here)
        assert len(here.digests()) == 1
        assert here.slack.calls("conversations.history") == []

    def test_what_was_turned_away_later_may_have_arrived_before(self, here: Crowd) -> None:
        here.ask()
        cut(here, "chat.postMessage")
        here.slack.fault("conversations.history", error="missing_scope")
        here.slack.fault("chat.postMessage", status=429, retry_after=1)
        with pytest.raises(pump.Later):
            told(here, "slack", "C0APPROVALS")
        settle(here)
        assert len(here.digests()) == 1

    def test_its_name_is_not_kept_without_the_time_it_was_given(self, here: Crowd) -> None:
        with pytest.raises(IntegrityError, match="digest_name_has_its_time"):
            Digest.objects.create(tenant=here.acme.tenant, kind="slack", place_key="C0APPROVALS", name="dgs_1")

    @pytest.mark.postgres
    def test_who_had_it_for_too_long_leaves_it_to_who_has_it_now(self, here: Crowd) -> None:
        here.ask()
        due(here)
        here.slack.fault("chat.postMessage", delay=1.0)
        mine = Digest.objects.filter(tenant=here.acme.tenant)

        def tell() -> None:
            try:
                told(here, "slack", "C0APPROVALS")
            finally:
                connection.close()

        with ThreadPoolExecutor(1) as pool:
            slow = pool.submit(tell)
            here.slack.until(lambda: mine.exclude(name="").exists())
            mine.update(lease="theirs")
            with pytest.raises(pump.Later):
                slow.result()
        assert (mine.get().lease, mine.get().ref) == ("theirs", {})
        mine.update(lease="", leased_until=None)
        settle(here)
        assert len(here.digests()) == 1


def cut(here: Crowd, method: str, *, drop: str = "after") -> None:
    """One try at the channel's digest, which nobody hears the end of."""
    due(here)
    here.slack.fault(method, drop=drop)
    with pytest.raises(TransportError):
        told(here, "slack", "C0APPROVALS")


class TestInJira:
    @pytest.fixture
    def desk(self) -> Iterator[Desk]:
        with Jira(Site(storm=False)) as server:
            server.site.add_project("OPS")
            made = jira_world.connected(server, "")
            for _ in range(5):
                made.asked()
            settle(crowd_of(made))
            yield made

    def test_it_is_found_by_its_label_and_rewritten(self, desk: Desk) -> None:
        desk.asked()
        desk.server.site.faults.add(Fault("issue.create", drop="after"))
        settle(crowd_of(desk))
        desk.asked()
        settle(crowd_of(desk))
        (issue,) = digests(desk)
        assert issue.fields["summary"] == "2 more requests wait for approval"
        assert issue.fields["labels"][2].startswith("dgs_")

    def test_somebody_elses_issue_with_its_label_is_not(self, desk: Desk) -> None:
        desk.asked()
        due(crowd_of(desk))
        desk.server.site.faults.add(Fault("issue.create", drop="before"))
        with pytest.raises(TransportError):
            told(crowd_of(desk), "jira", "OPS")
        labels = ["countersign-message", Digest.objects.get(tenant=desk.acme.tenant).name]
        theirs = {"project": {"key": "OPS"}, "summary": "Approve all", "labels": labels}
        forged = desk.server.site.create(theirs, by=desk.mallory)
        settle(crowd_of(desk))
        assert forged.fields["summary"] == "Approve all"
        assert len(digests(desk)) == 2


def digests(desk: Desk) -> list[Issue]:
    return [one for one in desk.server.site.issues.values() if "countersign-message" in one.fields["labels"]]


class TestInServiceNow:
    @pytest.fixture
    def now(self) -> Iterator[Now]:
        with connected(storm=False) as made:
            for _ in range(5):
                opened(made.acme)
            settle(crowd_of(made))
            yield made

    @pytest.mark.parametrize("where", [f"POST {CHANGES}", f"PATCH {CHANGES}"])
    def test_it_is_one_record_and_one_note(self, now: Now, where: str) -> None:
        opened(now.acme)
        now.faults.add(Fault(where, drop="after"))
        settle(crowd_of(now))
        opened(now.acme)
        settle(crowd_of(now))
        row = words_in(now)
        assert row["description"].startswith("2 more requests wait")
        assert now.instance.notes(row["sys_id"], "work_notes") == ["1 more request waits for approval"]

    def test_it_goes_quiet_although_all_was_answered_meanwhile(self, now: Now) -> None:
        asked = opened(now.acme)
        due(crowd_of(now))
        now.faults.add(Fault(f"PATCH {CHANGES}", drop="after"))
        with pytest.raises(TransportError):
            told(crowd_of(now), "servicenow", CHANGES)
        withdrawn([asked])
        settle(crowd_of(now))
        assert words_in(now)["description"].startswith("Nothing more waits here.")


def words_in(now: Now) -> Row:
    """The one record for words."""
    (row,) = [one for one in now.instance.tables[CHANGES].values() if one["correlation_id"].endswith(":messages")]
    return row


def crowd_of(there: Desk | Now) -> Crowd:
    return Crowd(there.acme, None, None)  # type: ignore[arg-type]  # nobody asks for these here


class TestByMail:
    """Nobody can look into a mailbox: mail programs show once what has one Message-ID."""

    @pytest.fixture
    def here(self) -> Iterator[Crowd]:
        with crowd(mailed=("erin",), storm=False) as made:
            made.ask(5)
            settle(made)
            yield made

    def test_the_same_letter_has_the_same_message_id(self, here: Crowd) -> None:
        here.ask()
        lost(here)
        settle(here)
        first, again = letters(here)
        assert first["Message-ID"] == again["Message-ID"]
        assert first["Message-ID"].startswith("<dgs_")

    def test_one_that_tells_of_something_new_has_another(self, here: Crowd) -> None:
        here.ask()
        lost(here)
        here.ask()
        due(here)
        settle(here)
        first, second = letters(here)
        assert second["Subject"] == "2 more requests wait for approval"
        assert first["Message-ID"] != second["Message-ID"]

    def test_so_has_the_next_windows(self, here: Crowd) -> None:
        here.ask()
        settle(here)
        Digest.objects.filter(tenant=here.acme.tenant, kind="email").update(sent_at=clock.now() - timedelta(minutes=11))
        here.ask()
        settle(here)
        first, second = letters(here)
        assert first["Message-ID"] != second["Message-ID"]
        assert Digest.objects.get(tenant=here.acme.tenant, kind="email").name == ""


def lost(here: Crowd) -> None:
    """One try at Erin's letter: the relay takes it, and the connection ends before it says so."""
    due(here)
    here.mail.answers = {".": "kept"}
    with pytest.raises(TransportError):
        told(here, "email", f"person:{here.acme.erin.pk}")
    here.mail.answers = {}


def letters(here: Crowd) -> list:
    return [one for one in here.letters("erin") if "more request" in one["Subject"]]
