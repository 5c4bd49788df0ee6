"""`manage.py callback add|list|remove --tenant T`: endpoints that are told how tasks end. The secret is shown once."""

from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from connectors.webhook import registering
from evidence import clock
from outbox import reachable
from registry import console
from registry.models import Credential, Tenant


class Command(BaseCommand):
    help = "Register an endpoint that is told how tasks end, list them, or remove one."

    def add_arguments(self, parser: CommandParser) -> None:
        verbs = parser.add_subparsers(dest="verb", required=True)
        add = verbs.add_parser("add", help="register one and print its secret")
        add.add_argument("name")
        add.add_argument("url")
        add.add_argument("--key", metavar="KEY_ID", help="only tasks of this key; without it, of the whole tenant")
        remove = verbs.add_parser("remove", help="send nothing more there")
        remove.add_argument("name")
        for verb in (add, remove, verbs.add_parser("list", help="which there are")):
            verb.add_argument("--tenant", required=True)

    def handle(self, *args: Any, **options: Any) -> None:
        tenant = console.tenant(options["tenant"])
        match options["verb"]:
            case "add":
                self._add(tenant, options)
            case "remove":
                self._remove(tenant, options["name"])
            case _:
                for row in registering.all_of(tenant):
                    self.stdout.write(f"{row.name}  {row.url}  {row.credential or 'whole tenant'}")

    def _add(self, tenant: Tenant, options: dict[str, Any]) -> None:
        if len(options["name"]) > registering.MAX_NAME:
            raise CommandError(f"A name has at most {registering.MAX_NAME} characters.")
        credential = self._credential(tenant, options["key"]) if options["key"] else None
        try:
            secret = registering.add(
                tenant, name=options["name"], url=options["url"], credential=credential,
                actor=console.actor("callback add"), now=clock.now(),
            )  # fmt: skip
        except registering.NameTaken:
            raise CommandError(f"{tenant.slug} has a callback {options['name']!r} already.") from None
        except reachable.Forbidden as error:
            raise CommandError(str(error)) from None
        self.stdout.write(f"Registered. Its secret, shown once: {secret}")

    def _remove(self, tenant: Tenant, name: str) -> None:
        try:
            registering.remove(tenant, name=name, actor=console.actor("callback remove"), now=clock.now())
        except registering.UnknownCallback:
            raise CommandError(f"{tenant.slug} has no callback {name!r}.") from None
        self.stdout.write(f"Removed {name}.")

    def _credential(self, tenant: Tenant, key_id: str) -> Credential:
        row = Credential.objects.filter(tenant=tenant, key_id=key_id, revoked_at__isnull=True).first()
        if row is None:
            raise CommandError(f"{tenant.slug} has no key {key_id!r}.")
        return row
