"""Idempotency keys of waivers."""

from django.db import migrations, models

from registry.constraints import KeepingTriggers

WAIVER = "approvals_waiver"


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
    ]  # fmt: skip
