"""`Pdp` and `AsyncPdp`: the same conversation, driven over HTTP by a thread or by an event loop."""

import inspect
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from functools import cached_property
from pathlib import Path
from ssl import SSLContext
from types import TracebackType
from typing import Any, Self, TypeVar
from urllib.parse import urlsplit

import anyio
import httpx2

from countersign.pep import receipts as kept
from countersign.pep.answer import Answer, Task, Unavailable
from countersign.pep.conversation import Conversation, Custody, Report
from countersign.pep.exchange import Doing, Done, Keep, Lost, Message, Patience, Pause, Reply, Result, Steps, Waiting
from countersign.pep.many import Semantic
from countersign.pep.question import Question

T = TypeVar("T")

LARGEST_ANSWER = 4 * 1024 * 1024  # bytes; a decision is a few kilobytes
ALIVE = 30.0  # seconds an idle connection is kept
BROKEN = (httpx2.NetworkError, httpx2.RemoteProtocolError)
# RuntimeError: a client that was closed. All of these are facts for the conversation, never a way around it.
FAULTS = (httpx2.HTTPError, httpx2.InvalidURL, RuntimeError, OSError)
SLOW = Lost(reason="the PDP took too long to answer", again=False, slow=True)
LARGE = Lost(reason=f"the PDP's answer is larger than {LARGEST_ANSWER} bytes", again=False)


class _Settings:
    """What both clients are made of. The key is never shown."""

    def __init__(
        self,
        url: str,
        key: str,
        *,
        timeout: float = 5.0,
        patience: float = 4.0,
        receipts: Path | None = None,
        verify: SSLContext | bool = True,
    ) -> None:
        """`timeout` bounds one try, `patience` is how long new tries are begun, both in seconds.

        `receipts` names a file; an answer whose receipt cannot be kept there counts as no answer. `verify` takes an
        SSLContext for a private certificate authority.
        """
        parts = urlsplit(url)
        if parts.scheme not in {"http", "https"} or not parts.hostname:
            raise ValueError(f"not the address of a PDP: {url!r}")
        key = key.strip()
        if not key or not key.isascii() or not key.isprintable():
            raise ValueError("the key is empty or has characters that no key has")
        self.url = url.rstrip("/")
        self.conversation = Conversation(patience=Patience(timeout=timeout, total=patience))
        self._receipts = receipts
        self._options: dict[str, Any] = {
            "headers": {
                "authorization": f"Bearer {key}",
                "accept": "application/json",
                "user-agent": "countersign-pep",
            },
            "follow_redirects": False,  # a redirect would take the key elsewhere
            "limits": httpx2.Limits(keepalive_expiry=ALIVE),
            # Reading the certificate store takes longer than a decision; without TLS nobody looks at it.
            "verify": verify if parts.scheme == "https" else False,
        }

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.url!r})"

    def _request(self, message: Message) -> dict[str, Any]:
        return {
            "method": message.method,
            "url": self.url + message.path,
            "content": message.body,
            "headers": dict(message.headers),
            "timeout": message.timeout,
        }

    def _keep(self, answer: Answer) -> None:
        if self._receipts is None:
            return
        try:
            kept.append(self._receipts, answer)
        except OSError as error:
            raise Unavailable(f"the receipt could not be kept: {error}") from error


class Pdp(_Settings):
    """A PDP for ordinary functions. May be shared by threads; close it, or use it as a context manager."""

    @cached_property
    def _http(self) -> httpx2.Client:
        return httpx2.Client(**self._options)

    def evaluate(self, question: Question) -> Answer:
        """One decision. Raises Unavailable, BadAnswer or BadQuestion; then the call must not run."""
        return self.perform(self.conversation.evaluate(question))

    def evaluations(
        self, questions: Sequence[Question], *, semantic: Semantic = Semantic.EXECUTE_ALL
    ) -> tuple[Answer, ...]:
        """Many decisions in one request, in the order of the questions; fewer where `semantic` ended it.

        One that could not be decided permits nothing and says why in `error`. Raises as `evaluate` does.
        """
        return self.perform(self.conversation.evaluations(questions, semantic))

    def submit_request(self, question: Question, answer: Answer) -> Task:
        """Ask people about a denial that can be asked about. Raises Denied if it cannot."""
        return self.perform(self.conversation.submit(question, answer))

    def request(self, identifier: str, *, wait: float = 0.0) -> Task:
        """A request as it stands, or as it stands when it changes within `wait` seconds."""
        return self.perform(self.conversation.task(identifier, wait=wait))

    def cancel(self, identifier: str, *, reason: str | None = None) -> Task:
        return self.perform(self.conversation.cancel(identifier, reason=reason))

    def report(self, evaluation_id: str, status: Custody, report: Report | None = None) -> None:
        """Tell where an execution stands. Raises Refused with status 409 where the PDP knows otherwise."""
        self.perform(self.conversation.report(evaluation_id, status, report or Report()))

    def perform(self, steps: Steps[T]) -> T:
        """Drive one conversation to its end."""
        result: Result = None
        while True:
            try:
                effect = steps.send(result)
            except StopIteration as done:
                value: T = done.value
                return value
            result = None
            match effect:
                case Message():
                    result = self._send(effect)
                case Pause():
                    time.sleep(effect.seconds)
                case Keep():
                    self._keep(effect.answer)
                case Doing():
                    result = _done(effect)
                case Waiting():
                    pass

    def _send(self, message: Message) -> Reply | Lost:
        ends = self.conversation.patience.clock() + message.timeout
        try:
            with self._http.stream(**self._request(message)) as response:
                body = bytearray()
                for part in response.iter_bytes():
                    body += part
                    # The library's timeout is per read; a dripping answer needs one for the whole.
                    if self.conversation.patience.clock() > ends:
                        return SLOW
                    if len(body) > LARGEST_ANSWER:
                        return LARGE
        except FAULTS as error:
            return _lost(error)
        return _reply(response, body)

    def close(self) -> None:
        self._http.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


class AsyncPdp(_Settings):
    """A PDP for coroutines: the doors of `Pdp`, awaited. Belongs to one event loop."""

    @cached_property
    def _http(self) -> httpx2.AsyncClient:
        return httpx2.AsyncClient(**self._options)

    async def evaluate(self, question: Question) -> Answer:
        return await self.perform(self.conversation.evaluate(question))

    async def evaluations(
        self, questions: Sequence[Question], *, semantic: Semantic = Semantic.EXECUTE_ALL
    ) -> tuple[Answer, ...]:
        return await self.perform(self.conversation.evaluations(questions, semantic))

    async def submit_request(self, question: Question, answer: Answer) -> Task:
        return await self.perform(self.conversation.submit(question, answer))

    async def request(self, identifier: str, *, wait: float = 0.0) -> Task:
        return await self.perform(self.conversation.task(identifier, wait=wait))

    async def cancel(self, identifier: str, *, reason: str | None = None) -> Task:
        return await self.perform(self.conversation.cancel(identifier, reason=reason))

    async def report(self, evaluation_id: str, status: Custody, report: Report | None = None) -> None:
        await self.perform(self.conversation.report(evaluation_id, status, report or Report()))

    async def perform(self, steps: Steps[T], *, on_wait: Callable[[Waiting], Awaitable[None]] | None = None) -> T:
        """Drive one conversation to its end; `on_wait` is called before each look at a pending request."""
        result: Result = None
        while True:
            try:
                effect = steps.send(result)
            except StopIteration as done:
                value: T = done.value
                return value
            result = None
            match effect:
                case Message():
                    result = await self._send(effect)
                case Pause():
                    await anyio.sleep(effect.seconds)
                case Keep():
                    self._keep(effect.answer)
                case Doing():
                    result = await _adone(effect)
                case Waiting():
                    if on_wait is not None:
                        await on_wait(effect)

    async def _send(self, message: Message) -> Reply | Lost:
        body = bytearray()
        try:
            with anyio.fail_after(message.timeout):
                async with self._http.stream(**self._request(message)) as response:
                    async for part in response.aiter_bytes():
                        body += part
                        if len(body) > LARGEST_ANSWER:
                            return LARGE
        except TimeoutError:
            return SLOW
        except FAULTS as error:
            return _lost(error)
        return _reply(response, body)

    async def aclose(self) -> None:
        await self._http.aclose()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.aclose()


def _reply(response: httpx2.Response, body: bytearray) -> Reply:
    headers: Mapping[str, str] = {name.lower(): value for name, value in response.headers.items()}
    return Reply(status=response.status_code, headers=headers, body=bytes(body))


def _done(doing: Doing) -> Done:
    try:
        return Done(value=doing.do())
    except Exception as error:  # noqa: BLE001 - the program's own, for the conversation to judge
        return Done(error=error)


async def _adone(doing: Doing) -> Done:
    done = _done(doing)
    if not inspect.isawaitable(done.value):
        return done
    try:
        return Done(value=await done.value)
    except Exception as error:  # noqa: BLE001 - as above
        return Done(error=error)


def _lost(error: Exception) -> Lost:
    """A broken connection may be tried again (the attempt makes that safe); a timeout or anything else may not."""
    name = type(error).__name__
    return Lost(
        reason=f"the PDP cannot be reached: {name} {error}".rstrip(),
        again=isinstance(error, BROKEN),
        slow=isinstance(error, httpx2.TimeoutException),
    )
