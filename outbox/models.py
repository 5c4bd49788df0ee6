"""One row per piece of work; the row is the truth, a wake-up is only a doorbell."""

from django.db import models
from django.db.models import Q


class State(models.TextChoices):
    """Where a job stands. A leased job whose lease ran out is ready again."""

    READY = "ready"
    DONE = "done"
    DEAD = "dead"


class Job(models.Model):
    """Work to be done after the transaction that inserted it committed.

    `dedupe` makes an enqueue idempotent while the row exists. `lease` is the token of the worker that holds it until
    `leased_until`; only its holder may finish it.
    """

    kind = models.CharField(max_length=60)
    tenant = models.CharField(max_length=63, default="", blank=True)
    payload = models.JSONField(default=dict)
    dedupe = models.CharField(max_length=200, null=True, blank=True)
    state = models.CharField(max_length=8, choices=State.choices, default=State.READY)
    run_at = models.DateTimeField()
    attempts = models.PositiveSmallIntegerField(default=0)
    max_attempts = models.PositiveSmallIntegerField(default=12)
    lease = models.CharField(max_length=40, default="", blank=True)
    leased_until = models.DateTimeField(null=True, blank=True)
    last_error = models.TextField(default="", blank=True)
    created_at = models.DateTimeField()
    finished_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["dedupe"], name="job_dedupe_is_unique"),
            models.CheckConstraint(condition=Q(state__in=State.values), name="job_state_is_known"),
        ]
        indexes = [models.Index(fields=["run_at", "id"], condition=Q(state="ready"), name="job_ready_by_time")]
