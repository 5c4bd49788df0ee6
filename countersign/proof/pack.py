"""A pack, and what its reader trusts, in; a report of numbered steps out, which stops at the first that fails."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from countersign.proof import keys, pack_archive, pack_head, pack_records
from countersign.proof.keys import Verifier
from countersign.proof.pack_case import Case, StepFailed
from countersign.proof.pack_layout import BadPack, Limits

_LIMITS = Limits()

CONTAINER = "container"
STEPS: tuple[tuple[str, Callable[[Case], str]], ...] = (
    ("layout", pack_head.check_layout),
    ("manifest", pack_head.check_manifest),
    ("contents", pack_head.check_about),
    ("keys", pack_head.check_keys),
    ("checkpoint", pack_head.check_checkpoint),
    ("consistency", pack_head.check_consistency),
    ("signatures", pack_records.check_signatures),
    ("statements", pack_records.check_statements),
    ("inclusion", pack_records.check_inclusion),
    ("belonging", pack_records.check_belonging),
    ("threads", pack_records.check_threads),
    ("arguments", pack_records.check_arguments),
    ("approvals", pack_records.check_approvals),
    ("policies", pack_records.check_policies),
    ("mapping", pack_records.check_mapping),
    ("frame", pack_head.check_frame),  # the last: whatever another step can name more closely, it has named
)


@dataclass(frozen=True, slots=True)
class Step:
    """One numbered step: `ok` is None where an earlier failure kept it from being reached."""

    number: int
    name: str
    ok: bool | None
    says: str


@dataclass(frozen=True, slots=True)
class Report:
    """All steps, in order."""

    steps: tuple[Step, ...]

    @property
    def ok(self) -> bool:
        """Whether every step was reached and holds."""
        return bool(self.steps) and all(step.ok is True for step in self.steps)

    @property
    def failed(self) -> Step | None:
        """The step that did not hold."""
        return next((step for step in self.steps if step.ok is False), None)


def verify(path: Path, *, against: str | None = None, key: str | None = None, limits: Limits = _LIMITS) -> Report:
    """Check everything that a pack says of itself.

    `against` is the text of a checkpoint kept outside, `key` one or more vkeys, one a line. Raises keys.BadKey if
    `key` is none: that is the caller's mistake and no finding about the pack.
    """
    trusted = None if key is None else keys.verifiers_of(key)
    try:
        members = pack_archive.read(path, limits=limits)
    except BadPack as error:
        return _report([], str(error))
    return verify_members(members, against=against, trusted=trusted)


def verify_members(
    members: Mapping[str, bytes], *, against: str | None = None, trusted: tuple[Verifier, ...] | None = None
) -> Report:
    """The same over members that were read already, or are yet to be written."""
    case = Case(members=members, against=against, trusted=trusted)
    found = [f"{sum(map(len, members.values()))} bytes read"]
    for _, check in STEPS:
        try:
            found.append(check(case))
        except StepFailed as failure:
            return _report(found, str(failure))
    return _report(found, None)


def _report(found: Sequence[str], failure: str | None) -> Report:
    """Steps that hold, then the one that failed, then those that nobody reached."""
    steps = []
    for number, name in enumerate((CONTAINER, *(name for name, _ in STEPS)), start=1):
        if number <= len(found):
            steps.append(Step(number, name, ok=True, says=found[number - 1]))
        elif number == len(found) + 1 and failure is not None:
            steps.append(Step(number, name, ok=False, says=failure))
        else:
            steps.append(Step(number, name, ok=None, says="not reached"))
    return Report(tuple(steps))
