"""kubectl: JSON in, JSON out; what it complains about becomes an error with a sentence."""

import json
import os
from collections.abc import Iterable
from typing import Any

from .. import processes
from ..errors import ApplyError, ClusterError, HspecError
from ..processes import Done
from .complaints import NO_SUCH_KIND, complaint, explained, reason

Object = dict[str, Any]
TIMEOUT = 20  # seconds for one request
PATIENCE = 60.0  # seconds for a command, which may need several
DELETING = 120  # seconds until what is deleted has to be gone


class Forbidden(ClusterError):
    """A question that we may not ask: nothing is known, and asking again does not help."""


class UnknownKind(ClusterError):
    """A question about a kind that the cluster does not serve: there is nothing of it."""


class Refusal(ApplyError):
    """A change that was not made. `reason` is the API's: Invalid, Conflict, Forbidden …; empty when it gave none."""

    def __init__(self, what: str, done: Done) -> None:
        self.reason, self.complaint = reason(done), complaint(done)
        super().__init__(f"{what}: {explained(done)}")


class Kubectl:
    """The cluster, as far as one namespace goes; without one, that of the kubeconfig."""

    def __init__(self, namespace: str | None = None) -> None:
        self.namespace = namespace
        self.program = os.environ.get("KUBECTL_BIN") or "kubectl"
        self.reads_patch_files = True  # until it says that it does not

    def command(self, *arguments: str) -> list[str]:
        where = ["--namespace", self.namespace] if self.namespace else []
        return [self.program, *arguments, *where]

    def run(self, *arguments: str, stdin: str = "", patience: float = PATIENCE) -> Done:
        """Run kubectl to its end. Raises ClusterError when it cannot be started or does not end."""
        argv = self.command(*arguments, f"--request-timeout={TIMEOUT}s")
        try:
            return processes.run(argv, stdin=stdin, timeout=patience)
        except HspecError as error:
            raise ClusterError(str(error)) from None

    def ask(self, what: str, *arguments: str, stdin: str = "") -> str:
        """What kubectl answers to a question. Raises ClusterError, beginning with `what`: nothing is known then."""
        done = self.run(*arguments, stdin=stdin)
        if not done.ok:
            raise kind_of_error(done)(f"{what}: {explained(done)}")
        return done.out

    def do(self, what: str, *arguments: str, stdin: str = "", patience: float = PATIENCE) -> str:
        """What kubectl says to a change. Raises Refusal, beginning with `what`."""
        try:
            done = self.run(*arguments, stdin=stdin, patience=patience)
        except ClusterError as error:
            raise Refusal(what, Done(1, "", str(error))) from None
        if not done.ok:
            raise Refusal(what, done)
        return done.out

    # Questions

    def get(self, kinds: str, *arguments: str) -> list[Object]:
        """The objects that `kubectl get` finds."""
        what = f"Cannot look for {kinds}{self.place}"
        return parse(self.ask(what, "get", kinds, *arguments, "--output=json", "--ignore-not-found"))

    def live(self, items: Iterable[Object]) -> list[Object]:
        """Those of the objects that are there, as they are now."""
        wanted = as_list(map(reference, items))
        answer = self.ask(
            f"Cannot look at what there is{self.place}", "get", "--filename=-", "--output=json", "--ignore-not-found",
            stdin=wanted,
        )  # fmt: skip
        return parse(answer)

    def cluster_wide(self, version: str) -> set[str]:
        """The kinds of a version of the API, such as `policy/v1`, that are in no namespace."""
        path = f"/apis/{version}" if "/" in version else f"/api/{version}"
        answer = json.loads(self.ask(f"Cannot look for the kinds of {version}", "get", f"--raw={path}"))
        return {str(one["kind"]) for one in answer["resources"] if not one["namespaced"]}

    @property
    def place(self) -> str:
        """` in namespace shop`, for sentences."""
        return f" in namespace {self.namespace}" if self.namespace else ""

    # Changes

    def create(self, item: Object, *options: str) -> None:
        self.do(f"Cannot create {title(item)}", "create", "--filename=-", *options, stdin=json.dumps(item))

    def replace(self, item: Object) -> None:
        self.do(f"Cannot replace {title(item)}", "replace", "--filename=-", stdin=json.dumps(item))

    def patch(self, item: Object, change: Any, kind: str = "json") -> None:
        """Patch an object; `kind` is json or merge. The text is read from a file: it may be long, and secret."""
        arguments = ["patch", resource(item), item["metadata"]["name"], f"--type={kind}", "--patch-file=/dev/stdin"]
        self.do(f"Cannot change {title(item)}", *arguments, stdin=json.dumps(change))

    def delete(self, items: Iterable[Object], *options: str) -> None:
        """Delete objects with all they own, and wait until they are gone. What is gone already is no error."""
        wanted = [reference(item) for item in items]
        if not wanted:
            return
        fixed = ["--ignore-not-found", "--cascade=foreground", f"--timeout={DELETING}s", *options]
        what = f"Cannot delete {', '.join(map(title, wanted))}"
        self.do(what, "delete", "--filename=-", *fixed, stdin=as_list(wanted), patience=DELETING + PATIENCE)


def parse(text: str) -> list[Object]:
    """Objects that kubectl printed as JSON: none, one, or a List."""
    if not text.strip():
        return []
    value = json.loads(text)
    items: list[Object] = value["items"] if value.get("kind", "").endswith("List") else [value]
    return items


def as_list(items: Iterable[Object]) -> str:
    return json.dumps({"apiVersion": "v1", "kind": "List", "items": list(items)})


def reference(item: Object) -> Object:
    """What is needed to find the object again."""
    known = {key: item["metadata"][key] for key in ("name", "namespace") if item["metadata"].get(key)}
    return {"apiVersion": item["apiVersion"], "kind": item["kind"], "metadata": known}


def resource(item: Object) -> str:
    """The type of an object as kubectl takes it: KIND.VERSION.GROUP."""
    group, _, version = item["apiVersion"].rpartition("/")
    return f"{item['kind']}.{version}.{group}" if group else str(item["kind"])


def title(item: Object) -> str:
    return f"{item['kind']} {item['metadata']['name']}"


def kind_of_error(done: Done) -> type[ClusterError]:
    """What an unanswered question is told as."""
    if reason(done) == "Forbidden":
        return Forbidden
    return UnknownKind if NO_SUCH_KIND.search(done.complaint) else ClusterError
