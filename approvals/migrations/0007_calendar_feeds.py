"""Addresses under which calendars read when waivers end."""

import django.db.models.deletion
from django.db import migrations, models

from registry.constraints import SameTenant


class Migration(migrations.Migration):
    dependencies = [
        ("approvals", "0006_waivers"),
        ("registry", "0006_waiver_drafts"),
    ]

    operations = [
        migrations.CreateModel(
            name="CalendarFeed",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                ("key_id", models.CharField(max_length=20, unique=True)),
                ("secret_hash", models.BinaryField()),
                ("issued_at", models.DateTimeField()),
                ("minute", models.DateTimeField()),
                ("asked", models.PositiveIntegerField(default=0)),
                (
                    "membership",
                    models.OneToOneField(
                        on_delete=django.db.models.deletion.CASCADE,
                        related_name="calendar_feed",
                        to="registry.membership",
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
        SameTenant("approvals_calendarfeed", "membership_id", "registry_membership"),
    ]
