"""What the commands share: who acts when somebody types, and the tenant they named."""

import getpass

from django.core.management.base import CommandError

from evidence.ledger import Actor
from registry.models import Membership, Tenant


def actor(command: str) -> Actor:
    """Somebody at the machine's own console: the command, and the system login as far as there is one."""
    try:
        login = getpass.getuser()
    except (OSError, KeyError):  # a container's user without a name
        login = ""
    return Actor("command", command, {"os_user": login} if login else {})


def tenant(slug: str) -> Tenant:
    """Raises CommandError naming the tenants there are."""
    found = Tenant.objects.filter(slug=slug).first()
    if found is None:
        known = ", ".join(Tenant.objects.order_by("slug").values_list("slug", flat=True)[:20])
        raise CommandError(
            f"There is no tenant {slug!r}." + (f" There are: {known}." if known else " `apply` makes one.")
        )
    return found


def member(of: Tenant, username: str) -> Membership:
    """Raises CommandError unless an active member has that username."""
    found = of.memberships.select_related("user").filter(user__username=username, active=True).first()
    if found is None:
        raise CommandError(f"{of.slug} has no active member {username!r}.")
    return found
