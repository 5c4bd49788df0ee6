"""The rows of this room: what is told where, a tenant's access to other systems, what came in once, identities offered.

A delivery is the truth about one request in one place; a job of the outbox is only what looks at it.
"""

from django.db import models
from django.db.models import Q

from approvals.models import AccessRequest, Waiver
from registry.models import Credential, Membership, Tenant


class State(models.TextChoices):
    """Where a delivery stands. A dead one waits for a person, or for the next change of its request."""

    READY = "ready"
    DONE = "done"
    DEAD = "dead"


class Delivery(models.Model):
    """One request in one place, and how far it was told there.

    `wanted` rises with every change of the request, `told` follows: it is the `wanted` that the last telling knew.
    `attempting` says that a first post was begun and its answer never seen: it may have arrived. `lease` is the token
    of whoever sends now, until `leased_until`; before `not_before` nobody does. `given_up`: it was dead since the
    last telling. `remote_id` is what calls of the other system name it by, where it calls.
    """

    tenant = models.ForeignKey(Tenant, on_delete=models.PROTECT, related_name="+")
    request = models.ForeignKey(AccessRequest, on_delete=models.PROTECT, related_name="deliveries")
    kind = models.CharField(max_length=20)
    place_key = models.CharField(max_length=200)
    config = models.JSONField(default=dict, blank=True)
    ref = models.JSONField(default=dict, blank=True)
    remote_id = models.CharField(max_length=100, default="", blank=True)
    wanted = models.PositiveIntegerField(default=1)
    told = models.PositiveIntegerField(default=0)
    attempting = models.BooleanField(default=False)
    state = models.CharField(max_length=5, choices=State.choices, default=State.READY)
    attempts = models.PositiveIntegerField(default=0)
    last_error = models.TextField(default="", blank=True)
    given_up = models.BooleanField(default=False)
    not_before = models.DateTimeField(null=True, blank=True)
    lease = models.CharField(max_length=40, default="", blank=True)
    leased_until = models.DateTimeField(null=True, blank=True)
    created_at = models.DateTimeField()
    updated_at = models.DateTimeField()

    class Meta:
        verbose_name_plural = "deliveries"
        constraints = [
            models.UniqueConstraint(fields=["request", "kind", "place_key"], name="delivery_one_per_place"),
            models.CheckConstraint(condition=Q(state__in=State.values), name="delivery_state_is_known"),
        ]
        indexes = [
            models.Index(fields=["tenant", "state", "updated_at"], name="delivery_by_state"),
            models.Index(fields=["tenant", "kind", "place_key", "created_at"], name="delivery_by_place"),
            models.Index(fields=["tenant", "kind", "remote_id"], name="delivery_by_remote_id"),
        ]

    def __str__(self) -> str:
        return f"{self.request_id} in {self.kind} {self.place_key}"


class Origin(models.Model):
    """A place that an ask of this request came from, as its caller named it. `why` says what kept it from being told.

    `container` is the channel or project that a crowd is counted in. Where `why` is empty there is a delivery under the
    same key.
    """

    tenant = models.ForeignKey(Tenant, on_delete=models.PROTECT, related_name="+")
    request = models.ForeignKey(AccessRequest, on_delete=models.PROTECT, related_name="origins")
    kind = models.CharField(max_length=20)
    place_key = models.CharField(max_length=200)
    container = models.CharField(max_length=200, default="", blank=True)
    why = models.CharField(max_length=200, default="", blank=True)
    named_by = models.ForeignKey(Credential, on_delete=models.PROTECT, related_name="+")
    named_at = models.DateTimeField()

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["request", "kind", "place_key"], name="origin_is_named_once"),
        ]
        indexes = [models.Index(fields=["tenant", "kind", "container", "named_at"], name="origin_by_container")]

    def __str__(self) -> str:
        return f"{self.request_id} came from {self.kind} {self.place_key}"


class Access(models.Model):
    """A tenant's credentials for one system, sealed with this service's own key. They are never shown again."""

    tenant = models.ForeignKey(Tenant, on_delete=models.PROTECT, related_name="+")
    kind = models.CharField(max_length=20)
    box = models.BinaryField()
    updated_at = models.DateTimeField()

    class Meta:
        verbose_name_plural = "access"
        constraints = [models.UniqueConstraint(fields=["tenant", "kind"], name="access_one_per_kind")]

    def __str__(self) -> str:
        return f"{self.kind} of {self.tenant}"


class Seen(models.Model):
    """Something that came in and counts once: a click, an event, a webhook, a signed request."""

    kind = models.CharField(max_length=40)
    key = models.CharField(max_length=200)
    seen_at = models.DateTimeField()

    class Meta:
        constraints = [models.UniqueConstraint(fields=["kind", "key"], name="seen_once")]
        indexes = [models.Index(fields=["seen_at"], name="seen_by_age")]


class Linking(models.Model):
    """An identity of another system offered to a member. It counts once they confirm it, signed in here."""

    id = models.CharField(max_length=40, primary_key=True)
    tenant = models.ForeignKey(Tenant, on_delete=models.PROTECT, related_name="+")
    membership = models.ForeignKey(Membership, on_delete=models.CASCADE, related_name="+")
    kind = models.CharField(max_length=20)
    identity = models.CharField(max_length=200)
    shown_as = models.CharField(max_length=200)
    created_at = models.DateTimeField()
    expires_at = models.DateTimeField()
    confirmed_at = models.DateTimeField(null=True, blank=True)


class Notice(models.Model):
    """Something that one person was told of one waiver, once for each version of it.

    `about` names it: a change with its turn (`suspended.ntc_…`), a reminder (`ends.7d`), a warning (`flag.policy_now`).
    """

    tenant = models.ForeignKey(Tenant, on_delete=models.PROTECT, related_name="+")
    waiver = models.ForeignKey(Waiver, on_delete=models.PROTECT, related_name="+", db_index=False)
    version = models.PositiveIntegerField()
    about = models.CharField(max_length=80)
    person = models.ForeignKey(Membership, on_delete=models.PROTECT, related_name="+")
    made_at = models.DateTimeField()

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["waiver", "version", "about", "person"], name="notice_told_once")
        ]

    def __str__(self) -> str:
        return f"{self.about} of {self.waiver_id} to {self.person_id}"


class Digest(models.Model):
    """The one message that stands for many requests in one place, where each by itself would be a flood.

    `ref` is where it is, empty while there is none. `name` is what it is found again by, `named_at` since when: it is
    given before the message is sent, so a name without a ref may have arrived. `says` is a fingerprint of what it says,
    empty while that is not known; `newest` the last delivery it told of, `sent_at` when it was last sent anew. Only one
    edits it, until `leased_until`.
    """

    tenant = models.ForeignKey(Tenant, on_delete=models.PROTECT, related_name="+")
    kind = models.CharField(max_length=20)
    place_key = models.CharField(max_length=200)
    ref = models.JSONField(default=dict, blank=True)
    name = models.CharField(max_length=40, default="", blank=True)
    named_at = models.DateTimeField(null=True, blank=True)
    says = models.CharField(max_length=64, default="", blank=True)
    newest = models.BigIntegerField(default=0)
    sent_at = models.DateTimeField(null=True, blank=True)
    lease = models.CharField(max_length=40, default="", blank=True)
    leased_until = models.DateTimeField(null=True, blank=True)

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["tenant", "kind", "place_key"], name="digest_one_per_place"),
            models.CheckConstraint(condition=Q(name="") | Q(named_at__isnull=False), name="digest_name_has_its_time"),
        ]

    def __str__(self) -> str:
        return f"digest in {self.kind} {self.place_key}"
