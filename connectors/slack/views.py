"""Where Slack comes in, signed, and where a member links their Slack account, signed in."""

from typing import Any

from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.views.decorators.cache import never_cache
from django.views.decorators.csrf import csrf_exempt
from django.views.decorators.http import require_POST, require_safe
from slack_bolt.adapter.django.handler import to_bolt_request, to_django_response

from approvals.views.chrome import NOTHING_NEW, for_members
from connectors import accounts, once
from connectors.port import Account
from connectors.slack import aside, clicks, linking, signature
from connectors.slack.app import NOW, app_of
from connectors.slack.manifest import COMMAND
from connectors.slack.signature import KIND
from evidence import clock
from registry import people
from registry.models import Membership

_PAGE = "/account/slack/"


@csrf_exempt
@require_POST
def events(request: HttpRequest) -> HttpResponse:
    """Events, clicks, windows and slash commands. Who is not one of our Slacks, now and for once, gets 401."""
    now, signed = clock.now(), request.headers.get("X-Slack-Signature", "")
    timestamp = request.headers.get("X-Slack-Request-Timestamp", "")
    signers = signature.signers(request.body, timestamp=timestamp, signature=signed, now=now)
    if not signers or not once.first("slack.request", signed, now=now):
        return HttpResponse(status=401)
    try:
        told = to_bolt_request(request)
    except (ValueError, TypeError, AttributeError, RecursionError):  # rightly signed, and no payload
        return HttpResponse(status=400)
    told.context[NOW] = now
    account = _one_of(signers, told.body)
    return to_django_response(app_of(account).dispatch(told)) if account else HttpResponse(status=401)


def _one_of(signers: Any, body: Any) -> Account | None:
    """The tenant it is for: one app may serve the workspaces of several, and then the workspace decides."""
    theirs = [one for one in signers if body.get("type") == "url_verification" or clicks.is_for(one, body)]
    return theirs[0] if len(theirs) == 1 or body.get("type") == "url_verification" else None


@require_safe
@for_members
def page(request: HttpRequest, membership: Membership) -> HttpResponse:
    """What is linked, what was offered, and how to begin."""
    return render(request, "account_slack.html", _context(membership))


@never_cache
@require_POST
@for_members
def begin(request: HttpRequest, membership: Membership) -> HttpResponse:
    """A code, shown on this answer alone."""
    code = linking.begin(membership, now=clock.now())
    return render(request, "account_slack.html", {**_context(membership), "code": code, "command": COMMAND})


@require_safe
@for_members
def offered(request: HttpRequest, membership: Membership) -> HttpResponse:  # noqa: ARG001  for_members passes it
    """Asked by the page that shows a code, until somebody typed it."""
    response = HttpResponse(status=NOTHING_NEW)
    if linking.offered(membership, now=clock.now()):
        response["HX-Redirect"] = _PAGE
    return response


@require_POST
@for_members
def confirm(request: HttpRequest, membership: Membership) -> HttpResponse:
    now = clock.now()
    try:
        identity = linking.confirm(request.POST.get("linking", ""), membership, now=now)
    except linking.LinkingOver:
        messages.error(request, "That ran out, or was replaced by a newer code. Begin again.", "error")
    except people.IdentityTaken:
        messages.error(
            request, "That Slack account is somebody else's here, or you have another. Unlink it first.", "error"
        )
    else:
        _say_so(membership, identity)
        messages.success(request, "Your Slack account is linked.", extra_tags="done")
    return redirect(_PAGE)


@require_POST
@for_members
def unlink(request: HttpRequest, membership: Membership) -> HttpResponse:
    linking.forget(membership, now=clock.now())
    messages.success(request, "No Slack account is linked any more.", extra_tags="done")
    return redirect(_PAGE)


def _context(membership: Membership) -> dict[str, Any]:
    return {
        "connected": KIND in accounts.kinds_of(membership.tenant),
        "identity": membership.identities.get(KIND, ""),
        "linking": linking.offered(membership, now=clock.now()),
    }


def _say_so(membership: Membership, identity: str) -> None:
    """In Slack too: whoever was talked into typing a code learns there what came of it."""
    account = accounts.account(membership.tenant, KIND)
    if account is not None:
        words = (
            f"This Slack account now answers as {membership.user.username} in Countersign. If that is not you, type"
            f" {COMMAND} unlink and tell your administrator."
        )
        aside.note(account, identity.partition("/")[2], words, now=clock.now())
