"""The PDP's bytes in, a frozen Answer or Task out, or BadAnswer. What is not understood is never a yes."""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, TypeVar

from countersign.policy.values import EMPTY, Mode, Outcome, Reason
from countersign.proof import canonical

_W = TypeVar("_W", bound=StrEnum)


class PepError(Exception):
    """The call must not run, or its outcome could not be told. Everything this package raises on purpose."""


class Unavailable(PepError):
    """No usable decision could be had: the PDP is away, too slow, too busy or unwilling."""


class Away(Unavailable):
    """The PDP was away, too slow or too busy for as long as we kept trying: later it may be there."""


class Refused(Unavailable):
    """The PDP answered with an HTTP error instead of what was asked for."""

    def __init__(self, status: int, detail: str, *, problem: str = "") -> None:
        super().__init__(f"the PDP answered {status}: {detail}" if detail else f"the PDP answered {status}")
        self.status = status
        self.problem = problem


class BadAnswer(PepError):
    """The PDP answered something that is no decision, or a decision about other arguments than ours."""


class Status(StrEnum):
    """Where an access request stands. What a PEP does not know is UNKNOWN and never an approval (ARAP, task status)."""

    PENDING = "pending"
    APPROVED = "approved"
    DENIED = "denied"
    EXPIRED = "expired"
    CANCELLED = "cancelled"
    FAILED = "failed"
    PARTIAL = "partial"
    UNKNOWN = "unknown"


class NextAction(StrEnum):
    """What ARAP tells a PEP to do after a refused re-evaluation."""

    REQUEST = "request"
    RETRY = "retry"
    NONE = "none"


@dataclass(frozen=True, slots=True, kw_only=True)
class Task:
    """One access request as the PDP tells it. `approval` is there only when it is approved and may be used."""

    id: str
    status: Status
    expires_at: str | None = None
    title: str = ""
    approval: Mapping[str, Any] | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """One decision. `allowed` is the only thing that permits; `raw` is the whole answer as it came.

    `error` says why there is no decision about one of many questions; then it permits nothing.
    """

    allowed: bool
    outcome: Outcome
    mode: Mode
    evaluation_id: str
    reason: str = ""
    messages: tuple[str, ...] = ()
    obligations: tuple[Mapping[str, Any], ...] = ()
    arguments_digest: str | None = None
    requestable: bool = False
    task: Task | None = None
    next_action: NextAction | None = None
    retry_after: float | None = None
    error: Refused | None = None
    raw: Mapping[str, Any]

    @property
    def why(self) -> str:
        """The reasons in words, for people and agents."""
        told = " ".join(self.messages)
        return f"{self.reason}: {told}" if told else self.reason or self.outcome.value


class Denied(PepError):
    """The PDP, or the people it asked, said no."""

    def __init__(self, answer: Answer, *, because: str = "", task: Task | None = None) -> None:
        super().__init__(because or answer.why)
        self.answer = answer
        self.task = task


class Pending(PepError):
    """People have been asked and have not answered yet. Ask again with the same arguments after they have."""

    def __init__(self, task: Task, answer: Answer) -> None:
        super().__init__(f"{task.id} waits for approval ({answer.why})")
        self.task = task
        self.answer = answer


def parse_answer(body: bytes) -> Answer:
    """One AuthZEN decision with our context. Raises BadAnswer."""
    return _answer(_document(body))


def parse_answers(body: bytes) -> tuple[Answer, ...]:
    """The decisions of an AuthZEN evaluations response, in order. Raises BadAnswer if one of them is none."""
    items = _document(body).get("evaluations")
    if not isinstance(items, list) or not all(isinstance(item, dict) for item in items):
        raise BadAnswer("`evaluations` is no list of objects")
    return tuple(_unanswered(item) or _answer(item) for item in items)


def check_arguments(answer: Answer, ours: str) -> None:
    """An allow must name our arguments; any answer that names others is about another call. Raises BadAnswer."""
    told = answer.arguments_digest
    if told is None and not answer.allowed:
        return
    if told != ours:
        raise BadAnswer(f"the PDP judged other arguments ({told}) than ours ({ours})")


def _answer(raw: Mapping[str, Any]) -> Answer:
    decision = raw.get("decision")
    if type(decision) is not bool:
        raise BadAnswer("`decision` is not a boolean")
    context = _mapping(raw, "context")
    outcome, mode = _word(Outcome, context, "outcome"), _word(Mode, context, "mode", Mode.ENFORCE)
    access = context.get("access_request")
    answer = Answer(
        allowed=decision and (outcome is Outcome.ALLOW or mode is Mode.OBSERVE),
        outcome=outcome,
        mode=mode,
        evaluation_id=_text(context, "evaluation_id"),
        reason=_text(context, "reason"),
        messages=_messages(context),
        obligations=_obligations(context),
        arguments_digest=_text(context, "arguments_digest") or None,
        requestable=isinstance(access, dict),
        task=_task_of(access),
        next_action=_next_action(context),
        retry_after=_seconds(context.get("retry_after")),
        raw=raw,
    )
    if answer.allowed and not answer.evaluation_id:
        raise BadAnswer("an allow without `evaluation_id` cannot be put under custody")
    return answer


def _unanswered(raw: Mapping[str, Any]) -> Answer | None:
    """What stands in the place of an item that could not be decided (AuthZEN, Errors); None for any other."""
    error = _mapping(raw, "context").get("error")
    if error is None:
        return None
    if not isinstance(error, dict) or type(error.get("status")) is not int or raw.get("decision") is not False:
        raise BadAnswer("an item has an `error` that cannot be read, or permits all the same")
    refused = Refused(error["status"], _text(error, "message")[:500], problem=_text(error, "type"))
    return Answer(
        allowed=False,
        outcome=Outcome.DENY,
        mode=Mode.ENFORCE,
        evaluation_id="",
        reason=Reason.UNAVAILABLE.value,
        messages=(str(refused),),
        error=refused,
        raw=raw,
    )


def parse_task(body: bytes) -> Task:
    """One ARAP task response, `{"task": …, "result": …}`. Raises BadAnswer."""
    raw = _document(body)
    return _task(_mapping(raw, "task"), raw.get("result"))


def _task_of(access: Any) -> Task | None:
    if not isinstance(access, dict) or not isinstance(access.get("task"), dict):
        return None
    task = access["task"]
    return _task(task, access.get("result", task.get("result")))


def _task(task: Mapping[str, Any], result: Any) -> Task:
    identifier = task.get("id")
    if not isinstance(identifier, str) or not identifier:
        raise BadAnswer("a task without an id")
    try:
        status = Status(str(task.get("status")))
    except ValueError:
        status = Status.UNKNOWN
    display = task.get("display")
    return Task(
        id=identifier,
        status=status,
        expires_at=_text(task, "expires_at") or None,
        title=_text(display, "title") if isinstance(display, dict) else "",
        approval=_approval(result) if status is Status.APPROVED else None,
    )


def _approval(result: Any) -> Mapping[str, Any] | None:
    """Only what ARAP's re-evaluation mode lets a PEP use; any other mode counts as not approved."""
    if not isinstance(result, dict) or result.get("mode") != "reevaluate":
        return None
    approval = result.get("approval")
    if not isinstance(approval, dict) or not isinstance(approval.get("id"), str):
        return None
    return approval


def _document(body: bytes) -> dict[str, Any]:
    try:
        return canonical.loads_object(body)
    except canonical.NotCanonical as error:
        raise BadAnswer(f"the PDP's answer cannot be read: {error}") from error


def _mapping(parent: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    value = parent.get(name)
    if not isinstance(value, dict):
        raise BadAnswer(f"`{name}` is missing or no object")
    return value


def _text(parent: Mapping[str, Any], name: str) -> str:
    """A string member; absent is empty, anything else is no answer of ours."""
    value = parent.get(name, "")
    if not isinstance(value, str):
        raise BadAnswer(f"`{name}` is no string")
    return value


def _word(words: type[_W], parent: Mapping[str, Any], name: str, default: _W | None = None) -> _W:
    if name not in parent and default is not None:
        return default
    try:
        return words(str(parent.get(name)))
    except ValueError as error:
        raise BadAnswer(f"`{name}` is missing or unknown") from error


def _messages(context: Mapping[str, Any]) -> tuple[str, ...]:
    """Display text only, so what is odd here is left out instead of refused."""
    reasons = context.get("reasons")
    items = reasons if isinstance(reasons, list) else []
    found = [item.get("message") for item in items if isinstance(item, dict)]
    return tuple(text for text in found if isinstance(text, str) and text)


def _obligations(context: Mapping[str, Any]) -> tuple[Mapping[str, Any], ...]:
    """What must also be done. An obligation that cannot be read is one that cannot be met: no answer."""
    items = context.get("obligations", [])
    if not isinstance(items, list):
        raise BadAnswer("`obligations` is no list")
    for item in items:
        if not isinstance(item, dict) or not isinstance(item.get("type"), str):
            raise BadAnswer("an obligation without a type")
    return tuple({"properties": EMPTY, **item} for item in items)


def _next_action(context: Mapping[str, Any]) -> NextAction | None:
    try:
        return NextAction(str(context.get("next_action")))
    except ValueError:
        return None


def _seconds(value: Any) -> float | None:
    return float(value) if type(value) in (int, float) and value >= 0 else None
