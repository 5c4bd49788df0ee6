"""The revision of a tenant's waivers, and tools that run whatever they are given."""

from django.db import migrations, models

from registry.constraints import KeepingTriggers


class Migration(migrations.Migration):
    dependencies = [("registry", "0004_chat_codes")]

    operations = [
        migrations.AddField("tenant", "waiver_revision", models.BigIntegerField(default=0)),
        KeepingTriggers("registry_tool", migrations.AddField("tool", "wrapper", models.BooleanField(default=False))),
    ]
