"""How gunicorn runs Octopod; settings come from the environment, see docs/settings.md."""

import os
import shutil

from octopod.server import CannotStart, configure, prepare, stop_with
from octopod.settings import BadSettings, settings

try:
    configure()
except BadSettings as error:
    stop_with(error)

bind = f"{settings.HOST}:{settings.PORT}"
worker_class = "octopod.draining.DrainingWorker"
workers = int(os.environ.get("WEB_CONCURRENCY", "1"))
worker_connections = 10_000  # open websockets and held requests count too
timeout = 60
graceful_timeout = int(settings.DRAIN_TIMEOUT) + 10
preload_app = False  # greenlets do not survive a fork
accesslog = None  # the app logs its requests itself

_metrics = settings.DATA_DIR / "metrics"


def on_starting(server):
    """In the master, once per server: what `python app.py` does before it serves."""
    try:
        prepare()
    except CannotStart as error:
        stop_with(error)
    if server.cfg.workers > 1:
        shutil.rmtree(_metrics, ignore_errors=True)
        _metrics.mkdir(parents=True)
        os.environ["PROMETHEUS_MULTIPROC_DIR"] = str(_metrics)


def child_exit(server, worker):
    if "PROMETHEUS_MULTIPROC_DIR" in os.environ:
        from prometheus_client import multiprocess

        multiprocess.mark_process_dead(worker.pid)
