"""A secret address in, a person's calendar out. There is no session, so nothing else is known of who reads it."""

from datetime import datetime

from django.http import Http404, HttpRequest, HttpResponse
from django.views.decorators.http import require_safe

from approvals.waivers import calendar
from evidence import clock


@require_safe
def feed(_request: HttpRequest, secret: str) -> HttpResponse:
    now = clock.now()
    try:
        found = calendar.feed(secret, now)
    except calendar.TooOften as error:
        return _later(error.until, now)
    if found is None:
        raise Http404
    response = HttpResponse(found, content_type="text/calendar; charset=utf-8")
    response["Content-Disposition"] = 'inline; filename="waivers.ics"'
    response["Cache-Control"] = "private, no-store"
    response["X-Robots-Tag"] = "noindex"
    return response


def _later(until: datetime, now: datetime) -> HttpResponse:
    response = HttpResponse("Read too often.", status=429, content_type="text/plain; charset=utf-8")
    response["Retry-After"] = str(max(int((until - now).total_seconds()) + 1, 1))
    response["Cache-Control"] = "no-store"
    return response
