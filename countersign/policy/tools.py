"""What people register about a tool in (approval, caps, argument schema and rules), checked values out."""

import re
from collections.abc import Callable, Collection, Hashable, Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from decimal import Decimal
from enum import StrEnum
from typing import Any, TypeAlias

import jsonschema_rs

from countersign.inspection import endpoints, sql
from countersign.policy.faults import Fault, Form, InvalidError, Path, did_you_mean
from countersign.policy.values import Caps, RateCap, Requirement, SpendCap, StepUp, Tier, TokenCap, tier_step_up

MAX_QUORUM = 20
MAX_USES = 1000
MAX_WAIT = timedelta(days=30)
MAX_TOKENS = 10**12
APPROVAL_KEYS = ("teams", "quorum", "step_up", "expires_in", "approved_for", "uses")

People: TypeAlias = Mapping[str, Collection[Hashable]]
"""Who is eligible, by team."""

_DRAFT = "https://json-schema.org/draft/2020-12/schema"
_PATTERNS = jsonschema_rs.RegexOptions(size_limit=1 << 20, dfa_size_limit=1 << 20)  # linear in the input, K147
_MAX_SCHEMA_DEPTH = 40
_RATE = re.compile(r"([1-9][0-9]{0,8})/(second|minute|hour|day)\Z")
_SECONDS = {"second": 1, "minute": 60, "hour": 3600, "day": 86400}
_MONEY = re.compile(r"[0-9]{1,15}(?:\.[0-9]{1,6})?\Z")
_CURRENCY = re.compile(r"[A-Z]{3}\Z")


class Share(StrEnum):
    """Whether the agents of a tenant share a tool's caps."""

    TOOL = "tool"
    AGENT = "agent"


@dataclass(frozen=True, slots=True)
class ArgumentRule:
    """A check of one argument's style. `refusal` answers why a text is refused, without quoting it, or None."""

    argument: str
    refusal: Callable[[str], str | None]

    def refuses(self, arguments: Mapping[str, Any]) -> str | None:
        """Why these arguments break the rule, or None. An absent argument breaks nothing: the schema demands it."""
        if self.argument not in arguments:
            return None
        value = arguments[self.argument]
        for text in value if isinstance(value, list) else (value,):
            why = self.refusal(text) if isinstance(text, str) else "it is not text"
            if why is not None:
                return f"Argument {self.argument!r}: {why}."
        return None


def parse_approval(mapping: Mapping[str, Any], *, tier: Tier | None, source: str) -> Requirement:
    """An approval block as a requirement. Raises InvalidError.

    A block without `step_up` takes the default of `tier`. A tool's block (`source="tool"`) may carry `always`.
    """
    form = Form()
    known = (*APPROVAL_KEYS, "always") if source == "tool" else APPROVAL_KEYS
    block = form.mapping(mapping, (), known=known, required=("teams",))
    if "always" in block and source == "tool":
        form.flag(block["always"], ("always",))
    default = tier_step_up(tier) if tier is not None else StepUp.NONE
    requirement = Requirement(
        source=source,
        teams=form.texts(block["teams"], ("teams",)) if "teams" in block else (),
        quorum=form.whole(block.get("quorum", 1), ("quorum",), least=1, most=MAX_QUORUM),
        step_up=_step_up(form, block["step_up"], default) if "step_up" in block else default,
        expires_in=form.duration(block.get("expires_in", "15m"), ("expires_in",), most=MAX_WAIT),
        approved_for=form.duration(block.get("approved_for", "10m"), ("approved_for",), most=MAX_WAIT),
        uses=form.whole(block.get("uses", 1), ("uses",), least=1, most=MAX_USES),
    )
    form.settle()
    return requirement


def _step_up(form: Form, value: object, default: StepUp) -> StepUp:
    """One that people can pass. A request that no vote could ever meet would only look like a safeguard."""
    chosen = form.choice(value, ("step_up",), StepUp)
    if chosen is StepUp.WEBAUTHN:
        form.refuse(("step_up",), "nobody can meet 'webauthn' yet: security keys cannot be enrolled; use 'totp'")
    return chosen or default


def parse_caps(mapping: Mapping[str, Any]) -> Caps:
    """A caps block as values. Raises InvalidError."""
    form = Form()
    block = form.mapping(mapping, (), known=("rate", "spend", "tokens", "per"))
    caps = Caps(
        rates=_rates(form, block["rate"]) if "rate" in block else (),
        spend=_spend(form, block["spend"]) if "spend" in block else None,
        tokens=_tokens(form, block["tokens"]) if "tokens" in block else None,
        shared=form.choice(block["per"], ("per",), Share) is Share.TOOL if "per" in block else False,
    )
    form.settle()
    return caps


def _rates(form: Form, value: object) -> tuple[RateCap, ...]:
    rates: list[RateCap] = []
    for n, text in enumerate([value] if isinstance(value, str) else form.items(value, ("rate",))):
        path: Path = ("rate",) if isinstance(value, str) else ("rate", n)
        found = _RATE.match(text) if isinstance(text, str) else None
        if found is None:
            form.refuse(path, "expected a rate such as 30/minute (second, minute, hour, day)")
        elif any(rate.seconds == _SECONDS[found[2]] for rate in rates):
            form.refuse(path, f"there is already a rate per {found[2]}")
        else:
            rates.append(RateCap(limit=int(found[1]), seconds=_SECONDS[found[2]]))
    return tuple(rates)


def _spend(form: Form, value: object) -> SpendCap:
    path = ("spend",)
    block = form.mapping(
        value, path, known=("argument", "per_call", "per_day", "currency"), required=("argument", "currency")
    )
    if isinstance(value, Mapping) and not {"per_call", "per_day"} & set(block):
        form.refuse(path, "needs 'per_call', 'per_day' or both")
    currency = form.text(block["currency"], (*path, "currency")) if "currency" in block else ""
    if currency and not _CURRENCY.match(currency):
        form.refuse((*path, "currency"), "expected a currency code of three capital letters, such as EUR")
    return SpendCap(
        argument=form.text(block["argument"], (*path, "argument")) if "argument" in block else "",
        per_call=_money(form, block["per_call"], (*path, "per_call")) if "per_call" in block else None,
        per_day=_money(form, block["per_day"], (*path, "per_day")) if "per_day" in block else None,
        currency=currency,
    )


def _money(form: Form, value: object, path: Path) -> Decimal | None:
    if isinstance(value, str) and _MONEY.match(value) and Decimal(value) > 0:
        return Decimal(value)
    form.refuse(path, 'expected money as text in quotes, such as "1000.00", above zero')
    return None


def _tokens(form: Form, value: object) -> TokenCap:
    block = form.mapping(value, ("tokens",), known=("per_call", "per_day"))
    if isinstance(value, Mapping) and not {"per_call", "per_day"} & set(block):
        form.refuse(("tokens",), "needs 'per_call', 'per_day' or both")
    read = {
        name: form.whole(block[name], ("tokens", name), least=1, most=MAX_TOKENS)
        for name in ("per_call", "per_day")
        if name in block
    }
    return TokenCap(per_call=read.get("per_call"), per_day=read.get("per_day"))


def check_schema(arguments_schema: Any) -> jsonschema_rs.Draft202012Validator:
    """A JSON Schema 2020-12 compiled: patterns in linear time, no remote `$ref`, no unknown format. InvalidError."""
    form = Form()
    if not isinstance(arguments_schema, Mapping):
        form.expected((), "a mapping", arguments_schema)
    elif arguments_schema.get("$schema", _DRAFT) not in (_DRAFT, f"{_DRAFT}#"):
        form.refuse(("$schema",), f"only {_DRAFT} is understood")
    _refuse_remote(form, arguments_schema, ())
    form.settle()
    try:
        return jsonschema_rs.Draft202012Validator(
            dict(arguments_schema),
            pattern_options=_PATTERNS,
            validate_formats=True,
            ignore_unknown_formats=False,
            offline=True,
        )
    except jsonschema_rs.ValidationError as error:
        raise InvalidError([Fault(tuple(error.instance_path), f"not a valid JSON Schema: {error.message}")]) from None
    except (ValueError, TypeError, RecursionError) as error:
        raise InvalidError([Fault((), f"not a valid JSON Schema: {error}")]) from None


def _refuse_remote(form: Form, value: object, path: Path) -> None:
    if len(path) > _MAX_SCHEMA_DEPTH:
        form.refuse(path[:_MAX_SCHEMA_DEPTH], f"nested deeper than {_MAX_SCHEMA_DEPTH} levels")
        return
    if isinstance(value, Mapping):
        for name, child in value.items():
            if name in ("$ref", "$dynamicRef") and isinstance(child, str) and not child.startswith("#"):
                form.refuse((*path, name), "a reference must stay inside the schema and start with #")
            _refuse_remote(form, child, (*path, name))
    elif isinstance(value, (list, tuple)):
        for n, child in enumerate(value):
            _refuse_remote(form, child, (*path, n))


def check_argument_rules(rules: Sequence[Mapping[str, Any]]) -> tuple[ArgumentRule, ...]:
    """Argument rules compiled. Raises InvalidError."""
    form = Form()
    compiled: list[ArgumentRule] = []
    for n, value in enumerate(form.items(rules, ())):
        rule = form.mapping(value, (n,), known=("argument", "sql", "endpoints"), required=("argument",))
        argument = form.text(rule["argument"], (n, "argument")) if "argument" in rule else ""
        if isinstance(value, Mapping) and not {"sql", "endpoints"} & set(rule):
            form.refuse((n,), "needs 'sql', 'endpoints' or both")
        if "sql" in rule and (kinds := _sql(form, rule["sql"], (n, "sql"))):
            compiled.append(ArgumentRule(argument, sql.Statements(kinds).refusal))
        if "endpoints" in rule and (allowed := _endpoints(form, rule["endpoints"], (n, "endpoints"))):
            compiled.append(ArgumentRule(argument, allowed.refusal))
    form.settle()
    return tuple(compiled)


def _sql(form: Form, value: object, path: Path) -> frozenset[sql.Kind]:
    kinds = [form.choice(word, (*path, n), sql.Kind) for n, word in enumerate(form.items(value, path))]
    if not kinds:
        form.refuse(path, "the list must not be empty")
    return frozenset(kind for kind in kinds if kind)


def _endpoints(form: Form, value: object, path: Path) -> endpoints.Endpoints | None:
    block = form.mapping(value, path, known=("allow", "deny"), required=("allow",))
    before = len(form.faults)
    allow = form.texts(block.get("allow", ()), (*path, "allow")) if "allow" in block else ()
    deny = form.texts(block["deny"], (*path, "deny")) if "deny" in block else ()
    for name, globs in (("allow", allow), ("deny", deny)):
        for n, glob in enumerate(globs):
            if why := endpoints.unusable(glob, allow=name == "allow"):
                form.refuse((*path, name, n), why)
    return endpoints.Endpoints(allow=allow, deny=deny) if len(form.faults) == before else None


def check_teams(requirement: Requirement, people: People) -> None:
    """Refuse unknown teams and a quorum that the eligible people of all its teams cannot reach. InvalidError."""
    form = Form()
    for n, team in enumerate(requirement.teams):
        if team not in people:
            form.refuse(("teams", n), f"no team {team!r} exists{did_you_mean(team, people)}")
    could = len(everybody(requirement, people))
    if not form.faults and could < requirement.quorum:
        form.refuse(("quorum",), f"{requirement.quorum} must agree but only {could} could")
    form.settle()


def everybody(requirement: Requirement, people: People) -> frozenset[Hashable]:
    """Who is eligible in any of the requirement's teams, each once; separation of duties aside."""
    return frozenset[Hashable]().union(*(people.get(team, ()) for team in requirement.teams))
