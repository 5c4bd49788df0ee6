"""`manage.py apply -f FILE|DIR [--dry-run]`: make the registry what blueprints say."""

from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from countersign.policy.source import PolicyErrors
from evidence import clock
from registry import blueprints, console
from registry.blueprints import report


class Command(BaseCommand):
    help = "Apply a blueprint, or all of a directory in order of name. Applying twice is applying once."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("-f", "--file", type=Path, required=True, metavar="FILE|DIR")
        parser.add_argument("--dry-run", action="store_true", help="print what would change, and change nothing")

    def handle(self, *args: Any, **options: Any) -> None:
        actor = console.actor("apply")
        run = blueprints.rehearse if options["dry_run"] else blueprints.apply
        try:
            for blueprint in _load(options["file"]):
                self._tell(run(blueprint, actor=actor, now=clock.now()), is_rehearsal=options["dry_run"])
        except PolicyErrors as error:
            raise CommandError(f"Nothing was applied from here on:\n{error}") from None

    def _tell(self, applied: blueprints.Applied, *, is_rehearsal: bool) -> None:
        for line in report.lines(applied):
            self.stdout.write(line)
        for warning in applied.warnings:
            self.stderr.write(self.style.WARNING(f"warning: {warning}"))
        self.stdout.write(report.summary(applied) + (" (dry run: nothing was changed)" if is_rehearsal else ""))


def _load(path: Path) -> tuple[blueprints.Blueprint, ...]:
    try:
        found = blueprints.load(path)
    except (OSError, UnicodeError) as error:
        raise CommandError(f"Cannot read {path}: {getattr(error, 'strerror', None) or 'not UTF-8 text'}.") from None
    if not found:
        raise CommandError(f"{path} holds no blueprint (a *.yaml that names a tenant).")
    return found
