"""What is said to the PDP and in which order: ask, wait for people, ask again, claim, settle. Pure generators."""

import uuid
from collections.abc import Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, field, replace
from datetime import datetime
from enum import StrEnum
from typing import Any
from urllib.parse import quote

from countersign.pep import many
from countersign.pep.answer import (
    Answer,
    Away,
    Denied,
    NextAction,
    Pending,
    PepError,
    Refused,
    Status,
    Task,
    check_arguments,
    parse_answer,
    parse_task,
)
from countersign.pep.exchange import Keep, Message, Patience, Pause, Reply, Steps, Waiting, exchange
from countersign.pep.many import Semantic
from countersign.pep.question import Question, encode
from countersign.policy.values import Outcome
from countersign.proof import canonical

LOOK = 5.0  # seconds one long poll asks for; short enough that progress is seen and a dead connection noticed
HASTY = 1.0  # least pause after a poll that came back early with nothing new
DECIDED = 200  # AuthZEN: a decision comes with 200, whatever it is
OK = frozenset({200, 201, 202, 204})
CONFLICT = 409


class Custody(StrEnum):
    """What a PEP tells of an execution."""

    EXECUTING = "executing"
    COMMITTED = "committed"
    FAILED = "failed"
    INDETERMINATE = "indeterminate"


class NotClaimed(PepError):
    """Somebody has already started this call, or may have: it must not be started again."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """What came of a call; members left out are not told."""

    started_at: datetime | None = None
    finished_at: datetime | None = None
    result_digest: str | None = None
    changes: tuple[Any, ...] | None = None
    usage: Mapping[str, Any] | None = None
    action_digest: str | None = None
    commitment_salt: str | None = None
    principal: Mapping[str, Any] | None = None

    def members(self) -> dict[str, Any]:
        members = {
            "started_at": _time(self.started_at),
            "finished_at": _time(self.finished_at),
            "result_digest": self.result_digest,
            "changes": self.changes,
            "usage": self.usage,
            "action_digest": self.action_digest,
            "commitment_salt": self.commitment_salt,
            "principal": self.principal,
        }
        return {name: value for name, value in members.items() if value is not None}


@dataclass(frozen=True, slots=True, kw_only=True)
class Conversation:
    """Everything that can be said, with one measure of patience."""

    patience: Patience = field(default_factory=Patience)

    # --- one exchange each

    def evaluate(self, question: Question) -> Steps[Answer]:
        """Ask. Every try of this one call carries the same attempt, so a lost answer is repeated, never doubled."""
        ours = question.arguments_digest()
        body = question.body(attempt=uuid.uuid4().hex)
        reply = yield from self._post("/access/v1/evaluation", body)
        if reply.status != DECIDED:
            raise _refusal(reply)
        answer = parse_answer(reply.body)
        check_arguments(answer, ours)
        yield Keep(answer=answer)
        return answer

    def evaluations(self, questions: Sequence[Question], semantic: Semantic) -> Steps[tuple[Answer, ...]]:
        """Ask many at once. Every try carries the same attempts, so that nothing is decided twice."""
        if not questions:
            return ()
        asked = many.ask(questions, semantic)
        reply = yield from self._post("/access/v1/evaluations", asked.body)
        if reply.status != DECIDED:
            raise _refusal(reply)
        answers = asked.answers(reply.body)
        for answer in answers:
            yield Keep(answer=answer)
        return answers

    def submit(self, question: Question, answer: Answer) -> Steps[Task]:
        """Ask people, where the answer did not already do so. The same denial always gives the same request."""
        if not answer.requestable or not answer.evaluation_id:
            raise Denied(answer)
        context: dict[str, Any] = {"business_justification": question.justification} if question.justification else {}
        body = encode(question.entities() | {"context": context, "denial": _denial(answer)})
        headers = {"idempotency-key": answer.evaluation_id}
        return parse_task(_good((yield from self._post("/access/v1/requests", body, headers=headers))).body)

    def task(self, identifier: str, *, wait: float = 0.0) -> Steps[Task]:
        """Look at a task; with `wait`, let the PDP hold the answer that many seconds for something to change."""
        path = _request(identifier) + (f"?wait={int(wait)}" if wait >= 1 else "")
        message = Message(method="GET", path=path, timeout=self.patience.timeout + wait)
        reply = yield from exchange(message, self.patience)
        return parse_task(_good(reply).body)

    def cancel(self, identifier: str, *, reason: str | None = None) -> Steps[Task]:
        """Withdraw it. Every try carries the same key, or a lost answer would look like a task that is over anyway."""
        body, headers = encode({"reason": reason} if reason else {}), {"idempotency-key": uuid.uuid4().hex}
        reply = yield from self._post(_request(identifier) + "/cancel", body, headers=headers)
        return parse_task(_good(reply).body)

    def report(self, evaluation_id: str, status: Custody, report: Report) -> Steps[None]:
        """Tell what is being, or was, done. Raises Refused (409 where it contradicts what is known)."""
        body = encode({"evaluation_id": evaluation_id, "status": status.value} | report.members())
        # The key marks repeats of this one report, so that a claim whose answer was lost is not taken for a rival's.
        headers = {"idempotency-key": uuid.uuid4().hex}
        _good((yield from self._post("/access/v1/outcomes", body, headers=headers)))

    # --- whole stories

    def admit(self, question: Question, *, wait: float, supported: AbstractSet[str]) -> Steps[Answer]:
        """An answer that permits the call, after people have approved it if need be. Raises Denied or Pending.

        The PDP is told what is `supported`, and denies what obliges to more; one that does not know of it is not
        believed.
        """
        question = replace(question, supported_obligations=tuple(sorted(supported)))
        ends = self.patience.clock() + wait
        answer = yield from self.evaluate(question)
        if not answer.allowed and answer.outcome is Outcome.ESCALATE:
            task = answer.task or (yield from self.submit(question, answer))
            approval = yield from self._approval(task, answer, ends=ends)
            # No new request rides on the second question: if the approval does not serve, the agent is told so.
            again = replace(question, approval=approval, open_request=False)
            answer = yield from self._ask_again(again, task, ends=ends)
        if not answer.allowed:
            raise Denied(answer)
        yield from self._refuse_unsupported(answer, supported)
        return answer

    def claim(self, answer: Answer, *, started_at: datetime, principal: Mapping[str, Any] | None = None) -> Steps[None]:
        """Win `reserved → executing`, or raise: a call is started only by the one whose claim was accepted.

        It names the action, so that the PDP knows what must not be repeated if we fall silent now, and the principal,
        who is not to say then how it ended.
        """
        action = {name: answer.raw["context"].get(name) for name in ("action_digest", "commitment_salt")}
        report = Report(started_at=started_at, principal=principal, **(action if all(action.values()) else {}))
        try:
            yield from self.report(answer.evaluation_id, Custody.EXECUTING, report)
        except Refused as error:
            if error.status == CONFLICT:
                raise NotClaimed(f"{answer.evaluation_id} has been started before") from error
            raise

    def settle(self, evaluation_id: str, status: Custody, report: Report) -> Steps[PepError | None]:
        """Tell the end of a call; what went wrong if it could not be told.

        The call has happened by now, so nothing is raised: whoever sees an error tries again. A report that does not
        arrive is followed by one short `indeterminate`; without that, the PDP draws the same conclusion at its limit.
        """
        try:
            yield from self.report(evaluation_id, status, report)
        except PepError as error:
            if status is not Custody.INDETERMINATE:
                hasty = replace(self, patience=replace(self.patience, total=0.0))
                plain = Report(started_at=report.started_at, finished_at=report.finished_at)
                yield from hasty.settle(evaluation_id, Custody.INDETERMINATE, plain)
            return error
        return None

    # --- parts

    def _post(self, path: str, body: bytes, *, headers: Mapping[str, str] | None = None) -> Steps[Reply]:
        message = Message(
            method="POST",
            path=path,
            body=body,
            headers={"content-type": "application/json", **(headers or {})},
            timeout=self.patience.timeout,
        )
        return (yield from exchange(message, self.patience))

    def _approval(self, task: Task, answer: Answer, *, ends: float) -> Steps[Mapping[str, Any]]:
        """Look at the task until it is decided or the time is over."""
        began = self.patience.clock()
        while task.status is Status.PENDING:
            now = self.patience.clock()
            if now >= ends:
                raise Pending(task, answer)
            yield Waiting(task=task, elapsed=now - began)
            task = yield from self._look(task, ends=ends)
        if task.approval is None:
            raise Denied(answer, because=f"{task.id} is {task.status.value} ({answer.why})", task=task)
        return task.approval

    def _look(self, task: Task, *, ends: float) -> Steps[Task]:
        """One long poll; never a tight loop, even if the PDP does not hold its answer.

        People keep deciding while the PDP restarts, so one that is away is looked for as long as we would have waited.
        """
        began = self.patience.clock()
        seconds = min(ends - began, LOOK)
        try:
            found = yield from self.task(task.id, wait=seconds)
        except Away as error:
            pause = HASTY * (0.5 + self.patience.jitter())
            if self.patience.clock() + pause >= ends:
                raise Away(f"{task.id} was waiting for approval when last seen; {error}") from None
            yield Pause(seconds=pause)
            return task
        rest = min(seconds, HASTY) - (self.patience.clock() - began)
        if found.status is Status.PENDING and rest > 0:
            yield Pause(seconds=rest)
        return found

    def _ask_again(self, question: Question, task: Task, *, ends: float) -> Steps[Answer]:
        """Re-evaluate with the approval. `retry` means the backing grant is not there yet: worth the time left.

        So is a PDP that is away. All that time it is one attempt, because a lost answer may have used the approval up.
        """
        pause = HASTY
        while True:
            left = max(ends - self.patience.clock(), self.patience.total)
            patient = replace(self, patience=replace(self.patience, total=left))
            try:
                answer = yield from patient.evaluate(question)
            except Away as error:
                raise Away(f"{task.id} is approved, but {error}; ask again with the same arguments") from None
            pause = answer.retry_after or pause
            late = self.patience.clock() + pause >= ends
            if answer.allowed or answer.next_action is not NextAction.RETRY or late:
                return answer
            yield Pause(seconds=pause)
            pause *= 2

    def _refuse_unsupported(self, answer: Answer, supported: AbstractSet[str]) -> Steps[None]:
        unknown = sorted({str(item["type"]) for item in answer.obligations} - supported)
        if unknown:
            yield from self.settle(answer.evaluation_id, Custody.FAILED, Report())
            raise Denied(answer, because=f"allowed only with obligations this PEP cannot meet: {', '.join(unknown)}")


def _denial(answer: Answer) -> dict[str, Any]:
    """What binds a request to its denial, echoed unchanged (ARAP, access request submission)."""
    context = answer.raw["context"]
    access = context["access_request"]
    echoed = {name: context[name] for name in ("evaluation_id", "evaluated_at", "reason") if name in context}
    return echoed | {name: access[name] for name in ("expires_at", "binding_token", "template") if name in access}


def _request(identifier: str) -> str:
    """The path is made from the id and our own base; an address found in an answer is never given our key."""
    return "/access/v1/requests/" + quote(identifier, safe="")


def _good(reply: Reply) -> Reply:
    if reply.status not in OK:
        raise _refusal(reply)
    return reply


def _refusal(reply: Reply) -> Refused:
    """RFC 9457, as far as it can be read."""
    try:
        problem = canonical.loads_object(reply.body)
    except canonical.NotCanonical:
        problem = {}
    detail = problem.get("detail") or problem.get("title") or ""
    return Refused(reply.status, str(detail)[:500], problem=str(problem.get("type") or ""))


def _time(moment: datetime | None) -> str | None:
    return moment.isoformat(timespec="milliseconds") if moment else None
