"""Administrators' pages of this room: what was told where, a test message, credentials, and each system's health.

No word of an agent is on them: a request is named by its id, and an error was written by us.
"""

from collections.abc import Callable, Sequence
from typing import Any

from django import forms
from django.contrib import admin, messages
from django.db import models, transaction
from django.http import HttpRequest, HttpResponse
from django.template.response import TemplateResponse
from unfold.decorators import action
from unfold.widgets import UnfoldAdminSelectWidget, UnfoldAdminTextareaWidget

from connectors import accounts, deliver, entering, health, plain, routing
from connectors.form import FORM, BadSettings, check
from connectors.models import Access, Delivery
from evidence import clock
from registry.admin import things
from registry.admin.base import TenantAdmin, TenantForm, actor_of
from registry.admin.entrance import site, tenant_of
from registry.models import Channel

_WORDS = "This is a test message of Countersign. Requests for approval will appear here."


@admin.register(Delivery, site=site)
class DeliveryAdmin(TenantAdmin):
    """What was told where, and what was given up. Rows come and go with requests; here they are read and sent again."""

    kind = "delivery"
    fields = (
        "request_id", "kind", "place_key", "state", "wanted", "told", "attempts", "last_error", "not_before",
        "created_at", "updated_at",
    )  # fmt: skip
    list_display = ("request_id", "kind", "place_key", "state", "attempts", "last_error", "updated_at")
    list_filter = ("state", "kind")
    search_fields = ("request__id", "place_key")
    ordering = ("-updated_at",)
    actions: Sequence[str] = ("send_again",)
    actions_list: Sequence[str] = ("health_of_connectors",)

    def has_add_permission(self, request: HttpRequest) -> bool:  # noqa: ARG002  Django's signature
        return False

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:  # noqa: ARG002  Django's signature
        return False

    def history_view(
        self, request: HttpRequest, object_id: str, extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        """A delivery has none of its own: its request's timeline tells it."""
        return self.changeform_view(request, object_id, extra_context=extra_context)

    @action(description="Send again", permissions=["view"])  # type: ignore[untyped-decorator]  # unfold
    def send_again(self, request: HttpRequest, queryset: models.QuerySet[Delivery]) -> None:
        now = clock.now()
        with transaction.atomic():
            rows = list(queryset.select_related("tenant"))
            for row in rows:
                deliver.send_again(row, now=now)
        messages.success(request, f"{len(rows)} will be sent again now.")

    @action(description="Health of connectors", url_path="health")  # type: ignore[untyped-decorator]  # unfold
    def health_of_connectors(self, request: HttpRequest) -> HttpResponse:
        """Tries every account of the tenant while one waits."""
        context = {
            **self.admin_site.each_context(request),
            "title": "Health of connectors",
            "found": list(health.of_tenant(tenant_of(request))),
            "opts": self.opts,
        }
        return TemplateResponse(request, "connectors/admin/health.html", context)


site.unregister(Channel)


@admin.register(Channel, site=site)
class ChannelAdmin(things.ChannelAdmin):
    """The registry's page of channels, from which a word can be sent to each."""

    actions: Sequence[str] = ("send_test_message",)

    @action(description="Send a test message", permissions=["view"])  # type: ignore[untyped-decorator]  # unfold
    def send_test_message(self, request: HttpRequest, queryset: models.QuerySet[Channel]) -> None:
        """Through the outbox, as every message: what is tried is the whole way."""
        connected = accounts.kinds_of(tenant_of(request))
        with transaction.atomic():
            for row in queryset.select_related("tenant"):
                if row.kind in connected:
                    deliver.say_later(row.tenant, routing.place_of(row), _WORDS)
                    messages.success(request, f"A test message is on its way to {row.kind} {row.key}.")
                else:
                    messages.error(request, f"{row.kind} is not connected: enter its credentials under Access first.")


class AccessForm(TenantForm):
    """Credentials go in and never come out again."""

    kind = forms.ChoiceField(choices=[(kind, kind) for kind in FORM], widget=UnfoldAdminSelectWidget())
    given = forms.CharField(
        label="Settings",
        widget=UnfoldAdminTextareaWidget(attrs={"rows": 6, "spellcheck": "false", "autocomplete": "off"}),
        help_text="One a line, `name: value`. They are sealed, and replace all that was entered before, once they "
        "count: after a while in which another administrator may undo them, or as soon as one confirms them. "
        + " ".join(
            f"{kind}: {', '.join(required)}{f' (and {chr(44).join(optional)})' if optional else ''}."
            for kind, (required, optional) in FORM.items()
        ),
    )

    class Meta:
        model = Access
        fields = ("kind",)

    def clean_given(self) -> dict[str, str]:
        pairs = [line.partition(":") for line in self.cleaned_data["given"].splitlines() if line.strip()]
        return {name.strip(): value.strip() for name, _, value in pairs}

    def clean(self) -> dict[str, Any]:
        told: dict[str, Any] = super().clean() or self.cleaned_data
        kind = told.get("kind") or self.instance.kind
        if "given" in told and kind:
            try:
                check(kind, told["given"])
            except BadSettings as error:
                self.add_error("given", str(error))
        return told


@admin.register(Access, site=site)
class AccessAdmin(TenantAdmin):
    """A tenant's credentials: entered, replaced, deleted; never shown. What one enters, another undoes or confirms."""

    kind, key_field, key_fields = "connector", "kind", ("kind",)
    form = AccessForm
    is_deletable = True
    list_display = ("kind", "updated_at", "waits")
    ordering = ("kind",)
    actions: Sequence[str] = ("undo", "confirm")

    @admin.display(description="Waits to count")
    def waits(self, row: Access) -> str:
        found = entering.waiting(row)
        return f"entered by {found.by}, counts from {plain.moment(found.counts_from)}" if found else ""

    @action(description="Undo what waits", permissions=["change"])  # type: ignore[untyped-decorator]  # unfold
    def undo(self, request: HttpRequest, queryset: models.QuerySet[Access]) -> None:
        self._decide(request, queryset, entering.undo, done="What was entered for {} will not count.")

    @action(description="Confirm what waits", permissions=["change"])  # type: ignore[untyped-decorator]  # unfold
    def confirm(self, request: HttpRequest, queryset: models.QuerySet[Access]) -> None:
        self._decide(request, queryset, entering.confirm, done="What was entered for {} counts now.")

    def _decide(
        self, request: HttpRequest, queryset: models.QuerySet[Access], decide: Callable[..., None], *, done: str
    ) -> None:
        for row in queryset:
            try:
                decide(tenant_of(request), row.kind, actor=actor_of(request), now=clock.now())
                messages.success(request, done.format(row.kind))
            except entering.NothingWaits:
                messages.error(request, f"Nothing waits for {row.kind}: it counts already, or was undone.")
            except entering.OwnChange:
                messages.error(request, f"You entered it yourself: another administrator must confirm {row.kind}.")

    def get_fields(self, request: HttpRequest, obj: Any = None) -> tuple[str, ...]:  # noqa: ARG002  Django's signature
        return ("kind", "given")

    def save_model(self, request: HttpRequest, obj: Any, form: Any, change: bool) -> None:  # noqa: ARG002, FBT001  Django's signature
        accounts.save(
            tenant_of(request), obj.kind, form.cleaned_data["given"], actor=actor_of(request), now=clock.now()
        )
        row = Access.objects.get(tenant=tenant_of(request), kind=obj.kind)
        obj.pk = row.pk
        if waits := entering.waiting(row):
            words = f"They count from {plain.moment(waits.counts_from)}, or once another administrator confirms them."
            messages.warning(request, words)

    def log_addition(self, request: HttpRequest, obj: Any, message: Any) -> None:
        """`accounts.save` recorded it."""

    def log_change(self, request: HttpRequest, obj: Any, message: Any) -> None:
        """`accounts.save` recorded it."""

    def delete_model(self, request: HttpRequest, obj: Any) -> None:
        accounts.forget(tenant_of(request), obj.kind, actor=actor_of(request), now=clock.now())
