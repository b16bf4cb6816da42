"""Specs for tests: one that says everything, and arbitrary ones made from the model."""

import copy
import json
import re
from pathlib import Path
from typing import Any

from hypothesis import strategies as st

from octopod.hspec.errors import HspecError, Problem
from octopod.hspec.service import Service
from octopod.hspec.spec import load
from octopod.hspec.spec.config_rules import VARIABLE
from octopod.hspec.spec.kinds import Boolean, Either, Group, Kind, ListOf, MapOf, Text, Whole
from octopod.hspec.spec.model import SPEC

DATA = Path(__file__).parent / "hspec/spec"
FILES = ("file.txt", "one.sh", "two.sh", "Dockerfile", "docker/Dockerfile", "web/Dockerfile", "conf/app.conf",
         "target/web.jar", "scripts/configure.sh", "scripts/run.sh", "k8s/affinity.yaml", "web/docker/Dockerfile")  # fmt: skip

FULL: dict[str, Any] = {
    "hspecVersion": "0.6.5",
    "name": "web",
    "image": {
        "name": "team-a/web",
        "registry": "registry.example.com",
        "tag": "2.4",
        "buildSpec": {
            "stackImage": "docker.io/library/busybox:1.36",
            "artifacts": [{"name": "jar", "source": "file.txt", "destination": "/srv/web.jar"}],
            "configCommands": "mkdir -p /srv",
            "runCommandsScript": "one.sh",
        },
    },
    "startCommand": "/bin/sh, -c, run",
    "replicas": {"min": 1, "max": 3, "cpuThreshold": "60%"},
    "memory": "256Mi-1Gi",
    "cpu": "100m-1",
    "external": True,
    "ports": [{"port": "8080/http", "healthCheck": {"httpPath": "/healthz"}}, {"port": "9125/udp"}],
    "volumes": [{"name": "data", "path": "/srv/data", "size": "2Gi", "storageClass": "fast", "readOnly": False}],
    "props": {"LEVEL": "info", "DB": "endpoint(db)", "HI": "string(hello)", "app.conf": "file(file.txt)"},
    "propsVolumePath": "/etc/web/props",
    "secrets": {"PASSWORD": "s3cret"},
    "secretsVolumePath": "/etc/web/secrets",
    "agents": [
        {
            "name": "shipper",
            "image": "fluent/fluent-bit:1.9",
            "ports": [{"port": 2020, "healthCheck": {"httpPath": "/"}}],
            "volumes": [{"attach": "data", "mountPath": "/var/in", "readOnly": True}],
            "props": {"OUT": "endpoint(logs)"},
            "propsVolumePath": "/shipper/props",
            "secrets": ["TOKEN"],
            "secretsVolumePath": "/shipper/secrets",
        }
    ],
    "k8sSnippets": ["file.txt"],
    "loadBalancer": {
        "provider": "istio",
        "host": "shop.example.com",
        "mapping": [{"port": "8080/tcp", "contextPaths": ["/"]}],
        "className": "istio",
        "sticky": True,
        "tlsSecret": "shop-tls",
        "headers": {"X-Shop": "one"},
        "labels": {"istio": "ingressgateway"},
    },
}
DOCKERFILE = {"path": ".", "dockerfilePath": "docker", "args": {"A": "1"}, "target": "runtime"}
TRAFFIC = [{"ports": ["8080/tcp"], "from": ["shop"]}]


def full(path: str = "") -> dict[str, Any]:
    """The spec that says everything; what excludes the field at the path is not in it."""
    spec = copy.deepcopy(FULL)
    if path.startswith("image.dockerfile"):
        spec["image"]["dockerfile"] = copy.deepcopy(DOCKERFILE)
        del spec["image"]["buildSpec"]
    if path.startswith("allowTraffic"):
        spec.update(allowTraffic=copy.deepcopy(TRAFFIC), external=False)
        del spec["loadBalancer"]
    return spec


def minimal(**fields: Any) -> dict[str, Any]:
    return {"name": "web", "image": {"name": "team/web"}, **fields}


def steps(path: str) -> list[str | int]:
    """`ports[0].port` as keys and positions; `[]` is the first."""
    return [
        int(part or 0) if part.isdigit() or not part else part for part in re.findall(r"[\w-]+|(?<=\[)(?=\])", path)
    ]


def changed(path: str, value: Any, spec: dict[str, Any] | None = None) -> dict[str, Any]:
    """The spec that says everything with another value at a path."""
    spec = full(path) if spec is None else copy.deepcopy(spec)
    *around, last = steps(path)
    holder: Any = spec
    for step in around:
        holder = holder[step]
    holder[last] = value
    return spec


def without(path: str) -> dict[str, Any]:
    spec = full(path)
    *around, last = steps(path)
    holder: Any = spec
    for step in around:
        holder = holder[step]
    holder.pop(last, None)
    return spec


def write(directory: Path, spec: dict[str, Any] | str, name: str = "web.hspec") -> Path:
    """The spec as a file, beside the files that specs of tests speak of."""
    for file in FILES:
        (directory / file).parent.mkdir(parents=True, exist_ok=True)
        (directory / file).touch()
    path = directory / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(spec if isinstance(spec, str) else json.dumps(spec), encoding="utf-8")
    return path


def loaded(directory: Path, spec: dict[str, Any] | str, **options: Any) -> Service:
    return load(write(directory, spec), **options)


def problems(directory: Path, spec: dict[str, Any] | str, **options: Any) -> list[Problem]:
    """What is wrong with a spec."""
    try:
        loaded(directory, spec, **options)
    except HspecError as error:
        return error.problems
    return []


# --- arbitrary ones ---

# Something of every kind of text, and what is easily taken for something else.
POOL = (
    *("a", "web", "a-b", "b1", "x" * 63, "A", "A_B", "a.b", "a_b", "true", "on", "Null", "é", "ŋ ű", "a b", "  a", "", " "),
    *("1", "10", "1.5", "2.40", "007", "0x1F", "1e3", "12:30", "5Gi", "500M", "5Mi-1Gi", "10-20", "0.5-1.5", "60%", "100%"),
    *("team/web", "reg.io", "localhost:5000", "reg.io:1/a/b", "a/b:1", "a/b@sha256:" + "0" * 64, "80", "81/http", "82/UDP"),
    *("/a", "/a/b", "/a b", "/a%20", "a/b", "./a", "file.txt", "k=v", "K=", "K=a=b", "X-Shop", "a,b", ", a", "#a", "&a", "*a"),
    *("nginx", "traefik", "istio", "*.a.b", "a.io/b", "file(file.txt)", "ENDPOINT(a)", "string( )", "file(", "{a: b}", "[a]"),
    *("0.6", "- a", "a: b", "!a", "'", '"', "\\", "a\nb", "%", "@", "`", "|", ">", "<<", "~", "-1", "+1", "x" * 128, "?"),
)  # fmt: skip
# Without what YAML folds or JSON cannot write, and without surrogates.
ALPHABET = st.characters(min_codepoint=32, max_codepoint=0x2FF, exclude_categories=("Cc", "Cs"))


def values(kind: Kind) -> st.SearchStrategy[Any]:
    """Values that a kind of the model allows."""
    match kind:
        case Text():
            return _texts(kind)
        case Whole():
            numbers = st.integers(kind.least, min(kind.most, 100))
            return numbers | numbers.map(str)
        case Boolean():
            return st.booleans() | st.sampled_from(kind.true + kind.false)
        case Group():
            return _groups(kind)
        case ListOf():
            return st.lists(values(kind.item), min_size=kind.least, max_size=2)
        case MapOf():
            return st.dictionaries(values(kind.key), values(kind.value), max_size=2)
        case Either():
            return st.one_of([values(each) for each in (kind.scalar, kind.list, kind.mapping) if each])


def _texts(kind: Text) -> st.SearchStrategy[Any]:
    return st.sampled_from([text for text in POOL if is_allowed(kind, text) and (text.strip() or kind.may_be_blank)])


def is_allowed(kind: Text, text: str) -> bool:
    fits = kind.regex.fullmatch(text) and len(text) <= (kind.longest or len(text))
    return bool(fits) and not (kind.complaint and kind.complaint(text))


def _groups(kind: Group) -> st.SearchStrategy[dict[str, Any]]:
    required = {field.name: values(field.kind) for field in kind.fields if field.is_required}
    optional = {field.name: values(field.kind) for field in kind.fields if not field.is_required}
    return st.fixed_dictionaries(required, optional=optional)


@st.composite
def specs(draw: st.DrawFn) -> dict[str, Any]:
    """Valid specs."""
    return _fitting(draw(values(SPEC)))


def _fitting(spec: dict[str, Any]) -> dict[str, Any]:
    """What the fields have to do with each other, mended."""
    spec["name"] = f"w{spec['name'][:20].rstrip('-')}"
    _fit_image(spec["image"])
    _fit_replicas(spec)
    for name, agent in enumerate(spec.get("agents", [])):
        agent["name"] = f"a{name}"
    numbers = iter(range(1, 1000))
    for owner in (spec, *spec.get("agents", [])):
        _fit_container(owner, spec, numbers)
    spec["k8sSnippets"] = ["file.txt" for _ in spec.get("k8sSnippets", [])]
    _fit_entrance(spec)
    return spec


def _fit_image(image: dict[str, Any]) -> None:
    if "dockerfile" in image:
        image.pop("buildSpec", None)
        image["dockerfile"] |= {"path": "", "dockerfilePath": "Dockerfile"}
        if isinstance(image["dockerfile"].get("args"), list):
            image["dockerfile"]["args"] = ["A=1", "B="]
    for index, artifact in enumerate(image.get("buildSpec", {}).get("artifacts", [])):
        artifact.update(name=f"a{index}", source="file.txt")
    for script, file in (("configCommandsScript", "one.sh"), ("runCommandsScript", "two.sh")):
        if script in image.get("buildSpec", {}):
            image["buildSpec"][script] = file


def _fit_replicas(spec: dict[str, Any]) -> None:
    replicas = spec.get("replicas")
    if isinstance(replicas, dict) and {"max", "cpuThreshold"} & set(replicas):
        replicas.update(min=1, max=3, cpuThreshold="50%")


def _fit_container(owner: dict[str, Any], spec: dict[str, Any], numbers: Any) -> None:
    for port in owner.get("ports", []):
        protocol = "" if "healthCheck" in port else "".join(str(port["port"]).partition("/")[1:])
        port["port"] = f"{next(numbers)}{protocol}"
    names = [volume["name"] for volume in spec.get("volumes", [])]
    for index, volume in enumerate(owner.get("volumes", [])):
        if owner is spec:
            volume.update(name=f"v{index}", path=f"/v{index}")
        else:
            volume.update(attach=names[0] if names else "", mountPath=f"/v{index}")
    if owner is not spec and not names:
        owner.pop("volumes", None)
    for field, place in (("props", "/p"), ("secrets", "/s")):
        if f"{field}VolumePath" in owner:
            owner[f"{field}VolumePath"] = place
        if isinstance(owner.get(field), dict):
            owner[field] = {_variable(key): value for key, value in owner[field].items()}
        elif field in owner:
            owner[field] = sorted({_variable(key) for key in owner[field]})


def _variable(key: str) -> str:
    return key if VARIABLE.fullmatch(key) else f"K{key}"[:253]


def _fit_entrance(spec: dict[str, Any]) -> None:
    ports = [port["port"] for port in spec.get("ports", []) if not port["port"].lower().endswith("udp")]
    balancer = spec.get("loadBalancer")
    if not ports:
        spec.pop("loadBalancer", None)
        spec["allowTraffic"] = []
    elif balancer:
        spec["external"] = True
        balancer.update(host="a.example.com", labels={"a": "b"}, mapping=[{"port": ports[0], "contextPaths": ["/"]}])
    for rule in spec.get("allowTraffic", []):
        rule["ports"] = ports[:1]
        if "from" in rule:
            rule["from"] = sorted(set(rule["from"]))
    if spec.get("external") in (True, *Boolean().true):
        spec.pop("allowTraffic", None)


NUMBERS = st.floats(0, 1000, width=16).filter(lambda number: "e" not in repr(number)) | st.integers()
SCALARS = st.none() | st.booleans() | NUMBERS | st.sampled_from(POOL) | st.text(ALPHABET, max_size=10)
TREES = st.recursive(
    SCALARS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(ALPHABET, max_size=5), inner, max_size=3),
    max_leaves=8,
)


@st.composite
def spoiled(draw: st.DrawFn) -> dict[str, Any]:
    """Specs in which one value is arbitrary, valid or not."""
    spec = draw(specs())
    holder: Any = spec
    while True:
        keys = list(holder) if isinstance(holder, dict) else list(range(len(holder)))
        if not keys:
            return spec
        key = draw(st.sampled_from(keys))
        if not isinstance(holder[key], dict | list) or draw(st.integers(0, 3)) == 0:
            holder[key] = draw(TREES)
            return spec
        holder = holder[key]
