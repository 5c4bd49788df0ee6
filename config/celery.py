"""Celery rings the doorbell: a commit or beat says when to look, a worker pumps and seals. No work travels with it."""

import os

from celery import Celery

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "config.settings")

PUMP = "countersign.pump"
SECONDS_BETWEEN_PUMPS = 1.0

app = Celery("countersign")
app.config_from_object("django.conf:settings", namespace="CELERY")
app.autodiscover_tasks(["config"])
