"""The suite `helm` behind the server: somebody uses the API, and the cluster changes."""

import csv
import io
import json
import os
import re
import shutil
import subprocess
import sys

import pytest
from conftest import ROOT, Server
from helming import CHARTS, SCRIPTS

from octopod.suite import REQUIRED, parse_csv

NS = "staging"
WEB = {"chart_repo_url": str(CHARTS), "chart_name": "web", "chart_version": "1.0.0"}


@pytest.fixture
def helm_server(new_database, cluster, helm, kubectl, tmp_path):
    """A server with the suite, before a new cluster. Defaults: the chart `web`, with one override."""
    settings = {"CONTROL_SCRIPTS": str(SCRIPTS), "NAMESPACE": NS, "BASE_DOMAIN": "cactus.example"}
    server = Server(tmp_path, new_database("sqlite"), **settings)
    defaults = json.dumps({**WEB, "default_overrides": ["greeting=Hello from the defaults"]})
    server.env = cluster.environment | {key: value for key, value in server.env.items() if key.startswith("OCTOPOD_")}
    server.env |= {"HELM_BIN": str(helm), "KUBECTL_BIN": str(kubectl), "DEFAULTS": defaults, "CHECK_IMAGES": "false"}
    server.env |= {"HELM_TIMEOUT": "20", "HELM_PASS": "open sesame", "DOCKER_CONFIG": str(tmp_path)}
    server.env["CHARTS_DIR"] = str(CHARTS)
    yield server.start()
    server.stop()


def replicas(cluster):
    return cluster.get("deployment", "orange", NS)["spec"]["replicas"]


def test_deployment_lives_its_whole_life(helm_server, cluster):
    deployment = helm_server.running("orange", application={"replicas": "3"})
    assert deployment["links"] == [{"name": "orange", "url": "http://orange.cactus.example"}]
    [container] = cluster.get("deployment", "orange", NS)["spec"]["template"]["spec"]["containers"]
    assert container["env"] == [{"name": "GREETING", "value": "Hello from the defaults"}]

    change = {"application": {"set": {"greeting": 'a,b={"c"}'}, "unset": []}}
    assert helm_server.act("orange", "update", **change).status_code == 202
    helm_server.settled("orange", "Running")
    [container] = cluster.get("deployment", "orange", NS)["spec"]["template"]["spec"]["containers"]
    assert container["env"] == [{"name": "GREETING", "value": 'a,b={"c"}'}]

    helm_server.act("orange", "archive")
    helm_server.settled("orange", "Archived")
    assert replicas(cluster) == 0 and cluster.names("pod", NS) == []

    helm_server.act("orange", "restore")
    helm_server.settled("orange", "Running")
    assert replicas(cluster) == 3

    helm_server.act("orange", "archive")
    helm_server.settled("orange", "Archived")
    action = helm_server.act("orange", "cleanup").json()
    assert helm_server.finished(action["id"])["state"] == "succeeded"
    assert cluster.names("deployment", NS) == [] and cluster.names("secret", NS) == []


def test_forms_are_told_defaults_and_keys(helm_server):
    defaults = {item["key"]: item["value"] for item in helm_server.get("/config/deployment").json()["items"]}
    assert defaults == WEB
    body = {"deployment_overrides": {}}
    asked = helm_server.post("/config/application", body)
    assert asked.status_code == 200, asked.text
    application = {item["key"]: item["value"] for item in asked.json()["items"]}
    assert application["greeting"] == "Hello from the defaults" and application["replicas"] == "2"
    assert "image.tag" in helm_server.post("/config/application/keys", body).text


def test_configuration_that_cannot_work_is_refused_with_the_reason(helm_server, cluster):
    answer = helm_server.create("orange", application={"replicas": "many"})
    assert answer.status_code == 422 and "replicas must be a number" in answer.text
    answer = helm_server.create("orange", deployment={"chart_version": "9.9.9"})
    assert answer.status_code in (422, 503) and "There is no version 9.9.9 of the chart web" in answer.text
    assert cluster.names("deployment", NS) == []


def test_taking_a_default_away_takes_it_away(helm_server, cluster):
    helm_server.running(
        "orange", deployment={"chart_name": "types", "chart_version": "1.0.0"}, application={"number": None}
    )
    got = json.loads(cluster.get("configmap", "orange", NS)["data"]["values.json"])
    assert "number" not in got and got["fraction"] == 1.5


def test_unwell_deployment_shows_with_its_reason(helm_server, cluster):
    helm_server.running("orange")
    cluster.pods("orange-*", then="crash")
    deployment = helm_server.settled("orange", "GenericFailure")
    assert "CrashLoopBackOff" in deployment["status_reason"]
    cluster.pods("orange-*", then="ready")
    helm_server.settled("orange", "Running")


def test_failed_creation_shows_with_its_reason_and_is_mended_by_an_update(helm_server, cluster):
    cluster.fail("POST", "*/deployments", 403)
    assert helm_server.create("orange").status_code == 202
    deployment = helm_server.settled("orange", "GenericFailure")
    assert deployment["status_reason"]
    cluster.heal()
    assert helm_server.act("orange", "update", application={"set": {}, "unset": []}).status_code == 202
    helm_server.settled("orange", "Running")


def test_cancelled_creation_is_mended_by_an_update(helm_server, cluster):
    cluster.pods("*web:slow", then="never ready")
    action = helm_server.create("orange", application={"image.tag": "slow"}).json()["action"]
    cluster.wait_for(lambda: cluster.names("pod", NS), "its pods")
    helm_server.post(f"/actions/{action['id']}/cancel")
    assert helm_server.finished(action["id"])["state"] == "cancelled"
    helm_server.act("orange", "update", application={"set": {"image.tag": "2.0"}, "unset": []})
    helm_server.settled("orange", "Running")


def test_passwords_of_the_settings_are_in_no_log(helm_server):
    helm_server.running("orange")
    action = helm_server.get("/deployments/orange/actions").json()["items"][0]
    logs = helm_server.get(f"/actions/{action['id']}/logs").text
    assert "Installing orange with the chart web-1.0.0." in logs
    assert "open sesame" not in logs + helm_server.log.read_text()


# The suite itself


def test_suite_is_complete_and_every_script_says_what_it_does():
    scripts = [path for path in SCRIPTS.iterdir() if path.is_file() and os.access(path, os.X_OK)]
    assert {path.name for path in scripts} == {*REQUIRED[2], "init", "config_schema"}
    for path in scripts:
        text = path.read_text()
        assert text.startswith('#!/usr/bin/env python3\n"""Summary: ')
        assert f"\nUsage:   {path.name}" in text


def test_settings_and_keys_are_documented():
    chapter = (ROOT / "scripts/README.md").read_text().partition("## The suite `helm`")[2]
    read = (SCRIPTS / "lib/settings.py").read_text()
    settings = set(re.findall(r'environ(?:\.get\(|\[|, )"([A-Z_]+)"', read))
    assert {"HELM_BIN", "CHECK_IMAGES", "HELM_TIMEOUT", "INGRESS_HOST_KEY", "CHARTS_DIR"} <= settings
    for name in settings | {
        "DEFAULTS",
        "chart_repo_url",
        "chart_repo_user",
        "chart_repo_pass",
        "chart_name",
        "chart_version",
        "values_file",
    }:
        assert f"`{name}`" in chapter, name


def test_defaults_of_the_settings_are_printed(offline):
    offline.env["DEFAULTS"] = json.dumps(
        {"chart_repo_url": "https://charts.example", "chart_version": "1", "default_overrides": ["a.b=c=d,e"]}
    )
    assert parse_csv("deployment_config", offline.do("deployment_config")) == [
        ("chart_repo_url", "https://charts.example"),
        ("chart_version", "1"),
    ]
    assert offline.pairs("application_config") == {"a.b": "c=d,e"}
    assert offline.do("application_config_keys") == "a.b\n"
    assert list(csv.reader(io.StringIO(offline.do("application_config", "types"))))[-1] == ["a.b", "c=d,e"]


@pytest.mark.parametrize(
    ("setting", "said"),
    [
        ({"DEFAULTS": "{"}, "DEFAULTS is not JSON"),
        ({"DEFAULTS": "[]"}, "DEFAULTS must be a JSON object."),
        ({"DEFAULTS": '{"chart": "x"}'}, "DEFAULTS has keys that are not known: chart."),
        ({"DEFAULTS": '{"chart_version": 1}'}, "chart_version in DEFAULTS must be a string."),
        ({"DEFAULTS": '{"default_overrides": {"a": "b"}}'}, "default_overrides in DEFAULTS must be a list"),
        ({"HELM_ON_INIT_ONLY": "yes"}, "HELM_ON_INIT_ONLY must be true or false."),
        ({"HELM_TIMEOUT": "10m"}, "HELM_TIMEOUT must be a whole number of seconds above 0."),
        ({"CHECK_IMAGES": "0"}, "CHECK_IMAGES must be true or false."),
        ({"SCALABLE": "/nowhere.toml"}, "/nowhere.toml cannot be read as a table of kinds"),
        ({"HELM_BIN": "/nowhere/helm"}, "/nowhere/helm cannot be started: No such file or directory."),
        ({"KUBECTL_BIN": "false"}, "false does not work"),
        ({"OCTOPOD_SUITE_DATA": ""}, "OCTOPOD_SUITE_DATA is not set"),
    ],
)
def test_bad_setting_stops_init_with_a_sentence(offline, setting, said):
    assert offline.run("init", env=setting).stderr.startswith(said)
    assert offline.run("init", env=setting).returncode == 1


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--name"], "The argument --name has no value."),
        (["--tag", "x"], "The argument --tag is not known."),
        (["--name", "Orange!"], '"Orange!" cannot be the name of a deployment.'),
        (["--application-config", "novalue"], 'A configuration is KEY=VALUE, not "novalue".'),
    ],
)
def test_bad_argument_is_refused(offline, arguments, said):
    done = subprocess.run([SCRIPTS / "check", *arguments], env=offline.env, capture_output=True, text=True)
    assert (done.returncode, done.stdout + done.stderr) == (1, f"{said}\n")


def test_script_finds_the_python_that_has_yaml(offline, tmp_path):
    """Where the system's Python has no PyYAML, the one that `make run` has prepared has."""
    for suite in ("helm", "shared"):
        shutil.copytree(SCRIPTS.parent / suite, tmp_path / "scripts" / suite)
    script = tmp_path / "scripts/helm/deployment_config_keys"
    without_yaml = [sys.executable, "-S", str(script)]
    done = subprocess.run(without_yaml, env=offline.env, capture_output=True, text=True)
    assert done.returncode == 1 and done.stderr.startswith("PyYAML is missing: ")
    prepared = tmp_path / ".venv/bin/python"
    prepared.parent.mkdir(parents=True)
    prepared.write_text('#!/bin/sh\necho "$@"\n')
    prepared.chmod(0o755)
    assert subprocess.run(without_yaml, env=offline.env, capture_output=True, text=True).stdout == f"{script}\n"
