"""A cluster for one test, and what the test may know of it and order from it."""

import copy
import json
import os
import subprocess
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from time import monotonic
from typing import Any, Self

from .kinds import Kind
from .kubelet import FATES, Behaviour
from .patches import merge
from .paths import Object
from .request import Request
from .selectors import by_labels
from .server import Fault, Server
from .state import State

VERSION = "1.24.17"
BOTH_STREAMS: dict[str, Any] = {"stdout": subprocess.PIPE, "stderr": subprocess.STDOUT, "text": True}


class Cluster:
    """A Kubernetes API on a port of this machine, with nothing in it but what every cluster has.

    Used as a context: `with Cluster() as cluster: run(["kubectl", "get", "pods"], env=cluster.environment)`.
    """

    def __init__(self, version: str = VERSION) -> None:
        self.state = State(version)

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_: Any) -> None:
        self.stop()

    def start(self) -> None:
        self._home = tempfile.TemporaryDirectory(prefix="octopod-kube-")
        self.home = Path(self._home.name)
        self.server = Server(self.state)
        self.url = f"http://127.0.0.1:{self.server.port}"
        self.kubeconfig = self.home / "kubeconfig"
        self.kubeconfig.write_text(json.dumps(_kubeconfig(self.url)))
        self.kubeconfig.chmod(0o600)  # helm warns of any other

    def stop(self) -> None:
        """End it. Raises what went wrong in the server itself, if anything did."""
        self.server.stop()
        self._home.cleanup()
        if self.server.mistakes:
            raise self.server.mistakes[0]

    @property
    def environment(self) -> dict[str, str]:
        """Ours, for a client of this cluster that keeps its caches and its configuration to itself."""
        foreign = ("KUBE", "HELM_", "XDG_")
        kept = {name: value for name, value in os.environ.items() if not name.startswith(foreign)}
        return kept | {"KUBECONFIG": str(self.kubeconfig), "HOME": str(self.home)}

    def run(self, program: Path, *arguments: str, stdin: str = "") -> subprocess.CompletedProcess[str]:
        """Run a client to its end; what it printed, on both streams, is in `stdout`."""
        command: list[Path | str] = [program, *arguments]
        return subprocess.run(command, env=self.environment, input=stdin, timeout=60, **BOTH_STREAMS)

    @contextmanager
    def running(self, program: Path, *arguments: str) -> Iterator[subprocess.Popen[str]]:
        """A client that runs meanwhile, such as one that watches; what it prints is in `stdout`."""
        with subprocess.Popen([program, *arguments], env=self.environment, **BOTH_STREAMS) as process:
            try:
                yield process
            finally:
                process.kill()

    @property
    def requests(self) -> list[Request]:
        """All so far, oldest first: method, path, query, body, status."""
        return list(self.server.requests)

    def kind(self, name: str) -> Kind:
        """By kind, plural or short name."""
        return self.state.store.kinds.named(name)

    def objects(self, kind: str, namespace: str = "", labels: str = "") -> list[Object]:
        """Those of a kind, in a namespace or in all, with these labels."""
        with self.state.store.lock:
            return copy.deepcopy(self.state.store.select(self.kind(kind), namespace, by_labels(labels)))

    def names(self, kind: str, namespace: str = "", labels: str = "") -> list[str]:
        return [item["metadata"]["name"] for item in self.objects(kind, namespace, labels)]

    def find(self, kind: str, name: str, namespace: str = "default") -> Object | None:
        with self.state.store.lock:
            return copy.deepcopy(self.state.store.find(self.kind(kind), self._home_of(kind, namespace), name))

    def get(self, kind: str, name: str, namespace: str = "default") -> Object:
        """Raises Refusal (404) when there is none."""
        with self.state.store.lock:
            return copy.deepcopy(self.state.store.get(self.kind(kind), self._home_of(kind, namespace), name))

    def put(self, item: Object, namespace: str = "default") -> Object:
        """Create or replace an object; its status too, if it has one, and if no controller knows better."""
        kind = self.kind(item["kind"])
        item = json.loads(json.dumps(item))
        metadata = item.setdefault("metadata", {})
        if kind.namespaced:
            metadata.setdefault("namespace", namespace)
        with self.state.changing() as store:
            place = metadata.get("namespace", ""), metadata.get("name", "")
            stored = (store.replace if store.find(kind, *place) else store.create)(kind, item)
            if "status" in item:
                stored = store.put(kind, stored | {"status": item["status"]})
        return copy.deepcopy(stored)

    def patch(self, kind: str, name: str, change: Object, namespace: str = "default") -> Object:
        """Merge a change into an object; its status too."""
        with self.state.changing() as store:
            item = store.get(self.kind(kind), self._home_of(kind, namespace), name)
            stored = store.put(self.kind(kind), merge(item, change))
        return copy.deepcopy(stored)

    def delete(self, kind: str, name: str, namespace: str = "default") -> None:
        with self.state.changing() as store:
            store.delete(self.kind(kind), store.get(self.kind(kind), self._home_of(kind, namespace), name))

    def _home_of(self, kind: str, namespace: str) -> str:
        return namespace if self.kind(kind).namespaced else ""

    def namespace(self, name: str) -> str:
        """A new namespace; its name."""
        self.put({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}})
        return name

    def pods(self, glob: str, then: str, log: str = "", looks: int = 0) -> None:
        """Decide what pods of a name or an image do, those to come and those there are.

        `then` is one of FATES, or `ready after N looks`: until then, somebody has to ask for pods or what owns them N
        times; a watch asks all the time. `lingering` pods are ready, but once deleted they stay until told otherwise.
        """
        if then.startswith("ready after "):
            then, looks = "ready", int(then.split()[2])
        if then not in FATES:
            raise ValueError(f"pods cannot be {then}, only one of {FATES}")
        with self.state.changing():
            self.state.kubelet.behaviours.append(Behaviour(glob, then, log, looks))
            self.state.settle()

    def log(self, pod: str, text: str) -> None:
        """Let pods whose names match say this: at once if they are there, and from the beginning if they come later."""
        with self.state.store.lock:
            self.state.kubelet.logs.append((pod, text))
            self.state.store.changed.notify_all()

    def fail(self, method: str, glob: str, what: int | str, times: float = float("inf")) -> None:
        """Let requests go wrong: of a method (`*`: any) to paths that match; with a status code, `hang` or `disconnect`."""
        self.server.faults.append(Fault(method, glob, what, times))

    def heal(self) -> None:
        """Nothing fails any more."""
        self.server.faults.clear()

    def refuse_patches(self, kind: str) -> None:
        """Forbid to patch objects of a kind (403)."""
        self.state.unpatchable.add(self.kind(kind).name)

    def forget_history(self) -> None:
        """Watches that want to go on from before now are told that this is too long ago (410)."""
        self.state.forgotten = self.state.store.version

    @contextmanager
    def controllers_paused(self) -> Iterator[None]:
        """What is written meanwhile is noticed by no controller: `observedGeneration` stays behind."""
        self.state.paused = True
        try:
            yield
        finally:
            with self.state.store.lock:
                self.state.paused = False
                self.state.settle()

    def wait_for(self, condition: Callable[[], Any], what: str = "", patience: float = 30) -> Any:
        """What `condition` returns as soon as that is true; asked again after every change and every request."""
        deadline = monotonic() + patience
        with self.state.store.changed:
            while not (found := condition()):
                assert monotonic() < deadline, f"waited in vain for {what or condition}"
                self.state.store.changed.wait(0.02)
        return found


def _kubeconfig(url: str) -> Object:
    context = {"cluster": "test", "user": "tester", "namespace": "default"}
    return {
        "apiVersion": "v1",
        "kind": "Config",
        "current-context": "test",
        "clusters": [{"name": "test", "cluster": {"server": url}}],
        "users": [{"name": "tester", "user": {}}],
        "contexts": [{"name": "test", "context": context}],
    }
