"""The front door of script bundles: signed archives that are run, and files that are sent to their runs."""

import io
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from flask import Blueprint, Response, jsonify, request, url_for
from werkzeug.exceptions import RequestEntityTooLarge

from octopod import auth, bundles, events, passes, queries
from octopod.bundle import variables
from octopod.bundles import Request, Signed
from octopod.errors import Invalid, NotAuthorised, NotFound, Problem, TooLarge, TooMany, TooSlow
from octopod.lifecycle import State
from octopod.models import Action
from octopod.pool import within
from octopod.server import server
from octopod.settings import settings

bp = Blueprint("servo", __name__)

SIGNATURE_HEADERS = ("X-Signature", "X-Timestamp", "X-Nonce", "X-Signature-V2")
VARIABLE_PREFIX = "X-Var-"
ENVELOPE = 64 * 1024  # bytes of a multipart body beside the archive
HELD = 60.0  # seconds between two looks whether a run that somebody waits for is over, should nobody tell
DEFAULT_CALLBACK_NAME = "callback.raw"

# Nobody knows who uploads until all of it is there, so only so many may at a time, and not for ever.
UPLOADS_AT_ONCE, UPLOAD_TIME = 16, 300
_uploads = threading.BoundedSemaphore(UPLOADS_AT_ONCE)


@bp.post("/run/<path:scripts>")
def run(scripts):
    """Run the scripts of a signed archive, one after the other until one fails.

    403 with an empty body for whoever has not signed it; otherwise `{"ok": 0|1, "log": […]}`, or text with 200 or 412.
    """
    signed = Signed(*(request.headers.get(name, "") for name in SIGNATURE_HEADERS))
    if not bundles.could_be(signed):
        return Response(status=403)
    wanted = Request(scripts, _variables(), request.url_root.rstrip("/"))
    with _uploading(), bundles.received(_archive()) as archive:
        token = bundles.find_signer(archive, signed, wanted)
        if token is None:
            return Response(status=403)
        try:
            bundles.check(wanted, token)
        except (Invalid, NotAuthorised) as problem:
            return _answer(False, [bundles.failure(problem.detail)])
        given, origin = passes.new_secrets(), auth.origin_of(request)
        action = server.run_bundle(lambda: bundles.begin(archive, signed, wanted, token, origin, given))
    if "respond-async" in request.headers.get("Prefer", "").lower():
        return _accepted(action, given.ticket)
    action = _ended(action)
    return _result(action) if action.is_finished else _left_alone(action, given.ticket)


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


@bp.errorhandler(Problem)
def refused(problem: Problem) -> Response:
    """For programs, whatever they accept: RFC 9457, and in it what a failed run is answered with."""
    log = [bundles.failure(problem.detail)]
    answer = jsonify(
        type="about:blank", title=problem.title, status=problem.status, detail=problem.detail, ok=0, log=log
    )
    answer.status_code, answer.mimetype = problem.status, "application/problem+json"
    if problem.retry_after:
        answer.headers["Retry-After"] = str(problem.retry_after)
    return answer


@bp.errorhandler(RequestEntityTooLarge)
def too_large(_: RequestEntityTooLarge) -> Response:
    most = settings.BUNDLE_SIZE if request.endpoint == "servo.run" else bundles.MOST_CALLBACK_BYTES
    return refused(TooLarge(most))


@contextmanager
def _uploading() -> Iterator[None]:
    """Raises TooMany, TooSlow."""
    if not _uploads.acquire(blocking=False):
        raise TooMany(f"{UPLOADS_AT_ONCE} bundles are being uploaded already; try again in a moment")
    try:
        with within(UPLOAD_TIME, TooSlow(f"The upload took longer than {UPLOAD_TIME} s")):
            yield
    finally:
        _uploads.release()


def _archive() -> Any:
    """The part of the body that is the archive; without one, an empty one, which nobody has signed."""
    request.max_content_length = settings.BUNDLE_SIZE + ENVELOPE
    part = request.files.get("tgz")
    return part.stream if part else io.BytesIO()


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


def _answer(ok: bool, log: list[str], status: int = 0, **more: Any) -> Response:
    """The log, as JSON whenever that is acceptable. `status`: another one than the usual."""
    if request.accept_mimetypes["application/json"]:
        answer = jsonify(ok=int(ok), log=log, **more)
        answer.status_code, answer.content_type = status or 200, "application/json; charset=utf-8"
        return answer
    text = "text/plain; charset=utf-8"
    return Response("\n".join(log), status=status or (200 if ok else 412), content_type=text)


def _accepted(action: Action, ticket: str) -> Response:
    """202, with what it takes to follow the run."""
    following = _following(action, ticket)
    answer = jsonify(following)
    answer.status_code = 202
    answer.headers |= {"Location": following["url"], "Preference-Applied": "respond-async"}
    return answer


def _left_alone(action: Action, ticket: str) -> Response:
    """503 for who waits for a run that goes on without us: nobody may take it for a success, nor send it again."""
    following = _following(action, ticket)
    why = f"the server stops; run {action.id} goes on, see {following['url']}"
    answer = _answer(False, [bundles.failure(why)], 503, **following)
    answer.headers["Location"] = following["url"]
    return answer


def _following(action: Action, ticket: str) -> dict[str, Any]:
    url = url_for("api.show_action", id=action.id)
    return {"run": action.id, "state": action.state, "url": url, "authorization": f"Bearer {ticket}"}
