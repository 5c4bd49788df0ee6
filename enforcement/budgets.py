"""A tool's caps and a call in, what the call asks of which counter out; and a fair sharing of what is left. Pure.

Money is counted in whole millionths of its currency, so that it adds up exactly.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from decimal import ROUND_CEILING, Decimal
from typing import NamedTuple

from countersign.policy.money import parse_amount
from countersign.policy.values import Because, Call, Caps, Reason, SpendCap, TokenCap

DAY = 86_400
_MILLIONTHS = Decimal(10**6)
_MOST = 10**18  # fits the column with room to spare; a cap beyond it is this

Place = tuple[int, str]
"""Tenant and counter key. The window follows from the key and the time, which are one for a whole batch."""


class Demand(NamedTuple):
    """What one call asks of one counter: `amount` more in the present window of `seconds`, at most `limit` in all."""

    tenant_id: int
    key: str
    cap: Reason
    seconds: int
    limit: int
    amount: int
    words: str  # names no limit: an agent could feel thresholds out by it

    @property
    def place(self) -> Place:
        return (self.tenant_id, self.key)

    @property
    def refusal(self) -> Because:
        """What its caller is told when the counter has too little left."""
        return Because(self.cap, self.words)


@dataclass(frozen=True, slots=True)
class Asks:
    """What one call asks of the counters, and why it is over a cap whatever they say."""

    demands: tuple[Demand, ...] = ()
    refusal: Because | None = None


NOTHING = Asks()


def asks(caps: Caps, call: Call, *, tenant_id: int) -> Asks:
    """All that the caps of a tool say of one call. Sorted by counter: the order in which rows are locked."""
    who = "" if caps.shared else call.subject_id
    where = f"{len(who)}:{who} {call.resource_id}"
    demands = [
        Demand(
            tenant_id, f"rate/{rate.seconds} {where}", Reason.RATE_CAP, rate.seconds, rate.limit, 1,
            "This tool has been called as often as it may be for now.",
        )
        for rate in caps.rates
    ]  # fmt: skip
    refusal = None
    if caps.spend is not None:
        spent = _spend(caps.spend, call, tenant_id, where)
        refusal = spent.refusal
        demands += spent.demands
    if caps.tokens is not None:
        used = _tokens(caps.tokens, call, tenant_id, where)
        refusal = refusal or used.refusal
        demands += used.demands
    demands.sort()
    return Asks(tuple(demands), refusal)


def _spend(cap: SpendCap, call: Call, tenant_id: int, where: str) -> Asks:
    """An amount that cannot be read cannot be counted, and what cannot be counted is over the cap."""
    amount = parse_amount(call.arguments.get(cap.argument))
    if amount is None:
        words = f"Argument {cap.argument!r} holds no amount of money that could be counted."
        return Asks(refusal=Because(Reason.SPEND_CAP, words))
    millionths = min(_millionths(amount), _MOST)
    refusal = None
    if cap.per_call is not None and amount > cap.per_call:
        refusal = Because(Reason.SPEND_CAP, "This tool may not spend that much in one call.")
    if cap.per_day is None:
        return Asks((), refusal)
    demand = Demand(
        tenant_id, f"spend/{cap.currency} {where}", Reason.SPEND_CAP, DAY, min(_millionths(cap.per_day), _MOST),
        millionths, "What this tool may spend today is used up.",
    )  # fmt: skip
    return Asks((demand,), refusal)


def _tokens(cap: TokenCap, call: Call, tenant_id: int, where: str) -> Asks:
    tokens = min(call.usage.get("tokens", 0), _MOST)
    refusal = None
    if cap.per_call is not None and tokens > cap.per_call:
        refusal = Because(Reason.TOKEN_CAP, "This call would use more tokens than one call may.")
    if cap.per_day is None or not tokens:
        return Asks((), refusal)
    words = "The tokens this tool may use today are used up."
    return Asks((Demand(tenant_id, f"tokens {where}", Reason.TOKEN_CAP, DAY, cap.per_day, tokens, words),), refusal)


def _millionths(amount: Decimal) -> int:
    """Rounded up: a fraction of a millionth is never free."""
    return int((amount * _MILLIONTHS).to_integral_value(rounding=ROUND_CEILING))


class Claim(NamedTuple):
    """The demands of one call; all are met or none. One that is not `enforced` is counted even where it is over."""

    demands: Sequence[Demand]
    enforced: bool = True


def share_out(claims: Iterable[Claim], used: dict[Place, int]) -> list[Demand | None]:
    """The demand that each claim fails on, or None if it is met. Adds to `used` what is taken, in order."""
    return [_take(claim, used) for claim in claims]


def _take(claim: Claim, used: dict[Place, int]) -> Demand | None:
    failed = next((one for one in claim.demands if used[one.place] + one.amount > one.limit), None)
    if failed is None or not claim.enforced:
        for demand in claim.demands:
            used[demand.place] = min(used[demand.place] + demand.amount, 9 * _MOST)
    return failed


def charges(demands: Iterable[Demand], now_seconds: int) -> list[dict[str, str]]:
    """What a met claim took, as the record and the execution carry it. Texts: money may exceed JSON's integers."""
    return [
        {
            "cap": demand.cap.value,
            "key": demand.key,
            "window": str(window(demand.seconds, now_seconds)),
            "amount": str(demand.amount),
        }
        for demand in demands
    ]


def window(seconds: int, now_seconds: int) -> int:
    """When the window that `now` is in began, in seconds since the epoch."""
    return now_seconds - now_seconds % seconds


def keys_of(charged: Iterable[Mapping[str, str]], cap: Reason) -> list[tuple[str, int, int]]:
    """Counter key, window and amount of the charges of one cap."""
    return [(row["key"], int(row["window"]), int(row["amount"])) for row in charged if row["cap"] == cap]
