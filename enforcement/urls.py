"""The machines' paths and the pages of executions, for inclusion at the root of the building."""

from django.urls import path, re_path

from enforcement import pages, views

urlpatterns = [
    re_path(r"^access/v1/", views.machine),
    re_path(r"^\.well-known/authzen-configuration", views.machine),
    path("executions/", pages.page),
    path("executions/<str:evaluation_id>/", pages.one),
    path("executions/<str:evaluation_id>/reconcile/", pages.reconcile),
]
