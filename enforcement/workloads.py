"""A token or a certificate's identity in, the agent it speaks as out: its tenant found, its issuer's word checked.

The tenant comes from what was shown, as with a key: an issuer and an audience, or an identity, are one tenant's alone.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime

from enforcement import keysets, memory, pool, tokens
from enforcement.clock import clock
from enforcement.memory import World
from enforcement.problems import Kind, Problem, unavailable
from enforcement.tokens import BadToken, Token
from evidence import clock as database_clock
from registry import issuers
from registry.models import IssuerKind
from registry.snapshot import IssuerView, KeyView

_STRANGER = "Nobody here believes its issuer for its audience."
_TURNED_AWAY = "This workload was turned away."


async def by_token(text: str) -> tuple[KeyView, World, datetime]:
    """The credential that stands for the token's agent, its world, and until when the token holds. Raises Problem."""
    try:
        token = tokens.read(text)
        view, world = await pool.look(_believed, IssuerKind.JWT.value, token.issuer, token.audience)
        until = await checked(token, view)
        agent = tokens.named(token, view.agent_claim)
    except BadToken as error:
        raise Problem(Kind.UNAUTHENTICATED, f"The token does not prove who calls. {error}") from error
    return *await pool.run(_standing_for, view, world, agent), until


async def by_certificate(identity: str) -> tuple[KeyView, World]:
    """The credential that stands for the agent of this identity, and its world. Raises Problem."""
    try:
        view, world = await pool.look(_believed, IssuerKind.CERTIFICATE.value, identity, "")
    except BadToken as error:
        raise Problem(Kind.UNAUTHENTICATED, "The certificate's identity is nobody's here.") from error
    return await pool.run(_standing_for, view, world, view.agent)


async def checked(token: Token, view: IssuerView) -> datetime:
    """Until when the token of this issuer holds, by the database's clock as it was told. Raises BadToken, Problem."""
    try:
        return tokens.check(token, view, await keysets.of(view), now=clock.now())
    except tokens.UnknownKey:
        return tokens.check(token, view, await keysets.of(view, lacking=True), now=clock.now())


def _believed(kind: str, issuer: str, audience: str) -> tuple[IssuerView, World]:
    """The issuer as its tenant's newest world has it. This machine's clock may be wrong: it is told the database's.

    Raises BadToken if there is none, or one that speaks for principals alone.
    """
    clock.told(database_clock.now())
    where = issuers.tenant_of(kind, issuer, audience)
    if where is None:
        raise BadToken(_STRANGER)
    with vouched_for():
        world = memory.renew(*where)
    view = world.snapshot.issuers.get((kind, issuer, audience))
    if view is None or not (view.agent or view.agent_claim):
        raise BadToken(_STRANGER)
    return view, world


def _standing_for(view: IssuerView, world: World, agent: str) -> tuple[KeyView, World]:
    """The credential of a registered agent; any other name is nobody's, however well it is signed.

    What was checked is remembered under the world that this answers: there the issuer must be what it was checked by.
    """
    if agent not in world.bundle.registry.agents:
        raise Problem(Kind.UNAUTHENTICATED, "What was shown is in order, but names no registered agent.")
    try:
        key_id = world.snapshot.standing.get((view.id, agent)) or issuers.admit(view.id, agent, now=clock.now())
    except issuers.TurnedAway:
        raise Problem(Kind.UNAUTHENTICATED, _TURNED_AWAY) from None
    with vouched_for():
        found = memory.learn(key_id)
    if found is None:
        raise Problem(Kind.UNAUTHENTICATED, _TURNED_AWAY)
    if found[1].snapshot.issuers.get((view.kind, view.issuer, view.audience)) != view:
        raise unavailable("The issuer has been changed just now; try again.")
    return found


@contextmanager
def vouched_for() -> Iterator[None]:
    """Raises Problem (503) where a tenant's policy or registry is not as it was signed."""
    try:
        yield
    except memory.NoWorld as error:
        raise unavailable("The policy of this tenant cannot be loaded; nothing is decided until it can.") from error
