"""The `countersign verify` command: a pack's report in plain words, and 0 only if every step holds."""

from pathlib import Path
from typing import Annotated

import typer

from countersign.proof import keys, pack
from countersign.proof.pack import Report, Step

_MARK = {True: "✓", False: "✗", None: "·"}
_USAGE = 2


def verify(
    path: Annotated[Path, typer.Argument(metavar="PACK", help="An evidence pack: a directory or a .tar.gz.")],
    against: Annotated[
        Path | None,
        typer.Option(metavar="CHECKPOINT", help="A checkpoint kept outside: shows deleted or rewritten records."),
    ] = None,
    key: Annotated[
        str | None,
        typer.Option(metavar="VKEY", help="The log's public key as you know it: a vkey, or a file with one a line."),
    ] = None,
) -> None:
    """Verify an evidence pack offline. Ends with 0 if all holds, 1 if a step fails, 2 if asked wrongly."""
    if not path.exists():
        raise _usage(f"{path}: there is no such pack")
    try:
        report = pack.verify(
            path,
            against=None if against is None else _read(against),
            key=None if key is None else _key(key),
        )
    except keys.BadKey as error:
        raise _usage(f"--key: {error}") from error
    _show(report, by_key=key is not None)
    if not report.ok:
        raise typer.Exit(1)


def _show(report: Report, *, by_key: bool) -> None:
    for step in report.steps:
        typer.echo(_words(step))
    failed = report.failed
    if failed is not None:
        typer.echo(f"NOT VERIFIED: step {failed.number} ({failed.name}) does not hold.")
    elif by_key:
        typer.echo("Verified: every step holds.")
    else:
        typer.echo("Every step holds, by the pack's own key: anybody could have made it. Only --key tells who did.")


def _words(step: Step) -> str:
    return f"{_MARK[step.ok]} {step.number:2}. {step.name}: {_printable(step.says)}"


def _printable(text: str) -> str:
    """Text out of a stranger's pack, without what could move the cursor or hide a word."""
    return "".join(char if char.isprintable() else f"\\u{ord(char):04x}" for char in text)


def _key(value: str) -> str:
    """A vkey as it stands, or the content of the file of that name."""
    if value.count("+") >= 2 and not Path(value).exists():  # noqa: PLR2004 - name, hash and key
        return value
    return _read(Path(value))


def _read(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise _usage(f"{path}: cannot be read") from error


def _usage(words: str) -> typer.Exit:
    typer.echo(words, err=True)
    return typer.Exit(_USAGE)
