"""The tables, and the queries over them. Queries return queries; who writes is the service layer and the worker."""

from datetime import datetime

from peewee import JOIN, BooleanField, ForeignKeyField, IntegerField, Model, ModelSelect, TextField, fn

from octopod.db import JSONField, TimeField, database
from octopod.lifecycle import UNFINISHED, State, Status


class Table(Model):
    class Meta:
        database = database
        legacy_table_names = False


class Deployment(Table):
    """One environment somebody asked for. A removed one stays for its history; its name is free again."""

    name = TextField()
    status = TextField()
    status_reason = TextField(default="")
    status_since = TimeField()
    deployment_overrides = JSONField()
    application_overrides = JSONField()
    links = JSONField(default=list)
    version = IntegerField(default=1)  # grows with every action asked for
    unapplied = BooleanField(default=False)  # the last update did not succeed
    created_at = TimeField()
    updated_at = TimeField()
    archived_at = TimeField(null=True)
    checked_at = TimeField(null=True)
    # When the next check is due; while one is under way, when it will have been given up; NULL: no check now.
    # Whoever runs a check remembers the value it has set, and its verdict counts only while that is still there.
    check_due_at = TimeField(null=True)
    checked_by = TextField(null=True)  # the server process that has taken the check
    removed_at = TimeField(null=True)
    applied_config = JSONField(null=True)  # what the last successful create, update or restore received, by level

    @classmethod
    def present(cls) -> ModelSelect:
        return cls.select().where(cls.removed_at.is_null())

    @classmethod
    def next_version(cls, name: str) -> int:
        """One that no deployment of that name ever had: who still has a form or an ETag of an earlier one is refused."""
        return (cls.select(fn.MAX(cls.version)).where(cls.name == name).scalar() or 0) + 1

    @classmethod
    def due(cls, moment: datetime) -> ModelSelect:
        """Those to be checked, longest overdue first."""
        return cls.present().where(cls.check_due_at <= moment).order_by(cls.check_due_at)

    @classmethod
    def expired(cls, before: datetime) -> ModelSelect:
        """Archived before that moment, and nothing is being done about it."""
        archived = (cls.status == Status.ARCHIVED) & (cls.archived_at < before)
        return cls.present().where(archived & cls.id.not_in(Action.occupied())).order_by(cls.archived_at)


DEPLOYMENT = (Deployment.id, Deployment.name, Deployment.removed_at)  # what actions say of theirs


class Action(Table):
    """One request to do something to a deployment, or to run a bundle: queue entry, run and history in one."""

    deployment = ForeignKeyField(Deployment, backref="actions", null=True)  # None: it runs a bundle
    scripts = TextField(null=True)  # of a bundle, joined with +
    kind = TextField()
    state = TextField(default=State.QUEUED)
    reason = TextField(default="")
    requested_by = TextField()
    requested_from = TextField()
    requested_at = TimeField()
    started_at = TimeField(null=True)
    finished_at = TimeField(null=True)
    deployment_overrides = JSONField()
    application_overrides = JSONField()
    exit_code = IntegerField(null=True)
    stdout = TextField(default="")
    stderr = TextField(default="")
    output_tail = TextField(default="")
    attempts = IntegerField(default=0)
    claimed_by = TextField(null=True)
    run_directory = TextField(null=True)
    keeper_pid = IntegerField(null=True)
    keeper_started = TextField(null=True)
    cancelled_by = TextField(null=True)
    host = TextField(null=True)  # id of the server process that started the run: it begins with where that is

    @classmethod
    def without_output(cls) -> ModelSelect:
        """Everything but the output, which may be megabytes, with the deployment's name."""
        columns = [field for field in cls._meta.sorted_fields if field.name not in ("stdout", "stderr")]
        return cls.select(*columns, *DEPLOYMENT).join(Deployment, JOIN.LEFT_OUTER)

    @classmethod
    def with_output(cls) -> ModelSelect:
        """Everything, with the deployment's name."""
        return cls.select(cls, *DEPLOYMENT).join(Deployment, JOIN.LEFT_OUTER)

    @classmethod
    def unfinished(cls) -> ModelSelect:
        return cls.select().where(cls.finished_at.is_null())

    @classmethod
    def occupied(cls) -> ModelSelect:
        """The ids of the deployments with an unfinished action, for subqueries: no NULL, which nothing is not in."""
        return cls.select(cls.deployment).where(cls.finished_at.is_null() & cls.deployment.is_null(False))

    @classmethod
    def unfinished_of(cls, deployment_ids: list[int]) -> dict[int, "Action"]:
        """The unfinished action of each of these deployments that has one, in one query."""
        query = cls.without_output().where(cls.finished_at.is_null() & cls.deployment.in_(deployment_ids))
        return {action.deployment_id: action for action in query}

    @classmethod
    def running_of(cls, server: str) -> ModelSelect:
        return cls.without_output().where((cls.state == State.RUNNING) & (cls.claimed_by == server))

    @classmethod
    def orphans(cls) -> ModelSelect:
        """Running, it says, but whoever claimed it is not alive."""
        return cls.without_output().where((cls.state == State.RUNNING) & cls.claimed_by.not_in(ServerProcess.alive()))

    @classmethod
    def queued(cls) -> ModelSelect:
        return cls.select().where(cls.state == State.QUEUED).order_by(cls.id)

    @property
    def is_finished(self) -> bool:
        return self.state not in UNFINISHED

    @property
    def subject(self) -> str:
        """What it is about, for people: a deployment's name, or the scripts of a bundle."""
        return self.deployment.name if self.deployment_id else self.scripts

    @property
    def topic(self) -> int:
        """Under which id `events` tells of it: that of its deployment, or minus its own."""
        return self.deployment_id or -self.id


class ServerProcess(Table):
    """A server process that is alive, or was not long ago. Its id begins with the host it runs on."""

    id = TextField(primary_key=True)
    heartbeat_at = TimeField()

    @classmethod
    def alive(cls) -> ModelSelect:
        """The ids of those that are, for subqueries."""
        return cls.select(cls.id)


class StatusChange(Table):
    """A change of status that `notifications` is still to be told of, stored together with the change itself."""

    deployment = ForeignKeyField(Deployment)
    old_status = TextField()
    new_status = TextField()
    claimed_by = TextField(null=True)

    @classmethod
    def next(cls, server: str) -> ModelSelect:
        """The oldest that nobody but `server` is telling, and whose deployment has no older one."""
        earlier = cls.alias()
        is_first = ~fn.EXISTS(earlier.select().where((earlier.deployment == cls.deployment) & (earlier.id < cls.id)))
        is_free = cls.claimed_by.is_null() | (cls.claimed_by == server)
        return cls.select(cls, Deployment).join(Deployment).where(is_free & is_first).order_by(cls.id)


class Token(Table):
    """A key that signs bundles, and what these may do. While it is being exchanged a name has several."""

    name = TextField()
    secret = TextField()  # itself: checking a signature takes it
    role = TextField()
    scripts = JSONField()  # patterns; an empty list allows all
    deployments = JSONField()  # patterns; an empty list allows all
    created_at = TimeField()
    created_by = TextField()
    expires_at = TimeField(null=True)
    last_used_at = TimeField(null=True)

    @classmethod
    def valid(cls, moment: datetime) -> ModelSelect:
        return cls.select().where(cls.expires_at.is_null() | (cls.expires_at > moment)).order_by(cls.id)


class Pass(Table):
    """What the run of a bundle may do, and who may follow it. Of its secrets only digests are kept."""

    action = ForeignKeyField(Action, primary_key=True)
    token = TextField()  # the name of the token that signed the bundle
    role = TextField()
    deployments = JSONField()  # patterns; an empty list allows all
    bearer = TextField()  # with which its scripts call back, while they run
    callback = TextField()  # with which others send files to it, while it runs
    ticket = TextField()  # with which its client follows it


class SpentNonce(Table):
    """A nonce of a signature, which is not accepted twice."""

    id = TextField(primary_key=True)
    spent_at = TimeField()
