"""A hook event of Claude Code in, its answer out: PreToolUse is judged, PostToolUse is reported.

Exit code 2 blocks the tool; any other failure of a hook does not, and neither does a timeout, unless the settings say
`"onFailure": "block"`. So whatever goes wrong before a tool runs is a deny and exit code 2. An escalation is a deny
that says what to do next, never `ask`: whoever sits at the agent's terminal is not thereby an approver.
"""

import json
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import IntEnum, StrEnum
from typing import Any

from countersign.pep import credentials
from countersign.pep.answer import Denied, Pending, PepError
from countersign.pep.client import Pdp
from countersign.pep.conversation import Custody, Report
from countersign.pep.hook_notes import Note, Notes
from countersign.pep.obligations import CannotComply, Handlers, appended_to, meet, on_the_command_line
from countersign.pep.question import BadQuestion, Question, fingerprint
from countersign.proof import canonical

PREFIX = "claude-code."
OBLIGATIONS = "obligations.jsonl"  # in the state directory: what allows obliged to be logged


class BadEvent(Exception):
    """Not a hook event of a tool call."""


class When(StrEnum):
    """The events this hook is for."""

    BEFORE = "PreToolUse"
    AFTER = "PostToolUse"
    FAILED = "PostToolUseFailure"


class Exit(IntEnum):
    """Exit codes as Claude Code reads them: NOTED is shown to the user and changes nothing."""

    FINE = 0
    NOTED = 1
    BLOCKED = 2


@dataclass(frozen=True, slots=True, kw_only=True)
class Event:
    """One hook event, as far as it matters here."""

    when: When
    tool: str
    arguments: Mapping[str, Any]
    session: str
    call: str
    cwd: str
    response: Any


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """What is said of a tool call before it runs."""

    allowed: bool
    reason: str

    def output(self) -> str:
        specific = {
            "hookEventName": When.BEFORE.value,
            "permissionDecision": "allow" if self.allowed else "deny",
            "permissionDecisionReason": self.reason,
        }
        return json.dumps({"hookSpecificOutput": specific})


def main() -> int:
    """Handle the event on standard input; the exit code. Never raises."""
    try:
        return _handle(sys.stdin.buffer.read())
    except (PepError, BadEvent, credentials.NotConfigured, ValueError) as error:
        return _block(str(error))
    except Exception as error:  # noqa: BLE001 - any exit code other than 2 would let the tool run
        return _block(f"the hook failed: {type(error).__name__}")


def _handle(data: bytes) -> int:
    access = credentials.find()
    event = read_event(data)
    directory = credentials.state_dir()
    notes = Notes(directory) if directory else None
    with Pdp(access.url, access.key, receipts=credentials.receipts()) as pdp:
        if event.when is not When.BEFORE:
            return conclude(pdp, event, notes)
        log = appended_to(directory / OBLIGATIONS) if directory else None
        able = on_the_command_line(notify=credentials.notify(), log=log)
        verdict = judge(pdp, event, notes, agent=access.agent, wait=credentials.wait(), able=able)
    sys.stdout.write(verdict.output() + "\n")
    return Exit.FINE


def read_event(data: bytes) -> Event:
    """Raises BadEvent."""
    try:
        event = canonical.loads_object(data)
        when = When(str(event.get("hook_event_name")))
    except ValueError as error:
        raise BadEvent(f"the hook's input is no event of a tool call: {error}") from error
    arguments = event.get("tool_input")
    if not isinstance(arguments, dict):
        raise BadEvent("the hook's input has no tool_input object")
    if not (tool := _text(event, "tool_name")):
        raise BadEvent("the hook's input names no tool")
    return Event(
        when=when,
        tool=PREFIX + tool.lower(),
        arguments=arguments,
        session=_text(event, "session_id"),
        call=_text(event, "tool_use_id"),
        cwd=_text(event, "cwd"),
        response=event.get("tool_response"),
    )


def judge(pdp: Pdp, event: Event, notes: Notes | None, *, agent: str, wait: float, able: Handlers) -> Verdict:
    """Ask, do what the allow obliges to and, where the end will be reported, claim.

    Raises a PepError or OSError where there is no answer.
    """
    question = Question(
        agent=agent,
        tool=event.tool,
        arguments=event.arguments,
        session=event.session or None,
        environment={"cwd": event.cwd} if event.cwd else None,
        open_request=True,
    )
    try:
        answer = pdp.perform(pdp.conversation.admit(question, wait=wait, supported=able.keys()))
        pdp.perform(meet(answer, question, able))
    except Denied as error:
        return Verdict(allowed=False, reason=f"Countersign denied this call. {error}")
    except Pending as error:
        return Verdict(allowed=False, reason=f"Countersign: {pending(error)}")
    except CannotComply as error:
        pdp.perform(pdp.conversation.settle(error.evaluation_id, Custody.FAILED, Report()))
        return Verdict(allowed=False, reason=f"Countersign allowed this call, but {error}. It has not been run.")
    if notes is not None and event.call:
        note = Note(evaluation_id=answer.evaluation_id, started_at=datetime.now(UTC))
        notes.put(event.session, event.call, note)  # before the claim: what cannot be ended is not begun
        pdp.perform(pdp.conversation.claim(answer, started_at=note.started_at))
    return Verdict(allowed=True, reason=f"Countersign allowed this call ({answer.evaluation_id}).")


def conclude(pdp: Pdp, event: Event, notes: Notes | None) -> int:
    """Report how a call ended that was claimed before. The tool has run, so nothing is blocked any more."""
    note = notes.take(event.session, event.call) if notes is not None else None
    if note is None:
        return Exit.FINE
    status = Custody.COMMITTED if event.when is When.AFTER else Custody.FAILED
    report = Report(started_at=note.started_at, finished_at=datetime.now(UTC), result_digest=_digest(event))
    problem = pdp.perform(pdp.conversation.settle(note.evaluation_id, status, report))
    if problem is None:
        return Exit.FINE
    sys.stderr.write(f"Countersign: the end of {note.evaluation_id} could not be reported: {problem}\n")
    return Exit.NOTED


def pending(error: Pending) -> str:
    """What an agent is told while people have not answered."""
    return (
        f"pending {error.task.id}: people have been asked to approve this call ({error.answer.why}). It has not been "
        "run. Call it again with exactly the same arguments after it has been approved."
    )


def _block(reason: str) -> int:
    text = f"Countersign: {reason}"
    sys.stdout.write(Verdict(allowed=False, reason=text).output() + "\n")
    sys.stderr.write(text + "\n")
    return Exit.BLOCKED


def _digest(event: Event) -> str | None:
    try:
        return fingerprint(event.response) if event.when is When.AFTER else None
    except BadQuestion:
        return None


def _text(event: Mapping[str, Any], name: str) -> str:
    value = event.get(name) or ""
    if not isinstance(value, str):
        raise BadEvent(f"{name} is no text")
    return value
