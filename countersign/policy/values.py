"""The words policy is spoken in: frozen registry values, calls and verdicts. No behaviour beyond construction."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from decimal import Decimal
from enum import IntEnum, StrEnum
from typing import Any, NoReturn


class _Empty(dict[str, Any]):
    """A dict that stays empty: hashable, as dataclass defaults must be, and JSON encoders know what to do with it."""

    __slots__ = ()
    __hash__ = object.__hash__  # type: ignore[assignment]  # dict sets it to None

    def __setitem__(self, *_: object, **__: object) -> NoReturn:
        raise TypeError("the shared empty map cannot be written to")

    setdefault = update = __ior__ = __setitem__  # whatever is given is refused


EMPTY: Mapping[str, Any] = _Empty()


class Outcome(StrEnum):
    """What the PDP says of one call."""

    ALLOW = "allow"
    DENY = "deny"
    ESCALATE = "escalate"


class Mode(StrEnum):
    """Whether a verdict binds (`enforce`) or is only told (`observe`)."""

    OBSERVE = "observe"
    ENFORCE = "enforce"


class StepUp(StrEnum):
    """The fresh authentication one vote needs, weakest first."""

    NONE = "none"
    TOTP = "totp"
    WEBAUTHN = "webauthn"


class Tier(IntEnum):
    """Risk tier of a tool."""

    LOW = 1
    MODERATE = 2
    HIGH = 3
    CRITICAL = 4


class Reason(StrEnum):
    """The closed list of reason codes; it grows at the end and nothing in it changes its meaning."""

    NO_RULE = "no_rule"
    RULE = "rule"
    UNKNOWN_AGENT = "unknown_agent"
    AGENT_INACTIVE = "agent_inactive"
    UNKNOWN_TOOL = "unknown_tool"
    TOOL_INACTIVE = "tool_inactive"
    TOOL_GROUP = "tool_group"
    METHOD = "method"
    INTENT = "intent"
    ARGUMENTS_SCHEMA = "arguments_schema"
    ARGUMENT_RULE = "argument_rule"
    DATA_CLASS = "data_class"
    PRINCIPAL = "principal"
    RATE_CAP = "rate_cap"
    SPEND_CAP = "spend_cap"
    TOKEN_CAP = "token_cap"
    RISK_BLOCK = "risk_block"
    RISK_REVIEW = "risk_review"
    INSPECTION = "inspection"
    SESSION_TAINT = "session_taint"
    LOOP = "loop"
    APPROVAL_REQUIRED = "approval_required"
    APPROVAL_EXPIRED = "approval_expired"
    APPROVAL_USED = "approval_used"
    OUT_OF_SCOPE = "out_of_scope"
    APPROVAL_UNVERIFIABLE = "approval_unverifiable"
    WAIVER = "waiver"
    POLICY_DENIED = "policy_denied"
    APPROVAL_AVAILABLE = "approval_available"
    GRANT_PENDING = "grant_pending"
    UNAVAILABLE = "unavailable"
    OBLIGATION_UNSUPPORTED = "obligation_unsupported"
    UNRECONCILED = "unreconciled"


@dataclass(frozen=True, slots=True)
class Requirement:
    """Who must agree before an escalated call may run.

    `source` is `tool` or `rule:<id>` (several joined by `,` after a merge). Times are durations from the opening of
    the request (`expires_in`) and from its approval (`approved_for`).
    """

    source: str
    teams: tuple[str, ...]
    quorum: int = 1
    step_up: StepUp = StepUp.NONE
    expires_in: timedelta = timedelta(minutes=15)
    approved_for: timedelta = timedelta(minutes=10)
    uses: int = 1


@dataclass(frozen=True, slots=True)
class RateCap:
    """At most `limit` allowed calls in each window of `seconds`, windows cut by the database's clock."""

    limit: int
    seconds: int


@dataclass(frozen=True, slots=True)
class SpendCap:
    """Decimal money taken from one argument: at most `per_call` a call and `per_day` a UTC day, in `currency`."""

    argument: str
    per_call: Decimal | None
    per_day: Decimal | None
    currency: str


@dataclass(frozen=True, slots=True)
class TokenCap:
    """Model tokens the caller declares in `context.usage.tokens`."""

    per_call: int | None
    per_day: int | None


@dataclass(frozen=True, slots=True)
class Caps:
    """All caps of one tool. `shared` counts all agents together (`per: tool`), else each agent apart."""

    rates: tuple[RateCap, ...] = ()
    spend: SpendCap | None = None
    tokens: TokenCap | None = None
    shared: bool = False

    def __bool__(self) -> bool:
        return bool(self.rates or self.spend or self.tokens)


@dataclass(frozen=True, slots=True)
class Agent:
    """A registered non-human caller. `owner` is a username; `intents` and `tool_groups` are globs."""

    id: str
    owner: str
    team: str
    intents: tuple[str, ...]
    tool_groups: tuple[str, ...]
    active: bool = True


@dataclass(frozen=True, slots=True)
class Tool:
    """A registered capability, as people registered it. Plain data: what is compiled from it lives in the bundle."""

    id: str
    group: str
    owner: str
    risk_tier: Tier
    methods: tuple[str, ...]
    data_classes: tuple[str, ...] = ()
    caps: Caps = Caps()
    arguments_schema: Mapping[str, Any] | None = None
    argument_rules: tuple[Mapping[str, Any], ...] = ()
    approval: Requirement | None = None
    always_escalates: bool = False
    requires_verified_principal: bool = False
    active: bool = True
    descriptor_digest: str | None = None
    wrapper: bool = False  # runs whatever it is given (a shell, an interpreter, any URL): its name says little


@dataclass(frozen=True, slots=True)
class Entity:
    """One row of the catalogue for subject and resource types other than agent and tool."""

    type: str
    id: str
    properties: Mapping[str, Any] = EMPTY


@dataclass(frozen=True, slots=True)
class Registry:
    """What exists in one tenant at one registry revision."""

    tenant: str
    revision: int
    agents: Mapping[str, Agent] = field(default_factory=dict)
    tools: Mapping[str, Tool] = field(default_factory=dict)
    entities: Mapping[tuple[str, str], Entity] = field(default_factory=dict)
    people: tuple[str, ...] = ()  # user names of active members: searched for, never judged by


@dataclass(frozen=True, slots=True)
class Principal:
    """A person or workload an agent acts for. `verified` only if a token of a configured issuer proved it."""

    type: str
    id: str
    verified: bool = False


@dataclass(slots=True)
class Call:
    """One question to the PDP, parsed and digested. Treated as immutable; not frozen because it is built per call
    on the hot path and a frozen dataclass costs three times as much to construct.
    """

    subject_type: str
    subject_id: str
    action_name: str
    resource_type: str
    resource_id: str
    arguments: Mapping[str, Any]
    arguments_digest: str
    action: Mapping[str, Any]  # the closed action object, tenant included
    action_digest: str
    intent: str | None = None
    principal: Principal | None = None
    session: str | None = None
    transaction: str | None = None
    environment: Mapping[str, Any] = EMPTY
    usage: Mapping[str, Any] = EMPTY
    subject_properties: Mapping[str, Any] = EMPTY
    action_properties: Mapping[str, Any] = EMPTY
    resource_properties: Mapping[str, Any] = EMPTY
    context: Mapping[str, Any] = EMPTY


@dataclass(frozen=True, slots=True)
class Because:
    """One reason, for people: code, the rule that said so if any, and its words."""

    code: Reason
    message: str
    rule: str | None = None


@dataclass(frozen=True, slots=True)
class RiskFactor:
    """One named share of a risk score."""

    name: str
    points: int


@dataclass(frozen=True, slots=True)
class Risk:
    """Score 0–100 and what it is made of."""

    score: int
    factors: tuple[RiskFactor, ...]


@dataclass(frozen=True, slots=True)
class Verdict:
    """What policy says of a call, before approvals and caps.

    `outcome` is what would happen under `enforce`; `mode` says whether it binds. `registry_denied` marks a denial that
    `observe` does not relax. `requirements` is empty unless `outcome` is escalate; an escalation nobody can answer is
    a denial, never an escalation. `held_up` says that a rule stands in the way, which a waiver might lift: it is asked
    of every call, so it is worked out once.
    """

    outcome: Outcome
    reason: Reason
    reasons: tuple[Because, ...]
    mode: Mode = Mode.ENFORCE
    registry_denied: bool = False
    rule: str | None = None
    requirements: tuple[Requirement, ...] = ()
    obligations: tuple[Mapping[str, Any], ...] = ()
    risk: Risk | None = None
    held_up: bool = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        binds = self.outcome is not Outcome.ALLOW and self.mode is not Mode.OBSERVE
        object.__setattr__(self, "held_up", self.rule is not None and binds)


def tier_step_up(tier: Tier) -> StepUp:
    """Default step-up when an approval block names none: none, none, totp, totp for tiers 1 to 4."""
    return StepUp.TOTP if tier >= Tier.HIGH else StepUp.NONE


JSON = Mapping[str, Any] | Sequence[Any] | str | int | float | bool | None
