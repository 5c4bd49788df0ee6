"""The least a Django view can do, under WSGI: what our durable decisions are measured against."""

import os

import django
from django.conf import settings
from django.core.handlers.wsgi import WSGIHandler
from django.http import HttpRequest, HttpResponse
from django.urls import path

settings.configure(
    SECRET_KEY="b" * 50, ALLOWED_HOSTS=["*"], ROOT_URLCONF=__name__, MIDDLEWARE=[], DEBUG=False, INSTALLED_APPS=[]
)
os.environ.pop("DJANGO_SETTINGS_MODULE", None)
django.setup()

_BODY = b'{"decision":true}'


def noop(_: HttpRequest) -> HttpResponse:
    return HttpResponse(_BODY, content_type="application/json")


urlpatterns = [path("access/v1/evaluation", noop)]
application = WSGIHandler()
