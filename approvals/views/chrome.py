"""What every page shares: who is signed in, as a member of which tenant, and the way around."""

from collections.abc import Callable
from functools import wraps
from typing import Any, Concatenate, ParamSpec

from django.contrib.auth.decorators import login_required
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render

from registry import access
from registry.models import Membership, Role

P = ParamSpec("P")
View = Callable[Concatenate[HttpRequest, Membership, P], HttpResponse]

_EVERYBODY = (("Inbox", "/inbox/"), ("Decisions", "/decisions/"))
_BY_ROLE = {Role.AUDITOR: (("Evidence", "/evidence/"),), Role.ADMIN: (("Admin", "/admin/"),)}


def for_members(view: View[P]) -> Callable[Concatenate[HttpRequest, P], HttpResponse]:
    """Only for a signed-in, active member; the view gets the membership as its second argument."""

    @login_required
    @wraps(view)
    def page(request: HttpRequest, /, *args: P.args, **kwargs: P.kwargs) -> HttpResponse:
        try:
            membership = access.membership_for(request)
        except access.NoMembership:
            return render(request, "no_tenant.html", status=403)
        response = view(request, membership, *args, **kwargs)
        response.setdefault("Cache-Control", "no-store")  # what was asked of one person is not for the next
        return response

    return page


def context(request: HttpRequest) -> dict[str, Any]:
    """Template context: navigation and membership; empty for strangers, admin and fragments of it."""
    if not request.user.is_authenticated or request.path.startswith("/admin/"):
        return {}
    try:
        membership = access.membership_for(request)
    except access.NoMembership:
        return {}
    mine = [item for role, items in _BY_ROLE.items() if role.value in membership.roles for item in items]
    here = request.path
    items = [{"name": name, "path": path, "current": here.startswith(path)} for name, path in (*_EVERYBODY, *mine)]
    return {"membership": membership, "navigation": items}
