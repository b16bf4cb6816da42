"""Where the suite `helm` takes charts from: repositories over HTTP, registries, directories; and its copies of them."""

import gzip
import hashlib
import io
import json
import os
import tarfile
import time
from concurrent.futures import ThreadPoolExecutor

import pytest
from helming import CHARTS, basic

from lib import contents
from shared.output import Failure

PASSWORD = "open sesame"


def age_everything(suite, seconds=601):
    """As if all copies had been made so long ago."""
    for path in suite.data.rglob("*"):
        if path.is_file() and path.name != "lock":
            then = time.time() - seconds
            os.utime(path, (then, then))


def greeting(suite, **config):
    return suite.pairs("application_config", chart_name="web", **config)["greeting"]


# Repositories


def test_chart_comes_from_a_repository(offline, repository):
    assert greeting(offline, chart_repo_url=repository.url, chart_version="1.0.0") == "Hello"


def test_newest_version_is_taken_when_none_is_asked_for(suite, repository):
    suite.do("create", chart_repo_url=repository.url, chart_name="web")
    assert suite.verdict(chart_repo_url=repository.url, chart_name="web")[1].startswith("Runs web-1.1.0,")


def test_range_of_versions_is_understood(suite, repository):
    repository.add("web", "2.0.0")
    config = {"chart_repo_url": repository.url, "chart_name": "web", "chart_version": "^1.0.0"}
    suite.do("create", **config)
    assert suite.verdict(**config) == (0, "Runs web-1.1.0, and all of it is ready: 1 of 1.")


def test_missing_chart_is_named(offline, repository):
    said = offline.refused("config_check", chart_repo_url=repository.url, chart_name="nope", chart_version="1.0.0")
    assert said == f"There is no chart nope in {repository.url}.\n"


def test_missing_version_is_named_with_those_there_are(offline, repository):
    said = offline.refused("config_check", chart_repo_url=repository.url, chart_name="web", chart_version="9.9.9")
    assert said == f"There is no version 9.9.9 of the chart web in {repository.url}. It has 1.1.0, 1.0.0.\n"


def test_repository_that_does_not_answer_is_named(offline, repository):
    repository.site.stop()
    said = offline.refused("config_check", chart_repo_url=repository.url, chart_name="web")
    assert said.startswith(f"The repository {repository.url} cannot be read: ") and "connection refused" in said


def test_what_is_no_repository_is_named(offline, repository):
    (repository.directory / "index.yaml").write_text("<html>Welcome</html>")
    said = offline.refused("config_check", chart_repo_url=repository.url, chart_name="web")
    assert said.startswith(f"The repository {repository.url} cannot be read: ")


@pytest.mark.parametrize(
    ("config", "said"),
    [
        ({"chart_name": "web"}, "chart_repo_url is missing"),
        ({"chart_repo_url": "http://127.0.0.1:9"}, "chart_name is missing"),
        (
            {"chart_repo_url": "ftp://example.com", "chart_name": "web"},
            "chart_repo_url must be an http(s):// or oci://",
        ),
        ({"chart_repo_url": "-http://x", "chart_name": "web"}, "chart_repo_url must be an http(s):// or oci://"),
        ({"chart_repo_url": "http://u:p@example.com", "chart_name": "web"}, "chart_repo_url must not hold a password"),
        ({"chart_repo_url": "http://127.0.0.1:9", "chart_name": "--debug"}, '"--debug" cannot be the name of a chart'),
        ({"chart_repo_url": str(CHARTS), "chart_name": "../../etc"}, '"../../etc" cannot be the name of a chart'),
        (
            {"chart_repo_url": "http://127.0.0.1:9", "chart_name": "w", "chart_version": "--x"},
            '"--x" cannot be the version',
        ),
    ],
)
def test_reference_that_cannot_be_is_refused(offline, config, said):
    assert offline.refused("config_check", **config).startswith(said)


# Passwords


def test_password_of_the_configuration_opens_the_repository(offline, new_repository):
    repository = new_repository(PASSWORD).add("web", "1.0.0")
    login = {"chart_repo_user": "ann", "chart_repo_pass": PASSWORD}
    assert greeting(offline, chart_repo_url=repository.url, **login) == "Hello"
    said = offline.refused("application_config", chart_repo_url=repository.url, chart_name="web")
    assert "401" in said


def test_password_of_the_settings_opens_the_repository_of_the_settings(offline, new_repository):
    repository = new_repository(PASSWORD).add("web", "1.0.0")
    offline.env |= {"HELM_USER": "ann", "HELM_PASS": PASSWORD}
    offline.env["DEFAULTS"] = json.dumps({"chart_repo_url": repository.url, "chart_name": "web"})
    assert greeting(offline, chart_repo_url=repository.url) == "Hello"


def test_password_of_the_settings_goes_nowhere_else(offline, new_repository):
    offline.env |= {
        "HELM_USER": "ann",
        "HELM_PASS": PASSWORD,
        "DEFAULTS": '{"chart_repo_url": "https://charts.example"}',
    }
    elsewhere = new_repository().add("web", "1.0.0")
    assert greeting(offline, chart_repo_url=elsewhere.url) == "Hello"
    assert elsewhere.site.seen
    assert {given for _, _, given in elsewhere.site.seen} == {""}


def test_password_of_the_settings_goes_to_nobody_when_they_name_no_repository(offline, new_repository):
    offline.env |= {"HELM_USER": "ann", "HELM_PASS": PASSWORD}
    elsewhere = new_repository().add("web", "1.0.0")
    assert greeting(offline, chart_repo_url=elsewhere.url) == "Hello"
    assert {given for _, _, given in elsewhere.site.seen} == {""}


def test_passwords_are_neither_printed_nor_readable_by_others(offline, new_repository):
    repository = new_repository(PASSWORD).add("web", "1.0.0")
    login = {"chart_repo_user": "ann", "chart_repo_pass": PASSWORD}
    offline.do("application_config", chart_name="web", chart_repo_url=repository.url, **login)
    for script in ("config_check", "info", "check"):
        done = offline.run(script, chart_name="nope", chart_repo_url=repository.url, **login)
        assert PASSWORD not in done.stdout + done.stderr
    holders = [path for path in offline.data.rglob("*") if path.is_file() and PASSWORD.encode() in path.read_bytes()]
    assert holders
    assert all(path.stat().st_mode & 0o077 == 0 for path in holders)


def test_password_is_in_no_argument_of_helm(offline, new_repository, tmp_path):
    repository = new_repository(PASSWORD).add("web", "1.0.0")
    spy = tmp_path / "helm"
    spy.write_text(f'#!/bin/sh\necho "$@" >>{tmp_path}/arguments\nexec {offline.env["HELM_BIN"]} "$@"\n')
    spy.chmod(0o755)
    offline.env["HELM_BIN"] = str(spy)
    login = {"chart_repo_user": "ann", "chart_repo_pass": PASSWORD}
    offline.do("config_check", chart_name="web", chart_repo_url=repository.url, **login, app={"greeting": "hush-hush"})
    arguments = (tmp_path / "arguments").read_text()
    assert "pull" in arguments and "template" in arguments
    assert PASSWORD not in arguments and "hush-hush" not in arguments


# Copies


def test_repository_is_asked_once_in_ten_minutes(offline, repository):
    for _ in range(3):
        offline.do("config_check", chart_repo_url=repository.url, chart_name="web")
    assert repository.site.paths() == ["/index.yaml", "/web-1.1.0.tgz"]
    age_everything(offline)
    repository.add("web", "1.2.0")
    offline.do("config_check", chart_repo_url=repository.url, chart_name="web")
    assert repository.site.paths()[2:] == ["/index.yaml", "/web-1.2.0.tgz"]


def test_copies_will_do_when_the_repository_is_away(offline, repository):
    assert greeting(offline, chart_repo_url=repository.url) == "Hello"
    repository.site.stop()
    age_everything(offline)
    done = offline.run("application_config", chart_repo_url=repository.url, chart_name="web")
    assert done.returncode == 0 and "greeting,Hello" in done.stdout
    assert "Using the index from 10 minutes ago" in done.stderr


def test_runs_at_the_same_time_do_not_disturb_each_other(offline, new_repository):
    repository = new_repository().add("web", "1.0.0", "1.1.0").add("types", "1.0.0").add("schema", "1.0.0")
    charts = [("web", "1.0.0"), ("web", "1.1.0"), ("types", ""), ("schema", "1.0.0")] * 3

    def ask(chart):
        name, version = chart
        more = {"chart_version": version} if version else {}
        return offline.run("application_config", chart_repo_url=repository.url, chart_name=name, **more)

    with ThreadPoolExecutor(len(charts)) as pool:
        done = list(pool.map(ask, charts))
    assert [one.returncode for one in done] == [0] * len(charts)
    assert repository.site.paths().count("/index.yaml") == 1


def test_interrupted_refresh_leaves_the_old_index(offline, repository, tmp_path):
    """A helm that is killed while it writes has written half an index."""
    assert greeting(offline, chart_repo_url=repository.url, chart_version="1.0.0") == "Hello"
    age_everything(offline)
    helm = offline.env["HELM_BIN"]
    fatal = tmp_path / "helm"
    fatal.write_text(
        '#!/bin/sh\n[ "$1" = repo ] || exit 1\necho "entries: {" >"$HELM_REPOSITORY_CACHE/repository-index.yaml"\nkill -9 $PPID\n'
    )
    fatal.chmod(0o755)
    offline.env["HELM_BIN"] = str(fatal)
    assert (
        offline.run(
            "application_config", chart_repo_url=repository.url, chart_name="web", chart_version="1.1.0"
        ).returncode
        < 0
    )
    offline.env["HELM_BIN"] = helm
    repository.site.stop()
    assert greeting(offline, chart_repo_url=repository.url, chart_version="1.0.0") == "Hello"


def test_init_only_means_that_init_alone_fetches_the_index(offline, repository, new_repository):
    offline.env |= {"HELM_ON_INIT_ONLY": "true", "DEFAULTS": json.dumps({"chart_repo_url": repository.url})}
    said = offline.refused("config_check", chart_repo_url=repository.url, chart_name="web")
    assert said == f"HELM_ON_INIT_ONLY is set, and init has not fetched the index of {repository.url}.\n"
    offline.do("init")
    age_everything(offline)
    offline.do("config_check", chart_repo_url=repository.url, chart_name="web")
    assert repository.site.paths() == ["/index.yaml", "/web-1.1.0.tgz"]


def test_init_needs_the_default_repository_only_when_nobody_else_fetches_it(offline, repository):
    repository.site.stop()
    offline.env["DEFAULTS"] = json.dumps({"chart_repo_url": repository.url})
    offline.do("init")
    offline.env["HELM_ON_INIT_ONLY"] = "true"
    assert "cannot be read" in offline.refused("init")


# Directories


def test_chart_comes_from_a_directory(offline, tmp_path, helm):
    assert greeting(offline, chart_repo_url=str(CHARTS)) == "Hello"
    assert offline.pairs("application_config", chart_repo_url=str(CHARTS / "web"))["greeting"] == "Hello"
    assert (
        offline.pairs("application_config", chart_repo_url=f"file://{CHARTS}", chart_name="web")["greeting"] == "Hello"
    )


def test_package_in_a_directory_is_taken_by_its_version(offline, new_repository):
    directory = new_repository().add("web", "1.0.0", "1.1.0").directory
    offline.env["CHARTS_DIR"] = str(directory.parent)
    assert greeting(offline, chart_repo_url=str(directory), chart_version="1.1.0") == "Hello"


def test_missing_chart_or_version_in_a_directory_is_named(offline):
    said = offline.refused("config_check", chart_repo_url=str(CHARTS), chart_name="nope")
    assert said == f"There is no chart nope in {CHARTS}.\n"
    said = offline.refused("config_check", "web", chart_version="3.0.0")
    assert said == f"There is no version 3.0.0 of the chart web in {CHARTS}. It is 1.0.0.\n"


def chart_in(directory, values="greeting: Hello\n"):
    directory.mkdir(parents=True)
    (directory / "Chart.yaml").write_text("apiVersion: v2\nname: web\nversion: 1.0.0\n")
    (directory / "values.yaml").write_text(values)
    return directory


def test_directory_is_that_of_the_settings_or_below_the_one_for_charts(offline, tmp_path):
    """Whoever may name any directory may read any values.yaml of the server's."""
    own, other = chart_in(tmp_path / "own"), chart_in(tmp_path / "other")
    (tmp_path / "charts").mkdir()
    (tmp_path / "charts/link").symlink_to(other)
    offline.env["CHARTS_DIR"] = str(tmp_path / "charts")
    offline.env["DEFAULTS"] = json.dumps({"chart_repo_url": str(own)})
    assert offline.pairs("application_config", chart_repo_url=str(own))["greeting"] == "Hello"
    outside = [str(other), f"file://{other}", f"{tmp_path}/charts/../other", f"{tmp_path}/charts/link", f"{own}/.."]
    for url in outside:
        said = offline.refused("application_config", chart_repo_url=url)
        assert said.startswith("chart_repo_url must not be a directory of this machine"), url
    said = offline.refused("application_config", chart_repo_url=f"{tmp_path}/charts", chart_name="link")
    assert said.startswith("chart_repo_url must not be a directory of this machine")
    offline.env.pop("CHARTS_DIR")
    assert "unless it is below CHARTS_DIR" in offline.refused("config_check", "web")


# Registries


def packaged(repository, chart="web", version="1.0.0"):
    """What a registry holds for a chart that was pushed to it."""
    data = (repository.add(chart, version).directory / f"{chart}-{version}.tgz").read_bytes()
    digest = f"sha256:{hashlib.sha256(data).hexdigest()}"
    kind = "application/vnd.cncf.helm.chart.content.v1.tar+gzip"
    manifest = json.dumps({"schemaVersion": 2, "layers": [{"mediaType": kind, "digest": digest, "size": len(data)}]})
    return {digest: data}, manifest.encode()


def chart_registry(new_registry, new_repository, **attributes):
    blobs, manifest = packaged(new_repository())
    manifests = {"shop/charts/web:1.0.0": manifest, "shop/charts/web:0.9.0": manifest}
    return new_registry(
        blobs=blobs, manifests=manifests, tags={"shop/charts/web": ["0.9.0", "1.0.0", "latest"]}, **attributes
    )


@pytest.mark.parametrize("plain", [True, False])
def test_chart_comes_from_a_registry(offline, new_registry, new_repository, plain):
    site = chart_registry(new_registry, new_repository, login=basic("ann", PASSWORD), plain=plain)
    login = {"chart_repo_user": "ann", "chart_repo_pass": PASSWORD}
    url = f"oci://{site.host}/shop/charts"
    assert greeting(offline, chart_repo_url=url, chart_version="1.0.0", **login) == "Hello"
    assert offline.pairs("application_config", chart_repo_url=f"{url}/web", **login)["greeting"] == "Hello"
    assert site.paths().count("/v2/shop/charts/web/manifests/0.9.0") == 0, (
        "the newest is taken, and no tag that is no version"
    )
    said = offline.refused("config_check", chart_repo_url=url, chart_name="web", chart_version="1.0.0")
    assert said.startswith(f"The registry {site.host} does not give us oci://{site.host}/shop/charts/web: it ")


def test_missing_chart_in_a_registry_is_named(offline, new_registry, new_repository):
    site = chart_registry(new_registry, new_repository)
    url = f"oci://{site.host}/shop/charts"
    said = offline.refused("config_check", chart_repo_url=url, chart_name="web", chart_version="7.0.0")
    assert said == f"There is no chart 7.0.0 in {url}/web.\n"
    assert (
        offline.refused("config_check", chart_repo_url=url, chart_name="nope") == f"There is no chart in {url}/nope.\n"
    )


def test_chart_that_was_changed_on_its_way_is_refused(offline, new_registry, new_repository):
    blobs, manifest = packaged(new_repository())
    blobs = {digest: gzip.compress(b"evil") for digest in blobs}
    site = new_registry(blobs=blobs, manifests={"web:1.0.0": manifest})
    said = offline.refused("config_check", chart_repo_url=f"oci://{site.host}", chart_name="web", chart_version="1.0.0")
    assert "is not what its digest says" in said


def test_image_is_no_chart(offline, new_registry):
    site = new_registry(manifests={"web:1.0.0": b'{"schemaVersion": 2, "layers": []}'})
    said = offline.refused("config_check", chart_repo_url=f"oci://{site.host}", chart_name="web", chart_version="1.0.0")
    assert said == f"oci://{site.host}/web:1.0.0 is not a chart.\n"


# What is in a chart


def test_keys_of_subcharts_are_suggested_and_have_types(suite):
    keys = suite.do("application_config_keys", "parent").split()
    assert {"color", "child.label", "child.size", "child.deep.er.still", "second.size"} <= set(keys)
    app = {"child.size": "3", "second.enabled": "true", "second.deep.er.still": "false", "child.new": "3"}
    assert "child.size must be a number" in suite.refused("config_check", "parent", app={"child.size": "x"})
    suite.do("create", "parent", app=app)
    configs = {item["metadata"]["name"]: item["data"] for item in suite.cluster.objects("configmap", "staging")}
    child = json.loads(configs["orange-child"]["values.json"])
    assert child == {
        "enabled": False,
        "size": 3,
        "label": "from the parent",
        "deep": {"er": {"still": True}},
        "new": "3",
    }
    assert json.loads(configs["orange-second"]["values.json"])["deep"] == {"er": {"still": False}}


def test_subcharts_in_packages_are_read(offline, new_repository):
    repository = new_repository().add("parent", "1.0.0")
    keys = offline.do("application_config_keys", chart_repo_url=repository.url, chart_name="parent").split()
    assert {"child.size", "second.deep.er.still"} <= set(keys)


def test_schema_of_the_chart_is_printed(offline):
    assert json.loads(offline.do("config_schema", "schema"))["required"] == ["name"]
    assert offline.do("config_schema", "web").strip() == ""
    assert offline.do("config_schema").strip() == ""


def test_schema_speaks_in_config_check(offline):
    assert "name" in offline.refused("config_check", "schema")
    said = offline.refused("config_check", "schema", app={"name": "x", "size": "9"})
    assert "size" in said and "5" in said
    assert "extra must be true or false." in offline.refused(
        "config_check", "schema", app={"name": "x", "extra": "often"}
    )


def test_values_file_of_the_chart_is_on_top_of_its_values(offline, repository):
    config = {"chart_repo_url": repository.url, "values_file": "values-staging.yaml"}
    pairs = offline.pairs("application_config", chart_name="web", **config)
    assert (pairs["replicas"], pairs["greeting"], pairs["image.tag"]) == ("1", "Hello from staging", "1.0")


def test_values_file_of_this_machine_reaches_the_cluster(suite, tmp_path):
    file = tmp_path / "values.yaml"
    file.write_text("replicas: 1\ngreeting: From a file\n")
    suite.env["VALUES_DIR"] = str(tmp_path)
    suite.do("create", "web", values_file=str(file), app={"replicas": "2"})
    [item] = suite.cluster.objects("deployment", "staging")
    assert item["spec"]["replicas"] == 2, "a value that is the chart's own counts too, when the file has another"
    assert item["spec"]["template"]["spec"]["containers"][0]["env"][0]["value"] == "From a file"


def test_values_file_that_cannot_be_is_refused_without_what_is_in_it(offline, tmp_path):
    (tmp_path / "bad.yaml").write_text("secret: [hush-hush")
    (tmp_path / "list.yaml").write_text("- hush-hush")
    offline.env["VALUES_DIR"] = str(tmp_path)
    assert "There is no nope.yaml in the chart web." in offline.refused("config_check", "web", values_file="nope.yaml")
    for name in ("bad.yaml", "list.yaml", "none.yaml"):
        said = offline.refused("config_check", "web", values_file=str(tmp_path / name))
        assert name in said and "hush-hush" not in said


def test_values_file_of_this_machine_is_below_the_directory_for_values(offline, tmp_path):
    """Else anybody could read the server's credentials as the defaults of a form."""
    (tmp_path / "values").mkdir()
    (tmp_path / "kube.yaml").write_text("token: hush-hush")
    (tmp_path / "values/link.yaml").symlink_to(tmp_path / "kube.yaml")
    for directory in ("", str(tmp_path / "values")):
        offline.env["VALUES_DIR"] = directory
        for name in ("kube.yaml", "values/link.yaml", "values/../kube.yaml"):
            said = offline.refused("application_config", "web", values_file=str(tmp_path / name))
            assert said.startswith("values_file must") and "hush-hush" not in said


def test_values_file_of_the_chart_is_not_outside_of_it(offline, tmp_path):
    chart = chart_in(tmp_path / "charts/web")
    (tmp_path / "charts/secret.yaml").write_text("token: hush-hush")
    (chart / "values-link.yaml").symlink_to(tmp_path / "charts/secret.yaml")
    offline.env["CHARTS_DIR"] = str(tmp_path / "charts")
    for name in ("../secret.yaml", "values-link.yaml"):
        said = offline.refused("application_config", chart_repo_url=str(chart), values_file=name)
        assert name in said and "hush-hush" not in said


# How much of a chart is read


def package(path, files):
    """A chart in a package, with these files beside those that it has to have."""
    about = {"Chart.yaml": b"{apiVersion: v2, name: web, version: 1.0.0}", "values.yaml": b"greeting: Hello"}
    with tarfile.open(path, "w:gz") as archive:
        for name, data in (about | files).items():
            member = tarfile.TarInfo(f"web/{name}")
            member.size = len(data)
            archive.addfile(member, io.BytesIO(data))
    return path


MORE = {
    "README.md": b"x",
    "files/big.json": b"{}",
    "values-a.yml": b"a: 1",
    "env/b.yaml": b"b: 1",
    "templates/values.yaml": b"x",
}


def test_only_what_is_needed_of_a_chart_is_read(tmp_path):
    path = package(tmp_path / "web.tgz", MORE)
    with tarfile.open(path) as archive:
        archive.extractall(tmp_path, filter="data")
    for chart in (contents.read(path), contents.read(tmp_path / "web")):
        assert set(chart.files) == {"Chart.yaml", "values.yaml", "values-a.yml"}
        assert chart.find("env/b.yaml") == b"b: 1"
        assert chart.find("env/none.yaml") is None


def test_chart_that_is_too_large_is_refused(tmp_path, monkeypatch):
    monkeypatch.setattr(contents, "MOST_BYTES", 1 << 20)
    bomb = package(tmp_path / "bomb.tgz", {"README.md": bytes(2 << 20)})
    outer = package(tmp_path / "outer.tgz", {"charts/bomb.tgz": bomb.read_bytes()})
    directory = chart_in(tmp_path / "web", "x" * (2 << 20))
    for path in (bomb, outer, directory):
        with pytest.raises(Failure, match="The chart is too large: it has more than 1 MiB"):
            contents.read(path)


def test_chart_of_too_many_files_is_refused(tmp_path, monkeypatch):
    monkeypatch.setattr(contents, "MOST_FILES", 5)
    many = {f"values-{number}.yaml": b"" for number in range(5)}
    path = package(tmp_path / "web.tgz", many)
    directory = chart_in(tmp_path / "web")
    for name in many:
        (directory / name).touch()
    for chart in (path, directory):
        with pytest.raises(Failure, match="more than 5 files"):
            contents.read(chart)


# Time


def test_check_fetches_nothing(suite, repository):
    config = {"chart_repo_url": repository.url, "chart_name": "web"}
    suite.do("create", "web")
    code, said = suite.verdict(**config)
    assert (code, repository.site.seen) == (0, []), said


def test_silent_cluster_is_asked_once_and_within_the_limit(tmp_path, monkeypatch):
    from lib import helm, kube, settings
    from shared import processes

    kubectl = tmp_path / "kubectl"
    kubectl.write_text(f"#!/bin/sh\necho asked >>{tmp_path}/asked\nexec sleep 60\n")
    kubectl.chmod(0o755)
    found = settings.load({"OCTOPOD_SUITE_DATA": str(tmp_path), "KUBECTL_BIN": str(kubectl)})
    monkeypatch.setattr(processes, "limit", processes.Limit(1.0))
    began = time.monotonic()
    cluster = kube.Kube(found, "staging")
    assert helm.capabilities(found, cluster) == []
    with pytest.raises(Failure, match="cannot be asked"):
        cluster.get("pods")
    assert time.monotonic() - began < 10
    assert (tmp_path / "asked").read_text() == "asked\n"
