"""Which path leads into which room."""

from django.contrib import admin
from django.urls import include, path
from drf_spectacular.views import SpectacularAPIView, SpectacularSwaggerView

from config import health
from registry import openapi as openapi  # its extension of the schema registers itself

urlpatterns = [
    path("", include("approvals.urls")),
    path("", include("enforcement.urls")),
    path("", include("connectors.urls")),
    path("api/v1/", include("approvals.api_urls")),
    path("api/v1/", include("enforcement.people_urls")),
    path("api/v1/", include("registry.records_urls")),
    path("api/schema/", SpectacularAPIView.as_view(), name="schema"),
    path("api/docs/", SpectacularSwaggerView.as_view(url_name="schema")),
    path("admin/", admin.site.urls),
    path("healthz", health.healthz),
    path("readyz", health.readyz),
]
