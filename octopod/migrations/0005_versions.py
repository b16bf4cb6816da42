"""Finds the last version that a name had, among removed deployments too, without reading them all."""


def up(migrator, db):
    db.execute_sql("create index deployment_name_version on deployment (name, version)")


def down(migrator, db):
    db.execute_sql("drop index deployment_name_version")
