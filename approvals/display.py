"""A call and the verdict on it in, the lines an approver is shown out. Pure.

Every line is `{"label", "value", "kind", "flags"}`, all of them text a person may trust their eyes with. Arguments
come from the very bytes whose digest is approved, each of them, whole; what an agent says of itself comes last.
"""

import base64
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from hashlib import sha256
from typing import Any

from approvals.visible import Flag, visible
from countersign.policy.values import Call, Principal, Tier, Verdict
from countersign.proof import canonical, digests

PROFILE = "countersign-lines-v1"  # a change of what the lines say is another profile

UNBOUND_SESSION = "Session (not part of what is approved)"

Line = dict[str, Any]


class Kind(StrEnum):
    """What sort of line this is, for a page that lays them out."""

    FACT = "fact"  # ours: registry, policy, credential
    CLAIM = "claim"  # said by the caller; bound by the approval unless its label says otherwise
    ARGUMENT = "argument"
    UNINSPECTABLE = "uninspectable"  # follows the line it speaks of
    QUOTE = "quote"  # the agent's own words: bound by the display hash alone, believed by nobody


class NotTheseArguments(ValueError):
    """The arguments or the action do not have the digest that would be approved."""


@dataclass(frozen=True, slots=True)
class Shown:
    """The lines and the hash that a vote must carry."""

    lines: list[Line]
    hash: str


_TIERS = {Tier.LOW: "1 – low", Tier.MODERATE: "2 – moderate", Tier.HIGH: "3 – high", Tier.CRITICAL: "4 – critical"}
# Members of the action that other lines show already, and more legibly.
_SHOWN_ABOVE = frozenset(
    {"v", "tenant", "agent", "subject", "principal", "tool", "resource", "method", "action", "intent", "environment",
     "transaction", "arguments_digest"}
)  # fmt: skip
_FINGERPRINT = "descriptor_digest"
_PLAIN_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_-]*").fullmatch
_BASE64 = re.compile(r"[A-Za-z0-9+/_-]{40,}={0,2}")
_HEX = re.compile(r"[0-9a-fA-F]{80,}")  # longer than a SHA-256 with its name
_BYTES = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f]")


def show(call: Call, verdict: Verdict, *, risk_tier: int | None, policy_revision: int, justification: str) -> Shown:
    """All lines for this call, and their hash. Raises NotTheseArguments."""
    encoded = canonical.dumps(call.arguments)
    if digests.arguments_digest(call.arguments) != call.arguments_digest:
        raise NotTheseArguments("the arguments do not have the arguments' digest")
    if digests.action_digest(call.action) != call.action_digest:
        raise NotTheseArguments("the action does not have the action's digest")
    lines = [
        *_who(call),
        *_claims(call),
        *flattened("arguments", canonical.loads(encoded), Kind.ARGUMENT),
        *_why(verdict, risk_tier=risk_tier, policy_revision=policy_revision),
        *_quotes(call, justification),
    ]
    return Shown(lines, digests.display_hash(profile=PROFILE, action_digest=call.action_digest, lines=lines))


def line(label: str, value: str, kind: Kind, *, extra: frozenset[Flag] = frozenset()) -> Line:
    """One line, both halves made visible."""
    name, text = visible(label), visible(value)
    flags = sorted(name.flags | text.flags | extra)
    return {"label": name.text, "value": text.text, "kind": kind.value, "flags": [flag.value for flag in flags]}


# --- who, and for whom


def _who(call: Call) -> Iterator[Line]:
    asks = "Agent" if call.subject_type == "agent" else "Asked by"  # people ask too, for exceptions
    yield line(asks, _typed(call.subject_type, call.subject_id, usual="agent"), Kind.FACT)
    yield line("For", _principal(call.principal), Kind.CLAIM)
    yield line("Tool", _typed(call.resource_type, call.resource_id, usual="tool"), Kind.FACT)
    yield line("Method", call.action_name, Kind.FACT)


def _typed(kind: str, name: str, *, usual: str) -> str:
    return name if kind == usual else f"{kind}:{name}"


def _principal(principal: Principal | None) -> str:
    if principal is None:
        return "nobody named"
    said = f"{principal.type} {principal.id}"
    return f"{said} (verified)" if principal.verified else f"{said} (unverified: the agent says so)"


# --- what the caller says, and the approval binds but for the session


def _claims(call: Call) -> Iterator[Line]:
    for label, value in (("Intent", call.intent), ("Transaction", call.transaction), (UNBOUND_SESSION, call.session)):
        if value is not None:
            yield line(label, value, Kind.CLAIM)
    for label, properties in (
        ("environment", call.environment),
        ("agent properties", call.subject_properties),
        ("method properties", call.action_properties),
        ("tool properties", _without_what_is_bound_apart(call)),
    ):
        if properties:
            yield from flattened(label, properties, Kind.CLAIM)
    for name in sorted(set(call.action) - _SHOWN_ABOVE):
        yield from flattened(name, call.action[name], Kind.FACT)


def _without_what_is_bound_apart(call: Call) -> Mapping[str, Any]:
    """The tool's properties but the fingerprint that the action names by itself, and which has its line there."""
    properties = dict(call.resource_properties)
    if call.action.get(_FINGERPRINT, properties) == properties.get(_FINGERPRINT):
        del properties[_FINGERPRINT]
    return properties


# --- values


def flattened(path: str, value: Any, kind: Kind) -> Iterator[Line]:
    """One line for each leaf, in the order of the canonical bytes; an empty object or array is a leaf too.

    A text stands in quotes, all else as JSON writes it: "true" and true are told apart. A path names each step, so
    that no two leaves share a label.
    """
    if isinstance(value, Mapping) and value:
        for name in sorted(value, key=lambda name: name.encode("utf-16-be")):
            yield from flattened(path + _step(name), value[name], kind)
    elif isinstance(value, Sequence) and not isinstance(value, str) and value:
        for position, item in enumerate(value):
            yield from flattened(f"{path}[{position}]", item, kind)
    elif isinstance(value, str):
        yield from _text(path, value, kind)
    else:
        yield line(path, canonical.dumps(value).decode(), kind)


def _step(name: str) -> str:
    return f".{name}" if _PLAIN_NAME(name) else f"[{canonical.dumps(name).decode()}]"


def _text(path: str, value: str, kind: Kind) -> Iterator[Line]:
    opaque = [*_opaque(value)]
    yield line(path, f'"{value}"', kind, extra=frozenset({Flag.UNINSPECTABLE} if opaque else ()))
    for content in opaque:
        said = f"uninspectable ({len(content)} bytes, sha256 {sha256(content).hexdigest()})"
        yield line(path, said, Kind.UNINSPECTABLE, extra=frozenset({Flag.UNINSPECTABLE}))


def _opaque(value: str) -> Iterator[bytes]:
    """The parts no reader can judge by eye: control bytes, base64 and hexadecimal blobs."""
    if _BYTES.search(value):
        yield value.encode()
        return
    for run in _HEX.findall(value):
        yield bytes.fromhex(run[: len(run) // 2 * 2])
    for run in _BASE64.findall(value):
        if _HEX.fullmatch(run):
            continue
        content = _decoded(run)
        if content is not None:
            yield content


def _decoded(run: str) -> bytes | None:
    """What base64 hides, if this is base64: long words and paths lack its mix of cases and digits."""
    core = run.rstrip("=").translate(str.maketrans("-_", "+/"))
    mixed = any(map(str.isupper, core)) and any(map(str.islower, core)) and any(map(str.isdigit, core))
    if not mixed or len(core) % 4 == 1:
        return None
    return base64.b64decode(core + "=" * (-len(core) % 4))


# --- why a person is asked


def _why(verdict: Verdict, *, risk_tier: int | None, policy_revision: int) -> Iterator[Line]:
    if risk_tier is not None:
        yield line("Risk tier", _TIERS[Tier(risk_tier)], Kind.FACT)
    if verdict.risk is not None:
        factors = ", ".join(f"{factor.name.replace('_', ' ')} {factor.points}" for factor in verdict.risk.factors)
        score = f"{verdict.risk.score} of 100"
        yield line("Risk score", f"{score} ({factors})" if factors else score, Kind.FACT)
    if verdict.rule:
        yield line("Rule", verdict.rule, Kind.FACT)
    for because in verdict.reasons:
        yield line("Reason", f"{because.message} [{because.rule}]" if because.rule else because.message, Kind.FACT)
    yield line("Policy revision", str(policy_revision), Kind.FACT)


# --- what the agent says of itself


def _quotes(call: Call, justification: str) -> Iterator[Line]:
    summary = call.context.get("summary")
    for label, said in (("The agent says", justification), ("The agent's summary", summary)):
        if said:
            quoted = said if isinstance(said, str) else canonical.dumps(said).decode()
            yield line(label, quoted, Kind.QUOTE)
