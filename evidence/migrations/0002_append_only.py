"""Records, places, nodes and checkpoints can be inserted and nothing else, for everybody whom a trigger binds.

ENABLE ALWAYS, so that `session_replication_role` does not switch them off. They do not bind the owner of the tables:
that is what the runtime role is for. On SQLite INSERT OR REPLACE deletes without asking the DELETE trigger, so an
insert that would replace a row is refused as well.
"""

from functools import partial

from django.db import migrations, models
import django.db.models.deletion

# table → the keys that an INSERT OR REPLACE could hit
TABLES = {
    "evidence_record": ("id = NEW.id", "event_id = NEW.event_id", "log = NEW.log AND thread = NEW.thread AND n = NEW.n"),
    "evidence_sealed": ("record_id = NEW.record_id", "log = NEW.log AND seq = NEW.seq"),
    "evidence_node": ("id = NEW.id", 'log = NEW.log AND level = NEW.level AND "index" = NEW."index"'),
    "evidence_checkpoint": ("id = NEW.id", "log = NEW.log AND size = NEW.size"),
}

POSTGRESQL_FUNCTION = """
CREATE FUNCTION evidence_is_insert_only() RETURNS trigger LANGUAGE plpgsql SET search_path = pg_catalog AS $$
BEGIN
    RAISE EXCEPTION 'evidence is insert-only: % of % refused', TG_OP, TG_TABLE_NAME
        USING ERRCODE = 'integrity_constraint_violation';
END
$$
"""


def forward(apps, schema_editor):
    run = partial(schema_editor.execute, params=None)
    if schema_editor.connection.vendor == "postgresql":
        run(POSTGRESQL_FUNCTION)
        for table in TABLES:
            run(
                f"CREATE TRIGGER insert_only BEFORE UPDATE OR DELETE OR TRUNCATE ON {table}"
                " FOR EACH STATEMENT EXECUTE FUNCTION evidence_is_insert_only()"
            )
            run(f"ALTER TABLE {table} ENABLE ALWAYS TRIGGER insert_only")
        return
    for table, keys in TABLES.items():
        refuse = f"BEGIN SELECT RAISE(ABORT, 'evidence is insert-only: {table}'); END"
        run(f"CREATE TRIGGER {table}_no_update BEFORE UPDATE ON {table} {refuse}")
        run(f"CREATE TRIGGER {table}_no_delete BEFORE DELETE ON {table} {refuse}")
        there = " OR ".join(f"EXISTS (SELECT 1 FROM {table} WHERE {key})" for key in keys)
        run(f"CREATE TRIGGER {table}_no_replace BEFORE INSERT ON {table} WHEN {there} {refuse}")


def backward(apps, schema_editor):
    run = schema_editor.execute
    for table in TABLES:
        if schema_editor.connection.vendor == "postgresql":
            run(f"DROP TRIGGER insert_only ON {table}")
        else:
            for name in ("no_update", "no_delete", "no_replace"):
                run(f"DROP TRIGGER {table}_{name}")
    if schema_editor.connection.vendor == "postgresql":
        run("DROP FUNCTION evidence_is_insert_only()")


class Migration(migrations.Migration):
    dependencies = [("evidence", "0001_initial")]

    operations = [
        migrations.AlterField(
            model_name="sealed",
            name="record",
            field=models.OneToOneField(
                db_constraint=False,
                on_delete=django.db.models.deletion.DO_NOTHING,
                primary_key=True,
                related_name="sealed",
                serialize=False,
                to="evidence.record",
            ),
        ),
        migrations.RunPython(forward, backward),
    ]
