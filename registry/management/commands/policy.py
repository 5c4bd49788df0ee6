"""`manage.py policy check|publish|status`: check a policy against a tenant, put it in force, or say what is."""

from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from countersign.policy.source import PolicyErrors
from evidence import clock
from registry import console, releases
from registry.models import Release, Tenant


class Command(BaseCommand):
    help = "Check a policy against a tenant's registry, publish it, or show which release is in force."

    def add_arguments(self, parser: CommandParser) -> None:
        verbs = parser.add_subparsers(dest="verb", required=True)
        for verb, words in (("check", "compile it, change nothing"), ("publish", "sign it and put it in force")):
            one = verbs.add_parser(verb, help=words)
            one.add_argument("file", type=Path)
            one.add_argument("--tenant", required=True)
        verbs.add_parser("status", help="which release is in force").add_argument("--tenant", required=True)

    def handle(self, *args: Any, **options: Any) -> None:
        tenant = console.tenant(options["tenant"])
        if options["verb"] == "status":
            self._status(tenant)
            return
        file: Path = options["file"]
        try:
            self._check_or_publish(tenant, file.read_text(), file=str(file), publish=options["verb"] == "publish")
        except PolicyErrors as error:
            raise CommandError(f"The policy is refused:\n{error}") from None
        except (OSError, UnicodeError) as error:
            raise CommandError(f"Cannot read {file}: {getattr(error, 'strerror', None) or 'not UTF-8 text'}") from None

    def _check_or_publish(self, tenant: Tenant, text: str, *, file: str, publish: bool) -> None:
        policy = releases.check(tenant, text, file=file)
        for warning in policy.warnings:
            self.stderr.write(self.style.WARNING(f"warning: {warning}"))
        if not publish:
            self.stdout.write(f"{file}: {len(policy.rules)} rules, {policy.digest}")
            return
        row = releases.publish(tenant, text, file=file, actor=console.actor("policy publish"), now=clock.now())
        self.stdout.write(f"{tenant.slug}: revision {row.revision} is in force, {row.digest}")

    def _status(self, tenant: Tenant) -> None:
        try:
            proven = releases.load(tenant)
        except releases.ReleaseRefused as error:
            raise CommandError(str(error)) from None
        if proven is None:
            self.stdout.write(f"{tenant.slug}: no policy is published; every call is denied")
            return
        row = Release.objects.get(tenant=tenant, revision=proven.revision)
        self.stdout.write(
            f"{tenant.slug}: revision {row.revision}, {row.digest},"
            f" published {row.published_at.isoformat()} by {row.published_by}"
        )
