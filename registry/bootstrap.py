"""The first tenant and its first administrator, from settings; nothing where they exist already."""

from datetime import datetime

from django.contrib.auth.password_validation import validate_password
from django.db import transaction

from evidence.ledger import Actor
from registry import changes, describe, people
from registry.models import Membership, Role, Tenant


def bootstrap(*, slug: str, admin: str, email: str, password: str, actor: Actor, now: datetime) -> list[str]:
    """What was made, in words. A login that exists keeps its password. Raises ValidationError for a weak one."""
    made: list[str] = []
    with transaction.atomic():
        tenant, is_new = Tenant.objects.get_or_create(slug=slug, defaults={"name": slug, "created_at": now})
        if is_new:
            made.append(f"tenant {slug}")
            changes.recorded(
                tenant, kind="tenant", key="settings", actor=actor, now=now, before=None, after=describe.tenant(tenant)
            )
        if not Membership.objects.filter(tenant=tenant, user__username=admin).exists():
            made.append(f"administrator {admin}")
            member = people.add(admin, email=email, tenant=tenant, roles=[Role.ADMIN], actor=actor, now=now)
            if password and not member.user.has_usable_password():
                validate_password(password, member.user)
                member.user.set_password(password)
                member.user.save(update_fields=["password"])
    return made
