"""The register's filters in, the waivers they leave as a file for spreadsheets out."""

from typing import Final

from django.http import HttpRequest, HttpResponse
from django.views.decorators.http import require_safe

from approvals.views.chrome import for_members
from approvals.waivers import csv_export, register
from registry.models import Membership

AT_MOST: Final = 20_000
"""Rows in one file, the last asked for; whoever needs older ones narrows the list."""

_FILTERS: Final = ("state", "owner", "tool", "rule", "q")
_LONGEST: Final = 300


@require_safe
@for_members
def download(request: HttpRequest, membership: Membership) -> HttpResponse:
    wanted = {name: request.GET.get(name, "").strip()[:_LONGEST] for name in _FILTERS}
    chosen = {name: text for name, text in wanted.items() if text}
    rows = register.listed(membership.tenant, **chosen)[:AT_MOST]
    response = HttpResponse(csv_export.written(rows.iterator()), content_type="text/csv; charset=utf-8")
    response["Content-Disposition"] = 'attachment; filename="waivers.csv"'
    return response
