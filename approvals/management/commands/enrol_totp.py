"""Give a person a TOTP authenticator; its base32 seed is the last word printed, once."""

from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from approvals import enrolment, totp
from evidence import clock
from evidence.ledger import Actor
from registry.models import Membership

_HAS_ONE = (
    "{username!r} has an authenticator already. They replace it themselves: Your account → Replace authenticator, with "
    "a code of the one in use, or with one of the recovery codes that page showed when it was set up there. Without "
    "either, no command replaces it."
)


class Command(BaseCommand):
    help = "Enrol a TOTP authenticator for a person who has none and print its seed once."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--tenant", required=True, help="slug of the tenant whose ledger records it")
        parser.add_argument("username")

    def handle(self, *args: Any, **options: Any) -> None:
        tenant, username = options["tenant"], options["username"]
        members = Membership.objects.select_related("user", "tenant").filter(active=True, user__is_active=True)
        membership = members.filter(tenant__slug=tenant, user__username=username).first()
        if membership is None:
            raise CommandError(f"no active member {username!r} in tenant {tenant!r}")
        now = clock.now()
        try:
            made = enrolment.issue(membership, actor=Actor(type="command", id="enrol_totp"), now=now)
        except enrolment.AlreadyEnrolled:
            raise CommandError(_HAS_ONE.format(username=username)) from None
        counts_from = totp.counts_from(membership.user, now=now)
        if counts_from and counts_from > now:  # not on stdout, where the seed is the last word
            wait = "COUNTERSIGN_ENROLMENT_COOLDOWN"  # of this command's environment
            self.stderr.write(f"A new authenticator waits ({wait}): it counts from {counts_from:%H:%M:%S} UTC.", str)
        self.stdout.write(f"Seed of {username}, shown once: {made.secret}")
