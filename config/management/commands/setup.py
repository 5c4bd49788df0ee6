"""`manage.py setup`: tables, roles and keys; and from COUNTERSIGN_BOOTSTRAP_* a tenant with its first administrator."""

from pathlib import Path
from typing import Any

from django.core.exceptions import ValidationError
from django.core.management import call_command
from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.db import connections

from config.database import database
from config.environment import PREFIX, Environment, environment
from evidence import clock, keys, roles
from evidence.models import Record
from outbox import queue
from registry import bootstrap, console, people

MIGRATOR = "migrator"


class Command(BaseCommand):
    help = "Prepare database, roles and keys. Safe to run again: it does what is missing and says so."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--new-keys", action="store_true", help="make new keys although evidence exists")

    def handle(self, *args: Any, **options: Any) -> None:
        given = environment()
        if given.is_sqlite:
            Path(connections.databases["default"]["NAME"]).parent.mkdir(parents=True, exist_ok=True)
        if given.migrator_database_url:
            self._as_owner(given.migrator_database_url)
        else:
            call_command("migrate", interactive=False, verbosity=0)
            self.stdout.write("Tables are up to date (the service owns them: tamper-evident, not tamper-resistant).")
        self._check_keys(given, new_keys=options["new_keys"])
        made = keys.create_missing(given.keys_dir)
        self.stdout.write(f"Keys made: {', '.join(made)}." if made else "Keys are there.")
        queue.begin_rounds()
        self._bootstrap(given)

    def _check_keys(self, given: Environment, *, new_keys: bool) -> None:
        """Lost keys are never replaced in silence: seeds and arguments closed with them would be gone for good."""
        lost = keys.missing(given.keys_dir)
        if lost and not new_keys and Record.objects.exists():
            raise CommandError(
                f"There is evidence already, but {PREFIX}KEYS_DIR ({given.keys_dir}) lacks {', '.join(lost)}. "
                "Restore them from the backup. Only if they are lost for good: setup --new-keys, after which "
                "authenticators, credentials and kept arguments must be made anew."
            )

    def _as_owner(self, url: str) -> None:
        """Migrate as the owner of the tables, then let the service's own role insert and select, no more."""
        connections.databases[MIGRATOR] = {**connections.databases["default"], **database(url)}
        runtime = connections.databases["default"]
        if runtime["USER"] == connections.databases[MIGRATOR]["USER"]:
            raise CommandError(f"{PREFIX}MIGRATOR_DATABASE_URL and {PREFIX}DATABASE_URL must name different roles.")
        call_command("migrate", database=MIGRATOR, interactive=False, verbosity=0)
        try:
            roles.ensure(connections[MIGRATOR], runtime["USER"], runtime["PASSWORD"] or None)
        except roles.NotARuntimeRole as error:
            raise CommandError(f"{PREFIX}DATABASE_URL: {error}") from None
        finally:
            connections[MIGRATOR].close()
        self.stdout.write(f"Tables are up to date; the role {runtime['USER']} may only add to evidence.")

    def _bootstrap(self, given: Environment) -> None:
        if not given.bootstrap_tenant:
            return
        needed = {"ADMIN": given.bootstrap_admin, "EMAIL": given.bootstrap_email}
        if missing := [f"{PREFIX}BOOTSTRAP_{name}" for name, value in needed.items() if not value]:
            raise CommandError(f"{PREFIX}BOOTSTRAP_TENANT needs {' and '.join(missing)} too.")
        try:
            made = bootstrap.bootstrap(
                slug=given.bootstrap_tenant,
                admin=given.bootstrap_admin,
                email=given.bootstrap_email,
                password=given.bootstrap_password,
                actor=console.actor("setup"),
                now=clock.now(),
            )
        except ValidationError as error:
            raise CommandError(f"{PREFIX}BOOTSTRAP_PASSWORD: {' '.join(error.messages)}") from None
        except (people.BadUsername, people.UsernameTaken) as error:
            raise CommandError(f"{PREFIX}BOOTSTRAP_ADMIN: {error}") from None
        self.stdout.write(f"Made: {', '.join(made)}." if made else f"Tenant {given.bootstrap_tenant} is there.")
