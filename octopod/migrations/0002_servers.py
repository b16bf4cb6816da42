"""Servers that are alive, who runs a check, and status changes that are still to be notified of."""

from peewee import ForeignKeyField, Model, TextField

from octopod.db import TimeField


def up(migrator, db):
    class Deployment(Model):
        class Meta:
            database = db
            table_name = "deployment"

    class ServerProcess(Model):
        id = TextField(primary_key=True)
        heartbeat_at = TimeField()

        class Meta:
            database = db
            table_name = "server_process"

    class StatusChange(Model):
        deployment = ForeignKeyField(Deployment)
        old_status = TextField()
        new_status = TextField()
        claimed_by = TextField(null=True)

        class Meta:
            database = db
            table_name = "status_change"

    db.create_tables([ServerProcess, StatusChange])
    migrator.migrate(
        migrator.add_column("deployment", "checked_by", TextField(null=True)),
        migrator.add_column("action", "host", TextField(null=True)),
    )


def down(migrator, db):
    migrator.migrate(migrator.drop_column("deployment", "checked_by"), migrator.drop_column("action", "host"))
    db.execute_sql("drop table status_change")
    db.execute_sql("drop table server_process")
