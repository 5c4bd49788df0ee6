"""The rows of exceptions. A waiver's row is the lock under which its uses are counted and its controls agree."""

from django.db import models
from django.db.models import F, Q

from registry.models import Membership, Tenant


class State(models.TextChoices):
    """What a waiver is now. Only `active` ones lift anything; the last four are ends."""

    PENDING = "pending"
    ACTIVE = "active"
    SUSPENDED = "suspended"
    EXPIRED = "expired"
    REVOKED = "revoked"
    USED_UP = "used_up"
    REFUSED = "refused"


LIVE = (State.ACTIVE, State.SUSPENDED)


class Waiver(models.Model):
    """One exception, from the asking to its end.

    `terms` is what was asked, word for word and with what it is pinned to; it never changes, and its digest is what
    people vote on (`request`). `not_before` and `expires_at` are the terms' until somebody shortens them, which raises
    `version`. `kept_out` are the humans who gain by it: they cannot grant it. `key` is the Idempotency-Key it was asked
    for under, if any, and `key_digest` of what came with it.
    """

    id = models.CharField(max_length=40, primary_key=True)
    tenant = models.ForeignKey(Tenant, on_delete=models.PROTECT, related_name="waivers")
    version = models.PositiveIntegerField(default=1)
    state = models.CharField(max_length=10, choices=State.choices, default=State.PENDING)
    category = models.CharField(max_length=10)
    terms = models.JSONField()
    request = models.OneToOneField("approvals.AccessRequest", on_delete=models.PROTECT, related_name="waiver")
    asked_by = models.ForeignKey(Membership, on_delete=models.PROTECT, related_name="+")
    owner = models.ForeignKey(Membership, on_delete=models.PROTECT, related_name="+")
    kept_out = models.JSONField(default=list)
    renews = models.ForeignKey("self", on_delete=models.PROTECT, null=True, blank=True, related_name="renewals")
    renewal = models.PositiveIntegerField(default=0)  # how many came before it
    key = models.CharField(max_length=200, default="", blank=True)
    key_digest = models.CharField(max_length=71, default="", blank=True)
    asked_at = models.DateTimeField()
    not_before = models.DateTimeField()
    expires_at = models.DateTimeField()
    max_uses = models.PositiveIntegerField(null=True, blank=True)
    uses = models.PositiveIntegerField(default=0)
    granted_at = models.DateTimeField(null=True, blank=True)
    ended_at = models.DateTimeField(null=True, blank=True)
    ended_by = models.CharField(max_length=150, default="", blank=True)
    ended_why = models.TextField(default="", blank=True)

    class Meta:
        constraints = [
            models.CheckConstraint(condition=Q(state__in=State.values), name="waiver_state_is_known"),
            models.CheckConstraint(condition=Q(expires_at__gt=F("not_before")), name="waiver_ends_after_its_start"),
            models.CheckConstraint(
                condition=Q(max_uses__isnull=True) | Q(uses__lte=F("max_uses")), name="waiver_uses_within_its_most"
            ),
            models.CheckConstraint(condition=Q(max_uses__isnull=True) | Q(max_uses__gte=1), name="waiver_allows_a_use"),
            models.CheckConstraint(
                condition=Q(state__in=["pending", "refused"]) | Q(granted_at__isnull=False), name="waiver_granted_at"
            ),
            models.CheckConstraint(
                condition=Q(state__in=["pending", "active", "suspended"], ended_at__isnull=True)
                | (~Q(state__in=["pending", "active", "suspended"]) & Q(ended_at__isnull=False)),
                name="waiver_ended_has_time",
            ),
            models.UniqueConstraint(fields=["asked_by", "key"], condition=~Q(key=""), name="waiver_key_once"),
        ]
        indexes = [
            models.Index(fields=["tenant", "state", "expires_at"], name="waiver_by_state"),
            models.Index(fields=["expires_at"], condition=Q(state__in=["active", "suspended"]), name="waiver_due"),
        ]

    def __str__(self) -> str:
        return self.id


class ControlKind(models.TextChoices):
    """How a control holds: the PEP does something, a person vouches, or we look."""

    OBLIGATION = "obligation"
    ATTESTATION = "attestation"
    CHECK = "check"


class Control(models.Model):
    """One compensating control of a waiver. `said` is what the terms say of it; `place` its position there, from 0.

    It holds until `good_until` (none: it does not hold; obligations always do). A check looks again at `next_at`.
    """

    tenant = models.ForeignKey(Tenant, on_delete=models.PROTECT, related_name="+")
    waiver = models.ForeignKey(Waiver, on_delete=models.PROTECT, related_name="controls")
    place = models.PositiveSmallIntegerField()
    kind = models.CharField(max_length=12, choices=ControlKind.choices)
    said = models.JSONField()
    person = models.ForeignKey(Membership, on_delete=models.PROTECT, null=True, blank=True, related_name="+")
    good_until = models.DateTimeField(null=True, blank=True)
    looked_at = models.DateTimeField(null=True, blank=True)
    next_at = models.DateTimeField(null=True, blank=True)
    found = models.CharField(max_length=500, default="", blank=True)  # what the last look saw, in words

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["waiver", "place"], name="control_has_its_place"),
            models.CheckConstraint(condition=Q(kind__in=ControlKind.values), name="control_kind_is_known"),
        ]
        indexes = [models.Index(fields=["next_at"], condition=Q(next_at__isnull=False), name="control_due")]


class CalendarFeed(models.Model):
    """The address under which one person's calendar reads the ends of their waivers; keyed hash of its secret.

    `asked` counts how often it was read in the minute of `minute`.
    """

    tenant = models.ForeignKey(Tenant, on_delete=models.PROTECT, related_name="+")
    membership = models.OneToOneField(Membership, on_delete=models.CASCADE, related_name="calendar_feed")
    key_id = models.CharField(max_length=20, unique=True)
    secret_hash = models.BinaryField()
    issued_at = models.DateTimeField()
    minute = models.DateTimeField()
    asked = models.PositiveIntegerField(default=0)
