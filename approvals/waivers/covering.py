"""Terms and a time in; how many of the calls that their rules held up since then they would have let through, out.

Whom, what and how is told by the records. Intents, principals and conditions look at what is kept beside them; calls
of which nothing is kept any more are counted apart.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any, Final

from approvals.display import Kind, Line, flattened
from approvals.waivers import traffic
from approvals.waivers.traffic import HeldUp
from countersign.inspection.redact import redact_value
from countersign.policy import cel, waiver_terms
from countersign.policy.bundle import Bundle
from countersign.policy.cel import Condition, ConditionError, Environment, EvaluationError
from countersign.policy.evaluate import facts_of
from countersign.policy.index import Index
from countersign.policy.rules import Match
from countersign.policy.values import EMPTY, Call, Principal
from countersign.policy.waiver_terms import CONDITION_SEES, Terms
from evidence import kept, keys
from evidence.kept import Kept
from registry import snapshot
from registry.models import Tenant

SAMPLES: Final = 3
OPENED: Final = 2_000
"""Calls whose kept arguments one look opens at most, the newest: the rest count as not judged."""

_KEPT_SEE: Final = CONDITION_SEES - {"session", "context"}
"""What conditions can look at in what is kept; the rest of a question is not."""
_AT_ONCE = 500


@dataclass(frozen=True, slots=True)
class Sample:
    """One call that would have been covered; `arguments` as approvers are shown them, secrets taken out, None if they
    are not kept.
    """

    evaluation_id: str
    at: datetime
    agent: str
    tool: str
    method: str
    arguments: Sequence[Line] | None


@dataclass(frozen=True, slots=True)
class Covered:
    """`number` calls, each once however often it was asked again, and up to three of them, the newest first.

    `unjudged` more fit by their names, but what the terms say of them cannot be judged any more. Counted among the
    `looked_at` of the `there` records since then; `is_whole` if those are all.
    """

    number: int
    samples: tuple[Sample, ...]
    unjudged: int
    since: datetime
    there: int
    looked_at: int

    @property
    def is_whole(self) -> bool:
        """Whether all records of that time were looked at; if not, the numbers are those of a sample."""
        return self.looked_at == self.there


def covered(tenant: Tenant, terms: Terms | Mapping[str, Any], *, since: datetime) -> Covered:
    """Reads sealed records, at most `traffic.LOOKED_AT`. Raises InvalidError on a mapping that is no terms."""
    wanted = terms if isinstance(terms, Terms) else waiver_terms.read(terms)
    seen = traffic.look(tenant.slug, since=since)
    bundle = snapshot.current(tenant.slug).bundle
    named = _named(seen.calls, wanted, bundle)
    needs_kept = wanted.match.intents or wanted.principals is not None or wanted.condition is not None
    found, unjudged = _judged(tenant.slug, named, wanted, bundle) if needs_kept else (named, 0)
    samples = _samples(tenant.slug, found[:SAMPLES])
    return Covered(len(found), samples, unjudged, since, seen.there, seen.looked_at)


def _named(calls: Sequence[HeldUp], terms: Terms, bundle: Bundle) -> list[HeldUp]:
    """Those of these agents, tools and methods, registered now, in whose way was nothing but these rules."""
    observing = {rule.id for rule in bundle.policy.rules if not rule.binds}
    lifted = set(terms.rules)
    index = Index([_Named(replace(terms.match, intents=None))])
    found = []
    for one in calls:
        in_the_way = one.rules - observing
        if not in_the_way or not in_the_way <= lifted or not _is_registered(one, bundle):
            continue
        if index.candidates(one.subject, one.method, one.resource, ""):
            found.append(one)
    return found


@dataclass(frozen=True, slots=True)
class _Named:
    match: Match


def _is_registered(one: HeldUp, bundle: Bundle) -> bool:
    (subject_type, subject_id), (resource_type, resource_id) = one.subject, one.resource
    return (subject_type != "agent" or subject_id in bundle.agents) and (
        resource_type != "tool" or resource_id in bundle.tools
    )


# --- what only the kept arguments tell


def _judged(log: str, calls: Sequence[HeldUp], terms: Terms, bundle: Bundle) -> tuple[list[HeldUp], int]:
    """Those that the terms cover, and how many of these calls nobody can judge."""
    check = _of_what_is_kept(terms.condition)
    if check is None:
        return [], len(calls)
    judge = _Judge(terms, bundle, Index([terms]), check)
    found, opened = [], 0
    for at in range(0, min(len(calls), OPENED), _AT_ONCE):
        some = calls[at : min(at + _AT_ONCE, OPENED)]
        boxes = _kept(log, some)
        opened += len(boxes)
        found += [one for one in some if one.commitment in boxes and judge.covers(one, boxes[one.commitment])]
    return found, len(calls) - opened


@dataclass(frozen=True, slots=True)
class _Judge:
    terms: Terms
    bundle: Bundle
    index: Index[Terms]
    check: Callable[[Environment], bool]

    def covers(self, one: HeldUp, box: Kept) -> bool:
        """Intent, principal and condition, of what is kept. A condition that errors is not true."""
        call, principals = _call(box), self.terms.principals
        if not self.index.candidates(one.subject, one.method, one.resource, call.intent or ""):
            return False
        if principals is not None and (call.principal is None or call.principal.id not in principals):
            return False
        try:
            return self.check(facts_of(self.bundle, call, now=one.at))
        except EvaluationError:
            return False


def _of_what_is_kept(condition: Condition | None) -> Callable[[Environment], bool] | None:
    """Its check; None if it looks at more of a question than is kept."""
    if condition is None:
        return lambda _: True
    try:
        return cel.compile_condition(condition.text, variables=_KEPT_SEE).check
    except ConditionError:
        return None


def _call(box: Kept) -> Call:
    """The call as far as its action binds it."""
    action = box.action
    subject, method, resource = action["subject"], action["action"], action["resource"]
    principal = action.get("principal")
    return Call(
        subject_type=subject["type"],
        subject_id=subject["id"],
        action_name=method["name"],
        resource_type=resource["type"],
        resource_id=resource["id"],
        arguments=box.arguments,
        arguments_digest=action["arguments_digest"],
        action=action,
        action_digest="",
        intent=action.get("intent"),
        principal=Principal(principal["type"], principal["id"], principal.get("verified", False))
        if principal
        else None,
        transaction=action.get("transaction"),
        environment=action.get("environment", EMPTY),
        subject_properties=subject.get("properties", EMPTY),
        action_properties=method.get("properties", EMPTY),
        resource_properties=resource.get("properties", EMPTY),
    )


def _kept(log: str, calls: Sequence[HeldUp]) -> Mapping[str, Kept]:
    try:
        return kept.read_many(log, [one.commitment for one in calls])
    except keys.CannotUnseal:  # a row changed by hand: the audit tells; here its neighbours go unjudged with it
        return {}


# --- samples


def _samples(log: str, calls: Sequence[HeldUp]) -> tuple[Sample, ...]:
    boxes = _kept(log, calls)
    return tuple(
        Sample(
            one.evaluation_id, one.at, _words(one.subject, "agent"), _words(one.resource, "tool"), one.method,
            _shown(boxes[one.commitment].arguments) if one.commitment in boxes else None,
        )
        for one in calls
    )  # fmt: skip


def _words(entity: tuple[str, str], usual: str) -> str:
    kind, name = entity
    return name if kind == usual else f"{kind}:{name}"


def _shown(arguments: Mapping[str, Any]) -> Sequence[Line]:
    clean, _ = redact_value(arguments)
    return list(flattened("arguments", clean, Kind.ARGUMENT))
