"""No row of this room may refer to another tenant's."""

import django.db.models.deletion
from django.db import migrations, models

from registry.constraints import SameTenant

REQUEST = "approvals_accessrequest"


class Migration(migrations.Migration):
    dependencies = [("approvals", "0002_initial"), ("registry", "0002_same_tenant")]

    operations = [
        migrations.AddField(
            model_name="requestparty",
            name="tenant",
            field=models.ForeignKey(
                default=None,
                on_delete=django.db.models.deletion.PROTECT,
                related_name="+",
                to="registry.tenant",
            ),
            preserve_default=False,
        ),
        SameTenant(REQUEST, "opened_by_id", "registry_credential"),
        SameTenant("approvals_requestparty", "request_id", REQUEST),
        SameTenant("approvals_requestparty", "credential_id", "registry_credential"),
        SameTenant("approvals_stepupproof", "request_id", REQUEST),
        SameTenant("approvals_vote", "request_id", REQUEST),
        SameTenant("approvals_vote", "membership_id", "registry_membership"),
        SameTenant("approvals_vote", "step_up_id", "approvals_stepupproof"),
        SameTenant("approvals_approval", "request_id", REQUEST),
    ]
