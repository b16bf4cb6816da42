"""The pages: plain documents and forms that work without JavaScript."""

from datetime import UTC, datetime
from typing import Any

from flask import Blueprint, abort, g, redirect, render_template, request, url_for

from octopod import api, deployments, queries, schemas
from octopod.deployments import Edit, Raw, may_start
from octopod.errors import ChangedMeanwhile, Conflict, Invalid, Unavailable
from octopod.keeper import STREAMS
from octopod.lifecycle import STEPS, Kind, Status, is_pending
from octopod.models import Deployment
from octopod.overrides import MASK, Item, Overrides, explain
from octopod.queries import get_action, get_deployment, unfinished_action
from octopod.settings import settings

bp = Blueprint("web", __name__)

BLANK_ROWS = 3
LEVELS = ("deployment", "application")
LABELS = {
    Kind.CREATE: "Create",
    Kind.UPDATE: "Edit",
    Kind.ARCHIVE: "Move to archive",
    Kind.RESTORE: "Restore",
    Kind.CLEANUP: "Remove for good",
}


@bp.app_template_filter()
def moment(value: datetime | None) -> str:
    return value.astimezone(UTC).strftime("%Y-%m-%d %H:%M UTC") if value else "–"


@bp.app_template_filter()
def is_web_link(url: str) -> bool:
    """Whether a link is safe to follow; what scripts print is hostile."""
    return url.lower().startswith(("http://", "https://"))


@bp.app_context_processor
def common() -> dict[str, Any]:
    return {
        "project": settings.PROJECT_NAME,
        "labels": LABELS,
        "masked": schemas.masked,
        "is_pending": is_pending,
        "statuses": list(Status),
    }


@bp.get("/")
def home():
    return redirect(url_for("web.list_deployments"))


@bp.get("/deployments")
def list_deployments():
    query = schemas.DeploymentQuery.model_validate({key: value for key, value in request.args.items() if value})
    rows, actions, following = queries.list_deployments(**query.model_dump())
    return render_template("deployments/list.html", deployments=rows, actions=actions, query=query, next=following)


@bp.get("/new")  # not below /deployments, where a deployment may have any name
def new_deployment():
    return _form(None, _shown(None))


@bp.post("/deployments")
def create_deployment():
    name, levels = request.form.get("name", "").strip(), _levels_from_form()
    try:
        deployment, _ = deployments.create(name, *levels, g.identity.requester)
    except (Invalid, Conflict, Unavailable) as problem:
        return _form(None, _typed(levels, None), name=name, problem=problem), problem.status
    return redirect(url_for("web.show_deployment", name=deployment.name), 303)


@bp.get("/deployments/<name>")
def show_deployment(name):
    return _page(get_deployment(name))


@bp.get("/deployments/<name>/edit")
def edit_deployment(name):
    deployment = get_deployment(name)
    try:
        return _form(deployment, _shown(deployment), version=deployment.version)
    except (Invalid, Unavailable) as problem:
        return _form(deployment, _overrides_only(deployment), version=deployment.version, problem=problem)


@bp.post("/deployments/<name>/actions")
def create_action(name):
    kind = _kind_from_form()
    levels = _levels_from_form(get_deployment(name)) if kind is Kind.UPDATE else None
    version = request.form.get("version", type=int)
    try:
        deployments.request_action(name, kind, g.identity.requester, levels and Edit(*levels), version)
    except (Invalid, Conflict, Unavailable, ChangedMeanwhile) as problem:
        deployment = get_deployment(name)
        if levels:
            if isinstance(problem, ChangedMeanwhile):
                version = deployment.version  # who has been told may save what they typed all the same
            return _form(deployment, _typed(levels, deployment), problem=problem, version=version), problem.status
        return _page(deployment, problem), problem.status
    return redirect(url_for("web.show_deployment", name=name), 303)


@bp.post("/actions/<int:id>/cancel")
def cancel_action(id):
    deployment = get_action(id).deployment
    try:
        deployments.cancel_action(id, g.identity.requester)
    except Conflict as problem:
        return _page(get_deployment(deployment.name), problem), problem.status
    return redirect(url_for("web.show_deployment", name=deployment.name), 303)


@bp.get("/actions/<int:id>")
def show_logs(id):
    action = get_action(id, output=True)
    return render_template(
        "actions/logs.html", action=action, logs={stream: api.text_of(action, stream) for stream in STREAMS}
    )


def _page(deployment: Deployment, problem: Exception | None = None) -> str:
    action = unfinished_action(deployment)
    history, _ = queries.list_actions(of=deployment, limit=20)
    try:
        config = deployments.explain_config(deployment.deployment_overrides, deployment.application_overrides)
    except (Invalid, Unavailable) as why:
        config, problem = _overrides_only(deployment), problem or why
    return render_template(
        "deployments/show.html",
        details=_details_url(deployment.name),
        deployment=deployment,
        action=action,
        allowed=may_start(deployment, action),
        history=history,
        config=config,
        problem=problem,
        steps=STEPS,
    )


def _overrides_only(deployment: Deployment) -> dict[str, list[Item]]:
    """What can be shown of a configuration whose defaults cannot be had."""
    return {level: explain([], overrides) for level, overrides in _overrides(deployment).items()}


def _details_url(name: str) -> str | None:
    """The deployment in the Kubernetes dashboard, where there is one."""
    template = settings.KUBERNETES_DASHBOARD_URL_TEMPLATE
    if not template:
        return None
    return template.replace("{name}", name) if "{name}" in template else template + name


def _form(deployment: Deployment | None, rows: dict[str, list[Item]], **values: Any) -> str:
    return render_template("deployments/form.html", deployment=deployment, rows=rows, blank_rows=BLANK_ROWS, **values)


def _overrides(deployment: Deployment | None) -> dict[str, Overrides]:
    """The stored overrides by level; none for a new deployment."""
    if deployment is None:
        return {level: {} for level in LEVELS}
    return dict(zip(LEVELS, (deployment.deployment_overrides, deployment.application_overrides), strict=True))


def _shown(deployment: Deployment | None) -> dict[str, list[Item]]:
    """The rows of the form as it is first shown; of secrets only the mask."""
    levels = deployments.explain_config(*_overrides(deployment).values())
    return {level: [Item(**schemas.item_json(item)) for item in items] for level, items in levels.items()}


def _typed(levels: tuple[Raw, Raw], deployment: Deployment | None) -> dict[str, list[Item]]:
    """What somebody typed, on top of the defaults as far as they can be had: nothing typed is lost."""
    try:
        shown = _shown(deployment)
    except (Invalid, Unavailable):
        shown = {level: [] for level in LEVELS}
    return {level: _typed_level(raw, shown[level]) for level, raw in zip(LEVELS, levels, strict=True)}


def _typed_level(raw: Raw, shown: list[Item]) -> list[Item]:
    known = {item.key: item.default for item in shown if item.default is not None}
    typed = [
        Item(key, value, "removed" if value is None else "override" if key in known else "custom", known.get(key))
        for key, value in raw
    ]
    return typed + [Item(key, value, "default", value) for key, value in known.items() if key not in dict(raw)]


def _kind_from_form() -> Kind:
    kind = request.form.get("kind", "")
    if kind not in set(Kind) - {Kind.CREATE}:
        abort(422, "The form names no kind of action that a deployment could start")
    return Kind(kind)


def _levels_from_form(deployment: Deployment | None = None) -> tuple[Raw, Raw]:
    stored = _overrides(deployment)
    return _level_from_form("deployment", stored["deployment"]), _level_from_form("application", stored["application"])


def _level_from_form(level: str, stored: Overrides) -> Raw:
    """The overrides in a form's rows. A row that still says what its default says is none; an empty custom row neither.

    Where both are masked they look alike; then it is one if it was one.
    """
    removed = set(request.form.getlist(f"{level}.removed"))
    overrides: Raw = []
    for key, value, default in _rows_from_form(level):
        is_default = bool(default) and value == default and (value != MASK or stored.get(key) is None)
        if key in removed and default:
            overrides.append((key, None))
        elif key not in removed and (key.strip() or value) and not is_default:
            overrides.append((key, value))
    return overrides


def _rows_from_form(level: str) -> list[list[str]]:
    """Key, value and default of each row; browsers send line breaks as CR LF."""
    columns = [request.form.getlist(f"{level}.{part}") for part in ("key", "value", "default")]
    if len({len(column) for column in columns}) > 1:
        abort(422, "Each row of the form needs a key, a value and a default")
    return [[text.replace("\r\n", "\n") for text in row] for row in zip(*columns, strict=True)]
