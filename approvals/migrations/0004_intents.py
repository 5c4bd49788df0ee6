"""Votes begun in a chat, waiting to be confirmed on our own page; none refers to another tenant's rows."""

import django.db.models.deletion
from django.db import migrations, models

from registry.constraints import SameTenant


class Migration(migrations.Migration):
    dependencies = [
        ("approvals", "0003_same_tenant"),
        ("registry", "0003_password_tries"),
    ]

    operations = [
        migrations.CreateModel(
            name="Intent",
            fields=[
                ("id", models.CharField(max_length=40, primary_key=True, serialize=False)),
                ("decision", models.CharField(choices=[("approve", "Approve"), ("deny", "Deny")], max_length=8)),
                ("reason", models.TextField(blank=True, default="")),
                ("surface", models.CharField(max_length=12)),
                ("number", models.PositiveSmallIntegerField()),
                ("wrong_numbers", models.PositiveSmallIntegerField(default=0)),
                ("created_at", models.DateTimeField()),
                ("expires_at", models.DateTimeField()),
                ("used_at", models.DateTimeField(blank=True, null=True)),
                (
                    "membership",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.PROTECT, related_name="+", to="registry.membership"
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
                    models.CheckConstraint(
                        condition=models.Q(("decision__in", ["approve", "deny"])), name="intent_decision_is_known"
                    ),
                    models.CheckConstraint(
                        condition=models.Q(("number__gte", 10), ("number__lte", 99)),
                        name="intent_number_has_two_digits",
                    ),
                    models.CheckConstraint(
                        condition=models.Q(("wrong_numbers__lte", 3)), name="intent_burns_after_three"
                    ),
                ],
            },
        ),
        SameTenant("approvals_intent", "request_id", "approvals_accessrequest"),
        SameTenant("approvals_intent", "membership_id", "registry_membership"),
    ]
