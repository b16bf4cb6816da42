"""The pages. All of them work as plain documents and forms; with JavaScript, htmx swaps parts of the same pages."""

from typing import Any

from flask import Blueprint, abort, g, redirect, render_template, url_for
from htmx_flask import make_response, request
from werkzeug import Response

from octopod import auth, checks, deployments, forms, logs, pages, queries, schemas
from octopod.deployments import Edit
from octopod.errors import ChangedMeanwhile, Conflict, FieldError, Invalid, NotFound, Problem, Unavailable
from octopod.forms import Draft
from octopod.keeper import STREAMS
from octopod.lifecycle import STEPS, Kind
from octopod.models import Deployment
from octopod.queries import get_action, get_deployment

bp = Blueprint("web", __name__)

DELETE = "delete"  # what an admin may do to a deployment that is no action: forget it without any script
CONFIRMED = (Kind.ARCHIVE, Kind.CLEANUP, DELETE)  # what is asked about before it is done
TYPED = (Kind.CLEANUP, DELETE)  # what cannot be undone, so the name has to be typed
ANSWERS = (Invalid, Conflict, Unavailable, ChangedMeanwhile)  # shown on the page that they are about

bp.add_app_template_filter(pages.moment)
bp.add_app_template_filter(pages.is_web_link)
bp.record_once(lambda state: state.app.jinja_env.globals.update(pages.words()))


@bp.get("/")
def home():
    return redirect(url_for("web.list_deployments"))


@bp.get("/deployments")
def list_deployments():
    query = schemas.deployment_query(request.args)
    page = queries.list_deployments(**query.model_dump())
    values = pages.rows_values(page, query.model_dump(exclude={"cursor"}))
    return render_template("deployments/list.html", **values)


@bp.get("/new")  # not below /deployments, where a deployment may have any name
def new_deployment():
    return _form(forms.stored(None), None)


@bp.post("/new")
def look_at_new_deployment():
    draft = forms.read(request.form)
    return _form(draft, None, errors=forms.check_name(draft.name))


@bp.post("/deployments")
def create_deployment():
    draft = forms.read(request.form)
    try:
        deployment, _ = deployments.create(draft.name, *draft.overrides, g.identity.requester)
    except ANSWERS as problem:
        return _form(draft, None, problem=problem), problem.status
    return _elsewhere(url_for("web.show_deployment", name=deployment.name))


@bp.get("/deployments/<name>")
def show_deployment(name):
    try:
        return _page(get_deployment(name))
    except NotFound:
        if not queries.was_there(name):
            raise
        return render_template("deployments/gone.html", name=name), NotFound.status


@bp.get("/deployments/<name>/edit")
def edit_deployment(name):
    deployment = get_deployment(name)
    return _form(forms.stored(deployment), deployment)


@bp.post("/deployments/<name>/edit")
def look_at_edited_deployment(name):
    return _form(forms.read(request.form), get_deployment(name))


@bp.get("/deployments/<name>/confirm/<kind>")
def confirm_action(name, kind):
    if kind not in CONFIRMED:
        abort(404)
    if kind == DELETE:
        auth.authorise(g.identity, auth.ADMIN)
    return _confirmation(get_deployment(name), kind)


@bp.post("/deployments/<name>/actions")
def create_action(name):
    kind = _kind_from_form()
    draft = forms.read(request.form) if kind is Kind.UPDATE else None
    version = forms.number(request.form, "version")
    try:
        _refuse_untyped_name(name, kind)
        edit = draft and Edit(*forms.with_line_breaks(draft, get_deployment(name)).overrides)
        deployments.request_action(name, kind, g.identity.requester, edit, version)
    except ANSWERS as problem:
        deployment = get_deployment(name)
        if draft:
            return _form(draft, deployment, problem=problem), problem.status
        if kind in CONFIRMED:
            return _confirmation(deployment, kind, problem), problem.status
        return _page(deployment, problem), problem.status
    return _done(name, f"{name} is being {STEPS[kind].doing}")


@bp.post("/deployments/<name>/check")
def check_deployment(name):
    try:
        verdict = checks.check_now(name)
    except ANSWERS as problem:
        return _page(get_deployment(name), problem), problem.status
    return _done(name, f"{name} was checked: {pages.STATUSES[verdict.status].label}")


@bp.post("/deployments/<name>/delete")
def delete_deployment(name):
    deployment = get_deployment(name)
    try:
        _refuse_untyped_name(name, DELETE)
        deployments.delete(name, g.identity.requester)
    except ANSWERS as problem:
        return _confirmation(deployment, DELETE, problem), problem.status
    return _elsewhere(url_for("web.list_deployments"))


@bp.get("/actions")
def list_actions():
    query = schemas.action_query(request.args)
    values = pages.actions_values(query.model_dump(), g.identity.may(auth.ADMIN))
    return render_template("actions/list.html", **values)


@bp.get("/actions/<int:id>")
def show_logs(id):
    action = get_action(id, output=True)
    texts = {stream: logs.text_of(action, stream) for stream in STREAMS}
    return render_template(
        "actions/show.html",
        action=action,
        logs={stream: logs.tail(text) for stream, text in texts.items()},
        cut=[stream for stream, text in texts.items() if len(text) > len(logs.tail(text))],
    )


@bp.post("/actions/<int:id>/cancel")
def cancel_action(id):
    action = get_action(id)
    if action.kind == Kind.RUN:
        return _cancel_run(id)
    name = action.deployment.name
    try:
        deployments.cancel_action(id, g.identity.requester)
    except Conflict as problem:
        return _page(get_deployment(name), problem), problem.status
    return _done(name, f"The {action.kind} of {name} is being cancelled")


def _cancel_run(id: int) -> Any:
    """Of a bundle, which has no page but that of its log."""
    auth.authorise(g.identity, auth.ADMIN)
    deployments.cancel_action(id, g.identity.requester)
    page = url_for("web.show_logs", id=id)
    return _toast("The run is being cancelled") if request.htmx else redirect(page, 303)


def _kind_from_form() -> Kind:
    kind = request.form.get("kind", "")
    if kind not in set(STEPS) - {Kind.CREATE}:
        abort(422, "The form names no kind of action that a deployment could start")
    return Kind(kind)


def _refuse_untyped_name(name: str, kind: str) -> None:
    if kind in TYPED and request.form.get("typed", "").strip() != name:
        message = f"type {name} to confirm"
        raise Invalid(f"This cannot be undone: {message}", [FieldError("typed", message)])


def _page(deployment: Deployment, problem: Exception | None = None) -> str:
    values = pages.deployment_values(deployment, g.identity.may(auth.ADMIN))
    return render_template("deployments/show.html", problem=problem, **values)


def _form(
    draft: Draft, deployment: Deployment | None, problem: Problem | None = None, errors: list[FieldError] | None = None
) -> str:
    """The form with what was typed, on top of what others have saved meanwhile: who has seen that may save it then."""
    if deployment:
        draft = forms.catch_up(draft, deployment)
    found = problem.errors if problem else errors
    return render_template("deployments/form.html", problem=problem, **forms.lay_out(draft, deployment, found))


def _confirmation(deployment: Deployment, kind: str, problem: Problem | None = None) -> str:
    return render_template(
        "deployments/confirm.html",
        deployment=deployment,
        kind=kind,
        problem=problem,
        must_type=kind in TYPED,
    )


def _done(name: str, text: str) -> Response:
    """After something was asked for: back to the deployment. A page that stays open says so, and is told the rest."""
    page = url_for("web.show_deployment", name=name)
    if request.htmx and not _is_on(url_for("web.edit_deployment", name=name)):
        return _toast(text)
    return _elsewhere(page)


def _toast(text: str) -> Response:
    return make_response(render_template("_toast.html", text=text), reswap="none", trigger_after_swap="done")


def _is_on(path: str) -> bool:
    return (request.htmx.current_url or "").partition("?")[0].endswith(path)


def _elsewhere(url: str) -> Response:
    if request.htmx:
        return make_response("", redirect=url)
    return redirect(url, 303)
