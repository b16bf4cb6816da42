"""What pages and pushed partials have in common: words for people, how things look, and the rendering of partials."""

from datetime import UTC, datetime, timedelta
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple
from zlib import crc32

from flask import current_app, render_template, url_for

from octopod import queries, schemas, search
from octopod.db import now
from octopod.deployments import explain_config, may_start
from octopod.errors import Invalid, Unavailable
from octopod.lifecycle import SHELVED, STEPS, Kind, State, Status, check_script, is_pending
from octopod.models import Action, Deployment
from octopod.overrides import Difference, Item, differences, explain
from octopod.settings import settings
from octopod.tree import as_tree

STATIC = Path(__file__).parent.parent / "static"
HISTORY = 20  # actions on the page of a deployment
MOST_SHOWN = 200  # characters of a value, a link or a reason in a list; a value may have 128 KiB
MOST_ON_PAGE = 2_000  # on a page of its own
SHOWN_OVERRIDES = 3  # of each level in the list; the others fold


class Look(NamedTuple):
    """How something is shown: a word, a colour of Tabler's, an icon."""

    label: str
    colour: str
    icon: str = ""


STATUSES = {
    Status.RUNNING: Look("Running", "green"),
    Status.GENERIC_FAILURE: Look("Failed", "red"),
    Status.TAG_MISMATCH: Look("Wrong version", "orange"),
    Status.PARTIAL_AVAILABILITY: Look("Partly working", "orange"),
    Status.CREATE_PENDING: Look("Starting", "blue"),
    Status.UPDATE_PENDING: Look("Updating", "blue"),
    Status.ARCHIVE_PENDING: Look("Archiving", "blue"),
    Status.ARCHIVED: Look("Archived", "secondary"),
    Status.CLEANUP_FAILED: Look("Removal failed", "red"),
}
DOING = {
    Kind.CREATE: Look("Creating", "blue"),
    Kind.UPDATE: Look("Updating", "blue"),
    Kind.ARCHIVE: Look("Archiving", "blue"),
    Kind.RESTORE: Look("Restoring", "blue"),
    Kind.CLEANUP: Look("Removing", "blue"),
}
KINDS = {
    Kind.CREATE: Look("Create", "", "plus"),
    Kind.UPDATE: Look("Edit", "", "pencil"),
    Kind.ARCHIVE: Look("Move to archive", "", "archive"),
    Kind.RESTORE: Look("Restore", "", "archive-off"),
    Kind.CLEANUP: Look("Remove for good", "", "trash"),
}
STATES = {
    State.QUEUED: Look("waiting", "blue", "clock"),
    State.RUNNING: Look("running", "blue", "loader-2"),
    State.SUCCEEDED: Look("succeeded", "green", "circle-check"),
    State.FAILED: Look("failed", "red", "circle-x"),
    State.TIMED_OUT: Look("timed out", "red", "circle-x"),
    State.CANCELLED: Look("cancelled", "orange", "player-stop"),
    State.LOST: Look("lost", "red", "circle-x"),
}
ORIGINS = {
    "default": Look("default", "secondary"),
    "override": Look("changed", "blue"),
    "custom": Look("custom", "purple"),
    "removed": Look("removed", "orange"),
}


class Past(NamedTuple):
    """An action of the history, and by level what it changed against the one before."""

    action: Action
    changes: dict[str, list[Difference]]


def moment(value: datetime | None) -> str:
    """Exact, in UTC, for those without JavaScript and on hover."""
    return value.astimezone(UTC).strftime("%Y-%m-%d %H:%M:%S UTC") if value else "–"


def took(action: Action) -> str:
    """How long the script of a finished action ran."""
    if not action.started_at or not action.finished_at:
        return "–"
    seconds = (action.finished_at - action.started_at).total_seconds()
    if seconds < 10:
        return f"{seconds:.1f} s"
    minutes, seconds = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes} min" if hours else f"{minutes} min {seconds} s" if minutes else f"{seconds} s"


def clip(text: str, most: int = MOST_SHOWN) -> str:
    """The beginning of a text."""
    return text if len(text) <= most else text[:most] + "…"


def is_web_link(url: str) -> bool:
    """Whether a link is safe to follow; what scripts print is hostile."""
    return url.lower().startswith(("http://", "https://"))


def look(deployment: Deployment, action: Action | None) -> Look:
    """The status of a deployment as people say it: what is being done to it, or else how it is."""
    if action is None:
        return STATUSES[Status(deployment.status)]
    doing = DOING[Kind(action.kind)]
    return Look(f"Waiting: {doing.label.lower()}", "blue") if action.state == State.QUEUED else doing


def busy_since(deployment: Deployment, action: Action | None) -> datetime | None:
    """Since when something is being done to it; None when nothing is."""
    if action:
        return action.started_at or action.requested_at
    return deployment.status_since if is_pending(Status(deployment.status)) else None


def history(deployment: Deployment) -> list[Past]:
    """The newest actions with what each changed."""
    actions, _ = queries.list_actions(of=deployment, limit=HISTORY + 1)
    return [
        Past(action, _changes(action, before)) for action, before in zip(actions, [*actions[1:], None], strict=True)
    ][:HISTORY]


def _changes(action: Action, before: Action | None) -> dict[str, list[Difference]]:
    if before is None:
        return {}
    levels = {
        "deployment": differences(before.deployment_overrides, action.deployment_overrides),
        "application": differences(before.application_overrides, action.application_overrides),
    }
    return {level: [schemas.hidden(one) for one in found] for level, found in levels.items() if found}


def deployment_values(deployment: Deployment, may_read_logs: bool) -> dict[str, Any]:
    """What the partial of one deployment needs."""
    action = queries.unfinished_action(deployment)
    try:
        config = explain_config(deployment.deployment_overrides, deployment.application_overrides)
        config_problem = ""
    except (Invalid, Unavailable) as problem:
        config, config_problem = _overrides_only(deployment), str(problem)
    return {
        "deployment": deployment,
        "action": action,
        "allowed": may_start(deployment, action),
        "history": history(deployment),
        "trees": {level: as_tree(items) for level, items in config.items()},
        "config_problem": config_problem,
        "details": details_url(deployment.name),
        "may_check": check_script(Status(deployment.status)) is not None,
        "may_read_logs": may_read_logs,
    }


def _overrides_only(deployment: Deployment) -> dict[str, list[Item]]:
    """What can be shown of a configuration whose defaults cannot be had."""
    return {
        "deployment": explain([], deployment.deployment_overrides),
        "application": explain([], deployment.application_overrides),
    }


def highlights(text: str, q: str, similar: bool) -> list[search.Piece]:
    """A text in pieces, each with whether it is what was searched for."""
    return search.highlights(text, search.parse_words(q), similar)


def expiry(deployment: Deployment) -> datetime:
    """Until when an archived deployment is kept, or would be if it were archived now."""
    since: datetime = deployment.archived_at or now()
    return since + timedelta(seconds=settings.ARCHIVE_RETENTION)


def details_url(name: str) -> str | None:
    """The deployment in the Kubernetes dashboard, where there is one."""
    template = settings.KUBERNETES_DASHBOARD_URL_TEMPLATE
    if not template:
        return None
    return template.replace("{name}", name) if "{name}" in template else template + name


def rows_values(page: Any, query: dict[str, Any]) -> dict[str, Any]:
    """What the rows of a page of deployments need."""
    return {
        "query": query,
        "next": page.next,
        "similar": page.similar,
        "deployments": page.rows,
        "actions": page.actions,
        "details": {row.id: details_url(row.name) for row in page.rows},
    }


def actions_values(query: dict[str, Any], may_read_logs: bool) -> dict[str, Any]:
    """What the rows of a page of the history need."""
    filters = {"name" if key == "deployment" else key: value for key, value in query.items()}
    actions, following = queries.list_actions(**filters, bundles=may_read_logs)
    return {"actions": actions, "next": following, "query": query, "may_read_logs": may_read_logs}


def render(template: str, **values: Any) -> str:
    """A partial, rendered for nobody in particular."""
    with current_app.test_request_context():
        return render_template(template, **values)


def asset(path: str) -> str:
    """The address of a static file; it changes with every version of ours, so that it can be kept for ever."""
    return url_for("static", filename=path, v=None if path.startswith("vendor/") else _version(path))


@cache
def _version(path: str) -> str:
    return f"{crc32((STATIC / path).read_bytes()):08x}"


def words() -> dict[str, Any]:
    """What every template may use."""
    return {
        "asset": asset,
        "busy_since": busy_since,
        "clip": clip,
        "highlights": highlights,
        "kept_until": expiry,
        "kinds": KINDS,
        "look": look,
        "masked": schemas.masked,
        "most_on_page": MOST_ON_PAGE,
        "may_start": may_start,
        "origins": ORIGINS,
        "project": settings.PROJECT_NAME,
        "shelved": SHELVED,
        "shown_overrides": SHOWN_OVERRIDES,
        "states": STATES,
        "statuses": STATUSES,
        "steps": STEPS,
        "took": took,
    }
