"""Prometheus metrics: numbers only, no names of anybody's."""

from prometheus_client import Counter, Gauge, Histogram

actions_requested = Counter("octopod_actions_requested_total", "Actions asked for", ["kind"])
actions_finished = Counter("octopod_actions_finished_total", "Actions finished", ["kind", "state"])
checks = Counter("octopod_checks_total", "Checks run", ["verdict"])
seconds = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30)
requests = Histogram("octopod_request_seconds", "Time to answer requests", ["endpoint", "status"], buckets=seconds)
queue_wait = Histogram("octopod_action_wait_seconds", "Time from request to the script's start", buckets=seconds)
open_pages = Gauge("octopod_open_pages", "Websockets of open pages", multiprocess_mode="livesum")
