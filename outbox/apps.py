"""Django's name for this room."""

from django.apps import AppConfig


class OutboxConfig(AppConfig):
    """The `outbox` room."""

    name = "outbox"
    default_auto_field = "django.db.models.BigAutoField"
