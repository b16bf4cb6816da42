"""The service layer: every verb of the domain, once. Both front doors, the worker and the monitor come here."""

import base64
import json
import re
from collections.abc import Callable
from datetime import datetime
from typing import Any, NamedTuple

from peewee import IntegrityError, ModelSelect

from octopod import defaults, events, metrics, runs, suite
from octopod.db import database, now, session
from octopod.errors import ChangedMeanwhile, Conflict, FieldError, Invalid, NotFound
from octopod.lifecycle import (
    CHECKED_CONFIG,
    SHELVED,
    STEPS,
    Kind,
    State,
    Status,
    after_script,
    allowed_kinds,
    is_pending,
)
from octopod.log import log
from octopod.models import Action, Deployment, after
from octopod.overrides import Change, Item, Overrides, describe, explain, merge, parse_overrides
from octopod.settings import settings
from octopod.suite import Config

NAME = re.compile(r"[a-z][a-z0-9-]{0,14}[a-z0-9]", re.ASCII)
NAME_RULE = (
    "2 to 16 characters: small letters, digits and hyphens, beginning with a letter and not ending with a hyphen"
)
SORTS = {"name": Deployment.name, "created": Deployment.created_at, "changed": Deployment.updated_at}

Raw = list[tuple[str, str | None]]


class Requester(NamedTuple):
    """Who asks, and from where."""

    name: str
    origin: str


class Edit(NamedTuple):
    """What an update does to each level: all overrides anew, a change of them, or nothing (None)."""

    deployment: Raw | Change | None
    application: Raw | Change | None


# --- reading -----------------------------------------------------------------------------------------------------


def get_deployment(name: str) -> Deployment:
    """Raises NotFound."""
    with session():
        deployment = Deployment.present().where(Deployment.name == name).first()
    if deployment is None:
        raise NotFound(f"There is no deployment named {name!r}")
    return deployment


def unfinished_action(deployment: Deployment) -> Action | None:
    with session():
        return Action.unfinished_of([deployment.id]).get(deployment.id)


def list_deployments(
    q: str = "",
    status: Status | None = None,
    archived: str = "false",
    sort: str = "-changed",
    limit: int = 50,
    cursor: str | None = None,
) -> tuple[list[Deployment], dict[int, Action], str | None]:
    """One page of deployments, their unfinished actions by deployment id, and the cursor of the next page."""
    query = Deployment.search(q.split())
    if status:
        query = query.where(Deployment.status == status)
    elif archived != "all":
        shelved = Deployment.status.in_(SHELVED)
        query = query.where(shelved if archived == "true" else ~shelved)
    with session():
        rows, following = _page(query, SORTS[sort.lstrip("-")], Deployment.id, sort.startswith("-"), limit, cursor)
        return rows, Action.unfinished_of([row.id for row in rows]), following


def list_actions(
    name: str | None = None,
    of: Deployment | None = None,
    kind: Kind | None = None,
    state: State | None = None,
    since: datetime | None = None,
    limit: int = 50,
    cursor: str | None = None,
) -> tuple[list[Action], str | None]:
    """History, newest first: of one deployment, of all that ever had a name, or of everything."""
    query = Action.without_output()
    filters = [
        (of and of.id, Action.deployment),
        (name, Deployment.name),
        (kind, Action.kind),
        (state, Action.state),
    ]
    for value, field in filters:
        if value:
            query = query.where(field == value)
    if since:
        query = query.where(Action.requested_at >= since)
    with session():
        return _page(query, Action.id, Action.id, True, limit, cursor)


def _page(
    query: ModelSelect, order: Any, tie: Any, descending: bool, limit: int, cursor: str | None
) -> tuple[list[Any], str | None]:
    if cursor:
        value, last_id = _decode_cursor(cursor, order)
        query = after(query, order, tie, value, last_id, descending)
    keys = [key.desc() if descending else key for key in (order, tie)]
    rows = list(query.order_by(*keys).limit(limit + 1))
    if len(rows) <= limit:
        return rows, None
    last = rows[limit - 1]
    value = order.db_value(getattr(last, order.name))
    return rows[:limit], _encode_cursor(value, last.id)


def _encode_cursor(value: Any, last_id: int) -> str:
    shown = value.isoformat() if isinstance(value, datetime) else value
    return base64.urlsafe_b64encode(json.dumps([shown, last_id]).encode()).decode()


def _decode_cursor(cursor: str, order: Any) -> tuple[Any, int]:
    try:
        value, last_id = json.loads(base64.urlsafe_b64decode(cursor))
        return order.python_value(value), int(last_id)
    except (ValueError, TypeError):
        raise Invalid(
            "The cursor is not one that a list has answered", [FieldError("cursor", "unknown cursor")]
        ) from None


def get_action(action_id: int, output: bool = False) -> Action:
    """Raises NotFound. With `output`, stdout and stderr are there too."""
    query = Action.select(Action, Deployment).join(Deployment) if output else Action.without_output()
    with session():
        action = query.where(Action.id == action_id).first() if 0 < action_id < 2**31 else None
    if action is None:
        raise NotFound(f"There is no action {action_id}")
    return action


def wait_for_action(action_id: int, seconds: float) -> Action:
    """The action, as soon as it is finished or the seconds are over."""
    action = get_action(action_id)
    deadline = now().timestamp() + seconds
    with events.listening(action.deployment_id) as changed:
        while not (action := get_action(action_id)).is_finished:
            left = deadline - now().timestamp()
            if left <= 0:
                break
            changed.wait(min(left, 1.0))  # another process may have finished it, unheard
            changed.clear()
    return action


def explain_config(deployment_overrides: Overrides, application_overrides: Overrides) -> dict[str, list[Item]]:
    """The effective configuration of both levels with the origin of each value."""
    items = defaults.deployment_defaults().items
    effective = defaults.effective_deployment(deployment_overrides)
    return {
        "deployment": explain(items, deployment_overrides),
        "application": explain(defaults.application_defaults(effective).items, application_overrides),
    }


def may_start(deployment: Deployment, action: Action | None) -> list[Kind]:
    """The kinds of action that would be accepted now."""
    return [] if action else allowed_kinds(Status(deployment.status))


# --- asking for actions --------------------------------------------------------------------------------------------


def create(
    name: str, deployment_overrides: Raw, application_overrides: Raw, by: Requester
) -> tuple[Deployment, Action]:
    """Ask for a new deployment. Raises Invalid, Conflict when the name is taken, Unavailable."""
    both = _collect(
        lambda: _check_name(name),
        lambda: parse_overrides(deployment_overrides, "deployment_overrides"),
        lambda: parse_overrides(application_overrides, "application_overrides"),
    )
    with session():
        if Deployment.present().where(Deployment.name == name).exists():
            raise _name_taken(name)
    _check_config(Kind.CREATE, name, both[1], both[2])
    moment = now()
    try:
        with session(), database.atomic():
            deployment = Deployment.create(
                name=name,
                status=STEPS[Kind.CREATE].pending,
                status_reason="Waiting for its turn",
                status_since=moment,
                deployment_overrides=both[1],
                application_overrides=both[2],
                created_at=moment,
                updated_at=moment,
            )
            action = _enqueue(deployment, Kind.CREATE, both[1], both[2], by, moment)
    except IntegrityError:
        raise _name_taken(name) from None
    _announce_request(deployment, action)
    return deployment, action


def request_action(
    name: str, kind: Kind, by: Requester, edit: Edit | None = None, version: int | None = None
) -> Action:
    """Ask for an action on a deployment that exists; `version`: refuse if it is another one by now.

    Raises NotFound, Conflict, ChangedMeanwhile, Invalid, Unavailable.
    """
    deployment = get_deployment(name)
    _refuse_if_changed(deployment, version)
    if refusal := _why_not(deployment, kind):
        raise refusal
    overrides = _edited(deployment, edit)
    if kind in CHECKED_CONFIG:
        _check_config(kind, name, *overrides)
    moment = now()
    try:
        with session(), database.atomic():
            if not _start(deployment, kind, overrides, moment):
                raise _overtaken(name, kind)
            action = _enqueue(deployment, kind, *overrides, by, moment)
    except IntegrityError:
        raise _overtaken(name, kind) from None
    _announce_request(deployment, action)
    return action


def _start(deployment: Deployment, kind: Kind, overrides: tuple[Overrides, Overrides], moment: datetime) -> bool:
    """Move the deployment on, if it is still what the request was checked against."""
    step = STEPS[kind]
    changes: dict[str, Any] = {
        "deployment_overrides": overrides[0],
        "application_overrides": overrides[1],
        "version": deployment.version + 1,
        "updated_at": moment,
        "check_due_at": None,  # no check during an action, and the verdict of one under way does not count
    }
    if step.pending:
        changes |= {"status": step.pending, "status_since": moment, "status_reason": "Waiting for its turn"}
        changes["archived_at"] = None
    believed = (
        (Deployment.id == deployment.id)
        & (Deployment.version == deployment.version)
        & Deployment.status.in_(step.allowed)
        & Deployment.removed_at.is_null()
    )
    return bool(Deployment.update(**changes).where(believed).execute())


def _enqueue(
    deployment: Deployment, kind: Kind, dep: Overrides, app: Overrides, by: Requester, moment: datetime
) -> Action:
    return Action.create(
        deployment=deployment,
        kind=kind,
        requested_by=by.name,
        requested_from=by.origin,
        requested_at=moment,
        deployment_overrides=dep,
        application_overrides=app,
    )


def _announce_request(deployment: Deployment, action: Action) -> None:
    """Tell everybody about a stored request."""
    log.info("action requested", action=action.id, deployment=deployment.name, kind=action.kind, by=action.requested_by)
    metrics.actions_requested.labels(action.kind).inc()
    pending = STEPS[Kind(action.kind)].pending
    if pending and action.kind != Kind.CREATE:
        announce(deployment, pending)
    else:
        events.publish(deployment.id)
    events.action_queued.set()


def announce(deployment: Deployment, status: Status) -> None:
    """Tell everybody that the stored status of `deployment`, as read before, is now `status`."""
    events.publish(deployment.id)
    if deployment.status != status:
        log.info("status changed", deployment=deployment.name, old=str(deployment.status), new=str(status))
        events.status_changes.put((deployment.name, str(deployment.status), str(status)))


def cancel_action(action_id: int, by: Requester) -> Action:
    """Stop an action. Raises NotFound, and Conflict when it is finished."""
    action = get_action(action_id)
    reason = f"Cancelled by {by.name}"
    if finish_action(action, State.CANCELLED, f"{reason} before it began", believed=Action.state == State.QUEUED):
        return get_action(action_id)
    with session():
        running = (Action.id == action_id) & (Action.state == State.RUNNING)
        marked = Action.update(cancelled_by=by.name).where(running).execute()
    action = get_action(action_id)
    if not marked:
        raise Conflict(f"Cannot cancel action {action_id}: it is {action.state} since {clock(action.finished_at)}")
    if action.keeper_pid:
        runs.cancel(action.keeper_pid, action.keeper_started)
    return action


def delete(name: str, by: Requester) -> None:
    """Forget a deployment without any script. Raises NotFound, and Conflict while an action is unfinished."""
    deployment = get_deployment(name)
    with session(), database.atomic():
        idle = Deployment.id.not_in(Action.unfinished().select(Action.deployment))
        here = (Deployment.id == deployment.id) & Deployment.removed_at.is_null()
        done = Deployment.update(removed_at=now(), check_due_at=None).where(here & idle).execute()
    if not done:
        raise Conflict(f"Cannot delete {name}: {_occupation(deployment)}; cancel that first")
    log.info("deployment forgotten", deployment=name, by=by.name)
    events.publish(deployment.id)


# --- the end of an action ------------------------------------------------------------------------------------------


class Outcome(NamedTuple):
    """What an action's script left behind."""

    exit_code: int | None = None
    stdout: str = ""
    stderr: str = ""
    links: list[dict[str, str]] | None = None


def finish_action(
    action: Action, state: State, reason: str, outcome: Outcome = Outcome(), believed: Any = True
) -> bool:  # noqa: B008
    """Store how an action ended and what that makes of its deployment; False when it is not `believed` any more."""
    moment = now()
    kind, succeeded = Kind(action.kind), state is State.SUCCEEDED
    tail = "" if succeeded else runs.last_lines(outcome.stderr, outcome.stdout)
    with session(), database.atomic():
        mine = (Action.id == action.id) & Action.finished_at.is_null() & believed
        ended = Action.update(
            state=state,
            reason=reason,
            finished_at=moment,
            exit_code=outcome.exit_code,
            stdout=outcome.stdout,
            stderr=outcome.stderr,
            output_tail=tail,
        ).where(mine)
        if not ended.execute():
            return False
        deployment = Deployment.get_by_id(action.deployment_id)
        status = after_script(kind, succeeded)
        Deployment.update(**_left_behind(kind, succeeded, status, reason, moment, outcome)).where(
            Deployment.id == deployment.id
        ).execute()
    log.info(
        "action finished",
        action=action.id,
        deployment=deployment.name,
        kind=kind,
        state=str(state),
        exit_code=outcome.exit_code,
    )
    metrics.actions_finished.labels(kind, state).inc()
    if status:
        announce(deployment, status)
    else:
        events.publish(deployment.id)
    events.check_due.set()
    return True


def _left_behind(
    kind: Kind, succeeded: bool, status: Status | None, reason: str, moment: datetime, outcome: Outcome
) -> dict[str, Any]:
    """The columns of a deployment that change when an action's script has ended."""
    changes: dict[str, Any] = {"updated_at": moment, "check_due_at": None if status in SHELVED else moment}
    if outcome.links is not None:
        changes["links"] = outcome.links
    if kind is Kind.UPDATE:
        changes["unapplied"] = not succeeded
    if status is None:
        return changes | {"removed_at": moment, "check_due_at": None}
    waiting = f"The {STEPS[kind].script} script is done; waiting for {STEPS[kind].settled_by} to confirm it"
    return changes | {"status": status, "status_since": moment, "status_reason": waiting if succeeded else reason}


# --- why a request is refused ----------------------------------------------------------------------------------------


def clock(moment: datetime | None) -> str:
    """A moment as people say it; with the day when it is not today's."""
    if moment is None:
        return "?"
    return moment.strftime("%H:%M UTC" if moment.date() == now().date() else "%Y-%m-%d %H:%M UTC")


def _why_not(deployment: Deployment, kind: Kind) -> Conflict | None:
    """Why an action of this kind cannot start now; None when it can."""
    action = unfinished_action(deployment)
    if action or deployment.status not in STEPS[kind].allowed:
        return Conflict(f"Cannot {kind} {deployment.name}: {_occupation(deployment, kind)}")
    return None


def _occupation(deployment: Deployment, kind: Kind | None = None) -> str:
    """What a deployment is busy with, or why its status does not allow that."""
    with session():
        last = Action.without_output().where(Action.deployment == deployment).order_by(Action.id.desc()).first()
    who = f"asked for by {last.requested_by}" if last else ""
    if last and not last.is_finished:
        since = clock(last.started_at or last.requested_at)
        waiting = "waiting to be" if last.state == State.QUEUED else "being"
        return f"it is {waiting} {STEPS[Kind(last.kind)].doing} since {since}, {who}"
    if is_pending(Status(deployment.status)):
        return f"it is {deployment.status} since {clock(deployment.status_since)}, {who}"
    if kind is Kind.CREATE or kind is None:
        return f"it is {deployment.status}"
    return f"it is {deployment.status}, and {kind} is possible from {', '.join(STEPS[kind].allowed)}"


def _overtaken(name: str, kind: Kind) -> Conflict:
    """Somebody else was quicker between the check and the act."""
    deployment = get_deployment(name)
    return _why_not(deployment, kind) or Conflict(
        f"Cannot {kind} {name}: it was changed at the same moment; look at it and try again"
    )


def _name_taken(name: str) -> Conflict:
    return Conflict(f"There is already a deployment named {name}", [FieldError("name", "this name is taken")])


def _refuse_if_changed(deployment: Deployment, version: int | None) -> None:
    if version is not None and version != deployment.version:
        with session():
            last = Action.without_output().where(Action.deployment == deployment).order_by(Action.id.desc()).first()
        raise ChangedMeanwhile(
            f"{deployment.name} was changed meanwhile: {last.kind} at {clock(last.requested_at)}, asked for by {last.requested_by}. "
            "Nothing was done; look at it as it is now and try again"
        )


def _check_name(name: str) -> None:
    if not NAME.fullmatch(name):
        message = f"must be {NAME_RULE}"
        raise Invalid(f"name {message}", [FieldError("name", message)])


def _edited(deployment: Deployment, edit: Edit | None) -> tuple[Overrides, Overrides]:
    """The overrides of both levels after an edit. Raises Invalid with the errors of both."""
    if edit is None:
        return deployment.deployment_overrides, deployment.application_overrides
    dep, app = _collect(
        lambda: _apply(deployment.deployment_overrides, edit.deployment, "deployment"),
        lambda: _apply(deployment.application_overrides, edit.application, "application"),
    )
    return dep, app


def _apply(current: Overrides, edit: Raw | Change | None, level: str) -> Overrides:
    if edit is None:
        return current
    if isinstance(edit, Change):
        return merge(current, Change(parse_overrides(edit.set.items(), f"{level}.set", current), edit.unset), level)
    return parse_overrides(edit, f"{level}_overrides", current)


def _collect(*checks: Callable[[], Any]) -> list[Any]:
    """The results of all checks, or one Invalid with the errors of all."""
    results, errors = [], []
    for check in checks:
        try:
            results.append(check())
        except Invalid as problem:
            errors += problem.errors
    if errors:
        raise Invalid(describe(errors), errors)
    return results


def _check_config(kind: Kind, name: str, deployment_overrides: Overrides, application_overrides: Overrides) -> None:
    """Refuse what `config_check` refuses, asked about exactly what the action would use."""
    config: Config = defaults.effective_config(deployment_overrides, application_overrides)
    if settings.CONTROL_SCRIPTS_CONTRACT == 1 and suite.TAG not in dict(config.deployment):
        raise Invalid("The tag is missing", [FieldError(f"deployment_overrides.{suite.TAG}", "is required")])
    if refusal := suite.refusal(name, config):
        raise Invalid(refusal)
