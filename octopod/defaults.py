"""The suite's defaults and suggestions, cached: they are asked for constantly, and the scripts are slow.

A good answer is used for CACHE_UPDATE_TIME, or until something was deployed with it, then still given out while its
successor is computed; when that fails it stays in use, marked stale, until CACHE_INVALIDATION_TIME. Only then does a caller see the failure.
"""

import threading
import time
from collections import OrderedDict
from collections.abc import Callable
from typing import Any, NamedTuple

from octopod import suite
from octopod.errors import Unavailable
from octopod.models import Deployment
from octopod.overrides import Overrides, Pairs, effective
from octopod.pool import spawn
from octopod.settings import settings
from octopod.suite import BadOutput, Config

MOST_ENTRIES = 512
FAILURE_PAUSE = 15.0  # seconds between attempts to refresh an answer that could not be refreshed
RENEWAL_PAUSE = 2.0  # seconds: many deployments of one configuration are no reason to ask as often


class Answer(NamedTuple):
    """`items` as the script gave them; `stale` when it could not be refreshed since, for `problem`."""

    items: Any
    stale: bool
    problem: str = ""


class Entry:
    """One cached answer; its lock lets one caller compute while the others wait or take the old one."""

    def __init__(self) -> None:
        self.lock = threading.Lock()
        self.items: Any = None
        self.computed_at: float | None = None
        self.tried_at = 0.0
        self.problem = ""
        self.is_outdated = False

    def age(self, moment: float) -> float:
        return float("inf") if self.computed_at is None else moment - self.computed_at

    def is_due(self, moment: float) -> bool:
        """Whether it is time to ask again."""
        pause = RENEWAL_PAUSE if self.is_outdated else settings.CACHE_UPDATE_TIME
        return moment >= self.tried_at + (FAILURE_PAUSE if self.problem else pause)

    def answer(self) -> Answer:
        return Answer(self.items, bool(self.problem), self.problem)

    def compute(self, ask: Callable[[], Any]) -> None:
        """Ask the script. The last good answer survives a failure."""
        self.tried_at, self.is_outdated = time.monotonic(), False
        try:
            self.items = ask()
        except BadOutput as error:
            self.problem = str(error)
        else:
            self.computed_at, self.problem = self.tried_at, ""


class Cache:
    """Answers by key; the least recently used go first."""

    def __init__(self) -> None:
        self._entries: OrderedDict[Any, Entry] = OrderedDict()

    def get(self, key: Any, ask: Callable[[], Any]) -> Answer:
        """The answer to `ask`, from the cache where that will do. Raises Unavailable when there is none at all."""
        entry = self._entry(key)
        moment = time.monotonic()
        if entry.age(moment) >= settings.CACHE_INVALIDATION_TIME:
            self._first(entry, ask)
        elif entry.is_due(moment):
            entry.tried_at = moment
            spawn(self._refresh, entry, ask)
        return entry.answer()

    def outdate(self, key: Any) -> None:
        """Ask again soon: the answer may be another one now."""
        if key in self._entries:
            self._entries[key].is_outdated = True

    def _entry(self, key: Any) -> Entry:
        entry = self._entries.setdefault(key, Entry())
        self._entries.move_to_end(key)
        while len(self._entries) > MOST_ENTRIES:
            self._entries.popitem(last=False)
        return entry

    def _first(self, entry: Entry, ask: Callable[[], Any]) -> None:
        """Ask while nobody has an answer. Who had to wait for another's attempt takes its outcome, failure included."""
        came = time.monotonic()
        with entry.lock:
            if entry.problem and entry.tried_at >= came:
                raise Unavailable(entry.problem)
            if entry.age(time.monotonic()) >= settings.CACHE_INVALIDATION_TIME:
                entry.compute(ask)
                if entry.problem:
                    raise Unavailable(entry.problem)

    def _refresh(self, entry: Entry, ask: Callable[[], Any]) -> None:
        if entry.lock.acquire(blocking=False):
            try:
                entry.compute(ask)
            finally:
                entry.lock.release()


cache = Cache()


def deployment_defaults() -> Answer:
    return cache.get("deployment", lambda: suite.defaults("deployment", []))


def deployment_keys() -> Answer:
    return cache.get("deployment keys", lambda: suite.suggestions("deployment", []))


def application_defaults(deployment: Pairs) -> Answer:
    """Defaults for an effective deployment configuration."""
    return cache.get(("application", *deployment), lambda: suite.defaults("application", deployment))


def application_keys(deployment: Pairs) -> Answer:
    return cache.get(("application keys", *deployment), lambda: suite.suggestions("application", deployment))


def outdate_application(deployment: Pairs) -> None:
    """A deployment with this configuration has been brought up: what its branch says now may be something else."""
    for question in ("application", "application keys"):
        cache.outdate((question, *deployment))


def effective_deployment(overrides: Overrides) -> Pairs:
    return effective(deployment_defaults().items, overrides)


def config_to_keep_it(deployment: Deployment) -> Config:
    """What a script receives that looks at a deployment or takes it down.

    When the suite has no defaults for it any more (the branch it came from is gone, say), what it was brought up with.
    Raises Unavailable when it never was.
    """
    try:
        return effective_config(deployment.deployment_overrides, deployment.application_overrides)
    except Unavailable:
        if deployment.applied_config is None:
            raise
        return Config(*([(key, value) for key, value in level] for level in deployment.applied_config))


def effective_config(deployment_overrides: Overrides, application_overrides: Overrides) -> Config:
    """What a script receives for these overrides. Raises Unavailable when the suite's defaults cannot be had."""
    deployment = effective_deployment(deployment_overrides)
    return Config(effective(application_defaults(deployment).items, application_overrides), deployment)
