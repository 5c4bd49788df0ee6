"""Administrators' page of waivers: what there is, and an end to it. Nothing that an agent or an asker typed is on it.

A condition may quote an agent's arguments, and a reason whatever somebody pasted; both are on the waiver's own page.
"""

from collections.abc import Sequence
from typing import Any, Final

from django.contrib import admin, messages
from django.contrib.admin.helpers import ACTION_CHECKBOX_NAME
from django.db import models
from django.http import HttpRequest, HttpResponse
from django.template.response import TemplateResponse
from unfold.decorators import action

from approvals.models import Waiver
from approvals.waivers import ending, moving
from evidence import clock
from registry import access
from registry.admin.base import TenantAdmin
from registry.admin.entrance import site, tenant_of

_LONGEST: Final = 2000
_PINNED: Final = ("rules", "agents", "tools")


@admin.register(Waiver, site=site)
class WaiverAdmin(TenantAdmin):
    """Asked for, granted, used and ended elsewhere; here it is found and revoked."""

    kind = "waiver"
    fields = (
        "id", "version", "state", "category", *_PINNED, "owner", "asked_by", "asked_at", "granted_at", "not_before",
        "expires_at", "ended_at", "ended_by", "uses", "max_uses", "renews", "renewal", "request",
    )  # fmt: skip
    readonly_fields = (*_PINNED, "request")
    list_display = (
        "id",
        "state",
        "category",
        "rules",
        "owner",
        "asked_by",
        "expires_at",
        "uses",
        "max_uses",
        "renewal",
    )
    list_filter = ("state", "category")
    list_select_related = ("owner__user", "owner__tenant", "asked_by__user", "asked_by__tenant")
    search_fields = ("id", "owner__user__username", "asked_by__user__username")
    ordering = ("-asked_at",)
    actions: Sequence[str] = ("revoke",)

    def has_add_permission(self, request: HttpRequest) -> bool:  # noqa: ARG002  Django's signature
        return False

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:  # noqa: ARG002  Django's signature
        return False

    def history_view(
        self, request: HttpRequest, object_id: str, extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        """Its history is its request's thread, which its own page tells."""
        return self.changeform_view(request, object_id, extra_context=extra_context)

    @admin.display(description="rules")
    def rules(self, waiver: Waiver) -> str:
        return _listed(waiver, "rules")

    @admin.display(description="agents")
    def agents(self, waiver: Waiver) -> str:
        return _listed(waiver, "agents")

    @admin.display(description="tools")
    def tools(self, waiver: Waiver) -> str:
        return _listed(waiver, "tools")

    @admin.display(description="request")
    def request(self, waiver: Waiver) -> str:
        return str(waiver.request_id)

    @action(description="Revoke, with a reason", permissions=["view"])  # type: ignore[untyped-decorator]  # unfold
    def revoke(self, request: HttpRequest, queryset: models.QuerySet[Waiver]) -> HttpResponse | None:
        """First the page that asks why; with an answer, the end of each."""
        reason = request.POST.get("reason", "").strip()[:_LONGEST]
        if not reason:
            context = {
                **self.admin_site.each_context(request),
                "title": "Revoke waivers",
                "opts": self.opts,
                "waivers": [waiver.pk for waiver in queryset],
                "checkbox": ACTION_CHECKBOX_NAME,
                "longest": _LONGEST,
            }
            return TemplateResponse(request, "waivers_admin_revoke.html", context)
        for waiver in queryset:
            self._revoke(request, waiver.pk, reason)
        return None

    def _revoke(self, request: HttpRequest, waiver_id: str, reason: str) -> None:
        member = access.membership_for(request)
        try:
            ending.revoke(waiver_id, tenant_id=tenant_of(request).pk, by=member, why=reason, now=clock.now())
        except (moving.NotNow, ending.NotYours) as error:
            messages.error(request, f"Not revoked: {error}.")
        else:
            messages.success(request, f"{waiver_id} is revoked, with the next decision.")


def _listed(waiver: Waiver, name: str) -> str:
    """Names of the registry and of the policy, which no agent chose."""
    return ", ".join(waiver.terms["pinned"][name])
