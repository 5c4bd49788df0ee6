"""Vectors of the access request profile in, what of each was not as it must be out. docs/arap-vectors.md tells the format.

Knows no server and no library of ours: a `Harness` sends what enforcement points send and does what people and operators
do. A vector that nobody runs, a file that nobody names and a word that nobody knows are failures, never skipped.
"""

import base64
import json
import secrets
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple, Protocol

FOLDER = Path(__file__).parent / "arap"
INDEX = Path(__file__).parent / "arap.json"

URN = "urn:openid:authzen:access-request:error:"
SPEAKERS = frozenset({"pep", "second_pep", "agent", "stranger", "other_tenant", "nobody"})
ENDPOINTS = frozenset({"evaluation", "requests", "task", "cancel", "discovery", "jwks", "schema"})
DEEDS = frozenset(
    {"approve", "deny", "expire_task", "age_task", "expire_denial", "expire_approval", "revoke", "forbid"}
)  # fmt: skip
FORGERIES = frozenset({"alg_none", "alg_hs256", "key_id", "type", "signature", "payload"})
_GET = frozenset({"task", "discovery", "jwks", "schema"})
_VECTOR = {"vector", "says", "profile", "negative", "alone", "steps"}
_STEPS = {
    "send": {"send", "as", "method", "task", "headers", "body", "together", "expect", "save"},
    "do": {"do", "to"},
    "forge": {"forge", "token", "with", "save"},
}
_EXPECT = {"status", "error", "equal", "unequal", "present", "absent", "nowhere", "one"}


class BadVectors(ValueError):
    """The files are not what the format says, so nothing can be said of a server."""


class Message(NamedTuple):
    """One HTTP request. `endpoint` is a name of the format; `task` whose task it is, where it is one's."""

    speaker: str
    method: str
    endpoint: str
    task: str
    headers: Mapping[str, str]
    body: Any


class Reply(NamedTuple):
    """What came back; `json` is None where the body was none."""

    status: int
    json: Any


class Harness(Protocol):
    """A server in the fixture world, and the people in it."""

    def send(self, messages: Sequence[Message]) -> Sequence[Reply]:
        """All at once, where there are several."""

    def do(self, deed: str, to: str) -> None:
        """What no enforcement point does; `to` is a task, an evaluation or an approval."""

    def names(self) -> Mapping[str, str]:
        """Values of the world: who approves (`approver`), and the rule that asks (`rule`)."""


Vector = Mapping[str, Any]


@dataclass
class Report:
    """The vectors that ran to their end or failed, and why those did."""

    ran: list[str] = field(default_factory=list)
    failures: dict[str, str] = field(default_factory=dict)

    def missing(self, vectors: Sequence[Vector]) -> list[str]:
        return [vector["vector"] for vector in vectors if vector["vector"] not in self.ran]


class _NotSo(AssertionError):
    """An answer is not as the vector says."""


# --- reading


def load(folder: Path = FOLDER, index: Path = INDEX) -> list[Vector]:
    """Every vector, in the order of the index. Raises BadVectors."""
    named = json.loads(index.read_text())["vectors"]
    there = {path.stem for path in folder.iterdir()}
    if len(set(named)) != len(named) or set(named) != there or any(path.suffix != ".json" for path in folder.iterdir()):
        raise BadVectors(f"index and folder differ: {sorted(set(named) ^ there) or 'named twice, or no .json'}")
    return [_checked(name, json.loads((folder / f"{name}.json").read_text())) for name in named]


def _checked(name: str, vector: Any) -> Vector:
    if vector.get("vector") != name or vector.keys() - _VECTOR or not _VECTOR - {"alone"} <= vector.keys():
        raise BadVectors(f"{name}: its members are not those of a vector")
    for place, step in enumerate(vector["steps"]):
        _check_step(f"{name}, step {place}", step)
    if not any(step.get("expect") for step in vector["steps"]):
        raise BadVectors(f"{name}: it expects nothing")
    return vector


def _check_step(place: str, step: Mapping[str, Any]) -> None:
    kind = next((kind for kind in _STEPS if kind in step), None)
    if kind is None or step.keys() - _STEPS[kind]:
        raise BadVectors(f"{place}: a word that no step has")
    known = {"send": ENDPOINTS, "do": DEEDS, "forge": FORGERIES}[kind]
    speakers = step.get("as", "pep")
    if step[kind] not in known or {speakers} - SPEAKERS if isinstance(speakers, str) else set(speakers) - SPEAKERS:
        raise BadVectors(f"{place}: {step[kind]!r} is not known")
    if step.get("expect", {}).keys() - _EXPECT or (kind == "send" and "status" not in step.get("expect", {})):
        raise BadVectors(f"{place}: what it expects is not known, or nothing")


# --- running


def run(vectors: Sequence[Vector], harness: Callable[[bool], Harness]) -> Report:
    """Each vector against a server; `harness(True)` is a world that nobody else is in."""
    report = Report()
    for vector in vectors:
        try:
            _Run(harness(vector.get("alone", False))).all(vector["steps"])
        except Exception as error:  # noqa: BLE001  whatever stops a vector is told, and the others go on
            report.failures[vector["vector"]] = f"{type(error).__name__}: {error}"
        report.ran.append(vector["vector"])
    return report


class _Run:
    """One vector under way, and what it has saved."""

    def __init__(self, harness: Harness) -> None:
        self._harness = harness
        self._saved: dict[str, Any] = {"nonce": secrets.token_hex(8), **harness.names()}

    def all(self, steps: Sequence[Mapping[str, Any]]) -> None:
        for place, step in enumerate(steps):
            try:
                self._one(self._filled(step))
            except _NotSo as error:
                raise _NotSo(f"step {place}: {error}") from None

    def _one(self, step: Mapping[str, Any]) -> None:
        if "send" in step:
            replies = self._harness.send(list(_messages(step)))
            expected = step["expect"]
            for reply in replies:
                _compare(reply, expected)
            for pointer in expected.get("one", ()):
                if len({json.dumps(_at(reply.json, pointer)) for reply in replies}) != 1:
                    raise _NotSo(f"{pointer} is not one and the same")
            self._saved.update({name: _at(replies[0].json, at) for name, at in step.get("save", {}).items()})
        elif "do" in step:
            self._harness.do(step["do"], step.get("to", ""))
        else:
            self._saved[step["save"]] = forged(step["token"], step["forge"], step.get("with"))

    def _filled(self, value: Any) -> Any:
        """The value with `${name}` replaced; where a string is nothing else, by whatever was saved."""
        if isinstance(value, dict):
            return {name: self._filled(member) for name, member in value.items()}
        if isinstance(value, list):
            return [self._filled(member) for member in value]
        if not isinstance(value, str) or "${" not in value:
            return value
        if value.startswith("${") and value.find("}") == len(value) - 1:
            return self._saved[value[2:-1]]
        for name, saved in self._saved.items():
            value = value.replace("${" + name + "}", str(saved))
        return value


def _messages(step: Mapping[str, Any]) -> Iterator[Message]:
    speakers = step.get("as", "pep")
    speakers = [speakers] if isinstance(speakers, str) else speakers
    method = step.get("method", "GET" if step["send"] in _GET else "POST")
    for speaker in speakers * step.get("together", 1):
        yield Message(speaker, method, step["send"], step.get("task", ""), step.get("headers", {}), step.get("body"))


# --- comparing


def _compare(reply: Reply, expected: Mapping[str, Any]) -> None:
    if reply.status not in expected["status"]:
        raise _NotSo(f"status {reply.status}, not one of {expected['status']}: {reply.json}")
    wanted = dict(expected.get("equal", {}))
    if "error" in expected:
        wanted |= {"/type": URN + expected["error"], "/status": reply.status}
    for pointer, value in wanted.items():
        if _at(reply.json, pointer) != value or isinstance(_at(reply.json, pointer), bool) != isinstance(value, bool):
            raise _NotSo(f"{pointer} is {_at(reply.json, pointer)!r}, not {value!r}")
    for pointer, value in expected.get("unequal", {}).items():
        if _at(reply.json, pointer) in (None, value):
            raise _NotSo(f"{pointer} is {value!r}, or missing")
    for pointer in expected.get("present", ()):
        if _at(reply.json, pointer) is None:
            raise _NotSo(f"{pointer} is missing")
    for pointer in expected.get("absent", ()):
        if _at(reply.json, pointer) is not None:
            raise _NotSo(f"{pointer} is there")
    for word in expected.get("nowhere", ()):
        if word in json.dumps(reply.json):
            raise _NotSo(f"{word!r} is told")


def _at(value: Any, pointer: str) -> Any:
    """RFC 6901; None where there is nothing."""
    for part in pointer.split("/")[1:]:
        name = part.replace("~1", "/").replace("~0", "~")
        if isinstance(value, list) and name.isdecimal() and int(name) < len(value):
            value = value[int(name)]
        elif isinstance(value, dict):
            value = value.get(name)
        else:
            return None
    return value


# --- forging


def forged(token: str, how: str, other: str | None) -> str:
    """A compact JWS with one thing changed that its signature does not cover, or covers no more."""
    header, payload, signature = token.split(".")
    told = json.loads(_decoded(header))
    match how:
        case "alg_none":
            return f"{_encoded({**told, 'alg': 'none'})}.{payload}."
        case "alg_hs256":
            return f"{_encoded({**told, 'alg': 'HS256'})}.{payload}.{signature}"
        case "key_id":
            return f"{_encoded({**told, 'kid': other})}.{payload}.{signature}"
        case "type":
            return f"{_encoded({**told, 'typ': other})}.{payload}.{signature}"
        case "signature":
            return f"{header}.{payload}.{base64.urlsafe_b64encode(bytes(64)).decode().rstrip('=')}"
        case "payload":
            claims = json.loads(_decoded(payload))
            return f"{header}.{_encoded({**claims, 'exp': claims['exp'] + 3600})}.{signature}"
        case _:
            raise BadVectors(f"nobody knows how to forge {how!r}")


def _decoded(part: str) -> bytes:
    return base64.urlsafe_b64decode(part + "=" * (-len(part) % 4))


def _encoded(value: Any) -> str:
    return base64.urlsafe_b64encode(json.dumps(value).encode()).decode().rstrip("=")
