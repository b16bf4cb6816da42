"""The service layer: every verb of the domain, once. Both front doors and the monitor come here."""

import re
import threading
from collections.abc import Callable
from datetime import datetime
from typing import Any, NamedTuple

from peewee import IntegrityError

from octopod import defaults, events, metrics, notifications, suite, tokens
from octopod.db import database, now, session
from octopod.defaults import Answer
from octopod.errors import Conflict, FieldError, Invalid, NotAuthorised, Unavailable
from octopod.lifecycle import CHECKED_CONFIG, STEPS, Kind, State, Status, allowed_kinds
from octopod.log import log
from octopod.models import Action, Deployment
from octopod.outcomes import announce, finish_action
from octopod.overrides import Change, Item, Overrides, describe, effective, explain, merge, parse_overrides
from octopod.queries import get_action, get_deployment
from octopod.refusals import clock, name_taken, occupation, overtaken, refuse_if_changed, why_not
from octopod.settings import settings
from octopod.suite import Config

NAME = re.compile(r"[a-z][a-z0-9-]{0,14}[a-z0-9]", re.ASCII)
NAME_RULE = (
    "2 to 16 characters: small letters, digits and hyphens, beginning with a letter and not ending with a hyphen"
)

# However many people press the button at once, so many `config_check`s run at a time. The others wait their turn, so
# that the actions of those who were first do not wait for everybody's.
CONFIG_CHECKS_AT_ONCE = 8
_turn = threading.BoundedSemaphore(CONFIG_CHECKS_AT_ONCE)

Raw = list[tuple[str, str | None]]


class Requester(NamedTuple):
    """Who asks, from where, and for which deployments they may: patterns, or nothing for all."""

    name: str
    origin: str
    patterns: tuple[str, ...] = ()


class Edit(NamedTuple):
    """What an update does to each level: all overrides anew, a change of them, or nothing (None)."""

    deployment: Raw | Change | None
    application: Raw | Change | None


def may_start(deployment: Deployment, action: Action | None) -> list[Kind]:
    """The kinds of action that would be accepted now."""
    return [] if action else allowed_kinds(Status(deployment.status))


def create(
    name: str, deployment_overrides: Raw, application_overrides: Raw, by: Requester
) -> tuple[Deployment, Action]:
    """Ask for a new deployment. Raises NotAuthorised, Invalid, Conflict when the name is taken, Unavailable."""
    _refuse_foreign(name, by)
    both = _collect(
        lambda: _check_name(name),
        lambda: parse_overrides(deployment_overrides, "deployment_overrides"),
        lambda: parse_overrides(application_overrides, "application_overrides"),
    )
    check_new_name(name)
    _check_config(Kind.CREATE, name, both[1], both[2])
    moment = now()
    try:
        with session(), database.atomic():
            deployment = Deployment.create(
                name=name,
                version=Deployment.next_version(name),
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
        raise name_taken(name) from None
    _announce_request(deployment, action)
    return deployment, action


def request_action(
    name: str, kind: Kind, by: Requester, edit: Edit | None = None, version: int | None = None
) -> Action:
    """Ask for an action on a deployment that exists; `version`: refuse if it is another one by now.

    Raises NotAuthorised, NotFound, Conflict, ChangedMeanwhile, Invalid, Unavailable.
    """
    _refuse_foreign(name, by)
    deployment = get_deployment(name)
    refuse_if_changed(deployment, version)
    if refusal := why_not(deployment, kind):
        raise refusal
    overrides = _edited(deployment, edit)
    if kind in CHECKED_CONFIG:
        _check_config(kind, name, *overrides)
    moment = now()
    try:
        with session(), database.atomic():
            if not _start(deployment, kind, overrides, moment):
                raise overtaken(name, kind)
            notifications.note(deployment, STEPS[kind].pending or Status(deployment.status))
            action = _enqueue(deployment, kind, *overrides, by, moment)
    except IntegrityError:
        raise overtaken(name, kind) from None
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
    events.queue_action()


def cancel_action(action_id: int, by: Requester) -> Action:
    """Stop an action. Raises NotAuthorised, NotFound, and Conflict when it is finished."""
    action = get_action(action_id)
    _refuse_foreign(action.deployment.name if action.deployment_id else "", by)
    reason = f"Cancelled by {by.name}"
    if finish_action(action, State.CANCELLED, f"{reason} before it began", believed=Action.state == State.QUEUED):
        return get_action(action_id)
    with session():
        running = (Action.id == action_id) & (Action.state == State.RUNNING)
        marked = Action.update(cancelled_by=by.name).where(running).execute()
    action = get_action(action_id)
    if not marked:
        raise Conflict(f"Cannot cancel action {action_id}: it is {action.state} since {clock(action.finished_at)}")
    events.request_cancel()
    return action


def delete(name: str, by: Requester) -> None:
    """Forget a deployment without any script. Raises NotAuthorised, NotFound, Conflict while an action is unfinished."""
    _refuse_foreign(name, by)
    deployment = get_deployment(name)
    with session(), database.atomic():
        idle = Deployment.id.not_in(Action.occupied())
        # The version too: PostgreSQL looks at the row again when it had to wait for it, but not at other tables.
        unchanged = (Deployment.id == deployment.id) & (Deployment.version == deployment.version)
        here = unchanged & Deployment.removed_at.is_null()
        done = Deployment.update(removed_at=now(), check_due_at=None).where(here & idle).execute()
    if not done:
        raise Conflict(f"Cannot delete {name}: {occupation(deployment)}; cancel that first")
    log.info("deployment forgotten", deployment=name, by=by.name)
    events.publish(deployment.id)


def _refuse_foreign(name: str, by: Requester) -> None:
    if not tokens.matches(name, by.patterns):
        raise NotAuthorised(f"{by.name} may change deployments named {' or '.join(by.patterns)} only")


def explain_config(deployment_overrides: Overrides, application_overrides: Overrides) -> dict[str, list[Item]]:
    """The effective configuration of both levels with the origin of each value."""
    items = defaults.deployment_defaults().items
    return {
        "deployment": explain(items, deployment_overrides),
        "application": explain(application_defaults(deployment_overrides).items, application_overrides),
    }


def application_defaults(deployment_overrides: Overrides) -> Answer:
    """Defaults of the application level for these deployment overrides.

    Raises Unavailable; Invalid when the overrides may well be what the script could not cope with.
    """
    deployment = defaults.effective_deployment(deployment_overrides)
    try:
        return defaults.application_defaults(deployment)
    except Unavailable as problem:
        if not deployment_overrides:
            raise
        raise Invalid(f"There are no application defaults for this deployment configuration: {problem}") from None


def check_new_name(name: str) -> None:
    """Raises Invalid when a deployment cannot be called that, Conflict when one is."""
    _check_name(name)
    with session():
        if Deployment.present().where(Deployment.name == name).exists():
            raise name_taken(name)


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
    application = effective(application_defaults(deployment_overrides).items, application_overrides)
    config = Config(application, defaults.effective_deployment(deployment_overrides))
    if settings.CONTROL_SCRIPTS_CONTRACT == 1 and suite.TAG not in dict(config.deployment):
        raise Invalid("The tag is missing", [FieldError(f"deployment_overrides.{suite.TAG}", "is required")])
    with _turn:
        refusal = suite.refusal(name, config)
    if refusal:
        raise Invalid(refusal)
