"""Waivers that blueprints propose."""

import django.db.models.deletion
from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [
        ("registry", "0005_waivers"),
    ]

    operations = [
        migrations.CreateModel(
            name="WaiverDraft",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                ("draft_id", models.CharField(max_length=200, verbose_name="id")),
                ("terms", models.JSONField()),
                (
                    "tenant",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.PROTECT, related_name="waiver_drafts", to="registry.tenant"
                    ),
                ),
            ],
            options={
                "constraints": [
                    models.UniqueConstraint(fields=("tenant", "draft_id"), name="waiver_draft_id_is_unique")
                ],
            },
        ),
    ]
