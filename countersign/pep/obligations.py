"""What an allow obliges its PEP to do in; done before the call runs, and the shape for its result, or an error out.

A PEP declares exactly the types it has a handler for (AuthZEN obligations profile, draft 1), so that the PDP can deny
at once what would not be done. Nothing here pretends: a line in a log is no notification.
"""

import inspect
import json
import logging
import os
import shlex
import subprocess
from collections.abc import Awaitable, Callable, Mapping
from functools import partial
from pathlib import Path
from typing import Any, Final, TypeAlias

from countersign.pep import credentials, shaping
from countersign.pep.answer import Answer, PepError
from countersign.pep.exchange import Doing, Done, Steps
from countersign.pep.question import Question
from countersign.pep.shaping import Shape
from countersign.policy.faults import InvalidError
from countersign.policy.obligations import KINDS, check_one

Handler: TypeAlias = Callable[[Mapping[str, Any]], Awaitable[bool | None] | bool | None]
"""Does what one obligation asks for, or raises or gives False. One that gives an awaitable needs an event loop."""
Handlers: TypeAlias = Mapping[str, Handler]

NOTIFY_SECONDS: Final = 10.0
_log = logging.getLogger("countersign.obligations")


class NotDone(Exception):
    """What an obligation asks for was tried and failed."""


class CannotComply(PepError):
    """An obligation of this evaluation could not be met, so the call must not run."""

    def __init__(self, evaluation_id: str, what: str) -> None:
        super().__init__(f"an obligation could not be met: {what}")
        self.evaluation_id = evaluation_id


def write_down(obligation: Mapping[str, Any]) -> None:
    """`log`: one JSON line to the logger `countersign.obligations`, at a level that Python writes unless it is told not
    to: a line that nobody keeps would be none.
    """
    _log.warning("%s", _line(obligation))


def shape_the_result(_obligation: Mapping[str, Any]) -> None:
    """`redact` and `cap`: named by PEPs through whose hands the result goes. `meet` reads all of them together."""


BUILT_IN: Final[Handlers] = {"log": write_down}
SHAPING: Final[Handlers] = {"redact": shape_the_result, "cap": shape_the_result}
"""Only for a PEP that hands on what `Shape.of` makes of the result, and nothing else."""


def appended_to(path: Path) -> Handler:
    """`log`: one JSON line at the end of a file that its owner alone can read."""

    def append(obligation: Mapping[str, Any]) -> None:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        file = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
        with os.fdopen(file, "w", encoding="utf-8") as stream:
            stream.write(_line(obligation) + "\n")

    return append


def sent_by(command: str) -> Handler:
    """`notification`: a program of yours that is given the obligation as JSON on its standard input and exits with 0
    once it has been transmitted. It inherits nothing of ours, the key least of all. Raises ValueError for no command.
    """
    words = shlex.split(command)
    if not words:
        raise ValueError("the command that sends notifications is empty")

    def send(obligation: Mapping[str, Any]) -> None:
        try:
            subprocess.run(  # noqa: S603 - the operator's own command, no shell
                words, input=_line(obligation).encode(), timeout=NOTIFY_SECONDS, check=True, stdout=subprocess.DEVNULL,
                env=credentials.environment_without_ours(os.environ),
            )  # fmt: skip
        except (OSError, subprocess.SubprocessError) as error:
            raise NotDone("the notification was not sent") from error

    return send


def on_the_command_line(*, notify: str | None, log: Handler | None) -> Handlers:
    """What a PEP that is a command can do. Raises ValueError."""
    handlers: dict[str, Handler] = {}
    if log is not None:
        handlers["log"] = log
    if notify:
        handlers["notification"] = sent_by(notify)
    return handlers


def meet(answer: Answer, question: Question, handlers: Handlers) -> Steps[Shape]:
    """Do all that the answer obliges to; each handler is told which call it is about. The shape for the result.

    What can be done is done even where something else cannot, so that a log or a notification of a call that is
    refused for it is not lost (the profile's "Non-Compliance and Partial Compliance"). Raises CannotComply.
    """
    about = {"evaluation_id": answer.evaluation_id, "agent": question.agent, "tool": question.tool}
    failed: dict[str, Exception] = {}
    ours = []
    for obligation in answer.obligations:
        name = _named(obligation)
        try:
            _check_form(obligation)
            handler = handlers[obligation["type"]]
            yield from _do(handler, {**obligation, **about, "method": question.method})
            ours += [obligation] if handler is shape_the_result else []
        except InvalidError as error:
            failed[f"{name}: {error}"] = error
        except Exception as error:  # noqa: BLE001 - whatever a handler raises, the call must not run
            failed[name] = error
    shape = shaping.PLAIN
    try:
        shape = shaping.of(ours, question.arguments)
    except shaping.OverCap as error:
        failed[str(error)] = error
    if failed:
        raise CannotComply(answer.evaluation_id, ", ".join(failed)) from next(iter(failed.values()))
    return shape


def _do(handler: Handler, told: Mapping[str, Any]) -> Steps[None]:
    """Raises what the handler raised, and NotDone for any answer but None and True: what is odd is no yes."""
    done = yield Doing(do=partial(handler, told))
    if not isinstance(done, Done):
        raise NotDone("the driver gave no result")
    if done.error is not None:
        raise done.error
    if inspect.iscoroutine(done.value):
        done.value.close()
        raise NotDone("its handler is a coroutine function, which takes AsyncPdp")
    if done.value is not None and done.value is not True:
        raise NotDone("its handler did not do it")


def _named(obligation: Mapping[str, Any]) -> str:
    """`step-up (obl-1)`: of two of one type, which."""
    identifier = obligation.get("id")
    return f"{obligation['type']} ({identifier})" if isinstance(identifier, str) else str(obligation["type"])


def _check_form(obligation: Mapping[str, Any]) -> None:
    """A handler is given no obligation that no policy could state; one of a type that no policy knows is its own
    affair. Raises InvalidError.
    """
    if obligation["type"] in KINDS:
        check_one(obligation)


def _line(obligation: Mapping[str, Any]) -> str:
    """ASCII on one line: what an obligation says cannot fake another entry."""
    return json.dumps(obligation, sort_keys=True, default=dict)
