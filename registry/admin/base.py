"""What every registry page shares: one tenant's rows, every save through `changes`, history read from the ledger."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from django import forms
from django.contrib import messages
from django.core.exceptions import PermissionDenied
from django.db import models, transaction
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.template.response import TemplateResponse
from unfold.admin import ModelAdmin

from evidence import clock, ledger
from evidence.ledger import Actor
from registry import changes, teams
from registry.admin import entrance
from registry.models import Tenant

HISTORY_LENGTH = 200

Describe = Callable[[Any], Mapping[str, Any]]


class Refused(Exception):
    """A save that would leave the tenant in a state nobody can work with. The transaction is rolled back."""


class TenantForm(forms.ModelForm):  # type: ignore[type-arg]  # not subscriptable at run time
    """A form of one tenant: a new row is made in it, and uniqueness within it is checked like any other mistake."""

    tenant: Tenant

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        if self.instance.pk is None:
            self.instance.tenant = self.tenant

    def _get_validation_exclusions(self) -> set[str]:
        excluded: set[str] = super()._get_validation_exclusions()  # type: ignore[misc]  # untyped in django-stubs
        return excluded - {"tenant"}


class TenantAdmin(ModelAdmin):  # type: ignore[misc]  # unfold ships no types
    """Base of all pages. `kind`, `describe` and `key` say how a row's history is written."""

    form = TenantForm
    kind: str
    key_field: str
    key_fields: Sequence[str] = ()  # what cannot change once the row exists
    describe: Describe
    actions: Sequence[str] = ()
    is_deletable = False
    exclude: Sequence[str] = ("tenant",)
    actions_on_top = True
    list_per_page = 50
    compressed_fields = True

    # --- who may

    def has_module_permission(self, request: HttpRequest) -> bool:
        return entrance.admin_of(request) is not None

    def has_view_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return self._is_ours(request, obj)

    def has_add_permission(self, request: HttpRequest) -> bool:
        return self._is_ours(request, None)

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return self._is_ours(request, obj)

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return self.is_deletable and self._is_ours(request, obj)

    def _is_ours(self, request: HttpRequest, obj: Any) -> bool:
        member = entrance.admin_of(request)
        return member is not None and (obj is None or obj.pk is None or obj.tenant_id == member.tenant_id)

    # --- what they see

    def get_queryset(self, request: HttpRequest) -> models.QuerySet[Any]:
        return super().get_queryset(request).filter(tenant=entrance.tenant_of(request))  # type: ignore[no-any-return]

    def formfield_for_foreignkey(self, db_field: Any, request: HttpRequest, **kwargs: Any) -> Any:
        """Whatever can be referred to is the tenant's own."""
        kwargs["queryset"] = db_field.related_model.objects.filter(tenant=entrance.tenant_of(request))
        field = super().formfield_for_foreignkey(db_field, request, **kwargs)
        if hasattr(field, "widget") and hasattr(field.widget, "can_add_related"):
            field.widget.can_add_related = field.widget.can_change_related = field.widget.can_delete_related = False
        return field

    def get_form(self, request: HttpRequest, obj: Any = None, change: bool = False, **kwargs: Any) -> Any:  # noqa: FBT001, FBT002  Django's signature
        form = super().get_form(request, obj, change, **kwargs)
        form.tenant = entrance.tenant_of(request)
        return form

    def get_readonly_fields(self, request: HttpRequest, obj: Any = None) -> Sequence[str]:
        return (*super().get_readonly_fields(request, obj), *(self.key_fields if obj else ()))

    # --- what is recorded

    def changeform_view(self, request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponse:
        """A save that is refused late leaves nothing behind but its reason."""
        try:
            return super().changeform_view(request, *args, **kwargs)  # type: ignore[no-any-return]
        except Refused as refusal:
            messages.error(request, str(refusal))
            return HttpResponseRedirect(request.get_full_path())

    def save_model(self, request: HttpRequest, obj: Any, form: Any, change: bool) -> None:  # noqa: FBT001  Django's signature
        """Inside Django's own transaction; the record follows in `log_…`, once what belongs to the row is saved too."""
        changes.lock(entrance.tenant_of(request))
        before = type(self).describe(self.model._default_manager.get(pk=obj.pk)) if change else None  # noqa: SLF001
        self._before_of(request)[obj.pk if change else None] = before
        super().save_model(request, obj, form, change)

    def log_addition(self, request: HttpRequest, obj: Any, message: Any) -> None:  # noqa: ARG002  Django's signature
        self._record(request, obj, before=None)

    def log_change(self, request: HttpRequest, obj: Any, message: Any) -> None:  # noqa: ARG002  Django's signature
        self._record(request, obj, before=self._before_of(request)[obj.pk])

    def log_deletions(self, request: HttpRequest, queryset: Any) -> None:
        """Deletions are recorded where they happen."""

    def delete_model(self, request: HttpRequest, obj: Any) -> None:
        with transaction.atomic():
            tenant = changes.lock(entrance.tenant_of(request))
            before = type(self).describe(obj)
            key = self.key_of(obj)
            obj.delete()
            self._recorded(request, tenant, key=key, before=before, after=None)

    def delete_queryset(self, request: HttpRequest, queryset: models.QuerySet[Any]) -> None:
        with transaction.atomic():
            for obj in queryset:
                self.delete_model(request, obj)

    def alter(self, request: HttpRequest, obj: Any, **fields: Any) -> None:
        """Set fields of one row, recorded; for actions. Raises Refused."""
        with transaction.atomic():
            changes.lock(entrance.tenant_of(request))
            fresh = self.get_queryset(request).get(pk=obj.pk)
            before = type(self).describe(fresh)
            for name, value in fields.items():
                setattr(fresh, name, value)
            fresh.save(update_fields=list(fields))
            self._record(request, fresh, before=before)

    def key_of(self, obj: Any) -> str:
        return str(getattr(obj, self.key_field))

    def _record(self, request: HttpRequest, obj: Any, *, before: Mapping[str, Any] | None) -> None:
        tenant = entrance.tenant_of(request)
        fresh = self.model._default_manager.get(pk=obj.pk)  # noqa: SLF001  Django's documented attribute
        self._recorded(request, tenant, key=self.key_of(fresh), before=before, after=type(self).describe(fresh))
        if broken := teams.out_of_reach(tenant):
            raise Refused(f"Not saved: {'; '.join(broken)}.")

    def _recorded(
        self,
        request: HttpRequest,
        tenant: Tenant,
        *,
        key: str,
        before: Mapping[str, Any] | None,
        after: Mapping[str, Any] | None,
    ) -> None:
        changes.recorded(
            tenant, kind=self.kind, key=key, actor=actor_of(request), now=clock.now(), before=before, after=after
        )

    def _before_of(self, request: HttpRequest) -> dict[Any, Any]:
        """On the request: a page object is shared between threads."""
        if not hasattr(request, "_countersign_before"):
            request._countersign_before = {}  # type: ignore[attr-defined]  # noqa: SLF001  ours
        return request._countersign_before  # type: ignore[attr-defined,no-any-return]  # noqa: SLF001  ours

    # --- its history

    def history_view(
        self, request: HttpRequest, object_id: str, extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        obj = self.get_object(request, object_id)
        if obj is None or not self.has_view_permission(request, obj):
            raise PermissionDenied
        thread = changes.thread(self.kind, self.key_of(obj))
        statements = ledger.history(entrance.tenant_of(request).slug, thread, limit=HISTORY_LENGTH)
        context = {
            **self.admin_site.each_context(request),
            **(extra_context or {}),
            "title": f"History of {self.opts.verbose_name} {obj}",
            "opts": self.opts,
            "object": obj,
            "entries": [_entry(statement) for statement in statements],
        }
        return TemplateResponse(request, "registry/admin/history.html", context)


def actor_of(request: HttpRequest) -> Actor:
    """The administrator, as evidence names them."""
    return Actor("person", request.user.get_username())


def _entry(statement: Mapping[str, Any]) -> dict[str, Any]:
    predicate = statement["predicate"]
    detail = predicate.get("detail", {})
    return {
        "at": predicate["recorded_at"],
        "event": predicate["event"],
        "who": predicate["actor"]["id"],
        "how": predicate["actor"]["type"],
        "changes": [(name, _side(sides, "before"), _side(sides, "after")) for name, sides in _changes(detail)],
    }


def _changes(detail: Mapping[str, Any]) -> list[tuple[str, Mapping[str, Any]]]:
    return list(detail.get("changes", {}).items())


def _side(sides: Mapping[str, Any], side: str) -> str:
    value = sides.get(side)
    return "" if value is None else str(value)
