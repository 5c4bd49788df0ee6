"""Which path leads into which room."""

from django.contrib import admin
from django.urls import include, path

from config import health

urlpatterns = [
    path("", include("approvals.urls")),
    path("admin/", admin.site.urls),
    path("healthz", health.healthz),
    path("readyz", health.readyz),
]
