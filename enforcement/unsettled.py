"""A verdict in; the verdict, or a denial while nobody knows how an earlier run of that very action ended, out. Pure.

A call that may have taken effect is not repeated before a person has said what became of it. That is no policy, so
that `observe` does not relax it, no waiver lifts it and no approval helps.
"""

from dataclasses import replace

from countersign.policy.values import Because, Call, Mode, Outcome, Reason, Verdict
from enforcement.memory import World

_BECAUSE = Because(
    Reason.UNRECONCILED, "An earlier run of this very call may have taken effect; a person has to reconcile it first."
)


def judged(world: World, call: Call, verdict: Verdict) -> Verdict:
    """The verdict that holds for this call in this world."""
    if not world.unsettled or call.action_digest not in world.unsettled or _is_denied(verdict):
        return verdict
    return replace(
        verdict, outcome=Outcome.DENY, mode=Mode.ENFORCE, rule=None, reason=Reason.UNRECONCILED,
        reasons=(_BECAUSE, *verdict.reasons), requirements=(), obligations=(),
    )  # fmt: skip


def _is_denied(verdict: Verdict) -> bool:
    """Denied as it is, and not only observed to be."""
    return verdict.outcome is Outcome.DENY and (verdict.mode is not Mode.OBSERVE or verdict.registry_denied)
