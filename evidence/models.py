"""The rows evidence is made of. Insert only: triggers and the runtime role forbid the rest, save `KeptArguments`."""

from django.db import models
from django.db.models import Q


class Record(models.Model):
    """One journalled record: the canonical statement and its leaf, durable before anybody hears of it.

    `event_id` is the id in the record (`eva_…` for a decision). `thread`/`n` chain the records of one case, so that
    a pack cannot hide a step. `session`, `transaction` and `request` are what packs are selected by ("" if none).
    """

    id = models.BigAutoField(primary_key=True)
    log = models.CharField(max_length=63)
    event = models.CharField(max_length=40)
    event_id = models.CharField(max_length=40)
    thread = models.CharField(max_length=200)
    n = models.PositiveIntegerField()
    session = models.CharField(max_length=200, default="", blank=True)
    transaction = models.CharField(max_length=200, default="", blank=True)
    request = models.CharField(max_length=40, default="", blank=True)
    recorded_at = models.DateTimeField()
    body = models.BinaryField()
    leaf = models.BinaryField()

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["event_id"], name="record_event_id_is_unique"),
            models.UniqueConstraint(fields=["log", "thread", "n"], name="record_thread_has_no_fork"),
        ]
        indexes = [
            models.Index(fields=["log", "session"], condition=~Q(session=""), name="record_by_session"),
            models.Index(fields=["log", "transaction"], condition=~Q(transaction=""), name="record_by_transaction"),
            models.Index(fields=["log", "request"], condition=~Q(request=""), name="record_by_request"),
        ]


class Sealed(models.Model):
    """A record's place in its log's RFC 6962 tree and the sealer's DSSE signature over it."""

    # No foreign key in the database: its check would rewrite each record's row to lock it, and no record can go away.
    record = models.OneToOneField(
        Record, on_delete=models.DO_NOTHING, primary_key=True, related_name="sealed", db_constraint=False
    )
    log = models.CharField(max_length=63)
    seq = models.PositiveBigIntegerField()
    leaf = models.BinaryField()
    signature = models.BinaryField()

    class Meta:
        constraints = [models.UniqueConstraint(fields=["log", "seq"], name="sealed_seq_is_unique")]


class Node(models.Model):
    """Root of one complete subtree of 256^(level) leaves, so that a proof reads hundreds of rows, not millions."""

    log = models.CharField(max_length=63)
    level = models.PositiveSmallIntegerField()
    index = models.PositiveBigIntegerField()
    hash = models.BinaryField()

    class Meta:
        constraints = [models.UniqueConstraint(fields=["log", "level", "index"], name="node_is_unique")]


class Checkpoint(models.Model):
    """A signed tree head (C2SP note), one per growth."""

    log = models.CharField(max_length=63)
    size = models.PositiveBigIntegerField()
    root = models.BinaryField()
    note = models.TextField()
    made_at = models.DateTimeField()

    class Meta:
        constraints = [models.UniqueConstraint(fields=["log", "size"], name="checkpoint_size_is_unique")]


class KeptArguments(models.Model):
    """The action, its arguments and the salt, encrypted, beside the records that carry only their commitment.

    The one evidence row that may be deleted: erasing it erases the arguments for good.
    """

    log = models.CharField(max_length=63)
    commitment = models.CharField(max_length=71)
    sealed_box = models.BinaryField()
    kept_at = models.DateTimeField()

    class Meta:
        constraints = [models.UniqueConstraint(fields=["log", "commitment"], name="kept_arguments_once")]
