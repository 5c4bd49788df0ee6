"""`countersign`: one word of the command line in, the command of that room run. Rooms are loaded only when named."""

import sys
from collections.abc import Mapping, Sequence
from importlib import import_module
from types import MappingProxyType
from typing import Any, TypeAlias, cast

import typer
from typer.core import TyperCommand, TyperGroup
from typer.main import get_command

# The other rooms' commands load a policy compiler, a verifier, a protocol library; a hook has none of that time.
COMMANDS: Mapping[str, tuple[str, str]] = MappingProxyType(
    {
        "verify": ("countersign.proof.command", "verify"),
        "policy": ("countersign.policy.command", "app"),
        "mcp-proxy": ("countersign.pep.command", "mcp_proxy"),
        "hook": ("countersign.pep.command", "hook_app"),
    }
)


HOOK = ["hook", "claude-code"]

Command: TypeAlias = TyperCommand | TyperGroup


class Lazy(TyperGroup):
    """A group that knows its commands' names and imports a command when it is asked for."""

    def main(self, args: Sequence[str] | None = None, *others: Any, **settings: Any) -> Any:
        """Typer loads pydantic for the first option it parses, `--help` included: most of a hook's time to start."""
        if list(sys.argv[1:] if args is None else args) == HOOK:
            sys.exit(import_module("countersign.pep.hook").main())
        return super().main(args, *others, **settings)

    def list_commands(self, ctx: Any) -> list[str]:  # noqa: ARG002 - the signature is the library's
        return list(COMMANDS)

    def get_command(self, ctx: Any, cmd_name: str) -> Command | None:  # noqa: ARG002
        if cmd_name not in COMMANDS:
            return None
        module, name = COMMANDS[cmd_name]
        return _command(getattr(import_module(module), name), cmd_name)


def _command(found: Any, name: str) -> Command:
    """A typer app as it is; a plain function as a command of its own."""
    if isinstance(found, typer.Typer):
        app = found
    else:
        app = typer.Typer(pretty_exceptions_enable=False, add_completion=False)
        app.command(name)(found)
    command = cast("Command", get_command(app))
    command.name = name
    return command


app = typer.Typer(cls=Lazy, no_args_is_help=True, pretty_exceptions_enable=False, add_completion=False)


@app.callback()
def countersign() -> None:
    """Human approval for AI-agent tool calls: enforcement points, policy tools and the evidence verifier."""


if __name__ == "__main__":
    app()
