"""One question in; the way through the PDP and back around whatever runs in between, for both kinds of client.

One allowed call goes through `reserved → executing → committed | failed | indeterminate`. What runs is entered only
after our claim on `executing` was accepted, at most once, and an end is always told, or known to be untold.
"""

import logging
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

import anyio

from countersign.pep.answer import Answer, Denied
from countersign.pep.client import AsyncPdp, Pdp
from countersign.pep.conversation import Conversation, Custody, Report
from countersign.pep.exchange import Steps, Waiting
from countersign.pep.obligations import BUILT_IN, CannotComply, Handler, meet
from countersign.pep.question import BadQuestion, Question, fingerprint
from countersign.pep.shaping import PLAIN, Shape

log = logging.getLogger(__name__)

LAST_WORD = 10.0  # seconds a cancelled call may still take to say that it was cancelled


@dataclass(slots=True, kw_only=True)
class Execution:
    """One call that was allowed and claimed. Give it the `result` for its digest; set `status` to overrule the end.

    `shape` is what the allow obliges to make of the result before anybody gets it.
    """

    answer: Answer
    started_at: datetime
    shape: Shape = PLAIN
    result: Any = None
    status: Custody | None = None

    def ending(self, error: BaseException | None) -> Custody:
        """An error of the function is its failure; being torn out of it (cancelled, killed) leaves it unknown."""
        if error is None:
            return self.status or Custody.COMMITTED
        return self.status or (Custody.FAILED if isinstance(error, Exception) else Custody.INDETERMINATE)

    def report(self, error: BaseException | None) -> Report:
        digest = _digest(self.result) if error is None else None
        return Report(started_at=self.started_at, finished_at=_now(), result_digest=digest)


@dataclass(frozen=True, slots=True, kw_only=True)
class Passage:
    """The way one question goes through the PDP and back, for both kinds of client."""

    question: Question
    wait: float = 0.0
    obligations: Mapping[str, Handler] = field(default_factory=lambda: BUILT_IN)

    def enter(self, talk: Conversation) -> Steps[Execution]:
        """Ask, wait, meet the obligations, claim. Raises a PepError; then nothing has been run."""
        answer = yield from talk.admit(self.question, wait=self.wait, supported=self.obligations.keys())
        try:
            shape = yield from meet(answer, self.question, self.obligations)
        except CannotComply as error:
            yield from talk.settle(answer.evaluation_id, Custody.FAILED, Report())
            raise Denied(answer, because=str(error)) from error
        started_at = _now()
        yield from talk.claim(answer, started_at=started_at, principal=self.question.whom())
        return Execution(answer=answer, started_at=started_at, shape=shape)

    def leave(self, talk: Conversation, execution: Execution, error: BaseException | None) -> Steps[None]:
        """Tell the end. Never raises: the call has happened, and an error here would invite a second one."""
        status = execution.ending(error)
        problem = yield from talk.settle(execution.answer.evaluation_id, status, execution.report(error))
        if problem is not None:
            name = execution.answer.evaluation_id
            log.warning("%s ended %s, but that could not be reported: %s", name, status.value, problem)


@contextmanager
def passing(pdp: Pdp, passage: Passage) -> Iterator[Execution]:
    """Run the body only if the passage is granted, and report how it ended."""
    execution = pdp.perform(passage.enter(pdp.conversation))
    try:
        yield execution
    except BaseException as error:
        pdp.perform(passage.leave(pdp.conversation, execution, error))
        raise
    pdp.perform(passage.leave(pdp.conversation, execution, None))


@asynccontextmanager
async def apassing(
    pdp: AsyncPdp, passage: Passage, *, on_wait: Callable[[Waiting], Awaitable[None]] | None = None
) -> AsyncIterator[Execution]:
    """`passing` for coroutines. The last report is shielded: being cancelled is exactly what it has to tell."""
    execution = await pdp.perform(passage.enter(pdp.conversation), on_wait=on_wait)
    error: BaseException | None = None
    try:
        yield execution
    except BaseException as raised:
        error = raised
        raise
    finally:
        with anyio.move_on_after(LAST_WORD, shield=True):
            await pdp.perform(passage.leave(pdp.conversation, execution, error))


def _digest(result: Any) -> str | None:
    """A digest where the result is JSON; an object of the program's own has none."""
    try:
        return fingerprint(result)
    except BadQuestion:
        return None


def _now() -> datetime:
    return datetime.now(UTC)
