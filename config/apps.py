"""The building as a Django app, for its commands and checks."""

from django.apps import AppConfig

from config.environment import environment
from outbox import doorbell


class BuildingConfig(AppConfig):
    """Commands that span the rooms (`up`, `pump`, `doctor`) and checks of the environment."""

    name = "config"
    verbose_name = "Countersign"

    def ready(self) -> None:
        from config import checks  # noqa: F401, PLC0415  registering is the import's purpose, and models must be ready

        if environment().redis_url:
            from config.bell import bell  # noqa: PLC0415  Celery is loaded only where it is used

            doorbell.also(bell.ring)
