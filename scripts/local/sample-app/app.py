"""A page that shows the configuration it was deployed with, and counts its visits.

Needs nothing but the standard library. `PORT` and `DATA_DIR` come from the suite; all else is configuration.
"""

import json
import os
import re
import signal
import sys
import threading
from html import escape
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

EXAMPLE = Path(__file__).with_name(".env.example")
PAGE = Path(__file__).with_name("page.html")
DATA_DIR = Path(os.environ.get("DATA_DIR", "."))
VISITS = DATA_DIR / "visits"

# What every process has, and what the suite adds: no configuration of this deployment.
NOT_CONFIGURATION = {"PATH", "HOME", "LANG", "LC_CTYPE", "PWD", "OLDPWD", "SHLVL", "_", "PORT", "DATA_DIR"}
# pyenv's python3 adds these on its way to the real one.
PYENV = re.compile("_?PYENV_")
SECRET = re.compile("passw|secret|token|key|credential", re.IGNORECASE)
COLOR = re.compile(r"#[0-9a-fA-F]{3,8}|[a-zA-Z]+")

counting = threading.Lock()


def read_notes():
    """What .env.example says above each name: {name: note}, in the order of the file."""
    notes, note = {}, ""
    for line in EXAMPLE.read_text().splitlines():
        if line.startswith("#"):
            note = line.lstrip("# ")
        elif "=" in line:
            notes[line.partition("=")[0].strip()], note = note, ""
    return notes


def configuration():
    """(name, value or None, note) for each name that is known or set, those of .env.example first."""
    notes = read_notes()
    others = sorted(name for name in set(os.environ) - set(notes) - NOT_CONFIGURATION if not PYENV.match(name))
    return [(name, os.environ.get(name), notes.get(name, "")) for name in [*notes, *others]]


def count_visit():
    """Adds one to the count in DATA_DIR and returns it. Being killed half-way leaves the old count."""
    with counting:
        visits = read_visits() + 1
        fresh = VISITS.with_suffix(".new")
        fresh.write_text(str(visits))
        fresh.replace(VISITS)
        return visits


def read_visits():
    return int(VISITS.read_text()) if VISITS.exists() else 0


def row(name, value, note):
    if value is None:
        shown = '<em class="unset">not set</em>'
    elif SECRET.search(name):
        shown = '<span class="masked" title="masked">••••••••</span>'
    else:
        shown = f"<pre>{escape(value)}</pre>"
    return f'<tr><th scope="row"><code>{escape(name)}</code><small>{escape(note)}</small></th><td>{shown}</td></tr>'


def page(visits):
    color = os.environ.get("COLOR", "")
    values = {
        "greeting": escape(os.environ.get("GREETING") or "Hello"),
        "note": escape(os.environ.get("NOTE", "")),
        "color": color if COLOR.fullmatch(color) else "#0b7285",
        "visits": str(visits),
        "times": "time" if visits == 1 else "times",
        "rows": "\n".join(row(*entry) for entry in configuration()),
    }
    return re.sub(r"\{\{(\w+)\}\}", lambda match: values[match[1]], PAGE.read_text())


class Handler(BaseHTTPRequestHandler):
    server_version = "sample-app"

    def do_GET(self):
        path = self.path.partition("?")[0]
        if path == "/":
            self.answer(200, "text/html", page(self.visits()))
        elif path == "/healthz":
            self.answer(200, "application/json", json.dumps({"status": "ok"}))
        else:
            self.answer(404, "text/plain", "There is nothing here.\n")

    do_HEAD = do_GET

    def visits(self):
        """The portal looks every few seconds; that is no visit."""
        is_visit = self.command == "GET" and self.headers.get("User-Agent") != "octopod-check"
        return count_visit() if is_visit else read_visits()

    def answer(self, status, kind, text):
        body = text.encode(errors="replace")
        self.send_response(status)
        self.send_header("Content-Type", f"{kind}; charset=utf-8")
        self.send_header("Content-Length", str(len(body)))
        self.send_header("Cache-Control", "no-store")
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def log_message(self, format, *args):
        if self.headers.get("User-Agent") != "octopod-check":
            super().log_message(format, *args)


def main():
    signal.signal(signal.SIGTERM, lambda *_: sys.exit())
    DATA_DIR.mkdir(parents=True, exist_ok=True)
    port = int(os.environ.get("PORT", "8080"))
    with ThreadingHTTPServer(("127.0.0.1", port), Handler) as server:
        server.daemon_threads = True
        server.block_on_close = False
        print(f"Listening on http://127.0.0.1:{port}/", flush=True)
        server.serve_forever()


if __name__ == "__main__":
    main()
