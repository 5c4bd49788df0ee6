"""Pages of keys: issued here and shown once, revoked here and dead at once."""

from typing import Any

from django.contrib import admin, messages
from django.db import models
from django.http import HttpRequest, HttpResponse
from django.template.response import TemplateResponse
from unfold.decorators import action

from evidence import clock
from registry import changes, credentials, describe
from registry.admin.base import Refused, TenantAdmin, actor_of
from registry.admin.entrance import site
from registry.admin.forms import KeyForm
from registry.models import Credential, Tenant

_ISSUED = "_countersign_issued"


def shown_once(page: Any, request: HttpRequest, issued: list[tuple[str, str]]) -> HttpResponse:
    """The page with the keys: the answer to the POST itself, kept by nobody."""
    context = {**page.admin_site.each_context(request), "title": "Copy it now", "issued": issued, "opts": page.opts}
    response = TemplateResponse(request, "registry/admin/issued.html", context)
    response["Cache-Control"] = "no-store"
    return response


def _issued(tenant: Tenant, **given: Any) -> str:
    try:
        return credentials.issue(tenant, **given)
    except credentials.BadReach as error:
        raise Refused(f"Not issued: {error}.") from None


@admin.register(Credential, site=site)
class CredentialAdmin(TenantAdmin):
    """Keys of machines and people. The hash is never shown; a key cannot be changed, only revoked."""

    kind, key_field = changes.CREDENTIAL, "key_id"
    describe = staticmethod(describe.credential)
    form = KeyForm
    list_display = ("key_id", "kind", "name", "created_at", "expires_at", "revoked_at")
    list_filter = ("kind", ("revoked_at", admin.EmptyFieldListFilter))
    search_fields = ("key_id", "name")
    ordering = ("-created_at",)
    actions = ("revoke",)

    def get_fields(self, request: HttpRequest, obj: Any = None) -> tuple[str, ...]:  # noqa: ARG002  Django's signature
        given = ("kind", "name", "agents", "subjects", "membership", "scopes", "expires_at")
        return ("key_id", *given, "brief", "created_at", "revoked_at") if obj else given

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return obj is None and super().has_change_permission(request)

    def save_model(self, request: HttpRequest, obj: Any, form: Any, change: bool) -> None:  # noqa: ARG002, FBT001  Django's signature
        token = _issued(
            obj.tenant,
            kind=obj.kind,
            name=obj.name,
            agents=obj.agents,
            subjects=obj.subjects,
            scopes=obj.scopes,
            membership=obj.membership,
            expires_at=obj.expires_at,
            actor=actor_of(request),
            now=clock.now(),
        )
        presented = credentials.parse(token)
        assert presented
        obj.pk = Credential.objects.only("pk").get(key_id=presented.key_id).pk
        setattr(request, _ISSUED, [(obj.name, token)])

    def log_addition(self, request: HttpRequest, obj: Any, message: Any) -> None:
        """Issuing has recorded it."""

    def response_add(self, request: HttpRequest, obj: Any, post_url_continue: str | None = None) -> HttpResponse:  # noqa: ARG002  Django's signature
        return shown_once(self, request, getattr(request, _ISSUED))

    @action(description="Revoke", permissions=["change"])  # type: ignore[untyped-decorator]  # unfold
    def revoke(self, request: HttpRequest, queryset: models.QuerySet[Credential]) -> None:
        revoked = 0
        for row in queryset.filter(revoked_at__isnull=True).select_related("tenant", "membership__user"):
            credentials.revoke(row, actor=actor_of(request), now=clock.now())
            revoked += 1
        messages.success(request, f"{revoked} revoked; the next request with it is refused.")
