"""Headers in, the caller out: which credential speaks, and for whom it may.

A bearer's key or token, or else the identity of a client's certificate as a trusted proxy told it. With both, the
bearer decides alone: what a client sends on purpose is not outdone by the line it came over.
"""

from collections.abc import Callable, Hashable, Mapping
from dataclasses import replace
from datetime import datetime
from hashlib import sha256
from typing import NamedTuple

from countersign.policy import globs
from enforcement import memory, pool, proxies, tokens, workloads
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
_tokens: globs.Memo[tuple[KeyView, KeyView]] = globs.Memo(4096)  # the key that stands for a token, and with its end
_reached: globs.Memo[bool] = globs.Memo(4096)


class Caller(NamedTuple):
    """A credential that proved itself, and the world of its tenant."""

    key: KeyView
    world: World


async def caller(headers: Mapping[str, str]) -> Caller:
    """Whoever the credential speaks for. Raises Problem: 401, or 503 where nobody can be vouched for.

    No query while it is known. One that is not is looked up, so that a new one works at once.
    """
    given = headers.get("authorization", "")
    if not given and (identity := proxies.identity(headers)) is not None:
        return await _certified(identity)
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


def _proven_before(proof: Hashable) -> Caller | None:
    """Whom this very key or token proved before, if that very key is still live in the world of now.

    Looked up by its SHA-256: what a comparison of digests may tell by its time is nothing about the token.
    """
    key = _proven.get(proof)
    if key is None:
        return _token_before(proof)
    found = memory.known(key.key_id)
    return Caller(*found) if found and found[0] is key else None


def _token_before(proof: Hashable) -> Caller | None:
    known = _tokens.get(proof)
    found = memory.known(known[0].key_id) if known else None
    return Caller(known[1], found[1]) if known and found and found[0] is known[0] else None


async def _certified(identity: str) -> Caller:
    """An identity is no secret: that a trusted proxy told it is all the proof there is."""
    place = ("certificate", identity)
    found = _proven_before(place)
    if found is None:
        found = Caller(*await workloads.by_certificate(identity))
        _proven.put(place, found.key)
    return found


async def _prove(given: str, proof: bytes) -> Caller:
    text = _bearer(given)
    if tokens.is_one(text):
        key, world, until = await workloads.by_token(text)
        speaking = replace(key, expires_at=until)
        _tokens.put(proof, (key, speaking))
        return Caller(speaking, world)
    presented = _presented(text)
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


def _bearer(given: str) -> str:
    return given[len(_SCHEME) :].strip() if given[: len(_SCHEME)].lower() == _SCHEME else ""


def _presented(text: str) -> Presented:
    presented = credentials.parse(text)
    if presented is None:
        raise _stranger()
    return presented


def _expired(key: KeyView, now: datetime) -> bool:
    return key.expires_at is not None and now >= key.expires_at


def _stranger() -> Problem:
    return Problem(Kind.UNAUTHENTICATED, "Send `Authorization: Bearer …` with a live key or token.")
