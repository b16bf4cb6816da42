"""Images: what a reference means, and whether a registry has it. The registry is a small one, written for these tests."""

import base64
import json
import urllib.request

import pytest
from helming import basic

from lib import credentials, images, registry
from lib.credentials import Keyring
from lib.images import Image, parse
from lib.registry import Registry, Silent

DIGEST = "sha256:" + "a" * 64
LOGIN = basic("ann", "open sesame")


@pytest.mark.parametrize(
    ("text", "image"),
    [
        ("nginx", Image("docker.io", "library/nginx", "latest")),
        ("nginx:1.2", Image("docker.io", "library/nginx", "1.2")),
        ("bitnami/wordpress:5", Image("docker.io", "bitnami/wordpress", "5")),
        ("docker.io/nginx:1", Image("docker.io", "library/nginx", "1")),
        ("docker.io/bitnami/x:1", Image("docker.io", "bitnami/x", "1")),
        ("index.docker.io/bitnami/x", Image("docker.io", "bitnami/x", "latest")),
        ("quay.io/x:2", Image("quay.io", "x", "2")),
        ("ghcr.io/a/b/c/d:1", Image("ghcr.io", "a/b/c/d", "1")),
        ("localhost/a", Image("localhost", "a", "latest")),
        ("localhost:5000/a:1", Image("localhost:5000", "a", "1")),
        ("registry.example.com:8443/a/b", Image("registry.example.com:8443", "a/b", "latest")),
        (f"a/b@{DIGEST}", Image("docker.io", "a/b", DIGEST)),
        (f"host:1/a/b:tag@{DIGEST}", Image("host:1", "a/b", DIGEST)),
        ("a.b_c__d-e/f:V1.0_x-y", Image("a.b_c__d-e", "f", "V1.0_x-y")),
    ],
)
def test_reference_is_read_as_engines_read_it(text, image):
    assert parse(text) == image


@pytest.mark.parametrize(
    "text", ["", ":1", "a:", "a b", "docker.io/A/b", "a@sha256:12", "a:tag:tag", "a//b", "-a", "a/b@", "x:.y"]
)
def test_what_is_no_reference_is_refused(text):
    with pytest.raises(ValueError, match="is not the name of an image"):
        parse(text)


def test_images_are_found_wherever_containers_are():
    pod = {"initContainers": [{"image": "init"}], "containers": [{"image": "main"}, {"image": "main"}, {"name": "x"}]}
    cron = {"kind": "CronJob", "spec": {"jobTemplate": {"spec": {"template": {"spec": pod}}}}}
    assert images.images_in(cron) == ["init", "main"]
    assert images.images_in({"kind": "ConfigMap", "data": {"containers": "none", "image": "x"}}) == []


# Credentials


def config(**logins):
    return json.dumps({"auths": {host: {"auth": LOGIN.removeprefix("Basic ")} for host in logins.values()}})


@pytest.mark.parametrize(
    ("key", "host", "repository"),
    [
        ("registry.example.com", "registry.example.com", "a/b"),
        ("https://registry.example.com/v2/", "registry.example.com", "a"),
        ("https://index.docker.io/v1/", "docker.io", "library/nginx"),
        ("registry.example.com/team", "registry.example.com", "team/app"),
        ("localhost:5000", "localhost:5000", "a"),
    ],
)
def test_login_is_found_by_registry_and_path(key, host, repository):
    keyring = credentials.from_json(config(a=key))
    assert keyring.find(host, repository).header == LOGIN
    assert keyring.find("other.example.com", repository) is None


def test_login_for_another_path_is_not_used():
    keyring = credentials.from_json(config(a="registry.example.com/team"))
    assert keyring.find("registry.example.com", "teams/app") is None


@pytest.mark.parametrize("text", ["", "[]", '"x"', '{"auths": {"a": 1, "b": {"auth": "!!"}, "c": {"auth": "YQ=="}}}'])
def test_configuration_that_cannot_be_read_has_no_logins(text):
    assert credentials.from_json(text).logins == {}


def test_old_form_and_plain_passwords_are_read():
    assert (
        credentials.from_json('{"host": {"username": "ann", "password": "open sesame"}}').find("host", "a").header
        == LOGIN
    )


# Where a registry may send us


def ask_for_token(monkeypatch, host, realm, insecure=()):
    """The addresses that are asked when a registry says that tokens are at the realm."""
    asked = []

    def answer(self, method, url, headers):
        asked.append(url)
        return registry.Answer(b'{"token": "t"}', {})

    monkeypatch.setattr(Registry, "_open", answer)
    Registry(host, Keyring({}), insecure)._authorization(f'Bearer realm="{realm}"', None, "a")
    return asked


@pytest.mark.parametrize(
    ("host", "realm"),
    [
        ("8.8.8.8", "http://8.8.8.8/token"),
        ("8.8.8.8", "https://127.0.0.1/token"),
        ("8.8.8.8", "https://169.254.169.254/token"),
        ("8.8.8.8", "https://10.0.0.1/token"),
        ("8.8.8.8", "https://[::1]/token"),
        ("8.8.8.8", "https://[::ffff:10.0.0.1]/token"),
        ("8.8.8.8", "https://localhost:8443/token"),
        ("10.0.0.1:5000", "http://10.0.0.1:5000/token"),
        ("8.8.8.8", "file:///etc/passwd"),
        ("8.8.8.8", "https://[/token"),
        ("8.8.8.8", ""),
    ],
)
def test_tokens_are_fetched_neither_without_tls_nor_inside(monkeypatch, host, realm):
    with pytest.raises(Silent):
        ask_for_token(monkeypatch, host, realm)


@pytest.mark.parametrize(
    ("host", "realm", "insecure"),
    [
        ("8.8.8.8", "https://8.8.4.4/token", []),
        ("10.0.0.1:5000", "https://10.0.0.2/token", []),
        ("10.0.0.1:5000", "http://10.0.0.1:5000/token", ["10.0.0.1:5000"]),
        ("127.0.0.1:5000", "http://127.0.0.1:5001/token", []),
    ],
)
def test_tokens_are_fetched_where_they_may_be(monkeypatch, host, realm, insecure):
    [asked] = ask_for_token(monkeypatch, host, realm, insecure)
    assert asked.startswith(realm)


@pytest.mark.parametrize(
    ("target", "kept"),
    [
        ("https://a.example/y", True),
        ("https://a.example:443/y", True),
        ("http://a.example/y", False),
        ("https://a.example:444/y", False),
        ("https://b.example/y", False),
    ],
)
def test_credentials_do_not_follow_a_redirect_elsewhere(target, kept):
    [handler] = [one for one in registry.OPENER.handlers if isinstance(one, urllib.request.HTTPRedirectHandler)]
    request = urllib.request.Request("https://a.example/x", headers={"Authorization": LOGIN})
    new = handler.redirect_request(request, None, 302, "Found", {}, target)
    assert new.has_header("Authorization") == kept


# Through config_check


@pytest.fixture
def checking(offline):
    offline.env |= {"CHECK_IMAGES": "true"}
    return offline


def check(suite, image):
    repository, _, tag = image.rpartition(":")
    return suite.run("config_check", "web", app={"image.repository": repository, "image.tag": tag})


def test_images_that_exist_pass(checking, new_registry):
    site = new_registry(manifests={"a/b/c/d:1.0": b"{}"})
    done = check(checking, f"{site.host}/a/b/c/d:1.0")
    assert (done.returncode, done.stdout) == (0, "")


def test_missing_image_is_named(checking, new_registry):
    site = new_registry(manifests={"shop/web:1.0": b"{}"})
    done = check(checking, f"{site.host}/shop/web:2.0")
    assert done.returncode == 1
    assert done.stdout == f"The image {site.host}/shop/web:2.0 does not exist: {site.host} has no 2.0 of shop/web.\n"


def test_every_missing_image_is_named(checking, new_registry):
    site = new_registry()
    done = checking.run("config_check", "mixed", app={"image": f"{site.host}/tool:1"})
    assert done.stdout.count("does not exist") == 1, "each image once"
    done = checking.run("config_check", "web", app={"image.repository": f"{site.host}/web", "image.tag": "A B"})
    assert f'"{site.host}/web:A B" is not the name of an image.' in done.stdout


def test_check_of_images_can_be_switched_off(checking, new_registry):
    checking.env["CHECK_IMAGES"] = "false"
    site = new_registry()
    assert check(checking, f"{site.host}/shop/web:2.0").returncode == 0
    assert site.seen == []


@pytest.mark.parametrize("plain", [True, False])
def test_login_of_docker_opens_the_registry(checking, new_registry, tmp_path, plain):
    site = new_registry(manifests={"shop/web:1.0": b"{}"}, login=LOGIN, plain=plain)
    done = check(checking, f"{site.host}/shop/web:1.0")
    assert done.returncode == 1
    assert f"The image {site.host}/shop/web:1.0 does not exist, or is not for us: {site.host} " in done.stdout
    (tmp_path / "config.json").write_text(config(a=site.host))
    assert check(checking, f"{site.host}/shop/web:1.0").returncode == 0
    assert check(checking, f"{site.host}/shop/web:2.0").returncode == 1


def test_anonymous_token_is_asked_for(checking, new_registry):
    """As Docker Hub does: nobody has to log in, but a token has to be fetched."""
    site = new_registry(manifests={"shop/web:1.0": b"{}"}, login="", plain=False)
    site.handler.login = "anonymous"

    def answer(handler, original=site.handler.answer):
        if handler.path.startswith("/token"):
            handler.site.seen.append((handler.command, handler.path, handler.headers.get("Authorization", "")))
            return handler.reply(200, json.dumps({"access_token": "free"}).encode())
        if handler.headers.get("Authorization") == "Bearer free":
            return handler.find(handler.path.removeprefix("/v2/"))
        return original(handler)

    site.handler.answer = answer
    assert check(checking, f"{site.host}/shop/web:1.0").returncode == 0
    [token] = [path for path in site.paths() if path.startswith("/token")]
    assert token == "/token?scope=repository%3Ashop%2Fweb%3Apull&service=test"


def test_registry_that_cannot_be_asked_stops_nobody(checking, new_registry):
    """Cannot tell is not: does not exist."""
    site = new_registry(broken=503)
    done = check(checking, f"{site.host}/shop/web:1.0")
    assert (done.returncode, done.stdout) == (0, "")
    assert f"Whether the image {site.host}/shop/web:1.0 exists is not known: {site.host} answers 503." in done.stderr
    site.stop()
    done = check(checking, f"{site.host}/shop/web:1.0")
    assert done.returncode == 0 and "is not known" in done.stderr


def put_pull_secret(cluster, host, name="pull", namespace="staging"):
    cluster.namespace(namespace)
    data = {".dockerconfigjson": base64.b64encode(config(a=host).encode()).decode()}
    metadata = {"name": name, "namespace": namespace}
    cluster.put(
        {
            "apiVersion": "v1",
            "kind": "Secret",
            "metadata": metadata,
            "type": "kubernetes.io/dockerconfigjson",
            "data": data,
        }
    )


def test_pull_secret_of_the_cluster_opens_the_registry(suite, cluster, new_registry):
    suite.env["CHECK_IMAGES"] = "true"
    site = new_registry(manifests={"shop/web:1.0": b"{}"}, login=LOGIN)
    app = {"image.repository": f"{site.host}/shop/web", "pullSecrets": '[{"name": "pull"}]'}
    assert "is not for us" in suite.refused("config_check", "web", app=app)
    put_pull_secret(cluster, site.host)
    suite.do("config_check", "web", app=app)


def test_pull_secret_of_the_service_account_opens_the_registry(suite, cluster, new_registry):
    suite.env["CHECK_IMAGES"] = "true"
    site = new_registry(manifests={"shop/web:1.0": b"{}"}, login=LOGIN)
    put_pull_secret(cluster, site.host)
    account = {"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": "default", "namespace": "staging"}}
    cluster.put(account | {"imagePullSecrets": [{"name": "pull"}]})
    suite.do("config_check", "web", app={"image.repository": f"{site.host}/shop/web"})


def test_pull_secret_that_may_not_be_read_is_named(suite, cluster, new_registry):
    suite.env["CHECK_IMAGES"] = "true"
    site = new_registry(manifests={"shop/web:1.0": b"{}"}, login=LOGIN)
    put_pull_secret(cluster, site.host)
    cluster.fail("GET", "*/secrets/*", 403)
    done = suite.run(
        "config_check", "web", app={"image.repository": f"{site.host}/shop/web", "pullSecrets": '[{"name": "pull"}]'}
    )
    assert done.returncode == 1
    assert "Images are looked up without the pull secrets pull." in done.stderr
    assert "open sesame" not in done.stdout + done.stderr
