"""`countersign mcp-proxy` and `countersign hook`: options in, one of the enforcement points run."""

import sys
from pathlib import Path
from typing import Annotated, NoReturn

import typer

from countersign.pep import credentials, hook, question

Url = Annotated[str | None, typer.Option(envvar=credentials.URL, help="Address of the PDP.")]
KeyFile = Annotated[
    Path | None,
    typer.Option(envvar=credentials.KEY_FILE, help=f"File with the key; or put the key into {credentials.KEY}."),
]
Agent = Annotated[str | None, typer.Option(envvar=credentials.AGENT, help="Id of the agent that is asked for.")]
Receipts = Annotated[Path | None, typer.Option(help="File to keep the PDP's signed receipts in, as JSON lines.")]

hook_app = typer.Typer(pretty_exceptions_enable=False, add_completion=False)


@hook_app.callback()
def hooks() -> None:
    """Judge one tool call for a coding agent's hook."""


@hook_app.command("claude-code")
def claude_code() -> None:
    """Judge the PreToolUse event, or report the PostToolUse event, that stands on standard input.

    Settings come from COUNTERSIGN_URL, COUNTERSIGN_KEY or COUNTERSIGN_KEY_FILE, COUNTERSIGN_AGENT; and, if wanted,
    COUNTERSIGN_WAIT, COUNTERSIGN_RECEIPTS, COUNTERSIGN_STATE_DIR and COUNTERSIGN_NOTIFY.
    """
    raise typer.Exit(hook.main())


def mcp_proxy(  # noqa: PLR0917 - each parameter is an option of the command line
    command: Annotated[list[str], typer.Argument(help="The MCP server to put behind the PDP, after `--`.")],
    url: Url = None,
    key_file: KeyFile = None,
    agent: Agent = None,
    tool_prefix: Annotated[str, typer.Option(help="Put before each tool's name to make its id.")] = "",
    map_: Annotated[
        list[str] | None, typer.Option("--map", help="NAME=TOOL_ID or NAME=TOOL_ID:METHOD for one tool; repeatable.")
    ] = None,
    method: Annotated[str, typer.Option(help="Method of every tool that --map does not name one for.")] = "call",
    wait: Annotated[float, typer.Option(min=0, help="Seconds to hold a call while people decide.")] = 20,
    call_timeout: Annotated[float, typer.Option(min=0.1, help="Seconds one call of the server may take.")] = 300,
    intent: Annotated[str | None, typer.Option(help="Declared purpose, sent with each call.")] = None,
    principal: Annotated[str | None, typer.Option(help="The person the agent acts for.")] = None,
    session: Annotated[str | None, typer.Option(help="Session id; a new one for each run if left out.")] = None,
    transaction: Annotated[str | None, typer.Option(help="The case all calls of this run belong to.")] = None,
    origin: Annotated[
        str | None,
        typer.Option(help="Where the run was asked for: slack:CHANNEL/THREAD, jira:ISSUE or servicenow:RECORD."),
    ] = None,
    receipts: Receipts = None,
    notify: Annotated[
        str | None,
        typer.Option(
            envvar=credentials.NOTIFY, help="Command that sends a notification obligation, given as JSON on its input."
        ),
    ] = None,
) -> None:
    """Run an MCP server and ask the PDP before every call of one of its tools."""
    # The MCP library takes most of a second to import; a hook beside this command must not pay for it.
    from countersign.pep.mcp_proxy import Naming, NotStarted, Settings, run  # noqa: PLC0415

    try:
        access = credentials.find(url=url, key_file=key_file, agent=agent)
        settings = Settings(
            access=access,
            command=tuple(command),
            naming=Naming.parse(map_ or [], prefix=tool_prefix, method=method),
            wait=wait,
            call_timeout=call_timeout,
            intent=intent,
            principal=principal,
            session=session,
            transaction=transaction,
            origin=question.origin_of(origin) if origin else None,
            receipts=receipts,
            notify=notify,
        )
        run(settings)
    except (credentials.NotConfigured, NotStarted, ValueError) as error:
        _stop(str(error))


def _stop(reason: str) -> NoReturn:
    sys.stderr.write(f"countersign mcp-proxy: {reason}\n")
    raise typer.Exit(2)
