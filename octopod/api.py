"""The JSON front door, `/api/v1`: reads the request, calls one service function, renders."""

import re
from typing import Any

from apiflask import APIBlueprint
from flask import Response, g, jsonify, request, url_for

from octopod import __version__, checks, defaults, deployments, logs, queries, schemas, tokens
from octopod.auth import ADMIN
from octopod.errors import FieldError, Invalid, NotFound, UnsupportedMediaType
from octopod.keeper import STREAMS
from octopod.lifecycle import Kind
from octopod.models import Action, Deployment, Token
from octopod.overrides import parse_overrides
from octopod.queries import get_action, get_deployment, unfinished_action
from octopod.schemas import action_json, deployment_json
from octopod.settings import settings

bp = APIBlueprint("api", __name__, url_prefix="/api/v1", tag="Octopod")

ETAG = re.compile(r'"?([0-9]{1,18})"?')


@bp.before_request
def refuse_other_media_types():
    has_body = request.content_length or "Transfer-Encoding" in request.headers
    if has_body and not request.is_json:
        raise UnsupportedMediaType(f"Send application/json, not {request.mimetype or 'a body without Content-Type'}")


@bp.get("/project")
@bp.output(schemas.ProjectJSON)
def show_project():
    """Name, base domain, namespace, version and suite of this installation."""
    return jsonify(
        name=settings.PROJECT_NAME,
        base_domain=settings.BASE_DOMAIN,
        namespace=settings.NAMESPACE,
        version=__version__,
        suite=settings.CONTROL_SCRIPTS.name,
    )


@bp.get("/deployments")
@bp.input(schemas.DeploymentQuery, location="query")
@bp.output(schemas.DeploymentList)
def list_deployments(query_data):
    """Deployments, a page at a time."""
    page = queries.list_deployments(**query_data.model_dump())
    items = [deployment_json(row, page.actions.get(row.id)) for row in page.rows]
    return jsonify(items=items, next=page.next, similar=page.similar)


@bp.post("/deployments")
@bp.input(schemas.NewDeployment)
@bp.output(schemas.DeploymentJSON, status_code=202)
def create_deployment(json_data):
    """Ask for a new deployment. 202: the request is stored; `Location` is its action."""
    deployment_overrides = list(json_data.deployment_overrides.items())
    application_overrides = list(json_data.application_overrides.items())
    deployment, action = deployments.create(
        json_data.name, deployment_overrides, application_overrides, g.identity.requester
    )
    return _accepted(deployment_json(deployment, action), action)


@bp.get("/deployments/<name>")
@bp.output(schemas.DeploymentJSON)
def show_deployment(name):
    """One deployment; its `ETag` can be sent back as `If-Match`."""
    return _deployment_answer(get_deployment(name))


@bp.delete("/deployments/<name>")
@bp.output({}, status_code=204)
def delete_deployment(name):
    """Forget a deployment without running any script; what it has deployed stays where it is."""
    deployments.delete(name, g.identity.requester)
    return Response(status=204)


@bp.get("/deployments/<name>/config")
@bp.output(schemas.ConfigJSON)
def show_config(name):
    """The effective configuration, each value with its origin."""
    deployment = get_deployment(name)
    levels = deployments.explain_config(deployment.deployment_overrides, deployment.application_overrides)
    return jsonify({level: [schemas.item_json(item) for item in items] for level, items in levels.items()})


@bp.post("/deployments/<name>/actions")
@bp.input(schemas.NewAction)
@bp.output(schemas.ActionJSON, status_code=202)
def create_action(name, json_data):
    """Ask for an action: update, archive, restore or cleanup."""
    action = deployments.request_action(
        name, Kind(json_data.kind), g.identity.requester, json_data.edit(), _version_asked_for()
    )
    return _accepted(action_json(action), action)


@bp.get("/deployments/<name>/actions")
@bp.input(schemas.PageQuery, location="query")
@bp.output(schemas.ActionList)
def list_deployment_actions(name, query_data):
    """What was done to a deployment, newest first."""
    rows, following = queries.list_actions(of=get_deployment(name), **query_data.model_dump())
    return jsonify(items=[action_json(row) for row in rows], next=following)


@bp.post("/deployments/<name>/check")
@bp.output(schemas.VerdictJSON)
def check_deployment(name):
    """Run its check now and store what follows from it."""
    return jsonify(schemas.verdict_json(name, checks.check_now(name)))


@bp.get("/actions")
@bp.input(schemas.ActionQuery, location="query")
@bp.output(schemas.ActionList)
def list_actions(query_data):
    """What was done to any deployment, removed ones included, newest first."""
    query = query_data.model_dump()
    rows, following = queries.list_actions(name=query.pop("deployment"), bundles=g.identity.may(ADMIN), **query)
    return jsonify(items=[action_json(row) for row in rows], next=following)


@bp.get("/actions/<int:id>")
@bp.input(schemas.WaitQuery, location="query")
@bp.output(schemas.ActionJSON)
def show_action(id, query_data):
    """One action; with `wait`, the answer is held until it is finished or the seconds are over."""
    return jsonify(action_json(queries.wait_for_action(_get_action(id).id, query_data.wait)))


@bp.get("/actions/<int:id>/logs")
@bp.input(schemas.LogsQuery, location="query")
@bp.doc(
    responses={200: {"description": "What the script wrote", "content": {"text/plain": {"schema": {"type": "string"}}}}}
)
def show_logs(id, query_data):
    """What the script of an action wrote, so far; with `follow=true`, as it is written."""
    streams = STREAMS if query_data.stream == "all" else (query_data.stream,)
    action = _get_action(id, output=True)
    if query_data.follow == "true" and not action.is_finished:
        written = (text for _, text in logs.follow(action, streams))
        return Response(written, mimetype="text/plain", headers={"X-Accel-Buffering": "no"})
    return Response("".join(logs.text_of(action, stream) for stream in streams), mimetype="text/plain")


@bp.post("/actions/<int:id>/cancel")
@bp.output(schemas.ActionJSON, status_code=202)
def cancel_action(id):
    """Stop an action: TERM to the process group of its script, then KILL."""
    action = deployments.cancel_action(_get_action(id).id, g.identity.requester)
    return _accepted(action_json(action), action)


@bp.get("/config/deployment")
@bp.output(schemas.DefaultsJSON)
def deployment_config():
    """Defaults of the deployment level."""
    return jsonify(schemas.defaults_json(defaults.deployment_defaults()))


@bp.get("/config/deployment/keys")
@bp.output(schemas.KeysJSON)
def deployment_keys():
    """Suggested keys of the deployment level."""
    return jsonify(schemas.keys_json(defaults.deployment_keys()))


@bp.post("/config/application")
@bp.input(schemas.ConfigQuestion)
@bp.output(schemas.DefaultsJSON)
def application_config(json_data):
    """Defaults of the application level for given deployment overrides."""
    return jsonify(schemas.defaults_json(deployments.application_defaults(_overrides(json_data))))


@bp.post("/config/application/keys")
@bp.input(schemas.ConfigQuestion)
@bp.output(schemas.KeysJSON)
def application_keys(json_data):
    """Suggested keys of the application level for given deployment overrides."""
    return jsonify(schemas.keys_json(defaults.application_keys(defaults.effective_deployment(_overrides(json_data)))))


@bp.get("/tokens")
@bp.output(schemas.TokenList)
def list_tokens():
    """The servo tokens with names, without their secrets; while one is being exchanged, it is there twice."""
    return jsonify(items=[schemas.token_json(token) for token in tokens.list_all()], next=None)


@bp.post("/tokens")
@bp.input(schemas.NewToken)
@bp.output(schemas.NewTokenJSON, status_code=201)
def create_token(json_data):
    """Make a servo token. Its secret is in this answer, and nowhere else."""
    return _created(tokens.create(json_data.name, json_data.limits(), g.identity.name))


@bp.post("/tokens/<name>/rotate")
@bp.input(schemas.Rotation)
@bp.output(schemas.NewTokenJSON, status_code=201)
def rotate_token(name, json_data):
    """Give a token a new secret; the old one is good for `overlap` more seconds."""
    return _created(tokens.rotate(name, json_data.overlap, g.identity.name))


@bp.delete("/tokens/<name>")
@bp.output({}, status_code=204)
def remove_token(name):
    """Accept a token no more."""
    tokens.remove(name, g.identity.name)
    return Response(status=204)


def _created(token: Token) -> Response:
    answer = jsonify(schemas.token_json(token) | {"token": token.secret})
    answer.status_code = 201
    return answer


def _get_action(id: int, output: bool = False) -> Action:
    """Raises NotFound, also when it is the run of a bundle that is nothing to who asks."""
    action = get_action(id, output)
    if action.kind == Kind.RUN and not g.identity.may_see_run(id):
        raise NotFound(f"There is no action {id}")
    return action


def _overrides(question):
    return parse_overrides(question.deployment_overrides.items(), "deployment_overrides")


def _deployment_answer(deployment: Deployment) -> Response:
    answer = jsonify(deployment_json(deployment, unfinished_action(deployment)))
    answer.set_etag(str(deployment.version))
    return answer


def _accepted(body: dict[str, Any], action: Action) -> Response:
    """202, with the address under which the action can be followed."""
    answer = jsonify(body)
    answer.status_code = 202
    answer.headers["Location"] = url_for("api.show_action", id=action.id)
    return answer


def _version_asked_for() -> int | None:
    """The version named by If-Match; None when any will do."""
    given = request.headers.get("If-Match", "*").strip()
    if given == "*":
        return None
    found = ETAG.fullmatch(given)
    if not found:
        raise Invalid("If-Match is not an ETag of a deployment", [FieldError("If-Match", 'must look like "7"')])
    return int(found[1])
