"""The chart charts/octopod, by the real helm: what it renders, what it refuses, and what an upgrade keeps."""

import base64
import json
import re
import runpy
import subprocess
import tomllib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import kubernetes_validate
import pytest
import yaml
from conftest import ROOT

from octopod import __version__
from octopod.settings import SETTINGS, Settings

CHART = ROOT / "charts/octopod"
NEWEST = int(kubernetes_validate.latest_version().split(".")[1])
VERSIONS = [f"1.{NEWEST - age}" for age in range(3)]
DOMAIN = {"octopod.baseDomain": "staging.example.com"}
EXTERNAL = {"postgresql.enabled": "false", "externalDatabase.existingSecret": "db"}
SQLITE = {"postgresql.enabled": "false"}
OWN_SECRETS = {
    f"secrets.{part}.existingSecret": f"my-{part.lower()}" for part in ("uiAuth", "adminAuth", "cliAuth", "servoToken")
}
MATRIX = {
    "defaults": {},
    "external": EXTERNAL,
    "sqlite": SQLITE,
    "volume": {**SQLITE, "persistence.enabled": "true", "persistence.storageClass": "fast"},
    "claim": {**SQLITE, "persistence.enabled": "true", "persistence.existingClaim": "mine"},
    "ingress": {**DOMAIN, "ingress.enabled": "true"},
    "http": {**DOMAIN, "ingress.enabled": "true", "ingress.tls.enabled": "false", "ingress.host": "pods.example.com"},
    "everywhere": {"rbac.clusterWide": "true"},
    "extras": {"networkPolicy.enabled": "true", "podDisruptionBudget.enabled": "true", "serviceMonitor.enabled": "true"},
    "peers": {"networkPolicy.enabled": "true", "networkPolicy.from[0].namespaceSelector.matchLabels.name": "ingress"},
    "own secrets": {**OWN_SECRETS, "postgresql.existingSecret": "my-postgresql"},
    "no logins": {"secrets.uiAuth.enabled": "false", "secrets.adminAuth.enabled": "false", "octopod.env.OCTOPOD_TRUSTED_USER_HEADER": "X-User"},
    "three": {**EXTERNAL, "replicaCount": "3", "topologySpreadConstraints[0].maxSkew": "1",
              "topologySpreadConstraints[0].topologyKey": "zone", "topologySpreadConstraints[0].whenUnsatisfiable": "ScheduleAnyway"},
    "environment": {"extraEnv[0].name": "HELM_PASS", "extraEnv[0].valueFrom.secretKeyRef.name": "repo", "extraEnv[0].valueFrom.secretKeyRef.key": "p",
                    "extraEnvFrom[0].secretRef.name": "more", "extraVolumes[0].name": "ca", "extraVolumes[0].secret.secretName": "ca",
                    "extraVolumeMounts[0].name": "ca", "extraVolumeMounts[0].mountPath": "/ca", "octopod.env.HELM_TIMEOUT": "900"},
    "placed": {"nodeSelector.disk": "ssd", "tolerations[0].operator": "Exists", "podAnnotations.why": "because", "podLabels.team": "a",
               "affinity.nodeAffinity.preferredDuringSchedulingIgnoredDuringExecution": "null", "imagePullSecrets[0].name": "hub"},
    "named": {"fullnameOverride": "squid", "serviceAccount.create": "false", "serviceAccount.name": "mine", "rbac.create": "false"},
    "dashboard": {"kubernetesDashboard.enabled": "true", "kubernetesDashboard.url": "https://dash.example.com/"},
}  # fmt: skip

Object = dict[str, Any]
Render = Callable[..., list[Object]]


def flags(values: dict[str, str]) -> list[str]:
    return [text for key, value in values.items() for text in ("--set", f"{key}={value}")]


def rendered(helm: Path, values: dict[str, str], *more: str) -> subprocess.CompletedProcess[str]:
    command = [helm, "template", "octopod", CHART, "--namespace", "here", *flags(values), *more]
    return subprocess.run(command, capture_output=True, text=True)


@pytest.fixture
def render(helm: Path) -> Render:
    """The objects that the chart makes of these values."""

    def objects(values: dict[str, str] | None = None, *more: str) -> list[Object]:
        done = rendered(helm, values or {}, *more)
        assert done.returncode == 0, done.stderr
        return [item for item in yaml.safe_load_all(done.stdout) if item]

    return objects


@pytest.fixture
def refusal(helm: Path) -> Callable[..., str]:
    """What helm says about values that the chart does not take."""

    def said(**values: str) -> str:
        done = rendered(helm, {key.replace("__", "."): value for key, value in values.items()})
        assert done.returncode != 0
        return done.stderr

    return said


def the(kind: str, objects: list[Object], name: str = "octopod") -> Object:
    return next(item for item in objects if item["kind"] == kind and item["metadata"]["name"] == name)


def kinds(objects: list[Object]) -> set[str]:
    return {item["kind"] for item in objects}


def pod_of(item: Object) -> Object:
    """The specification of its pods; empty for what has none."""
    return item["spec"] if item["kind"] == "Pod" else item.get("spec", {}).get("template", {}).get("spec", {})


def server(objects: list[Object]) -> Object:
    [deployment] = [item for item in objects if item["kind"] == "Deployment"]
    return pod_of(deployment)["containers"][0]


def environment(objects: list[Object]) -> dict[str, Any]:
    """Of the server: name to value, or to (Secret, key)."""
    references = {
        e["name"]: e.get("value") or tuple(e["valueFrom"]["secretKeyRef"].values()) for e in server(objects)["env"]
    }
    assert len(references) == len(server(objects)["env"]), "a name is there twice"
    return references


# What it renders


def test_lint_finds_nothing(helm):
    for values in MATRIX.values():
        subprocess.run([helm, "lint", "--strict", CHART, *flags(values)], check=True, capture_output=True)


@pytest.mark.parametrize("case", MATRIX)
def test_newest_three_kubernetes_versions_accept_every_object(render, case):
    for version in VERSIONS:
        for item in render(MATRIX[case], "--kube-version", f"{version}.0"):
            if item["kind"] != "ServiceMonitor":  # of an operator
                kubernetes_validate.validate(item, version, strict=True)


@pytest.mark.parametrize("case", MATRIX)
def test_everything_runs_without_rights_and_with_its_root_read_only(render, case):
    pods = [pod_of(item) for item in render(MATRIX[case]) if pod_of(item)]
    assert pods
    for pod in pods:
        assert pod["securityContext"]["runAsNonRoot"] is True
        assert pod["securityContext"]["runAsUser"] > 0
        assert pod["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
        assert pod["enableServiceLinks"] is False
        for container in pod.get("initContainers", []) + pod["containers"]:
            assert container["securityContext"] == {
                "allowPrivilegeEscalation": False, "readOnlyRootFilesystem": True, "capabilities": {"drop": ["ALL"]},
            }  # fmt: skip
            assert container["resources"]["requests"] and container["resources"]["limits"]["memory"]


@pytest.mark.parametrize("case", MATRIX)
def test_secrets_stand_in_secrets_only(render, case):
    objects = render(MATRIX[case])
    everything_else = str([item for item in objects if item["kind"] != "Secret"])
    secrets = [
        base64.b64decode(value).decode()
        for item in objects
        if item["kind"] == "Secret"
        for value in item["data"].values()
    ]
    for secret in secrets:
        assert len(secret) >= 32
        assert secret not in everything_else
        assert secret.split(":")[-1] not in everything_else
    by_reference = {name for name, value in environment(objects).items() if isinstance(value, tuple)}
    secret_settings = {f"OCTOPOD_{setting.name}" for setting in SETTINGS if setting.secret}
    plain = set(environment(objects)) - by_reference
    assert plain & secret_settings <= (
        {"OCTOPOD_DATABASE_URL"} if MATRIX[case].get("postgresql.enabled") == "false" else set()
    )


@pytest.mark.parametrize("case", MATRIX)
def test_settings_are_ones_that_the_server_knows_and_takes(render, case):
    """Not only their names: what the chart sets is loaded as the server loads it."""
    given = {
        name: value if isinstance(value, str) else "postgresql://a:b@c/d"
        for name, value in environment(render(MATRIX[case])).items()
    }
    assert {name for name in given if name.startswith("OCTOPOD_")} <= {
        f"OCTOPOD_{setting.name}" for setting in SETTINGS
    }
    proxies = {"OCTOPOD_TRUSTED_PROXIES": "10.0.0.0/8"} if case == "no logins" else {}
    Settings().load({name: value for name, value in given.items() if name.startswith("OCTOPOD_")} | proxies)


@pytest.mark.parametrize("case", MATRIX)
def test_selectors_find_the_pods_that_are_meant(render, case):
    objects = render(MATRIX[case])
    pods = {
        item["metadata"]["name"]: item["spec"]["template"]["metadata"]["labels"]
        for item in objects
        if item["kind"] in ("Deployment", "StatefulSet")
    }

    def chosen(labels: dict[str, str]) -> list[str]:
        return [name for name, its in pods.items() if labels.items() <= its.items()]

    for item in objects:
        name = item["metadata"]["name"]
        selector = item.get("spec", {}).get("podSelector") or item.get("spec", {}).get("selector")
        if selector and item["kind"] != "ServiceMonitor":
            assert chosen(selector.get("matchLabels", selector)) == [name], item["kind"]
    assert (
        the("Service", objects, name="squid" if case == "named" else "octopod")["spec"]["ports"][0]["targetPort"]
        == "http"
    )


@pytest.mark.parametrize("case", MATRIX)
def test_mounts_have_their_volumes(render, case):
    for item in render(MATRIX[case]):
        pod = pod_of(item)
        volumes = [volume["name"] for volume in pod.get("volumes", [])]
        volumes += [claim["metadata"]["name"] for claim in item.get("spec", {}).get("volumeClaimTemplates", [])]
        mounted = {
            mount["name"]
            for part in ("initContainers", "containers")
            for c in pod.get(part, [])
            for mount in c.get("volumeMounts", [])
        }
        assert mounted == set(volumes) and len(volumes) == len(set(volumes))


def test_server_can_write_where_it_has_to(render):
    pod = pod_of(the("Deployment", render()))
    mounts = {mount["mountPath"]: mount for mount in pod["containers"][0]["volumeMounts"]}
    assert set(mounts) == {"/utils", "/var/lib/octopod", "/home/octopod", "/tmp"}
    assert [path for path, mount in mounts.items() if mount.get("readOnly")] == ["/utils"]


def test_suite_is_copied_before_the_server_starts(render):
    pod = pod_of(the("Deployment", render({"controlScripts.image": "mine/suite:3"})))
    copy = pod["initContainers"][0]
    assert copy["image"] == "mine/suite:3"
    assert copy["command"] == ["cp", "-Rf", "/utils/.", copy["volumeMounts"][0]["mountPath"]]
    assert copy["volumeMounts"][0]["name"] == "control-scripts"
    assert environment(render())["OCTOPOD_CONTROL_SCRIPTS"] == "/utils"


def test_failing_init_is_shown_and_tried_again(render):
    pod = pod_of(the("Deployment", render()))
    assert pod["containers"][0]["terminationMessagePolicy"] == "FallbackToLogsOnError"
    assert pod.get("restartPolicy", "Always") == "Always"


def test_probes_ask_what_they_should(render):
    container = server(render())
    asked = {probe: container[f"{probe}Probe"]["httpGet"]["path"] for probe in ("startup", "readiness", "liveness")}
    assert asked == {"startup": "/readyz", "readiness": "/readyz", "liveness": "/healthz"}
    assert container["ports"] == [{"name": "http", "containerPort": int(environment(render())["OCTOPOD_PORT"])}]
    patience = server(render({"startupProbe.seconds": "61"}))["startupProbe"]
    assert patience["failureThreshold"] * patience["periodSeconds"] >= 61


@pytest.mark.parametrize("drain", [1, 300, 86400])
def test_pod_is_given_the_time_that_the_drain_takes(render, drain):
    objects = render({"octopod.drainTimeout": str(drain)})
    pod = pod_of(the("Deployment", objects))
    before = int(pod["containers"][0]["lifecycle"]["preStop"]["exec"]["command"][1])
    gunicorn = int(
        re.findall(r"^graceful_timeout = .* \+ (\d+)$", (ROOT / "gunicorn.conf.py").read_text(), re.MULTILINE)[0]
    )
    assert environment(objects)["OCTOPOD_DRAIN_TIMEOUT"] == str(drain)
    assert pod["terminationGracePeriodSeconds"] > before + drain + gunicorn


def test_numbers_stay_numbers(render):
    """Helm reads them as floats, and 1209600 would become 1.2096e+06."""
    for given in ("--set", "--set-string"):
        found = environment(render({}, given, "octopod.archiveRetention=31536000"))
        assert found["OCTOPOD_ARCHIVE_RETENTION"] == "31536000"
    assert environment(render())["OCTOPOD_ARCHIVE_RETENTION"] == "1209600"


def test_environment_of_the_suite_is_text(render, tmp_path):
    """What is no text is written as JSON, as the suite's DEFAULTS is to be."""
    defaults = {"chart_name": "web", "default_overrides": {"replicas": 2}}
    values = {"octopod": {"env": {"DEFAULTS": defaults, "A": '{"a": "b"}', "B": 1200000, "C": True, "HELM_BIN": None}}}
    (tmp_path / "values.yaml").write_text(yaml.safe_dump(values))
    found = environment(render({}, "--values", str(tmp_path / "values.yaml")))
    assert json.loads(found["DEFAULTS"]) == defaults
    assert (found["A"], found["B"], found["C"]) == ('{"a": "b"}', "1200000", "true")
    assert "HELM_BIN" not in found


def test_values_of_the_original_mean_the_same(render):
    given = {"octopod.projectName": "Cactus", "octopod.deploymentNamespace": "desert", **DOMAIN}
    found = environment(render(given | MATRIX["dashboard"]))
    assert found["OCTOPOD_PROJECT_NAME"] == "Cactus" and found["OCTOPOD_NAMESPACE"] == "desert"
    assert found["OCTOPOD_BASE_DOMAIN"] == "staging.example.com"
    assert found["OCTOPOD_KUBERNETES_DASHBOARD_URL_TEMPLATE"] == "https://dash.example.com/#/search?namespace=desert&q="
    logins = the("Secret", render({"octopod.cliAuthSecret": "Token abc", "octopod.uiAuthSecret": "pw"}))["data"]
    assert base64.b64decode(logins["cli-secret"]) == b"Token abc"
    assert base64.b64decode(logins["ui-auth"]) == b"octopod:pw"


def test_suite_finds_its_tools(render):
    dockerfile = (ROOT / "scripts/helm/Dockerfile").read_text()
    for tool in ("helm", "kubectl"):
        assert f"/utils/bin/{tool}\n" in dockerfile
        assert environment(render())[f"{tool.upper()}_BIN"] == f"/utils/bin/{tool}"


# The database


def test_database_url_is_built_of_the_generated_password(render):
    objects = render({"postgresql.postgresqlUsername": "cactus", "postgresql.postgresqlDatabase": "desert"})
    data = {
        key: base64.b64decode(value).decode()
        for key, value in the("Secret", objects, "octopod-postgresql")["data"].items()
    }
    assert re.fullmatch(r"[A-Za-z0-9]{32}", data["password"])
    assert data["database-url"] == f"postgresql://cactus:{data['password']}@octopod-postgresql/desert"
    assert environment(objects)["OCTOPOD_DATABASE_URL"] == ("octopod-postgresql", "database-url")
    database = pod_of(the("StatefulSet", objects, "octopod-postgresql"))
    given = {e["name"]: e.get("value") or e["valueFrom"]["secretKeyRef"] for e in database["containers"][0]["env"]}
    assert given["POSTGRES_PASSWORD"] == {"name": "octopod-postgresql", "key": "password"}
    assert (given["POSTGRES_USER"], given["POSTGRES_DB"]) == ("cactus", "desert")
    assert database["automountServiceAccountToken"] is False


def test_external_database_is_one_secret(render):
    objects = render({**EXTERNAL, "externalDatabase.key": "url"})
    assert environment(objects)["OCTOPOD_DATABASE_URL"] == ("db", "url")
    assert "StatefulSet" not in kinds(objects)
    assert [container["name"] for container in pod_of(the("Deployment", objects))["initContainers"]] == [
        "copy-control-scripts"
    ]


def test_server_waits_for_a_database_that_is_coming(render, tmp_path):
    """The command is run, with a pg_isready that says what the real one does: nothing good without a user's name."""
    wait = pod_of(the("Deployment", render()))["initContainers"][1]
    assert wait["image"] == pod_of(the("StatefulSet", render(), "octopod-postgresql"))["containers"][0]["image"]
    told = tmp_path / "told"
    programs = {"pg_isready": f'echo "$@" >>{told}; [ "$(wc -l <{told})" -gt 2 ]', "sleep": ":"}
    for name, script in programs.items():
        (tmp_path / name).write_text(f"#!/bin/sh\n{script}\n")
        (tmp_path / name).chmod(0o755)
    subprocess.run(wait["command"], env={"PATH": f"{tmp_path}:/usr/bin:/bin"}, check=True)
    assert told.read_text().splitlines() == ["--host=octopod-postgresql --username=octopod"] * 3


def test_scripts_get_no_password_by_the_way_of_libpq(render):
    assert not [name for name in environment(render()) if name.startswith("PG")]


def test_two_servers_never_have_the_same_sqlite(render, refusal):
    assert the("Deployment", render(SQLITE))["spec"]["strategy"] == {"type": "Recreate"}
    assert the("Deployment", render())["spec"]["strategy"]["rollingUpdate"]["maxUnavailable"] == 0
    said = refusal(replicaCount="2", postgresql__enabled="false")
    assert "replicaCount above 1 needs a PostgreSQL, because SQLite is for one server" in said


def test_volume_of_sqlite_outlives_an_uninstall(render):
    claim = the("PersistentVolumeClaim", render(MATRIX["volume"]))
    assert claim["metadata"]["annotations"]["helm.sh/resource-policy"] == "keep"
    assert claim["spec"]["storageClassName"] == "fast"
    assert "PersistentVolumeClaim" not in kinds(render(MATRIX["claim"]))
    volumes = {volume["name"]: volume for volume in pod_of(the("Deployment", render(MATRIX["claim"])))["volumes"]}
    assert volumes["data"]["persistentVolumeClaim"]["claimName"] == "mine"


# Secrets


def test_own_secrets_replace_the_generated_one(render):
    objects = render(MATRIX["own secrets"])
    assert "Secret" not in kinds(objects)
    found = environment(objects)
    assert found["OCTOPOD_UI_BASIC_AUTH"] == ("my-uiauth", "ui-auth")
    assert found["OCTOPOD_UI_ADMIN_BASIC_AUTH"] == ("my-adminauth", "admin-auth")
    assert found["OCTOPOD_POWER_AUTHORIZATION_HEADER"] == ("my-cliauth", "cli-secret")
    assert found["OCTOPOD_SERVO_TOKEN"] == ("my-servotoken", "servo-token")
    assert found["OCTOPOD_DATABASE_URL"] == ("my-postgresql", "database-url")


def test_references_point_at_keys_that_are_there(render):
    objects = render()
    data = {item["metadata"]["name"]: item["data"] for item in objects if item["kind"] == "Secret"}
    for value in environment(objects).values():
        assert isinstance(value, str) or value[1] in data[value[0]]


def test_logins_that_are_not_wanted_are_not_there(render):
    found = environment(render(MATRIX["no logins"]))
    assert not {"OCTOPOD_UI_BASIC_AUTH", "OCTOPOD_UI_ADMIN_BASIC_AUTH"} & set(found)
    assert set(the("Secret", render(MATRIX["no logins"]))["data"]) == {"cli-secret", "servo-token"}


# The way in


def test_ingress_leads_to_the_one_service(render):
    objects = render(MATRIX["ingress"])
    ingress = the("Ingress", objects)["spec"]
    assert ingress["ingressClassName"] == "nginx"
    assert ingress["tls"] == [{"hosts": ["octopod.staging.example.com"], "secretName": "octopod-tls"}]
    [rule] = ingress["rules"]
    assert rule["host"] == "octopod.staging.example.com"
    [path] = rule["http"]["paths"]
    assert (path["path"], path["pathType"]) == ("/", "Prefix")  # /ws too
    assert path["backend"]["service"] == {
        "name": "octopod",
        "port": {"name": the("Service", objects)["spec"]["ports"][0]["name"]},
    }
    assert environment(objects)["OCTOPOD_PUBLIC_URL"] == "https://octopod.staging.example.com"


def test_annotations_let_nginx_wait_and_can_be_replaced(render):
    prefix = "nginx.ingress.kubernetes.io"
    found = the("Ingress", render(MATRIX["ingress"]))["metadata"]["annotations"]
    assert found[f"{prefix}/proxy-read-timeout"] == found[f"{prefix}/proxy-send-timeout"] == "3600"
    assert found["cert-manager.io/cluster-issuer"] == "letsencrypt"
    key = prefix.replace(".", r"\.") + "/proxy-read-timeout"
    found = the("Ingress", render({**MATRIX["http"]}, "--set-string", f"ingress.annotations.{key}=60"))["metadata"][
        "annotations"
    ]
    assert found[f"{prefix}/proxy-read-timeout"] == "60"
    assert "cert-manager.io/cluster-issuer" not in found


def test_without_tls_there_is_none(render):
    objects = render(MATRIX["http"])
    assert "tls" not in the("Ingress", objects)["spec"]
    assert environment(objects)["OCTOPOD_PUBLIC_URL"] == "http://pods.example.com"


def test_optional_objects_come_when_asked_for(render):
    optional = {
        "Ingress",
        "NetworkPolicy",
        "PodDisruptionBudget",
        "ServiceMonitor",
        "ClusterRole",
        "ClusterRoleBinding",
    }
    assert not optional & kinds(render())
    objects = render(MATRIX["extras"])
    assert kinds(objects) >= {"NetworkPolicy", "PodDisruptionBudget", "ServiceMonitor"}
    assert the("PodDisruptionBudget", objects)["spec"]["maxUnavailable"] == 1
    assert the("ServiceMonitor", objects)["spec"]["endpoints"][0] == {
        "port": "http",
        "path": "/metrics",
        "interval": "30s",
    }


def test_network_policy_leaves_the_database_to_octopod(render):
    objects = render(MATRIX["peers"])
    labels = the("Deployment", objects)["spec"]["template"]["metadata"]["labels"]
    [rule] = the("NetworkPolicy", objects, "octopod-postgresql")["spec"]["ingress"]
    [peer] = rule["from"]
    assert peer["podSelector"]["matchLabels"].items() <= labels.items()
    test, ingress = the("NetworkPolicy", objects)["spec"]["ingress"][0]["from"]
    assert (
        test["podSelector"]["matchLabels"].items() <= the("Pod", objects, "octopod-test")["metadata"]["labels"].items()
    )
    assert ingress == {"namespaceSelector": {"matchLabels": {"name": "ingress"}}}


# Rights


def test_rights_end_at_the_namespace_of_the_deployments(render):
    objects = render({"octopod.deploymentNamespace": "desert"})
    role, binding = the("Role", objects), the("RoleBinding", objects)
    assert role["metadata"]["namespace"] == binding["metadata"]["namespace"] == "desert"
    assert binding["subjects"] == [{"kind": "ServiceAccount", "name": "octopod", "namespace": "here"}]
    assert (
        pod_of(the("Deployment", objects))["serviceAccountName"] == the("ServiceAccount", objects)["metadata"]["name"]
    )
    for rule in role["rules"]:
        assert "*" not in rule["apiGroups"] + rule["resources"] + rule["verbs"]
        assert not {"escalate", "bind", "impersonate"} & set(rule["verbs"])


def allows(rules: list[Object], group: str, resource: str, verb: str) -> bool:
    return any(group in rule["apiGroups"] and resource in rule["resources"] and verb in rule["verbs"] for rule in rules)


def test_rights_are_enough_for_the_kinds_that_the_suite_knows(render):
    rules = the("Role", render())["rules"]
    for kind, row in tomllib.loads((ROOT / "scripts/helm/scalable.toml").read_text()).items():
        for verb in ("get", "list", "watch", "create", "patch", "delete"):
            assert allows(rules, row.get("group", ""), f"{kind.lower()}s", verb), (kind, verb)


def test_everything_everywhere_is_a_choice(render):
    objects = render(MATRIX["everywhere"])
    assert "Role" not in kinds(objects)
    assert the("ClusterRole", objects, "octopod-here")["rules"] == [
        {"apiGroups": ["*"], "resources": ["*"], "verbs": ["*"]}
    ]
    assert the("ClusterRoleBinding", objects, "octopod-here")["roleRef"]["name"] == "octopod-here"


def test_more_rules_can_be_added(render):
    more = {
        "rbac.extraRules[0].apiGroups[0]": "desert.example",
        "rbac.extraRules[0].resources[0]": "cacti",
        "rbac.extraRules[0].verbs[0]": "get",
    }
    assert allows(the("Role", render(more))["rules"], "desert.example", "cacti", "get")


# What it refuses


@pytest.mark.parametrize(
    ("values", "sentence"),
    [
        ({"replicaCount": "0"}, "replicaCount: Must be greater than or equal to 1"),
        ({"replicaCount": "two"}, "replicaCount: Invalid type. Expected: integer, given: string"),
        ({"sqitch__image": "x"}, "Additional property sqitch is not allowed"),
        ({"octopod__vaultEnv__a": "x"}, "octopod: Additional property vaultEnv is not allowed"),
        ({"octopod__archiveRetention": "1h"}, "octopod.archiveRetention: Does not match pattern"),
        ({"octopod__deploymentNamespace": "Desert_1"}, "octopod.deploymentNamespace: Does not match pattern"),
        ({"service__type": "Carrier"}, 'service.type must be one of the following: "ClusterIP", "NodePort", "LoadBalancer"'),
        ({"ingress__enabled": "maybe"}, "ingress.enabled: Invalid type. Expected: boolean, given: string"),
        ({"extraEnv": "A=b"}, "extraEnv: Invalid type. Expected: array, given: string"),
        ({"ingress__enabled": "true"}, "ingress.enabled needs a host: set octopod.baseDomain, or ingress.host."),
        ({"kubernetesDashboard__enabled": "true"}, "kubernetesDashboard.enabled needs kubernetesDashboard.url."),
        ({"externalDatabase__existingSecret": "db"}, "There are two databases: set postgresql.enabled to false"),
        ({"persistence__enabled": "true"}, "persistence is for SQLite"),
        ({"replicaCount": "2", "secrets__servoToken__enabled": "false"}, "replicaCount above 1 needs secrets.servoToken"),
        ({"octopod__env__HELM_PASS": "x"}, "octopod.env.HELM_PASS looks like a secret"),
        ({"octopod__env__OCTOPOD_SERVO_TOKEN": "x"}, "octopod.env.OCTOPOD_SERVO_TOKEN looks like a secret"),
        ({"octopod__env__OCTOPOD_DRAIN_TIMEOUT": "9"}, "octopod.env.OCTOPOD_DRAIN_TIMEOUT: the chart sets that itself"),
        ({"octopod__env__OCTOPOD_DATABASE_URL": "x"}, "octopod.env.OCTOPOD_DATABASE_URL: the chart sets that itself"),
        ({"octopod__uiAuthSecret": "x", "secrets__uiAuth__existingSecret": "mine"}, "octopod.uiAuthSecret has no effect"),
    ],
)  # fmt: skip
def test_bad_values_are_refused_with_a_sentence(refusal, values, sentence):
    assert sentence in refusal(**values)


def test_every_secret_setting_is_refused_as_plain_environment(refusal):
    for setting in SETTINGS:
        if setting.secret:
            assert "octopod.env.OCTOPOD_" in refusal(**{f"octopod__env__OCTOPOD_{setting.name}": "x"})


# What is written about it


def test_readme_has_the_table_of_the_values():
    doc = runpy.run_path(str(ROOT / "tools/write-chart-doc"))
    assert doc["table"]() in (CHART / "README.md").read_text(), "make docs"


def test_table_has_every_value():
    doc = runpy.run_path(str(ROOT / "tools/write-chart-doc"))
    text = (CHART / "values.yaml").read_text()
    described = [path for path, _, _ in doc["rows"](text)]
    assert len(described) == len(set(described))

    def leaves(values: Object, prefix: str = "") -> list[str]:
        paths = []
        for key, value in values.items():
            path = f"{prefix}{key}"
            paths += [path] if path in described or not isinstance(value, dict) else leaves(value, f"{path}.")
        return paths

    assert leaves(yaml.safe_load(text)) == described


def test_versions_are_the_servers():
    chart = yaml.safe_load((CHART / "Chart.yaml").read_text())
    assert chart["appVersion"] == __version__


def test_dockerfiles_run_as_the_user_of_the_chart(render):
    user = pod_of(the("Deployment", render()))["securityContext"]["runAsUser"]
    for dockerfile in ("Dockerfile", "scripts/helm/Dockerfile", "scripts/hspec/Dockerfile"):
        assert f"USER {user}:{user}" in (ROOT / dockerfile).read_text()
    paths = {mount["mountPath"] for mount in server(render())["volumeMounts"]} - {"/utils", "/tmp"}
    assert all(path in (ROOT / "Dockerfile").read_text() for path in paths)


# In a cluster


class Installation:
    """The chart, installed by helm in a cluster."""

    def __init__(self, helm: Path, cluster: Any) -> None:
        self.program, self.cluster = helm, cluster
        cluster.namespace("octopod-deployment")

    def helm(self, *arguments: str | Path) -> str:
        command = [self.program, *arguments, "--namespace", "here"]
        done = subprocess.run(command, capture_output=True, text=True, env=self.cluster.environment)
        assert done.returncode == 0, done.stderr
        return done.stdout

    def install(self, **values: str) -> str:
        return self.helm(
            "install", "octopod", CHART, "--create-namespace", "--wait", "--timeout", "30s", *flags(values)
        )

    def upgrade(self, **values: str) -> str:
        return self.helm("upgrade", "octopod", CHART, "--wait", "--timeout", "30s", *flags(values))

    def secrets(self) -> dict[str, Object]:
        names = [name for name in self.cluster.names("Secret", "here") if name.startswith("octopod")]
        return {name: self.cluster.get("Secret", name, "here")["data"] for name in names}


@pytest.fixture
def installation(helm: Path, cluster: Any) -> Installation:
    return Installation(helm, cluster)


def test_upgrade_keeps_the_generated_secrets(installation):
    installation.install()
    secrets = installation.secrets()
    assert set(secrets) == {"octopod", "octopod-postgresql"}
    pods = installation.cluster.get("Deployment", "octopod", "here")["spec"]["template"]
    installation.upgrade()
    assert installation.secrets() == secrets
    assert installation.cluster.get("Deployment", "octopod", "here")["spec"]["template"] == pods, "nothing has changed"
    installation.upgrade(**{"octopod.projectName": "Cactus", "octopod.uiAuthSecret": "chosen"})
    changed = installation.secrets()
    assert base64.b64decode(changed["octopod"].pop("ui-auth")) == b"octopod:chosen"
    assert changed["octopod"].items() <= secrets["octopod"].items()
    assert changed["octopod-postgresql"] == secrets["octopod-postgresql"]


def test_new_installation_opens_the_database_that_the_last_one_left(installation):
    installation.install()
    before = installation.secrets()
    installation.helm("uninstall", "octopod")
    assert set(installation.secrets()) == {"octopod-postgresql"}
    assert installation.cluster.names("PersistentVolumeClaim", "here") == ["data-octopod-postgresql-0"]
    installation.install()
    assert installation.secrets()["octopod-postgresql"] == before["octopod-postgresql"]
    assert installation.secrets()["octopod"] != before["octopod"]


def test_three_replicas_share_an_external_database(installation):
    url = base64.b64encode(b"postgresql://octopod:secret@db.example.com/octopod").decode()
    secret = {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "db"}, "data": {"database-url": url}}
    installation.cluster.namespace("here")
    installation.cluster.put(secret, "here")
    installation.install(**MATRIX["three"])
    assert len(installation.cluster.objects("Pod", "here")) == 3


def test_helm_test_asks_whether_the_server_is_ready(installation):
    installation.install()
    assert "Phase:          Succeeded" in installation.helm("test", "octopod")
    pod = installation.cluster.get("Pod", "octopod-test", "here")
    assert pod["spec"]["containers"][0]["command"][-1] == "http://octopod:80/readyz"


def test_notes_say_what_to_do_next(installation):
    notes = installation.install(**MATRIX["ingress"])
    assert "It is at https://octopod.staging.example.com" in notes
    assert "export OCTOPOD_URL=https://octopod.staging.example.com" in notes
    assert "WARNING" not in notes
    notes = installation.upgrade(**SQLITE)
    assert "kubectl -n here port-forward service/octopod 8000:80" in notes
    assert "What Octopod knows ends with its pod." in notes
    assert "without TLS" in installation.upgrade(**MATRIX["http"])


def test_notes_read_the_logins(installation, kubectl):
    """Their commands are run as they stand there."""
    notes = installation.install()
    commands = re.findall(r"kubectl -n here get secret octopod -o go-template='[^']*'", notes)
    environment = installation.cluster.environment
    said = [subprocess.check_output(["sh", "-c", command], text=True, env=environment) for command in commands]
    stored = installation.secrets()["octopod"]
    assert said == [base64.b64decode(stored[key]).decode() for key in ("admin-auth", "cli-secret", "ui-auth")]
