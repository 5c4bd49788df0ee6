"""A people's request in, who is calling and what they may do out. Machines are turned away before any routing."""

import json
from collections.abc import Callable
from typing import Any

from django.http import HttpRequest, HttpResponse
from rest_framework import authentication, exceptions, permissions
from rest_framework.request import Request

from evidence import clock
from registry import credentials
from registry.credentials import READ, VOTE
from registry.models import Credential, CredentialKind, Membership, Role, Tenant, User

PEOPLES_API = "/api/v1"
TENANT_HEADER = "X-Countersign-Tenant"
TENANT_KEY = "tenant"  # in the session: the tenant a person of several has chosen
CHALLENGE = 'Bearer realm="countersign"'

_SCHEME = "bearer "
_CREDENTIAL = "_countersign_credential"
_MEMBERSHIP = "_countersign_membership"
_PROBLEM = "urn:countersign:problem:"

AnyRequest = HttpRequest | Request


class NoMembership(exceptions.PermissionDenied):
    """Whoever calls is no active member of the tenant they mean."""

    default_detail = "You are not an active member of this tenant."


def tenant_for(request: AnyRequest) -> Tenant:
    """The tenant this request is about: the key's, else the one chosen among the caller's own. Raises NoMembership."""
    return membership_for(request).tenant


def membership_for(request: AnyRequest) -> Membership:
    """The caller as a member, active as of now. Raises NoMembership.

    A key belongs to one tenant. A signed-in person of several is in the one that the header names, else the one chosen
    for the session, else the one they joined first; naming any other than one's own is refused.
    """
    plain = _plain(request)
    known: Membership | None = getattr(plain, _MEMBERSHIP, None)
    if known is None:
        known = _find(plain)
        setattr(plain, _MEMBERSHIP, known)
    return known


def scopes_of(request: AnyRequest) -> frozenset[str]:
    """What the way in permits: a session everything its person may, a key what it was issued for."""
    credential: Credential | None = getattr(_plain(request), _CREDENTIAL, None)
    return frozenset({READ, VOTE}) if credential is None else frozenset(credential.scopes)


def has_role(request: AnyRequest, role: Role) -> bool:
    """Whether the caller is an active member with this role."""
    try:
        return role.value in membership_for(request).roles
    except NoMembership:
        return False


def choose(request: HttpRequest, slug: str) -> Membership:
    """Remember for this session which of their tenants a person works in. Raises NoMembership."""
    membership = _of_user(request.user, slug)
    request.session[TENANT_KEY] = slug
    setattr(request, _MEMBERSHIP, membership)
    return membership


class PersonKey(authentication.BaseAuthentication):
    """`Authorization: Bearer csk_person_…`."""

    def authenticate(self, request: Request) -> tuple[User, Credential] | None:
        plain = _plain(request)
        token = bearer(plain)
        if token is None:
            return None
        credential = getattr(plain, _CREDENTIAL, None) or _person(token)
        if credential is None or credential.membership is None:
            raise exceptions.AuthenticationFailed("The key is not a person's, or not live.")
        setattr(plain, _CREDENTIAL, credential)
        return credential.membership.user, credential

    def authenticate_header(self, request: Request) -> str:  # noqa: ARG002  the framework's signature
        return CHALLENGE


class IsMember(permissions.BasePermission):
    """An active member; a key without the scope `vote` only reads."""

    role: Role | None = None

    def has_permission(self, request: Request, view: object) -> bool:  # noqa: ARG002  the framework's signature
        if not isinstance(request.user, User):
            return False
        membership = membership_for(request)
        may_write = request.method in permissions.SAFE_METHODS or VOTE in scopes_of(request)
        return may_write and (self.role is None or self.role.value in membership.roles)


class IsAuditor(IsMember):
    """Reads evidence."""

    role = Role.AUDITOR
    message = "Only members with the role auditor read evidence."


class IsAdmin(IsMember):
    """Changes the registry and the settings."""

    role = Role.ADMIN
    message = "Only members with the role admin may do this."


class CanVote(IsMember):
    """Votes and what belongs to a vote: a key needs the scope, which it has only if it was asked for."""

    message = "This key has no scope vote."

    def has_permission(self, request: Request, view: object) -> bool:
        return super().has_permission(request, view) and VOTE in scopes_of(request)


class MachinesKeepOut:
    """Middleware: on every path of the people's API, built or not, a machine's key gets 403 and a stranger 401.

    Stands after Django's authentication. A key that is sent decides alone: no session behind it is looked at.
    """

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        if request.path_info == PEOPLES_API or request.path_info.startswith(f"{PEOPLES_API}/"):
            return self._refusal(request) or self.get_response(request)
        return self.get_response(request)

    def _refusal(self, request: HttpRequest) -> HttpResponse | None:
        if "Authorization" not in request.headers:
            signed_in = request.user.is_authenticated
            return None if signed_in else _problem(401, "unauthenticated", "Sign in, or send a person's key.")
        token = bearer(request)
        credential = credentials.authenticate(token, now=clock.now()) if token else None
        if credential is None:
            return _problem(401, "unauthenticated", "Send `Authorization: Bearer csk_person_…` with a live key.")
        if credential.kind != CredentialKind.PERSON:
            return _problem(403, "forbidden", f"This is for people; a {credential.kind} key reaches none of it.")
        setattr(request, _CREDENTIAL, credential)
        return None


def bearer(request: HttpRequest) -> str | None:
    """The bearer token of a request, if it sends one."""
    given = request.headers.get("Authorization", "")
    return given[len(_SCHEME) :].strip() if given[: len(_SCHEME)].lower() == _SCHEME else None


def _find(request: HttpRequest) -> Membership:
    token = bearer(request)
    wanted = request.headers.get(TENANT_HEADER)
    if token is None:
        return _of_user(request.user, wanted or request.session.get(TENANT_KEY), strict=wanted is not None)
    credential: Credential | None = getattr(request, _CREDENTIAL, None) or _person(token)
    if credential is None or credential.membership is None or wanted not in (None, credential.tenant.slug):
        raise NoMembership
    return _of_user(credential.membership.user, credential.tenant.slug)


def _of_user(user: Any, slug: str | None, *, strict: bool = True) -> Membership:
    """The user's active membership in `slug`; if that is only remembered (not strict) and over, their first.

    First is the one they joined first: a tenant named `aaa` that adds somebody must not become their first page.
    """
    if not isinstance(user, User) or not user.is_active:
        raise NoMembership
    mine = {
        row.tenant.slug: row
        for row in user.memberships.filter(active=True).select_related("tenant", "user__human").order_by("pk")
    }
    if slug in mine:
        return mine[slug]
    if not mine or (slug is not None and strict):
        raise NoMembership
    return next(iter(mine.values()))


def _person(token: str) -> Credential | None:
    credential = credentials.authenticate(token, now=clock.now())
    return credential if credential and credential.kind == CredentialKind.PERSON else None


def _plain(request: AnyRequest) -> HttpRequest:
    """Django's request, under the one that the REST framework wraps around it."""
    return request._request if isinstance(request, Request) else request  # noqa: SLF001  their documented attribute


def _problem(status: int, kind: str, detail: str) -> HttpResponse:
    titles = {401: "A valid credential is needed", 403: "The credential does not reach that far"}
    body = {"type": _PROBLEM + kind, "title": titles[status], "status": status, "detail": detail}
    response = HttpResponse(json.dumps(body), status=status, content_type="application/problem+json")
    response["Cache-Control"] = "no-store"
    if status == 401:  # noqa: PLR2004  the status says it
        response["WWW-Authenticate"] = CHALLENGE
    return response
