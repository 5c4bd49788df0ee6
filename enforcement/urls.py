"""The machines' paths, for inclusion at the root of the building."""

from django.urls import re_path

from enforcement import views

urlpatterns = [
    re_path(r"^access/v1/", views.machine),
    re_path(r"^\.well-known/authzen-configuration", views.machine),
]
