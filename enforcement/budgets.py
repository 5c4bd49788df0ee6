"""A tool's caps and a call in, what the call asks of which counter out; and a fair sharing of what is left. Pure.

Money is counted in whole millionths of its currency, so that it adds up exactly.
"""

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from decimal import ROUND_CEILING, Decimal
from typing import Any, NamedTuple

from countersign.policy.money import parse_amount
from countersign.policy.values import Because, Call, Caps, Reason, SpendCap, TokenCap

DAY = 86_400
_MILLIONTHS = Decimal(10**6)
_MOST = 10**18  # fits the column with room to spare; a cap beyond it is this
_DIGITS, _QUICK = 6, 16  # decimal places, and characters of an amount that is read without a Decimal

Place = tuple[int, str]
"""Tenant and counter key. The window follows from the key and the time, which are one for a whole batch."""


class Demand(NamedTuple):
    """What one call asks of one counter: `amount` more in the present window of `seconds`, at most `limit` in all."""

    place: Place
    cap: Reason
    seconds: int
    limit: int
    amount: int
    words: str  # names no limit: an agent could feel thresholds out by it

    @property
    def key(self) -> str:
        return self.place[1]

    @property
    def refusal(self) -> Because:
        """What its caller is told when the counter has too little left."""
        return Because(self.cap, self.words)


class Asks(NamedTuple):
    """What one call asks of the counters, and why it is over a cap whatever they say."""

    demands: tuple[Demand, ...] = ()
    refusal: Because | None = None


NOTHING = Asks()


@dataclass(frozen=True, slots=True)
class Spend:
    """A spend cap in millionths, and its counter."""

    argument: str
    per_call: int | None
    per_day: int | None
    place: Place


@dataclass(frozen=True, slots=True)
class Plan:
    """What the caps of a tool ask of every call of one subject, but for the amounts."""

    rates: Asks
    spend: Spend | None
    tokens: TokenCap | None
    tokens_place: Place


def plan(caps: Caps, *, subject_id: str, tool_id: str, tenant_id: int) -> Plan:
    """Counted for each subject apart, unless the tool's caps are shared. Lengths keep two pairs of names apart."""
    who = "" if caps.shared else subject_id
    where = f"{len(who)}:{who} {tool_id}"
    words = "This tool has been called as often as it may be for now."
    rates = sorted(
        Demand((tenant_id, f"rate/{rate.seconds} {where}"), Reason.RATE_CAP, rate.seconds, rate.limit, 1, words)
        for rate in caps.rates
    )
    return Plan(
        Asks(tuple(rates)), _spend_of(caps.spend, tenant_id, where), caps.tokens, (tenant_id, f"tokens {where}")
    )


def _spend_of(cap: SpendCap | None, tenant_id: int, where: str) -> Spend | None:
    if cap is None:
        return None
    per_call, per_day = (
        None if limit is None else min(millionths(limit), _MOST) for limit in (cap.per_call, cap.per_day)
    )
    return Spend(cap.argument, per_call, per_day, (tenant_id, f"spend/{cap.currency} {where}"))


def asks(plan: Plan, call: Call) -> Asks:
    """All that the caps of a tool say of one call. Sorted by counter: the order in which rows are locked.

    Rate sorts before spend and spend before tokens.
    """
    if plan.spend is None and plan.tokens is None:
        return plan.rates
    demands, refusal = plan.rates.demands, None
    if plan.spend is not None:
        spent = _spend(plan.spend, call.arguments.get(plan.spend.argument))
        demands, refusal = demands + spent.demands, spent.refusal
    if plan.tokens is not None:
        used = _tokens(plan.tokens, call, plan.tokens_place)
        demands, refusal = demands + used.demands, refusal or used.refusal
    return Asks(demands, refusal)


def _spend(cap: Spend, value: Any) -> Asks:
    """An amount that cannot be read cannot be counted, and what cannot be counted is over the cap."""
    amount = amount_of(value)
    if amount is None:
        words = f"Argument {cap.argument!r} holds no amount of money that could be counted."
        return Asks((), Because(Reason.SPEND_CAP, words))
    refusal = None
    if cap.per_call is not None and amount > cap.per_call:
        refusal = Because(Reason.SPEND_CAP, "This tool may not spend that much in one call.")
    if cap.per_day is None:
        return Asks((), refusal)
    words = "What this tool may spend today is used up."
    return Asks((Demand(cap.place, Reason.SPEND_CAP, DAY, cap.per_day, amount, words),), refusal)


def _tokens(cap: TokenCap, call: Call, place: Place) -> Asks:
    tokens = min(call.usage.get("tokens", 0), _MOST)
    refusal = None
    if cap.per_call is not None and tokens > cap.per_call:
        refusal = Because(Reason.TOKEN_CAP, "This call would use more tokens than one call may.")
    if cap.per_day is None or not tokens:
        return Asks((), refusal)
    words = "The tokens this tool may use today are used up."
    return Asks((Demand(place, Reason.TOKEN_CAP, DAY, cap.per_day, tokens, words),), refusal)


def amount_of(value: Any) -> int | None:
    """The millionths of what a JSON value names as money, or None. One beyond every cap stands for all beyond it."""
    if type(value) is str and len(value) <= _QUICK and value.isascii():
        whole, _, part = value.partition(".")
        if whole.isdigit() and ((part.isdigit() and len(part) <= _DIGITS) or value == whole):
            return int(whole + part.ljust(_DIGITS, "0"))
    amount = parse_amount(value)
    return None if amount is None else min(millionths(amount), _MOST + 1)


def millionths(amount: Decimal) -> int:
    """Rounded up: a fraction of a millionth is never free."""
    return int((amount * _MILLIONTHS).to_integral_value(rounding=ROUND_CEILING))


class Claim(NamedTuple):
    """The demands of one call; all are met or none. One that is not `enforced` is counted even where it is over."""

    demands: Sequence[Demand]
    enforced: bool = True


def places(claims: Iterable[Claim]) -> dict[Place, int]:
    """The counters that claims ask, and the seconds of each one's window."""
    return {demand.place: demand.seconds for claim in claims for demand in claim.demands}


def taken(claims: Sequence[Claim], before: Mapping[Place, int]) -> tuple[list[Demand | None], dict[Place, int]]:
    """The demand that each claim fails on, or None; and the counters that changed, as they now are."""
    used = dict(before)
    refused = share_out(claims, used)
    return refused, changed(used, before)


def changed(used: Mapping[Place, int], before: Mapping[Place, int]) -> dict[Place, int]:
    """The counters that changed, as they now are."""
    return {place: count for place, count in used.items() if count != before[place]}


def share_out(claims: Iterable[Claim], used: dict[Place, int]) -> list[Demand | None]:
    """The demand that each claim fails on, or None if it is met. Adds to `used` what is taken, in order."""
    return [take(claim, used) for claim in claims]


def take(claim: Claim, used: dict[Place, int]) -> Demand | None:
    """The demand that one claim fails on, or None if it is met. Adds to `used` what is taken."""
    failed = over(claim.demands, used)
    if failed is None or not claim.enforced:
        for demand in claim.demands:
            used[demand.place] = min(used[demand.place] + demand.amount, 9 * _MOST)
    return failed


def over(demands: Iterable[Demand], used: Mapping[Place, int]) -> Demand | None:
    """The first that its counter has too little left for."""
    for demand in demands:
        if used[demand.place] + demand.amount > demand.limit:
            return demand
    return None


def charges(demands: Iterable[Demand], now_seconds: int) -> list[dict[str, str]]:
    """What a met claim took, as the record and the execution carry it. Texts: money may exceed JSON's integers."""
    return [charge(demand, now_seconds) for demand in demands]


def charge(demand: Demand, now_seconds: int) -> dict[str, str]:
    """What one demand took."""
    return {
        "cap": demand.cap.value,
        "key": demand.key,
        "window": str(window(demand.seconds, now_seconds)),
        "amount": str(demand.amount),
    }


def window(seconds: int, now_seconds: int) -> int:
    """When the window that `now` is in began, in seconds since the epoch."""
    return now_seconds - now_seconds % seconds


# --- what a call really used, told after it ran


class Move(NamedTuple):
    """How much more, or less, one counter counts in one window."""

    key: str
    window: int
    by: int


def undeclared(plan: Plan, now_seconds: int) -> list[dict[str, str]]:
    """The charge of a call that declared no tokens, where tokens are counted: nothing yet."""
    if plan.tokens is None or plan.tokens.per_day is None:
        return []
    return [charge(Demand(plan.tokens_place, Reason.TOKEN_CAP, DAY, plan.tokens.per_day, 0, ""), now_seconds)]


def corrected(
    charged: Sequence[Mapping[str, str]], used: Mapping[Reason, int], *, down: Collection[Reason]
) -> tuple[list[dict[str, str]], list[Move]]:
    """The charges as they count once it is known what was used, and the moves of the counters there.

    Whatever was used beyond its charge counts. Less than the charge counts only for the caps in `down`: whose word may
    lower which is the caller's to know.
    """
    after, moves = [], []
    for row in charged:
        cap, before = Reason(row["cap"]), int(row["amount"])
        now = min(used.get(cap, before), _MOST)
        if now < before and cap not in down:
            now = before
        after.append({**row, "amount": str(now)})
        if now != before:
            moves.append(Move(row["key"], int(row["window"]), now - before))
    return after, moves
