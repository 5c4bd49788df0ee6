"""The rows people's decisions are made of. The request row is the lock under which votes agree."""

from django.db import models
from django.db.models import F, Q

from approvals.waivers.models import CalendarFeed as CalendarFeed
from approvals.waivers.models import Control as Control
from approvals.waivers.models import Waiver as Waiver
from registry.models import Credential, Human, Membership, Tenant, User


class Status(models.TextChoices):
    """The states of ARAP that a single request can take; one transition, out of pending."""

    PENDING = "pending"
    APPROVED = "approved"
    DENIED = "denied"
    EXPIRED = "expired"
    CANCELLED = "cancelled"
    FAILED = "failed"


class AccessRequest(models.Model):
    """One ask for human approval of exactly one action: of a machine (`opened_by`), or of a person, who asks for a
    waiver (`asked_by`).

    The action, its arguments, the salt and the lines that approvers are shown are not in this row: they are kept
    encrypted beside the evidence under `commitment`, erasable together (`approvals.shown` reads them). `display_hash`
    is what a vote must have seen. `requirements` is the list met when all are met.
    """

    id = models.CharField(max_length=40, primary_key=True)
    tenant = models.ForeignKey(Tenant, on_delete=models.PROTECT, related_name="requests")
    status = models.CharField(max_length=10, choices=Status.choices, default=Status.PENDING)
    evaluation_id = models.CharField(max_length=40)
    opened_by = models.ForeignKey(Credential, on_delete=models.PROTECT, null=True, blank=True, related_name="+")
    asked_by = models.ForeignKey(Membership, on_delete=models.PROTECT, null=True, blank=True, related_name="+")
    subject = models.JSONField()  # type and id of who asks, as AuthZEN names them
    agent_id = models.CharField(max_length=510)  # `type:id` where it is no agent
    agent_owner = models.ForeignKey(Human, on_delete=models.PROTECT, null=True, blank=True, related_name="+")
    principal = models.JSONField(default=dict, blank=True)
    principal_human = models.ForeignKey(Human, on_delete=models.PROTECT, null=True, blank=True, related_name="+")
    tool_id = models.CharField(max_length=510)
    method = models.CharField(max_length=200)
    risk_tier = models.PositiveSmallIntegerField(null=True, blank=True)
    risk_score = models.PositiveSmallIntegerField(null=True, blank=True)
    reasons = models.JSONField(default=list)
    template = models.CharField(max_length=200, default="", blank=True)
    session = models.CharField(max_length=200, default="", blank=True)
    transaction = models.CharField(max_length=200, default="", blank=True)
    action_digest = models.CharField(max_length=71)
    arguments_digest = models.CharField(max_length=71)
    commitment = models.CharField(max_length=71)
    requirements = models.JSONField()
    justification = models.TextField(default="", blank=True)
    display_hash = models.CharField(max_length=71)
    policy_revision = models.BigIntegerField()
    registry_revision = models.BigIntegerField()
    opened_at = models.DateTimeField()
    expires_at = models.DateTimeField()
    closed_at = models.DateTimeField(null=True, blank=True)
    closed_reason = models.TextField(default="", blank=True)

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["tenant", "action_digest"], condition=Q(status="pending"), name="request_one_pending_per_action"
            ),
            models.CheckConstraint(condition=Q(status__in=Status.values), name="request_status_is_known"),
            models.CheckConstraint(
                condition=Q(status="pending", closed_at__isnull=True)
                | (~Q(status="pending") & Q(closed_at__isnull=False)),
                name="request_closed_has_time",
            ),
            models.CheckConstraint(condition=Q(expires_at__gt=F("opened_at")), name="request_expires_after_opening"),
            models.CheckConstraint(
                condition=Q(opened_by__isnull=False, asked_by__isnull=True)
                | Q(opened_by__isnull=True, asked_by__isnull=False),
                name="request_has_one_asker",
            ),
        ]
        indexes = [
            models.Index(fields=["tenant", "status", "opened_at"], name="request_inbox"),
            models.Index(fields=["expires_at"], condition=Q(status="pending"), name="request_due"),
        ]


class RequestParty(models.Model):
    """A credential that opened or joined a request and may therefore use its approval."""

    tenant = models.ForeignKey(Tenant, on_delete=models.PROTECT, related_name="+")
    request = models.ForeignKey(AccessRequest, on_delete=models.PROTECT, related_name="parties")
    credential = models.ForeignKey(Credential, on_delete=models.PROTECT, related_name="+")
    evaluation_id = models.CharField(max_length=40)
    joined_at = models.DateTimeField()

    class Meta:
        constraints = [models.UniqueConstraint(fields=["request", "credential"], name="party_is_unique")]


class Bundle(models.Model):
    """Requests that one submission asked for together. It has no state: what it is follows from its requests.

    `ended_at` is when the last of them ended, once that has been noticed; whoever notices it tells of it.
    """

    id = models.CharField(max_length=40, primary_key=True)
    tenant = models.ForeignKey(Tenant, on_delete=models.PROTECT, related_name="bundles")
    subject = models.JSONField()  # type and id, as in its requests
    opened_by = models.ForeignKey(Credential, on_delete=models.PROTECT, related_name="+")
    opened_at = models.DateTimeField()
    ended_at = models.DateTimeField(null=True, blank=True)


class BundleItem(models.Model):
    """One request of a bundle, which may have been there before and may be in several."""

    tenant = models.ForeignKey(Tenant, on_delete=models.PROTECT, related_name="+")
    bundle = models.ForeignKey(Bundle, on_delete=models.PROTECT, related_name="items")
    position = models.PositiveSmallIntegerField()
    request = models.ForeignKey(AccessRequest, on_delete=models.PROTECT, related_name="+")

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["bundle", "position"], name="bundle_item_has_a_place"),
            models.UniqueConstraint(fields=["bundle", "request"], name="bundle_item_is_once"),
        ]


class Callback(models.Model):
    """An endpoint that a requester registered beforehand: of one credential, or (none) of the whole tenant.

    `secret` signs what is sent there; encrypted. A removed one stays, so that its name stays in the records.
    """

    tenant = models.ForeignKey(Tenant, on_delete=models.PROTECT, related_name="callbacks")
    name = models.CharField(max_length=100)
    url = models.CharField(max_length=2000)
    credential = models.ForeignKey(Credential, on_delete=models.PROTECT, null=True, blank=True, related_name="+")
    secret = models.BinaryField()
    created_at = models.DateTimeField()
    removed_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["tenant", "name"], condition=Q(removed_at__isnull=True), name="callback_name_is_unique"
            )
        ]

    def __str__(self) -> str:
        return f"callback {self.name}"


class CallbackWish(models.Model):
    """What a submission said of a registered callback: what to give back to it, and which ends it wants to hear of.

    Of its task: the request, or the bundle of several; of each item of a bundle too, which is a task of its own.
    """

    tenant = models.ForeignKey(Tenant, on_delete=models.PROTECT, related_name="+")
    request = models.ForeignKey(
        AccessRequest, on_delete=models.PROTECT, null=True, blank=True, related_name="callback_wishes"
    )
    bundle = models.ForeignKey(Bundle, on_delete=models.PROTECT, null=True, blank=True, related_name="callback_wishes")
    callback = models.ForeignKey(Callback, on_delete=models.PROTECT, related_name="+")
    state = models.TextField(default="", blank=True)
    events = models.JSONField(default=list, blank=True)

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["request", "callback"], name="callback_wish_is_one"),
            models.UniqueConstraint(fields=["bundle", "callback"], name="callback_wish_is_one_of_bundle"),
            models.CheckConstraint(
                condition=Q(request__isnull=False, bundle__isnull=True) | Q(request__isnull=True, bundle__isnull=False),
                name="callback_wish_is_of_one_task",
            ),
        ]


class Decision(models.TextChoices):
    """What a vote says."""

    APPROVE = "approve"
    DENY = "deny"


class StepUpProof(models.Model):
    """A fresh authentication, bound to one request, one decision and what was seen. Good for one vote."""

    id = models.CharField(max_length=40, primary_key=True)
    tenant = models.ForeignKey(Tenant, on_delete=models.PROTECT, related_name="+")
    request = models.ForeignKey(AccessRequest, on_delete=models.PROTECT, related_name="step_ups")
    user = models.ForeignKey(User, on_delete=models.PROTECT, related_name="+")
    decision = models.CharField(max_length=8, choices=Decision.choices)
    action_digest = models.CharField(max_length=71)
    seen = models.CharField(max_length=71)
    nonce = models.CharField(max_length=64)
    challenge = models.CharField(max_length=71)
    method = models.CharField(max_length=10)
    passed_at = models.DateTimeField()
    expires_at = models.DateTimeField()
    used_at = models.DateTimeField(null=True, blank=True)


class Vote(models.Model):
    """One human's say on one request. `leaf` is the leaf of its evidence record, which the approval is signed over."""

    tenant = models.ForeignKey(Tenant, on_delete=models.PROTECT, related_name="+")
    request = models.ForeignKey(AccessRequest, on_delete=models.PROTECT, related_name="votes")
    human = models.ForeignKey(Human, on_delete=models.PROTECT, related_name="+")
    membership = models.ForeignKey(Membership, on_delete=models.PROTECT, related_name="votes")
    decision = models.CharField(max_length=8, choices=Decision.choices)
    reason = models.TextField(default="", blank=True)
    seen = models.CharField(max_length=71)
    step_up = models.OneToOneField(StepUpProof, on_delete=models.PROTECT, null=True, blank=True, related_name="vote")
    assurance = models.CharField(max_length=10, default="none")
    surface = models.CharField(max_length=20)
    cast_at = models.DateTimeField()
    leaf = models.BinaryField()

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["request", "human"], name="vote_one_per_human"),
            models.CheckConstraint(condition=Q(decision__in=Decision.values), name="vote_decision_is_known"),
        ]


class Approval(models.Model):
    """The consumable result of an approved request. `envelope` is signed over the votes' leaves and verified at use."""

    id = models.CharField(max_length=40, primary_key=True)
    tenant = models.ForeignKey(Tenant, on_delete=models.PROTECT, related_name="approvals")
    request = models.OneToOneField(AccessRequest, on_delete=models.PROTECT, related_name="approval")
    action_digest = models.CharField(max_length=71)
    issued_at = models.DateTimeField()
    expires_at = models.DateTimeField()
    uses_allowed = models.PositiveIntegerField()
    uses = models.PositiveIntegerField(default=0)
    revoked_at = models.DateTimeField(null=True, blank=True)
    envelope = models.JSONField()

    class Meta:
        constraints = [
            models.CheckConstraint(condition=Q(uses__lte=F("uses_allowed")), name="approval_uses_within_allowed"),
            models.CheckConstraint(condition=Q(uses_allowed__gte=1), name="approval_allows_a_use"),
        ]


class Intent(models.Model):
    """A vote begun elsewhere, to be confirmed on our own page: good for minutes, once. It proves nothing by itself."""

    id = models.CharField(max_length=40, primary_key=True)
    tenant = models.ForeignKey(Tenant, on_delete=models.PROTECT, related_name="+")
    request = models.ForeignKey(AccessRequest, on_delete=models.PROTECT, related_name="+")
    membership = models.ForeignKey(Membership, on_delete=models.PROTECT, related_name="+")
    decision = models.CharField(max_length=8, choices=Decision.choices)
    reason = models.TextField(default="", blank=True)
    surface = models.CharField(max_length=12)
    number = models.PositiveSmallIntegerField()
    wrong_numbers = models.PositiveSmallIntegerField(default=0)
    created_at = models.DateTimeField()
    expires_at = models.DateTimeField()
    used_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        constraints = [
            models.CheckConstraint(condition=Q(decision__in=Decision.values), name="intent_decision_is_known"),
            models.CheckConstraint(condition=Q(number__gte=10, number__lte=99), name="intent_number_has_two_digits"),
            models.CheckConstraint(condition=Q(wrong_numbers__lte=3), name="intent_burns_after_three"),
        ]


class TotpDevice(models.Model):
    """A TOTP authenticator. The seed is encrypted; `last_step` only moves forward, in one guarded UPDATE."""

    user = models.ForeignKey(User, on_delete=models.CASCADE, related_name="totp_devices")
    secret = models.BinaryField()
    created_at = models.DateTimeField()
    confirmed_at = models.DateTimeField(null=True, blank=True)
    usable_from = models.DateTimeField(null=True, blank=True)
    disabled_at = models.DateTimeField(null=True, blank=True)
    last_step = models.BigIntegerField(default=0)
    failures = models.PositiveIntegerField(default=0)
    locked_until = models.DateTimeField(null=True, blank=True)

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["user"],
                condition=Q(confirmed_at__isnull=False, disabled_at__isnull=True),
                name="totp_one_live_device",
            )
        ]


class RecoveryCode(models.Model):
    """A single-use code for a lost authenticator; keyed hash only."""

    user = models.ForeignKey(User, on_delete=models.CASCADE, related_name="recovery_codes")
    code_hash = models.BinaryField()
    created_at = models.DateTimeField()
    used_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        constraints = [models.UniqueConstraint(fields=["user", "code_hash"], name="recovery_code_is_unique")]
