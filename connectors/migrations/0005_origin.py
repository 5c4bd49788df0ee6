"""Where an ask came from, as its caller named it. No row of it may refer to another tenant's."""

import django.db.models.deletion
from django.db import migrations, models

from registry.constraints import SameTenant


class Migration(migrations.Migration):
    dependencies = [
        ("approvals", "0005_callbacks"),
        ("connectors", "0004_remote_id"),
        ("registry", "0004_chat_codes"),
    ]

    operations = [
        migrations.CreateModel(
            name="Origin",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                ("kind", models.CharField(max_length=20)),
                ("place_key", models.CharField(max_length=200)),
                ("container", models.CharField(blank=True, default="", max_length=200)),
                ("why", models.CharField(blank=True, default="", max_length=200)),
                ("named_at", models.DateTimeField()),
                (
                    "named_by",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.PROTECT, related_name="+", to="registry.credential"
                    ),
                ),
                (
                    "request",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="origins",
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
            model_name="origin",
            constraint=models.UniqueConstraint(
                fields=("request", "kind", "place_key"), name="origin_is_named_once"
            ),
        ),
        migrations.AddIndex(
            model_name="origin",
            index=models.Index(fields=["tenant", "kind", "container", "named_at"], name="origin_by_container"),
        ),
        SameTenant("connectors_origin", "request_id", "approvals_accessrequest"),
        SameTenant("connectors_origin", "named_by_id", "registry_credential"),
    ]
