"""kubectl: JSON in, JSON out, and never longer than a script may take."""

import json
from collections.abc import Iterable
from typing import Any

from lib.settings import Settings
from shared import processes
from shared.processes import Done, failure, no_answer

Object = dict[str, Any]
TIMEOUT = 15  # seconds for one request
PATIENCE = 25.0  # seconds for a command, which may need several


class Kube:
    """The cluster, as far as one namespace goes."""

    def __init__(self, settings: Settings, namespace: str) -> None:
        self.settings, self.namespace = settings, namespace

    def run(self, *arguments: str, stdin: str = "", namespace: str = "") -> Done:
        """Run kubectl. What it reads from a file says itself where it is."""
        fixed = [f"--request-timeout={TIMEOUT}s", f"--cache-dir={self.settings.data / 'kubectl'}"]
        where = [] if "--filename" in arguments else ["--namespace", namespace or self.namespace]
        return processes.ask_cluster([self.settings.kubectl, *arguments, *where, *fixed], PATIENCE, stdin)

    def do(self, what: str, *arguments: str, stdin: str = "", namespace: str = "") -> str:
        """What kubectl printed. Raises Failure, beginning with what was to be done."""
        done = self.run(*arguments, stdin=stdin, namespace=namespace)
        if not done.ok:
            raise failure(what, done)
        return done.out

    def get(self, *arguments: str) -> list[Object]:
        """The objects that `kubectl get` finds. Raises Failure."""
        return self._ask(f"Cannot look for {arguments[0]} in {self.namespace}", *arguments)

    def live(self, objects: Iterable[Object]) -> list[Object]:
        """Those of the objects that are there, as they are now. Raises Failure."""
        wanted = [self.reference(item) for item in objects]
        if not wanted:
            return []
        return self._ask("Cannot look at what is there", "--filename", "-", stdin=as_list(wanted))

    def _ask(self, what: str, *arguments: str, stdin: str = "") -> list[Object]:
        done = self.run("get", *arguments, "--output", "json", "--ignore-not-found", stdin=stdin)
        if not done.ok:
            raise no_answer(what, done)
        return parse(done.out)

    def reference(self, item: Object) -> Object:
        """What is needed to find the object again."""
        metadata = {"name": item["metadata"]["name"], "namespace": item["metadata"].get("namespace") or self.namespace}
        return {"apiVersion": item["apiVersion"], "kind": item["kind"], "metadata": metadata}

    def patch(self, item: Object, change: Object) -> None:
        """Merge a change into an object; its `resourceVersion`, if it has one, is what the change was made for."""
        what = f"Cannot change {title(item)}"
        merge = ["--type", "merge", "--patch", json.dumps(change)]
        where = item["metadata"].get("namespace", "")
        self.do(what, "patch", resource(item), item["metadata"]["name"], *merge, namespace=where)

    def delete(self, items: Iterable[Object], *options: str) -> None:
        """Delete objects; those that are gone already are no error. Raises Failure."""
        wanted = [self.reference(item) for item in items]
        if wanted:
            arguments = ["delete", "--filename", "-", "--ignore-not-found", "--wait=false", *options]
            self.do("Cannot delete what is left", *arguments, stdin=as_list(wanted))

    def pods(self, selector: str) -> list[Object]:
        return self.get("pods", "--selector", selector)

    def log(self, pod: str, container: str, lines: int = 5) -> str:
        """The last lines that a container wrote; empty when they cannot be had."""
        done = self.run("logs", pod, "--container", container, f"--tail={lines}")
        return done.out.strip() if done.ok else ""


def parse(text: str) -> list[Object]:
    """Objects that kubectl printed as JSON: none, one, or a List."""
    if not text.strip():
        return []
    value = json.loads(text)
    return value["items"] if value.get("kind", "").endswith("List") else [value]


def as_list(objects: Iterable[Object]) -> str:
    return json.dumps({"apiVersion": "v1", "kind": "List", "items": list(objects)})


def resource(item: Object) -> str:
    """The type of an object as kubectl takes it: KIND.VERSION.GROUP."""
    group, _, version = item["apiVersion"].rpartition("/")
    return f"{item['kind']}.{version}.{group}" if group else item["kind"]


def title(item: Object) -> str:
    return f"{item['kind']} {item['metadata']['name']}"
