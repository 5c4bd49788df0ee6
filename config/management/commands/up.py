"""`manage.py up`: one command that serves the pages and the decision API, with the pump and the sealer beside them."""

from typing import Any

import uvicorn
from django.core.management.base import BaseCommand, CommandError, CommandParser

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
