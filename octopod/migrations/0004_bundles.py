"""Actions that run bundles and are about no deployment; the tokens that sign bundles, and what a running one may do."""

from peewee import ForeignKeyField, Model, TextField

from octopod.db import JSONField, TimeField


def up(migrator, db):
    class Action(Model):
        class Meta:
            database = db
            table_name = "action"

    class Token(Model):
        name = TextField(index=True)
        secret = TextField()
        role = TextField()
        scripts = JSONField()
        deployments = JSONField()
        created_at = TimeField()
        created_by = TextField()
        expires_at = TimeField(null=True)
        last_used_at = TimeField(null=True)

        class Meta:
            database = db
            table_name = "token"

    class Pass(Model):
        action = ForeignKeyField(Action, primary_key=True)
        token = TextField()
        role = TextField()
        deployments = JSONField()
        bearer = TextField(unique=True)
        callback = TextField(unique=True)
        ticket = TextField(unique=True)

        class Meta:
            database = db
            table_name = "pass"

    class SpentNonce(Model):
        id = TextField(primary_key=True)
        spent_at = TimeField(index=True)

        class Meta:
            database = db
            table_name = "spent_nonce"

    migrator.migrate(
        migrator.drop_not_null("action", "deployment_id"),
        migrator.add_column("action", "scripts", TextField(null=True)),
    )
    db.create_tables([Token, Pass, SpentNonce])


def down(migrator, db):
    for table in ("spent_nonce", "pass", "token"):
        db.execute_sql(f"drop table {table}")
    db.execute_sql("delete from action where deployment_id is null")
    migrator.migrate(migrator.drop_column("action", "scripts"), migrator.add_not_null("action", "deployment_id"))
