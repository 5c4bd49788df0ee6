"""Slack's one address, and the pages of one's own link to it."""

from django.urls import path

from connectors.slack import views

urlpatterns = [
    path("slack/events", views.events),
    path("account/slack/", views.page),
    path("account/slack/code/", views.begin),
    path("account/slack/offered/", views.offered),
    path("account/slack/confirm/", views.confirm),
    path("account/slack/unlink/", views.unlink),
]
