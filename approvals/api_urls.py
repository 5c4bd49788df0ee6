"""The people's API for requests and waivers, under /api/v1/."""

from django.urls import path

from approvals import api, waivers_api

urlpatterns = [
    path("requests", api.Requests.as_view()),
    path("requests/<str:request_id>", api.OneRequest.as_view()),
    path("requests/<str:request_id>/step-up", api.StepUps.as_view()),
    path("requests/<str:request_id>/votes", api.Votes.as_view()),
    path("waivers", waivers_api.Waivers.as_view()),
    path("waivers/drafts", waivers_api.WaiverDrafts.as_view()),
    path("waivers/preview", waivers_api.WaiverPreview.as_view()),
    path("waivers/<str:waiver_id>", waivers_api.OneWaiver.as_view()),
    path("waivers/<str:waiver_id>/step-up", waivers_api.WaiverStepUps.as_view()),
    path("waivers/<str:waiver_id>/votes", waivers_api.WaiverVotes.as_view()),
    path("waivers/<str:waiver_id>/revoke", waivers_api.RevokeWaiver.as_view()),
    path("waivers/<str:waiver_id>/controls/<int:place>/attest", waivers_api.AttestControl.as_view()),
    path("waivers/<str:waiver_id>/controls/<int:place>/withdraw", waivers_api.WithdrawControl.as_view()),
    path("waivers/<str:waiver_id>/pack", waivers_api.PackWaiver.as_view()),
    path("waivers/<str:waiver_id>/shorten", waivers_api.ShortenWaiver.as_view()),
]
