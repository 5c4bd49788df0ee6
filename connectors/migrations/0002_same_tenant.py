"""No row of this room may refer to another tenant's."""

from django.db import migrations

from registry.constraints import SameTenant


class Migration(migrations.Migration):
    dependencies = [("connectors", "0001_initial"), ("approvals", "0003_same_tenant"), ("registry", "0002_same_tenant")]

    operations = [
        SameTenant("connectors_delivery", "request_id", "approvals_accessrequest"),
        SameTenant("connectors_linking", "membership_id", "registry_membership"),
    ]
