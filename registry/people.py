"""Logins and memberships in, the humans behind them out: an alias or a second account is not a second person."""

import re
import unicodedata
from collections.abc import Iterable, Mapping
from datetime import datetime

from django.db import transaction
from django.db.models import QuerySet

from evidence.ledger import Actor
from evidence.queries import Compiled
from registry import changes, describe
from registry.models import Human, Membership, Role, Team, TeamMember, Tenant, User

LOCAL = "local"
USERNAME = re.compile(r"[a-z0-9](?:[a-z0-9._@-]{0,148}[a-z0-9])?\Z")


class BadUsername(ValueError):
    """Not lower-case ASCII letters, digits, dot, dash, underscore and at; or somebody else's e-mail address."""


class UsernameTaken(ValueError):
    """The login exists with another e-mail address. Usernames are global; an address is never moved silently."""


class UnknownTeam(ValueError):
    """No such team in this tenant."""


class UnknownRole(ValueError):
    """Not one of the closed list of roles."""


class IdentityTaken(ValueError):
    """Another member of this tenant is known by that identity, or this one is known by another already."""


def normalise(email: str) -> str:
    """NFKC, lower case, without `+tag`: the form in which two spellings of one address are equal."""
    text = unicodedata.normalize("NFKC", email).strip().lower()
    local, at, domain = text.rpartition("@")
    return f"{local.partition('+')[0]}@{domain}" if at else text.partition("+")[0]


def human_of(issuer: str, subject_or_email: str) -> Human:
    """The human behind an account: by the identity provider's subject, or for `local` by normalised e-mail."""
    subject = normalise(subject_or_email) if issuer == LOCAL else subject_or_email
    return Human.objects.get_or_create(issuer=issuer, subject=subject)[0]


def add(
    username: str,
    *,
    email: str,
    tenant: Tenant,
    teams: Iterable[str] = (),
    roles: Iterable[str] = (),
    actor: Actor,
    now: datetime,
) -> Membership:
    """A login (new, or the existing one of that name and address) as a member with exactly these teams and roles."""
    with transaction.atomic():
        changes.lock(tenant)
        user = login(username, email=email, now=now)
        membership = Membership.objects.filter(tenant=tenant, user=user).first()
        before = describe.person(membership) if membership else None
        membership = membership or Membership(tenant=tenant, user=user)
        membership.roles = sorted(known_roles(roles))
        membership.save()
        put_in_teams(membership, teams)
        after = describe.person(membership)
        changes.recorded(
            tenant, kind=changes.PERSON, key=username, actor=actor, now=now, before=before, after=after
        )  # fmt: skip
    return membership


def login(username: str, *, email: str, now: datetime) -> User:
    """The global login of that name. Raises UsernameTaken if it belongs to another address, BadUsername."""
    check_username(username, email=email)
    human = human_of(LOCAL, email)
    user = User.objects.select_related("human").filter(username=username).first()
    if user is None:
        user = User(username=username, email=email, human=human, created_at=now)
        user.set_unusable_password()
        user.save()
    elif normalise(user.email) != normalise(email):
        raise UsernameTaken(f"the username {username!r} exists with another e-mail address")
    return user


def check_username(username: str, *, email: str) -> None:
    """Raises BadUsername. One that looks like an address must be that person's own, or it would pass for another's."""
    if not USERNAME.match(username):
        raise BadUsername(f"{username!r}: use lower-case letters, digits and . _ - @, up to 150 characters")
    if "@" in username and normalise(username) != normalise(email):
        raise BadUsername(f"{username!r} looks like an e-mail address but is not this person's")


def known_roles(roles: Iterable[str]) -> list[str]:
    """The roles themselves, once each. Raises UnknownRole."""
    wanted = sorted(set(roles))
    for role in wanted:
        if role not in Role.values:
            raise UnknownRole(f"{role!r} is none of {', '.join(Role.values)}")
    return wanted


def put_in_teams(membership: Membership, names: Iterable[str]) -> None:
    """Make these the member's teams. Raises UnknownTeam. Records nothing: the caller tells the whole difference."""
    wanted = set(names)
    teams = {team.name: team for team in Team.objects.filter(tenant_id=membership.tenant_id, name__in=wanted)}
    if missing := wanted - teams.keys():
        raise UnknownTeam(f"no such team: {', '.join(sorted(missing))}")
    present = dict(membership.teams.values_list("team__name", "id"))
    TeamMember.objects.filter(id__in=[id_ for name, id_ in present.items() if name not in wanted]).delete()
    TeamMember.objects.bulk_create(
        TeamMember(tenant_id=membership.tenant_id, team=teams[name], membership=membership)
        for name in sorted(wanted - present.keys())
    )


def resolve(tenant: Tenant, principal_id: str) -> Membership | None:
    """The member a principal names by username or e-mail, however it is spelt; an active one before an inactive one.

    Inactive members count: someone who left must not become a stranger to their own request.
    """
    wanted = normalise(principal_id)
    if not wanted:
        return None
    local = _of_username.first(tenant.pk, wanted) or _of_subject.first(tenant.pk, wanted)
    if local or "@" not in wanted:
        return local
    foreign = _members(tenant.pk).exclude(user__human__issuer=LOCAL)
    return next((member for member in foreign if normalise(member.user.email) == wanted), None)


def _members(tenant_id: int) -> QuerySet[Membership]:
    return Membership.objects.filter(tenant_id=tenant_id).select_related("user__human").order_by("-active", "pk")


_of_username = Compiled(lambda tenant, name: _members(tenant).filter(user__username=name)[:1])
_of_subject = Compiled(
    lambda tenant, name: _members(tenant).filter(user__human__issuer=LOCAL, user__human__subject=name)[:1]
)


def team_names(membership: Membership) -> frozenset[str]:
    """The teams a member may answer for, as the database has them now; none for the inactive and for services."""
    return teams_of([membership.pk])[membership.pk]


def teams_of(memberships: Iterable[int]) -> Mapping[int, frozenset[str]]:
    """The same for many members, by membership: one query."""
    wanted = sorted(set(memberships))
    found: dict[int, set[str]] = {pk: set() for pk in wanted}
    for pk, team in _teams(*wanted) if wanted else ():
        found[pk].add(team)
    return {pk: frozenset(teams) for pk, teams in found.items()}


_teams = Compiled(
    lambda *memberships: TeamMember.objects.filter(
        membership__pk__in=memberships,
        membership__active=True,
        membership__user__is_active=True,
        membership__user__is_service=False,
    ).values_list("membership_id", "team__name")
)


def by_identity(tenant: Tenant, kind: str, value: str) -> Membership | None:
    """The member whom the other system `kind` knows as `value`; none where two are said to be the same one.

    Inactive members are found too: whoever acts on it must look, and can then say why not.
    """
    found = list(_known_as(tenant, kind, value).select_related("user__human", "tenant")[:2]) if value else []
    return found[0] if len(found) == 1 else None


def set_identity(membership: Membership, kind: str, value: str | None, *, actor: Actor, now: datetime) -> Membership:
    """Make `value` what the other system `kind` knows this member as; None forgets it. Raises IdentityTaken.

    Nobody is moved silently: an identity of another member, or a member who has one already, must be freed first.
    """
    with transaction.atomic():
        tenant = changes.lock(membership.tenant)
        row = Membership.objects.select_related("user").get(pk=membership.pk)
        before = describe.person(row)
        if value is not None and row.identities.get(kind, value) != value:
            raise IdentityTaken(f"known to {kind} by another identity")
        if value is not None and _known_as(tenant, kind, value).exclude(pk=row.pk).exists():
            raise IdentityTaken(f"another member has this {kind} identity")
        others = {name: known for name, known in row.identities.items() if name != kind}
        row.identities = others if value is None else {**others, kind: value}
        row.save(update_fields=["identities"])
        changes.recorded(
            tenant, kind=changes.PERSON, key=row.user.username, actor=actor, now=now, before=before,
            after=describe.person(row),
        )  # fmt: skip
    return row


def _known_as(tenant: Tenant, kind: str, value: str) -> QuerySet[Membership]:
    return Membership.objects.filter(tenant=tenant, **{f"identities__{kind}": value})
