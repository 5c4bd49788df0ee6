"""References between registry rows stay within their tenant."""

from django.db import migrations

from registry.constraints import SameTenant


class Migration(migrations.Migration):
    dependencies = [("registry", "0001_initial")]

    operations = [
        SameTenant("registry_teammember", "team_id", "registry_team"),
        SameTenant("registry_teammember", "membership_id", "registry_membership"),
        SameTenant("registry_agent", "owner_id", "registry_membership"),
        SameTenant("registry_agent", "team_id", "registry_team"),
        SameTenant("registry_tool", "owner_id", "registry_membership"),
        SameTenant("registry_credential", "membership_id", "registry_membership"),
    ]
