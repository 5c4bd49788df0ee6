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

# Who may read what. The pages refuse by these, and the way around leads nobody to a refusal.
READ_DECISIONS = frozenset({Role.ADMIN.value, Role.AUDITOR.value, Role.OPERATOR.value, Role.POLICY_AUTHOR.value})
READ_EVIDENCE = frozenset({Role.ADMIN.value, Role.AUDITOR.value})
READ_EXECUTIONS = frozenset({Role.ADMIN.value, Role.AUDITOR.value, Role.OPERATOR.value})

_PAGES = (
    ("Inbox", "/inbox/", None),
    ("Waivers", "/waivers/", None),
    ("Decisions", "/decisions/", READ_DECISIONS),
    ("Executions", "/executions/", READ_EXECUTIONS),
    ("Evidence", "/evidence/", READ_EVIDENCE),
    ("Admin", "/admin/", frozenset({Role.ADMIN.value})),
)


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
    items = [
        {"name": name, "path": path, "current": request.path.startswith(path)}
        for name, path, roles in _PAGES
        if roles is None or roles & set(membership.roles)
    ]
    return {"membership": membership, "navigation": items, "reads_decisions": reads_decisions(membership)}


def reads_decisions(membership: Membership) -> bool:
    """Whether all decisions of the tenant are open to this member."""
    return bool(READ_DECISIONS & set(membership.roles))


def _sign_in_first(request: HttpRequest) -> HttpResponse:
    """And then back: to the page, of which a poll by htmx is only a part."""
    polling = request.headers.get("HX-Current-URL")
    if "HX-Request" not in request.headers:
        return redirect_to_login(request.get_full_path())
    response = HttpResponse(status=NOTHING_NEW)
    response["HX-Redirect"] = redirect_to_login(urlsplit(polling or "").path or "/").url
    return response
