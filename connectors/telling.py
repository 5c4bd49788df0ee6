"""A request in, what may be said of it outside this house out: redacted, and with its outcome in one sentence."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import datetime
from typing import Any

from approvals import card, counting, quorum, requirements, shown, story, surfaces
from approvals.models import AccessRequest, Decision, Status, Vote
from approvals.quorum import Tally
from approvals.story import After
from approvals.visible import Flag
from approvals.waivers import labels
from connectors import scrubbed, waivers_words
from connectors.answers import request_link
from connectors.port import Line, Moment, Needed, Said, Told
from evidence import clock, keys

_LONGEST_REASON = 500


def told(request: AccessRequest, *, version: int) -> Told:
    """The request as it stands now. `version` is what the caller's delivery wanted before this was read."""
    now = clock.now()
    asks = requirements.from_json(request.requirements)
    votes = counting.votes_of(request)
    tally = counting.count(request, asks, votes)
    told_story = story.story(request, now=now)
    status = _status(request, now=now)
    lines, whole = _lines(request)
    because: Mapping[str, Any] = request.reasons[0] if request.reasons else {}
    return Told(
        request_id=request.pk,
        tenant=request.tenant.slug,
        version=version,
        status=status,
        agent=_clean(request.agent_id),
        principal=_principal(request.principal),
        tool=_clean(request.tool_id),
        method=_clean(request.method),
        risk_tier=request.risk_tier,
        risk_score=request.risk_score,
        rule=_clean(str(because.get("rule") or request.template)),
        reason=_clean(str(because.get("message", ""))),
        justification=_clean(request.justification),
        lines=lines,
        is_whole=whole,
        display_hash=request.display_hash,
        step_up=quorum.strongest(one.step_up for one in asks).value,
        needed=_needed(tally),
        votes=[_said(vote) for vote in votes],
        opened_at=request.opened_at,
        expires_at=request.expires_at,
        closed_at=request.closed_at,
        outcome=_outcome(request, status, votes, told_story.after),
        story=[Moment(moment.at, _clean(moment.text)) for moment in told_story.timeline],
        link=request_link(request.pk),
        exception=waivers_words.title(request.waiver) if request.asked_by_id else "",
        ended=_ended(request, status, votes),
    )


def _clean(text: str) -> str:
    return scrubbed.raw(text).text


def _status(request: AccessRequest, *, now: datetime) -> str:
    """A request past its time is expired, whether or not a timer ran."""
    past = request.status == Status.PENDING and now >= request.expires_at
    return str(Status.EXPIRED.value if past else request.status)


def _principal(principal: Mapping[str, Any]) -> str:
    if not principal:
        return ""
    said = _clean(f"{principal['type']} {principal['id']}")
    return said if principal.get("verified") else f"{said} (unverified: the agent says so)"


# --- what is asked


def _lines(request: AccessRequest) -> tuple[Sequence[Line], bool]:
    """The lines an approver is shown, and whether an eye can judge all of what they stand for."""
    try:
        kept = shown.lines_of(request)
    except keys.CannotUnseal:
        return (), False
    if request.asked_by_id:
        kept = list(_in_words(kept))
    told_lines = [_line(one) for one in kept]
    readable = all(Flag.UNINSPECTABLE.value not in one["flags"] for one in kept)
    redacted = any(was_redacted for _, was_redacted in told_lines)
    return [line for line, _ in told_lines], readable and not redacted and shown.is_whole(request)


def _in_words(lines: Sequence[Mapping[str, Any]]) -> Iterator[Mapping[str, Any]]:
    """A waiver's lines, all of them, labelled in words: what was asked for first, then what it is pinned to."""
    bound = [line for line in lines if line["label"].startswith(labels.BOUND)]
    turns = iter(sorted(bound, key=lambda line: line["label"].startswith(labels.PINNED)))
    for line in lines:
        told_line = next(turns) if line["label"].startswith(labels.BOUND) else line
        yield {**told_line, "label": labels.words(told_line["label"])}


def _line(line: Mapping[str, Any]) -> tuple[Line, bool]:
    """One line; its label is looked at too, and with it, for a name such as `password` gives its value away."""
    label, value = scrubbed.shown(line["label"]), scrubbed.named(line["label"], line["value"])
    flags = tuple(card.FLAG_WORDS.get(flag, flag) for flag in line["flags"])
    return Line(line["kind"], label.text, value.text, flags), label.redacted or value.redacted


# --- what people said


def _needed(tally: Tally) -> list[Needed]:
    return [Needed(one.requirement.teams, one.requirement.quorum, len(one.approvers)) for one in tally.shares]


def _said(vote: Vote) -> Said:
    return Said(
        who=vote.membership.user.username,
        decision=vote.decision,
        reason=_clean(vote.reason),
        surface=surfaces.words(vote.surface),
        assurance=vote.assurance,
        at=vote.cast_at,
    )


# --- what came of it


def _outcome(request: AccessRequest, status: str, votes: Sequence[Vote], after: After | None) -> str:
    """What happened, for somebody who comes late; empty while the request is pending."""
    ended = _ended(request, status, votes)
    if status != Status.APPROVED:
        return ended
    became = waivers_words.standing(request.waiver) if request.asked_by_id else _became(after)
    return f"{ended} {became}".strip()


def _ended(request: AccessRequest, status: str, votes: Sequence[Vote]) -> str:
    """How people answered, or that nobody did. What becomes of an approval later is not in it."""
    approvers = _and(vote.membership.user.username for vote in votes if vote.decision == Decision.APPROVE)
    match status:
        case Status.APPROVED:
            return f"Approved by {approvers}."
        case Status.DENIED:
            return _because(*_denial(votes))
        case Status.EXPIRED:
            short = f" {approvers} approved, but more people were needed." if approvers else ""
            return f"Expired: not enough people answered in time.{short}"
        case Status.CANCELLED:
            return _because("Withdrawn by the requester", request.closed_reason)
        case Status.FAILED:
            return "Failed: nothing ran."
        case _:
            return ""


def _became(after: After | None) -> str:
    if after is None:
        return ""
    if after.until is not None:
        return f"Not used yet; it can be until {_time(after.until)}."
    used = f" Used at {_time(after.used_at)}." if after.used_at else ""
    return f"{after.words}{used}"


def _denial(votes: Sequence[Vote]) -> tuple[str, str]:
    deniers = [vote for vote in votes if vote.decision == Decision.DENY]
    if not deniers:
        return "Denied", ""
    return f"Denied by {_and(vote.membership.user.username for vote in deniers)}", deniers[0].reason


def _because(what: str, reason: str) -> str:
    """The sentence with its reason; line breaks and length are the reason's own affair, not the sentence's."""
    words = " ".join(_clean(reason).replace("⏎", " ").split())
    short = words if len(words) <= _LONGEST_REASON else f"{words[: _LONGEST_REASON - 1]}…"
    return f"{what}: {short}" if short else f"{what}."


def _and(names: Iterable[str]) -> str:
    each = list(names)
    return " and ".join([", ".join(each[:-1]), each[-1]]) if len(each) > 1 else "".join(each)


def _time(at: datetime) -> str:
    return f"{at:%H:%M:%S} UTC"
