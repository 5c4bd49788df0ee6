"""Pages of people and teams."""

from typing import Any

from django.contrib import admin
from django.http import HttpRequest

from evidence import clock
from registry import changes, describe, people
from registry.admin.base import Refused, TenantAdmin
from registry.admin.entrance import site
from registry.admin.forms import PersonForm
from registry.admin.things import Switchable
from registry.models import Membership, Team


@admin.register(Membership, site=site)
class PersonAdmin(Switchable):
    """A person of the tenant: roles, teams, active or not."""

    kind = changes.PERSON
    describe = staticmethod(describe.person)
    form = PersonForm
    list_display = ("username", "roles", "team_names", "active")
    list_filter = ("active",)
    list_select_related = ("user",)
    search_fields = ("user__username", "user__email")
    ordering = ("user__username",)

    def get_queryset(self, request: HttpRequest) -> Any:
        return super().get_queryset(request).select_related("user").prefetch_related("teams__team")

    def get_fields(self, request: HttpRequest, obj: Any = None) -> tuple[str, ...]:  # noqa: ARG002  Django's signature
        return (*(("username", "address") if obj else ("username", "email")), "in_teams", "roles", "active")

    def get_readonly_fields(self, request: HttpRequest, obj: Any = None) -> tuple[str, ...]:  # noqa: ARG002  Django's signature
        return ("username", "address") if obj else ()

    def key_of(self, obj: Any) -> str:
        return str(obj.user.username)

    @admin.display(description="Username", ordering="user__username")
    def username(self, row: Membership) -> str:
        return row.user.username

    @admin.display(description="E-mail")
    def address(self, row: Membership) -> str:
        return row.user.email

    @admin.display(description="Teams")
    def team_names(self, row: Membership) -> str:
        return ", ".join(sorted(member.team.name for member in row.teams.all()))

    def save_model(self, request: HttpRequest, obj: Any, form: Any, change: bool) -> None:  # noqa: FBT001  Django's signature
        if not change:
            try:
                obj.user = people.login(
                    form.cleaned_data["username"], email=form.cleaned_data["email"], now=clock.now()
                )
            except people.UsernameTaken:
                # Logins are of all tenants: whose this one is, and where, is nothing to tell an administrator of one.
                told = "Not saved: that username and e-mail address do not go together. Check both, or choose another."
                raise Refused(told) from None
        super().save_model(request, obj, form, change)

    def save_related(self, request: HttpRequest, form: Any, formsets: Any, change: bool) -> None:  # noqa: FBT001  Django's signature
        super().save_related(request, form, formsets, change)
        people.put_in_teams(form.instance, [team.name for team in form.cleaned_data["in_teams"]])


@admin.register(Team, site=site)
class TeamAdmin(TenantAdmin):
    """A team's name is what policies and blueprints know it by: it is given once."""

    kind, key_field, key_fields = "team", "name", ("name",)
    describe = staticmethod(describe.team)
    fields = ("name",)
    list_display = ("name", "people")
    search_fields = ("name",)
    ordering = ("name",)

    @admin.display(description="People")
    def people(self, row: Team) -> int:
        return row.members.filter(membership__active=True).count()
