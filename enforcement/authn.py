"""Headers in, the caller out: which credential speaks, and for whom it may."""

from collections.abc import Callable, Mapping
from datetime import datetime
from hashlib import sha256
from typing import NamedTuple

from countersign.policy import globs
from enforcement import memory, pool
from enforcement.clock import clock
from enforcement.memory import World
from enforcement.problems import Kind, Problem, unavailable
from evidence import clock as database_clock
from registry import credentials
from registry.credentials import Presented
from registry.models import CredentialKind
from registry.snapshot import KeyView

_SCHEME = "bearer "
_SPEAKERS = frozenset({CredentialKind.AGENT.value, CredentialKind.PEP.value})
_proven: globs.Memo[KeyView] = globs.Memo(4096)
_reached: globs.Memo[bool] = globs.Memo(4096)


class Caller(NamedTuple):
    """A credential that proved itself, and the world of its tenant."""

    key: KeyView
    world: World


async def caller(headers: Mapping[str, str]) -> Caller:
    """Whoever the bearer token speaks for. Raises Problem: 401, or 503 where nobody can be vouched for.

    No query while the key is known. A key that is not is looked up, so that a new one works at once.
    """
    given = headers.get("authorization", "")
    proof = sha256(given.encode("utf-8", "replace")).digest()
    found = _proven_before(proof) or await _prove(given, proof)
    if _expired(found.key, clock.now()):
        # This machine's clock may be wrong; the database's decides. The other way round the commit finds out.
        clock.told(await pool.look(database_clock.now))
        if _expired(found.key, clock.now()):
            raise _stranger()
    return found


def remembered(given: bytes) -> Caller | None:
    """The same from memory alone, of an `Authorization` header as it came. None: ask `caller`."""
    found = _proven_before(sha256(given).digest())
    if found is None or found.key.expires_at is None:
        return found
    return None if _expired(found.key, clock.now()) else found


def _proven_before(proof: bytes) -> Caller | None:
    """Whom this very token proved before, if that very key is still live in the world of now.

    Looked up by its SHA-256: what a comparison of digests may tell by its time is nothing about the token.
    """
    key = _proven.get(proof)
    found = memory.known(key.key_id) if key else None
    return Caller(*found) if found and found[0] is key else None


async def _prove(given: str, proof: bytes) -> Caller:
    presented = _presented(given)
    found = memory.known(presented.key_id)
    if found is None:
        try:
            found = await pool.look(memory.learn, presented.key_id)
        except memory.NoWorld as error:
            raise unavailable("The policy of this tenant cannot be loaded; nothing is decided until it can.") from error
    if found is None or not credentials.matches(presented, found[0]):
        raise _stranger()
    _proven.put(proof, found[0])
    return Caller(*found)


def check_speaks(key: KeyView) -> None:
    """Only agents' and PEPs' keys ask for decisions. Raises Problem (403)."""
    if key.kind not in _SPEAKERS:
        raise Problem(Kind.FORBIDDEN, f"A {key.kind} key asks for no decisions; use an agent's or a PEP's key.")


def check_reach(key: KeyView, subject_type: str, subject_id: str) -> None:
    """Raises Problem (403) if this credential does not speak for that subject. What was sent is not quoted."""
    if not reaches(key, subject_type, subject_id):
        raise Problem(Kind.FORBIDDEN, "This credential does not speak for that subject.")


def reaches(key: KeyView, subject_type: str, subject_id: str) -> bool:
    """An agent's key speaks as its one agent, a PEP's key for what its globs name. No globs: nobody."""
    if key.kind == CredentialKind.AGENT:
        return subject_type == "agent" and key.agents == (subject_id,)
    place = (key.agents, key.subjects, subject_type, subject_id)
    known = _reached.get(place)
    if known is None:
        known = _matches(key, subject_type, subject_id)
        _reached.put(place, known)
    return known


def reached(key: KeyView, subject_type: str) -> Callable[[str], bool]:
    """`reaches` of many subjects of one type, without remembering each."""
    if key.kind == CredentialKind.AGENT:
        return lambda subject_id: reaches(key, subject_type, subject_id)
    agents = subject_type == "agent"
    named = [*(key.agents if agents else ()), *_globs_of(key, subject_type)]
    names = globs.Names(((glob, 1) for glob in named), dotted=agents)
    return lambda subject_id: bool(names.mask(subject_id))


def _matches(key: KeyView, subject_type: str, subject_id: str) -> bool:
    if subject_type == "agent":
        own = globs.matches_any(key.agents, subject_id)
        return own or globs.matches_any(_globs_of(key, subject_type), subject_id)
    return any(globs.matcher(glob, dotted=False)(subject_id) for glob in _globs_of(key, subject_type))


def _globs_of(key: KeyView, subject_type: str) -> list[str]:
    typed = (subject.partition(":") for subject in key.subjects)
    return [glob for kind, _, glob in typed if kind == subject_type]


def _presented(given: str) -> Presented:
    presented = credentials.parse(given[len(_SCHEME) :].strip()) if given[: len(_SCHEME)].lower() == _SCHEME else None
    if presented is None:
        raise _stranger()
    return presented


def _expired(key: KeyView, now: datetime) -> bool:
    return key.expires_at is not None and now >= key.expires_at


def _stranger() -> Problem:
    return Problem(Kind.UNAUTHENTICATED, "Send `Authorization: Bearer csk_…` with a live key.")
