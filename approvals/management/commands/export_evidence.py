"""`manage.py export_evidence`: write an evidence pack that verifies without this server."""

from argparse import ArgumentTypeError
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from approvals.waivers import exporting
from evidence import clock, keys, packs, seal
from evidence.keys import Purpose
from evidence.packs import Selection
from registry import console
from registry.models import Tenant


class Command(BaseCommand):
    help = "Write an evidence pack: of a transaction, session, request or waiver, of a time, or of the whole log."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--tenant", required=True)
        parser.add_argument("--out", required=True, type=Path, help="a new directory, or a name ending in .tar.gz")
        about = parser.add_mutually_exclusive_group()
        about.add_argument("--transaction", default="")
        about.add_argument("--session", default="")
        about.add_argument("--request", default="", metavar="ID")
        about.add_argument("--waiver", default="", metavar="ID", help="its whole life: asked, granted, used, ended")
        parser.add_argument(
            "--from", dest="since", type=_moment, help="such as 2026-11-21T10:00:00Z; UTC if it names no zone"
        )
        parser.add_argument("--to", dest="until", type=_moment, help="exclusive")
        parser.add_argument("--against", action="append", default=[], type=Path, metavar="CHECKPOINT",
                            help="a checkpoint that the reader keeps; the pack is proven to continue it")  # fmt: skip
        parser.add_argument("--no-arguments", action="store_true", help="leave out kept arguments and their salts")

    def handle(self, *args: Any, **options: Any) -> None:
        tenant = console.tenant(options["tenant"])
        selection = _selection(tenant, options)
        try:
            made = packs.export(
                tenant.slug,
                options["out"],
                selection=selection,
                policies=exporting.policies(tenant),
                actor=console.actor("export_evidence"),
                now=clock.now(),
                held=[path.read_text() for path in options["against"]],
                arguments=not options["no_arguments"],
            )
        except (packs.NothingSelected, packs.NotOurs, seal.BrokenLog, OSError) as error:
            raise CommandError(f"No pack was written: {error}") from error
        self.stdout.write(f"{made.records} records under a tree of {made.size} are in {options['out']}.")
        self.stdout.write(f"Verify: countersign verify {options['out']} --key '{keys.signer(Purpose.SEALER).vkey}'")


def _selection(tenant: Tenant, options: dict[str, Any]) -> Selection:
    if not options["waiver"]:
        return Selection(**{name: options[name] for name in Selection.__dataclass_fields__})
    of_waiver = exporting.selection(tenant, options["waiver"])
    if of_waiver is None:
        raise CommandError(f"No pack was written: {tenant.slug} has no waiver {options['waiver']}")
    return replace(of_waiver, since=options["since"], until=options["until"])


def _moment(text: str) -> datetime:
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        raise ArgumentTypeError(f"{text!r}: write ISO 8601 with a zone, such as 2026-11-21T10:00:00Z") from None
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)
