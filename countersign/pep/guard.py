"""`guard`: a function in, the same function out that runs only after the PDP, and people if need be, said yes."""

import inspect
from collections.abc import Awaitable, Callable, Collection, Mapping
from contextlib import AbstractAsyncContextManager, AbstractContextManager
from dataclasses import dataclass, field
from functools import wraps
from typing import Any, ParamSpec, TypeAlias, TypeVar, cast

from countersign.pep.client import AsyncPdp, Pdp
from countersign.pep.obligations import BUILT_IN, SHAPING, Handler
from countersign.pep.passage import Execution, Passage, apassing, passing
from countersign.pep.question import BadQuestion, Question
from countersign.pep.shaping import PLAIN, Failed, Shape
from countersign.policy.values import EMPTY

P = ParamSpec("P")
R = TypeVar("R")

Arguments: TypeAlias = Mapping[str, Any]
PerCall: TypeAlias = str | Callable[[Arguments], str | None] | None
OriginPerCall: TypeAlias = Mapping[str, Any] | Callable[[Arguments], Mapping[str, Any] | None] | None


@dataclass(frozen=True, slots=True)
class guard:  # noqa: N801 - read as a verb where it is used: `@guard(pdp, tool=…)`
    """Ask before each call of a function, or before the body of a `with` statement.

    `intent`, `principal`, `session`, `transaction` and `justification` are texts, or functions of the arguments.
    `origin` names the thread or ticket the call came from, or is a function of the arguments that does.
    `arguments` turns the bound parameters into what is asked and approved; without it every parameter must be JSON.
    Names in `ignore` (say, `self` or a database handle) are left out of the question, so nothing binds them. `wait` is
    how many seconds to wait for people before Pending is raised. `obligations` adds handlers by type, coroutine
    functions too with an AsyncPdp; each is called with the obligation, and with which call it is about, before the
    function runs, which it does not if one raises or gives False. The PDP is told these types and `log`, for a function
    also `redact` and `cap`, and denies what obliges to others.
    """

    pdp: Pdp | AsyncPdp
    tool: str = field(kw_only=True)
    agent: str = field(kw_only=True)
    method: str = field(default="call", kw_only=True)
    intent: PerCall = field(default=None, kw_only=True)
    principal: PerCall = field(default=None, kw_only=True)
    session: PerCall = field(default=None, kw_only=True)
    transaction: PerCall = field(default=None, kw_only=True)
    justification: PerCall = field(default=None, kw_only=True)
    origin: OriginPerCall = field(default=None, kw_only=True)
    environment: Mapping[str, Any] | None = field(default=None, kw_only=True)
    wait: float = field(default=0.0, kw_only=True)
    arguments: Callable[[Arguments], Arguments] | None = field(default=None, kw_only=True)
    ignore: Collection[str] = field(default=(), kw_only=True)
    obligations: Mapping[str, Handler] = field(default_factory=lambda: EMPTY, kw_only=True)

    def __post_init__(self) -> None:
        for kind, handler in self.obligations.items():
            if isinstance(self.pdp, Pdp) and inspect.iscoroutinefunction(handler):
                raise TypeError(f"the handler for {kind!r} is a coroutine function: that takes AsyncPdp, not Pdp")

    def __call__(self, function: Callable[P, R]) -> Callable[P, R]:
        if inspect.isgeneratorfunction(function) or inspect.isasyncgenfunction(function):
            raise TypeError(f"{function.__qualname__} is a generator: calling it runs nothing that could be guarded")
        if inspect.iscoroutinefunction(function):
            return cast("Callable[P, R]", self._wrap_coroutine(function))
        return self._wrap(function)

    def during(self, **arguments: Any) -> AbstractContextManager[Execution]:
        """One call with these arguments as the body of a `with` statement."""
        if not isinstance(self.pdp, Pdp):
            raise TypeError("`with` needs Pdp; for AsyncPdp there is `async with guard(…).aduring(…)`")
        return passing(self.pdp, self._passage_of(arguments))

    def aduring(self, **arguments: Any) -> AbstractAsyncContextManager[Execution]:
        """One call with these arguments as the body of an `async with` statement."""
        if not isinstance(self.pdp, AsyncPdp):
            raise TypeError("`async with` needs AsyncPdp; for Pdp there is `with guard(…).during(…)`")
        return apassing(self.pdp, self._passage_of(arguments))

    def _wrap(self, function: Callable[P, R]) -> Callable[P, R]:
        pdp = self.pdp
        if not isinstance(pdp, Pdp):
            raise TypeError(f"{function.__qualname__} is an ordinary function: guard it with Pdp, not AsyncPdp")
        signature = inspect.signature(function)

        @wraps(function)
        def guarded(*args: P.args, **kwargs: P.kwargs) -> R:
            call = self._bind(signature, args, kwargs)
            asked = self._ask(call)
            with passing(pdp, self._passage(asked, SHAPING)) as execution:
                self._check_unchanged(call, asked)
                execution.result = _run(lambda: _finished(function(*call.args, **call.kwargs)), execution.shape)
            return cast("R", execution.shape.of(execution.result))

        return guarded

    def _wrap_coroutine(self, function: Callable[..., Any]) -> Callable[..., Any]:
        pdp = self.pdp
        if not isinstance(pdp, AsyncPdp):
            raise TypeError(f"{function.__qualname__} is a coroutine function: guard it with AsyncPdp, not Pdp")
        signature = inspect.signature(function)

        @wraps(function)
        async def guarded(*args: Any, **kwargs: Any) -> Any:
            call = self._bind(signature, args, kwargs)
            asked = self._ask(call)
            async with apassing(pdp, self._passage(asked, SHAPING)) as execution:
                self._check_unchanged(call, asked)
                execution.result = await _arun(lambda: function(*call.args, **call.kwargs), execution.shape)
            return execution.shape.of(execution.result)

        return guarded

    def _bind(
        self, signature: inspect.Signature, args: tuple[Any, ...], kwargs: Mapping[str, Any]
    ) -> inspect.BoundArguments:
        """The call as it will be made. Its JSON values are copies, so that nobody changes what was approved."""
        call = signature.bind(*args, **kwargs)
        call.apply_defaults()
        if self.arguments is None:
            for name, value in call.arguments.items():
                if name not in self.ignore:
                    call.arguments[name] = _copied(value, signature.parameters[name])
        return call

    def _ask(self, call: inspect.BoundArguments) -> Arguments:
        bound = {name: value for name, value in call.arguments.items() if name not in self.ignore}
        chosen = bound if self.arguments is None else self.arguments(bound)
        return {name: plain(value, name) for name, value in chosen.items()}

    def _passage_of(self, arguments: Arguments) -> Passage:
        return self._passage({name: plain(value, name) for name, value in arguments.items()})

    def _check_unchanged(self, call: inspect.BoundArguments, asked: Arguments) -> None:
        """Objects that `arguments=` was given are not copies, and waiting for people takes time."""
        if self.arguments is not None and self._ask(call) != asked:
            raise BadQuestion("the arguments are no longer those that were allowed; nothing was run")

    def _passage(self, arguments: Arguments, also: Mapping[str, Handler] = EMPTY) -> Passage:
        """`also`: what can be done where the result goes through our hands, which that of a `with` body does not."""
        question = Question(
            agent=self.agent,
            tool=self.tool,
            method=self.method,
            arguments=arguments,
            intent=_told(self.intent, arguments),
            principal=_told(self.principal, arguments),
            session=_told(self.session, arguments),
            transaction=_told(self.transaction, arguments),
            environment=self.environment,
            open_request=True,
            justification=_told(self.justification, arguments),
            origin=self.origin(arguments) if callable(self.origin) else self.origin,
        )
        return Passage(question=question, wait=self.wait, obligations={**BUILT_IN, **also, **self.obligations})


def plain(value: Any, name: str) -> Any:
    """A copy of a JSON value. Raises BadQuestion, naming the parameter, for anything that is none."""
    if value is None or type(value) in (bool, int, float, str):
        return value
    if type(value) is list:
        return [plain(item, f"{name}[{index}]") for index, item in enumerate(value)]
    if type(value) is dict:
        for key in value:
            if type(key) is not str:
                raise BadQuestion(f"parameter {name}: a member name must be a string, not {type(key).__name__}")
        return {key: plain(item, f"{name}.{key}") for key, item in value.items()}
    raise BadQuestion(
        f"parameter {name}: {type(value).__name__} is no JSON value; convert it with `arguments=` or leave it out "
        "with `ignore=`"
    )


def _copied(value: Any, parameter: inspect.Parameter) -> Any:
    if parameter.kind is inspect.Parameter.VAR_POSITIONAL:
        return plain(list(value), parameter.name)
    return plain(value, parameter.name)


def _told(value: PerCall, arguments: Arguments) -> str | None:
    return value(arguments) if callable(value) else value


def _run(function: Callable[[], R], shape: Shape) -> R:
    """What the function returns or raises. An error whose words must not get out as they are becomes `Failed`, raised
    when the other is no longer being handled: Python would hang it on as the context.
    """
    try:
        return function()
    except Exception as error:
        if shape == PLAIN:
            raise
        failed = Failed(error, shape)
    raise failed


async def _arun(function: Callable[[], Awaitable[R]], shape: Shape) -> R:
    """`_run` for coroutines."""
    try:
        return await function()
    except Exception as error:
        if shape == PLAIN:
            raise
        failed = Failed(error, shape)
    raise failed


def _finished(result: Any) -> Any:
    """An awaitable has not run yet; taking it for a result would report what never happened."""
    if inspect.isawaitable(result):
        if inspect.iscoroutine(result):
            result.close()
        raise TypeError("the guarded function returned an awaitable: guard the coroutine function itself")
    return result
