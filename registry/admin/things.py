"""Pages of agents, tools, catalogue entities, channels, releases and the tenant itself."""

from collections.abc import Sequence
from typing import Any

from django.contrib import admin, messages
from django.db import IntegrityError, models, transaction
from django.http import HttpRequest, HttpResponse
from unfold.decorators import action

from evidence import clock
from registry import access, credentials, describe
from registry.admin import entrance
from registry.admin.base import Refused, TenantAdmin, actor_of
from registry.admin.entrance import site
from registry.admin.forms import AgentForm, EntityForm, ToolForm
from registry.admin.keys import shown_once
from registry.models import Agent, Channel, CredentialKind, Entity, Issuer, Release, Tenant, Tool


class Switchable(TenantAdmin):
    """Rows that are switched off instead of deleted: their history refers to them."""

    actions: Sequence[str] = ("activate", "deactivate")

    @action(description="Activate", permissions=["change"])  # type: ignore[untyped-decorator]  # unfold
    def activate(self, request: HttpRequest, queryset: models.QuerySet[Any]) -> None:
        self._switch(request, queryset, active=True)

    @action(description="Deactivate", permissions=["change"])  # type: ignore[untyped-decorator]  # unfold
    def deactivate(self, request: HttpRequest, queryset: models.QuerySet[Any]) -> None:
        self._switch(request, queryset, active=False)

    def _switch(self, request: HttpRequest, queryset: models.QuerySet[Any], *, active: bool) -> None:
        switched = 0
        for row in queryset.exclude(active=active):
            try:
                self.alter(request, row, active=active)
                switched += 1
            except Refused as refusal:
                messages.error(request, f"{row}: {refusal}")
        messages.success(request, f"{switched} {'activated' if active else 'deactivated'} from the next call on.")


@admin.register(Agent, site=site)
class AgentAdmin(Switchable):
    kind, key_field, key_fields = "agent", "agent_id", ("agent_id",)
    describe = staticmethod(describe.agent)
    form = AgentForm
    list_display = ("agent_id", "owner", "team", "active")
    list_filter = ("active",)
    list_select_related = ("owner__user", "owner__tenant", "team")
    search_fields = ("agent_id", "owner__user__username", "team__name")
    ordering = ("agent_id",)
    actions = (*Switchable.actions, "issue_key")

    @action(description="Issue a key (shown once)", permissions=["change"])  # type: ignore[untyped-decorator]  # unfold
    def issue_key(self, request: HttpRequest, queryset: models.QuerySet[Agent]) -> HttpResponse:
        issued = [
            (
                agent.agent_id,
                credentials.issue(
                    agent.tenant,
                    kind=CredentialKind.AGENT,
                    name=agent.agent_id,
                    agents=[agent.agent_id],
                    actor=actor_of(request),
                    now=clock.now(),
                ),
            )
            for agent in queryset.select_related("tenant")
        ]
        return shown_once(self, request, issued)


@admin.register(Tool, site=site)
class ToolAdmin(Switchable):
    kind, key_field, key_fields = "tool", "tool_id", ("tool_id",)
    describe = staticmethod(describe.tool)
    form = ToolForm
    list_display = ("tool_id", "group", "risk_tier", "owner", "active")
    list_filter = ("active", "risk_tier", "group")
    list_select_related = ("owner__user", "owner__tenant")
    search_fields = ("tool_id", "group", "owner__user__username")
    ordering = ("tool_id",)


@admin.register(Issuer, site=site)
class IssuerAdmin(Switchable):
    """Whose tokens and certificates are believed. Set up by blueprint; here they are seen, switched off and on."""

    kind, key_field = "issuer", "issuer_id"
    describe = staticmethod(describe.issuer)
    fields = (
        "issuer_id", "kind", "issuer", "audience", "agent_claim", "principal_claim", "agent", "algorithms", "jwks_url",
        "jwks", "max_lifetime", "active",
    )  # fmt: skip
    readonly_fields = fields
    list_display = ("issuer_id", "kind", "issuer", "audience", "active")
    list_filter = ("active", "kind")
    search_fields = ("issuer_id", "issuer", "audience")
    ordering = ("issuer_id",)

    def has_add_permission(self, request: HttpRequest) -> bool:  # noqa: ARG002  Django's signature
        return False

    def alter(self, request: HttpRequest, obj: Any, **fields: Any) -> None:
        try:
            with transaction.atomic():
                super().alter(request, obj, **fields)
        except IntegrityError:
            raise Refused("what it stands for is registered elsewhere meanwhile") from None


@admin.register(Entity, site=site)
class EntityAdmin(TenantAdmin):
    kind, key_fields = "entity", ("type", "entity_id")
    describe = staticmethod(describe.entity)
    form = EntityForm
    is_deletable = True
    list_display = ("type", "entity_id")
    list_filter = ("type",)
    search_fields = ("type", "entity_id")
    ordering = ("type", "entity_id")

    def key_of(self, obj: Any) -> str:
        return f"{obj.type}:{obj.entity_id}"


@admin.register(Channel, site=site)
class ChannelAdmin(TenantAdmin):
    """Where teams are asked. Set up by blueprint; here they are seen and taken away."""

    kind = "channel"
    describe = staticmethod(describe.channel)
    is_deletable = True
    list_display = ("kind", "key", "teams")
    list_filter = ("kind",)
    search_fields = ("key",)
    ordering = ("kind", "key")

    def has_add_permission(self, request: HttpRequest) -> bool:  # noqa: ARG002  Django's signature
        return False

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:  # noqa: ARG002  Django's signature
        return False

    def key_of(self, obj: Any) -> str:
        return f"{obj.kind}:{obj.key}"


@admin.register(Release, site=site)
class ReleaseAdmin(TenantAdmin):
    """Published policies: read here, published by `apply` or `policy publish`."""

    kind, key_field = "release", "revision"
    fields = ("revision", "digest", "published_at", "published_by", "source")
    list_display = ("revision", "digest", "published_at", "published_by")
    search_fields = ("digest", "published_by")
    ordering = ("-revision",)

    def has_add_permission(self, request: HttpRequest) -> bool:  # noqa: ARG002  Django's signature
        return False

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:  # noqa: ARG002  Django's signature
        return False


@admin.register(Tenant, site=site)
class TenantPage(TenantAdmin):
    """The tenants one administers; the pages show one of them at a time."""

    kind = "tenant"
    describe = staticmethod(describe.tenant)
    exclude = ()
    fields = ("slug", "name", "keep_arguments", "max_open_requests", "chat_codes")
    readonly_fields = ("slug",)
    list_display = ("slug", "name", "keep_arguments", "max_open_requests", "policy_revision", "registry_revision")
    search_fields = ("slug", "name")
    ordering = ("slug",)
    actions = ("work_in",)

    def get_queryset(self, request: HttpRequest) -> models.QuerySet[Any]:
        return Tenant.objects.filter(pk__in=[tenant.pk for tenant in entrance.tenants_of(request)])

    def has_add_permission(self, request: HttpRequest) -> bool:  # noqa: ARG002  Django's signature
        return False

    def _is_ours(self, request: HttpRequest, obj: Any) -> bool:
        """Seen in the list are all of one's own; opened and changed is the one being worked in."""
        member = entrance.admin_of(request)
        return member is not None and (obj is None or obj.pk == member.tenant_id)

    def key_of(self, obj: Any) -> str:  # noqa: ARG002  a tenant has one history
        return "settings"

    @action(description="Work in this tenant", permissions=["view"])  # type: ignore[untyped-decorator]  # unfold
    def work_in(self, request: HttpRequest, queryset: models.QuerySet[Tenant]) -> None:
        tenant = queryset.first()
        if tenant:
            access.choose(request, tenant.slug)
            messages.success(request, f"These pages now show {tenant}.")
