"""The people's API for requests, under /api/v1/."""

from django.urls import path

from approvals import api

urlpatterns = [
    path("requests", api.Requests.as_view()),
    path("requests/<str:request_id>", api.OneRequest.as_view()),
    path("requests/<str:request_id>/step-up", api.StepUps.as_view()),
    path("requests/<str:request_id>/votes", api.Votes.as_view()),
]
