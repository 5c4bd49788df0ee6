"""Claude Code's PreToolUse event in, its permission decision out. Whatever goes wrong is a deny and exit code 2.

Exit code 2 blocks the tool; any other failure of a hook does not, and neither does a timeout, unless the settings say
`"onFailure": "block"`. An escalation is a deny that says what to do next, never `ask`: whoever sits at the agent's
terminal is not thereby an approver.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from countersign.pep.answer import Answer, Denied, Pending
from countersign.pep.client import Pdp
from countersign.pep.guard import BUILT_IN
from countersign.pep.question import Question
from countersign.proof import canonical

EVENT = "PreToolUse"
PREFIX = "claude-code."
BLOCKED = 2  # the exit code that blocks the tool


class BadEvent(Exception):
    """Not a PreToolUse event that can be judged."""


class Permission(StrEnum):
    ALLOW = "allow"
    DENY = "deny"


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """What the hook says, and the exit code it says it with."""

    permission: Permission
    reason: str
    exit_code: int = 0

    def output(self) -> str:
        specific = {
            "hookEventName": EVENT,
            "permissionDecision": self.permission.value,
            "permissionDecisionReason": self.reason,
        }
        return json.dumps({"hookSpecificOutput": specific})


def blocked(reason: str) -> Verdict:
    return Verdict(permission=Permission.DENY, reason=f"Countersign: {reason}", exit_code=BLOCKED)


def read_event(data: bytes, *, agent: str) -> Question:
    """One event as the question it stands for. Raises BadEvent."""
    try:
        event = canonical.loads_object(data)
    except canonical.NotCanonical as error:
        raise BadEvent(f"the hook's input cannot be read: {error}") from error
    name, arguments = event.get("tool_name"), event.get("tool_input")
    if event.get("hook_event_name") != EVENT or not isinstance(name, str) or not name:
        raise BadEvent("the hook's input is no PreToolUse event")
    if not isinstance(arguments, dict):
        raise BadEvent("the hook's input has no tool_input object")
    return Question(
        agent=agent,
        tool=PREFIX + name.lower(),
        arguments=arguments,
        session=_optional(event, "session_id"),
        environment={"cwd": cwd} if (cwd := _optional(event, "cwd")) else None,
        open_request=True,
    )


def judge(pdp: Pdp, question: Question, *, wait: float) -> Verdict:
    """Ask, and translate. Raises a PepError where there is no answer."""
    try:
        answer: Answer = pdp.perform(pdp.conversation.admit(question, wait=wait, supported=BUILT_IN.keys()))
    except Denied as error:
        return Verdict(permission=Permission.DENY, reason=f"Countersign denied this call. {error}")
    except Pending as error:
        return Verdict(permission=Permission.DENY, reason=pending(error))
    return Verdict(permission=Permission.ALLOW, reason=f"Countersign allowed this call ({answer.evaluation_id}).")


def pending(error: Pending) -> str:
    """What an agent is told while people have not answered."""
    return (
        f"pending {error.task.id}: people have been asked to approve this call ({error.answer.why}). It has not been "
        "run. Call it again with exactly the same arguments after it has been approved."
    )


def _optional(event: Mapping[str, Any], name: str) -> str | None:
    value = event.get(name)
    if value is not None and not isinstance(value, str):
        raise BadEvent(f"{name} is no text")
    return value or None
