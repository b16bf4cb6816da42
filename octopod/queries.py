"""What both front doors ask: deployments, actions, history."""

from datetime import datetime

from octopod import events
from octopod.db import now, session
from octopod.errors import NotFound
from octopod.lifecycle import SHELVED, Kind, State, Status
from octopod.models import Action, Deployment
from octopod.paging import page
from octopod.suite import is_secret

SORTS = {"name": Deployment.name, "created": Deployment.created_at, "changed": Deployment.updated_at}


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


def last_action(deployment: Deployment) -> Action:
    """The newest action of a deployment; there always is one, its creation."""
    with session():
        return Action.without_output().where(Action.deployment == deployment).order_by(Action.id.desc()).first()


def list_deployments(
    q: str = "",
    status: Status | None = None,
    archived: str = "false",
    sort: str = "-changed",
    limit: int = 50,
    cursor: str | None = None,
) -> tuple[list[Deployment], dict[int, Action], str | None]:
    """One page of deployments, their unfinished actions by deployment id, and the cursor of the next page."""
    query = Deployment.present()
    if words := q.casefold().split():
        query = query.where(Deployment.id.in_(_ids_with(words)))
    if status:
        query = query.where(Deployment.status == status)
    if archived != "all" and not (status and archived is None):
        shelved = Deployment.status.in_(SHELVED)
        query = query.where(shelved if archived == "true" else ~shelved)
    with session():
        rows, following = page(query, SORTS[sort.lstrip("-")], Deployment.id, sort.startswith("-"), limit, cursor)
        return rows, Action.unfinished_of([row.id for row in rows]), following


def _ids_with(words: list[str]) -> list[int]:
    """The deployments in which all the words are found. Not by SQL, which could not pass over secrets: who may search
    for parts of them can find them out.
    """
    columns = (
        Deployment.id,
        Deployment.name,
        Deployment.deployment_overrides,
        Deployment.application_overrides,
        Deployment.links,
    )
    with session():
        rows = list(Deployment.present().select(*columns))
    return [row.id for row in rows if (text := _searchable(row)) and all(word in text for word in words)]


def _searchable(deployment: Deployment) -> str:
    """What a search looks at: name, links, overrides, of secrets the keys only."""
    found = [deployment.name]
    for link in deployment.links:
        found += link.values()
    for overrides in (deployment.deployment_overrides, deployment.application_overrides):
        found += overrides
        found += [value for key, value in overrides.items() if value and not is_secret(key)]
    return "\n".join(found).casefold()


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
        return page(query, Action.id, Action.id, True, limit, cursor)


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
            if left <= 0 or events.stopping.is_set():  # a server that drains holds nobody up
                break
            changed.wait(min(left, 1.0))  # another process may have finished it, unheard
            changed.clear()
    return action
