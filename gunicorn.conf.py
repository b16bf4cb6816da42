"""How gunicorn runs Octopod; settings come from the environment, see docs/settings.md."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

from octopod.settings import BadSettings, settings

try:
    settings.load()
except BadSettings as error:
    sys.exit(f"Octopod cannot start:\n{error}")

bind = f"[{settings.HOST}]:{settings.PORT}"  # the brackets are for IPv6, and do others no harm
worker_class = "octopod.draining.DrainingWorker"
workers = int(os.environ.get("WEB_CONCURRENCY", "1"))
worker_connections = 10_000  # open websockets and held requests count too
timeout = 60
graceful_timeout = int(settings.DRAIN_TIMEOUT) + 10
preload_app = False  # greenlets do not survive a fork
accesslog = None  # the app logs its requests itself
control_socket_disable = True

_metrics = settings.DATA_DIR / "metrics"


def on_starting(server):
    """In the master, once per server: what `python app.py` does before it serves.

    In a process of its own, because the master must not import what its workers are still to patch: peewee keeps a
    connection per thread, and which kind of thread that is gets decided when it is imported.
    """
    if server.cfg.workers > 1 and settings.DATABASE_URL.startswith("sqlite:"):
        sys.exit(
            f"Octopod cannot start:\nSQLite is for one process, and {server.cfg.workers} workers are asked for. "
            "Use one, or a PostgreSQL: OCTOPOD_DATABASE_URL=postgresql://…"
        )
    prepared = subprocess.run([sys.executable, Path(__file__).with_name("app.py"), "prepare"])
    if prepared.returncode:
        sys.exit(prepared.returncode)
    if server.cfg.workers > 1:
        shutil.rmtree(_metrics, ignore_errors=True)
        _metrics.mkdir(parents=True)
        os.environ["PROMETHEUS_MULTIPROC_DIR"] = str(_metrics)


def child_exit(server, worker):
    if "PROMETHEUS_MULTIPROC_DIR" in os.environ:
        from prometheus_client import multiprocess

        multiprocess.mark_process_dead(worker.pid)
