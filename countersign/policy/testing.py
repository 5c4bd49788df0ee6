"""A policy with tests and a registry in, what each test saw out, or a problem with its place for each that failed."""

from dataclasses import dataclass

from countersign.policy import bundle, source
from countersign.policy.bundle import Bundle
from countersign.policy.cases import Case
from countersign.policy.cel import EvaluationError
from countersign.policy.compile import Policy
from countersign.policy.evaluate import evaluate, unanswered
from countersign.policy.orderings import orderings
from countersign.policy.rules import Rule
from countersign.policy.source import Problem
from countersign.policy.values import Agent, Call, Registry, Requirement, Tier, Tool, Verdict

ASSUMED_TEAM = "whoever-approves"


@dataclass(frozen=True, slots=True)
class Result:
    """One test and the verdict it got; `differences` in words, empty if it passed."""

    case: Case
    verdict: Verdict
    differences: tuple[str, ...]

    @property
    def passed(self) -> bool:
        return not self.differences


def run(policy: Policy, registry: Registry) -> tuple[Result, ...]:
    """Judge each test's call. Mode does not matter: an outcome is what enforcing would mean."""
    judged = bundle.build(policy, registry)
    return tuple(_run(judged, case) for case in policy.tests)


def problems(policy: Policy, registry: Registry, *, file: str) -> list[Problem]:
    """One for each failed test, where it is written."""
    failed = [(n, result) for n, result in enumerate(run(policy, registry)) if not result.passed]
    if not failed:
        return []
    root, _ = source.read(policy.source, file=file)
    return [
        Problem(file, *root.place(("tests", n)), f"test {result.case.name!r} fails: {'; '.join(result.differences)}")
        for n, result in failed
    ]


def _run(judged: Bundle, case: Case) -> Result:
    verdict = evaluate(judged, case.call, now=case.now)
    differences = _differences(case, verdict)
    if differences and not verdict.registry_denied:
        differences += [
            f"condition of {rule.id} failed: {_why_failed(rule, case.call, error)}"
            for rule, error in unanswered(judged, case.call, now=case.now)
        ]
    return Result(case, verdict, tuple(differences))


def _why_failed(rule: Rule, call: Call, error: EvaluationError) -> str:
    """In words that hold no value of the arguments."""
    taken = orderings(rule.condition.text) if rule.condition else ()
    text = (one for one in taken if isinstance(one.within(call.arguments), str))
    found = next(text, None) if str(error).startswith("no such overload") else None
    return found.of_text() if found else str(error)


def assumed_registry(policy: Policy) -> Registry:
    """A registry in which every agent, tool and method that a test names exists and may be used.

    For testing rules alone: any intent, any group, tier 1, no schema, and some team that could approve.
    """
    calls = [case.call for case in policy.tests]
    agents = {call.subject_id for call in calls if call.subject_type == "agent"}
    tools: dict[str, set[str]] = {}
    for call in calls:
        if call.resource_type == "tool":
            tools.setdefault(call.resource_id, set()).add(call.action_name)
    approval = Requirement(source="tool", teams=(ASSUMED_TEAM,))
    return Registry(
        tenant="",
        revision=0,
        agents={name: Agent(name, "", "", intents=("**",), tool_groups=("**",)) for name in agents},
        tools={
            name: Tool(name, "assumed", "", Tier.LOW, methods=tuple(sorted(methods)), approval=approval)
            for name, methods in tools.items()
        },
    )


def _differences(case: Case, verdict: Verdict) -> list[str]:
    found = []
    if verdict.outcome is not case.expect:
        found.append(f"expected {case.expect}, got {verdict.outcome} ({_why(verdict)})")
    if case.rule is not None and case.rule not in _rules(verdict):
        found.append(f"expected rule {case.rule!r} to speak, but {_speakers(verdict)}")
    if case.reason is not None and verdict.reason is not case.reason:
        found.append(f"expected reason {case.reason}, got {verdict.reason}")
    return found


def _rules(verdict: Verdict) -> list[str]:
    """The rules that spoke, observing ones included."""
    return [because.rule for because in verdict.reasons if because.rule]


def _speakers(verdict: Verdict) -> str:
    rules = _rules(verdict)
    return f"{', '.join(map(repr, rules))} did" if rules else f"no rule did ({verdict.reason})"


def _why(verdict: Verdict) -> str:
    return " ".join(because.message for because in verdict.reasons)
