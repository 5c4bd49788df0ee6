"""A pack on the table: its members, what is held against it from outside, and what each step found so far."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from countersign.proof import canonical
from countersign.proof.checkpoint import Checkpoint
from countersign.proof.keys import Verifier
from countersign.proof.statement import Record


class StepFailed(Exception):
    """What a step found wrong, in words for the reader of the report."""


@dataclass(frozen=True, slots=True)
class About:
    """`pack.json`, checked."""

    log: str
    tenant: str
    size: int
    seqs: tuple[int, ...]
    span: tuple[int, int] | None


@dataclass(slots=True)
class Case:
    """Filled in by the steps, in their order; a step reads only what an earlier one has put there."""

    members: Mapping[str, bytes]
    against: str | None = None
    trusted: tuple[Verifier, ...] | None = None
    about: About = field(init=False)
    verifiers: tuple[Verifier, ...] = field(init=False)
    head: Checkpoint = field(init=False)
    payloads: tuple[bytes, ...] = field(init=False)
    records: tuple[Record, ...] = field(init=False)

    def text(self, name: str) -> str:
        """A member as UTF-8 text."""
        try:
            return self.members[name].decode()
        except UnicodeDecodeError as error:
            raise StepFailed(f"{name}: not UTF-8") from error

    def json(self, name: str) -> Any:
        """A member as JSON in its canonical form."""
        return canonical_json(self.members[name], name)

    def under(self, directory: str) -> list[str]:
        """The members of one directory, sorted."""
        return sorted(name for name in self.members if name.startswith(f"{directory}/"))


def canonical_json(data: bytes, name: str) -> Any:
    """The value of `data`, which must be spelt canonically; `name` is for the reader."""
    try:
        value = canonical.loads(data)
        spelling = canonical.dumps(value)
    except canonical.NotCanonical as error:
        raise StepFailed(f"{name}: {error}") from error
    if spelling != data:
        raise StepFailed(f"{name}: not in canonical form")
    return value
