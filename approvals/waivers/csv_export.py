"""Waivers in, one CSV (RFC 4180) of the register out, in which every cell is text, whatever it begins with. Pure."""

import csv
import io
import unicodedata
from collections.abc import Iterable
from datetime import UTC, datetime
from typing import Final

from approvals.visible import visible
from approvals.waivers.models import Waiver

COLUMNS: Final = (
    "id", "state", "category", "rules", "agents", "tools", "reason", "owner", "asked_by", "ticket", "asked_at",
    "granted_at", "not_before", "expires_at", "ended_at", "ended_by", "uses", "max_uses", "renews", "renewal",
)  # fmt: skip
_FORMULA: Final = "=+-@|%"
"""What a spreadsheet takes for the beginning of a formula (OWASP, CSV injection), also in full width."""


def written(waivers: Iterable[Waiver]) -> str:
    """A header and a row for each. Times are UTC; several names stand in one cell with a space between."""
    out = io.StringIO()
    rows = csv.writer(out, quoting=csv.QUOTE_ALL, lineterminator="\r\n")
    rows.writerow(COLUMNS)
    for waiver in waivers:
        rows.writerow([cell(one) for one in _row(waiver)])
    return out.getvalue()


def cell(value: str) -> str:
    """Text that no spreadsheet calculates: an apostrophe stands before what would begin a formula."""
    shown = visible(value).text
    first = unicodedata.normalize("NFKC", shown.lstrip()[:1])
    return f"'{shown}" if first[:1] and first[0] in _FORMULA else shown


def _row(waiver: Waiver) -> list[str]:
    terms, pinned = waiver.terms["terms"], waiver.terms["pinned"]
    return [
        waiver.pk, waiver.state, waiver.category, " ".join(pinned["rules"]), " ".join(pinned["agents"]),
        " ".join(pinned["tools"]), terms["reason"], waiver.owner.user.username, waiver.asked_by.user.username,
        terms.get("ticket", ""), _at(waiver.asked_at), _at(waiver.granted_at), _at(waiver.not_before),
        _at(waiver.expires_at), _at(waiver.ended_at), waiver.ended_by, str(waiver.uses),
        "" if waiver.max_uses is None else str(waiver.max_uses), waiver.renews_id or "", str(waiver.renewal),
    ]  # fmt: skip


def _at(moment: datetime | None) -> str:
    return "" if moment is None else moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
