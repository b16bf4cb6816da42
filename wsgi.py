"""For gunicorn: `gunicorn -c gunicorn.conf.py wsgi:app`. Each worker process gets the app and its background work."""

from gevent import monkey

monkey.patch_all()

from psycogreen.gevent import patch_psycopg  # noqa: E402

from app import create_app  # noqa: E402
from octopod.server import CannotStart, configure, own_database, server, stop_with  # noqa: E402
from octopod.settings import settings  # noqa: E402

patch_psycopg()
configure()
try:
    own_database(patience=settings.DRAIN_TIMEOUT + 15)  # a worker that is being replaced may still drain
except CannotStart as error:
    stop_with(error)
app = create_app()
server.start()
