"""Requests that one submission asked for together; none refers to another tenant's rows."""

import django.db.models.deletion
from django.db import migrations, models

from registry.constraints import SameTenant


class Migration(migrations.Migration):
    dependencies = [
        ("approvals", "0007_calendar_feeds"),
        ("registry", "0006_waiver_drafts"),
    ]

    operations = [
        migrations.CreateModel(
            name="Bundle",
            fields=[
                ("id", models.CharField(max_length=40, primary_key=True, serialize=False)),
                ("subject", models.JSONField()),
                ("opened_at", models.DateTimeField()),
                (
                    "opened_by",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.PROTECT, related_name="+", to="registry.credential"
                    ),
                ),
                (
                    "tenant",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.PROTECT, related_name="bundles", to="registry.tenant"
                    ),
                ),
            ],
        ),
        migrations.CreateModel(
            name="BundleItem",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                ("position", models.PositiveSmallIntegerField()),
                (
                    "bundle",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.PROTECT, related_name="items", to="approvals.bundle"
                    ),
                ),
                (
                    "request",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.PROTECT, related_name="+", to="approvals.accessrequest"
                    ),
                ),
                (
                    "tenant",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.PROTECT, related_name="+", to="registry.tenant"
                    ),
                ),
            ],
            options={
                "constraints": [
                    models.UniqueConstraint(fields=("bundle", "position"), name="bundle_item_has_a_place"),
                    models.UniqueConstraint(fields=("bundle", "request"), name="bundle_item_is_once"),
                ],
            },
        ),
        SameTenant("approvals_bundle", "opened_by_id", "registry_credential"),
        SameTenant("approvals_bundleitem", "bundle_id", "approvals_bundle"),
        SameTenant("approvals_bundleitem", "request_id", "approvals_accessrequest"),
    ]
