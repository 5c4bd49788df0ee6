"""Celery rings the doorbell: a commit or beat says when to look, a worker pumps and seals. No work travels with it."""

import os
import sys

from celery import Celery
from django.core.exceptions import ImproperlyConfigured
from kombu.entity import Queue

from config.environment import environment

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "config.settings")

PUMP = "countersign.pump"
SECONDS_BETWEEN_PUMPS = 1.0

try:
    environment()
except ImproperlyConfigured as error:  # Celery would print it at the end of sixty lines of its own
    sys.exit(f"{error}\ndocs/settings.md describes every setting.")

app = Celery("countersign")
app.config_from_object("django.conf:settings", namespace="CELERY")
app.autodiscover_tasks(["config"])
# A ring may be lost, so nobody acknowledges one. What is unacknowledged when Redis dies is put back by kombu over a
# connection that is gone already, and that error ends the worker for good.
app.conf.task_queues = [Queue(app.conf.task_default_queue, no_ack=True)]  # type: ignore[no-untyped-call]  # kombu
