"""HTTP: connections, requests, answers, streams, and the faults that tests have ordered."""

import itertools
import json
import select
import socket
import threading
from collections.abc import Iterator
from fnmatch import fnmatchcase
from http.server import BaseHTTPRequestHandler
from typing import Any

from . import api, watch
from .errors import Refusal
from .request import Request, Target
from .state import State

REASONS = {
    401: "Unauthorized",
    403: "Forbidden",
    404: "NotFound",
    409: "Conflict",
    410: "Expired",
    422: "Invalid",
    429: "TooManyRequests",
    503: "ServiceUnavailable",
    504: "Timeout",
}


class Fault:
    """Something that goes wrong a number of times with requests of a method to paths of a kind."""

    def __init__(self, method: str, glob: str, what: int | str, times: float) -> None:
        self.method, self.glob, self.what, self.times = method, glob, what, times

    def strikes(self, request: Request) -> bool:
        """Whether it is this request's turn. Then one time less is left."""
        if self.times < 1 or self.method not in ("*", request.method) or not fnmatchcase(request.path, self.glob):
            return False
        self.times -= 1
        return True


class Server:
    """Listens in a thread, and serves each connection in one of its own."""

    def __init__(self, state: State) -> None:
        self.state = state
        self.requests: list[Request] = []
        self.faults: list[Fault] = []
        self.mistakes: list[Exception] = []
        self.stopped = threading.Event()
        self._listener = socket.create_server(("127.0.0.1", 0), backlog=128)
        self.port = self._listener.getsockname()[1]
        self._connections: set[socket.socket] = set()
        self._threads: list[threading.Thread] = []
        self._start(self._accept)

    def _start(self, target: Any, *arguments: Any) -> None:
        thread = threading.Thread(target=target, args=arguments, daemon=True)
        self._threads.append(thread)
        thread.start()

    def _accept(self) -> None:
        while not self.stopped.is_set():
            try:
                connection, address = self._listener.accept()
            except OSError:
                return
            self._connections.add(connection)
            self._start(self._serve, connection, address)

    def _serve(self, connection: socket.socket, address: Any) -> None:
        try:
            Handler(connection, address, self)  # type: ignore[arg-type]
        except OSError:
            pass  # the client went away, or we did
        finally:
            self._connections.discard(connection)
            connection.close()

    def stop(self) -> None:
        """End every connection and every thread."""
        self.stopped.set()
        with self.state.store.lock:
            self.state.store.changed.notify_all()
        for each in [self._listener, *list(self._connections)]:
            _shut(each)
        for thread in self._threads:
            thread.join()
        self._listener.close()


def _shut(connection: socket.socket) -> None:
    try:
        connection.shutdown(socket.SHUT_RDWR)
    except OSError:
        pass  # it is closed already


def _ordered(code: int, request: Request) -> Refusal:
    """What a client is told of a fault. It shows only the details of an invalid object."""
    message = "this test wants it to fail"
    cause = {"reason": "FieldValueInvalid", "message": message, "field": "spec"}
    details = {"name": request.path.rpartition("/")[2], "kind": "object", "causes": [cause]}
    return Refusal(code, REASONS.get(code, "InternalError"), message, details)


class Handler(BaseHTTPRequestHandler):
    """One connection."""

    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    wbufsize = -1
    server: Server  # type: ignore[assignment]

    def handle_one_request(self) -> None:
        self.raw_requestline = self.rfile.readline(65537)
        if not self.raw_requestline or not self.parse_request():
            self.close_connection = True
            return
        content = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        request = Request(self.command, self.path, dict(self.headers), content)
        self.server.requests.append(request)
        self._answer(request)
        self.wfile.flush()

    def _answer(self, request: Request) -> None:
        try:
            if not self._struck(request):
                self._serve(request)
        except Refusal as refusal:
            self._send(request, refusal.code, refusal.status)
        except OSError:
            raise
        except Exception as error:
            # A mistake of ours: the client is told, and so is whoever stops the cluster.
            self.server.mistakes.append(error)
            self._send(request, 500, Refusal(500, "InternalError", repr(error)).status)

    def _struck(self, request: Request) -> bool:
        """Whether a fault has taken care of the request."""
        fault = next((one for one in self.server.faults if one.strikes(request)), None)
        if fault is None:
            return False
        if isinstance(fault.what, int):
            raise _ordered(fault.what, request)
        if fault.what == "hang":
            while not self._gone():
                self.server.stopped.wait(0.05)
        self.close_connection = True
        return True

    def _serve(self, request: Request) -> None:
        state = self.server.state
        with state.store.lock:
            found = api.discover(state, request)
            target = None if found is not None else Target(state.store.kinds, request.path)
        if target is None:
            self._send(request, 200, found)
        elif request.method == "GET" and target.subresource == "log":
            self._stream(request, watch.log(state, request, target, self._gone), "text/plain")
        elif request.method == "GET" and request.watch:
            self._stream(request, watch.changes(state, request, target, self._gone), "application/json")
        else:
            with state.changing():
                if request.method == "GET":
                    state.look(target.kind)
                answer = api.serve(state, request, target)
            self._send(request, *answer)

    def _send(self, request: Request, code: int, body: Any) -> None:
        content = body if isinstance(body, bytes) else json.dumps(body).encode()
        self._start(request, code, "application/json" if content[:1] == b"{" else "application/octet-stream")
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def _start(self, request: Request, code: int, media: str) -> None:
        request.status = code
        self.send_response(code)
        self.send_header("Content-Type", media)
        self.send_header("Cache-Control", "no-cache, private")

    def _stream(self, request: Request, parts: Iterator[bytes], media: str) -> None:
        first = next(parts)  # refused here, or never
        self._start(request, 200, media)
        self.send_header("Transfer-Encoding", "chunked")
        self.end_headers()
        self.wfile.flush()
        for part in itertools.chain([first], parts):
            if part:
                self.wfile.write(b"%x\r\n%b\r\n" % (len(part), part))
                self.wfile.flush()
        self.wfile.write(b"0\r\n\r\n")

    def _gone(self) -> bool:
        """Whether the client has closed the connection, or the server is stopping."""
        if self.server.stopped.is_set():
            return True
        readable, _, _ = select.select([self.connection], [], [], 0)
        return bool(readable) and not self.connection.recv(1, socket.MSG_PEEK)

    def log_message(self, format: str, *args: Any) -> None:
        """Nothing: the requests are in the log of the cluster."""
