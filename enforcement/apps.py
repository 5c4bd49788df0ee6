"""Django's name for this room."""

from django.apps import AppConfig


class EnforcementConfig(AppConfig):
    """The `enforcement` room."""

    name = "enforcement"
    default_auto_field = "django.db.models.BigAutoField"

    def ready(self) -> None:
        from enforcement import jobs  # noqa: F401, PLC0415  registering is the import's purpose, and models must be ready
