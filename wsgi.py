"""For gunicorn: `gunicorn -c gunicorn.conf.py wsgi:app`. Each worker process gets the app and its background work."""

from gevent import monkey

monkey.patch_all()

from psycogreen.gevent import patch_psycopg  # noqa: E402

from app import create_app  # noqa: E402
from octopod.server import configure, server  # noqa: E402

patch_psycopg()
configure()
app = create_app()
server.start()
