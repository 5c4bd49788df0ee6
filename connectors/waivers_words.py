"""A waiver and what happened to it in; what its people are told, with what to do next, out. Reads, writes nothing.

What somebody wrote (names, reasons, what a probe saw) comes out scrubbed and on one line.
"""

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any

from django.conf import settings

from approvals.waivers import holding
from approvals.waivers.models import Control, ControlKind, State, Waiver
from approvals.waivers.signals import WaiverChange
from connectors import plain, scrubbed

_SHORT = 200
_NAMED = 3
_LISTED = 10


def link(waiver: Waiver) -> str:
    """Its page: where it is read, confirmed, shortened, revoked and renewed."""
    return f"{settings.COUNTERSIGN.base_url}/waivers/{waiver.pk}/"


def title(waiver: Waiver) -> str:
    """Such as `Exception from refunds-over-100 for support-bot on payments.refund`."""
    said: Mapping[str, Any] = waiver.terms["terms"]
    match: Mapping[str, Any] = said.get("match", {})
    whom = _few(match.get("agents") or match.get("subjects") or ())
    what = _few(match.get("tools") or match.get("resources") or ())
    return (
        f"Exception from {_few(said.get('rules', ()))}{f' for {whom}' if whom else ''}{f' on {what}' if what else ''}"
    )


def changed(waiver: Waiver, change: WaiverChange, *, now: datetime, is_first: bool) -> str:
    """What those who have to do with it are told of a change. `is_first`: it never was in force before."""
    if change is WaiverChange.SUSPENDED and is_first:
        return _letter(waiver, "Granted, and not in force yet.", *_suspended(waiver, now=now))
    return _letter(waiver, *_of_change(waiver, change, now=now))


def ended(waivers: Sequence[Waiver], *, now: datetime) -> str:
    """What a person is told of all that the clock ended at once."""
    if len(waivers) == 1:
        return changed(waivers[0], WaiverChange.EXPIRED, now=now, is_first=False)
    each = [f"• {title(one)}: {link(one)}" for one in waivers[:_LISTED]]
    more = len(waivers) - len(each)
    rest = [f"and {more} more: {settings.COUNTERSIGN.base_url}/waivers/?state=expired"] if more else []
    return "\n".join([f"{len(waivers)} exceptions ended: their time is over. Their rules hold again.", *each, *rest])


def standing(waiver: Waiver) -> str:
    """Where it stands now, in a sentence, for who granted it."""
    until = plain.moment(waiver.expires_at)
    match waiver.state:
        case State.ACTIVE:
            return f"The exception is in force until {until}."
        case State.SUSPENDED:
            return "The exception is suspended until its controls hold."
        case State.EXPIRED:
            return f"The exception ended on {until}."
        case State.REVOKED:
            return f"The exception was revoked by {_clean(waiver.ended_by)}."
        case State.USED_UP:
            return f"The exception ended: all {waiver.max_uses} uses are taken."
        case _:
            return ""


def ends_soon(waiver: Waiver, *, now: datetime) -> str:
    """The reminder: it ends, and what to do if it must go on."""
    return _letter(
        waiver,
        f"It ends in {_left(waiver.expires_at - now)}, on {plain.moment(waiver.expires_at)}{_uses(waiver)}.",
        "Then its rules hold again. If that is too early, ask for a renewal now: it is granted anew, by people.",
    )


def confirmation_ends(waiver: Waiver, control: Control, *, now: datetime) -> str:
    """To who vouches for a control: their word is good for so long."""
    assert control.good_until is not None
    return _letter(
        waiver,
        f"Your confirmation of control {control.place + 1} ends in {_left(control.good_until - now)}, on "
        f"{plain.moment(control.good_until)}{_to_see(control)}.",
        "It cannot be prolonged: then the waiver is suspended. If it must go on, its owner asks for a renewal in time.",
    )


def confirm(waiver: Waiver, control: Control) -> str:
    """To who is to vouch for a control and has not, or no longer does."""
    return _letter(
        waiver,
        f"Control {control.place + 1} is yours to confirm{_to_see(control)}.",
        "Confirm it on the page if it holds; nothing is let through until you do.",
    )


def flagged(waiver: Waiver, words: str) -> str:
    """Something its owner should think about."""
    return _letter(waiver, _clean(words))


# --- the sentences


def _of_change(waiver: Waiver, change: WaiverChange, *, now: datetime) -> Iterable[str]:  # noqa: PLR0911 - a table
    until = plain.moment(waiver.expires_at)
    why = f": {_clean(waiver.ended_why)}" if waiver.ended_why else "."
    match change:
        case WaiverChange.GRANTED:
            begins = f"from {plain.moment(waiver.not_before)} " if waiver.not_before > now else ""
            return (f"Granted. It is in force {begins}until {until}{_uses(waiver)}.",)
        case WaiverChange.REFUSED:
            return (f"Not granted{why}", "Its rules hold as before.")
        case WaiverChange.SUSPENDED:
            return ("Suspended: nothing is let through meanwhile.", *_suspended(waiver, now=now))
        case WaiverChange.RESUMED:
            return (f"In force again: every control holds. It ends on {until}.",)
        case WaiverChange.SHORTENED:
            return (f"Shortened: it now ends on {until}.",)
        case WaiverChange.EXPIRED:
            return (f"Ended: its time is over{_uses(waiver)}.", "Its rules hold again.")
        case WaiverChange.REVOKED:
            return (f"Revoked by {_clean(waiver.ended_by)}{why}", "Its rules hold again, from the next call on.")
        case WaiverChange.USED_UP:
            return (f"Ended: all {waiver.max_uses} uses are taken.", "Its rules hold again, from the next call on.")
        case WaiverChange.ASKED:
            return ("Asked for.",)


def _suspended(waiver: Waiver, *, now: datetime) -> Iterable[str]:
    yield _clean(holding.why_not(waiver, now=now) or "A control did not hold.")
    yield _next_step(waiver, now=now)


def _next_step(waiver: Waiver, *, now: datetime) -> str:
    lacking = [one for one in holding.controls_of(waiver) if holding.lack_of(one, now=now)]
    confirmed_by = [one for one in lacking if one.kind == ControlKind.ATTESTATION]
    if any(one.good_until is not None for one in confirmed_by):
        return "A confirmation does not go beyond its date. Ask for a renewal: it is granted anew, by people."
    if confirmed_by:
        who = _few(one.person.user.username for one in confirmed_by if one.person)
        return f"It resumes once {who or 'who vouches for it'} has confirmed it on the page."
    return "Mend what is looked at: it is looked at again by itself, and the waiver resumes when it holds."


def _letter(waiver: Waiver, *sentences: str) -> str:
    return "\n".join((title(waiver), *sentences, link(waiver)))


def _to_see(control: Control) -> str:
    where = str(control.said.get("link", ""))
    return f" (see {_clean(where)})" if where else ""


def _uses(waiver: Waiver) -> str:
    if waiver.max_uses is None:
        return f"; used {waiver.uses} times so far" if waiver.uses else ""
    return f"; {waiver.uses} of {waiver.max_uses} uses are taken"


def _left(left: timedelta) -> str:
    hours = max(round(left.total_seconds() / 3600), 1)
    if hours >= 2 * 24:
        return f"{round(hours / 24)} days"
    return f"{hours} hours" if hours > 1 else "1 hour"


def _few(names: Iterable[str]) -> str:
    each = [_clean(str(name)) for name in names]
    more = len(each) - _NAMED
    return ", ".join(each[:_NAMED]) + (f" and {more} more" if more > 0 else "")


def _clean(text: str) -> str:
    return plain.line(scrubbed.raw(text).text, most=_SHORT)
