"""A bundle and a call with one part left open in; the names that could fill it, in order, out. Pure.

Whoever takes them judges each by `evaluate`. Left out is only what the patterns of the rules (and of waivers) already
say cannot be allowed, so that a search costs what it finds, not what there is.
"""

from collections.abc import Iterator
from dataclasses import replace
from typing import Final

from countersign.policy import globs
from countersign.policy.bundle import Bundle
from countersign.policy.globs import Patterns
from countersign.policy.index import Part
from countersign.policy.shelves import Names
from countersign.policy.values import Call, Mode
from countersign.policy.waivers import Waivers

OPEN: Final = "*"
"""Stands where the name is that is searched for; nothing looks at it."""


def names(bundle: Bundle, waivers: Waivers, part: Part, call: Call, *, after: str = "") -> Iterator[tuple[str, bool]]:
    """The names beyond `after` that are worth a look, in the order of code points, and whether each is worth judging.

    What is not is told as well: whoever has no time left must know how far the search came.
    """
    return _allowed(bundle, waivers, part, call).among(_shelf(bundle, part, call), after=after)


def filled(call: Call, part: Part, name: str) -> Call:
    """The call with `name` in its open part."""
    match part:
        case Part.SUBJECT:
            return replace(call, subject_id=name)
        case Part.RESOURCE:
            return replace(call, resource_id=name)
        case Part.ACTION:
            return replace(call, action_name=name)


def _shelf(bundle: Bundle, part: Part, call: Call) -> Names:
    match part:
        case Part.SUBJECT:
            return bundle.shelves.subjects(call.subject_type)
        case Part.RESOURCE:
            return bundle.shelves.resources(call.resource_type)
        case Part.ACTION:
            return bundle.shelves.actions(call.resource_id if call.resource_type == "tool" else None)


def _allowed(bundle: Bundle, waivers: Waivers, part: Part, call: Call) -> Patterns:
    """What a rule that allows speaks of, or a waiver; observing lets through what nothing speaks of."""
    if bundle.policy.mode is Mode.OBSERVE:
        return globs.EVERYTHING
    subject, resource = (call.subject_type, call.subject_id), (call.resource_type, call.resource_id)
    by_rule = bundle.index.patterns(
        part, subject, call.action_name, resource, call.intent or "", among=bundle.shelves.allowing
    )
    return by_rule.beside(waivers.patterns(part, call))
