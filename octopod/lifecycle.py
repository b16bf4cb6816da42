"""The life cycle of a deployment, as data. Everything that depends on status or kind is derived from here."""

from enum import StrEnum
from typing import NamedTuple


class Status(StrEnum):
    """Where a deployment is in its life; the values are the wire names."""

    RUNNING = "Running"
    GENERIC_FAILURE = "GenericFailure"
    TAG_MISMATCH = "TagMismatch"
    PARTIAL_AVAILABILITY = "PartialAvailability"
    CREATE_PENDING = "CreatePending"
    UPDATE_PENDING = "UpdatePending"
    ARCHIVE_PENDING = "ArchivePending"
    ARCHIVED = "Archived"
    CLEANUP_FAILED = "CleanupFailed"


class Kind(StrEnum):
    """What an action does."""

    CREATE = "create"
    UPDATE = "update"
    ARCHIVE = "archive"
    RESTORE = "restore"
    CLEANUP = "cleanup"
    RUN = "run"  # a bundle; it is about no deployment, so it is no step of one's life


class State(StrEnum):
    """Where an action is."""

    QUEUED = "queued"
    RUNNING = "running"
    SUCCEEDED = "succeeded"
    FAILED = "failed"
    TIMED_OUT = "timed_out"
    CANCELLED = "cancelled"
    LOST = "lost"


UNFINISHED = (State.QUEUED, State.RUNNING)

FAILED = (Status.GENERIC_FAILURE, Status.TAG_MISMATCH, Status.PARTIAL_AVAILABILITY)
UP = (Status.RUNNING, *FAILED)
SHELVED = (Status.ARCHIVED, Status.CLEANUP_FAILED)


class Step(NamedTuple):
    """One row of the table: what an action of a kind does to a deployment."""

    script: str  # the control script that does the work
    allowed: tuple[Status, ...]  # the action may start from these
    pending: Status | None  # the status while it runs; None leaves it alone
    settled_by: str | None  # the check that ends the pending status
    done: Status | None  # None: the deployment is gone
    failed: Status
    doing: str  # "it is being …"


STEPS = {
    Kind.CREATE: Step("create", (), Status.CREATE_PENDING, "check", Status.RUNNING, Status.GENERIC_FAILURE, "created"),
    Kind.UPDATE: Step("update", UP, Status.UPDATE_PENDING, "check", Status.RUNNING, Status.GENERIC_FAILURE, "updated"),
    Kind.ARCHIVE: Step("archive", UP, Status.ARCHIVE_PENDING, "archive_check", Status.ARCHIVED, Status.GENERIC_FAILURE, "archived"),
    Kind.RESTORE: Step("unarchive", (Status.ARCHIVED,), Status.CREATE_PENDING, "check", Status.RUNNING, Status.GENERIC_FAILURE, "restored"),
    Kind.CLEANUP: Step("cleanup", SHELVED, None, None, None, Status.CLEANUP_FAILED, "cleaned up"),
}  # fmt: skip

CHECKED_CONFIG = (Kind.CREATE, Kind.UPDATE, Kind.RESTORE)  # config_check has its say before these
VERDICTS = {0: Status.RUNNING, 2: Status.PARTIAL_AVAILABILITY, 3: Status.TAG_MISMATCH}
SETTLED_BY = {step.pending: step.settled_by for step in STEPS.values() if step.pending}
DONE = {step.pending: step.done for step in STEPS.values() if step.pending}


def allowed_kinds(status: Status) -> list[Kind]:
    """The actions that may start from `status`."""
    return [kind for kind, step in STEPS.items() if status in step.allowed]


def is_pending(status: Status) -> bool:
    """Whether a check is awaited that settles the status."""
    return status in SETTLED_BY


def check_script(status: Status) -> str | None:
    """The script that tells about a deployment in `status`; None when there is nothing to check."""
    return None if status in SHELVED else SETTLED_BY.get(status, "check")


def after_script(kind: Kind, succeeded: bool) -> Status | None:
    """The status an action's script leaves behind; None: the deployment is gone."""
    step = STEPS[kind]
    if not succeeded:
        return step.failed
    return step.pending or step.done


def after_check(status: Status, exit_code: int, overdue: bool, unapplied: bool) -> Status:
    """The status once the check of `status` has ended with `exit_code`.

    `overdue`: the pending status has lasted longer than it may. `unapplied`: the last update did not succeed, so
    what runs is not what was asked for however healthy it is.
    """
    if exit_code == 0:
        done = DONE.get(status) or Status.RUNNING
        return Status.TAG_MISMATCH if unapplied and done is Status.RUNNING else done
    if is_pending(status) and not overdue:
        return status
    if check_script(status) != "check":
        return Status.GENERIC_FAILURE
    return VERDICTS.get(exit_code, Status.GENERIC_FAILURE)
