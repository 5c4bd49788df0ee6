"""What calls of other systems name a delivery by gets a column with an index, filled from the refs there are."""

from django.db import migrations, models
from django.db.models import Value
from django.db.models.fields.json import KT
from django.db.models.functions import Coalesce


def fill(apps, schema_editor):
    deliveries = apps.get_model("connectors", "Delivery").objects.using(schema_editor.connection.alias)
    named = Coalesce(KT("ref__id"), KT("ref__sys_id"), Value(""))
    deliveries.filter(kind__in=("jira", "servicenow")).update(remote_id=named)


class Migration(migrations.Migration):
    dependencies = [("connectors", "0003_digest")]

    operations = [
        migrations.AddField("delivery", "remote_id", models.CharField(blank=True, default="", max_length=100)),
        migrations.RunPython(fill, migrations.RunPython.noop, elidable=True),
        migrations.AddIndex(
            "delivery", models.Index(fields=["tenant", "kind", "remote_id"], name="delivery_by_remote_id")
        ),
    ]
