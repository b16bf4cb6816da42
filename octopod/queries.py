"""What both front doors ask: deployments, actions, history."""

from collections.abc import Callable, Collection
from datetime import datetime
from functools import cache
from typing import Any, NamedTuple

from peewee import fn

from octopod import events, search
from octopod.db import now, session
from octopod.errors import NotFound
from octopod.lifecycle import SHELVED, Kind, State, Status
from octopod.models import Action, Deployment
from octopod.paging import page
from octopod.suite import is_secret

SORTS = {"name": Deployment.name, "created": Deployment.created_at, "changed": Deployment.updated_at}
# What a cursor begins with when the list is one of similar deployments: its later pages are too, whatever is new by then.
SIMILAR = "~"


class DeploymentPage(NamedTuple):
    """One page of deployments and what belongs to them."""

    rows: list[Deployment]
    actions: dict[int, Action]  # the unfinished action by deployment id
    next: str | None  # the cursor of the next page
    similar: bool  # nothing is exactly what was searched for, these are only similar


def get_deployment(name: str) -> Deployment:
    """Raises NotFound."""
    with session():
        deployment = Deployment.present().where(Deployment.name == name).first()
    if deployment is None:
        raise NotFound(f"There is no deployment named {name!r}")
    return deployment


def find_deployment(deployment_id: int) -> Deployment | None:
    """The deployment with this id; None when it is gone."""
    with session():
        return Deployment.present().where(Deployment.id == deployment_id).first()


def was_there(name: str) -> bool:
    """Whether there ever was a deployment of that name."""
    with session():
        return Deployment.select().where(Deployment.name == name).exists()


def unfinished_action(deployment: Deployment) -> Action | None:
    with session():
        return Action.unfinished_of([deployment.id]).get(deployment.id)


def last_action(deployment: Deployment) -> Action:
    """The newest action of a deployment; there always is one, its creation."""
    with session():
        return Action.without_output().where(Action.deployment == deployment).order_by(Action.id.desc()).first()


def action_of_version(deployment: Deployment, version: int) -> Action | None:
    """The action that made a deployment be of this version: each makes it one higher, beginning with its creation."""
    query = Action.without_output().where(Action.deployment == deployment).order_by(Action.id)
    with session():
        index = version - 1 - (deployment.version - query.count())
        return query.offset(index).first() if 0 <= index < 2**31 else None


def last_requesters(deployment_ids: list[int]) -> dict[int, str]:
    """Who asked for the newest action of each of these deployments."""
    newest = Action.select(fn.MAX(Action.id)).where(Action.deployment.in_(deployment_ids)).group_by(Action.deployment)
    with session():
        query = Action.select(Action.deployment, Action.requested_by).where(Action.id.in_(newest))
        return {action.deployment_id: action.requested_by for action in query}


def list_deployments(
    q: str = "",
    status: Status | None = None,
    archived: str = "false",
    sort: str = "-changed",
    limit: int = 50,
    cursor: str | None = None,
    similar: bool = False,
    only: Collection[int] | None = None,
) -> DeploymentPage:
    """One page of the deployments that pass all the filters; see `search` for what `q` finds.

    `similar`: what is similar will do when nothing is exact. `only`: of these ids.
    """
    words = search.parse_words(q)
    query = _filtered(status, archived)
    after = cursor and cursor.removeprefix(SIMILAR)
    if words:
        asked_for = (None if cursor is None else after != cursor) if similar else False
        ids, similar = search.find(_documents(query), words, asked_for)
        query = query.where(Deployment.id.in_(ids))
    if only is not None:
        query = query.where(Deployment.id.in_(only))
    with session():
        rows, following = page(query, SORTS[sort.lstrip("-")], Deployment.id, sort.startswith("-"), limit, after)
        actions = Action.unfinished_of([row.id for row in rows])
    similar = bool(words) and similar
    return DeploymentPage(rows, actions, SIMILAR + following if similar and following else following, similar)


def _filtered(status: Status | None, archived: str | None) -> Any:
    query = Deployment.present()
    if status:
        query = query.where(Deployment.status == status)
    if archived != "all" and not (status and archived is None):
        shelved = Deployment.status.in_(SHELVED)
        query = query.where(shelved if archived == "true" else ~shelved)
    return query


def _documents(query: Any) -> dict[int, list[str]]:
    """What is searched, by deployment id. Not by SQL, which could not pass over secrets: who may search for parts of
    them can find them out.
    """
    columns = (
        Deployment.id,
        Deployment.name,
        Deployment.deployment_overrides,
        Deployment.application_overrides,
        Deployment.links,
    )
    secret = cache(is_secret)  # many deployments have the same few keys
    with session():
        return {row.id: _searchable(row, secret) for row in query.select(*columns)}


def _searchable(deployment: Deployment, secret: Callable[[str], bool]) -> list[str]:
    """The texts that a search looks at: name, links, overrides, of secrets the keys only."""
    found = [deployment.name]
    for link in deployment.links:
        found += link.values()
    for overrides in (deployment.deployment_overrides, deployment.application_overrides):
        found += overrides
        found += [value for key, value in overrides.items() if value and not secret(key)]
    return found


def list_actions(
    name: str | None = None,
    of: Deployment | None = None,
    kind: Kind | None = None,
    state: State | None = None,
    since: datetime | None = None,
    limit: int = 50,
    cursor: str | None = None,
    bundles: bool = False,
) -> tuple[list[Action], str | None]:
    """History, newest first: of one deployment, of all that ever had a name, or of all of them, and of `bundles` too."""
    query = Action.without_output() if bundles else Action.without_output().where(Action.deployment.is_null(False))
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
        return page(query, Action.id, Action.id, True, limit, cursor)


def get_action(action_id: int, output: bool = False) -> Action:
    """Raises NotFound. With `output`, stdout and stderr are there too."""
    query = Action.with_output() if output else Action.without_output()
    with session():
        action = query.where(Action.id == action_id).first() if 0 < action_id < 2**31 else None
    if action is None:
        raise NotFound(f"There is no action {action_id}")
    return action


def wait_for_action(action_id: int, seconds: float) -> Action:
    """The action, as soon as it is finished or the seconds are over."""
    action = get_action(action_id)
    deadline = now().timestamp() + seconds
    with events.listening(action.topic) as changed:
        while not (action := get_action(action_id)).is_finished:
            left = deadline - now().timestamp()
            if left <= 0 or events.stopping.is_set():  # a server that drains holds nobody up
                break
            changed.wait(min(left, 1.0))  # another process may have finished it, unheard
            changed.clear()
    return action
