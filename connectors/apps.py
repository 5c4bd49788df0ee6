"""Django's name for this room."""

from django.apps import AppConfig


class ConnectorsConfig(AppConfig):
    """The `connectors` room."""

    name = "connectors"
    default_auto_field = "django.db.models.BigAutoField"
