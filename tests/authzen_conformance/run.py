"""A server in, what it passed of each level out; and the same as a table."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from tests.authzen_conformance.cases import LEVELS, Case, Level
from tests.authzen_conformance.pdp import Failed, Pdp


@dataclass(frozen=True)
class Result:
    """One level: the cases that failed, each with why, and the level it needs that did not pass."""

    level: Level
    failures: Sequence[tuple[Case, str]]
    lacks: str = ""

    @property
    def passed(self) -> bool:
        return not self.failures and not self.lacks


def levels(pdp: Pdp) -> Iterator[Result]:
    """Every level, in order; one that fails does not keep the others from being looked at."""
    passed: set[str] = set()
    for level in LEVELS:
        failures = [(case, why) for case in level.cases if (why := _why_not(case, pdp))]
        lacks = next((name for name in level.needs if name not in passed), "")
        result = Result(level, failures, lacks)
        if result.passed:
            passed.add(level.name)
        yield result


def _why_not(case: Case, pdp: Pdp) -> str:
    try:
        case.check(pdp)
    except Failed as failed:
        return str(failed)
    except (KeyError, TypeError, AttributeError) as error:  # an answer of a shape that nobody thought of
        return f"the answer cannot be read: {type(error).__name__} {error}"
    return ""


def table(results: Sequence[Result]) -> str:
    """A line for each level, one for each case that failed below it, and how many levels passed."""
    lines = [f"{'level':<18} {'result':<7} cases"]
    for result in results:
        whole = len(result.level.cases)
        said = "passed" if result.passed else "failed"
        lines.append(f"{result.level.name:<18} {said:<7} {whole - len(result.failures)} of {whole}")
        lines += [f"    {case.section} {case.title}: {why}" for case, why in result.failures]
        lines += [f"    needs {result.lacks}, which did not pass"] if result.lacks else []
    passed = sum(result.passed for result in results)
    return "\n".join([*lines, f"{passed} of {len(results)} levels passed"])
