"""Where other systems and people's clicks come in; each connector adds its own."""

from django.urls import URLPattern, URLResolver, include, path

urlpatterns: list[URLPattern | URLResolver] = [
    path("", include("connectors.jira.urls")),
    path("", include("connectors.servicenow.urls")),
    path("", include("connectors.slack.urls")),
]
