"""`countersign policy check|test FILE…`: policy files in, every problem or failed test out, exit 1 if there is one."""

from pathlib import Path
from typing import Annotated

import typer

from countersign.policy import blueprint, testing
from countersign.policy.compile import Policy, compile_policy
from countersign.policy.source import PolicyErrors
from countersign.policy.tools import People
from countersign.policy.values import Registry

app = typer.Typer(help="Check and test policy files.", no_args_is_help=True)

Files = Annotated[list[Path], typer.Argument(exists=True, dir_okay=False, readable=True, help="Policy files.")]
Blueprint = Annotated[
    Path | None,
    typer.Option("--registry", exists=True, dir_okay=False, readable=True, help="A blueprint with tools and agents."),
]
NO_REGISTRY = (
    "No --registry: only the rules are tested. Every agent, tool and method that a test names counts as registered, "
    "with tier 1, no schema and someone to approve."
)


@app.command()
def check(files: Files, registry: Blueprint = None) -> None:
    """Compile policy files and print every problem with its place."""
    known, people = _registry(registry)
    checked = [_compiled(path, known, people) for path in files]
    for path, policy in zip(files, checked, strict=True):
        if policy is not None:
            typer.echo(f"{path}: fine, {_count(len(policy.rules), 'rule')}, {policy.digest}")
    if None in checked:
        raise typer.Exit(1)


@app.command("test")
def run_tests(files: Files, registry: Blueprint = None) -> None:
    """Run the tests that policy files carry."""
    known, people = _registry(registry)
    if known is None:
        typer.echo(NO_REGISTRY)
    passed = [_tested(path, known, people) for path in files]
    if not all(passed):
        raise typer.Exit(1)


def _registry(path: Path | None) -> tuple[Registry | None, People | None]:
    if path is None:
        return None, None
    try:
        registry, people, warnings = blueprint.read_registry(_text(path), file=str(path))
    except PolicyErrors as errors:
        typer.echo(str(errors), err=True)
        raise typer.Exit(1) from None
    for warning in warnings:
        typer.echo(f"warning: {warning}", err=True)
    return registry, people


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except UnicodeDecodeError as error:
        typer.echo(f"{path}:1:1: not UTF-8 text: byte {error.start}", err=True)
        raise typer.Exit(1) from None


def _compiled(path: Path, registry: Registry | None, people: People | None) -> Policy | None:
    try:
        policy = compile_policy(_text(path), file=str(path), registry=registry, people=people)
    except PolicyErrors as errors:
        typer.echo(str(errors), err=True)
        return None
    for warning in policy.warnings:
        typer.echo(f"warning: {warning}", err=True)
    return policy


def _tested(path: Path, registry: Registry | None, people: People | None) -> bool:
    policy = _compiled(path, registry, people)
    if policy is None:
        return False
    results = testing.run(policy, registry or testing.assumed_registry(policy))
    for result in results:
        typer.echo(f"{'pass' if result.passed else 'FAIL'}  {result.case.name}")
        for difference in result.differences:
            typer.echo(f"      {difference}")
    failed = sum(not result.passed for result in results)
    typer.echo(f"{path}: {_count(len(results), 'test')}, {failed} failed")
    return failed == 0


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}{'' if number == 1 else 's'}"
