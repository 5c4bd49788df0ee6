"""`manage.py revoke_key --tenant T KEY_ID`: the next request with that key is refused."""

from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from evidence import clock
from registry import console, credentials


class Command(BaseCommand):
    help = "Revoke a key by its id, the middle part of csk_<kind>_<id>_<secret>."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--tenant", required=True)
        parser.add_argument("key_id", metavar="KEY_ID")

    def handle(self, *args: Any, **options: Any) -> None:
        tenant = console.tenant(options["tenant"])
        given = credentials.parse(options["key_id"])
        key_id = given.key_id if given else options["key_id"]  # somebody in a hurry pastes the whole key
        row = tenant.credentials.select_related("tenant", "membership__user").filter(key_id=key_id).first()
        if row is None:
            raise CommandError(f"{tenant.slug} has no key {key_id!r}.")
        try:
            credentials.revoke(row, actor=console.actor("revoke_key"), now=clock.now())
        except credentials.AlreadyRevoked as error:
            raise CommandError(f"{error}.".capitalize()) from None
        self.stdout.write(f"Revoked {row} ({row.name}).")
