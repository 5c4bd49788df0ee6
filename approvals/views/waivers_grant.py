"""A request by which somebody wants a waiver granted in; what its pages show above the bound lines out."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final

from approvals import shown
from approvals.models import AccessRequest, Waiver
from approvals.waivers import register, wording
from approvals.waivers.register import Covered
from approvals.waivers.wording import Fact
from countersign.policy.faults import InvalidError
from evidence import keys
from registry.models import Membership

LATELY: Final = timedelta(days=30)


@dataclass(frozen=True, slots=True)
class Grant:
    """`facts` are empty where the terms were erased or are not those that are voted on."""

    waiver: Waiver
    facts: list[Fact]
    covered: Covered | None = None


def of(asked: AccessRequest, membership: Membership, *, pending: bool, now: datetime) -> Grant | None:
    """None for an ordinary request. What it would have covered is for who decides on it, or reads decisions anyway."""
    if asked.asked_by_id is None:
        return None
    terms = _terms(asked)
    tells = pending and terms and register.may_see_calls(membership, asked)
    return Grant(asked.waiver, wording.facts(terms), _covered(membership, terms, now=now) if tells else None)


def _covered(membership: Membership, terms: Any, *, now: datetime) -> Covered | None:
    """Of last month's calls, those that the terms would have let through."""
    try:
        return register.covered(membership.tenant, terms, since=now - LATELY)
    except InvalidError:  # kept by an earlier version that took what this one refuses
        return None


def _terms(asked: AccessRequest) -> dict[str, Any]:
    try:
        arguments = shown.arguments_of(asked)
    except keys.CannotUnseal:
        arguments = None
    return dict(arguments["terms"]) if arguments else {}
