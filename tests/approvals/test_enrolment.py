"""Authenticators taken into use, and their seeds kept from everybody's eyes."""

import io
import logging
from datetime import timedelta

import pyotp
import pytest
from django.apps import apps
from django.conf import settings
from django.contrib import admin
from django.core import serializers
from django.core.management import CommandError, call_command

from approvals import enrolment, totp
from approvals.enrolment import AlreadyEnrolled, WrongFirstCode
from approvals.models import RecoveryCode, TotpDevice
from evidence import clock, ledger
from evidence.models import Record
from registry.models import Membership
from tests.approvals.asking import code, enrolled
from tests.worlds import World, world


@pytest.fixture
def ours(database: None) -> World:
    return world()


def confirmed(member: Membership, current_code: str | None = None) -> tuple[str, list[str]]:
    now = clock.now()
    made = enrolment.begin(member.user, now=now)
    codes = enrolment.confirm(
        member, made.device_id, code(made.secret, now), current_code=current_code, now=now
    )  # fmt: skip
    return made.secret, list(codes)


class TestConfirm:
    def test_refuses_a_code_of_another_seed(self, ours: World) -> None:
        made = enrolment.begin(ours.erin.user, now=clock.now())
        with pytest.raises(WrongFirstCode):
            enrolment.confirm(
                ours.erin, made.device_id, code(pyotp.random_base32(), clock.now()), now=clock.now()
            )  # fmt: skip
        assert totp.live_since(ours.erin.user) is None

    def test_refuses_somebody_elses_device(self, ours: World) -> None:
        made = enrolment.begin(ours.erin.user, now=clock.now())
        with pytest.raises(totp.NoDevice):
            enrolment.confirm(ours.frank, made.device_id, code(made.secret, clock.now()), now=clock.now())

    def test_abuse_066_refuses_a_second_one_without_a_code_of_the_first(self, ours: World) -> None:
        enrolled(ours.erin)
        with pytest.raises(AlreadyEnrolled):
            confirmed(ours.erin)
        with pytest.raises(totp.WrongCode):
            confirmed(ours.erin, current_code="zzzz-zzzz-zzzz-zzzz")

    def test_replaces_with_a_code_of_the_first(self, ours: World) -> None:
        old = enrolled(ours.erin)
        confirmed(ours.erin, current_code=code(old, clock.now()))
        live = TotpDevice.objects.filter(user=ours.erin.user, disabled_at__isnull=True)
        assert live.count() == 1
        with pytest.raises(totp.NotYetUsable):
            totp.verify(ours.erin.user, code(old, clock.now(), steps=1), now=clock.now())

    def test_the_first_code_cannot_be_used_again(self, ours: World) -> None:
        now = clock.now()
        made = enrolment.begin(ours.erin.user, now=now)
        enrolment.confirm(ours.erin, made.device_id, code(made.secret, now), now=now)
        TotpDevice.objects.filter(pk=made.device_id).update(usable_from=now - timedelta(seconds=1))
        with pytest.raises(totp.CodeUsed):
            totp.verify(ours.erin.user, code(made.secret, now), now=now)

    def test_abuse_071_counts_only_after_the_cool_down(self, ours: World, settings) -> None:
        confirmed(ours.erin)
        device = TotpDevice.objects.get(user=ours.erin.user)
        assert device.confirmed_at is not None
        assert device.usable_from == device.confirmed_at + settings.COUNTERSIGN.enrolment_cooldown
        assert settings.COUNTERSIGN.enrolment_cooldown == timedelta(minutes=10)

    def test_hands_out_ten_recovery_codes_and_keeps_none(self, ours: World) -> None:
        _, codes = confirmed(ours.erin)
        stored = [bytes(row.code_hash) for row in RecoveryCode.objects.filter(user=ours.erin.user)]
        assert (len(set(codes)), len(stored)) == (10, 10)
        assert not any(text.encode() in content for text in codes for content in stored)

    def test_is_an_event(self, ours: World) -> None:
        confirmed(ours.erin)
        (last,) = ledger.history(ours.slug, f"registry:totp:{ours.username('erin')}", limit=1)
        assert last["predicate"]["event"] == "credential.issued"
        assert last["predicate"]["detail"]["kind"] == "totp"


class TestSeed:
    def test_has_160_bits(self, ours: World) -> None:
        made = enrolment.begin(ours.erin.user, now=clock.now())
        assert len(pyotp.TOTP(made.secret).byte_secret()) == 20

    def test_abuse_072_is_in_no_row_record_log_or_repr(self, ours: World, caplog: pytest.LogCaptureFixture) -> None:
        with caplog.at_level(logging.DEBUG):
            made = enrolment.begin(ours.erin.user, now=clock.now())
            enrolment.confirm(ours.erin, made.device_id, code(made.secret, clock.now()), now=clock.now())
        raw = pyotp.TOTP(made.secret).byte_secret()
        dump = serializers.serialize("json", TotpDevice.objects.filter(user=ours.erin.user))
        stored = bytes(TotpDevice.objects.get(user=ours.erin.user).secret)
        records = b"".join(map(bytes, Record.objects.filter(log=ours.slug).values_list("body", flat=True)))
        for place in (dump.encode(), stored, records, caplog.text.encode(), repr(made).encode()):
            assert made.secret.encode() not in place
            assert raw not in place

    def test_abuse_072_is_not_shown_in_the_admin(self) -> None:
        assert not {TotpDevice, RecoveryCode} & set(admin.site._registry)
        assert apps.get_model("approvals.TotpDevice") is TotpDevice

    def test_the_qr_code_is_an_image_of_the_uri(self, ours: World) -> None:
        made = enrolment.begin(ours.erin.user, now=clock.now())
        assert made.qr.startswith("data:image/svg+xml")
        assert f"secret={made.secret}" in made.uri
        assert "issuer=Countersign" in made.uri

    def test_an_unfinished_enrolment_is_forgotten_by_the_next(self, ours: World) -> None:
        enrolment.begin(ours.erin.user, now=clock.now())
        enrolment.begin(ours.erin.user, now=clock.now())
        assert TotpDevice.objects.filter(user=ours.erin.user).count() == 1


class TestCommand:
    def test_refuses_who_has_one(self, ours: World) -> None:
        enrolled(ours.erin)
        with pytest.raises(
            CommandError, match=r"has an authenticator already\..*Replace authenticator.*recovery codes"
        ):
            call_command("enrol_totp", ours.username("erin"), tenant=ours.slug)
        assert totp.live_since(ours.erin.user)

    def test_refuses_a_stranger(self, ours: World) -> None:
        with pytest.raises(CommandError, match="no active member"):
            call_command("enrol_totp", "nobody", tenant=ours.slug)

    def test_prints_a_working_seed_as_its_last_word(self, ours: World) -> None:
        out = io.StringIO()
        call_command("enrol_totp", ours.username("erin"), tenant=ours.slug, stdout=out)
        secret = out.getvalue().split()[-1]
        later = clock.now() + timedelta(minutes=10)
        assert totp.verify(ours.erin.user, code(secret, later), now=later)

    def test_says_on_stderr_from_when_it_counts(self, ours: World) -> None:
        out, err = io.StringIO(), io.StringIO()
        call_command("enrol_totp", ours.username("erin"), tenant=ours.slug, stdout=out, stderr=err)
        at = totp.counts_from(ours.erin.user, now=clock.now())
        assert at
        assert f"counts from {at:%H:%M:%S} UTC" in err.getvalue()
        assert len(out.getvalue().splitlines()) == 1

    def test_is_silent_where_a_new_one_counts_at_once(self, ours: World, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(
            settings, "COUNTERSIGN", settings.COUNTERSIGN.model_copy(update={"enrolment_cooldown": timedelta(0)})
        )
        err = io.StringIO()
        call_command("enrol_totp", ours.username("erin"), tenant=ours.slug, stdout=io.StringIO(), stderr=err)
        assert err.getvalue() == ""

    def test_is_an_event(self, ours: World) -> None:
        call_command("enrol_totp", ours.username("erin"), tenant=ours.slug, stdout=io.StringIO())
        (last,) = ledger.history(ours.slug, f"registry:totp:{ours.username('erin')}", limit=1)
        assert last["predicate"]["actor"]["type"] == "command"


class TestBarred:
    def test_abuse_064_who_guessed_an_authenticator_away_cannot_enrol_another(self, ours: World) -> None:
        enrolled(ours.erin)
        TotpDevice.objects.filter(user=ours.erin.user).update(failures=totp.DISABLED_AT - 1)
        with pytest.raises(totp.WrongCode):
            totp.verify(ours.erin.user, "abcdef", now=clock.now())
        with pytest.raises(totp.Barred):
            confirmed(ours.erin)
        assert totp.live_since(ours.erin.user) is None

    def test_an_operator_gives_another(self, ours: World) -> None:
        enrolled(ours.erin)
        TotpDevice.objects.update(failures=totp.DISABLED_AT, disabled_at=clock.now())
        enrolled(ours.erin)
        assert totp.live_since(ours.erin.user) is not None
