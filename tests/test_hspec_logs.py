"""Logs of replicas: shown, followed, and kept."""

import io
import stat
import threading
from pathlib import Path

import pytest
from hspec_cluster import client, deployment, labels, stateful_set
from kube.cluster import Cluster

from octopod.hspec.cluster import Kubectl, logs, save_logs
from octopod.hspec.errors import LogsError


@pytest.fixture
def ctl(cluster: Cluster, kubectl: Path, monkeypatch: pytest.MonkeyPatch) -> Kubectl:
    return client(cluster, kubectl, monkeypatch)


class Reader:
    """Reads logs, into a file."""

    def __init__(self, ctl: Kubectl, file: Path) -> None:
        self.ctl, self.file, self.out = ctl, file, io.StringIO()

    def __call__(self, replica: str | None = None, lines: int = 100, follow: bool = False) -> str:
        logs(self.ctl, "shop", "web", replica=replica, lines=lines, follow=follow, file=self.file, out=self.out)
        assert self.file.read_text() == self.out.getvalue()
        return self.out.getvalue()


@pytest.fixture
def read(ctl: Kubectl, tmp_path: Path) -> Reader:
    return Reader(ctl, tmp_path / "logs/service.log")


def test_the_log_of_the_first_replica_is_shown_and_kept(read: Reader, cluster: Cluster) -> None:
    cluster.log("shop-web-0", "hello\nworld")
    cluster.log("shop-web-1", "other")
    cluster.put(stateful_set(replicas=2).data, "store")
    assert read() == "hello\nworld\n"
    assert stat.S_IMODE(read.file.stat().st_mode) == 0o600
    request = next(one for one in cluster.requests if one.path.endswith("/log"))
    assert request.query == {
        "container": "web", "tailLines": "100", "timestamps": "true", "limitBytes": "100000000",
        "timeout": "2m0s",
    }  # fmt: skip


def test_another_replica_can_be_chosen(read: Reader, cluster: Cluster) -> None:
    cluster.log("shop-web-1", "other")
    cluster.put(stateful_set(replicas=2).data, "store")
    assert read("shop-web-1", lines=1) == "other\n"


def test_an_unknown_replica_is_told_which_there_are(read: Reader, cluster: Cluster) -> None:
    cluster.put(stateful_set(replicas=2).data, "store")
    with pytest.raises(LogsError, match=r"no replica shop-web-7. There are: shop-web-0, shop-web-1\."):
        read("shop-web-7")


def test_the_service_of_another_app_is_another(read: Reader, cluster: Cluster) -> None:
    cluster.put(deployment(of=labels(app="other")).data, "store")
    with pytest.raises(LogsError, match="no replicas"):
        read()


def test_a_container_that_waits_for_its_image_has_no_logs(read: Reader, cluster: Cluster) -> None:
    cluster.pods("web:1", then="image")
    cluster.put(deployment().data, "store")
    with pytest.raises(LogsError, match="has no logs: ImagePullBackOff"):
        read()


def test_what_a_container_wrote_before_it_crashed_is_shown_first(read: Reader, cluster: Cluster) -> None:
    cluster.pods("web:1", then="crash", log="no such table")
    cluster.put(deployment().data, "store")
    assert read().startswith("--- before the last restart of web\nno such table\n--- since")


def test_a_log_is_followed_until_its_replica_is_gone(read: Reader, cluster: Cluster) -> None:
    cluster.log("shop-web-0", "first")
    cluster.put(stateful_set().data, "store")
    thread = threading.Thread(target=read, kwargs={"follow": True})
    thread.start()
    cluster.wait_for(lambda: "first" in read.out.getvalue(), "the beginning")
    cluster.log("shop-web-0", "second")
    cluster.wait_for(lambda: "second" in read.out.getvalue(), "what comes later")
    cluster.delete("StatefulSet", "shop-web", "store")
    thread.join(30)
    assert not thread.is_alive()
    assert read.file.read_text() == "first\nsecond\n"


class Interrupted(io.StringIO):
    """Somebody who presses Ctrl-C as soon as there is something to read."""

    def write(self, text: str) -> int:
        super().write(text)
        raise KeyboardInterrupt


def test_ctrl_c_ends_following_without_a_complaint(read: Reader, cluster: Cluster) -> None:
    cluster.log("shop-web-0", "first")
    cluster.put(stateful_set().data, "store")
    read.out = Interrupted()
    assert read(follow=True) == "first\n"


def test_the_logs_of_all_replicas_are_kept(ctl: Kubectl, cluster: Cluster, tmp_path: Path) -> None:
    cluster.log("shop-web-0", "one")
    cluster.pods("shop-web-1", then="image")
    cluster.put(stateful_set(replicas=2).data, "store")
    save_logs(ctl, "shop", "web", tmp_path / "deploy.log")
    text = (tmp_path / "deploy.log").read_text()
    assert text.startswith("==> shop-web-0 web <==\none\n==> shop-web-1 web <==\n")
    assert "trying and failing to pull image" in text


def test_logs_are_bounded_and_what_is_left_out_is_told(ctl: Kubectl, cluster: Cluster, tmp_path: Path) -> None:
    cluster.pods("web:1", then="crash", log="x" * 1_000_000)
    cluster.put(deployment().data, "store")
    save_logs(ctl, "shop", "web", tmp_path / "deploy.log")
    asked = [one.query for one in cluster.requests if one.path.endswith("/log")]
    assert [one.get("limitBytes") for one in asked] == ["1000000"] * 2
    assert (tmp_path / "deploy.log").read_text().count("--- more than 1,000,000 bytes: the rest is left out") == 2


def test_a_kubectl_that_fails_is_no_error_after_a_deployment(ctl: Kubectl, cluster: Cluster, tmp_path: Path) -> None:
    cluster.pods("web:1", then="crash", log="no such table")
    cluster.put(deployment().data, "store")
    broken = tmp_path / "kubectl"
    broken.write_text(f'#!/bin/sh\n[ "$1" = get ] && rm "$0"\nexec {ctl.program} "$@"\n')
    broken.chmod(0o755)
    ctl.program = str(broken)
    save_logs(ctl, "shop", "web", tmp_path / "deploy.log")
    assert "cannot be started" in (tmp_path / "deploy.log").read_text()


def test_a_lack_of_logs_is_no_error_after_a_deployment(ctl: Kubectl, cluster: Cluster, tmp_path: Path) -> None:
    save_logs(ctl, "shop", "web", tmp_path / "deploy.log")
    assert "has no replicas" in (tmp_path / "deploy.log").read_text()
    cluster.fail("GET", "*/pods", 500)
    save_logs(ctl, "shop", "web", tmp_path / "deploy.log")
    assert "Cannot look for pods" in (tmp_path / "deploy.log").read_text()
