"""Django's name for this room."""

from django.apps import AppConfig


class ConnectorsConfig(AppConfig):
    """The `connectors` room."""

    name = "connectors"
    default_auto_field = "django.db.models.BigAutoField"

    def ready(self) -> None:
        """Hears of changed requests and registers the room's jobs. Imported here: models are not there before."""
        from connectors import (  # noqa: F401, PLC0415  see above
            accounts,
            alarms,
            alerts,
            deliver,
            digest,
            jobs,
            notify,
            origin,
            reminders,
            waivers,
            waivers_due,
        )
        from connectors.jira import jobs as _looks  # noqa: F401, PLC0415  see above
        from connectors.servicenow import looking  # noqa: F401, PLC0415  see above
        from connectors.slack import aside, home, pressing  # noqa: F401, PLC0415  see above
        from connectors.webhook import deliver as _callbacks  # noqa: F401, PLC0415  see above
        from connectors.webhook import notify as _ends  # noqa: F401, PLC0415  see above
        from registry import blueprints  # noqa: PLC0415  see above

        blueprints.connected_by(accounts.kinds_of)
        blueprints.worried_by(accounts.worry)
