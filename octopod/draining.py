"""A gunicorn worker that answers requests while it drains."""

import gevent
from gunicorn.workers.ggevent import GeventWorker


class DrainingWorker(GeventWorker):
    """On TERM it first drains, still serving: /readyz says no, nothing new starts; then it stops as gunicorn does."""

    def handle_exit(self, sig, frame):
        gevent.spawn(self._drain, sig, frame)

    def _drain(self, sig, frame):
        from octopod.server import server

        server.drain()
        super().handle_exit(sig, frame)
