"""Callbacks that requesters registered, and what submissions say of them; none refers to another tenant's rows."""

import django.db.models.deletion
from django.db import migrations, models

from registry.constraints import SameTenant


class Migration(migrations.Migration):
    dependencies = [
        ("approvals", "0004_intents"),
        ("registry", "0004_chat_codes"),
    ]

    operations = [
        migrations.CreateModel(
            name="Callback",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                ("name", models.CharField(max_length=100)),
                ("url", models.CharField(max_length=2000)),
                ("secret", models.BinaryField()),
                ("created_at", models.DateTimeField()),
                ("removed_at", models.DateTimeField(blank=True, null=True)),
                (
                    "credential",
                    models.ForeignKey(
                        blank=True,
                        null=True,
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="+",
                        to="registry.credential",
                    ),
                ),
                (
                    "tenant",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.PROTECT, related_name="callbacks", to="registry.tenant"
                    ),
                ),
            ],
        ),
        migrations.CreateModel(
            name="CallbackWish",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                ("state", models.TextField(blank=True, default="")),
                ("events", models.JSONField(blank=True, default=list)),
                (
                    "callback",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.PROTECT, related_name="+", to="approvals.callback"
                    ),
                ),
                (
                    "request",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="callback_wishes",
                        to="approvals.accessrequest",
                    ),
                ),
                (
                    "tenant",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.PROTECT, related_name="+", to="registry.tenant"
                    ),
                ),
            ],
        ),
        migrations.AddConstraint(
            model_name="callback",
            constraint=models.UniqueConstraint(
                condition=models.Q(("removed_at__isnull", True)),
                fields=("tenant", "name"),
                name="callback_name_is_unique",
            ),
        ),
        migrations.AddConstraint(
            model_name="callbackwish",
            constraint=models.UniqueConstraint(fields=("request", "callback"), name="callback_wish_is_one"),
        ),
        SameTenant("approvals_callback", "credential_id", "registry_credential"),
        SameTenant("approvals_callbackwish", "request_id", "approvals_accessrequest"),
        SameTenant("approvals_callbackwish", "callback_id", "approvals_callback"),
    ]
