"""The websocket: pushes partials to open pages as soon as something changes."""

import socket
import threading
from collections import deque
from collections.abc import Callable, Hashable
from functools import partial
from typing import Any

from apiflask import APIBlueprint
from flask import Response, current_app, g, request
from flask_sock import Sock
from markupsafe import escape
from wsproto.frame_protocol import CloseReason
from wsproto.utilities import RemoteProtocolError

from octopod import auth, events, logs, metrics, queries, schemas
from octopod.channels import LOOK, Viewer, viewing
from octopod.errors import NotFound, Problem, Unavailable
from octopod.keeper import STREAMS
from octopod.log import log
from octopod.models import Action, Deployment
from octopod.pages import render
from octopod.pushes import DeploymentPage, HistoryPage, ListPage, Page, oob

bp = APIBlueprint("live", __name__, enable_openapi=False)
sock = Sock()

UNREAD = 60_000  # milliseconds that what was sent may go unread before the connection is given up
MOST_LOG = 256 * 1024  # characters of each stream that are added to a page before it begins anew with the end
LET_GO = '<div id="live" hx-swap-oob="true"></div>'  # tells a page that nothing more will come


class Patient:
    """A socket whose `send` sends everything: a frame that is sent in part would make the rest unreadable."""

    def __init__(self, inner: Any) -> None:
        self._inner = inner
        self._lock = threading.Lock()
        inner.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, UNREAD)

    def send(self, data: bytes) -> int:
        with self._lock:
            self._inner.sendall(data)
        return len(data)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._inner, name)


class NoHandshake(Problem):
    """Something else was asked of the address of the websocket."""

    status, title = 426, "Upgrade required"


@bp.before_request
def before_the_handshake():
    """What has to be refused while there still are status codes."""
    if not (request.url_rule and request.url_rule.websocket):
        raise NoHandshake("This is where open pages connect to; a websocket's handshake is expected here")
    # Compression would take 100 KB of memory per open page, and each page would need bytes of its own.
    request.environ.pop("HTTP_SEC_WEBSOCKET_EXTENSIONS", None)
    if "action" in request.args:
        auth.authorise(g.identity, auth.ADMIN)
        g.action = queries.get_action(request.args.get("action", 0, type=int))
    elif "history" in request.args:
        g.history = schemas.action_query({key: value for key, value in request.args.items() if key != "history"})
    elif "deployment" in request.args:
        g.deployment = _deployment(request.args["deployment"])
    else:
        g.query = schemas.deployment_query(request.args)


def _deployment(name: str) -> Deployment | None:
    """None: it was removed while the page had no connection. Raises NotFound when there never was one."""
    try:
        return queries.get_deployment(name)
    except NotFound:
        if not queries.was_there(name):
            raise
        return None


@bp.errorhandler(OSError)
def gone_already(_: OSError) -> Any:
    return Response(status=400)  # nobody will read it


@bp.errorhandler(RemoteProtocolError)
def broken_handshake(error: RemoteProtocolError) -> Any:
    return current_app.handle_user_exception(NoHandshake(f"The websocket's handshake is broken: {error}"))


# For other requests, which are refused. It comes first because addresses are built by the first rule: those for
# websockets would begin with ws://HOST, and browsers may know us by another scheme and name.
bp.add_url_rule("/ws", endpoint="live")


@sock.route("/ws", bp=bp)
def live(ws):
    """What is pushed depends on the query: the log of an `action`, a `deployment`, the `history`, or else the
    list that it describes."""
    ws.input_buffer = deque(maxlen=0)  # nobody reads what pages send
    try:
        ws.sock = Patient(ws.sock)
        with metrics.open_pages.track_inprogress():
            _push(ws)
        ws.close(CloseReason.SERVICE_RESTART)
    except (Unavailable, OSError) as problem:
        log.info("page lost", problem=str(problem))  # like after a restart, its browser comes again
    finally:
        if ws.mode == "gevent":  # or what the page still sends would be taken for its next request
            ws.environ["wsgi.input"].close()


def _push(ws: Any) -> None:
    may_read_logs = g.identity.may(auth.ADMIN)
    if "action" in g:
        _push_log(ws, g.action)
    elif "deployment" in g and g.deployment is None:
        ws.send(oob(render("deployments/_gone.html"), "morph"))
    elif "deployment" in g:
        _push_page(ws, (g.deployment.id, may_read_logs), partial(DeploymentPage, g.deployment, may_read_logs))
    elif "history" in g:
        key = "history", *g.history.model_dump().values(), may_read_logs
        _push_page(ws, key, partial(HistoryPage, g.history, may_read_logs))
    else:
        _push_page(ws, tuple(g.query.model_dump().values()), partial(ListPage, g.query))


def _push_page(ws: Any, key: Hashable, new_page: Callable[[], Page]) -> None:
    viewer = Viewer(g.identity.name, ws.event)
    with viewing(key, new_page, viewer) as channel:
        viewer.put(channel.whole())
        while ws.connected and not events.stopping.is_set():
            ws.event.clear()
            if viewer.overwhelmed:
                viewer.start_again(channel.whole())
            for message in viewer.take():
                ws.send(message)
            ws.event.wait(LOOK)


def _push_log(ws: Any, action: Action) -> None:
    """The end of each stream, then what is added. Now and then only the end again, so that no page grows for ever.

    At last what is stored, should that be something else: the run's directory may be on another machine, or gone.
    """
    ends = dict.fromkeys(STREAMS, "")
    shown = dict.fromkeys(STREAMS, MOST_LOG)
    for stream, text in logs.follow(action, STREAMS):
        if not ws.connected or events.stopping.is_set():
            return
        if not text:
            continue
        ends[stream] = (ends[stream] + text)[-logs.MOST_SHOWN - 1 :]
        shown[stream] += len(text)
        if shown[stream] > MOST_LOG:
            shown[stream] = len(ends[stream])
            ws.send(_end_of_log(stream, ends[stream]))
        else:
            ws.send(f'<span hx-swap-oob="beforeend:#log-{stream}">{escape(text)}</span>')
    action = queries.get_action(action.id, output=True)
    for stream in STREAMS:
        stored = getattr(action, stream)
        if logs.tail(stored) != logs.tail(ends[stream]):
            ws.send(_end_of_log(stream, stored))
    ws.send(oob(render("actions/_action.html", action=action), "morph"))
    ws.send(LET_GO)


def _end_of_log(stream: str, text: str) -> str:
    return oob(render("actions/_log.html", stream=stream, text=logs.tail(text)), "true")
