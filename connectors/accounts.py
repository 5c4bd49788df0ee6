"""A tenant and a kind in, its account there out: from its own sealed row, else from this service's environment.

The environment's credentials belong to exactly one tenant: the one that is named, or the only one there is. With
several and none named they are nobody's, for a guess would show one tenant's requests to another's channel.
"""

import logging
from collections.abc import Iterable

from django.conf import settings

from connectors import form, held
from connectors.email import relay
from connectors.entering import forget as forget
from connectors.entering import save as save
from connectors.form import FORM
from connectors.form import BadSettings as BadSettings
from connectors.models import Access
from connectors.port import Account
from evidence import keys
from evidence.queries import Compiled
from registry.models import Tenant

log = logging.getLogger(__name__)


class TenantNotNamed(RuntimeError):
    """The environment has credentials, there are several tenants, and none is named as theirs."""


def account(tenant: Tenant, kind: str) -> Account | None:
    """The tenant's access to one system; None if it has none. Raises keys.CannotUnseal on a row changed by hand."""
    row = _access.first(tenant.pk, kind)
    own = _of_row(row, tenant) if row is not None else None
    if own is not None:
        return own
    given = _given(kind)
    return Account(tenant.slug, tenant.pk, kind, given) if given and _is_theirs(tenant) else None


def accounts(kind: str) -> list[Account]:
    """All tenants' access to one system: whose signature a webhook carries is found by trying each.

    A row that does not open is left out: one tenant's must not silence the others.
    """
    found: dict[int, Account | None] = {}
    for row in _all(kind):
        try:
            own = _of_row(row, row.tenant)
        except keys.CannotUnseal:
            log.error("credentials cannot be opened", extra={"tenant": row.tenant.slug, "kind": kind})  # noqa: TRY400  the cause is known
            found[row.tenant_id] = None
        else:
            if own is not None:
                found[row.tenant_id] = own
    given = _given(kind)
    theirs = _owner_or_said() if given else None
    if theirs is not None and theirs.pk not in found:
        found[theirs.pk] = Account(theirs.slug, theirs.pk, kind, given)
    return [one for one in found.values() if one is not None]


def kinds_of(tenant: Tenant) -> frozenset[str]:
    """The systems the tenant has access to; one whose row does not open is among them, so that somebody hears of it."""
    own = {row.kind for row in Access.objects.filter(tenant=tenant) if _counts(row, tenant)}
    given = {kind for kind in FORM if _given(kind)}
    return frozenset(own | given if given and _is_theirs(tenant) else own)


_access = Compiled(lambda tenant, kind: Access.objects.filter(tenant=tenant, kind=kind)[:1])
_all = Compiled(lambda kind: Access.objects.filter(kind=kind).select_related("tenant").order_by("tenant__slug"))


def _of_row(row: Access, tenant: Tenant) -> Account | None:
    """None where what was entered first still waits to count."""
    told = held.opened(row, tenant).settings
    if told is None:
        return None
    settled = {"api_url": form.SLACK, **told} if row.kind == "slack" else dict(told)
    return Account(tenant.slug, tenant.pk, row.kind, settled)


def _counts(row: Access, tenant: Tenant) -> bool:
    try:
        return held.opened(row, tenant).settings is not None
    except keys.CannotUnseal:
        return True


# --- the environment's


def owner_of_environment() -> Tenant | None:
    """Whose the environment's credentials are; None if that cannot be said."""
    named = settings.COUNTERSIGN.connector_tenant
    if named:
        return _named_so.first(named)
    only = _first_two()
    return only[0] if len(only) == 1 else None


_named_so = Compiled(lambda slug: Tenant.objects.filter(slug=slug)[:1])
_first_two = Compiled(lambda: Tenant.objects.order_by("pk")[:2])


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


def worry() -> str:
    """The same in words, empty where all is well: for a tenant that is added where the service runs already."""
    try:
        check_environment()
    except TenantNotNamed as error:
        return f"{error} Until then nothing is told there, and nothing heard."
    return ""


def _is_theirs(tenant: Tenant) -> bool:
    theirs = _owner_or_said()
    return theirs is not None and theirs.pk == tenant.pk


def _owner_or_said() -> Tenant | None:
    """The same where they are needed now. That they became nobody's while the service runs is logged once."""
    theirs = owner_of_environment()
    if theirs is None and not _said and (words := worry()):
        _said.append(words)
        log.warning(words)
    return theirs


_said: list[str] = []


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
