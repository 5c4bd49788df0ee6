"""Issuers of tokens and identities of client certificates, and the credentials that stand for whom they vouch."""

import django.db.models.deletion
from django.db import migrations, models
from django.db.models import Q

from registry.constraints import KeepingTriggers, SameTenant

CREDENTIAL = "registry_credential"


class Migration(migrations.Migration):
    dependencies = [("registry", "0006_waiver_drafts")]

    operations = [
        migrations.CreateModel(
            name="Issuer",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                ("issuer_id", models.CharField(max_length=200, verbose_name="id")),
                ("kind", models.CharField(choices=[("jwt", "Jwt"), ("certificate", "Certificate")], max_length=11)),
                ("issuer", models.CharField(max_length=500)),
                ("audience", models.CharField(blank=True, default="", max_length=500)),
                ("jwks", models.JSONField(blank=True, default=dict)),
                ("jwks_url", models.CharField(blank=True, default="", max_length=2000)),
                ("algorithms", models.JSONField(blank=True, default=list)),
                ("agent_claim", models.CharField(blank=True, default="", max_length=100)),
                ("principal_claim", models.CharField(blank=True, default="", max_length=100)),
                ("max_lifetime", models.PositiveIntegerField(default=3600)),
                ("active", models.BooleanField(default=True)),
                (
                    "agent",
                    models.ForeignKey(
                        blank=True,
                        null=True,
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="certificates",
                        to="registry.agent",
                    ),
                ),
                (
                    "tenant",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.PROTECT, related_name="issuers", to="registry.tenant"
                    ),
                ),
            ],
            options={
                "constraints": [
                    models.UniqueConstraint(fields=("tenant", "issuer_id"), name="issuer_id_is_unique"),
                    models.UniqueConstraint(
                        condition=Q(("active", True)),
                        fields=("kind", "issuer", "audience"),
                        name="issuer_names_one_tenant",
                    ),
                    models.CheckConstraint(
                        condition=Q(kind="jwt", agent__isnull=True)
                        & ~Q(audience="")
                        & (~Q(agent_claim="") & Q(principal_claim="") | Q(agent_claim="") & ~Q(principal_claim=""))
                        | Q(kind="certificate", agent__isnull=False, audience="", agent_claim="", principal_claim=""),
                        name="issuer_is_whole",
                    ),
                ],
            },
        ),
        SameTenant("registry_issuer", "agent_id", "registry_agent"),
        KeepingTriggers(
            CREDENTIAL,
            migrations.AddField(
                "credential",
                "issuer",
                models.ForeignKey(
                    blank=True,
                    null=True,
                    on_delete=django.db.models.deletion.PROTECT,
                    related_name="credentials",
                    to="registry.issuer",
                ),
            ),
        ),
        KeepingTriggers(
            CREDENTIAL,
            migrations.AddConstraint(
                "credential",
                models.UniqueConstraint(fields=("issuer", "name"), name="credential_once_per_workload"),
            ),
        ),
        KeepingTriggers(
            CREDENTIAL,
            migrations.AddConstraint(
                "credential",
                models.CheckConstraint(
                    condition=Q(("issuer__isnull", True), ("kind", "agent"), _connector="OR"),
                    name="credential_of_issuer_is_agents",
                ),
            ),
        ),
        SameTenant(CREDENTIAL, "issuer_id", "registry_issuer"),
    ]
