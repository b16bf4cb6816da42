"""Service specs: every field, what it can hold, and what fields have to do with each other."""

import json
import re
import time
from pathlib import Path

import pytest
from hspec_specs import (
    DATA,
    FULL,
    changed,
    full,
    loaded,
    minimal,
    problems,
    specs,
    spoiled,
    without,
    write,
)  # fmt: skip
from hypothesis import given, settings

from octopod.hspec.errors import HspecError, InvalidSpec, SpecError
from octopod.hspec.service import (
    Artifact,
    Attachment,
    BuildSpec,
    Dockerfile,
    LoadBalancer,
    Port,
    PortMapping,
    Prop,
    Range,
    Replicas,
    Secrets,
    TrafficRule,
    Volume,
)  # fmt: skip
from octopod.hspec.spec import load
from octopod.hspec.spec.kinds import Either, Group, ListOf, MapOf, walk
from octopod.hspec.spec.model import SPEC, VERSIONS

FIELDS = {".".join(path): field for path, field in walk(SPEC)}


def short(value) -> str:
    """A value in the name of a test: the same in all processes."""
    return "" if callable(value) else str(value)[:40]


def first(path: str) -> str:
    return path.replace("[]", "[0]")


# --- what a service is made of ---


def test_the_worked_example_loads():
    service = load(DATA / "catalog.hspec")
    assert service.warnings == ()
    assert service.name == "catalog"
    assert service.file == DATA / "catalog.hspec"
    assert service.image.reference == "registry.example.test/team-a/catalog:2.4"
    assert service.image.build_spec == BuildSpec(
        "docker.example.test/base/jre:17",
        (Artifact("app-jar", DATA / "target/catalog.jar", "/srv/catalog.jar"),),
        config_commands="mkdir -p /srv/data\nadduser -D svc",
        run_commands="exec java -jar /srv/catalog.jar",
    )
    assert service.start_command == ("/bin/sh", "-c", "/hyscale/init_scripts/run.sh")
    assert service.replicas == Replicas(2, 5, 60)
    assert (service.memory, service.cpu) == (Range("1024Mi", "256Mi"), Range("1000m", "100m"))
    assert service.external
    assert service.ports == (Port(8080, "http", True, "/healthz"), Port(9125, "udp"), Port(9126))
    assert service.volumes == (Volume("data", "/srv/data"), Volume("cache", "/srv/cache", "512Mi", "fast"))
    assert service.props == {
        "LOG_LEVEL": Prop("string", "info"),
        "DB_HOST": Prop("endpoint", "catalog-db"),
        "GREETING": Prop("string", "hello"),
        "app.properties": Prop("file", "conf/app.properties", DATA / "conf/app.properties"),
    }
    assert service.props_volume_path == "/etc/catalog/props"
    assert service.secrets == Secrets(("DB_PASS",), {"DB_PASS": "s3cret"})
    assert service.secrets_volume_path == "/etc/catalog/secret/creds.props"
    assert service.agents[0].volumes == (Attachment("data", "/var/in", True),)
    assert service.agents[0].props == {"OUT_HOST": Prop("endpoint", "log-store")}
    assert service.is_stateful
    assert json.loads(json.dumps(service.source)) == service.source


def test_spec_that_says_everything_loads(tmp_path):
    service = loaded(tmp_path, FULL)
    assert service.warnings == ()
    assert service.source == FULL
    assert service.snippets == (tmp_path / "file.txt",)
    assert service.agents[0].ports == (Port(2020, "tcp", True, "/"),)
    assert service.agents[0].secrets == Secrets(("TOKEN",), None)
    assert service.load_balancer == LoadBalancer(
        "istio", "shop.example.com", (PortMapping(8080, ("/",)),), "istio", True, "shop-tls", {"X-Shop": "one"},
        {"istio": "ingressgateway"},
    )  # fmt: skip


def test_spec_that_says_little_has_defaults(tmp_path):
    service = loaded(tmp_path, minimal())
    assert service.image.reference == "team/web"
    assert (service.image.dockerfile, service.image.build_spec, service.replicas) == (None, None, None)
    assert (service.memory, service.cpu, service.external, service.allow_traffic) == (None, None, False, None)
    assert not service.is_stateful
    assert service.environment is None


@pytest.mark.parametrize("path", [path for path, field in FIELDS.items() if not field.is_required])
def test_field_that_is_not_required_can_be_absent_or_empty(path, tmp_path):
    needed_by_others = {"replicas.max", "replicas.cpuThreshold", "ports", "volumes", "external", "loadBalancer.labels"}
    for spec in (without(first(path)), changed(first(path), None)):
        missing = [problem for problem in problems(tmp_path, spec) if problem.field == first(path)]
        assert not missing or path in needed_by_others


@pytest.mark.parametrize("path", [path for path, field in FIELDS.items() if field.is_required])
@pytest.mark.parametrize("value", ["absent", None, ""])
def test_field_that_is_required_is_missed(path, value, tmp_path):
    spec = without(first(path)) if value == "absent" else changed(first(path), value)
    found = problems(tmp_path, spec)
    assert first(path) in [problem.field for problem in found]
    kind = FIELDS[path].kind
    if value != "" or not isinstance(kind, Group | ListOf):
        assert any("required" in problem.message for problem in found)


@pytest.mark.parametrize("path", FIELDS)
def test_value_of_another_shape_is_refused(path, tmp_path):
    kind = FIELDS[path].kind
    takes_list = isinstance(kind, ListOf) or (isinstance(kind, Either) and kind.list)
    takes_mapping = isinstance(kind, Group | MapOf) or (isinstance(kind, Either) and kind.mapping)
    takes_scalar = not isinstance(kind, Group | ListOf | MapOf) and not (isinstance(kind, Either) and not kind.scalar)
    for takes, value, name in (
        (takes_list, ["x"], "A list"),
        (takes_mapping, {"x": "y"}, "A mapping"),
        (takes_scalar, "word", '"word"'),
    ):
        found = [problem for problem in problems(tmp_path, changed(first(path), value)) if problem.field == first(path)]
        if not takes:
            assert found[0].message.startswith((name, "This"))
            assert kind.allowed in found[0].message


@pytest.mark.parametrize("path", [path for path, field in FIELDS.items() if field.example is not None])
def test_examples_of_the_model_load(path, tmp_path):
    spec = changed(first(path), FIELDS[path].example)
    if path in ("agents[].name", "volumes[].name", "ports[].port"):
        spec.pop("loadBalancer")
    if path == "agents[].ports[].port":
        spec["ports"] = [{"port": 1}]
        spec.pop("loadBalancer")
    assert problems(tmp_path, spec) == []


# --- single fields: the reference table, row by row ---

GOOD = [
    ("hspecVersion", 0.5, lambda s: s.warnings == ()),
    ("hspecVersion", "9.9", lambda s: "not known" in s.warnings[0].message),
    ("name", "a", lambda s: s.name == "a"),
    ("name", "a" + "-b" * 11, lambda s: len(s.name) == 23),
    ("image.name", "a/b/c_d.e--f", lambda s: s.image.name == "a/b/c_d.e--f"),
    ("image.registry", "localhost:5000", lambda s: s.image.repository == "localhost:5000/team-a/web"),
    ("image.registry", "Docker.io/library", lambda s: s.image.registry == "Docker.io/library"),
    ("image.registry", None, lambda s: s.image.reference == "team-a/web:2.4"),
    ("image.tag", 1.5, lambda s: s.image.tag == "1.5"),
    ("image.tag", 7, lambda s: s.image.tag == "7"),
    ("image.tag", "Rel_1.2-x", lambda s: s.image.tag == "Rel_1.2-x"),
    ("image.tag", " ", lambda s: s.image.tag is None),
    ("image.dockerfile", {}, lambda s: s.image.dockerfile.file.name == "Dockerfile"),
    ("image.dockerfile.path", "web", lambda s: s.image.dockerfile.context.name == "web"),
    ("image.dockerfile.dockerfilePath", "docker", lambda s: s.image.dockerfile.file.parent.name == "docker"),
    ("image.dockerfile.dockerfilePath", "docker/Dockerfile", lambda s: s.image.dockerfile.file.parent.name == "docker"),
    ("image.dockerfile.args", {"A": 1.5, "B": None}, lambda s: s.image.dockerfile.args == {"A": "1.5", "B": ""}),
    ("image.dockerfile.args", ["A=b=c", "B="], lambda s: s.image.dockerfile.args == {"A": "b=c", "B": ""}),
    ("image.dockerfile.target", "build-1", lambda s: s.image.dockerfile.target == "build-1"),
    ("image.buildSpec.stackImage", "busybox", lambda s: s.image.build_spec.stack_image == "busybox"),
    ("image.buildSpec.stackImage", "Reg.io:5000/a@sha256:" + "0" * 64, lambda s: s.image.build_spec),
    ("image.buildSpec.artifacts", [], lambda s: s.image.build_spec.artifacts == ()),
    ("image.buildSpec.artifacts[0].destination", "lib/x.jar", lambda s: "WORKDIR" in s.warnings[0].message),
    ("image.buildSpec.configCommands", " \n", lambda s: s.image.build_spec.config_commands is None),
    ("image.buildSpec.configCommandsScript", "two.sh", lambda s: s.image.build_spec.config_script is None and s.warnings),
    ("image.buildSpec.runCommands", "a\nb", lambda s: s.image.build_spec.run_script is None and s.warnings),
    ("startCommand", '"/bin/sh" , -c ,"a b", ,x', lambda s: s.start_command == ("/bin/sh", "-c", "a b", "", "x")),
    ("startCommand", "", lambda s: s.start_command == ()),
    ("replicas", 0, lambda s: s.replicas == Replicas(0)),
    ("replicas", "3", lambda s: s.replicas == Replicas(3)),
    ("replicas", {"min": 2}, lambda s: s.replicas == Replicas(2) and not s.replicas.is_autoscaled),
    ("replicas", {}, lambda s: s.replicas == Replicas(1)),
    ("replicas", {"max": 4, "cpuThreshold": "5%"}, lambda s: s.replicas == Replicas(1, 4, 5)),
    ("memory", "5Mi", lambda s: s.memory == Range("5Mi")),
    ("memory", 1e9, lambda s: s.memory == Range("1000000000.0")),
    ("memory", "1Gi-1024Mi", lambda s: s.memory == Range("1024Mi", "1Gi")),
    ("cpu", "0.5", lambda s: s.cpu == Range("0.5")),
    ("cpu", 2, lambda s: s.cpu == Range("2")),
    ("cpu", "1e-1", lambda s: s.cpu == Range("1e-1")),
    ("cpu", "1e-1-1e0", lambda s: s.cpu == Range("1e0", "1e-1")),
    ("external", "yes", lambda s: s.external),
    ("ports[1].port", "1/UDP", lambda s: s.ports[1] == Port(1, "udp")),
    ("ports[1].port", 65535, lambda s: s.ports[1] == Port(65535)),
    ("ports[1].port", "8443/Https", lambda s: s.ports[1] == Port(8443, "https")),
    ("ports[1].port", "8080/udp", lambda s: s.ports[1].name == "8080-udp"),
    ("ports[0].healthCheck", {}, lambda s: s.ports[0] == Port(8080, "http", True, None)),
    ("ports[0].healthCheck", None, lambda s: not s.ports[0].is_checked and s.warnings),
    ("ports[0].healthCheck.httpPath", "", lambda s: s.ports[0].http_path == ""),
    ("volumes[0].size", None, lambda s: s.volumes[0].size == "1Gi"),
    ("volumes[0].size", "500M", lambda s: s.volumes[0].size == "500M"),
    ("volumes[0].size", 1000, lambda s: s.volumes[0].size == "1000"),
    ("volumes[0].readOnly", "On", lambda s: s.volumes[0].read_only),
    ("props", {"A": True, "B": 1.5, "C": None}, lambda s: [p.text for p in s.props.values()] == ["true", "1.5", ""]),
    ("props", {"F": "FILE( file.txt )"}, lambda s: s.props["F"].file.name == "file.txt"),
    ("props", {"E": "Endpoint(db)"}, lambda s: s.props["E"] == Prop("endpoint", "db")),
    ("props", {"S": "STRING( a(b)\nc )"}, lambda s: s.props["S"] == Prop("string", " a(b)\nc ")),
    ("props", {"S": "see file(x)"}, lambda s: s.props["S"] == Prop("string", "see file(x)")),
    ("props", {"S": "string(file(x))"}, lambda s: s.props["S"] == Prop("string", "file(x)")),
    ("props", {"9.conf": "file(file.txt)"}, lambda s: s.props["9.conf"].kind == "file"),
    ("secrets", ["A", "B"], lambda s: s.secrets == Secrets(("A", "B"))),
    ("secrets", [], lambda s: s.secrets is None),
    ("secrets", {"A": 1, "B": None}, lambda s: s.secrets == Secrets(("A", "B"), {"A": "1", "B": ""})),
    ("secrets", {"LEVEL": "x"}, lambda s: "the secret wins" in s.warnings[0].message),
    ("agents", [], lambda s: s.agents == ()),
    ("agents[0].name", "a" * 63, lambda s: s.agents[0].name == "a" * 63),
    ("agents[0].volumes", [{"attach": "data", "mountPath": p} for p in ("/a", "/b")], lambda s: len(s.agents[0].volumes) == 2),
    ("allowTraffic", [], lambda s: s.allow_traffic == ()),
    ("allowTraffic[0].from", None, lambda s: s.allow_traffic == (TrafficRule((Port(8080),), None),)),
    ("allowTraffic[0].from", [], lambda s: s.allow_traffic[0].sources == ()),
    ("allowTraffic[0].ports", ["8080/HTTPS", 2020], lambda s: len(s.allow_traffic[0].ports) == 2),
    ("allowTraffic[0].ports", [], lambda s: s.allow_traffic[0].ports == ()),
    ("loadBalancer.provider", "nginx", lambda s: s.load_balancer.provider == "nginx"),
    ("loadBalancer.host", "*.example.com", lambda s: s.load_balancer.host == "*.example.com"),
    ("loadBalancer.mapping[0].port", 2020, lambda s: s.load_balancer.mapping[0].port == 2020),
    ("loadBalancer.headers", None, lambda s: s.load_balancer.headers == {}),
]  # fmt: skip


@pytest.mark.parametrize(("path", "value", "is_right"), GOOD, ids=short)
def test_value_is_taken(path, value, is_right, tmp_path):
    assert is_right(loaded(tmp_path, changed(path, value)))


BAD = [
    ("name", ["A", "a_b", "-a", "a-", "9a", "a.b", "a" * 64, "a b", "a\n"]),
    ("image.name", ["Web", "a//b", "/a", "a/", "web:1", "reg.io:5000/web", "a b", "web@sha256:" + "0" * 64]),
    ("image.registry", ["https://reg.io", "reg.io/", "reg io", "-reg.io", "reg.io:x"]),
    ("image.tag", [".a", "-a", "a b", "a:b", "x" * 129, -1]),
    ("image.dockerfile.path", ["nowhere", "file.txt", "x" * 5000]),
    ("image.dockerfile.dockerfilePath", ["nowhere", "k8s"]),
    ("image.dockerfile.args", [{"a-b": "c"}, {"1a": "c"}, ["a"], ["=b"], [5], ["A=1", "A=2"], {"A": ["b"]}]),
    ("image.dockerfile.target", ["a b", "-a"]),
    ("image.buildSpec.stackImage", ["Busybox", "a b", "a:", "http://a/b"]),
    ("image.buildSpec.artifacts[0].name", ["a/b", "..", ".a", "a b"]),
    ("image.buildSpec.artifacts[0].source", ["nowhere", "docker", "x" * 5000]),
    ("image.buildSpec.artifacts[0].destination", ["a\nb"]),
    ("image.buildSpec.runCommandsScript", ["nowhere", "docker", "Dockerfile"]),
    ("startCommand", [",", " , -c"]),
    ("replicas", [-1, 1.5, "many", "007", "1e3", 2**31, "9" * 11, True]),
    ("replicas.min", [0, -1, "x", 4]),
    ("replicas.max", [0, "x", 1.5]),
    ("replicas.cpuThreshold", ["60", 60, "0%", "6.5%", "60 %", "-1%", "%"]),
    ("memory", ["4Mi", "1Mi", "0", "lots", "1g", "1Gi-", "-1Gi", "2Gi-1Gi", "1Gi-2Gi-3Gi", "1 Gi", "100m", "8Ei", "1Gi-8Ei"]),
    ("cpu", ["1m", "0.001", "0", "x", "2-1", "500m-100m", "1e99"]),
    ("external", ["oui", 1, "TruE"]),
    ("ports[0].port", [0, 65536, -1, "x", "80/sctp", "80/", "/tcp", "080", 80.5, "8080 /tcp", "9125/UDP"]),
    ("ports[0].healthCheck.httpPath", ["a b", "a\nb"]),
    ("volumes[0].name", ["A", "a_b", "-", "a" * 64]),
    ("volumes[0].path", ["srv", "./srv", "/a:b", "/", "/a\nb", "/etc/web/props", "/etc/web/secrets/"]),
    ("volumes[0].size", ["0", "1g", "big", "-1Gi", "1Gi-2Gi", "8Ei"]),
    ("volumes[0].storageClass", ["Fast", "a b", "a" * 254]),
    ("volumes[0].readOnly", ["maybe"]),
    ("props", [{"a b": "x"}, {"..a": "x"}, {".": "x"}, {"a" * 254: "x"}, {"1A": "x"}, {"A": ["x"]}, {"A": {"b": "c"}},
               {"": "x"}, {"é": "x"}, {"F": "file()"}, {"F": "file( )"}, {"F": "file(nowhere)"}, {"F": "FILE(docker)"},
               {"E": "endpoint()"}, {"E": "endpoint(a b)"}, {"config.props": "x"}]),
    ("propsVolumePath", ["etc/props", "/", "/srv/data/"]),
    ("secrets", [["A", "A"], ["1A"], ["a b"], [["A"]], [{"A": "b"}], [None], {"1A": "x"}, {"A": ["x"]}, {"secret.props": "x"},
                 ["secret.props"]]),
    ("secretsVolumePath", ["etc/secrets", "/etc/web/props"]),
    ("agents[0].name", ["A", "web", "a" * 64]),
    ("agents[0].image", ["A", "a b"]),
    ("agents[0].ports[0].port", ["8080", "x"]),
    ("agents[0].propsVolumePath", ["var", "/var/in"]),
    ("agents[0].volumes[0].attach", ["nowhere", "A"]),
    ("agents[0].volumes[0].mountPath", ["var"]),
    ("agents[0].props", [{"F": "file(nowhere)"}]),
    ("agents[0].secrets", [["A", "A"]]),
    ("k8sSnippets", [["nowhere"], ["docker"], [["file.txt"]], [None]]),
    ("allowTraffic[0].ports", [["77"], ["8080/udp"], ["x"], ["8080", "8080"]]),
    ("allowTraffic[0].from", [["A"], ["a", "a"], "shop"]),
    ("loadBalancer.provider", ["apache", "Nginx"]),
    ("loadBalancer.host", ["A.b", "a b", "*", "a.*.b", "http://a", "a/b"]),
    ("loadBalancer.mapping", [[], [{"port": 8080, "contextPaths": ["/a"]}, {"port": 2020, "contextPaths": ["/a"]}]]),
    ("loadBalancer.mapping[0].port", ["77", "9125/udp", "x"]),
    ("loadBalancer.mapping[0].contextPaths", [[], ["a"], ["/a b"], ["/", "/"], ["/{x}"]]),
    ("loadBalancer.mapping[0].contextPaths[0]",
     ["//", "/a//b", "/./a", "/a/../b", "/a%2fb", "/a%2Fb", "/.", "/a/.", "/a/.."]),
    ("loadBalancer.className", ["A b"]),
    ("loadBalancer.sticky", ["perhaps"]),
    ("loadBalancer.tlsSecret", ["A", "a b"]),
    ("loadBalancer.headers", [{"a b": "c"}, {"a": "b\nc"}, {"a": ["b"]}]),
    ("loadBalancer.labels", [{"a b": "c"}, {"a": "-b"}, {"a": "b" * 64}, {}, None]),
]  # fmt: skip


@pytest.mark.parametrize(("path", "value"), [(path, value) for path, values in BAD for value in values], ids=short)
def test_value_is_refused_with_its_field_and_line(path, value, tmp_path):
    spec = changed(path, value)
    if path == "loadBalancer.host":
        spec["loadBalancer"]["provider"] = "nginx"
    text = json.dumps(spec, indent=1)
    found = problems(tmp_path, text)
    assert found
    related = re.sub(r"\[\d+\]$", "", path).rpartition(".")[0]
    for problem in found:
        assert problem.field.startswith((path, related)) or path in (
            "volumes[0].name",
            "ports[0].port",
            "volumes[0].path",
        )
        assert problem.file == str(tmp_path / "web.hspec")
        assert problem.line > 0
        assert problem.message.endswith(".")
        assert len(problem.message) < 500 + len(str(tmp_path))


# --- several fields ---


@pytest.mark.parametrize(
    ("spec", "field", "words"),
    [
        (minimal(image={"name": "a", "dockerfile": {}, "buildSpec": {"stackImage": "b"}}), "image.buildSpec", "dockerfile"),
        (minimal(replicas={"max": 3}), "replicas.cpuThreshold", "required"),
        (minimal(replicas={"cpuThreshold": "5%"}), "replicas.max", "required"),
        (minimal(replicas={"min": 3, "max": 2, "cpuThreshold": "5%"}), "replicas.max", "less than min, 3"),
        (minimal(replicas={"min": 0, "max": 2, "cpuThreshold": "5%"}), "replicas.min", "1 or more"),
        (minimal(ports=[{"port": 80}, {"port": "80/http"}]), "ports[1].port", "80/TCP is there twice"),
        (minimal(ports=[{"port": "80/udp", "healthCheck": {}}]), "ports[0].healthCheck", "UDP"),
        (minimal(volumes=[{"name": "a", "path": "/a"}, {"name": "a", "path": "/b"}]), "volumes[1].name", "twice"),
        (minimal(volumes=[{"name": "a", "path": "/a"}, {"name": "b", "path": "/a/"}]), "volumes[1].path", "twice"),
        (minimal(agents=[{"name": "a", "image": "b"}] * 2), "agents[1].name", "twice"),
        (minimal(agents=[{"name": "web", "image": "b"}]), "agents[0].name", "name of the service"),
        (
            minimal(ports=[{"port": 80}], agents=[{"name": "a", "image": "b", "ports": [{"port": "80/https"}]}]),
            "agents[0].ports[0].port",
            "twice, first in line 1",
        ),
        (
            minimal(agents=[{"name": "a", "image": "b", "volumes": [{"attach": "c", "mountPath": "/c"}]}]),
            "agents[0].volumes[0].attach",
            "it has none",
        ),
        (minimal(external=True, allowTraffic=[]), "allowTraffic", "external"),
        (minimal(allowTraffic=[{"from": ["a"]}]), "allowTraffic[0].ports", "required"),
        (minimal(allowTraffic=[{"ports": [80]}]), "allowTraffic[0].ports[0]", "not among the ports"),
        (minimal(loadBalancer={}), "loadBalancer", "external"),
        (
            minimal(image={"name": "a", "buildSpec": {"stackImage": "b", "configCommands": "c",
                    "runCommandsScript": "other/configure.sh"}}),
            "image.buildSpec.runCommandsScript",
            "another name",
        ),
        (
            minimal(image={"name": "a", "buildSpec": {"stackImage": "b", "configCommandsScript": "scripts/run.sh",
                    "runCommandsScript": "other/run.sh"}}),
            "image.buildSpec.runCommandsScript",
            "another name",
        ),
        (
            minimal(image={"name": "a", "buildSpec": {"stackImage": "b", "artifacts": [
                {"name": "a", "source": "file.txt", "destination": "/a"}] * 2}}),
            "image.buildSpec.artifacts[1].name",
            "twice",
        ),
    ],
)  # fmt: skip
def test_fields_that_do_not_fit_together_are_refused(spec, field, words, tmp_path):
    (tmp_path / "other").mkdir()
    (tmp_path / "other/configure.sh").touch()
    (tmp_path / "other/run.sh").touch()
    found = {problem.field: problem.message for problem in problems(tmp_path, spec)}
    assert words in found[field]


def test_all_problems_are_told_at_once_in_the_order_of_the_file(tmp_path):
    spec = "name: A\nimage:\n  name: B\nreplicas: x\nmemory: y\nports:\n- port: 0\n- port: z\nexternal: maybe\n"
    with pytest.raises(InvalidSpec) as raised:
        loaded(tmp_path, spec)
    assert [problem.line for problem in raised.value.problems] == [1, 3, 4, 5, 7, 8, 9]
    assert raised.value.code == 22
    assert f'{tmp_path}/web.hspec:7: ports[0].port: "0" is not allowed' in str(raised.value)


@pytest.mark.parametrize(
    ("fields", "field", "words"),
    [
        ({"replica": 2}, "replica", "Did you mean `replicas`?"),
        ({"PORTS": []}, "PORTS", "Did you mean `ports`?"),
        ({"startCommands": "a"}, "startCommands", "`startCommand`"),
        ({"tag": "1"}, "tag", "There is `image.tag`."),
        ({"lbMappings": []}, "lbMappings", "no such field"),
        ({"xyzzy": 1}, "xyzzy", "ignored."),
        ({"ports": [{"port": 1, "healthcheck": {}}]}, "ports[0].healthcheck", "`healthCheck`"),
        ({"ports": [{"port": 1, "healthCheck": {"httppath": "/"}}]}, "ports[0].healthCheck.httppath", "`httpPath`"),
    ],
)
def test_unknown_field_is_warned_of_with_the_nearest_one(fields, field, words, tmp_path):
    (warning,) = loaded(tmp_path, minimal(**fields)).warnings
    assert warning.field == field
    assert words in warning.message
    assert warning.line == 1


@pytest.mark.parametrize(
    ("ports", "used", "unused"),
    [
        ([{"port": 1, "healthCheck": {}}, {"port": 2, "healthCheck": {"httpPath": "/"}}], "2.", "ports[0].healthCheck"),
        ([{"port": 1, "healthCheck": {}}, {"port": 2, "healthCheck": {}}], "1.", "ports[1].healthCheck"),
        ([{"port": 1, "healthCheck": {"httpPath": "/"}}, {"port": "2/https", "healthCheck": {"httpPath": "/"}}], "1.",
         "ports[1].healthCheck"),
    ],
)  # fmt: skip
def test_only_one_health_check_is_used_and_the_others_are_warned_of(ports, used, unused, tmp_path):
    (warning,) = loaded(tmp_path, minimal(ports=ports)).warnings
    assert warning.field == unused
    assert warning.message.endswith(used)


@pytest.mark.parametrize(
    ("rule", "field", "words"),
    [({"ports": [8080], "from": []}, "allowTraffic[0].from", "everybody in"),
     ({"ports": [8080]}, "allowTraffic[0]", "nobody in"),
     ({"ports": [8080], "from": None}, "allowTraffic[0]", "nobody in")],
)  # fmt: skip
def test_rules_without_names_of_services_are_warned_of(rule, field, words, tmp_path):
    (warning,) = loaded(tmp_path, minimal(ports=[{"port": 8080}], allowTraffic=[rule])).warnings
    assert warning.field == field
    assert words in warning.message


@pytest.mark.parametrize(("provider", "is_warned_of"), [("nginx", True), ("traefik", False), ("istio", False)])
def test_headers_that_nginx_may_refuse_are_warned_of(provider, is_warned_of, tmp_path):
    warnings = loaded(tmp_path, changed("loadBalancer.provider", provider)).warnings
    assert ["allow-snippet-annotations" in warning.message for warning in warnings] == [True] * is_warned_of


def test_autoscaling_without_cpu_is_warned_of(tmp_path):
    (warning,) = loaded(tmp_path, minimal(replicas={"max": 2, "cpuThreshold": "5%"})).warnings
    assert "cpu" in warning.message


@pytest.mark.parametrize(
    ("name", "is_right"),
    [
        ("web.hspec", True),
        ("web.hspec.yaml", True),
        ("web.hspec.yml", True),
        ("web.yaml", False),
        ("shop.hspec", False),
    ],
)
def test_name_of_the_file_is_that_of_the_service(name, is_right, tmp_path):
    warnings = load(write(tmp_path, minimal(), name)).warnings
    assert [warning.field for warning in warnings] == ([] if is_right else ["name"])


@pytest.mark.parametrize("version", VERSIONS)
def test_versions_of_the_format_are_known(version, tmp_path):
    assert loaded(tmp_path, f"hspecVersion: {version}\nname: web\nimage: {{name: web}}\n").warnings == ()


def test_texts_are_as_they_are_written(tmp_path):
    spec = "name: web\nimage: {name: web, tag: 1.10}\nprops: {FLAG: on, OCT: 010, HEX: 0x1F, T: 12:30, D: 2026-01-01, N: ~}\n"
    service = loaded(tmp_path, spec)
    assert service.image.tag == "1.10"
    assert [prop.text for prop in service.props.values()] == ["on", "010", "0x1F", "12:30", "2026-01-01", ""]


# --- files ---


def test_paths_are_those_of_the_spec_wherever_one_is(tmp_path, monkeypatch):
    monkeypatch.chdir("/")
    spec = full()
    spec["props"]["app.conf"] = f"file({tmp_path}/file.txt)"
    spec["image"]["buildSpec"]["artifacts"][0]["source"] = "docker/../file.txt"
    service = loaded(tmp_path / "sub" / "..", spec)
    assert service.props["app.conf"].file == tmp_path / "file.txt"
    assert service.image.build_spec.artifacts[0].source == tmp_path / "file.txt"
    assert service.image.build_spec.run_script == tmp_path / "one.sh"
    assert service.file == tmp_path / "web.hspec"


@pytest.mark.parametrize(
    ("dockerfile", "context", "file"),
    [
        ({}, ".", "Dockerfile"),
        ({"path": ""}, ".", "Dockerfile"),
        ({"path": "./"}, ".", "Dockerfile"),
        ({"path": "web"}, "web", "web/Dockerfile"),
        ({"path": "web", "dockerfilePath": "docker"}, "web", "web/docker/Dockerfile"),
        ({"path": "web", "dockerfilePath": "docker/Dockerfile"}, "web", "web/docker/Dockerfile"),
        ({"dockerfilePath": "file.txt"}, ".", "file.txt"),
        ({"path": "web", "dockerfilePath": "../docker"}, "web", "docker/Dockerfile"),
    ],
)
def test_dockerfile_is_found_in_its_context(dockerfile, context, file, tmp_path):
    service = loaded(tmp_path, minimal(image={"name": "web", "dockerfile": dockerfile}))
    assert service.image.dockerfile == Dockerfile(tmp_path / context, tmp_path / file)


OUTSIDE = ["../outside", "/etc/passwd", "link", "linked/outside"]
FILE_FIELDS = [
    ("image.buildSpec.artifacts[0].source", "{}"), ("image.buildSpec.runCommandsScript", "{}"), ("props", {"F": "file({})"}),
    ("agents[0].props", {"F": "file({})"}), ("k8sSnippets", ["{}"]), ("image.dockerfile.dockerfilePath", "{}"),
]  # fmt: skip


@pytest.mark.parametrize("outside", OUTSIDE)
@pytest.mark.parametrize(("path", "form"), FILE_FIELDS, ids=short)
def test_no_file_is_taken_from_outside_of_a_root(path, form, outside, tmp_path):
    root = tmp_path / "root"
    root.mkdir()
    (tmp_path / "outside").touch()
    (root / "link").symlink_to(tmp_path / "outside")
    (root / "linked").symlink_to(tmp_path)
    value = json.loads(json.dumps(form).replace("{}", outside))
    assert problems(root, changed(path, value)) == []
    found = problems(root, changed(path, value), root=root)
    assert "leads out" in found[0].message
    assert problems(root, full(path), root=root) == []


@pytest.mark.parametrize("context", ["..", "/etc", "linked"])
def test_no_context_is_outside_of_a_root(context, tmp_path):
    root = tmp_path / "root"
    root.mkdir()
    (root / "linked").symlink_to(tmp_path)
    found = problems(root, changed("image.dockerfile.path", context), root=root)
    assert "leads out" in found[0].message


def test_spec_and_profile_are_below_the_root_as_well(tmp_path):
    root = tmp_path / "root"
    root.mkdir()
    with pytest.raises(SpecError, match="outside"):
        loaded(tmp_path, minimal(), root=root)
    (tmp_path / "x.hprof").write_text("environment: dev\noverrides: web\n")
    (root / "x.hprof").symlink_to(tmp_path / "x.hprof")
    with pytest.raises(HspecError, match="outside") as raised:
        loaded(root, minimal(), root=root, profile=root / "x.hprof")
    assert raised.value.code == 30


def test_root_may_be_reached_by_a_link(tmp_path):
    (tmp_path / "root").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "root")
    assert loaded(tmp_path / "link", full(), root=tmp_path / "link").file == tmp_path / "link/web.hspec"
    assert loaded(tmp_path / "link", full(), root=tmp_path / "root")


def test_more_than_kubernetes_keeps_in_one_object_is_refused(tmp_path):
    with (tmp_path / "large").open("wb") as file:
        file.truncate(1_048_570)
    spec = minimal(props={"F": "file(large)", "G": "1234567"}, secrets={"S": "x"})
    assert [problem.field for problem in problems(tmp_path, spec)] == ["props"]
    assert problems(tmp_path, minimal(props={"F": "file(large)", "G": "123456"})) == []
    assert problems(tmp_path, minimal(secrets={"S": "x" * 1_000_000})) == []
    found = problems(tmp_path, minimal(secrets={"S": "x" * 600_000}, secretsVolumePath="/run/secrets"))
    assert [problem.field for problem in found] == ["secrets"]
    found = problems(tmp_path, minimal(), overrides={"secrets": {"S": "x" * 1_048_577}})
    assert [problem.field for problem in found] == ["secrets"]


def test_link_in_a_circle_is_no_file(tmp_path):
    (tmp_path / "circle").symlink_to("circle")
    assert "no file" in problems(tmp_path, minimal(k8sSnippets=["circle"]))[0].message
    assert problems(tmp_path, minimal(k8sSnippets=["circle"]), root=tmp_path)


# --- arbitrary specs ---


@pytest.fixture(scope="module")
def place(tmp_path_factory) -> Path:
    return tmp_path_factory.mktemp("specs")


@given(specs())
@settings(max_examples=40)
def test_any_valid_spec_loads(place, spec):
    service = loaded(place, spec)
    assert service.name == spec["name"]
    assert json.loads(json.dumps(service.source)) == service.source
    assert len(service.ports) == len(spec.get("ports") or [])


@given(spoiled())
@settings(max_examples=100)
def test_any_spec_loads_or_is_refused_with_lines(place, spec):
    try:
        loaded(place, spec)
    except HspecError as error:
        assert all(problem.line == 1 and problem.message for problem in error.problems)  # noqa: PT017


def test_fifty_specs_load_in_a_moment(tmp_path):
    path = write(tmp_path, FULL)
    load(path)
    started = time.process_time()
    for _ in range(50):
        load(path)
    assert time.process_time() - started < 1.0  # a fifth of this is usual


@pytest.mark.parametrize(
    "spec",
    [
        minimal(**{f"replicaz{number}": 1 for number in range(9_000)}),
        minimal(secrets=[f"A{number}" for number in range(9_000)]),
        minimal(ports=[{"port": number} for number in range(1, 5_000)],
                allowTraffic=[{"ports": list(range(10_000, 14_000))}]),
        minimal(startCommand=" " * 400_000 + "x", cpu="1" * 400_000),
        minimal(startCommand="x" + " " * 100_000 + "y"),
        {"name": "web", "image": {"name": "a-" * 200_000, "registry": "a." * 200_000, "tag": "a" * 100_000}},
    ],
    ids=["unknown", "secrets", "ports", "blanks", "blanks within", "names"],
)  # fmt: skip
def test_what_is_as_large_as_it_may_be_is_checked_without_delay(spec, tmp_path):
    path = write(tmp_path, spec)
    started = time.process_time()
    try:
        load(path)
    except InvalidSpec as error:
        assert all(len(problem.message) < 500 for problem in error.problems)  # noqa: PT017 -- either outcome is right
    assert time.process_time() - started < 3.0  # a tenth of this is usual
