"""Django's name for this room."""

from django.apps import AppConfig


class ApprovalsConfig(AppConfig):
    """The `approvals` room."""

    name = "approvals"
    default_auto_field = "django.db.models.BigAutoField"

    def ready(self) -> None:
        """Registers the room's jobs. Imported here: models are not there before."""
        from approvals import jobs  # noqa: F401, PLC0415  see above
        from approvals.waivers import granting  # noqa: F401, PLC0415  see above
        from approvals.waivers import jobs as waiver_jobs  # noqa: F401, PLC0415  see above
