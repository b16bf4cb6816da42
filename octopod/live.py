"""The websocket: pushes partials to open pages as soon as something changes.

Pages that show the same share a `Channel`, which renders each change once. Every page has one `Viewer`, which holds what
is still to be sent, the newest version of each partial only: who reads slowly misses intermediate states, nothing else.
"""

import socket
import threading
import time
from collections import deque
from collections.abc import Callable, Hashable, Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any, NamedTuple, Protocol

from apiflask import APIBlueprint
from flask import Response, current_app, g, request
from flask_sock import Sock
from markupsafe import escape
from wsproto.frame_protocol import CloseReason
from wsproto.utilities import RemoteProtocolError

from octopod import auth, events, logs, metrics, pages, queries, schemas
from octopod.errors import NotFound, Problem, Unavailable
from octopod.keeper import STREAMS
from octopod.log import log
from octopod.models import Action, Deployment
from octopod.pages import render
from octopod.pool import guarded, spawn

bp = APIBlueprint("live", __name__, enable_openapi=False)
sock = Sock()

LOOK = 5.0  # seconds between two looks whether a page is still there, and between two attempts at what has failed
PAUSE = 0.1  # seconds between two renderings for the same pages, so that many changes at once become one
UNREAD = 60_000  # milliseconds that what was sent may go unread before the connection is given up
MOST_LOG = 256 * 1024  # characters of each stream that are added to a page before it begins anew with the end
LET_GO = '<div id="live" hx-swap-oob="true"></div>'  # tells a page that nothing more will come
MOST_PENDING = 200  # partials that wait to be sent to a page; when there are more, it gets the whole anew


class Partial(NamedTuple):
    """Something to be sent. A newer one with the same key replaces it.

    `how`: "morph" what has its id into it, "delete" that, put it in at a place such as "afterbegin:#rows", or nothing
    when the partial itself says how. `only_for`: whom it is for; None for all.
    """

    key: str
    html: str
    how: str = "morph"
    only_for: str | None = None

    @property
    def is_put_in(self) -> bool:
        return ":" in self.how

    def messages(self) -> list[str]:
        """What is sent. Each message is parsed by itself, because rows and bodies of tables do not mix."""
        if self.is_put_in:  # a row that is on the page already, further down, moves
            return [*_delete(self.key).messages(), f'<tbody hx-swap-oob="{self.how}">{self.html}</tbody>']
        return [oob(self.html, self.how) if self.how else self.html]


def oob(html: str, how: str) -> str:
    """A partial as htmx swaps it when it comes by itself: the first element with an id is the partial's own."""
    return html.replace(" id=", f' hx-swap-oob="{how}" id=', 1)


class Page(Protocol):
    """What is shown: all of it, and what has become of it after changes."""

    only: Any  # the id of the deployment that it is about; None when it is about many

    def whole(self) -> list[Partial]:
        """Everything, for somebody who has just opened it."""

    def changes(self, ids: set[int] | None, /) -> list[Partial]:
        """What those have to be told who have it open; None: these may not be all changes."""


class DeploymentPage:
    """The page of one deployment."""

    def __init__(self, deployment: Deployment, may_read_logs: bool) -> None:
        self.only, self.may_read_logs = deployment.id, may_read_logs
        self.busy = _is_busy(deployment)

    def whole(self) -> list[Partial]:
        deployment = queries.find_deployment(self.only)
        if deployment is None:
            return [Partial("deployment", render("deployments/_gone.html"))]
        values = pages.deployment_values(deployment, self.may_read_logs)
        return [Partial("deployment", render("deployments/_deployment.html", **values))]

    def changes(self, _: set[int] | None) -> list[Partial]:
        deployment = queries.find_deployment(self.only)
        was_busy = self.busy
        self.busy = bool(deployment and _is_busy(deployment))
        return self.whole() + ([_toast(deployment)] if deployment and was_busy and not self.busy else [])


class ListPage:
    """The list of deployments, as a query shows it."""

    only = None

    def __init__(self, query: schemas.DeploymentQuery) -> None:
        self.query = query.model_dump(exclude={"cursor"})
        page = queries.list_deployments(**self.query)
        self.busy = _busy_on(page)
        self._remember(page)

    def _remember(self, page: queries.DeploymentPage) -> None:
        self.shown, self.similar = {row.id for row in page.rows}, page.similar
        self.last = self._sorted_by(page.rows[-1]) if page.next else None

    def _sorted_by(self, deployment: Deployment) -> tuple[Any, int]:
        return getattr(deployment, queries.SORTS[self.query["sort"].lstrip("-")].name), deployment.id

    def _unheard_of(self, page: queries.DeploymentPage) -> set[int]:
        """New ones among those that are shown: they are stored already, and word of them is still on its way.

        Those after the last that was shown are not new, they only moved up.
        """
        new = [row for row in page.rows if row.id not in self.shown]
        if self.last is None:
            return {row.id for row in new}
        descending = self.query["sort"].startswith("-")
        return {row.id for row in new if (self._sorted_by(row) > self.last) == descending}

    def whole(self) -> list[Partial]:
        page = queries.list_deployments(**self.query)
        return [Partial("rows", render("deployments/_rows.html", **pages.rows_values(page, self.query)))]

    def changes(self, ids: set[int] | None) -> list[Partial]:
        """Rows that are there are replaced where they are, so that nothing moves below a pointer; new ones are put in."""
        if ids is not None:
            ids = {id for id in ids if id > 0}  # the others are runs of bundles, which are in no list
            if not ids:
                return []
        page = queries.list_deployments(**self.query)
        was_shown, was_similar, unheard_of = self.shown, self.similar, self._unheard_of(page)
        self._remember(page)
        settled = self._toasts(_busy_on(page))
        if ids is None or page.similar != was_similar:
            return self.whole() + settled
        ids |= unheard_of
        here = self._rows(page, ids)
        there = self._rows(queries.list_deployments(**self.query, only=ids - self.shown), ids)
        new = here.keys() - was_shown
        found = [Partial(_key(id), html) for id, html in (here | there).items() if id not in new]
        place = ["similar"] * page.similar + [_key(row.id) for row in page.rows]
        found += [Partial(_key(id), html, _after(place, _key(id), "rows")) for id, html in here.items() if id in new]
        found += [_delete(_key(id)) for id in ids - here.keys() - there.keys()]
        return found + settled

    def _rows(self, page: queries.DeploymentPage, ids: set[int]) -> dict[int, str]:
        """The changed rows of a page by id."""
        values = pages.rows_values(page, self.query)
        changed = [row for row in page.rows if row.id in ids]
        return {row.id: render("deployments/_row.html", deployment=row, **values) for row in changed}

    def _toasts(self, busy: set[int]) -> list[Partial]:
        """For who asked for what has ended. It may have left the page meanwhile, and leaving the page is no end."""
        others = {id: queries.find_deployment(id) for id in self.busy - busy}
        still = {id for id, deployment in others.items() if deployment and _is_busy(deployment)}
        self.busy = busy | still
        settled = [deployment for id, deployment in others.items() if deployment and id not in still]
        requesters = queries.last_requesters([deployment.id for deployment in settled]) if settled else {}
        return [_toast(deployment, requesters[deployment.id]) for deployment in settled]


class HistoryPage:
    """The history, as a query shows it."""

    only = None

    def __init__(self, query: schemas.ActionQuery, may_read_logs: bool) -> None:
        self.query, self.may_read_logs = query.model_dump(exclude={"cursor"}), may_read_logs
        self._remember(self._values())

    def _remember(self, values: dict[str, Any]) -> None:
        self.shown = {action.id for action in values["actions"]}
        self.last = min(self.shown) if values["next"] else 0

    def _values(self) -> dict[str, Any]:
        return pages.actions_values(self.query, self.may_read_logs)

    def whole(self) -> list[Partial]:
        return [Partial("actions", render("actions/_rows.html", **self._values()))]

    def changes(self, ids: set[int] | None) -> list[Partial]:
        """Newest first, so what is missing was pushed to the next page, or is not what the query asks for any more."""
        values = self._values()
        actions = {action.id: action for action in values["actions"]}
        was_shown, was_last = self.shown, self.last
        self._remember(values)
        if ids is None:
            return self.whole()
        unheard_of = {id for id in self.shown - was_shown if id > was_last}
        found = [_delete(f"action-{id}") for id in was_shown - self.shown if id > self.last]
        place = [f"action-{id}" for id in actions]
        for key, action in zip(place, actions.values(), strict=True):
            if action.topic in ids or action.id in unheard_of:
                html = render("actions/_row.html", action=action, may_read_logs=self.may_read_logs)
                how = "morph" if action.id in was_shown else _after(place, key, "actions")
                found.append(Partial(key, html, how))
        return found


def _busy_on(page: queries.DeploymentPage) -> set[int]:
    """The ids of the deployments on a page of the list with which something is being done."""
    return {row.id for row in page.rows if pages.busy_since(row, page.actions.get(row.id))}


def _is_busy(deployment: Deployment) -> bool:
    return pages.busy_since(deployment, queries.unfinished_action(deployment)) is not None


def _key(id: int) -> str:
    """The id of the row of a deployment."""
    return f"deployment-{id}"


def _after(place: list[str], key: str, within: str) -> str:
    """Where a row belongs among the rows that are shown in this order."""
    index = place.index(key)
    return f"afterend:#{place[index - 1]}" if index else f"afterbegin:#{within}"


def _delete(key: str) -> Partial:
    return Partial(key, f'<tr id="{key}"></tr>', "delete")


def _toast(deployment: Deployment, only_for: str | None = None) -> Partial:
    html = render("_toast.html", deployment=deployment, text=None)
    return Partial(f"toast-{deployment.id}", html, "", only_for)


class Viewer:
    """One open page."""

    def __init__(self, name: str, wake: threading.Event) -> None:
        self.name, self.wake = name, wake
        self._pending: dict[str, Partial] = {}
        self.overwhelmed = False

    def put(self, partials: list[Partial]) -> None:
        for one in partials:
            if one.only_for in (None, self.name):
                self._put(one)
        if len(self._pending) > MOST_PENDING:
            self._pending, self.overwhelmed = {}, True
        self.wake.set()

    def _put(self, one: Partial) -> None:
        before = self._pending.get(one.key)
        if before is None or not before.is_put_in:
            self._pending.pop(one.key, None)  # what comes now may have to come after others
            self._pending[one.key] = one
        elif one.how == "morph":
            self._pending[one.key] = one._replace(how=before.how)
        else:
            self.overwhelmed = True  # others may be put in after it, and would not find their place

    def start_again(self, whole: list[Partial]) -> None:
        self.overwhelmed = False
        self.put(whole)

    def take(self) -> list[str]:
        pending, self._pending = self._pending, {}
        return [message for one in pending.values() for message in one.messages()]


class Channel:
    """The pages that show the same."""

    def __init__(self, page: Page) -> None:
        self.page = page
        self.feed = events.Feed(page.only)
        self.viewers: set[Viewer] = set()
        self._lock = threading.Lock()
        self._whole: list[Partial] = []
        self._rendered_at = 0.0

    def run(self, app: Any) -> None:
        """Pass changes on as long as anybody looks."""
        try:
            with app.app_context():
                while self.viewers and not events.stopping.is_set():
                    if self.feed.changed.wait(LOOK) and self.viewers and not events.stopping.is_set():
                        self._turn()
        finally:
            self.feed.close()
            for viewer in self.viewers:  # they may be waiting, and we are stopping
                viewer.wake.set()

    def _turn(self) -> None:
        if guarded(self._pass_on):
            events.stopping.wait(PAUSE)
        else:  # the database is away perhaps; what was heard must not be forgotten
            self.feed.add(None)
            events.stopping.wait(LOOK)

    def _pass_on(self) -> None:
        ids = self.feed.take()
        with self._lock:
            self._rendered_at = 0.0
            partials = self.page.changes(ids)
        for viewer in list(self.viewers):
            viewer.put(partials)

    def whole(self) -> list[Partial]:
        """All that is shown. Many who come at once, after a restart say, share one rendering."""
        with self._lock:
            if time.monotonic() - self._rendered_at > PAUSE:
                self._whole = self.page.whole()
                self._rendered_at = time.monotonic()
            return self._whole


_channels: dict[Hashable, Channel] = {}
_joining = threading.Lock()


@contextmanager
def _viewing(key: Hashable, new_page: Callable[[], Page], viewer: Viewer) -> Iterator[Channel]:
    """Have a viewer told about what a page shows; the channel of that page, in which somebody may be already."""
    with _joining:
        channel = _channels.get(key)
        if channel is None:
            channel = _channels[key] = Channel(new_page())
            spawn(channel.run, current_app._get_current_object())  # type: ignore[attr-defined]
        channel.viewers.add(viewer)
    try:
        yield channel
    finally:
        channel.viewers.discard(viewer)
        if not channel.viewers and _channels.get(key) is channel:
            del _channels[key]


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
    with _viewing(key, new_page, viewer) as channel:
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
