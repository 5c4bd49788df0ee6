"""The one path ServiceNow calls."""

from django.urls import path

from connectors.servicenow import views

urlpatterns = [path("servicenow/webhook", views.webhook, name="servicenow-webhook")]
