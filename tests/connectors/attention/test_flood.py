"""More is asked than people can judge: a few messages, one digest, one alert, and nothing lost."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta

import pytest
from django.db import connection

from approvals import inbox, requests
from approvals.models import AccessRequest
from connectors import accounts, digest, plain
from connectors.models import Delivery, Digest
from connectors.port import Item, Waiting
from evidence import clock
from evidence.models import Record
from examples.lookalikes.servicenow.instance import CHANGES
from outbox import pump
from outbox.models import Job
from tests.approvals.asking import APPROVE, DENY, TESTS, opened, vote
from tests.connectors.attention.world import Crowd, crowd, later, settle, words_of
from tests.connectors.sample import OPENED
from tests.connectors.servicenow.world import connected
from tests.connectors.slack_world import actions_in
from tests.worlds import SETUP


@pytest.fixture
def here(database: None) -> Iterator[Crowd]:
    with crowd() as made:
        yield made


def alerts(here: Crowd) -> list[Record]:
    return list(Record.objects.filter(log=here.acme.slug, event="alert.fired"))


def withdraw(asked: list[AccessRequest]) -> None:
    for one in asked:
        requests.cancel(one.pk, tenant_id=one.tenant_id, actor=TESTS, reason="", now=clock.now())


def test_abuse_059_a_flood_is_five_cards_one_digest_and_one_alert(here):
    """Two hundred in a minute in life; twenty-five are enough to see it."""
    asked = here.ask(25)
    settle(here)
    assert len(here.cards()) == 5
    (told,) = here.digests()
    assert words_of(told).startswith("20 more requests wait for approval")
    assert words_of(told).count("/requests/arq_") == digest.LISTED
    assert actions_in(told.blocks) == []
    assert f"… and {20 - digest.LISTED} more." in words_of(told)
    assert inbox.of(here.acme.erin, now=clock.now()).total == 25
    (record,) = alerts(here)
    assert b"requests.coalesced" in bytes(record.body)
    (letter,) = here.letters("dana")
    assert "support-bot (25)" in letter.get_body(("plain",)).get_content()
    assert {row.state for row in Delivery.objects.filter(request__in=asked)} == {"done"}


def test_abuse_059_more_of_the_flood_edits_the_digest_and_alerts_nobody_again(here):
    here.ask(7)
    settle(here)
    here.ask(3)
    settle(here)
    (told,) = here.digests()
    assert words_of(told).startswith("5 more requests wait")
    assert len(here.cards()) == 5
    assert len(alerts(here)) == 1
    assert len(here.letters("dana")) == 1


def test_abuse_059_requests_that_are_withdrawn_at_once_do_not_make_room(here):
    for _ in range(8):
        withdraw(here.ask())
    settle(here)
    assert len(here.cards()) <= 5


def test_a_few_requests_are_told_as_ever(here):
    here.ask(5)
    settle(here)
    assert (len(here.cards()), here.digests(), alerts(here)) == (5, [], [])


def test_a_digest_loses_what_is_answered_and_goes_quiet_at_the_end(here):
    asked = here.ask(8)
    settle(here)
    vote(asked[6], here.acme.erin, DENY)
    settle(here)
    (told,) = here.digests()
    assert words_of(told).startswith("2 more requests wait")
    assert asked[6].pk not in words_of(told)
    for one in (asked[5], asked[7]):
        vote(one, here.acme.erin, APPROVE)
        vote(one, here.acme.frank, APPROVE)
    settle(here)
    (told,) = here.digests()
    assert words_of(told).startswith("Nothing more waits here.")
    assert "/requests/" not in words_of(told)


def test_a_request_that_expires_leaves_no_link_behind(here):
    asked = here.ask(6)
    settle(here)
    AccessRequest.objects.filter(pk=asked[5].pk).update(expires_at=clock.now())
    requests.expire_due(clock.now())
    settle(here)
    assert "/requests/" not in words_of(here.digests()[0])


def test_the_next_flood_begins_a_message_of_its_own(here):
    asked = here.ask(6)
    settle(here)
    withdraw(asked)
    settle(here)
    here.ask(2)
    settle(here)
    quiet, told = here.digests()
    assert words_of(quiet).startswith("Nothing more")
    assert words_of(told).startswith("2 more requests wait")


def test_after_a_window_what_is_new_is_a_new_message_and_the_old_one_falls_silent(here):
    here.ask(6)
    settle(here)
    Digest.objects.filter(tenant=here.acme.tenant).update(sent_at=clock.now() - timedelta(minutes=11))
    here.ask(1)
    settle(here)
    old, new = here.digests()
    assert "/requests/" not in words_of(old)
    assert words_of(new).startswith("2 more requests wait")


def test_after_the_window_requests_have_messages_of_their_own_again(here):
    here.ask(7)
    settle(here)
    later(here, 11)
    here.ask(1)
    settle(here)
    assert len(here.cards()) == 6


def test_what_was_told_by_itself_is_edited_by_itself(here):
    first, *_ = here.ask(7)
    settle(here)
    vote(first, here.acme.erin, DENY)
    settle(here)
    assert sum("Denied" in words_of(card) for card in here.cards()) == 1
    assert not Delivery.objects.get(request=first).ref.get("held")


def test_a_digest_that_could_not_be_sent_is_sent_again(here):
    here.ask(5)
    settle(here)
    here.ask(1)
    here.slack.fault("chat.postMessage", status=500)
    here.slack.fault("chat.postMessage", status=429, retry_after=0)
    settle(here)
    assert len(here.digests()) == 1


def test_a_digest_that_somebody_deleted_is_posted_anew(here):
    here.ask(6)
    settle(here)
    here.digests()[0].deleted = True
    here.ask(1)
    settle(here)
    assert words_of(here.digests()[0]).startswith("2 more")


def test_many_workers_make_one_digest(here):
    here.ask(12)

    def work(_: int) -> None:
        try:
            settle(here)
        finally:
            connection.close()

    with ThreadPoolExecutor(3) as pool:
        list(pool.map(work, range(3)))
    settle(here)
    assert len(here.digests()) == 1
    assert len(here.cards()) == 5
    assert len(alerts(here)) == 1


def test_a_digest_that_another_worker_edits_waits_for_it(here):
    payload = {"tenant": here.acme.tenant.pk, "kind": "slack", "key": "C0APPROVALS"}
    Digest.objects.create(
        tenant=here.acme.tenant, kind="slack", place_key="C0APPROVALS", lease="theirs",
        leased_until=clock.now() + timedelta(minutes=1),
    )  # fmt: skip
    with pytest.raises(pump.Later):
        digest.tell(payload)


def test_the_alert_names_no_address(database):
    with crowd(mailed=("erin",)) as here:
        here.ask(7)
        settle(here)
        assert alerts(here)
        assert all(b"@" not in bytes(record.body) for record in alerts(here))


def test_without_mail_the_channels_for_all_hear_the_alert(here):
    accounts.forget(here.acme.tenant, "email", actor=SETUP, now=clock.now())
    here.acme.tenant.channels.update(config={"channel": "C0APPROVALS", "tenant_wide": True})
    here.ask(6)
    settle(here)
    said = [words_of(one) for one in here.slack.messages()]
    assert sum("more approvals than people can judge" in words for words in said) == 1


class TestMail:
    @pytest.fixture
    def here(self, database: None) -> Iterator[Crowd]:
        with crowd(mailed=("erin", "frank")) as made:
            yield made

    def test_abuse_059_a_person_gets_five_letters_and_one_digest_in_a_window(self, here):
        here.ask(9)
        settle(here)
        subjects = [one["Subject"] for one in here.letters("erin")]
        assert sum(subject.startswith("Approval needed") for subject in subjects) == 5
        assert [one for one in subjects if "wait" in one] == ["4 more requests wait for approval"]
        here.ask(2)
        settle_once(here)
        assert len(here.letters("erin")) == 6
        later(here, 11)
        settle(here)
        assert [one["Subject"] for one in here.letters("erin")][6:] == ["6 more requests wait for approval"]

    def test_a_digest_of_mail_is_not_sent_for_what_went(self, here):
        asked = here.ask(7)
        settle(here)
        before = len(here.letters("erin"))
        later(here, 11)
        withdraw(asked[5:])
        settle(here)
        assert len(here.letters("erin")) == before

    def test_a_person_who_has_five_waiting_is_not_written_to_for_hours(self, here):
        here.ask(5)
        settle(here)
        later(here, 60)
        here.ask(1)
        settle(here)
        assert [one["Subject"] for one in here.letters("erin")][5:] == ["1 more request waits for approval"]


def settle_once(here: Crowd) -> None:
    """What is due by now, without making anything due."""
    Job.objects.filter(tenant=here.acme.slug, kind="connectors.deliver", state="ready").update(run_at=pump.now())
    pump.run_due(200)
    beats = Job.objects.filter(tenant=here.acme.slug, kind="connectors.digest", state="ready")
    beats.filter(run_at__lt=clock.now() + timedelta(seconds=5)).update(run_at=pump.now())
    pump.run_due(200)


def test_in_servicenow_the_digest_is_one_record(database):
    with connected() as now:
        Job.objects.filter(state="ready").update(state="done", dedupe=None)
        for _ in range(7):
            opened(now.acme)
        here = Crowd(now.acme, None, None)  # type: ignore[arg-type]
        settle(here)
        rows = now.instance.tables[CHANGES].values()
        assert sum(row["correlation_id"].startswith("arq_") for row in rows) == 5
        (told,) = [row for row in rows if row["correlation_id"].endswith(":messages")]
        assert told["description"].startswith("2 more requests wait")


class TestWords:
    def test_an_agents_name_begins_no_line_and_reaches_no_further(self):
        item = Item("x\r\nhttp://evil.test/ \u202e", OPENED, "http://testserver/requests/1/")
        said = plain.waiting(Waiting(1, (item,), "http://testserver/inbox/"))
        assert "\u202e" not in said
        assert not any(line.startswith("http://evil") for line in said.splitlines())
