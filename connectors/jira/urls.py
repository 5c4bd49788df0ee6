"""The one path Jira calls. There is none to install an app by: who could call it could bring a secret of their own."""

from django.urls import path

from connectors.jira import views

urlpatterns = [path("jira/webhook", views.webhook, name="jira-webhook")]
