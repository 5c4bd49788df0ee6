"""Django's name for this room."""

from django.apps import AppConfig


class EvidenceConfig(AppConfig):
    """The `evidence` room."""

    name = "evidence"
    default_auto_field = "django.db.models.BigAutoField"
