"""A tenant's latest alerts in, each in words and with where to look next out."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any
from urllib.parse import urlencode

from evidence import alerts
from evidence.alerts import Alert

SHOWN_FOR = timedelta(hours=24)
_SHOWN = 10


@dataclass(frozen=True, slots=True)
class Told:
    """One alert. `subject` is a name that somebody else chose: shown escaped. `link` leads to what it is about."""

    at: datetime
    subject: str
    words: str
    link: str


def latest(tenant: str, *, now: datetime) -> Sequence[Told]:
    """The newest of the last day, newest first."""
    return [_told(alert) for alert in alerts.latest(tenant, since=now - SHOWN_FOR)[:_SHOWN]]


def _told(alert: Alert) -> Told:
    detail = alert.detail
    subject, words, link = alert.name, "An alert was recorded.", "/evidence/"
    match alert.name:
        case "threshold.probed":
            place = {"agent": detail["agent"], "tool": detail["tool"]}
            subject, words, link = " · ".join(place.values()), _probed(detail), f"/decisions/?{urlencode(place)}"
        case "requests.coalesced":
            subject, link = ", ".join(detail["agents"]), "/inbox/"
            words = "Agents ask for more approvals than people can judge."
        case "connector.changed":
            subject, link = str(detail["kind"]), "/admin/connectors/access/"
            words = f"{detail['by']} entered other credentials. Another administrator can undo or confirm that."
        case "outcome.indeterminate":
            subject, link = " · ".join(_place(detail).values()), f"/executions/{detail['evaluation']}/"
            words = "Nobody knows how this call ended. The same call is denied until a person reconciles it."
        case "outcomes.coalesced":
            subject, link = f"{detail['name']} ({detail['credential']})", "/executions/"
            words = f"Nobody knows how {detail['ends']} calls of this key ended within an hour: people must find out."
        case "outcome.diverged":
            place = _place(detail)
            subject, link = " · ".join(place.values()), f"/decisions/?{urlencode(place)}"
            words = "An independent verifier saw another effect than was reported."
    return Told(alert.at, subject, words, link)


def _place(detail: Mapping[str, Any]) -> dict[str, str]:
    return {name: str(detail["action"][name]) for name in ("agent", "tool") if name in detail["action"]}


def _probed(detail: Mapping[str, Any]) -> str:
    minutes = int(detail["window_seconds"]) // 60
    open_ = any(str(detail[name]).endswith("*") for name in ("agent", "tool", "method"))
    what = "Searched" if open_ else "Refused"
    return (
        f"{what} {detail['refusals']} times within {minutes} minutes with little changed each time: "
        "it may be feeling out where a limit lies."
    )
