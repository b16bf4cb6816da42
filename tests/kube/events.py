"""Events: what the cluster has to say about an object that gives trouble."""

from .kinds import Kind
from .paths import Object
from .store import Store, now


def complain(store: Store, kind: Kind, item: Object, reason: str, message: str) -> None:
    """Leave an event about an object, once; `kubectl describe` shows it."""
    metadata, events = item["metadata"], store.kinds.named("Event")
    about = {"kind": kind.name, "apiVersion": kind.api_version()}
    about |= {key: metadata[key] for key in ("name", "namespace", "uid")}
    facts = {"involvedObject": about, "reason": reason, "message": message}
    if store.select(events, metadata["namespace"], lambda event: facts.items() <= event.items()):
        return
    event = {
        "apiVersion": "v1",
        "kind": "Event",
        "type": "Warning",
        "source": {"component": "test"},
        "count": 1,
        **facts,
    }
    event |= dict.fromkeys(("firstTimestamp", "lastTimestamp"), now())
    named = {"name": f"{metadata['name']}.{store.suffix()}", "namespace": metadata["namespace"]}
    store.create(events, event | {"metadata": named})
