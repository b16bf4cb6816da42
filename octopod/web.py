"""The pages: plain documents and forms that work without JavaScript."""

from datetime import UTC, datetime
from typing import Any

from flask import Blueprint, abort, g, redirect, render_template, request, url_for

from octopod import api, defaults, deployments, queries, schemas
from octopod.deployments import Edit, Raw, may_start
from octopod.errors import Conflict, Invalid, Unavailable
from octopod.keeper import STREAMS
from octopod.lifecycle import STEPS, Kind, Status, is_pending
from octopod.models import Deployment
from octopod.overrides import Item, Overrides
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


@bp.get("/deployments/new")
def new_deployment():
    return _form(None, _explained({}, {}))


@bp.post("/deployments")
def create_deployment():
    name, levels = request.form.get("name", "").strip(), _levels_from_form()
    try:
        deployment, _ = deployments.create(name, *levels, g.identity.requester)
    except (Invalid, Conflict, Unavailable) as problem:
        return _form(None, _typed(levels), name=name, problem=problem), problem.status
    return redirect(url_for("web.show_deployment", name=deployment.name), 303)


@bp.get("/deployments/<name>")
def show_deployment(name):
    return _page(get_deployment(name))


@bp.get("/deployments/<name>/edit")
def edit_deployment(name):
    deployment = get_deployment(name)
    return _form(
        deployment,
        _explained(deployment.deployment_overrides, deployment.application_overrides),
        version=deployment.version,
    )


@bp.post("/deployments/<name>/actions")
def create_action(name):
    kind = _kind_from_form()
    levels = _levels_from_form() if kind is Kind.UPDATE else None
    version = request.form.get("version", type=int)
    try:
        deployments.request_action(name, kind, g.identity.requester, levels and Edit(*levels), version)
    except (Invalid, Conflict, Unavailable) as problem:
        deployment = get_deployment(name)
        if levels:
            return _form(deployment, _typed(levels), problem=problem, version=version), problem.status
        return _page(deployment, problem), problem.status
    return redirect(url_for("web.show_deployment", name=name), 303)


@bp.post("/actions/<int:id>/cancel")
def cancel_action(id):
    action = deployments.cancel_action(id, g.identity.requester)
    return redirect(url_for("web.show_deployment", name=action.deployment.name), 303)


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
    except Unavailable as unavailable:
        config, problem = {}, problem or unavailable
    return render_template(
        "deployments/show.html",
        deployment=deployment,
        action=action,
        allowed=may_start(deployment, action),
        history=history,
        config=config,
        problem=problem,
        steps=STEPS,
    )


def _form(deployment: Deployment | None, rows: dict[str, list[Item]], **values: Any) -> str:
    return render_template("deployments/form.html", deployment=deployment, rows=rows, blank_rows=BLANK_ROWS, **values)


def _explained(deployment_overrides: Overrides, application_overrides: Overrides) -> dict[str, list[Item]]:
    return deployments.explain_config(deployment_overrides, application_overrides)


def _typed(levels: tuple[Raw, Raw]) -> dict[str, list[Item]]:
    """What somebody typed, on top of the defaults as far as they can be had: nothing typed is lost."""
    return {level: _typed_level(level, raw) for level, raw in zip(LEVELS, levels, strict=True)}


def _typed_level(level: str, raw: Raw) -> list[Item]:
    try:
        answer = defaults.deployment_defaults() if level == "deployment" else defaults.application_defaults([])
    except Unavailable:
        return [Item(key, value, "custom" if value is not None else "removed", None) for key, value in raw]
    known = dict(answer.items)
    typed = [
        Item(key, value, "removed" if value is None else "override" if key in known else "custom", known.get(key))
        for key, value in raw
    ]
    return typed + [Item(key, value, "default", value) for key, value in answer.items if key not in dict(raw)]


def _kind_from_form() -> Kind:
    try:
        return Kind(request.form.get("kind", ""))
    except ValueError:
        abort(422, "The form names no kind of action")


def _levels_from_form() -> tuple[Raw, Raw]:
    return _level_from_form("deployment"), _level_from_form("application")


def _level_from_form(level: str) -> Raw:
    """The overrides in a form's rows. A row that still says what its default says is none; an empty custom row neither."""
    form = request.form
    rows = zip(
        form.getlist(f"{level}.key"), form.getlist(f"{level}.value"), form.getlist(f"{level}.default"), strict=False
    )
    removed = set(form.getlist(f"{level}.removed"))
    overrides: Raw = []
    for key, value, default in rows:
        value = value.replace("\r\n", "\n")
        if key in removed and default:
            overrides.append((key, None))
        elif key not in removed and (key.strip() or value) and (value != default or not default):
            overrides.append((key, value))
    return overrides
