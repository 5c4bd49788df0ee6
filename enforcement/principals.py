"""A principal's token in, the proof that it is the principal a call names out; remembered as long as both hold.

The proof is of this tenant's issuers alone, and lives in the tenant's world: with the next change of anything it is
gone and the token is checked again. Of the token only its SHA-256 is remembered.
"""

from datetime import datetime
from hashlib import sha256
from typing import NamedTuple

from countersign.policy.values import Principal
from enforcement import memory, pool, tokens, workloads
from enforcement.clock import clock
from enforcement.memory import World
from enforcement.problems import Kind, Problem
from enforcement.tokens import BadToken
from evidence import clock as database_clock
from registry import people
from registry.models import IssuerKind, Tenant

PERSON = "user"  # the type of a principal that a token can prove
_EMAIL, _EMAIL_VERIFIED = "email", "email_verified"


class Proof(NamedTuple):
    """By which issuer a principal is proven, and until when."""

    issuer: str
    until: datetime


class Unproven(Problem):
    """Nothing is known of this token yet: `prove` it, then ask again. To whoever does not, it is a refusal."""

    def __init__(self, token: str, principal: Principal) -> None:
        super().__init__(Kind.FORBIDDEN, "`context.principal_token` is not looked at here.")
        self.token = token
        self.principal = principal


def proof_of(token: str, principal: Principal, world: World) -> Proof:
    """From memory alone. Raises Unproven."""
    found: Proof | None = world.memo.get(_place(token, principal))
    if found is None or clock.now() >= found.until:
        raise Unproven(token, principal)
    return found


async def prove(unproven: Unproven, world: World) -> None:
    """Check the token and remember what it proves. Raises Problem (403, or 503 without the issuer's keys).

    In the newest world there is: a refusal is not recorded, so no transaction would tell that it is of an older one.
    """
    newest = await pool.look(_newest, world)
    try:
        proof = await _proof(unproven.token, unproven.principal, newest)
    except BadToken as error:
        words = f"`context.principal_token` does not prove the principal. {error}"
        raise Problem(Kind.FORBIDDEN, words) from error
    newest.memo.put(_place(unproven.token, unproven.principal), proof)


async def _proof(text: str, principal: Principal, world: World) -> Proof:
    token = tokens.read(text)
    view = world.snapshot.issuers.get((IssuerKind.JWT.value, token.issuer, token.audience))
    if view is None or not view.principal_claim:
        raise BadToken("Nobody here believes its issuer for its audience.")
    until = await workloads.checked(token, view)
    said = tokens.named(token, view.principal_claim)
    if view.principal_claim == _EMAIL and token.claims.get(_EMAIL_VERIFIED, True) is not True:
        raise BadToken("Its issuer has not verified the address.")
    if principal.type != PERSON or not await pool.look(_are_one, world.tenant_id, said, principal.id):
        raise BadToken("It is about somebody else, or about nobody who is a member here.")
    return Proof(view.name, until)


def _newest(world: World) -> World:
    """The tenant's world as the database has it, and the time by it."""
    clock.told(database_clock.now())
    epoch = Tenant.objects.values_list("epoch", flat=True).get(pk=world.tenant_id)
    with workloads.vouched_for():
        return memory.renew(world.tenant, epoch)


def _are_one(tenant_id: int, said: str, named: str) -> bool:
    """Whether both are names of one active member, however they are spelt."""
    tenant = Tenant.objects.get(pk=tenant_id)
    one, other = people.resolve(tenant, said), people.resolve(tenant, named)
    return one is not None and other is not None and one.pk == other.pk and one.active and one.user.is_active


def _place(token: str, principal: Principal) -> tuple[str, bytes, str, str]:
    return "principal", sha256(token.encode()).digest(), principal.type, principal.id
