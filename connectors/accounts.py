"""A tenant and a kind in, its account there out: from its own sealed row, else from this service's environment.

The environment's credentials belong to exactly one tenant: the one that is named, or the only one there is. With
several and none named they are nobody's, for a guess would show one tenant's requests to another's channel.
"""

import json
import logging
from collections.abc import Iterable, Mapping
from datetime import datetime

from django.conf import settings
from django.db import transaction

from connectors import closed
from connectors.email import relay
from connectors.models import Access
from connectors.port import Account
from evidence import keys
from evidence.ledger import Actor
from registry import changes
from registry.models import Tenant

log = logging.getLogger(__name__)

# What an account of a kind is made of: what it must have, what it may have.
FORM: Mapping[str, tuple[tuple[str, ...], tuple[str, ...]]] = {
    "slack": (("bot_token",), ("signing_secret", "app_token", "api_url", "team")),
    "jira": (("url", "email", "token", "webhook_secret"), ()),
    "servicenow": (("url", "user", "password", "webhook_secret"), ()),
    "email": (("url",), ("sender",)),
}
_SLACK = "https://slack.com/api/"


class BadSettings(ValueError):
    """What was entered is no account: the text says what is missing or unknown, never a value."""


class TenantNotNamed(RuntimeError):
    """The environment has credentials, there are several tenants, and none is named as theirs."""


def account(tenant: Tenant, kind: str) -> Account | None:
    """The tenant's access to one system; None if it has none. Raises keys.CannotUnseal on a row changed by hand."""
    row = Access.objects.filter(tenant=tenant, kind=kind).first()
    if row is not None:
        return Account(tenant.slug, tenant.pk, kind, _opened(row, tenant))
    given = _given(kind)
    return Account(tenant.slug, tenant.pk, kind, given) if given and _is_theirs(tenant) else None


def accounts(kind: str) -> list[Account]:
    """All tenants' access to one system: whose signature a webhook carries is found by trying each.

    A row that does not open is left out: one tenant's must not silence the others.
    """
    rows = Access.objects.filter(kind=kind).select_related("tenant").order_by("tenant__slug")
    found: dict[int, Account] = {}
    for row in rows:
        try:
            found[row.tenant_id] = Account(row.tenant.slug, row.tenant_id, kind, _opened(row, row.tenant))
        except keys.CannotUnseal:
            log.error("credentials cannot be opened", extra={"tenant": row.tenant.slug, "kind": kind})  # noqa: TRY400  the cause is known
    given, theirs = _given(kind), owner_of_environment()
    own = {row.tenant_id for row in rows}
    if given and theirs is not None and theirs.pk not in own:
        found[theirs.pk] = Account(theirs.slug, theirs.pk, kind, given)
    return list(found.values())


def kinds_of(tenant: Tenant) -> frozenset[str]:
    """The systems the tenant has access to. Nothing is unsealed for the answer."""
    own = set(Access.objects.filter(tenant=tenant).values_list("kind", flat=True))
    given = {kind for kind in FORM if _given(kind)}
    return frozenset(own | given if given and _is_theirs(tenant) else own)


def save(tenant: Tenant, kind: str, given: Mapping[str, str], *, actor: Actor, now: datetime) -> None:
    """Seal and keep a tenant's credentials in place of what was there; the change is recorded, no value of it.

    Raises BadSettings.
    """
    wanted = check(kind, given)
    with transaction.atomic():
        changes.lock(tenant)
        row = Access.objects.filter(tenant=tenant, kind=kind).first()
        before = _before(row, tenant) if row else None
        box = keys.seal(json.dumps(wanted).encode(), bound_to=_place(tenant, kind))
        Access.objects.update_or_create(tenant=tenant, kind=kind, defaults={"box": box, "updated_at": now})
        changes.recorded(
            tenant, kind="connector", key=kind, actor=actor, now=now, before=before, after=_described(wanted)
        )  # fmt: skip


def forget(tenant: Tenant, kind: str, *, actor: Actor, now: datetime) -> None:
    """Delete a tenant's credentials, recorded. What is there already stays told as it is."""
    with transaction.atomic():
        changes.lock(tenant)
        row = Access.objects.filter(tenant=tenant, kind=kind).first()
        if row is not None:
            row.delete()
            changes.recorded(tenant, kind="connector", key=kind, actor=actor, now=now, before={}, after=None)


# --- the environment's


def owner_of_environment() -> Tenant | None:
    """Whose the environment's credentials are; None if that cannot be said."""
    named = settings.COUNTERSIGN.connector_tenant
    if named:
        return Tenant.objects.filter(slug=named).first()
    only = list(Tenant.objects.order_by("pk")[:2])
    return only[0] if len(only) == 1 else None


def check_environment() -> None:
    """Raises TenantNotNamed where the environment's credentials are nobody's."""
    if not any(_given(kind) for kind in FORM) or owner_of_environment() is not None:
        return
    named = settings.COUNTERSIGN.connector_tenant
    if named and not Tenant.objects.filter(slug=named).exists() and Tenant.objects.exists():
        raise TenantNotNamed(f"COUNTERSIGN_CONNECTOR_TENANT names {named!r}, and there is no such tenant.")
    if not named and Tenant.objects.exists():
        raise TenantNotNamed(
            "There are several tenants, so COUNTERSIGN_CONNECTOR_TENANT must name the one whom the credentials of "
            "Slack, Jira, ServiceNow or e-mail in the environment belong to."
        )


def _is_theirs(tenant: Tenant) -> bool:
    theirs = owner_of_environment()
    return theirs is not None and theirs.pk == tenant.pk


def _given(kind: str) -> dict[str, str]:
    """What the environment says of one system; empty if it is not configured."""
    env = settings.COUNTERSIGN
    match kind:
        case "slack" if env.slack_bot_token:
            return _named(env, "slack", ("bot_token", "signing_secret", "app_token", "api_url"))
        case "jira" if env.jira_url:
            return _named(env, "jira", FORM["jira"][0])
        case "servicenow" if env.servicenow_url:
            return _named(env, "servicenow", FORM["servicenow"][0])
        case "email" if env.email_url:
            return {"url": env.email_url, "sender": relay.parse(env.email_url).sender}
        case _:
            return {}


def _named(env: object, kind: str, names: Iterable[str]) -> dict[str, str]:
    return {name: value for name in names if (value := str(getattr(env, f"{kind}_{name}")))}


# --- the rows'


def _opened(row: Access, tenant: Tenant) -> dict[str, str]:
    told = json.loads(keys.unseal(bytes(row.box), bound_to=_place(tenant, row.kind)))
    return {"api_url": _SLACK, **told} if row.kind == "slack" else dict(told)


def _place(tenant: Tenant, kind: str) -> str:
    return f"connectors/access/{tenant.slug}/{kind}"


def check(kind: str, given: Mapping[str, str]) -> dict[str, str]:
    """What would be kept of it. Raises BadSettings."""
    if kind not in FORM:
        raise BadSettings(f"{kind!r} is none of {', '.join(FORM)}")
    required, optional = FORM[kind]
    told = {name: value.strip() for name, value in given.items() if value.strip()}
    if unknown := told.keys() - {*required, *optional}:
        raise BadSettings(f"{kind} knows no {', '.join(sorted(unknown))}; it has {', '.join((*required, *optional))}")
    if missing := [name for name in required if name not in told]:
        raise BadSettings(f"{kind} needs {', '.join(missing)}")
    if kind == "slack" and not {"signing_secret", "app_token"} & told.keys():
        raise BadSettings("slack needs signing_secret, or app_token to open a socket")
    if kind == "email":
        _check_relay(told["url"])
    else:
        _check_address(told.get("url" if "url" in required else "api_url", _SLACK))
    return told


def _check_relay(url: str) -> None:
    try:
        relay.parse(url)
    except relay.BadUrl as error:
        raise BadSettings(f"url: {error}") from None


def _check_address(address: str) -> None:
    try:
        closed.check(address)
    except closed.NotClosed as error:
        raise BadSettings(str(error)) from None


def _before(row: Access, tenant: Tenant) -> dict[str, str]:
    """What a row was; nothing of one that does not open, for entering anew is how it is mended."""
    try:
        return _described(_opened(row, tenant))
    except keys.CannotUnseal:
        return {}


def _described(told: Mapping[str, str]) -> dict[str, str]:
    """Which settings there are and whether one changed; a keyed fingerprint, for evidence cannot be erased."""
    return {name: keys.mac(f"connectors/{name}", value.encode())[:8].hex() for name, value in sorted(told.items())}
