"""A page that somebody has open: a document, the websocket that it asks for, and what is pushed, swapped as htmx does."""

import socket
import struct
from collections.abc import Callable, Iterator
from contextlib import suppress
from typing import Any
from urllib.parse import urljoin

import requests
from browser import Element, parse
from conftest import PATIENCE, eventually
from wsproto import ConnectionType, WSConnection
from wsproto.events import AcceptConnection, CloseConnection, Ping, Request, TextMessage

LOST = 1006  # what browsers say of a connection that ended without a word
IN_TABLES = {"tr", "tbody"}


class Refused(Exception):
    """The handshake was answered with a status, or with nothing."""


class Socket:
    """A websocket that reads when it is told to, and not before."""

    def __init__(
        self, server: Any, path: str, headers: dict[str, str] | None = None, buffer: int = 0, wait: bool = True
    ) -> None:
        """`buffer`: bytes that the system may receive before they are read. `wait`: for an answer. Raises Refused."""
        self.closed: int | None = None  # with which code
        self.received = 0  # characters
        self._connection = socket.socket()
        if buffer:
            self._connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, buffer)
        self._connection.settimeout(PATIENCE)
        self._protocol = WSConnection(ConnectionType.CLIENT)
        self._events: Iterator[Any] = iter(())
        self._text: list[str] = []
        extra = [(name.encode(), value.encode()) for name, value in (headers or {}).items()]
        try:
            self._connection.connect(("127.0.0.1", server.port))
            self._send(Request(host=f"127.0.0.1:{server.port}", target=path, extra_headers=extra))
            answer = self._next() if wait else None
        except OSError as error:
            answer = error
        if wait and not isinstance(answer, AcceptConnection):
            self.vanish()
            raise Refused(str(answer))

    def _send(self, event: Any) -> None:
        self.send_raw(self._protocol.send(event))

    def send_raw(self, data: bytes) -> None:
        self._connection.settimeout(PATIENCE)
        self._connection.sendall(data)

    def _next(self) -> Any:
        """The next event. Raises TimeoutError, OSError."""
        while (event := next(self._events, None)) is None:
            data = self._connection.recv(1 << 20)
            if not data:
                raise ConnectionError("closed without a word")
            self._protocol.receive_data(data)
            self._events = self._protocol.events()
        return event

    def read(self, timeout: float = 0) -> str | None:
        """The next message, whole; None when there is none in time, or no more."""
        try:
            while self.closed is None:
                self._connection.settimeout(timeout)
                event = self._next()
                if isinstance(event, TextMessage):
                    self._text.append(event.data)
                    if event.message_finished:
                        text, self._text = "".join(self._text), []
                        self.received += len(text)
                        return text
                elif isinstance(event, Ping):
                    self._send(event.response())
                elif isinstance(event, CloseConnection):
                    self.closed = event.code
                    self._send(event.response())
                    self._connection.close()
        except (TimeoutError, BlockingIOError):
            pass
        except OSError:
            self.vanish()
        return None

    def send(self, text: str) -> None:
        self._send(TextMessage(data=text))

    def close(self) -> None:
        """Say goodbye, as browsers do."""
        if self.closed is None:
            with suppress(OSError):
                self._send(CloseConnection(code=1001))
        self.vanish()

    def vanish(self) -> None:
        """Be gone without a word."""
        self._connection.close()
        self.closed = self.closed or LOST

    def crash(self) -> None:
        """Be gone so that the other side is told when it sends something."""
        if self.closed is None:
            self._connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.vanish()


class Document:
    """What a page shows, and what pushes make of it."""

    def __init__(self, html: str) -> None:
        self.root = parse(html)
        self.messages: list[str] = []

    def take(self, message: str) -> None:
        """Do what htmx does with a message: each of its outermost elements says where it goes."""
        self.messages.append(message)
        parts = [part for part in parse(message).children if isinstance(part, Element)]
        # Browsers drop the tags of tables that come after something else.
        assert len({part.tag if part.tag in IN_TABLES else "" for part in parts}) == 1, message
        for part in parts:
            how, _, selector = (part.attributes.pop("hx-swap-oob") or "").partition(":")
            target = self.find(selector.removeprefix("#") or part["id"])
            if target:  # our script drops the others
                swap(how, part, target)

    def find(self, id: str) -> Element | None:
        found = [element for element in self.root.all() if element.get("id") == id]
        assert len(found) < 2, f"{id} is there {len(found)} times"
        return found[0] if found else None

    def text(self, part: str) -> str:
        """What a part of it says, with white space folded; nothing when it is not there."""
        found = self.find(part)
        return " ".join(found.text.split()) if found else ""

    def content(self, part: str) -> Any:
        """All that there is to a part of it, to be compared."""
        found = self.find(part)
        return found and outline(found)

    @property
    def rows(self) -> dict[str, Any]:
        """Of a list of deployments: name to row, in their order."""
        rows = [row for row in self.root.all("tr") if (row.get("id") or "").startswith("deployment-")]
        found = [(next(row.all("a")).text.strip(), outline(row)) for row in rows]
        assert len(dict(found)) == len(found), found
        return dict(found)

    def row(self, name: str) -> str:
        """What a list says about a deployment; nothing when it is not in it."""
        return next((" ".join(row.text.split()) for row in self.root.all("tr") if _is_about(row, name)), "")

    @property
    def toasts(self) -> str:
        return self.text("toasts")


def _is_about(row: Element, name: str) -> bool:
    return any(link.text.strip() == name for link in row.all("a"))


class OpenPage(Document):
    """What a page shows, now and after each push. Pushes are taken in whenever somebody looks."""

    def __init__(self, server: Any, path: str, headers: dict[str, str] | None = None, **options: Any) -> None:
        """Not connected yet. `options`: of its socket."""
        self.server, self.path, self.headers, self.options = server, path, headers, options
        self.socket: Socket | None = None
        super().__init__(self._get(path))

    def _get(self, path: str) -> str:
        answer = requests.get(urljoin(self.server.url, path), headers=self.headers, timeout=PATIENCE)
        assert answer.status_code == 200, answer.text
        return answer.text

    @property
    def address(self) -> str | None:
        """Where it wants to be connected to; None when it does not, or not any more."""
        live = self.find("live")
        return live and live.get("ws-connect")

    def connect(self) -> "OpenPage":
        """Raises Refused."""
        assert self.address, "this page wants no connection"
        self.socket = Socket(self.server, self.address, self.headers, **self.options)
        return self

    def reloaded(self) -> "OpenPage":
        return OpenPage(self.server, self.path, self.headers)

    def more(self) -> None:
        """Load what follows, as the page does when somebody has scrolled down."""
        more = self.find("more")
        assert more, "there is no more"
        [link] = more.all("a")
        swap("outerHTML", next(parse(self._get(link["href"])).all("tbody")), more)

    def look(self) -> "OpenPage":
        """Take in what has been pushed."""
        while self.socket and (message := self.socket.read()) is not None:
            self.take(message)
        return self

    def eventually(self, condition: Callable[["OpenPage"], Any], what: str = "") -> Any:
        return eventually(lambda: condition(self.look()), what or f"{self.path} to show something")

    def shows(self, *texts: str, part: str = "main") -> None:
        """Wait until it does."""
        self.eventually(lambda page: all(text in page.text(part) for text in texts), f"{texts} on {self.path}")

    def catches_up(self, *parts: str) -> None:
        """Wait until it is, in these parts, what a reload would show."""

        def has() -> bool:
            reloaded = self.reloaded()
            return all(self.content(part) == reloaded.content(part) for part in parts)

        self.eventually(lambda _: has(), f"{self.path} to be what a reload would show")

    def is_closed(self, code: int) -> None:
        """Wait until its connection is, with this code."""
        self.eventually(lambda page: page.socket.closed, f"{self.path} to be closed")
        assert self.socket and self.socket.closed == code

    def close(self) -> None:
        if self.socket:
            self.socket.close()


def swap(how: str, part: Element, target: Element) -> None:
    """Put a part of a page where it belongs: its children, unless it takes the place of its target."""
    assert target.parent
    around = target.parent.children
    at = next(index for index, sibling in enumerate(around) if sibling is target)
    if how in ("morph", "true"):
        around[at], part.parent = part, target.parent
        return
    where, begin, end = {
        "delete": (around, at, at + 1),
        "outerHTML": (around, at, at + 1),
        "afterend": (around, at + 1, at + 1),
        "afterbegin": (target.children, 0, 0),
        "beforeend": (target.children, len(target.children), len(target.children)),
    }[how]
    where[begin:end] = part.children if how != "delete" else []
    for child in part.children:
        if isinstance(child, Element):
            child.parent = target if where is target.children else target.parent


def outline(element: Element) -> Any:
    """All that there is to an element; of texts, which may have come in pieces, without how they are spaced."""
    children: list[Any] = []
    for child in element.children:
        if isinstance(child, Element):
            children.append(outline(child))
        elif children and isinstance(children[-1], str):
            children[-1] += child
        else:
            children.append(child)
    folded = [" ".join(child.split()) if isinstance(child, str) else child for child in children]
    return element.tag, element.attributes, [child for child in folded if child]
