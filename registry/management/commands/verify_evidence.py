"""`manage.py verify_evidence`: re-read every log and name whatever is not as it was sealed and published."""

from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from evidence import audit, clock
from registry import console
from registry.models import Tenant


class Command(BaseCommand):
    help = "Hold the evidence in the database against its signatures, its checkpoints and those kept outside."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--tenant", help="this tenant's log only")

    def handle(self, *args: Any, **options: Any) -> None:
        given = options["tenant"]
        logs = [console.tenant(given).slug] if given else Tenant.objects.order_by("slug").values_list("slug", flat=True)
        wrong = 0
        for log in logs:
            before = wrong
            for finding in audit.audit(log, now=clock.now()):
                wrong += 1
                self.stdout.write(f"✗ {finding.log}: {finding.text}")
            if wrong == before:
                self.stdout.write(f"✓ {log}: every record is as it was sealed and published.")
        if wrong:
            raise CommandError(f"{wrong} findings: the evidence was changed. Keep this database as it is.")
