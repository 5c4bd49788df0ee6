"""A server in, what it passed of each level out; and the same as a table."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from tests.authzen_conformance.cases import LEVELS, Case, Level
from tests.authzen_conformance.pdp import PARAMETERS, Failed, Pdp


@dataclass(frozen=True)
class Result:
    """One level: the cases that failed, each with why, the level it needs that did not pass, and what the server lacks."""

    level: Level
    failures: Sequence[tuple[Case, str]]
    lacks: str = ""
    absent: Sequence[str] = ()

    @property
    def passed(self) -> bool:
        return not self.failures and not self.lacks and not self.absent


def levels(pdp: Pdp) -> Iterator[Result]:
    """Every level, in order; one that fails does not keep the others from being looked at."""
    passed: set[str] = set()
    for level in LEVELS:
        absent = _absent(level, pdp)
        if absent:
            yield Result(level, (), absent=absent)
            continue
        failures = [(case, why) for case in level.cases if (why := _why_not(case, pdp))]
        lacks = next((name for name in level.needs if name not in passed), "")
        result = Result(level, failures, lacks)
        if result.passed:
            passed.add(level.name)
        yield result


def _absent(level: Level, pdp: Pdp) -> Sequence[str]:
    """The parameters of what the level asks, where the server's own metadata name none of it: nothing is tried then."""
    try:
        return [PARAMETERS[api] for api in level.asks] if all(map(pdp.leaves_out, level.asks)) and level.asks else []
    except Failed:
        return []


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
        if result.absent:
            lines.append(f"{result.level.name:<18} {'absent':<7} the metadata name no {' or '.join(result.absent)}")
            continue
        whole = len(result.level.cases)
        said = "passed" if result.passed else "failed"
        lines.append(f"{result.level.name:<18} {said:<7} {whole - len(result.failures)} of {whole}")
        lines += [f"    {case.section} {case.title}: {why}" for case, why in result.failures]
        lines += [f"    needs {result.lacks}, which did not pass"] if result.lacks else []
    passed = sum(result.passed for result in results)
    return "\n".join([*lines, f"{passed} of {len(results)} levels passed"])
