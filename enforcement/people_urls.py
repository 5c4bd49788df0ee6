"""The people's API for executions, under /api/v1/."""

from django.urls import path

from enforcement import people_api

urlpatterns = [
    path("executions", people_api.Executions.as_view()),
    path("executions/<str:evaluation_id>", people_api.OneExecution.as_view()),
    path("executions/<str:evaluation_id>/reconcile", people_api.Reconcile.as_view()),
]
