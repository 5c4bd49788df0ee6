"""The house's own Celery app, with the test's message board among its connectors."""

import django

django.setup()

from config.celery import app  # noqa: E402  models exist only now
from connectors.kinds import KINDS  # noqa: E402
from tests.connectors.board import KIND, Boards  # noqa: E402

KINDS[KIND] = Boards

__all__ = ["app"]
