"""The front door of script bundles: signed archives that are run, and files that are sent to their runs."""

from flask import Blueprint, Response, jsonify, request, url_for
from werkzeug.exceptions import RequestEntityTooLarge

from octopod import auth, bundles, events, passes, queries
from octopod.bundle import variables
from octopod.bundles import Request, Signed
from octopod.errors import Invalid, NotAuthorised, NotFound, TooLarge
from octopod.lifecycle import State
from octopod.models import Action
from octopod.server import server
from octopod.settings import settings

bp = Blueprint("servo", __name__)

SIGNATURE_HEADERS = ("X-Signature", "X-Timestamp", "X-Nonce", "X-Signature-V2")
VARIABLE_PREFIX = "X-Var-"
ENVELOPE = 64 * 1024  # bytes of a multipart body beside the archive
HELD = 60.0  # seconds between two looks whether a run that somebody waits for is over, should nobody tell
DEFAULT_CALLBACK_NAME = "callback.raw"


@bp.post("/run/<path:scripts>")
def run(scripts):
    """Run the scripts of a signed archive, one after the other until one fails.

    403 with an empty body for whoever has not signed it; otherwise `{"ok": 0|1, "log": […]}`, or text with 200 or 412.
    """
    signed = Signed(*(request.headers.get(name, "") for name in SIGNATURE_HEADERS))
    if not signed.signature:
        return Response(status=403)
    part = _archive()
    if part is None:
        return Response(status=403)  # there is nothing that could have been signed
    wanted = Request(scripts, _variables(), request.url_root.rstrip("/"))
    with bundles.received(part.stream) as archive:
        token = bundles.find_signer(archive, signed, wanted)
        if token is None:
            return Response(status=403)
        try:
            bundles.check(wanted, token)
        except (Invalid, NotAuthorised) as problem:
            return _answer(False, [bundles.failure(problem.detail)])
        given, origin = passes.new_secrets(), auth.origin_of(request)
        action = server.run_bundle(lambda: bundles.begin(archive, wanted, token, origin, given))
    if "respond-async" not in request.headers.get("Prefer", "").lower():
        action = _ended(action)
    return _result(action) if action.is_finished else _accepted(action, given.ticket)


@bp.post("/callback/<token>")
@bp.post("/callback/<token>/<name>")
def callback(token, name=DEFAULT_CALLBACK_NAME):
    """Send a file to a run that is not over."""
    request.max_content_length = bundles.MOST_CALLBACK_BYTES
    try:
        bundles.store_callback(token, name, request.stream)
    except NotFound:
        return Response(status=404)
    return Response()


def _archive():
    """The part of the body that is the archive; None when there is none. Raises TooLarge."""
    request.max_content_length = settings.BUNDLE_SIZE + ENVELOPE
    try:
        return request.files.get("tgz")
    except RequestEntityTooLarge:
        raise TooLarge(settings.BUNDLE_SIZE) from None


def _variables() -> dict[str, str]:
    """What scripts are to find in their environment: `X-Var-Target-Env: qa` is TARGET_ENV."""
    return {
        variables.name_of(name[len(VARIABLE_PREFIX) :]): value.encode("latin-1").decode(errors="replace")
        for name, value in request.headers
        if name.title().startswith(VARIABLE_PREFIX)
    }


def _ended(action: Action) -> Action:
    """The run when it is over, or when we are: it goes on without us then."""
    while not action.is_finished and not events.stopping.is_set():
        action = queries.wait_for_action(action.id, HELD)
    return action


def _result(action: Action) -> Response:
    action = queries.get_action(action.id, output=True)
    answer = _answer(action.state == State.SUCCEEDED, bundles.log_of(action))
    answer.headers["Location"] = url_for("api.show_action", id=action.id)
    return answer


def _answer(ok: bool, log: list[str]) -> Response:
    """The log, as JSON whenever that is acceptable."""
    if request.accept_mimetypes["application/json"]:
        answer = jsonify(ok=int(ok), log=log)
        answer.content_type = "application/json; charset=utf-8"
        return answer
    return Response("\n".join(log), status=200 if ok else 412, content_type="text/plain; charset=utf-8")


def _accepted(action: Action, ticket: str) -> Response:
    """202, with what it takes to follow the run."""
    url = url_for("api.show_action", id=action.id)
    answer = jsonify(run=action.id, state=action.state, url=url, authorization=f"Bearer {ticket}")
    answer.status_code = 202
    answer.headers |= {"Location": url, "Preference-Applied": "respond-async"}
    return answer
