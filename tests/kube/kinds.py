"""What is served: a table of kinds, to which definitions of custom resources add theirs."""

from typing import NamedTuple

from .errors import not_found_path
from .paths import Object

# The first version of a group is the preferred one. Marks: `cluster` for kinds outside namespaces, `all` for what
# `kubectl get all` shows, the subresources, and `counted` for kinds whose changes are counted in metadata.generation.
TABLE = """
group                      versions         kind                      plural                     short    marks
-                          v1               ConfigMap                 configmaps                 cm       -
-                          v1               Endpoints                 endpoints                  ep       -
-                          v1               Event                     events                     ev       -
-                          v1               LimitRange                limitranges                limits   -
-                          v1               Namespace                 namespaces                 ns       cluster,status
-                          v1               Node                      nodes                      no       cluster,status
-                          v1               PersistentVolumeClaim     persistentvolumeclaims     pvc      status
-                          v1               PersistentVolume          persistentvolumes          pv       cluster,status
-                          v1               Pod                       pods                       po       all,status,log
-                          v1               ReplicationController     replicationcontrollers     rc       all,status
-                          v1               ResourceQuota             resourcequotas             quota    status
-                          v1               Secret                    secrets                    -        -
-                          v1               ServiceAccount            serviceaccounts            sa       -
-                          v1               Service                   services                   svc      all,status
apps                       v1               DaemonSet                 daemonsets                 ds       all,status,counted
apps                       v1               Deployment                deployments                deploy   all,status,scale,counted
apps                       v1               ReplicaSet                replicasets                rs       all,status,scale,counted
apps                       v1               StatefulSet               statefulsets               sts      all,status,scale,counted
apps                       v1               ControllerRevision        controllerrevisions        -        -
batch                      v1,v1beta1       CronJob                   cronjobs                   cj       all,status,counted
batch                      v1               Job                       jobs                       -        all,status,counted
autoscaling                v2,v1,v2beta2    HorizontalPodAutoscaler   horizontalpodautoscalers   hpa      all,status
networking.k8s.io          v1               Ingress                   ingresses                  ing      status,counted
networking.k8s.io          v1               IngressClass              ingressclasses             -        cluster,counted
networking.k8s.io          v1               NetworkPolicy             networkpolicies            netpol   counted
policy                     v1,v1beta1       PodDisruptionBudget       poddisruptionbudgets       pdb      status,counted
rbac.authorization.k8s.io  v1               ClusterRoleBinding        clusterrolebindings        -        cluster
rbac.authorization.k8s.io  v1               ClusterRole               clusterroles               -        cluster
rbac.authorization.k8s.io  v1               RoleBinding               rolebindings               -        -
rbac.authorization.k8s.io  v1               Role                      roles                      -        -
storage.k8s.io             v1               StorageClass              storageclasses             sc       cluster
scheduling.k8s.io          v1               PriorityClass             priorityclasses            pc       cluster,counted
coordination.k8s.io        v1               Lease                     leases                     -        -
apiextensions.k8s.io       v1               CustomResourceDefinition  customresourcedefinitions  crd,crds cluster,status,counted
authorization.k8s.io       v1               SelfSubjectAccessReview   selfsubjectaccessreviews   -        cluster,ask
acid.zalan.do              v1               postgresql                postgresqls                pg       custom,all,status,counted
kafka.strimzi.io           v1beta2          Kafka                     kafkas                     k        custom,status,counted
networking.istio.io        v1beta1          VirtualService            virtualservices            vs       custom,status,counted
networking.istio.io        v1beta1          Gateway                   gateways                   gw       custom,status,counted
networking.istio.io        v1beta1          DestinationRule           destinationrules           dr       custom,status,counted
"""


class Kind(NamedTuple):
    """One row of the table."""

    group: str
    versions: tuple[str, ...]
    name: str
    plural: str
    short: tuple[str, ...]
    marks: frozenset[str]
    columns: tuple[Object, ...] = ()  # of a custom resource's table
    scale: tuple[str, str] = ("spec.replicas", "status.replicas")
    defined_by: str | None = None  # the uid of the definition

    @property
    def resource(self) -> str:
        """`deployments.apps`: how errors name it, and what the store keeps it under."""
        return f"{self.plural}.{self.group}".rstrip(".")

    @property
    def qualified(self) -> str:
        return f"{self.name}.{self.group}".rstrip(".")

    @property
    def namespaced(self) -> bool:
        return "cluster" not in self.marks

    @property
    def custom(self) -> bool:
        return "custom" in self.marks

    def api_version(self, version: str = "") -> str:
        return f"{self.group}/{version or self.versions[0]}".lstrip("/")


def _parse(line: str) -> Kind:
    group, *lists, marks = ["" if word == "-" else word for word in line.split()]
    versions, name, plural, short = lists
    return Kind(
        group, tuple(versions.split(",")), name, plural, tuple(filter(None, short.split(","))), _marks(marks.split(","))
    )


def _marks(words: list[str]) -> frozenset[str]:
    return frozenset(filter(None, words))


def defined(definition: Object) -> Kind:
    """The kind that a CustomResourceDefinition describes."""
    spec, names = definition["spec"], definition["spec"]["names"]
    served = [version for version in spec["versions"] if version.get("served")]
    stored = next((version for version in served if version.get("storage")), served[0])
    subresources = stored.get("subresources") or {}
    scale = subresources.get("scale") or {}
    marks = {"custom", "counted", *subresources, *names.get("categories", [])}
    return Kind(
        group=spec["group"],
        versions=tuple(version["name"] for version in [stored, *(other for other in served if other is not stored)]),
        name=names["kind"],
        plural=names["plural"],
        short=tuple(names.get("shortNames", [])),
        marks=frozenset(marks | ({"cluster"} if spec["scope"] == "Cluster" else set())),
        columns=tuple(stored.get("additionalPrinterColumns", [])),
        scale=(scale.get("specReplicasPath", "")[1:], scale.get("statusReplicasPath", "")[1:]),
        defined_by=definition["metadata"]["uid"],
    )


class Kinds:
    """The kinds served at the moment."""

    def __init__(self) -> None:
        self.all = [_parse(line) for line in TABLE.strip().splitlines()[1:]]

    def served(self, group: str, version: str, plural: str) -> Kind:
        for kind in self.all:
            if (kind.group, kind.plural) == (group, plural) and version in kind.versions:
                return kind
        raise not_found_path()

    def named(self, name: str) -> Kind:
        """By kind, plural or short name, with or without the group: for tests."""
        wanted = name.lower()
        for kind in self.all:
            names = [kind.name, kind.plural, kind.resource, kind.qualified, *kind.short]
            if wanted in [known.lower() for known in names]:
                return kind
        raise KeyError(f"nothing here serves {name}")

    def owner(self, reference: Object) -> Kind | None:
        """The kind that a reference to another object is about."""
        group = reference["apiVersion"].rpartition("/")[0]
        return next((kind for kind in self.all if (kind.group, kind.name) == (group, reference["kind"])), None)

    def groups(self) -> dict[str, list[str]]:
        """The versions of every group but the core's, the preferred one first."""
        groups: dict[str, list[str]] = {}
        for kind in self.all:
            versions = groups.setdefault(kind.group, [])
            versions += [version for version in kind.versions if version not in versions]
        del groups[""]
        return groups

    def redefine(self, definitions: list[Object]) -> list[Kind]:
        """Serve what these define; returns the kinds that are served no more."""
        new = [defined(definition) for definition in definitions]
        gone = [kind for kind in self.all if kind.defined_by and kind.resource not in {each.resource for each in new}]
        names = {kind.resource for kind in new}
        kept = [kind for kind in self.all if not kind.defined_by and kind.resource not in names]
        self.all = kept + new
        return gone
