"""What every page shares: who is signed in, as a member of which tenant, and the way around."""

from collections.abc import Callable
from functools import wraps
from typing import Any, Concatenate, ParamSpec
from urllib.parse import urlsplit

from django.contrib.auth.views import redirect_to_login
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render

from registry import access
from registry.models import Membership, Role

P = ParamSpec("P")
View = Callable[Concatenate[HttpRequest, Membership, P], HttpResponse]

NOTHING_NEW = 204  # htmx leaves the page as it is: no lost focus, nothing read out twice

_EVERYBODY = (("Inbox", "/inbox/"), ("Decisions", "/decisions/"))
_BY_ROLE = {
    Role.AUDITOR: (("Evidence", "/evidence/"),),
    Role.ADMIN: (("Evidence", "/evidence/"), ("Admin", "/admin/")),
}


def for_members(view: View[P]) -> Callable[Concatenate[HttpRequest, P], HttpResponse]:
    """Only for a signed-in, active member; the view gets the membership as its second argument."""

    @wraps(view)
    def page(request: HttpRequest, /, *args: P.args, **kwargs: P.kwargs) -> HttpResponse:
        if not request.user.is_authenticated:
            return _sign_in_first(request)
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
    items = [
        {"name": name, "path": path, "current": here.startswith(path)}
        for name, path in dict.fromkeys((*_EVERYBODY, *mine))
    ]
    return {"membership": membership, "navigation": items}


def _sign_in_first(request: HttpRequest) -> HttpResponse:
    """And then back: to the page, of which a poll by htmx is only a part."""
    polling = request.headers.get("HX-Current-URL")
    if "HX-Request" not in request.headers:
        return redirect_to_login(request.get_full_path())
    response = HttpResponse(status=NOTHING_NEW)
    response["HX-Redirect"] = redirect_to_login(urlsplit(polling or "").path or "/").url
    return response
