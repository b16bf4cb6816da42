"""The worker: claims queued actions, runs their scripts, stores how they ended, and resumes what an earlier one left.

The action table is the queue. No database connection is held while a script runs.
"""

import os
import shutil
import socket
import time
from collections.abc import Callable
from pathlib import Path

from octopod import defaults, events, metrics, runs, suite
from octopod.db import now, persist, session
from octopod.errors import Unavailable
from octopod.lifecycle import STEPS, Kind, State
from octopod.log import log
from octopod.models import Action, Deployment
from octopod.outcomes import Outcome, finish_action
from octopod.pool import Pool, forever, guarded, spawn
from octopod.runs import Result
from octopod.settings import settings
from octopod.suite import BadOutput, Config

LINGER = 5.0  # seconds that a finished run's directory stays
QUEUE_POLL = 1.0  # seconds; another process may have queued something unheard
STATE_AFTER = {"timed_out": State.TIMED_OUT, "cancelled": State.CANCELLED}


class Worker:
    """Runs up to MAX_RUNNING_ACTIONS actions at a time in this process."""

    def __init__(self) -> None:
        self.name = f"{socket.gethostname()} {os.getpid()} {runs.process_identity(os.getpid())}"
        self.pool = Pool(settings.MAX_RUNNING_ACTIONS)
        self.draining = False

    def start(self) -> None:
        """Resume what was running, then take from the queue until drained."""
        self._sweep()
        self.resume()
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
                ours = {"state": State.RUNNING, "claimed_by": self.name, "attempts": action.attempts + 1}
                changes = ours | {"started_at": now(), "keeper_pid": None, "keeper_started": None}
                if Action.update(**changes).where((Action.id == action.id) & (Action.state == State.QUEUED)).execute():
                    return Action.get_by_id(action.id)
        return None

    def drain(self, seconds: float) -> bool:
        """Start nothing new and wait for what runs; whether all of it ended. What did not goes on without us."""
        self.draining = True
        events.action_queued.set()
        return bool(self.pool.join(timeout=seconds))

    def _guarded(self, see_to: Callable[[Action], None], action: Action) -> None:
        """See to an action; should we fail at it ourselves, it is settled all the same."""
        if guarded(see_to, action):
            return
        if action.keeper_pid:
            runs.cancel(action.keeper_pid, action.keeper_started)
        reason = "Something went wrong in Octopod itself; its log tells more"
        self.settle(action, State.FAILED, reason, Outcome())

    # --- one action ---

    def perform(self, action: Action) -> None:
        """Run a claimed action to its end, whatever happens."""
        step = STEPS[Kind(action.kind)]
        deployment = persist(lambda: Deployment.get_by_id(action.deployment_id))
        try:
            config = defaults.effective_config(action.deployment_overrides, action.application_overrides)
        except Unavailable as problem:
            self.settle(action, State.FAILED, f"The suite's defaults cannot be had: {problem}", Outcome())
            return
        self._tell(deployment, f"The {step.script} script is running")
        self._store_links(deployment, config)
        started = self._start_script(action, deployment, config)
        if started:
            self._see_through(action, deployment, config)

    def _start_script(self, action: Action, deployment: Deployment, config: Config) -> bool:
        """Start the script of an action, having stored who keeps it. False when it was cancelled before."""
        script = suite.action_script(STEPS[Kind(action.kind)].script)
        directory = settings.DATA_DIR / "runs" / f"{action.id}-{action.attempts}"
        directory.mkdir(parents=True, exist_ok=True, mode=0o700)
        action.run_directory = str(directory)
        order = suite.order(
            script, suite.arguments(script, deployment.name, config), deployment.name, config.secrets, action.id
        )
        run = runs.LastingRun()
        action.keeper_pid, action.keeper_started = run.pid, run.started
        ours = (Action.id == action.id) & (Action.state == State.RUNNING) & (Action.claimed_by == self.name)
        kept = {"run_directory": str(directory), "keeper_pid": run.pid, "keeper_started": run.started}
        if persist(lambda: Action.update(**kept).where(ours & Action.cancelled_by.is_null()).execute()):
            run.order(order | {"directory": str(directory)})
            metrics.queue_wait.observe((now() - action.requested_at).total_seconds())
            events.publish(deployment.id)
            return True
        run.abandon()
        self.settle(action, State.CANCELLED, _cancelled(action), Outcome())
        return False

    def _see_through(self, action: Action, deployment: Deployment, config: Config) -> None:
        """Wait for the run of an action and store how it ended."""
        runs.wait(action.keeper_pid, action.keeper_started)
        result = runs.find_result(Path(action.run_directory))
        if result is None:
            self._lost(action)
            return
        kind = Kind(action.kind)
        links = self._links(deployment, config) if result.ok and STEPS[kind].pending else None
        outcome = Outcome(result.exit_code, result.stdout, result.stderr, links)
        self.settle(action, _state_after(result), _reason(action, result), outcome)
        spawn(_remove_later, action.run_directory)

    def settle(self, action: Action, state: State, reason: str, outcome: Outcome) -> None:
        """Store the end of an action, however long the database is away."""
        persist(lambda: finish_action(action, state, reason, outcome, believed=Action.claimed_by == self.name))

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

    # --- after a restart ---

    def _sweep(self) -> None:
        """Remove the directories of runs whose results are stored."""
        directories = {str(path) for path in (settings.DATA_DIR / "runs").glob("*")}
        with session():
            needed = {action.run_directory for action in Action.unfinished().select(Action.run_directory)}
        for directory in directories - needed:
            shutil.rmtree(directory, ignore_errors=True)

    def resume(self) -> None:
        """Take over the actions of processes of this machine that are gone."""
        with session():
            running = list(Action.without_output().where(Action.state == State.RUNNING))
        for action in running:
            if _is_orphan(action.claimed_by) and self._take_over(action):
                log.info("resumed", action=action.id, deployment=action.deployment.name, keeper=action.keeper_pid)
                spawn(self.pool.spawn, self._guarded, self._resume, action)  # there may be more than there is room for

    def _take_over(self, action: Action) -> bool:
        with session():
            theirs = (
                (Action.id == action.id) & (Action.state == State.RUNNING) & (Action.claimed_by == action.claimed_by)
            )
            return bool(Action.update(claimed_by=self.name).where(theirs).execute())

    def _resume(self, action: Action) -> None:
        if action.keeper_pid is None:
            self._again(action)  # claimed, but no script was started
            return
        deployment = persist(lambda: Deployment.get_by_id(action.deployment_id))
        try:
            config = defaults.effective_config(action.deployment_overrides, action.application_overrides)
        except Unavailable:
            config = Config([], [])  # only the links need it
        self._see_through(action, deployment, config)

    def _lost(self, action: Action) -> None:
        """The run is gone without a result: a reboot, or somebody killed it. Scripts can be repeated, so they are."""
        runs.kill_script(Path(action.run_directory))
        if action.cancelled_by:
            self.settle(action, State.CANCELLED, _cancelled(action), Outcome())
        elif action.attempts < settings.MAX_ATTEMPTS:
            self._again(action)
        else:
            times = f"after {action.attempts} attempts" if action.attempts > 1 else "and is not tried again"
            self.settle(action, State.LOST, f"The run of the script vanished without a result {times}", Outcome())

    def _again(self, action: Action) -> None:
        mine = (Action.id == action.id) & (Action.state == State.RUNNING) & (Action.claimed_by == self.name)
        again = {"state": State.QUEUED, "claimed_by": None, "keeper_pid": None, "keeper_started": None}
        persist(lambda: Action.update(**again).where(mine).execute())
        events.action_queued.set()


def _remove_later(directory: str) -> None:
    """Whoever follows the log may read it to its end first."""
    time.sleep(LINGER)
    shutil.rmtree(directory, ignore_errors=True)


def _is_orphan(claimed_by: str) -> bool:
    """Whether whoever claimed it was a process of this machine, and is gone."""
    host, pid, identity = claimed_by.split(" ")
    return host == socket.gethostname() and runs.process_identity(int(pid)) != identity


def _state_after(result: Result) -> State:
    return STATE_AFTER.get(result.outcome) or (State.SUCCEEDED if result.ok else State.FAILED)


def _reason(action: Action, result: Result) -> str:
    """One sentence on how the script ended; nothing when it ended well."""
    if result.ok:
        return ""
    script = STEPS[Kind(action.kind)].script
    if result.outcome == "cancelled":
        return _cancelled(action)
    if result.outcome == "unstartable":
        return result.why
    last = runs.last_lines(result.stderr, result.stdout, lines=1)
    return f"The {script} script failed: {result.why}" + (f"; its last words: {last}" if last else "")


def _cancelled(action: Action) -> str:
    who = persist(lambda: Action.select(Action.cancelled_by).where(Action.id == action.id).scalar())
    return f"Cancelled by {who or 'a signal to its process'}"
