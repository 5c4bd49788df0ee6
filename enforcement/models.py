"""What machines did: repeatable attempts, counters of caps, escalations that may still be asked for, executions."""

from django.db import models
from django.db.models import Q

from registry.models import Credential, Human, Membership, Tenant


class Attempt(models.Model):
    """The answer once given to one attempt of one credential, so that a lost answer can be repeated word for word."""

    credential = models.ForeignKey(Credential, on_delete=models.PROTECT, related_name="+", db_index=False)
    attempt = models.CharField(max_length=200)
    action_digest = models.CharField(max_length=71)
    answer = models.BinaryField()
    made_at = models.DateTimeField()

    class Meta:
        constraints = [models.UniqueConstraint(fields=["credential", "attempt"], name="attempt_once_per_credential")]


class Counter(models.Model):
    """What one cap has used in one window. Spend is counted in millionths of the currency, so that it stays exact."""

    tenant = models.ForeignKey(Tenant, on_delete=models.PROTECT, related_name="+", db_index=False)
    key = models.CharField(max_length=500)
    window = models.DateTimeField()
    used = models.BigIntegerField(default=0)

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["tenant", "key", "window"], name="counter_is_unique"),
            models.CheckConstraint(condition=Q(used__gte=0), name="counter_is_not_negative"),
        ]


class Escalation(models.Model):
    """An escalated evaluation that may still be submitted as a request, until `expires_at`."""

    evaluation_id = models.CharField(max_length=40, primary_key=True)
    tenant = models.ForeignKey(Tenant, on_delete=models.PROTECT, related_name="+")
    credential = models.ForeignKey(Credential, on_delete=models.PROTECT, related_name="+")
    action_digest = models.CharField(max_length=71)
    commitment = models.CharField(max_length=71)
    question = models.BinaryField()  # the request body, encrypted
    made_at = models.DateTimeField()
    expires_at = models.DateTimeField()

    class Meta:
        indexes = [models.Index(fields=["expires_at"], name="escalation_due")]


class Submission(models.Model):
    """An Idempotency-Key once used by a credential, and the request it led to."""

    credential = models.ForeignKey(Credential, on_delete=models.PROTECT, related_name="+", db_index=False)
    key = models.CharField(max_length=200)
    body_digest = models.CharField(max_length=71)
    request_id = models.CharField(max_length=40)
    made_at = models.DateTimeField()

    class Meta:
        constraints = [models.UniqueConstraint(fields=["credential", "key"], name="submission_key_once")]


class Custody(models.TextChoices):
    """Where an execution stands. Out of `reserved` once; out of `executing` once."""

    RESERVED = "reserved"
    EXECUTING = "executing"
    COMMITTED = "committed"
    FAILED = "failed"
    INDETERMINATE = "indeterminate"
    LAPSED = "lapsed"


class Execution(models.Model):
    """What a PEP does with one allow. Made with the allow if an approval or a waiver was used, else by the first word
    about it. Without a `deadline` a reservation does not lapse: nobody knows whether its PEP reports at all.
    `action_digest` is the action that nobody may repeat while its end is unknown; empty if equal calls are told apart
    by nothing. `principal_human` is whom it was for, where no request tells it. `budget` is what it counts for now,
    after all corrections.
    """

    evaluation_id = models.CharField(max_length=40, primary_key=True)
    tenant = models.ForeignKey(Tenant, on_delete=models.PROTECT, related_name="executions")
    credential = models.ForeignKey(Credential, on_delete=models.PROTECT, related_name="+")
    request_id = models.CharField(max_length=40, default="", blank=True)
    action_digest = models.CharField(max_length=71)
    principal_human = models.ForeignKey(
        Human, on_delete=models.PROTECT, null=True, blank=True, related_name="+", db_index=False
    )
    thread = models.CharField(max_length=200)
    status = models.CharField(max_length=14, choices=Custody.choices)
    reserved_at = models.DateTimeField()
    started_at = models.DateTimeField(null=True, blank=True)
    finished_at = models.DateTimeField(null=True, blank=True)
    deadline = models.DateTimeField(null=True, blank=True)
    report = models.JSONField(default=dict, blank=True)
    budget = models.JSONField(default=list, blank=True)

    class Meta:
        constraints = [models.CheckConstraint(condition=Q(status__in=Custody.values), name="execution_status_is_known")]
        indexes = [
            models.Index(fields=["deadline"], condition=Q(status__in=["reserved", "executing"]), name="execution_due"),
            models.Index(
                fields=["tenant", "finished_at"], condition=Q(status="indeterminate"), name="execution_unsettled"
            ),
        ]

    @classmethod
    def unsettled(cls, tenant_id: int) -> models.QuerySet["Execution"]:
        """Those whose action waits for a person's word."""
        return cls.objects.filter(tenant_id=tenant_id, status=Custody.INDETERMINATE).exclude(action_digest="")


class Finding(models.TextChoices):
    """What whoever looks at the effect of a call can find."""

    VERIFIED = "verified"
    DIVERGED = "diverged"
    UNVERIFIABLE = "unverifiable"


class Verification(models.Model):
    """What one verifier saw of one execution; `id` is its record's. The same words again are the same fact."""

    id = models.CharField(max_length=40, primary_key=True)
    execution = models.ForeignKey(Execution, on_delete=models.PROTECT, related_name="verifications", db_index=False)
    credential = models.ForeignKey(Credential, on_delete=models.PROTECT, related_name="+")
    finding = models.CharField(max_length=12, choices=Finding.choices)
    digest = models.CharField(max_length=71)  # of all that was said
    said = models.JSONField(default=dict, blank=True)
    made_at = models.DateTimeField()

    class Meta:
        constraints = [
            models.CheckConstraint(condition=Q(finding__in=Finding.values), name="verification_finding_is_known"),
            models.UniqueConstraint(fields=["execution", "credential", "digest"], name="verification_said_once"),
        ]


class Reconciliation(models.Model):
    """What one person found out about an execution whose end nobody knew; `id` is its record's. Once for each.

    The record has digests of the words: words may quote, and records cannot be deleted.
    """

    id = models.CharField(max_length=40, primary_key=True)
    execution = models.OneToOneField(Execution, on_delete=models.PROTECT, related_name="reconciliation")
    by = models.ForeignKey(Membership, on_delete=models.PROTECT, related_name="+")
    outcome = models.CharField(max_length=14, choices=Custody.choices)
    reason = models.TextField()
    evidence = models.TextField()
    made_at = models.DateTimeField()

    class Meta:
        constraints = [
            models.CheckConstraint(
                condition=Q(outcome__in=[Custody.COMMITTED, Custody.FAILED]), name="reconciliation_outcome_is_an_end"
            )
        ]
