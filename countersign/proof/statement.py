"""One evidence record: an event and its predicate in, in-toto Statement v1 in its RFC 8785 form out, and back."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from countersign.proof import canonical, digests, merkle
from countersign.proof.events import Event

VERSION = 1

_TYPE = "https://in-toto.io/Statement/v1"
_URN = "urn:countersign:evidence:"
_HEAD = b'{"_type":"https://in-toto.io/Statement/v1","predicate":'
_TAILS = {
    event.value: (f',"predicateType":"{_URN}{event.value}:v{VERSION}","subject":[{{"digest":{{"sha256":"').encode()
    for event in Event
}
_EVENTS = {f"{_URN}{event.value}:v{VERSION}": event for event in Event}

REQUIRED = frozenset({"v", "log", "event", "event_id", "tenant", "recorded_at", "thread", "actor"})
OPTIONAL = frozenset(
    {"action", "request", "decision", "rendered", "entitlement", "waiver", "budget", "execution", "software", "detail"}
)
_ALLOWED = REQUIRED | OPTIONAL
_TEXTS = ("log", "event", "event_id", "tenant", "recorded_at")
_STATEMENT = {"_type", "predicate", "predicateType", "subject"}


class BadStatement(ValueError):
    """Not an evidence record, or not the one canonical spelling of it."""


@dataclass(frozen=True, slots=True)
class Thread:
    """The record's place in its case: number `n` of thread `id`, after the record whose leaf is `prev_leaf`."""

    id: str
    n: int
    prev_leaf: str | None


@dataclass(frozen=True, slots=True)
class Record:
    """A parsed record. `subject` is the digest in its subject: the commitment, or that of `detail`."""

    event: Event
    event_id: str
    log: str
    tenant: str
    recorded_at: str
    thread: Thread
    subject: str
    leaf: str
    predicate: Mapping[str, Any]


def build(*, event: Event, commitment: str | None, predicate: Mapping[str, Any]) -> bytes:
    """The record's bytes. `commitment` is the action's, or None for an event that is about no action.

    Raises BadStatement for members that no record has or that are missing. The statement around the predicate is
    written as text in its canonical order; the tests prove it equal to RFC 8785 of the whole.
    """
    _check_names(predicate)
    if (named := predicate["event"]) != event:
        raise BadStatement("the predicate speaks of another event")
    subject = _subject_digest(commitment, predicate)
    name = canonical.dumps(predicate["event_id"])
    inner = canonical.dumps(predicate)
    if b":null" in inner:  # rare: a string may say so, a member may not
        _check_nulls(predicate)
    return b"".join((_HEAD, inner, _TAILS[named], subject[7:].encode(), b'"},"name":', name, b"}]}"))


def leaf(record: bytes) -> str:
    """The leaf hash of a record, in text form: what receipts, threads and approvals name it by."""
    return digests.text(merkle.leaf_hash(record))


def parse(data: bytes) -> Record:
    """The record in `data`, checked in full. Raises BadStatement."""
    # 1. Its own canonical form.
    try:
        value = canonical.loads_object(data)
        spelling = canonical.dumps(value)
    except canonical.NotCanonical as error:
        raise BadStatement(f"not canonical JSON: {error}") from error
    if spelling != data:
        raise BadStatement("not in its canonical form")
    # 2. An in-toto Statement v1 about one of our events.
    if set(value) != _STATEMENT or value["_type"] != _TYPE:
        raise BadStatement("not an in-toto Statement v1")
    event = _event(value["predicateType"])
    predicate = value["predicate"]
    if not isinstance(predicate, dict):
        raise BadStatement("the predicate is not an object")
    # 3. The members of a record, each of its type.
    _check_names(predicate)
    _check_nulls(predicate)
    _check_types(predicate, event)
    return Record(
        event=event,
        event_id=predicate["event_id"],
        log=predicate["log"],
        tenant=predicate["tenant"],
        recorded_at=predicate["recorded_at"],
        thread=_thread(predicate["thread"]),
        subject=_parse_subject(value["subject"], predicate),
        leaf=leaf(data),
        predicate=predicate,
    )


def _check_names(predicate: Mapping[str, Any]) -> None:
    names = frozenset(predicate)
    if not names >= REQUIRED:
        raise BadStatement(f"members missing: {', '.join(sorted(REQUIRED - names))}")
    if not names <= _ALLOWED:
        raise BadStatement(f"members that no record has: {', '.join(sorted(names - _ALLOWED))}")


def _check_nulls(predicate: Mapping[str, Any]) -> None:
    thread = predicate["thread"]
    inside = thread.values() if isinstance(thread, dict) else ()
    if any(member is None for member in (*predicate.values(), *inside)):
        raise BadStatement("what is absent is left out, never null")


def _subject_digest(commitment: str | None, predicate: Mapping[str, Any]) -> str:
    if commitment is not None:
        if "detail" in predicate and "action" not in predicate:
            raise BadStatement("a record with a detail and no action is about its detail, not about a commitment")
        return digests.check(commitment)
    if "detail" not in predicate:
        raise BadStatement("a record about no action needs its detail")
    return _detail_digest(predicate)


def _event(predicate_type: Any) -> Event:
    event = _EVENTS.get(predicate_type) if isinstance(predicate_type, str) else None
    if event is None:
        raise BadStatement("an unknown predicateType")
    return event


def _check_types(predicate: Mapping[str, Any], event: Event) -> None:
    if type(predicate["v"]) is not int or predicate["v"] != VERSION:
        raise BadStatement("an unknown version of the predicate")
    if any(not isinstance(predicate[name], str) or not predicate[name] for name in _TEXTS):
        raise BadStatement(f"{', '.join(_TEXTS)} are non-empty strings")
    if predicate["event"] != event:
        raise BadStatement("predicateType and event differ")
    if not isinstance(predicate["actor"], dict):
        raise BadStatement("actor is an object")


def _thread(member: Any) -> Thread:
    if not isinstance(member, dict) or not {"id", "n"} <= set(member) <= {"id", "n", "prev_leaf"}:
        raise BadStatement("thread has id, n and prev_leaf, and nothing else")
    id_, n = member["id"], member["n"]
    if not isinstance(id_, str) or not id_ or type(n) is not int or n < 0:
        raise BadStatement("a thread has an id and a number")
    if (n == 0) == ("prev_leaf" in member):
        raise BadStatement("prev_leaf is absent from the first record of a thread, and from no other")
    return Thread(id=id_, n=n, prev_leaf=_digest(member["prev_leaf"]) if n else None)


def _parse_subject(member: Any, predicate: Mapping[str, Any]) -> str:
    match member:
        case [{"name": name, "digest": {"sha256": str(hex_), **more}, **extra}] if not more and not extra:
            subject = _digest(f"sha256:{hex_}")
        case _:
            raise BadStatement("a record has one subject, with a name and a SHA-256")
    if name != predicate["event_id"]:
        raise BadStatement("the subject is named after another event")
    if "action" not in predicate and "detail" in predicate and subject != _detail_digest(predicate):
        raise BadStatement("the subject is not the digest of the detail")
    return subject


def _detail_digest(predicate: Mapping[str, Any]) -> str:
    return digests.sha256(canonical.dumps(predicate["detail"]))


def _digest(text: Any) -> str:
    try:
        return digests.check(text)
    except digests.NotADigest as error:
        raise BadStatement(str(error)) from error
