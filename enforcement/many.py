"""An AuthZEN evaluations request in, the question of each item out, defaults filled in; and the answers into one. Pure.

What is wrong with the request as a whole is a Problem; what is wrong with one item is that item's answer.
"""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from countersign.proof import canonical
from enforcement import parse, problems
from enforcement.problems import Kind, Problem

MOST = 100  # items; what they come to is bounded apart, see `read`
ENDS_AT: Mapping[str, bool | None] = {
    "execute_all": None,
    "deny_on_first_deny": False,
    "permit_on_first_permit": True,
}
"""The decision after which nothing more is asked, by `options.evaluations_semantic`."""

_MEMBERS = ("subject", "action", "resource", "context")
_OURS_TO_MEND = frozenset({Kind.UNAVAILABLE, Kind.TOO_MANY, Kind.INTERNAL})


class Item(NamedTuple):
    """One question: its members, the same as bytes, and whether they are plain (`canonical.loads_plain`)."""

    members: Mapping[str, Any]
    body: bytes
    plain: bool


class Many(NamedTuple):
    """What one request asks, in its order."""

    items: Sequence[Item | Problem]
    ends_at: bool | None


def read(body: bytes, *, limit: int) -> Many | None:
    """The items of a request; None if it has none and so is one evaluation. Raises Problem.

    A member that an item leaves out is the request's own, whole: nothing is merged into an object. Written out, all
    items together have at most `limit` bytes, or a small body could make us judge a large one a hundred times.
    """
    members = canonical.loads_plain(body)
    plain = members is not None
    told = members if members is not None else parse.document(body)
    asked = told.get("evaluations", [])
    if not isinstance(asked, list):
        raise Problem(Kind.MALFORMED, "`evaluations` must be an array.")
    if not asked:
        return None
    if len(asked) > MOST:
        raise Problem(Kind.TOO_LARGE, f"A request has at most {MOST} items in `evaluations`.")
    ends_at = _ends_at(told)
    defaults = {name: _object(told, name) for name in _MEMBERS if name in told}
    return Many(_items(asked, defaults, plain=plain, limit=limit), ends_at)


def _ends_at(told: Mapping[str, Any]) -> bool | None:
    semantic = _object(told, "options").get("evaluations_semantic", "execute_all")
    if not isinstance(semantic, str) or semantic not in ENDS_AT:
        raise Problem(Kind.MALFORMED, f"`options.evaluations_semantic` must be one of {', '.join(ENDS_AT)}.")
    return ENDS_AT[semantic]


def _object(told: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    value = told.get(name, {})
    if not isinstance(value, dict):
        raise Problem(Kind.MALFORMED, f"`{name}` must be an object.")
    return value


def _items(asked: list[Any], defaults: Mapping[str, Any], *, plain: bool, limit: int) -> list[Item | Problem]:
    items: list[Item | Problem] = []
    left = limit
    for one in asked:
        items.append(item := _item(one, defaults, plain=plain))
        left -= len(item.body) if isinstance(item, Item) else 0
        if left < 0:
            raise Problem(Kind.TOO_LARGE, f"With the defaults in each, the items come to more than {limit} bytes.")
    return items


def _item(one: Any, defaults: Mapping[str, Any], *, plain: bool) -> Item | Problem:
    if not isinstance(one, dict):
        return Problem(Kind.MALFORMED, "An item of `evaluations` must be an object.")
    members = {**defaults, **{name: one[name] for name in _MEMBERS if name in one}}
    return Item(members, canonical.write_plain(members) if plain else canonical.dumps(members), plain)


def written(answers: Mapping[int, bytes | Exception]) -> bytes:
    """The answer to all, by place. Raises Problem if it is our fault that not one item was answered."""
    told = [answers[place] for place in sorted(answers)]
    failed = [one for one in told if isinstance(one, Problem) and one.kind in _OURS_TO_MEND]
    if len(failed) == len(told):
        raise failed[0]
    return b'{"evaluations":[' + b",".join(one if isinstance(one, bytes) else _error(one) for one in told) + b"]}"


def _error(error: Exception) -> bytes:
    """What stands in an item's place that could not be decided: not permitted, and why (AuthZEN, Errors)."""
    problem = problems.members(error) if isinstance(error, Problem) else problems.members(Problem(Kind.INTERNAL))
    told = {"status": problem["status"], "type": problem["type"], "message": problem.get("detail", problem["title"])}
    return canonical.dumps({"decision": False, "context": {"error": told}})
