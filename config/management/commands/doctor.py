"""`manage.py doctor`: everything `/readyz` looks at and more, in words, with what to do."""

import logging
from typing import Any

from django.core.management.base import BaseCommand

from config.health import connected, doorbell, findings, tenants


class Command(BaseCommand):
    help = "Look at this installation and say what is wrong and what to do. Exits 1 if decisions cannot be made."

    def handle(self, *args: Any, **options: Any) -> None:
        logging.getLogger("httpx2").setLevel(logging.WARNING)  # it tells of each request, amid our lines
        found = [*findings(), *doorbell()]
        if not any(finding.fatal and not finding.ok for finding in found):
            found.extend([*tenants(), *connected()])
        for finding in found:
            mark = "ok  " if finding.ok else ("BAD " if finding.fatal else "mind")
            self.stdout.write(f"{mark}  {finding.name:<20} {finding.text} {finding.detail}".rstrip())
        if any(finding.fatal and not finding.ok for finding in found):
            raise SystemExit(1)
