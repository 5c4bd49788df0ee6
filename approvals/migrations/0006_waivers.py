"""Exceptions and their controls, and requests that a person asks for; none refers to another tenant's rows."""

import django.db.models.deletion
from django.db import migrations, models

from registry.constraints import KeepingTriggers, SameTenant

REQUEST = "approvals_accessrequest"


class Migration(migrations.Migration):

    dependencies = [
        ('approvals', '0005_callbacks'),
        ('registry', '0005_waivers'),
    ]

    operations = [
        migrations.CreateModel(
            name='Control',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('place', models.PositiveSmallIntegerField()),
                ('kind', models.CharField(choices=[('obligation', 'Obligation'), ('attestation', 'Attestation'), ('check', 'Check')], max_length=12)),
                ('said', models.JSONField()),
                ('good_until', models.DateTimeField(blank=True, null=True)),
                ('looked_at', models.DateTimeField(blank=True, null=True)),
                ('next_at', models.DateTimeField(blank=True, null=True)),
                ('found', models.CharField(blank=True, default='', max_length=500)),
            ],
        ),
        migrations.CreateModel(
            name='Waiver',
            fields=[
                ('id', models.CharField(max_length=40, primary_key=True, serialize=False)),
                ('version', models.PositiveIntegerField(default=1)),
                ('state', models.CharField(choices=[('pending', 'Pending'), ('active', 'Active'), ('suspended', 'Suspended'), ('expired', 'Expired'), ('revoked', 'Revoked'), ('used_up', 'Used Up'), ('refused', 'Refused')], default='pending', max_length=10)),
                ('category', models.CharField(max_length=10)),
                ('terms', models.JSONField()),
                ('kept_out', models.JSONField(default=list)),
                ('renewal', models.PositiveIntegerField(default=0)),
                ('asked_at', models.DateTimeField()),
                ('not_before', models.DateTimeField()),
                ('expires_at', models.DateTimeField()),
                ('max_uses', models.PositiveIntegerField(blank=True, null=True)),
                ('uses', models.PositiveIntegerField(default=0)),
                ('granted_at', models.DateTimeField(blank=True, null=True)),
                ('ended_at', models.DateTimeField(blank=True, null=True)),
                ('ended_by', models.CharField(blank=True, default='', max_length=150)),
                ('ended_why', models.TextField(blank=True, default='')),
            ],
        ),
        KeepingTriggers(REQUEST, migrations.AddField(
            model_name='accessrequest',
            name='asked_by',
            field=models.ForeignKey(blank=True, null=True, on_delete=django.db.models.deletion.PROTECT, related_name='+', to='registry.membership'),
        )),
        KeepingTriggers(REQUEST, migrations.AlterField(
            model_name='accessrequest',
            name='opened_by',
            field=models.ForeignKey(blank=True, null=True, on_delete=django.db.models.deletion.PROTECT, related_name='+', to='registry.credential'),
        )),
        KeepingTriggers(REQUEST, migrations.AddConstraint(
            model_name='accessrequest',
            constraint=models.CheckConstraint(condition=models.Q(models.Q(('asked_by__isnull', True), ('opened_by__isnull', False)), models.Q(('asked_by__isnull', False), ('opened_by__isnull', True)), _connector='OR'), name='request_has_one_asker'),
        )),
        migrations.AddField(
            model_name='control',
            name='person',
            field=models.ForeignKey(blank=True, null=True, on_delete=django.db.models.deletion.PROTECT, related_name='+', to='registry.membership'),
        ),
        migrations.AddField(
            model_name='control',
            name='tenant',
            field=models.ForeignKey(on_delete=django.db.models.deletion.PROTECT, related_name='+', to='registry.tenant'),
        ),
        migrations.AddField(
            model_name='waiver',
            name='asked_by',
            field=models.ForeignKey(on_delete=django.db.models.deletion.PROTECT, related_name='+', to='registry.membership'),
        ),
        migrations.AddField(
            model_name='waiver',
            name='owner',
            field=models.ForeignKey(on_delete=django.db.models.deletion.PROTECT, related_name='+', to='registry.membership'),
        ),
        migrations.AddField(
            model_name='waiver',
            name='renews',
            field=models.ForeignKey(blank=True, null=True, on_delete=django.db.models.deletion.PROTECT, related_name='renewals', to='approvals.waiver'),
        ),
        migrations.AddField(
            model_name='waiver',
            name='request',
            field=models.OneToOneField(on_delete=django.db.models.deletion.PROTECT, related_name='waiver', to='approvals.accessrequest'),
        ),
        migrations.AddField(
            model_name='waiver',
            name='tenant',
            field=models.ForeignKey(on_delete=django.db.models.deletion.PROTECT, related_name='waivers', to='registry.tenant'),
        ),
        migrations.AddField(
            model_name='control',
            name='waiver',
            field=models.ForeignKey(on_delete=django.db.models.deletion.PROTECT, related_name='controls', to='approvals.waiver'),
        ),
        migrations.AddIndex(
            model_name='waiver',
            index=models.Index(fields=['tenant', 'state', 'expires_at'], name='waiver_by_state'),
        ),
        migrations.AddIndex(
            model_name='waiver',
            index=models.Index(condition=models.Q(('state__in', ['active', 'suspended'])), fields=['expires_at'], name='waiver_due'),
        ),
        migrations.AddConstraint(
            model_name='waiver',
            constraint=models.CheckConstraint(condition=models.Q(('state__in', ['pending', 'active', 'suspended', 'expired', 'revoked', 'used_up', 'refused'])), name='waiver_state_is_known'),
        ),
        migrations.AddConstraint(
            model_name='waiver',
            constraint=models.CheckConstraint(condition=models.Q(('expires_at__gt', models.F('not_before'))), name='waiver_ends_after_its_start'),
        ),
        migrations.AddConstraint(
            model_name='waiver',
            constraint=models.CheckConstraint(condition=models.Q(('max_uses__isnull', True), ('uses__lte', models.F('max_uses')), _connector='OR'), name='waiver_uses_within_its_most'),
        ),
        migrations.AddConstraint(
            model_name='waiver',
            constraint=models.CheckConstraint(condition=models.Q(('max_uses__isnull', True), ('max_uses__gte', 1), _connector='OR'), name='waiver_allows_a_use'),
        ),
        migrations.AddConstraint(
            model_name='waiver',
            constraint=models.CheckConstraint(condition=models.Q(('state__in', ['pending', 'refused']), ('granted_at__isnull', False), _connector='OR'), name='waiver_granted_at'),
        ),
        migrations.AddConstraint(
            model_name='waiver',
            constraint=models.CheckConstraint(condition=models.Q(models.Q(('ended_at__isnull', True), ('state__in', ['pending', 'active', 'suspended'])), models.Q(models.Q(('state__in', ['pending', 'active', 'suspended']), _negated=True), ('ended_at__isnull', False)), _connector='OR'), name='waiver_ended_has_time'),
        ),
        migrations.AddIndex(
            model_name='control',
            index=models.Index(condition=models.Q(('next_at__isnull', False)), fields=['next_at'], name='control_due'),
        ),
        migrations.AddConstraint(
            model_name='control',
            constraint=models.UniqueConstraint(fields=('waiver', 'place'), name='control_has_its_place'),
        ),
        migrations.AddConstraint(
            model_name='control',
            constraint=models.CheckConstraint(condition=models.Q(('kind__in', ['obligation', 'attestation', 'check'])), name='control_kind_is_known'),
        ),
        SameTenant(REQUEST, "asked_by_id", "registry_membership"),
        SameTenant("approvals_waiver", "request_id", REQUEST),
        SameTenant("approvals_waiver", "asked_by_id", "registry_membership"),
        SameTenant("approvals_waiver", "owner_id", "registry_membership"),
        SameTenant("approvals_waiver", "renews_id", "approvals_waiver"),
        SameTenant("approvals_control", "waiver_id", "approvals_waiver"),
        SameTenant("approvals_control", "person_id", "registry_membership"),
    ]
