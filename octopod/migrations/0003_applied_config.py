"""The configuration that a deployment's last successful script received."""

from peewee import TextField


def up(migrator, db):
    migrator.migrate(migrator.add_column("deployment", "applied_config", TextField(null=True)))


def down(migrator, db):
    migrator.migrate(migrator.drop_column("deployment", "applied_config"))
