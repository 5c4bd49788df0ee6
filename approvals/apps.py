"""Django's name for this room."""

from django.apps import AppConfig


class ApprovalsConfig(AppConfig):
    """The `approvals` room."""

    name = "approvals"
    default_auto_field = "django.db.models.BigAutoField"
