"""A calendar of one's waivers behind a secret address: strict RFC 5545, one person's alone, dead with the membership."""

import re
from datetime import UTC, datetime, timedelta

import pytest
from django.test import Client

from approvals.models import CalendarFeed
from approvals.waivers import calendar, ending, ics
from approvals.waivers.ics import Moment
from config import logs
from countersign.proof.events import Event
from evidence import clock, ledger
from registry import changes
from registry.models import Membership
from tests.approvals.waivers.excepting import asked, at, easy, granted
from tests.worlds import World

NOON = datetime(2026, 11, 21, 12, 0, tzinfo=UTC)
LINES = re.compile(r"(?:[^\r\n]*\r\n)+\Z")
PROPERTY = re.compile(r"[A-Z-]+(?:;[A-Z-]+=[^:;]+)*:.*", re.DOTALL)


@pytest.fixture
def ours(database: None) -> World:
    return easy()


def lines(text: str) -> list[str]:
    """The content lines of a strict reader, unfolded; nothing else may be in there."""
    assert LINES.fullmatch(text)
    physical = text.split("\r\n")[:-1]
    assert all(len(line.encode()) <= 75 for line in physical)
    unfolded = text.replace("\r\n ", "").split("\r\n")[:-1]
    assert all(PROPERTY.fullmatch(line) for line in unfolded)
    return unfolded


def events(text: str | None) -> list[dict[str, str]]:
    assert text is not None
    found: list[dict[str, str]] = []
    for line in lines(text):
        name, _, value = line.partition(":")
        if line == "BEGIN:VEVENT":
            found.append({})
        elif found:
            found[-1].setdefault(name.partition(";")[0], value)
    return found


def fed(member: Membership) -> list[dict[str, str]]:
    return events(calendar.feed(calendar.issue(member), clock.now()))


class TestWrite:
    @pytest.mark.parametrize(
        "name",
        ["a\r\nEND:VCALENDAR", "a\nBEGIN:VEVENT\nSUMMARY:x", "a\rb", "a;b,c\\d", "a\x85b", "a\u2028b", "a\x00b"],
    )  # fmt: skip
    def test_abuse_107_no_name_leaves_its_value(self, name: str) -> None:
        written = ics.calendar(name, [Moment("u", NOON, name, name, "https://c.test/")], now=NOON)
        names = [line.partition(":")[0] for line in lines(written)]
        assert names.count("BEGIN") == names.count("END") == 2
        assert names.count("SUMMARY") == 1

    def test_text_is_escaped_as_the_standard_says(self) -> None:
        assert ics.text("a;b,c\\d\ne:f") == "a\\;b\\,c\\\\d\\ne:f"

    def test_lines_are_folded_between_characters(self) -> None:
        for character in ("x", "é", "字", "😀"):
            parts = list(ics.folded("SUMMARY:" + character * 100))
            assert all(len(part.encode()) <= 75 for part in parts)
            assert "".join(part.removeprefix(" ") for part in parts) == "SUMMARY:" + character * 100
        assert list(ics.folded("A" * 75)) == ["A" * 75]
        assert list(ics.folded("A" * 76)) == ["A" * 75, " A"]

    @pytest.mark.parametrize("address", ["https://c.test/\r\nX:y", "https://c.test/ x", "https://c.test/é"])
    def test_abuse_107_refuses_an_address_that_is_none(self, address: str) -> None:
        with pytest.raises(ValueError, match="no address"):
            ics.calendar("n", [Moment("u", NOON, "s", "d", address)], now=NOON)

    def test_times_are_utc(self) -> None:
        written = ics.calendar(
            "n", [Moment("u", datetime.fromisoformat("2027-01-31T19:00:00+01:00"), "s", "d", "x")], now=NOON
        )
        assert "DTSTART:20270131T180000Z\r\n" in written


class TestFeed:
    def test_tells_owner_and_asker_when_a_waiver_ends(self, ours: World) -> None:
        waiver = granted(ours, max_uses=3)
        for member in (ours.carol, ours.dana):
            (one,) = fed(member)
            assert one["UID"] == f"{waiver.pk}-end@{ours.slug}.countersign"
            assert one["DTSTART"] == waiver.expires_at.strftime("%Y%m%dT%H%M%SZ")
            assert one["SUMMARY"] == "Waiver ends: refunds-over-100"
            assert one["URL"].endswith(f"/waivers/{waiver.pk}/")
            assert "0 of 3 uses" in one["DESCRIPTION"]

    def test_tells_nothing_to_others_nor_of_what_is_over_or_was_never_granted(self, ours: World) -> None:
        waiver = granted(ours)
        asked(ours)
        assert fed(ours.frank) == []
        ending.revoke(waiver.pk, tenant_id=ours.tenant.pk, by=ours.carol, why="x", now=clock.now())
        assert fed(ours.carol) == []

    def test_abuse_057_tells_nothing_of_another_tenant(self, ours: World) -> None:
        theirs = easy()
        granted(theirs)
        assert fed(ours.carol) == []

    def test_tells_nothing_that_somebody_typed(self, ours: World) -> None:
        granted(ours, reason="Because of secret-project-x.", ticket="OPS-1", when='arguments.order != "secret-x"')
        text = calendar.feed(calendar.issue(ours.carol), clock.now())
        assert text is not None
        assert "secret" not in text.replace("csk_", "")
        assert "OPS-1" not in text

    def test_tells_who_must_confirm_and_until_when_it_holds(self, ours: World) -> None:
        until = at(timedelta(hours=6))
        control = {"kind": "attestation", "person": ours.username("frank"), "valid_until": until}
        granted(ours, controls=[control])
        for member in (ours.frank, ours.carol):
            found = [one for one in fed(member) if "control-1" in one["UID"]]
            assert [one["DTSTART"] for one in found] == [
                datetime.fromisoformat(until).astimezone(UTC).strftime("%Y%m%dT%H%M%SZ")
            ]
            assert ours.username("frank") in found[0]["SUMMARY"]

    def test_a_shortened_waiver_is_the_same_event_in_a_later_version(self, ours: World) -> None:
        waiver = granted(ours)
        secret = calendar.issue(ours.carol)
        (before,) = events(calendar.feed(secret, clock.now()))
        sooner = clock.now() + timedelta(hours=1)
        ending.shorten(
            waiver.pk, tenant_id=ours.tenant.pk, by=ours.carol, expires_at=sooner, why="x", now=clock.now()
        )  # fmt: skip
        (after,) = events(calendar.feed(secret, clock.now()))
        assert before["UID"] == after["UID"]
        assert (before["SEQUENCE"], after["SEQUENCE"]) == ("0", "1")
        assert before["DTSTART"] > after["DTSTART"]


class TestSecret:
    def test_is_kept_only_as_a_keyed_hash(self, ours: World) -> None:
        secret = calendar.issue(ours.carol)
        row = CalendarFeed.objects.get(membership=ours.carol)
        assert secret.rpartition("_")[2] not in str(row.__dict__)
        assert calendar.issued_at(ours.carol) == row.issued_at

    @pytest.mark.parametrize("spoil", [lambda s: s[:-1], lambda s: s[:-1] + ("a" if s[-1] != "a" else "b"), lambda s: "",
                                       lambda s: s.upper(), lambda s: s + "\n", lambda s: s.replace("csk", "ics")])  # fmt: skip
    def test_any_other_is_nobodys(self, ours: World, spoil) -> None:  # type: ignore[no-untyped-def]
        secret = calendar.issue(ours.carol)
        assert calendar.feed(secret, clock.now()) is not None
        assert calendar.feed(spoil(secret), clock.now()) is None

    def test_a_new_one_kills_the_old_and_stopping_kills_it(self, ours: World) -> None:
        old = calendar.issue(ours.carol)
        new = calendar.issue(ours.carol)
        assert calendar.feed(old, clock.now()) is None
        assert calendar.feed(new, clock.now()) is not None
        assert calendar.stop(ours.carol)
        assert calendar.feed(new, clock.now()) is None
        assert not calendar.stop(ours.carol)
        assert calendar.issued_at(ours.carol) is None

    def test_dies_with_the_membership_and_with_the_login(self, ours: World) -> None:
        secret = calendar.issue(ours.carol)
        ours.tenant.memberships.filter(pk=ours.carol.pk).update(active=False)
        assert calendar.feed(secret, clock.now()) is None
        ours.tenant.memberships.filter(pk=ours.carol.pk).update(active=True)
        type(ours.carol.user).objects.filter(pk=ours.carol.user_id).update(is_active=False)
        assert calendar.feed(secret, clock.now()) is None

    def test_is_recorded_without_itself(self, ours: World) -> None:
        secret = calendar.issue(ours.carol)
        calendar.stop(ours.carol)
        thread = changes.thread(changes.PERSON, ours.username("carol"))
        revoked, issued, *_ = (one["predicate"] for one in ledger.history(ours.slug, thread, limit=2))
        assert (issued["event"], revoked["event"]) == (Event.CREDENTIAL_ISSUED, Event.CREDENTIAL_REVOKED)
        assert issued["detail"]["kind"] == "calendar_feed"
        assert secret.rpartition("_")[2] not in str(issued)

    def test_abuse_103_is_taken_out_of_log_lines(self, ours: World) -> None:
        secret = calendar.issue(ours.carol)
        line = str(logs.without_secrets(None, "info", {"event": f"GET {calendar.PATH}{secret}.ics"}))
        assert secret.rpartition("_")[2] not in line


class TestPage:
    def test_answers_a_calendar_without_a_session(self, ours: World) -> None:
        granted(ours)
        response = Client().get(f"{calendar.PATH}{calendar.issue(ours.carol)}.ics")
        assert (response.status_code, response["Content-Type"]) == (200, "text/calendar; charset=utf-8")
        assert "no-store" in response["Cache-Control"]
        assert len(events(response.content.decode())) == 1

    def test_answers_404_for_every_other(self, ours: World) -> None:
        secret = calendar.issue(ours.carol)
        dead = calendar.issue(ours.carol)
        calendar.stop(ours.carol)
        for path in (secret, dead, "x", "csk_calendar_aaaaaaaaaaaa_" + "a" * 43):
            assert Client().get(f"{calendar.PATH}{path}.ics").status_code == 404

    def test_changes_nothing(self, ours: World) -> None:
        assert Client().post(f"{calendar.PATH}{calendar.issue(ours.carol)}.ics").status_code == 405

    def test_is_read_no_more_than_so_often(self, ours: World, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(calendar, "PER_MINUTE", 2)
        secret = calendar.issue(ours.carol)
        now = clock.now().replace(second=1)
        assert calendar.feed(secret, now)
        assert calendar.feed(secret, now)
        with pytest.raises(calendar.TooOften):
            calendar.feed(secret, now)
        assert calendar.feed(secret, now + timedelta(minutes=1))

    def test_says_when_to_come_again(self, ours: World, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(calendar, "PER_MINUTE", 0)
        secret = calendar.issue(ours.carol)
        CalendarFeed.objects.update(minute=clock.now().replace(second=0, microsecond=0))
        response = Client().get(f"{calendar.PATH}{secret}.ics")
        assert response.status_code == 429
        assert 1 <= int(response["Retry-After"]) <= 61
