"""`manage.py pump`: run the outbox and the sealer in the foreground until interrupted."""

import gc
import signal
import threading
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from config.background import Background
from connectors import accounts


class Command(BaseCommand):
    help = "Run due jobs and seal evidence until interrupted (where neither Celery nor `up` does it)."

    def handle(self, *args: Any, **options: Any) -> None:
        try:
            accounts.check_environment()
        except accounts.TenantNotNamed as error:
            raise CommandError(str(error)) from None
        _tune()
        stop = threading.Event()
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, lambda *_: stop.set())
        background = Background()
        background.start()
        self.stdout.write("Pumping. Ctrl-C stops after the work at hand.")
        stop.wait()
        background.stop()


def _tune() -> None:
    """For a process that does nothing else: Django's own objects live as long as it does, so nobody needs to look for
    garbage among them each time a few thousand records were sealed.
    """
    gc.collect()
    gc.freeze()
