"""Pages people open."""

from django.urls import path

from approvals.views import (
    account,
    confirm,
    dashboard,
    decisions,
    evidence,
    inbox,
    request,
    signing,
    waivers_calendar,
    waivers_csv,
)

urlpatterns = [
    path("", dashboard.page),
    path("sign-in/", signing.by_password),
    path("sign-in/link/", signing.without_token),
    path("sign-in/link/<str:token>", signing.by_link),
    path("sign-out/", signing.out),
    path("inbox/", inbox.page),
    path("inbox/rows/", inbox.rows),
    path("requests/<str:request_id>/", request.page),
    path("requests/<str:request_id>/live/", request.live),
    path("requests/<str:request_id>/vote/", request.vote),
    path("requests/<str:request_id>/confirm/", confirm.page),
    path("waivers/register.csv", waivers_csv.download),
    path("waivers/calendar/<str:secret>.ics", waivers_calendar.feed),
    path("decisions/", decisions.page),
    path("decisions/<str:evaluation_id>/", decisions.why),
    path("evidence/", evidence.page),
    path("account/", account.page),
    path("account/authenticator/", account.begin),
    path("account/authenticator/confirm/", account.confirm),
    path("account/tenant/", account.choose_tenant),
]
