"""Deployments and their actions."""

from peewee import BooleanField, ForeignKeyField, IntegerField, Model, TextField

from octopod.db import JSONField, TimeField


def up(migrator, db):
    class Deployment(Model):
        name = TextField()
        status = TextField()
        status_reason = TextField()
        status_since = TimeField()
        deployment_overrides = JSONField()
        application_overrides = JSONField()
        links = JSONField()
        version = IntegerField()
        unapplied = BooleanField()
        created_at = TimeField()
        updated_at = TimeField(index=True)
        archived_at = TimeField(null=True)
        checked_at = TimeField(null=True)
        check_due_at = TimeField(null=True, index=True)
        removed_at = TimeField(null=True)

        class Meta:
            database = db
            table_name = "deployment"

    class Action(Model):
        deployment = ForeignKeyField(Deployment)
        kind = TextField()
        state = TextField()
        reason = TextField()
        requested_by = TextField()
        requested_from = TextField()
        requested_at = TimeField()
        started_at = TimeField(null=True)
        finished_at = TimeField(null=True)
        deployment_overrides = JSONField()
        application_overrides = JSONField()
        exit_code = IntegerField(null=True)
        stdout = TextField()
        stderr = TextField()
        output_tail = TextField()
        attempts = IntegerField()
        claimed_by = TextField(null=True)
        run_directory = TextField(null=True)
        keeper_pid = IntegerField(null=True)
        keeper_started = TextField(null=True)
        cancelled_by = TextField(null=True)

        class Meta:
            database = db
            table_name = "action"

    db.create_tables([Deployment, Action])
    # A name is taken while a deployment that is not removed has it.
    db.execute_sql("create unique index deployment_name on deployment (name) where removed_at is null")
    # A deployment has at most one unfinished action: this index is the lock.
    db.execute_sql("create unique index action_unfinished on action (deployment_id) where finished_at is null")
    # The queue, oldest first.
    db.execute_sql("create index action_queue on action (id) where state = 'queued'")


def down(migrator, db):
    db.execute_sql("drop table action")
    db.execute_sql("drop table deployment")
