"""A verdict and what its PEP says it can do in; the verdict, or a denial for what it cannot do, out. Pure.

AuthZEN obligations profile, draft 1 (openid/authzen e287920), "PEP-Declared Obligation Support": a PEP that declares
nothing is told its obligations and left to comply; one that declares is never allowed what it could not honour.
"""

from collections.abc import Collection
from dataclasses import replace
from datetime import datetime

from countersign.policy.obligations import KINDS
from countersign.policy.values import Because, Outcome, Reason, Verdict
from countersign.policy.waivers import Lifted, lift
from enforcement.asked import Asked
from enforcement.memory import World

SUPPORTED = KINDS
"""What discovery says policies and waivers oblige to."""

Lacking = tuple[str, ...]
_NOTHING: Lacking = ()


def judged(
    world: World, asked: Asked, verdict: Verdict, lifted: Lifted | None, *, now: datetime
) -> tuple[Verdict, Lifted | None]:
    """The verdict and the waiver that this PEP can comply with; a denial if it can with none. It must have declared."""
    lacking: Lacking = ()
    if lifted is not None and (lacking := unmet(lifted.verdict, asked)):
        lifted, _ = next_waiver(world, asked, verdict, now=now, tried={lifted.waiver.id})
    if lifted is not None:
        return verdict, lifted
    return refused(world, verdict, lacking or unmet(verdict, asked)), None


def next_waiver(
    world: World, asked: Asked, verdict: Verdict, *, now: datetime, tried: Collection[str]
) -> tuple[Lifted | None, Lacking]:
    """The next waiver whose obligations this PEP can meet; and what it lacks for the first that it cannot."""
    without, lacking = set(tried), _NOTHING
    while lifted := lift(world.waivers, world.bundle, asked.call, verdict, now=now, without=without):
        missing = unmet(lifted.verdict, asked)
        if not missing:
            return lifted, lacking
        lacking = lacking or missing
        without.add(lifted.waiver.id)
    return None, lacking


def unmet(verdict: Verdict, asked: Asked) -> Lacking:
    """The types that a call under this verdict obliges to and its PEP does not declare; none if it declares nothing."""
    if asked.supported is None or not verdict.obligations:
        return ()
    return tuple(sorted({str(one["type"]) for one in verdict.obligations} - asked.supported))


def refused(world: World, verdict: Verdict, lacking: Lacking) -> Verdict:
    """A denial of what cannot be complied with; nobody is asked for a yes that could not help.

    Observing lets it through without what the PEP cannot do: obliging it would stop what only is to be watched.
    """
    if not lacking:
        return verdict
    place = (id(verdict), lacking)
    known: tuple[Verdict, Verdict] | None = world.memo.get(place)  # made once: what is told of a verdict is kept by it
    if known is None or known[0] is not verdict:
        known = (verdict, _refused(verdict, lacking))
        world.memo.put(place, known)
    return known[1]


def _refused(verdict: Verdict, lacking: Lacking) -> Verdict:
    able = tuple(one for one in verdict.obligations if one["type"] not in lacking)
    if verdict.outcome is Outcome.DENY:
        return replace(verdict, obligations=able)
    words = f"Allowed only with what this enforcement point does not support: {', '.join(lacking)}."
    return replace(
        verdict,
        outcome=Outcome.DENY,
        reason=Reason.OBLIGATION_UNSUPPORTED,
        reasons=(Because(Reason.OBLIGATION_UNSUPPORTED, words), *verdict.reasons),
        requirements=(),
        obligations=able,
    )
