"""Codes: once each, in time, throttled in the database, and nobody's attempt costs another."""

import threading
from datetime import UTC, datetime, timedelta

import pytest
from django.db import connection, transaction

from approvals import totp
from approvals.models import RecoveryCode, TotpDevice
from approvals.totp import CodeUsed, Locked, NoDevice, NotYetUsable, Passed, WrongCode, lock_after, verify
from evidence import clock
from registry.models import User
from tests.approvals.asking import code, enrolled
from tests.worlds import World, world

NOW = datetime(2027, 3, 1, 12, 0, 10, tzinfo=UTC)  # ten seconds into a step


@pytest.fixture(scope="module")
def ours(database: None) -> World:
    return world()


@pytest.fixture
def person(database: None) -> tuple[User, str]:
    """Somebody with a fresh authenticator of their own."""
    somebody = world().erin
    return somebody.user, enrolled(somebody)


def device(user: User) -> TotpDevice:
    return TotpDevice.objects.get(user=user)


def wrong(secret: str) -> str:
    """Six digits that are right at no moment near."""
    right = {code(secret, NOW, steps=step) for step in range(-5, 6)}
    return next(text for text in map("{:06d}".format, range(100)) if text not in right)


class TestOnce:
    def test_abuse_060_refuses_the_same_code_again(self, person: tuple[User, str]) -> None:
        user, secret = person
        verify(user, code(secret, NOW), now=NOW)
        with pytest.raises(CodeUsed):
            verify(user, code(secret, NOW), now=NOW)

    def test_abuse_062_the_same_code_in_other_clothes_is_the_same(self, person: tuple[User, str]) -> None:
        user, secret = person
        plain = code(secret, NOW)
        verify(user, f"{plain[:3]} {plain[3:]} ", now=NOW)
        wide = "".join(chr(ord(digit) + 0xFEE0) for digit in plain)
        for clothes in (plain, wide, f" {plain}", f"{plain}\n", f"{plain[:3]}-{plain[3:]}"):
            with pytest.raises(CodeUsed):
                verify(user, clothes, now=NOW)

    def test_abuse_063_refuses_an_older_step_after_a_newer_one(self, person: tuple[User, str]) -> None:
        user, secret = person
        verify(user, code(secret, NOW), now=NOW)
        with pytest.raises(CodeUsed):
            verify(user, code(secret, NOW, steps=-1), now=NOW)

    def test_a_code_that_lost_a_race_is_no_failure(self, person: tuple[User, str]) -> None:
        user, secret = person
        verify(user, code(secret, NOW), now=NOW)
        for _ in range(8):
            with pytest.raises(CodeUsed):
                verify(user, code(secret, NOW), now=NOW)
        assert (device(user).failures, device(user).locked_until) == (0, None)

    def test_abuse_061_eight_at_once_are_one(self, person: tuple[User, str]) -> None:
        user, secret = person
        assert sorted(together(8, user, code(secret, NOW))) == [*["CodeUsed"] * 7, "passed"]
        assert device(user).failures == 0


def together(count: int, user: User, *codes: str) -> list[str]:
    """What came of `count` attempts at the same moment."""
    barrier, outcomes = threading.Barrier(count), []

    def attempt(text: str) -> None:
        barrier.wait()
        try:
            verify(user, text, now=NOW)
            outcomes.append("passed")
        except totp.NotPassed as error:
            outcomes.append(type(error).__name__)
        finally:
            connection.close()

    threads = [threading.Thread(target=attempt, args=(codes[n % len(codes)],)) for n in range(count)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return outcomes


class TestTime:
    @pytest.mark.parametrize("seconds", [-90, 90])
    def test_abuse_074_refuses_a_clock_that_is_ninety_seconds_off(self, person: tuple[User, str], seconds: int) -> None:
        user, secret = person
        with pytest.raises(WrongCode):
            verify(user, code(secret, NOW + timedelta(seconds=seconds)), now=NOW)

    @pytest.mark.parametrize("seconds", [-30, 0, 30])
    def test_abuse_074_takes_a_clock_that_is_half_a_minute_off(self, person: tuple[User, str], seconds: int) -> None:
        user, secret = person
        assert verify(user, code(secret, NOW + timedelta(seconds=seconds)), now=NOW).method == "totp"


class TestThrottle:
    def test_five_failures_bring_no_delay_before_them(self, person: tuple[User, str]) -> None:
        user, secret = person
        for _ in range(totp.FREE_FAILURES - 1):
            fail(user, secret, NOW)
        assert isinstance(verify(user, code(secret, NOW), now=NOW), Passed)
        assert device(user).failures == 0

    def test_abuse_064_the_right_code_is_not_looked_at_while_locked(self, person: tuple[User, str]) -> None:
        user, secret = person
        for _ in range(totp.FREE_FAILURES):
            fail(user, secret, NOW)
        with pytest.raises(Locked) as caught:
            verify(user, code(secret, NOW), now=NOW)
        assert caught.value.until == NOW + timedelta(seconds=1)
        assert verify(user, code(secret, NOW), now=caught.value.until)

    def test_the_lock_doubles_up_to_fifteen_minutes(self) -> None:
        assert [lock_after(n).total_seconds() for n in (4, 5, 6, 7, 14, 15, 90)] == [0, 1, 2, 4, 512, 900, 900]

    def test_an_attempt_while_locked_does_not_prolong_the_lock(self, person: tuple[User, str]) -> None:
        user, secret = person
        for _ in range(totp.FREE_FAILURES):
            fail(user, secret, NOW)
        before = device(user).locked_until
        with pytest.raises(Locked):
            verify(user, wrong(secret), now=NOW)
        assert (device(user).locked_until, device(user).failures) == (before, totp.FREE_FAILURES)

    def test_abuse_064_two_hundred_wrong_codes_disable_the_device_long_before_one_is_guessed(
        self, person: tuple[User, str]
    ) -> None:
        user, secret = person
        moment = NOW
        for _ in range(totp.DISABLED_AT):
            fail(user, secret, moment)
            moment = device(user).locked_until or moment
        with pytest.raises(NoDevice):
            verify(user, code(secret, moment), now=moment + timedelta(hours=1))

    def test_abuse_065_failures_at_once_are_all_counted_or_locked_out(self, person: tuple[User, str]) -> None:
        user, secret = person
        outcomes = together(12, user, wrong(secret))
        assert outcomes.count("WrongCode") == totp.FREE_FAILURES
        assert outcomes.count("Locked") == 12 - totp.FREE_FAILURES
        assert device(user).failures == totp.FREE_FAILURES

    def test_another_persons_failures_cost_nothing(self, ours: World) -> None:
        erin, frank = enrolled(ours.erin), enrolled(ours.frank)
        for _ in range(totp.FREE_FAILURES):
            fail(ours.frank.user, frank, NOW)
        assert verify(ours.erin.user, code(erin, NOW), now=NOW)

    def test_another_persons_code_is_a_wrong_code(self, database: None) -> None:
        here = world()
        erin, _ = enrolled(here.erin), enrolled(here.frank)
        with pytest.raises(WrongCode):
            verify(here.frank.user, code(erin, NOW), now=NOW)
        assert verify(here.erin.user, code(erin, NOW), now=NOW)

    def test_a_failure_stays_counted_although_it_raises(self, person: tuple[User, str]) -> None:
        user, secret = person
        with pytest.raises(RuntimeError, match="durable"), transaction.atomic():
            verify(user, wrong(secret), now=NOW)


def fail(user: User, secret: str, now: datetime) -> None:
    right = {code(secret, now, steps=step) for step in range(-1, 2)}
    text = next(text for text in ("000000", "000001", "000002", "000003") if text not in right)
    with pytest.raises(WrongCode):
        verify(user, text, now=now)


class TestDevices:
    def test_refuses_who_has_none(self, database: None) -> None:
        with pytest.raises(NoDevice):
            verify(world().ada.user, "123456", now=NOW)

    def test_abuse_071_a_new_authenticator_does_not_count_before_its_cool_down(self, database: None) -> None:
        somebody = world().erin
        secret = enrolled(somebody, ago=timedelta(0))
        usable = device(somebody.user).usable_from
        assert usable is not None
        with pytest.raises(NotYetUsable):
            verify(somebody.user, code(secret, clock.now()), now=clock.now())
        assert verify(somebody.user, code(secret, usable), now=usable)

    def test_a_seed_moved_to_another_row_does_not_open(self, database: None) -> None:
        here = world()
        enrolled(here.erin)
        secret = enrolled(here.frank)
        TotpDevice.objects.filter(user=here.frank.user).update(secret=device(here.erin.user).secret)
        with pytest.raises(ValueError, match="no key"):
            verify(here.frank.user, code(secret, NOW), now=NOW)


class TestRecovery:
    @pytest.fixture
    def recovery(self, person: tuple[User, str]) -> str:
        user, _ = person
        text = "abcd-efgh-jkmn-pqrs"
        RecoveryCode.objects.create(user=user, code_hash=totp.recovery_hash(user, text), created_at=NOW)
        return text

    def test_abuse_069_is_good_once(self, person: tuple[User, str], recovery: str) -> None:
        user, _ = person
        assert totp.verify_recovery(user, recovery.upper(), now=NOW).method == "recovery"
        with pytest.raises(CodeUsed):
            totp.verify_recovery(user, recovery, now=NOW)

    def test_a_wrong_one_counts_as_a_failure(self, person: tuple[User, str]) -> None:
        user, _ = person
        with pytest.raises(WrongCode):
            totp.verify_recovery(user, "zzzz-zzzz-zzzz-zzzz", now=NOW)
        assert device(user).failures == 1

    def test_is_good_for_its_owner_alone(self, person: tuple[User, str], recovery: str) -> None:
        other = world().frank
        enrolled(other)
        with pytest.raises(WrongCode):
            totp.verify_recovery(other.user, recovery, now=NOW)

    def test_moved_to_another_persons_row_it_is_worth_nothing(self, person: tuple[User, str], recovery: str) -> None:
        other = world().frank
        enrolled(other)
        RecoveryCode.objects.filter(user=person[0]).update(user=other.user)
        with pytest.raises(WrongCode):
            totp.verify_recovery(other.user, recovery, now=NOW)

    def test_abuse_071_does_not_get_around_the_cool_down(self, person: tuple[User, str], recovery: str) -> None:
        user, _ = person
        TotpDevice.objects.filter(user=user).update(usable_from=NOW + timedelta(seconds=1))
        with pytest.raises(NotYetUsable):
            totp.verify_recovery(user, recovery, now=NOW)

    def test_one_field_takes_either(self, person: tuple[User, str], recovery: str) -> None:
        user, secret = person
        assert totp.verify_any(user, code(secret, NOW), now=NOW).method == "totp"
        assert totp.verify_any(user, recovery, now=NOW).method == "recovery"
