"""Django's name for this room."""

from django.apps import AppConfig


class EnforcementConfig(AppConfig):
    """The `enforcement` room."""

    name = "enforcement"
    default_auto_field = "django.db.models.BigAutoField"
