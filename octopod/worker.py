"""The worker: claims queued actions, runs their scripts, stores how they ended, and recovers what others left.

The action table is the queue. No database connection is held while a script runs.
"""

import shutil
import time
from collections.abc import Callable
from concurrent.futures import Future
from datetime import timedelta
from functools import partial
from pathlib import Path
from typing import Any

from octopod import bundles, checks, defaults, events, metrics, notifications, runs, servers, suite
from octopod.bundle.driver import remove
from octopod.db import now, persist, session
from octopod.errors import TooMany, Unavailable
from octopod.keeper import STREAMS, Order
from octopod.lifecycle import CHECKED_CONFIG, STEPS, Kind, State
from octopod.log import log
from octopod.models import Action, Deployment
from octopod.outcomes import Outcome, finish_action
from octopod.pool import Group, Pool, forever, guarded, spawn
from octopod.runs import Result
from octopod.settings import settings
from octopod.suite import BadOutput, Config

NOT_ABOUT_ONE = None, Config([], [])  # what belongs to a deployment and a bundle has not
LINGER = 5.0  # seconds that a finished run's directory stays
QUEUE_POLL = 1.0  # seconds; another process may have queued something unheard
STATE_AFTER = {"timed_out": State.TIMED_OUT, "cancelled": State.CANCELLED}


class Worker:
    """Runs up to MAX_RUNNING_ACTIONS actions at a time in this process, and beside them up to MAX_RUNNING_BUNDLES bundles:
    those wait for actions that they have asked for, so they must not take their places."""

    def __init__(self) -> None:
        self.name = servers.me()
        self.pool = Pool(settings.MAX_RUNNING_ACTIONS)
        self.bundles = Pool(settings.MAX_RUNNING_BUNDLES)
        self.adopted = Group()
        self.runs: dict[int, Action] = {}  # what this process sees through, by id
        self.draining = self.stopped = False

    def start(self) -> None:
        """Take over what was left behind, then take from the queue until drained."""
        guarded(self._sweep)
        forever(self.beat, lambda: self.stopped)
        forever(self.turn, lambda: self.draining)

    def turn(self) -> None:
        """Start what can be started; then wait for more."""
        events.action_queued.clear()
        self.pool.wait_available()
        while not self.draining and self.pool.free_count() and (action := self.claim()):
            self.pool.spawn(self._guarded, self.perform, action)
        if self.pool.free_count():
            events.action_queued.wait(QUEUE_POLL)

    def claim(self) -> Action | None:
        """The oldest queued action, now ours; None when there is none."""
        with session():
            for action in Action.queued().limit(settings.MAX_RUNNING_ACTIONS):
                if self._claim(action):
                    return action
        return None

    def _claim(self, action: Action) -> bool:
        """Whether it is ours now. Should the answer get lost, `_look_after` finds what we have claimed unknowingly."""
        ours = {"state": State.RUNNING, "claimed_by": self.name, "attempts": action.attempts + 1}
        changes = ours | {"started_at": now(), "keeper_pid": None, "keeper_started": None}
        claimed = 0
        self.runs[action.id] = action
        try:
            queued = (Action.id == action.id) & (Action.state == State.QUEUED)
            claimed = Action.update(**changes).where(queued).execute()
        finally:
            if not claimed:
                self._leave_alone(action)
        if not claimed:
            return False
        for name, value in changes.items():
            setattr(action, name, value)
        return True

    def _leave_alone(self, action: Action) -> None:
        """It is not, or no longer, seen to. By now it may be in the queue and have been claimed by us again."""
        if self.runs.get(action.id) is action:
            del self.runs[action.id]

    def drain(self, seconds: float) -> bool:
        """Start nothing new and wait for what runs; whether all of it ended. What did not goes on without us."""
        self.draining = True
        events.action_queued.set()
        deadline = time.monotonic() + seconds
        groups = (self.pool, self.bundles, self.adopted)
        finished = all(group.join(timeout=max(0.0, deadline - time.monotonic())) for group in groups)
        self.stopped = True
        guarded(self._leave)
        return finished

    def _leave(self) -> None:
        with session():
            servers.leave()

    def _guarded(self, see_to: Callable[[Action], None], action: Action) -> None:
        """See to an action; should we fail at it ourselves, it is settled all the same."""
        try:
            if guarded(see_to, action):
                return
            if action.keeper_pid:
                runs.cancel(action.keeper_pid, action.keeper_started)
            reason = "Something went wrong in Octopod itself; its log tells more"
            self.settle(action, State.FAILED, reason, Outcome())
        finally:
            self._leave_alone(action)

    # --- the run of a bundle ---

    def run_bundle(self, begin: Callable[[], tuple[Action, Order]]) -> Action:
        """Have `begin` store a run that is ours, and see it through; the run, as soon as it is stored.

        Raises TooMany, and what `begin` raises.
        """
        if not self.bundles.free_count():
            raise TooMany(f"{settings.MAX_RUNNING_BUNDLES} bundles are running already; try again in a moment")
        stored: Future[Action] = Future()
        self.bundles.spawn(self._begin_bundle, begin, stored)
        return stored.result()

    def _begin_bundle(self, begin: Callable[[], tuple[Action, Order]], stored: "Future[Action]") -> None:
        try:
            action, order = begin()
        except Exception as error:  # it is the client's
            stored.set_exception(error)
            return
        self.runs[action.id] = action
        stored.set_result(action)
        self._guarded(partial(self._perform_bundle, order), action)

    def _perform_bundle(self, order: Order, action: Action) -> None:
        if self._start(action, order):
            self._see_through(action, *NOT_ABOUT_ONE)

    # --- one action ---

    def perform(self, action: Action) -> None:
        """Run a claimed action to its end, whatever happens."""
        step = STEPS[Kind(action.kind)]
        deployment = persist(lambda: Deployment.get_by_id(action.deployment_id))
        try:
            config = _config(action, deployment)
        except Unavailable as problem:
            self.settle(action, State.FAILED, f"The suite's defaults cannot be had: {problem}", Outcome())
            return
        self._tell(deployment, f"The {step.script} script is running")
        self._store_links(deployment, config)
        script = suite.action_script(step.script)
        arguments = suite.arguments(script, deployment.name, config)
        if self._start(action, suite.order(script, arguments, deployment.name, config.secrets, action.id)):
            self._see_through(action, deployment, config)

    def _start(self, action: Action, order: Order) -> bool:
        """Start what an action is to run, having stored who keeps it. False when it was cancelled before."""
        directory = settings.DATA_DIR / "runs" / f"{action.id}-{action.attempts}"
        directory.mkdir(parents=True, exist_ok=True, mode=0o700)
        action.run_directory = str(directory)
        run = runs.LastingRun()
        action.keeper_pid, action.keeper_started = run.pid, run.started
        kept = {
            "run_directory": str(directory),
            "keeper_pid": run.pid,
            "keeper_started": run.started,
            "host": self.name,
        }
        if persist(lambda: Action.update(**kept).where(self._ours(action) & Action.cancelled_by.is_null()).execute()):
            order["directory"] = str(directory)
            run.order(order)
            metrics.queue_wait.observe((now() - action.requested_at).total_seconds())
            events.publish(action.topic)
            return True
        run.abandon()
        self.settle(action, State.CANCELLED, _cancelled(action), Outcome())
        return False

    def _see_through(self, action: Action, deployment: Deployment | None, config: Config) -> None:
        """Wait for the run of an action and store how it ended."""
        runs.wait(action.keeper_pid, action.keeper_started)
        directory = Path(action.run_directory)
        result = runs.find_result(directory)
        if result is None or result.was_killed:
            if runs.was_started(directory):
                runs.end_orphan(directory, settings.KILL_GRACE)
                self._lost(action)
            else:
                self._again(action, action.attempts - 1)
            return
        kind = Kind(action.kind)
        links = self._links(deployment, config) if deployment and result.ok and STEPS[kind].pending else None
        applied = config if result.ok and kind in CHECKED_CONFIG and any(config) else None
        if applied:
            defaults.outdate_application(applied.deployment)
        outcome = Outcome(result.exit_code, result.stdout, result.stderr, links, applied)
        self.settle(action, _state_after(result), _reason(action, result), outcome)
        spawn(_remove_later, action.run_directory)

    def settle(self, action: Action, state: State, reason: str, outcome: Outcome) -> None:
        """Store the end of an action, however long the database is away."""
        persist(lambda: finish_action(action, state, reason, outcome, believed=self._ours(action)))
        if action.kind == Kind.RUN:
            bundles.clear_away(action)

    def _ours(self, action: Action) -> Any:
        """Whether we still have the claim that this is about. Each claim has its own `started_at`."""
        claim = (Action.claimed_by == self.name) & (Action.started_at == action.started_at)
        return (Action.id == action.id) & (Action.state == State.RUNNING) & claim

    # --- links and reasons, as the run goes on ---

    def _tell(self, deployment: Deployment, reason: str) -> None:
        mine = (Deployment.id == deployment.id) & (Deployment.status == deployment.status)
        persist(lambda: Deployment.update(status_reason=reason).where(mine).execute())
        events.publish(deployment.id)

    def _links(self, deployment: Deployment, config: Config) -> list[dict[str, str]] | None:
        """What `info` says now; None, and a log line, when it says nothing usable: the old links stay."""
        try:
            return suite.links(deployment.name, config)
        except BadOutput as error:
            log.warning("no links", deployment=deployment.name, problem=str(error))
            return None

    def _store_links(self, deployment: Deployment, config: Config) -> None:
        links = self._links(deployment, config)
        if links is not None and links != deployment.links:
            persist(lambda: Deployment.update(links=links).where(Deployment.id == deployment.id).execute())

    # --- runs of servers that are gone ---

    def _sweep(self) -> None:
        """Remove the directories of runs whose results are stored, and uploads that nobody receives any more.

        First look for directories, then for actions: another process of this server may just be making some.
        """
        bundles.clear_uploads()
        directories = [*(settings.DATA_DIR / "runs").glob("*"), *bundles.homes()]
        with session():
            unfinished = {str(action.id) for action in Action.unfinished().select(Action.id)}
        for directory in directories:
            if directory.name.partition("-")[0] not in unfinished:
                remove(directory)

    def beat(self) -> None:
        """Say that we are alive, take over from those who are not, and look after what has changed hands meanwhile."""
        events.cancel_requested.clear()
        with session():
            servers.sign_of_life()
            servers.bury()
            orphans = list(Action.orphans())
            checks.release()
            notifications.release()
        for action in orphans:
            if self._take_over(action):
                self._adopt(action)
        self._look_after()
        events.cancel_requested.wait(servers.heartbeat())

    def _take_over(self, action: Action) -> bool:
        """Whether it is ours now; not when its server is alive after all and has begun the run meanwhile."""
        as_seen = (Action.claimed_by == action.claimed_by) & (Action.keeper_pid == action.keeper_pid)
        with session():
            theirs = (Action.id == action.id) & (Action.state == State.RUNNING) & as_seen
            return bool(Action.update(claimed_by=self.name).where(theirs).execute())

    def _adopt(self, action: Action) -> None:
        log.info("taken over", action=action.id, subject=action.subject, from_server=action.claimed_by)
        self.runs[action.id] = action
        self.adopted.spawn(self._guarded, self.recover, action)

    def _look_after(self) -> None:
        """End the runs that somebody wants cancelled, and those that another server has taken from us. See to those that
        are ours without our knowing: the database went away before it had answered."""
        with session():
            ours = {action.id: action for action in Action.running_of(self.name)}
        for action in ours.values():
            if action.id not in self.runs and not _is_new(action):
                self._adopt(action)
            if action.cancelled_by and action.keeper_pid and servers.is_here(action.host):
                runs.cancel(action.keeper_pid, action.keeper_started)
        for action_id, action in list(self.runs.items()):
            if action_id not in ours and action.keeper_pid:
                self._lose(action)

    def _lose(self, action: Action) -> None:
        """Another server has taken this action. On this host it only goes on waiting where we did; elsewhere it starts
        the script again or gives it up, so ours must end."""
        with session():
            current = Action.without_output().where(Action.id == action.id).get()
        kept_elsewhere = (current.keeper_pid, current.keeper_started) != (action.keeper_pid, action.keeper_started)
        if kept_elsewhere or current.is_finished:
            log.warning("lost to another server", action=action.id, server=current.claimed_by)
            runs.cancel(action.keeper_pid, action.keeper_started)

    def recover(self, action: Action) -> None:
        """Bring an action to its end whose server is gone, whatever state that left it in.

        | left behind                                  | what follows                                             |
        | -------------------------------------------- | -------------------------------------------------------- |
        | claimed, no keeper stored                    | nothing was started: back to the queue                   |
        | keeper stored, script not started            | the same: the order never came                           |
        | keeper alive                                 | wait for it as if it were ours                           |
        | result there, not stored                     | store it                                                 |
        | keeper gone without a result, script alive   | end the script, whose end nobody could see; then as lost |
        | keeper gone without a result, or not visible | lost: again, up to MAX_ATTEMPTS                          |
        | result says that somebody killed the script  | the same                                                 |

        One that somebody wanted cancelled is cancelled wherever it would go back to the queue. The run of a bundle does not
        go there, it is lost: only its author knows whether it may be repeated.
        """
        if action.keeper_pid is None:
            self._again(action, action.attempts - 1)
        elif not servers.is_here(action.host):
            self._lost(action)
        else:
            if action.cancelled_by:
                runs.cancel(action.keeper_pid, action.keeper_started)
            self._see_through(action, *self._context(action))

    def _context(self, action: Action) -> tuple[Deployment | None, Config]:
        if action.kind == Kind.RUN:
            return NOT_ABOUT_ONE
        deployment = persist(lambda: Deployment.get_by_id(action.deployment_id))
        try:
            return deployment, _config(action, deployment)
        except Unavailable:
            return deployment, Config([], [])  # the script has got its own; only the links need it

    def _lost(self, action: Action) -> None:
        """The run is gone without a result: a reboot, or somebody killed it. Control scripts can be repeated, so they are."""
        if (action.kind != Kind.RUN and action.attempts < settings.MAX_ATTEMPTS) or _cancelled_by(action):
            self._again(action, action.attempts)
            return
        times = f"after {action.attempts} attempts" if action.attempts > 1 else "and is not tried again"
        reason = f"The run of the script vanished without a result {times}"
        self.settle(action, State.LOST, reason, _output_so_far(action))

    def _again(self, action: Action, attempts: int) -> None:
        """Back to the queue, unless somebody wants it cancelled."""
        again = {
            "state": State.QUEUED,
            "claimed_by": None,
            "keeper_pid": None,
            "keeper_started": None,
            "attempts": attempts,
        }
        waiting = self._ours(action) & Action.cancelled_by.is_null()
        if action.kind != Kind.RUN and persist(lambda: Action.update(**again).where(waiting).execute()):
            events.queue_action()
        elif action.kind != Kind.RUN or _cancelled_by(action):
            self.settle(action, State.CANCELLED, _cancelled(action), Outcome())
        else:
            self.settle(action, State.LOST, "The server stopped before the first script was started", Outcome())


def _is_new(action: Action) -> bool:
    """Whether the run of a bundle may be stored by us just now."""
    age: timedelta = now() - action.started_at
    return action.kind == Kind.RUN and action.keeper_pid is None and age < timedelta(seconds=settings.LOST_AFTER)


def _config(action: Action, deployment: Deployment) -> Config:
    """What the action's script receives. Raises Unavailable."""
    if Kind(action.kind) in CHECKED_CONFIG:
        return defaults.effective_config(action.deployment_overrides, action.application_overrides)
    return defaults.config_to_keep_it(deployment)


def _output_so_far(action: Action) -> Outcome:
    """What a run without a result has written, as far as it can be seen from here."""
    if not action.run_directory:
        return Outcome()
    stdout, stderr = (runs.read_output(Path(action.run_directory), stream) for stream in STREAMS)
    return Outcome(stdout=stdout, stderr=stderr)


def _remove_later(directory: str) -> None:
    """Whoever follows the log may read it to its end first."""
    time.sleep(LINGER)
    shutil.rmtree(directory, ignore_errors=True)


def _state_after(result: Result) -> State:
    return STATE_AFTER.get(result.outcome) or (State.SUCCEEDED if result.ok else State.FAILED)


def _reason(action: Action, result: Result) -> str:
    """One sentence on how the script ended; nothing when it ended well."""
    if result.ok:
        return ""
    if result.outcome == "cancelled":
        return _cancelled(action)
    if action.kind == Kind.RUN:
        return bundles.why_failed(result)
    script = STEPS[Kind(action.kind)].script
    if result.outcome == "unstartable":
        return result.why
    last = runs.last_lines(result.stderr, result.stdout, lines=1)
    return f"The {script} script failed: {result.why}" + (f"; its last words: {last}" if last else "")


def _cancelled_by(action: Action) -> str | None:
    return persist(lambda: Action.select(Action.cancelled_by).where(Action.id == action.id).scalar())


def _cancelled(action: Action) -> str:
    return f"Cancelled by {_cancelled_by(action) or 'a signal to its process'}"
