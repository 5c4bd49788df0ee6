"""A digest has a name from before it is sent, by which one whose answer was lost is found again."""

from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("connectors", "0006_notice")]

    operations = [
        migrations.AddField("digest", "name", models.CharField(blank=True, default="", max_length=40)),
        migrations.AddField("digest", "named_at", models.DateTimeField(blank=True, null=True)),
        migrations.AddConstraint(
            "digest",
            models.CheckConstraint(
                condition=models.Q(name="") | models.Q(named_at__isnull=False), name="digest_name_has_its_time"
            ),
        ),
    ]
