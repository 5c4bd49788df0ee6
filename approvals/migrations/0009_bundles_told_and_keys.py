"""Idempotency keys of waivers; the ends of bundles, and what their submitters wish to be told of them."""

import django.db.models.deletion
from django.db import migrations, models

from registry.constraints import KeepingTriggers, SameTenant

WAIVER = "approvals_waiver"
WISH = "approvals_callbackwish"


class Migration(migrations.Migration):
    dependencies = [
        ("approvals", "0008_arap_bundles"),
        ("registry", "0006_waiver_drafts"),
    ]

    operations = [
        KeepingTriggers(WAIVER, migrations.AddField(
            "waiver", "key", models.CharField(blank=True, default="", max_length=200)
        )),
        KeepingTriggers(WAIVER, migrations.AddField(
            "waiver", "key_digest", models.CharField(blank=True, default="", max_length=71)
        )),
        KeepingTriggers(WAIVER, migrations.AddConstraint(
            "waiver",
            models.UniqueConstraint(
                condition=models.Q(("key", ""), _negated=True), fields=("asked_by", "key"), name="waiver_key_once"
            ),
        )),
        KeepingTriggers("approvals_bundle", migrations.AddField(
            "bundle", "ended_at", models.DateTimeField(blank=True, null=True)
        )),
        KeepingTriggers(WISH, migrations.AddField("callbackwish", "bundle", models.ForeignKey(
            blank=True, null=True, on_delete=django.db.models.deletion.PROTECT, related_name="callback_wishes",
            to="approvals.bundle",
        ))),
        KeepingTriggers(WISH, migrations.AlterField("callbackwish", "request", models.ForeignKey(
            blank=True, null=True, on_delete=django.db.models.deletion.PROTECT, related_name="callback_wishes",
            to="approvals.accessrequest",
        ))),
        KeepingTriggers(WISH, migrations.AddConstraint(
            "callbackwish",
            models.UniqueConstraint(fields=("bundle", "callback"), name="callback_wish_is_one_of_bundle"),
        )),
        KeepingTriggers(WISH, migrations.AddConstraint(
            "callbackwish",
            models.CheckConstraint(
                condition=models.Q(("bundle__isnull", True), ("request__isnull", False))
                | models.Q(("bundle__isnull", False), ("request__isnull", True)),
                name="callback_wish_is_of_one_task",
            ),
        )),
        SameTenant(WISH, "bundle_id", "approvals_bundle"),
    ]  # fmt: skip
