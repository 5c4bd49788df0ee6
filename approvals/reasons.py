"""A reason code of a decision in, the words for it on a page out."""

from collections.abc import Mapping

from countersign.policy.values import Reason

WORDS: Mapping[Reason, str] = {
    Reason.NO_RULE: "no rule allows it",
    Reason.RULE: "a rule says so",
    Reason.UNKNOWN_AGENT: "nobody registered the agent",
    Reason.AGENT_INACTIVE: "the agent is switched off",
    Reason.UNKNOWN_TOOL: "nobody registered the tool",
    Reason.TOOL_INACTIVE: "the tool is switched off",
    Reason.TOOL_GROUP: "not among the agent's tools",
    Reason.METHOD: "the tool has no such method",
    Reason.INTENT: "not an intent of the agent",
    Reason.ARGUMENTS_SCHEMA: "the arguments do not fit the tool",
    Reason.ARGUMENT_RULE: "an argument of a kind the tool refuses",
    Reason.DATA_CLASS: "not for data of this class",
    Reason.PRINCIPAL: "nobody proved for whom it acts",
    Reason.RATE_CAP: "called too often",
    Reason.SPEND_CAP: "more money than the cap has left",
    Reason.TOKEN_CAP: "more tokens than the cap has left",
    Reason.RISK_BLOCK: "the risk is too high",
    Reason.RISK_REVIEW: "the risk needs a look",
    Reason.INSPECTION: "what is in the call is refused",
    Reason.SESSION_TAINT: "what the session touched before",
    Reason.LOOP: "the same again and again",
    Reason.APPROVAL_REQUIRED: "people must be asked",
    Reason.APPROVAL_EXPIRED: "the approval was over or taken back",
    Reason.APPROVAL_USED: "the approval was used up",
    Reason.OUT_OF_SCOPE: "the approval was for something else",
    Reason.APPROVAL_UNVERIFIABLE: "the approval could not be verified",
    Reason.WAIVER: "an exception let it through",
    Reason.POLICY_DENIED: "policy denies it, approved or not",
    Reason.APPROVAL_AVAILABLE: "people have approved it already",
    Reason.GRANT_PENDING: "approved, and what it grants is not there yet",
    Reason.UNAVAILABLE: "nothing could be decided",
    Reason.OBLIGATION_UNSUPPORTED: "the enforcement point cannot do what it must",
    Reason.UNRECONCILED: "nobody has said yet how the last run ended",
}


def words(code: str) -> str:
    """What it says; a code of a later version stands for itself."""
    try:
        return WORDS[Reason(code)]
    except ValueError:
        return code
