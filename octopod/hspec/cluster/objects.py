"""One object: created, patched, replaced, or deleted and created again."""

import time

from .. import names
from ..errors import ApplyError
from ..talk import Talk
from . import changes, inventory, pods
from .inventory import AUTOSCALER, MADE, is_workload, kind_of, label
from .kubectl import Kubectl, Object, Refusal, title
from .looking import pause

REFUSED = ("Invalid", "BadRequest", "UnsupportedMediaType", "MethodNotAllowed")
ATTEMPTS = 4  # to change what others change, too
BY_HAND = "Undo the change, or delete it yourself if nothing of value goes with it, and deploy again."


class Applying:
    """One deployment: what is needed to apply each of its objects."""

    def __init__(
        self, kubectl: Kubectl, talk: Talk, selector: str, now: str, wanted: list[Object], former: Object | None = None
    ) -> None:
        """`former`: the workload that the one of another kind is to take the place of."""
        self.kubectl, self.talk, self.selector, self.now, self.former = kubectl, talk, selector, now, former
        self.has_autoscaler = any(kind_of(item) == AUTOSCALER for item in wanted)

    def is_scaled(self, item: Object) -> bool:
        """Whether an autoscaler rules over the number of its replicas."""
        return self.has_autoscaler and is_workload(item)

    def patch(self, wanted: Object, live: Object) -> changes.Patch | None:
        return changes.patch(live, wanted, self.now, is_scaled=self.is_scaled(wanted))

    def whole(self, wanted: Object, live: Object | None = None) -> Object:
        """What is sent when it cannot be a patch. Where the spec gives no number of replicas, there are as many as were."""
        if not is_workload(wanted):
            return changes.annotated(wanted, self.now)
        known, live = changes.uncounted(wanted) if self.is_scaled(wanted) else wanted, live or self.former
        kept = changes.keeping_count(live, known) if live and "replicas" not in known["spec"] else wanted
        return changes.annotated(known, self.now) | {"spec": kept["spec"]}

    def refuse_foreign(self, wanted: Object, live: Object | None) -> None:
        """Raise ApplyError when the object is there, and somebody else's."""
        if not live or not inventory.is_foreign(wanted, live):
            return
        owner = " of ".join(filter(None, [label(live, names.SERVICE), label(live, names.APP)])) or "somebody else"
        raise ApplyError(
            f"{title(live)} is there already{self.kubectl.place}, and belongs to {owner}. "
            "It is left alone: choose another name for the service or the app, another namespace, or delete it."
        )

    def apply(self, wanted: Object, live: Object | None) -> None:
        """Create or change one object, and tell what was done."""
        if live and pods.is_going(live):  # an earlier deletion that took too long
            self.kubectl.delete([live])
            live = None
        if live is None:
            self.kubectl.create(self.whole(wanted))
            return self.tell(wanted, "created")
        kept = changes.keeping_claims(live, wanted)
        if self.patch(kept, live) == []:
            return self.tell(wanted, "unchanged")
        broken = self.broken_pods(live)
        try:
            done = self.change(kept, live)
        except Refusal as refusal:
            return self.make_anew(wanted, live, refusal)
        self.tell(wanted, done)
        self.kubectl.delete(broken, "--wait=false")
        return None

    def tell(self, item: Object, what: str) -> None:
        self.talk.say(f"{title(item)}: {what}")

    def change(self, wanted: Object, live: Object) -> str:
        """Patch or replace; again, with a fresh look, when somebody else was faster."""
        for _ in range(ATTEMPTS - 1):
            try:
                return self._change(wanted, live)
            except Refusal as refusal:
                if refusal.reason != "Conflict":
                    raise
            time.sleep(pause())
            fresh = self.kubectl.live([wanted])
            if not fresh:
                self.kubectl.create(self.whole(wanted))
                return "created"
            live = fresh[0]
        return self._change(wanted, live)

    def _change(self, wanted: Object, live: Object) -> str:
        patch = self.patch(wanted, live)
        if patch is not None and self.kubectl.reads_patch_files:
            try:
                self.kubectl.patch(live, patch)
                return "patched"
            except Refusal as refusal:
                if "unknown flag" not in refusal.complaint:
                    raise
                # An old one: its patches would be seen by all in the list of processes.
                self.kubectl.reads_patch_files = False
        self.kubectl.replace(changes.replacement(live, self.whole(wanted, live)))
        if patch is not None or not changes.is_comparable(wanted):
            return "replaced"
        return "replaced, because it was not as the last deployment left it"

    def make_anew(self, wanted: Object, live: Object, refusal: Refusal) -> None:
        """Delete and create what cannot be changed. Nothing is deleted that could not be created."""
        if refusal.reason not in REFUSED:
            raise refusal
        if kind_of(wanted) not in MADE:  # a claim, a database: it may hold what nobody can make again
            raise ApplyError(str(refusal), f"{title(wanted)} is left as it is. {BY_HAND}")
        item = self.whole(wanted, live)
        try:
            self.kubectl.create(item, "--dry-run=server")
        except Refusal as problem:
            if problem.reason != "AlreadyExists":
                raise problem from None
        self.talk.warn(f"{title(wanted)} is deleted and created again, because: {refusal.complaint}")
        self.kubectl.delete([live])
        try:
            self.kubectl.create(item)
        except Refusal as problem:
            raise ApplyError(f"{problem} It has been deleted to be created again: deploy once more.") from None
        self.tell(wanted, "deleted and created again")

    def broken_pods(self, live: Object) -> list[Object]:
        """The pods of a StatefulSet that are not ready: it would wait for them for ever before it replaces them."""
        if kind_of(live) != "StatefulSet.apps":
            return []
        found = self.kubectl.get("pods", "--selector", self.selector)
        return [pod for pod in found if pods.is_owned(pod, live) and not pods.is_running(pod)]
