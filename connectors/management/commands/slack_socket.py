"""`manage.py slack_socket`: hear Slack through sockets that we open, where Slack cannot reach an address of ours."""

import logging
import signal
import threading
from typing import Any

from django.core.management.base import BaseCommand, CommandError
from django.db import Error, close_old_connections

from connectors import accounts
from connectors.slack.sockets import Sockets

log = logging.getLogger(__name__)

LOOKED_EVERY = 30.0
_NONE = (
    "No tenant has a Slack app token. Make one (xapp-…, connections:write) under Basic Information of the app and set"
    " COUNTERSIGN_SLACK_APP_TOKEN, or enter it with the tenant's Slack credentials."
)


class Command(BaseCommand):
    help = "Open Socket Mode connections to Slack for every tenant with an app token, until interrupted."

    def handle(self, *args: Any, **options: Any) -> None:
        stop = threading.Event()
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, lambda *_: stop.set())
        if not any(account.settings.get("app_token") for account in accounts.accounts("slack")):
            raise CommandError(_NONE)
        sockets = Sockets()
        try:
            self._hear(sockets, stop)
        finally:
            sockets.close()

    def _hear(self, sockets: Sockets, stop: threading.Event) -> None:
        """Looks again and again who has a token: one that was entered needs no restart."""
        heard: list[str] = []
        while not stop.is_set():
            self._agree(sockets)
            if sockets.tenants != heard:
                heard = sockets.tenants
                self.stdout.write(f"Listening to Slack for {', '.join(heard) or 'nobody'}. Ctrl-C stops.")
                self.stdout.flush()
            stop.wait(LOOKED_EVERY)

    def _agree(self, sockets: Sockets) -> None:
        close_old_connections()
        try:
            wanted = accounts.accounts("slack")
        except (
            Error
        ) as error:  # the open ones go on; without the database they answer nothing, and Slack tells it again
            log.warning("who has a Slack app token cannot be read now", extra={"error": type(error).__name__})
            return
        for words in sockets.agree(wanted):
            self.stderr.write(words)
