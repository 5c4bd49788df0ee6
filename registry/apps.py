"""Django's name for this room."""

from django.apps import AppConfig
from django.contrib import admin
from django.contrib.admin import sites


class RegistryConfig(AppConfig):
    """The `registry` room."""

    name = "registry"
    default_auto_field = "django.db.models.BigAutoField"

    def ready(self) -> None:
        """`admin.site` is ours: a closed list of pages behind our own question of who may enter."""
        from registry.admin import site  # noqa: PLC0415  models exist only now

        admin.site = sites.site = site
