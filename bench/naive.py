"""The way it is usually built: a DRF view, one transaction a decision, one chain of hashes under one lock.

Authenticates, judges and records as we do, on the same database; only how it commits is different.
"""

import hashlib
import json
import os

import django

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "config.settings")
django.setup()

from django.core.handlers.wsgi import WSGIHandler  # noqa: E402
from django.db import connection, transaction  # noqa: E402
from django.test.utils import override_settings  # noqa: E402
from django.urls import path  # noqa: E402
from rest_framework.authentication import BaseAuthentication  # noqa: E402
from rest_framework.exceptions import AuthenticationFailed  # noqa: E402
from rest_framework.request import Request  # noqa: E402
from rest_framework.response import Response  # noqa: E402
from rest_framework.views import APIView  # noqa: E402

from countersign import ids  # noqa: E402
from countersign.policy.evaluate import evaluate  # noqa: E402
from enforcement import memory, parse  # noqa: E402
from enforcement.clock import clock  # noqa: E402
from registry import credentials  # noqa: E402

LOCK = 7_216


class Key(BaseAuthentication):
    """The bearer key, looked up as we do."""

    def authenticate(self, request: Request) -> tuple[object, object]:
        presented = credentials.parse(request.headers.get("authorization", "").removeprefix("Bearer "))
        found = memory.known(presented.key_id) or memory.learn(presented.key_id) if presented else None
        if presented is None or found is None or not credentials.matches(presented, found[0]):
            raise AuthenticationFailed
        return found


class Evaluation(APIView):
    authentication_classes = (Key,)
    permission_classes = ()

    def post(self, request: Request) -> Response:
        asked = parse.evaluation(json.dumps(request.data).encode(), request.auth)
        verdict = evaluate(request.auth.bundle, asked.call, now=clock.now())
        record = {"id": ids.new("eva"), "outcome": verdict.outcome, "commitment": asked.commitment}
        with transaction.atomic(), connection.cursor() as cursor:
            cursor.execute("SELECT pg_advisory_xact_lock(%s)", [LOCK])
            cursor.execute("SELECT hash FROM bench_chain ORDER BY id DESC LIMIT 1")
            last = cursor.fetchone()
            body = json.dumps({**record, "previous": last[0] if last else ""}, sort_keys=True)
            link = hashlib.sha256(body.encode()).hexdigest()
            cursor.execute("INSERT INTO bench_chain (body, hash) VALUES (%s, %s)", [body, link])
        return Response({"decision": verdict.outcome == "allow", "context": {**record, "hash": link}})


urlpatterns = [path("access/v1/evaluation", Evaluation.as_view())]
override_settings(ROOT_URLCONF=__name__, ALLOWED_HOSTS=["*"], MIDDLEWARE=[]).enable()
application = WSGIHandler()
