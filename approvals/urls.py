"""Pages people open."""

from django.urls import path

from approvals.views import request, signing

urlpatterns = [
    path("sign-in/", signing.by_password),
    path("sign-in/link/<str:token>", signing.by_link),
    path("sign-out/", signing.out),
    path("requests/<str:request_id>/", request.page),
    path("requests/<str:request_id>/live/", request.live),
    path("requests/<str:request_id>/vote/", request.vote),
]
