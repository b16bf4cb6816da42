"""The Octopod server. `python app.py` serves; `create_app()` makes the application for any WSGI server."""

if __name__ == "__main__":
    from gevent import monkey

    monkey.patch_all()  # before anything else is imported

import json
import os
import re
import secrets
import signal
import socket
import sys
import time
from collections.abc import Iterator
from http import HTTPStatus
from typing import Any

import gevent
import structlog
from apiflask import APIFlask, HTTPError
from flask import Response, g, jsonify, render_template, request
from flask.json.provider import DefaultJSONProvider
from gevent.pywsgi import WSGIHandler, WSGIServer
from htmx_flask import Htmx
from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, generate_latest, multiprocess
from psycogreen.gevent import patch_psycopg
from pydantic import ValidationError
from werkzeug.exceptions import HTTPException

from octopod import __version__, api, auth, live, metrics, schemas, servo, web
from octopod.errors import FieldError, Invalid, Problem, Stopping, TooLarge
from octopod.log import log
from octopod.overrides import describe
from octopod.server import CannotStart, configure, prepare, server, stop_with
from octopod.settings import BadSettings, settings

CLI_DEFAULT_URL = "http://127.0.0.1:8000"
REQUEST_ID = re.compile(r"[\w.-]{1,64}", re.ASCII)
BACKLOG = 256
MOST_BODY_BYTES = 4 * 1024 * 1024
KEEP_STATIC_FILES = 365 * 24 * 3600  # seconds; their addresses change when they do
PING_INTERVAL = 25  # seconds; proxies close what is silent for a minute
OWN_WORDS = {
    404: "There is nothing at this address",
    405: "This address does not know that method; the Allow header tells which it knows",
}
SECURITY_HEADERS = {
    "Content-Security-Policy": "default-src 'self'; img-src 'self' data:; frame-ancestors 'none'; form-action 'self'; base-uri 'none'; object-src 'none'",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "same-origin",
    "Cache-Control": "no-store",
}


def create_app() -> APIFlask:
    """The application; `configure` has been called."""
    app = APIFlask(__name__, title="Octopod", version=__version__, docs_path=None, json_errors=False)
    app.config |= {
        "OPENAPI_VERSION": "3.1.0",
        "MAX_CONTENT_LENGTH": MOST_BODY_BYTES,
        "MAX_FORM_MEMORY_SIZE": MOST_BODY_BYTES,
        "SEND_FILE_MAX_AGE_DEFAULT": KEEP_STATIC_FILES,
        "SOCK_SERVER_OPTIONS": {"ping_interval": PING_INTERVAL, "max_message_size": 4096},
    }
    app.config |= {"TAGS": ["Octopod"], "VALIDATION_ERROR_STATUS_CODE": 422}
    app.json = StrictJSON(app)
    app.jinja_options = {"trim_blocks": True, "lstrip_blocks": True}  # a third of a page would be blanks
    app.spec_processor(_complete_spec)
    app.register_blueprint(api.bp)
    app.register_blueprint(web.bp)
    app.register_blueprint(live.bp)
    app.register_blueprint(servo.bp)
    Htmx(app)
    _add_requests(app)
    _add_errors(app)
    _add_operations(app)
    return app


class StrictJSON(DefaultJSONProvider):
    """JSON that keeps the order of keys, and refuses what could be read in two ways."""

    sort_keys = False
    ensure_ascii = False

    def loads(self, s: str | bytes, **_: Any) -> Any:
        try:
            return json.loads(s, object_pairs_hook=_unique, parse_constant=_no_constant)
        except (ValueError, RecursionError) as error:
            raise Invalid(f"The body is not JSON that can be read: {error}") from None


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        twice = next(key for key in found if [name for name, _ in pairs].count(key) > 1)
        raise Invalid(f"The key {twice!r} is there twice", [FieldError(twice, "the key is there twice")])
    return found


def _no_constant(name: str) -> None:
    raise Invalid(f"{name} is not JSON")


def _add_requests(app: APIFlask) -> None:
    @app.before_request
    def begin() -> None:
        g.started = time.monotonic()
        given = request.headers.get("X-Request-Id", "")
        g.request_id = given if REQUEST_ID.fullmatch(given) else secrets.token_hex(8)
        structlog.contextvars.clear_contextvars()
        structlog.contextvars.bind_contextvars(request=g.request_id)
        if request.endpoint is None:
            return  # there is no such page; the error says so
        if auth.ROLES.get(request.endpoint) == auth.ANYBODY:
            return
        auth.refuse_other_sites(request)
        g.identity = auth.identify(request)
        g.identity.admit(request.endpoint, request.view_args or {})
        _refuse_odd_sizes_and_addresses()
        if server.draining and request.method not in auth.SAFE_METHODS:
            raise Stopping("The server is about to stop; try again in a moment")

    @app.after_request
    def end(response: Response) -> Response:
        for name, value in SECURITY_HEADERS.items():
            response.headers.setdefault(name, value)
        response.headers["X-Request-Id"] = g.request_id
        took = time.monotonic() - g.started
        if request.endpoint != "live.live":  # those last as long as somebody looks
            metrics.requests.labels(request.endpoint or "", response.status_code).observe(took)
        who = g.identity.name if "identity" in g else None
        log.info(
            "request",
            method=request.method,
            path=_shown_path(),
            status=response.status_code,
            ms=round(took * 1000, 1),
            by=who,
        )
        return response


def _shown_path() -> str:
    """What the log may show: the address of a callback is a secret."""
    return "/callback/…" if request.path.startswith("/callback/") else request.path


def _refuse_odd_sizes_and_addresses() -> None:
    """What neither the framework nor the databases refuse by themselves. Raises Invalid, TooLarge."""
    if "\0" in request.path or any("\0" in text for pair in request.args.items(multi=True) for text in pair):
        raise Invalid("The address has a NUL character in it")
    # A body without Content-Length is cut off at the limit, not refused; what is left could even be valid.
    if "Transfer-Encoding" in request.headers and len(request.get_data()) >= MOST_BODY_BYTES:
        raise TooLarge(MOST_BODY_BYTES)


def _add_errors(app: APIFlask) -> None:
    """The one place where exceptions become answers."""

    @app.errorhandler(Problem)
    def ours(problem: Problem) -> Response:
        headers = {"Retry-After": str(problem.retry_after)} if problem.retry_after else {}
        if problem.status == 401 and (settings.UI_BASIC_AUTH or settings.UI_ADMIN_BASIC_AUTH):
            headers["WWW-Authenticate"] = 'Basic realm="Octopod", charset="UTF-8"'
        return _answer(problem.status, problem.title, problem.detail, problem.errors, headers)

    @app.errorhandler(HTTPError)
    def from_apiflask(error: HTTPError) -> Response:
        fields = [
            FieldError(field, text)
            for location in (error.detail or {}).values()
            for field, texts in location.items()
            for text in texts
        ]  # fmt: skip
        return _answer(error.status_code, "Invalid", describe(fields) or str(error.message), fields, {})

    @app.errorhandler(ValidationError)
    def from_pydantic(error: ValidationError) -> Response:
        fields = [FieldError(".".join(map(str, one["loc"])), one["msg"]) for one in error.errors()]
        return _answer(422, "Invalid", describe(fields), fields, {})

    @app.errorhandler(HTTPException)
    def from_werkzeug(error: HTTPException) -> Response:
        if error.code == 413:
            return ours(TooLarge(MOST_BODY_BYTES))
        status, title = (422, Invalid.title) if error.code == 400 else (error.code or 500, error.name)
        headers = {name: value for name, value in error.get_headers() if name in ("Allow", "Location")}
        return _answer(status, title, OWN_WORDS.get(status, error.description or error.name), [], headers)

    @app.errorhandler(Exception)
    def unforeseen(error: Exception) -> Response:
        log.exception("unforeseen", path=_shown_path(), error=str(error))
        detail = f"Something went wrong here that should not. The server's log tells more under request {g.request_id}."
        return _answer(500, "Internal error", detail, [], {})


def _answer(status: int, title: str, detail: str, errors: list[FieldError], headers: dict[str, str]) -> Response:
    """RFC 9457 for programs, a page for people."""
    detail, errors = _sendable(detail), [FieldError(*map(_sendable, error)) for error in errors]
    if request.path.startswith("/api/") or not request.accept_mimetypes.accept_html:
        body = {"type": "about:blank", "title": title, "status": status, "detail": detail}
        response = jsonify(body | ({"errors": [error._asdict() for error in errors]} if errors else {}))
        response.mimetype = "application/problem+json"
    else:
        response = Response(render_template("error.html", title=title, status=status, detail=detail))
    response.status_code = status
    response.headers.update(headers)
    return response


def _sendable(text: str) -> str:
    """What was sent may be quoted in an answer, but half a surrogate pair cannot be."""
    return text.encode(errors="backslashreplace").decode()


def _complete_spec(spec: dict[str, Any]) -> dict[str, Any]:
    """The OpenAPI document with the errors that every operation has, in the form that they have."""
    shapes = spec["components"]["schemas"]
    shapes["ProblemJSON"] = schemas.ProblemJSON.model_json_schema(ref_template="#/components/schemas/{model}")
    shapes |= shapes["ProblemJSON"].pop("$defs")
    for unused in ("ValidationError", "HTTPError"):
        shapes.pop(unused, None)
    problem = {"application/problem+json": {"schema": {"$ref": "#/components/schemas/ProblemJSON"}}}
    for path, operations in spec["paths"].items():
        for method, operation in operations.items():
            for status in _errors_of(path, method):
                operation["responses"][str(status)] = {"description": HTTPStatus(status).phrase, "content": problem}
            if "requestBody" in operation:
                operation["requestBody"]["required"] = True
    return spec


def _errors_of(path: str, method: str) -> list[int]:
    """The statuses of the errors that an operation may answer."""
    found = [401, 403, 422, 503]
    if "{" in path:
        found.append(404)
    if method != "get":
        found += [409, 413, 415]
    if path.endswith("{name}/actions") and method == "post":
        found.append(412)
    return sorted(found)


def _add_operations(app: APIFlask) -> None:
    @app.get("/healthz")
    @app.doc(hide=True)
    def healthz() -> Response:
        return Response("ok\n", mimetype="text/plain")

    @app.get("/readyz")
    @app.doc(hide=True)
    def readyz() -> Response:
        why_not = server.why_not_ready()
        return Response(f"{why_not or 'ok'}\n", status=503 if why_not else 200, mimetype="text/plain")

    @app.get("/metrics", endpoint="metrics")
    @app.doc(hide=True)
    def show_metrics() -> Response:
        registry = CollectorRegistry()
        if "PROMETHEUS_MULTIPROC_DIR" in os.environ:
            multiprocess.MultiProcessCollector(registry)
            return Response(generate_latest(registry), content_type=CONTENT_TYPE_LATEST)
        return Response(generate_latest(), content_type=CONTENT_TYPE_LATEST)

    @app.get("/docs")
    @app.doc(hide=True)
    def docs() -> str:
        return render_template("docs.html", spec=app.spec)


def main(arguments: list[str]) -> None:
    """Get ready; then, unless that is all that is asked for (`prepare`), serve on HOST:PORT until TERM or INT."""
    patch_psycopg()
    try:
        configure()
        if arguments == ["prepare"]:
            prepare()
        else:
            _serve()
    except (BadSettings, CannotStart) as error:
        stop_with(error)


def _serve() -> None:
    listener = _bind()  # first of all: who finds the port taken must not have touched anything
    prepare()
    listener.listen(BACKLOG)
    http = WSGIServer(listener, create_app(), log=None, error_log=None, handler_class=Handler)
    server.start()
    http.start()
    for number in (signal.SIGTERM, signal.SIGINT):
        gevent.signal_handler(number, _stop, http)
    _greet()
    http.serve_forever()


class Handler(WSGIHandler):
    """Leaves header values whole: gevent takes the last byte of some characters (à, Å) for a blank of Latin-1.

    Lines that continue the one before, which nobody may send any more (RFC 9112), and names with underscores are dropped.
    """

    def _headers(self) -> Iterator[tuple[str, str]]:
        for line in self.headers.headers:
            name, _, value = line.partition(":")
            if name[:1] not in " \t" and "_" not in name and name.lower() not in ("content-type", "content-length"):
                yield "HTTP_" + name.replace("-", "_").upper(), value.strip(" \t\r\n")


def _bind() -> socket.socket:
    """A socket that has our address but does not listen yet. Raises CannotStart."""
    family = socket.AF_INET6 if ":" in settings.HOST else socket.AF_INET
    listener = socket.socket(family, socket.SOCK_STREAM)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    # Accepted connections inherit it. Without, headers and body of an answer wait for each other: 40 ms per request.
    listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    try:
        listener.bind((settings.HOST, settings.PORT))
    except OSError as error:
        raise CannotStart(f"Cannot listen on {settings.HOST}:{settings.PORT}: {error.strerror or error}") from error
    return listener


def _stop(http: WSGIServer) -> None:
    """Drain; whoever asks a second time is in a hurry."""
    if server.draining:
        os._exit(1)
    server.drain()
    http.stop(timeout=1)


def _greet() -> None:
    host = f"[{settings.HOST}]" if ":" in settings.HOST else settings.HOST
    url = f"http://{host}:{settings.PORT}"
    cli = "./cli.py" if url == CLI_DEFAULT_URL else f"OCTOPOD_URL={url} ./cli.py"
    print(
        f"""
Octopod is running at {url}

  In a browser    {url}
  On the command  {cli} create -n orange --wait
                  {cli} info -n orange
  The API         {url}/docs

Ctrl-C stops the server; what it deployed goes on running.
""",
        flush=True,
    )


if __name__ == "__main__":
    main(sys.argv[1:])
