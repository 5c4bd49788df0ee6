"""A verdict in; the verdict, or a denial while a person has to say how an earlier run ended, out. Pure.

A call that may have taken effect is not repeated before a person has said what became of it. That is no policy, so
that `observe` does not relax it, no waiver lifts it and no approval helps.
"""

from dataclasses import replace

from countersign.policy.values import Because, Call, Mode, Outcome, Reason, Verdict
from enforcement import blocking
from enforcement.memory import World

_THIS_CALL = Because(
    Reason.UNRECONCILED, "An earlier run of this very call may have taken effect; a person has to reconcile it first."
)
_THIS_AGENT = Because(
    Reason.UNRECONCILED,
    f"This agent left {blocking.MOST} calls or more whose end nobody knows; people have to reconcile them first.",
)


def judged(world: World, call: Call, verdict: Verdict) -> Verdict:
    """The verdict that holds for this call in this world."""
    if not world.unsettled.actions or _is_denied(verdict):
        return verdict
    because = _why(world, call)
    if because is None:
        return verdict
    return replace(
        verdict, outcome=Outcome.DENY, mode=Mode.ENFORCE, rule=None, reason=Reason.UNRECONCILED,
        reasons=(because, *verdict.reasons), requirements=(), obligations=(),
    )  # fmt: skip


def _why(world: World, call: Call) -> Because | None:
    if call.action_digest in world.unsettled.actions:
        return _THIS_CALL
    if call.subject_type == "agent" and call.subject_id in world.unsettled.agents:
        return _THIS_AGENT
    return None


def _is_denied(verdict: Verdict) -> bool:
    """Denied as it is, and not only observed to be."""
    return verdict.outcome is Outcome.DENY and (verdict.mode is not Mode.OBSERVE or verdict.registry_denied)
