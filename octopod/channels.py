"""Who is pushed to: pages that show the same share a `Channel`, which renders each change once.

Every page has one `Viewer`, which holds what is still to be sent, the newest version of each partial only: who reads slowly
misses intermediate states, nothing else.
"""

import threading
import time
from collections.abc import Callable, Hashable, Iterator
from contextlib import contextmanager
from typing import Any

from flask import current_app

from octopod import events
from octopod.pool import guarded, spawn
from octopod.pushes import Page, Partial

LOOK = 5.0  # seconds between two looks whether a page is still there, and between two attempts at what has failed
PAUSE = 0.1  # seconds between two renderings for the same pages, so that many changes at once become one
MOST_PENDING = 200  # partials that wait to be sent to a page; when there are more, it gets the whole anew


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
def viewing(key: Hashable, new_page: Callable[[], Page], viewer: Viewer) -> Iterator[Channel]:
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
