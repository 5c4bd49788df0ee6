"""`manage.py up`: one command that serves the pages and the decision API, with the pump and the sealer beside them."""

import errno
import socket
from typing import Any

import uvicorn
from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.db import connections

from config import health
from config.background import Background
from config.environment import PREFIX, environment
from connectors import accounts


class Command(BaseCommand):
    help = "Serve everything: uvicorn, and without Redis also the embedded pump and sealer."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--host", default="127.0.0.1")
        parser.add_argument("--port", type=int, default=8000)
        parser.add_argument("--workers", type=int, default=1)

    def handle(self, *args: Any, **options: Any) -> None:
        given = environment()
        if given.is_sqlite and options["workers"] != 1:
            raise CommandError(
                "SQLite has exactly one deciding process. Use --workers 1, or point "
                f"{PREFIX}DATABASE_URL at PostgreSQL."
            )
        _refuse_credentials_of_nobody()
        _refuse_taken(options["host"], options["port"])
        self.say_what_is_missing(seals=not given.redis_url)
        background = None if given.redis_url else Background()
        if background:
            background.start()
        here = f"http://{options['host']}:{options['port']}"
        self.stdout.write(f"Countersign is on {here}; people open {given.base_url}. Ctrl-C ends it.")
        try:
            serve(host=options["host"], port=options["port"], workers=options["workers"])
        finally:
            if background:
                background.stop()

    def say_what_is_missing(self, *, seals: bool) -> None:
        """In the words of `/readyz`, which nobody may be asking yet. The database may come later, so we serve.

        A process that seals is about to: what waits for it is no fault of the installation.
        """
        missing = [finding for finding in health.findings() if finding.fatal and not finding.ok]
        for finding in missing:
            if not (seals and finding.name == health.SEALING):
                self.stderr.write(f"Not ready: {finding.text} {finding.detail}".rstrip())
        connections.close_all()


def _refuse_taken(host: str, port: int) -> None:
    """Uvicorn would find out after we said where we are, and say it with an errno. Bound as uvicorn binds."""
    with socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except (OSError, OverflowError) as error:
            said = error.strerror if isinstance(error, OSError) else str(error).rstrip(".")
            taken = isinstance(error, OSError) and error.errno == errno.EADDRINUSE
            why = "is taken" if taken else f"cannot be served on ({said})"
            raise CommandError(
                f"{host}:{port} {why}. Choose another: manage.py up --port 8010, or make serve PORT=8010"
            ) from None


def _refuse_credentials_of_nobody() -> None:
    """The environment's connectors belong to one tenant; a guess would show its requests to another's channel."""
    try:
        accounts.check_environment()
    except accounts.TenantNotNamed as error:
        raise CommandError(str(error)) from None


def serve(*, host: str, port: int, workers: int) -> None:
    """Uvicorn with what the hot path needs: our short cut, uvloop, no access log, no lifespan for Django.

    Where proxies are trusted by their address, uvicorn must not put another in its place that a header told it.
    """
    uvicorn.run(
        "config.asgi:application",
        host=host,
        port=port,
        workers=workers,
        loop="uvloop",
        http="config.protocol:Protocol",
        access_log=False,
        server_header=False,
        proxy_headers=not environment().trusted_proxies,
        date_header=False,
        log_level="warning",
        timeout_graceful_shutdown=10,
    )
