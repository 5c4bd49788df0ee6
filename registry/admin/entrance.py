"""The administrators' site: a closed list of models, open to members with the role admin, one tenant at a time."""

from typing import Any

from django.conf import settings
from django.contrib.auth.views import redirect_to_login
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponse
from django.urls import reverse
from unfold.sites import UnfoldAdminSite

from registry import access
from registry.models import Membership, Role, Tenant, User

_CACHED = "_countersign_admin"


class RegistrySite(UnfoldAdminSite):  # type: ignore[misc]  # unfold ships no types
    """No superuser and no staff flag: who gets in is asked of the membership, anew with every request."""

    def has_permission(self, request: HttpRequest) -> bool:
        return admin_of(request) is not None

    def login(self, request: HttpRequest, extra_context: dict[str, Any] | None = None) -> HttpResponse:  # noqa: ARG002
        """There is one sign-in for all pages. Raises PermissionDenied for whoever is signed in and no administrator."""
        if request.user.is_authenticated:
            if self.has_permission(request):
                return HttpResponse(status=302, headers={"Location": reverse("admin:index")})
            raise PermissionDenied("Only members with the role admin may open the administration.")
        return redirect_to_login(request.GET.get("next") or reverse("admin:index"), settings.LOGIN_URL)


def admin_of(request: HttpRequest) -> Membership | None:
    """The caller's membership with the role admin: in the session's tenant, else in the one they joined first."""
    if not hasattr(request, _CACHED):
        setattr(request, _CACHED, _find(request))
    found: Membership | None = getattr(request, _CACHED)
    return found


def tenant_of(request: HttpRequest) -> Tenant:
    """The tenant being administered. Raises PermissionDenied."""
    membership = admin_of(request)
    if membership is None:
        raise PermissionDenied
    return membership.tenant


def tenants_of(request: HttpRequest) -> list[Tenant]:
    """All tenants the caller administers."""
    return [membership.tenant for membership in _administered(request)]


def _find(request: HttpRequest) -> Membership | None:
    mine = _administered(request)
    chosen = request.session.get(access.TENANT_KEY)
    return next((row for row in mine if row.tenant.slug == chosen), mine[0] if mine else None)


def _administered(request: HttpRequest) -> list[Membership]:
    user = request.user
    if not isinstance(user, User) or not user.is_active:
        return []
    rows = user.memberships.filter(active=True).select_related("tenant", "user").order_by("pk")
    return [row for row in rows if Role.ADMIN.value in row.roles]


site = RegistrySite()
