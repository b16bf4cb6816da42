"""Images: built by the real buildah, pushed to a real registry. docker and podman are seen by their argument lists."""

import base64
import io
import json
import socket
import stat
import threading
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from conftest import free_port
from hspec_images_fixtures import PASSWORD, USER, Buildah, DockerRegistry

from octopod.hspec.errors import BuildError, PreflightError, PushError
from octopod.hspec.home import Workspace
from octopod.hspec.images import build, builders, preflight, push, stages, write_dockerfile
from octopod.hspec.images import registry as registry_module
from octopod.hspec.images.builders import digest_in
from octopod.hspec.images.registry import is_insecure, qualified
from octopod.hspec.service import Artifact, BuildSpec, Dockerfile, Image, Service
from octopod.hspec.talk import Skipped, Talk

APP = "shop"


def steps(count: int) -> str:
    """Of a Dockerfile; each is a line of the log or two, and a layer that takes its time."""
    return "".join(f"ENV N={number}\n" for number in range(1, count + 1))


class Site:
    """A directory with sources, the workspace of a service, and what has been said so far."""

    def __init__(self, directory: Path) -> None:
        self.sources = directory / "sources"
        self.sources.mkdir()
        self.workspace = Workspace(directory / "apps/shop/catalog")
        self.workspace.make()
        self.said = io.StringIO()
        self.talk = Talk(self.said)

    def write(self, name: str, content: str) -> Path:
        path = self.sources / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(content)
        return path

    def dockerfile(self, content: str, **more: Any) -> Dockerfile:
        return Dockerfile(self.sources, self.write("Dockerfile", content), **more)

    def service(self, name: str, registry: str | None, **image: Any) -> Service:
        return Service("catalog", Image(name, registry, "2.4", **image), self.sources / "catalog.hspec")

    def build(self, service: Service) -> None:
        build(service, APP, self.workspace, self.talk)

    def push(self, service: Service) -> str | None:
        return push(service, APP, self.workspace, self.talk)

    def run(self, service: Service) -> list[str | None]:
        """All stages; of each, why it was skipped, or what it returned."""
        stages: list[Callable[[], Any]] = [
            lambda: write_dockerfile(service, self.workspace, self.talk).name,
            lambda: self.build(service),
            lambda: self.push(service),
        ]
        return [outcome(stage) for stage in stages]


def outcome(stage: Callable[[], Any]) -> Any:
    try:
        return stage()
    except Skipped as skipped:
        return f"skipped: {skipped}"


@pytest.fixture
def site(tmp_path: Path) -> Site:
    return Site(tmp_path)


def log_in(home: Path, host: str, password: str = PASSWORD) -> Path:
    """As `docker login` does it."""
    file = home / ".docker/config.json"
    file.parent.mkdir(exist_ok=True)
    auth = base64.b64encode(f"{USER}:{password}".encode()).decode()
    file.write_text(
        json.dumps({"auths": {host: {"auth": auth}}, "credHelpers": {"x": "y"}, "currentContext": "default"})
    )
    return file


THERE, AS_IT_IS = "the image is there already", "the stack image is used as it is"
# The rows of the decision table, and what the stages say.
STAGES = {
    "neither": [THERE, THERE, THERE],
    "stack": [AS_IT_IS, AS_IT_IS, "pushed"],
    "build spec": ["written", "built", "pushed"],
    "dockerfile": ["the spec brings a Dockerfile", "built", "pushed"],
}


def image_of(row: str, site: Site, stack: str) -> dict[str, Any]:
    images: dict[str, dict[str, Any]] = {
        "neither": {},
        "stack": {"build_spec": BuildSpec(stack)},
        "build spec": {"build_spec": BuildSpec(stack, run_commands="echo hi")},
        "dockerfile": {"dockerfile": site.dockerfile(f"FROM {stack}\nENV OF=catalog\n")},
    }
    return images[row]


@pytest.mark.usefixtures("builder_home")
@pytest.mark.parametrize("row", STAGES)
def test_each_kind_of_image_goes_through_its_stages(
    row: str, site: Site, stack_image: str, registry: DockerRegistry, buildah: Buildah
) -> None:
    expected = STAGES[row]
    name = f"team-a/{row.replace(' ', '-')}"
    service = site.service(name, registry.host, **image_of(row, site, stack_image))
    preflight(service)
    done = site.run(service)
    digest = registry.digest(name, "2.4") if name in registry.repositories() else "none"
    meanings = {"written": "Dockerfile", "built": None, "pushed": digest}
    assert done == [meanings.get(word, f"skipped: {word}") for word in expected]
    assert (digest != "none") == ("pushed" in expected) == (f"{registry.host}/{name}:2.4" in buildah.names())
    assert not [name for name in buildah.names() if name.startswith("hyscale.io/")]


@pytest.mark.usefixtures("builder_home")
@pytest.mark.parametrize("row", STAGES)
def test_without_a_registry_the_image_stays_here(row: str, site: Site, stack_image: str, buildah: Buildah) -> None:
    expected = STAGES[row]
    name = f"team-b/{row.replace(' ', '-')}"
    service = site.service(name, None, **image_of(row, site, stack_image))
    preflight(service)
    last = "the image is there already" if row == "neither" else "the spec names no registry"
    assert site.run(service)[2] == f"skipped: {last}"
    assert (f"localhost/{name}:2.4" in buildah.names()) == ("pushed" in expected)
    assert not [name for name in buildah.names() if name.startswith("hyscale.io/")]


@pytest.mark.usefixtures("builder_home")
def test_a_stack_image_is_pushed_as_it_is(site: Site, stack_image: str, registry: DockerRegistry) -> None:
    service = site.service("team-a/plain", registry.host, build_spec=BuildSpec(stack_image))
    site.push(service)
    assert registry.config("team-a/plain", "2.4")["Cmd"] == ["echo", "of the stack"]
    assert registry.digest("team-a/plain", "2.4") == registry.digest("base/stack", "1")


@pytest.mark.usefixtures("builder_home")
def test_what_a_build_spec_says_is_in_the_image_and_runs(
    site: Site, stack_image: str, registry: DockerRegistry, buildah: Buildah
) -> None:
    sources = [site.write(name, f"this is {name}\n") for name in ("plain.txt", "odd * $HOME 'n' \"b.txt")]
    spec = BuildSpec(
        stack_image,
        artifacts=(
            Artifact("plain", sources[0], "/srv/$STACK.txt"),
            Artifact("odd", sources[1], '/srv/my files/<it\'s> "odd".txt'),
        ),
        config_script=site.write("set up.sh", "#!/bin/sh\ncat /srv/*.txt >/srv/configured\n"),
        run_commands='cat /srv/configured "/srv/my files/"*; echo "runs with $1"',
    )
    service = site.service("team-a/run", registry.host, build_spec=spec)
    assert site.run(service)[2]
    entrypoint = registry.config("team-a/run", "2.4")["Entrypoint"]
    assert entrypoint == ["/bin/sh", "/hyscale/init_scripts/run.sh"]
    said = buildah.run(service.image.reference, *entrypoint, "an argument")
    assert said == f"this is plain.txt\nthis is {sources[1].name}\nruns with an argument\n"


@pytest.mark.usefixtures("builder_home")
def test_a_dockerfile_is_built_with_its_context_arguments_and_target(
    site: Site, stack_image: str, registry: DockerRegistry, buildah: Buildah
) -> None:
    site.write("context of it/greeting", "from the context\n")
    dockerfile = Dockerfile(
        site.sources / "context of it",
        site.write(
            "elsewhere/My Dockerfile",
            "ARG BASE\nFROM ${BASE} AS wanted\nARG GREETING\nCOPY greeting /greeting\n"
            'RUN echo "$GREETING" >>/greeting\nFROM wanted\nRUN echo too much >>/greeting\n',
        ),
        args={"BASE": stack_image, "GREETING": "Hello; $(reboot) = 'you' --target"},
        target="wanted",
    )
    service = site.service("team-a/target", registry.host, dockerfile=dockerfile)
    site.build(service)
    site.push(service)
    said = buildah.run(service.image.reference, "cat", "/greeting")
    assert said == "from the context\nHello; $(reboot) = 'you' --target\n"


@pytest.mark.usefixtures("builder_home")
def test_an_image_without_a_tag_is_the_latest(site: Site, stack_image: str, registry: DockerRegistry) -> None:
    service = site.service("team-a/latest", registry.host, build_spec=BuildSpec(stack_image, run_commands="true"))
    service = replace(service, image=replace(service.image, tag=None))
    assert site.run(service)[2] == registry.digest("team-a/latest", "latest")


@pytest.mark.usefixtures("builder_home")
def test_a_failing_build_tells_the_last_lines_of_its_log(site: Site, stack_image: str, buildah: Buildah) -> None:
    dockerfile = site.dockerfile(f"FROM {stack_image}\n{steps(20)}COPY the-reason /\n")
    service = site.service("team-a/failing", None, dockerfile=dockerfile)
    with pytest.raises(BuildError) as failure:
        site.build(service)
    log = site.workspace.log("build")
    assert str(failure.value).startswith(f"The image of catalog cannot be built. The log is {log}; it ends with\n")
    assert "the-reason" in str(failure.value).splitlines()[-1] and "ENV N=20\n" in str(failure.value)
    assert "ENV N=5\n" not in str(failure.value) and "ENV N=1\n" in log.read_text()
    assert stat.S_IMODE(log.stat().st_mode) == 0o600
    assert not [name for name in buildah.names() if "catalog" in name]
    assert site.said.getvalue() == ""


@pytest.mark.usefixtures("builder_home")
def test_those_who_ask_for_more_are_told_the_whole_log(site: Site, stack_image: str) -> None:
    service = site.service("team-a/verbose", None, dockerfile=site.dockerfile(f"FROM {stack_image}\n{steps(55)}"))
    site.talk = Talk(site.said, verbose=True)
    site.build(service)
    told = [line.strip() for line in site.said.getvalue().splitlines()]
    logged = [line.strip() for line in site.workspace.log("build").read_text().splitlines()]
    assert told == logged and len(told) > 101


@pytest.mark.usefixtures("builder_home")
def test_a_dockerfile_that_is_not_there_is_named(site: Site) -> None:
    missing = Dockerfile(site.sources, site.sources / "Dockerfile")
    with pytest.raises(BuildError, match=f"there is no {missing.file}"):
        site.build(site.service("team-a/absent", None, dockerfile=missing))


@pytest.mark.usefixtures("builder_home")
def test_a_stack_image_that_is_not_there_is_named(site: Site, registry: DockerRegistry) -> None:
    service = site.service("team-a/x", registry.host, build_spec=BuildSpec(f"{registry.host}/base/absent:1"))
    with pytest.raises(BuildError, match=r"The stack image of catalog cannot be had\.(?s:.*)base/absent"):
        site.push(service)


@pytest.mark.usefixtures("builder_home")
def test_a_push_that_fails_leaves_the_image_here(
    site: Site, stack_image: str, locked_registry: DockerRegistry, buildah: Buildah
) -> None:
    host = locked_registry.host
    service = site.service("team-a/refused", host, build_spec=BuildSpec(stack_image, run_commands="true"))
    with pytest.raises(PushError, match=f"{host}/team-a/refused:2.4 cannot be pushed.*push.log(?s:.*)unauthorized"):
        site.run(service)
    assert {"hyscale.io/shop/catalog:2.4", service.image.reference} <= set(buildah.names())
    buildah("rmi", "hyscale.io/shop/catalog:2.4")


@pytest.mark.usefixtures("builder_home")
def test_a_registry_that_gives_no_answer_is_left_to_the_push(site: Site) -> None:
    preflight(site.service("a", f"127.0.0.1:{free_port()}", build_spec=BuildSpec("a")))


def test_a_push_logs_in_and_leaves_the_users_configuration_alone(
    site: Site, stack_image: str, locked_registry: DockerRegistry, builder_home: Path
) -> None:
    file = log_in(builder_home, locked_registry.host)
    before = file.read_bytes(), sorted(builder_home.rglob("*"))
    service = site.service("team-a/let-in", locked_registry.host, build_spec=BuildSpec(stack_image))
    preflight(service)
    assert site.push(service) == locked_registry.digest("team-a/let-in", "2.4")
    assert (file.read_bytes(), sorted(builder_home.rglob("*"))) == before


def test_nothing_is_pushed_by_those_who_are_not_let_in(
    site: Site, stack_image: str, locked_registry: DockerRegistry, builder_home: Path
) -> None:
    log_in(builder_home, locked_registry.host, "wrong password")
    service = site.service("team-a/kept-out", locked_registry.host, build_spec=BuildSpec(stack_image))
    with pytest.raises(PushError, match=f"^{locked_registry.host} does not let alice in: ") as failure:
        site.push(service)
    assert "wrong password" not in str(failure.value)
    assert "team-a/kept-out" not in locked_registry.repositories()


@pytest.mark.parametrize("elsewhere", [False, True])
def test_stack_images_for_those_only_who_are_logged_in_can_be_built_upon(
    elsewhere: bool, site: Site, stack_image: str, locked_registry: DockerRegistry, builder_home: Path,
    buildah: Buildah, monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    file = log_in(builder_home, locked_registry.host)
    private = site.service("base/private", locked_registry.host, build_spec=BuildSpec(stack_image))
    site.push(private)
    buildah("rmi", private.image.reference)
    if elsewhere:
        monkeypatch.setenv("DOCKER_CONFIG", str(file.parent.rename(builder_home / "docker of mine")))
    spec = BuildSpec(private.image.reference, run_commands="true")
    service = site.service("team-a/upon-private", locked_registry.host, build_spec=spec)
    assert site.run(service)[2] == locked_registry.digest("team-a/upon-private", "2.4")


@pytest.mark.usefixtures("builder_home")
@pytest.mark.parametrize("command", ["true", ""])
def test_a_login_that_is_missing_is_missed_before_anything_is_built(
    command: str, site: Site, locked_registry: DockerRegistry, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("no_proxy", raising=False)
    monkeypatch.setenv("http_proxy", f"http://127.0.0.1:{free_port()}")  # not for registries of this machine
    spec = BuildSpec("docker.example.test/never-looked-at", run_commands=command)
    with pytest.raises(PreflightError) as failure:
        preflight(site.service("team-a/x", locked_registry.host, build_spec=spec))
    assert str(failure.value) == (
        f"{locked_registry.host} wants a login, and there is none. Log in before: buildah login {locked_registry.host}"
    )


class Recorder:
    """Programs on the path that keep how they were called, and do as they are told."""

    def __init__(self, directory: Path) -> None:
        self.bin, self.calls = directory / "bin", directory / "calls"
        self.bin.mkdir()
        self.calls.mkdir()

    def add(self, name: str, **does: str) -> Path:
        """`does`: shell for a verb of the program."""
        cases = "".join(f"{verb}) {shell};;\n" for verb, shell in does.items())
        path = self.bin / name
        path.write_text(
            f"#!/bin/bash\nexport PATH=/usr/bin:/bin\nnumber=$(printf %03d $(ls {self.calls} | wc -l)); call={self.calls}/$number; mkdir $call\n"
            f"printf '%s\\0' {name} \"$@\" >$call/argv; env -0 >$call/env\n"
            '[ "$1" != login ] || cat >$call/stdin\n'
            'if [ -n "$DOCKER_CONFIG" ]; then\n'
            "  cp $DOCKER_CONFIG/config.json $call/; stat -c %a $DOCKER_CONFIG >$call/mode; ls $DOCKER_CONFIG >$call/ls\n"
            "fi\n"
            'for word; do case $word in --digestfile=*) printf sha256:feed >"${word#*=}";; esac; done\n'
            f'case "$1" in\n{cases}*) ;;\nesac\n'
        )
        path.chmod(0o755)
        return path

    def read(self, number: int, name: str) -> str:
        return (sorted(self.calls.iterdir())[number] / name).read_text()

    def argvs(self) -> list[list[str]]:
        return [(call / "argv").read_text().split("\0")[:-1] for call in sorted(self.calls.iterdir())]


@pytest.fixture
def recorder(tmp_path: Path, builder_home: Path, monkeypatch: pytest.MonkeyPatch) -> Recorder:
    recorder = Recorder(tmp_path)
    monkeypatch.delenv("IMAGE_BUILDER")
    monkeypatch.setenv("PATH", str(recorder.bin))
    return recorder


HOST = "registry.example.test"
REFERENCE = f"{HOST}/team-a/catalog:2.4"
LOCAL = "hyscale.io/shop/catalog:2.4"
BUILD = ["--build-arg=A=b c", "--build-arg=--x=y", "--target=-t", "--file={sources}/Dockerfile", f"--tag={LOCAL}"]
LOGIN = ["login", "--username=alice", "--password-stdin"]
PUSH_TO = ["--", REFERENCE, f"docker://{REFERENCE}"]
REPO_DIGESTS = ["image", "inspect", "--format={{json .RepoDigests}}", "--", REFERENCE]
# What each is called with, one after the other, for an image that is built and pushed.
SAID = {
    "docker": [
        ["version"],
        ["build", *BUILD, "--", "{sources}"],
        ["tag", "--", LOCAL, REFERENCE],
        ["version"],
        [*LOGIN, "--", HOST],
        ["push", "--", REFERENCE],
        REPO_DIGESTS,
        ["rmi", "--", LOCAL],
    ],
    **{
        name: [
            ["info"],
            [*verb, *BUILD, "--", "{sources}"],
            ["tag", "--", LOCAL, REFERENCE],
            ["info"],
            [*LOGIN, "--", HOST],
            ["push", "--digestfile={digest}", *PUSH_TO],
            ["rmi", "--", LOCAL],
        ]
        for name, verb in {"podman": ["build"], "buildah": ["bud", "--layers"]}.items()
    },
}
INSPECTED = {"image": f"""echo '["other.example.test/x@sha256:1","{HOST}/team-a/catalog@sha256:feed"]'"""}


def awkward(site: Site, registry: str = HOST) -> Service:
    args = {"A": "b c", "--x": "y"}
    dockerfile = site.dockerfile("FROM docker.io/library/redis:7\n", args=args, target="-t")
    return site.service("team-a/catalog", registry, dockerfile=dockerfile)


@pytest.mark.parametrize("kind", SAID)
def test_each_builder_is_told_in_its_own_words(kind: str, site: Site, recorder: Recorder, builder_home: Path) -> None:
    """docker and podman do not run here: what they are called with is compared with what their manuals say."""
    recorder.add(kind, **INSPECTED)
    log_in(builder_home, HOST)
    assert site.run(awkward(site))[1:] == [None, "sha256:feed"]
    for argv, said in zip(recorder.argvs(), SAID[kind], strict=True):
        digest = next((word.partition("=")[2] for word in argv if word.startswith("--digestfile=")), "")
        assert argv == [
            kind,
            *(word.replace("{sources}", str(site.sources)).replace("{digest}", digest) for word in said),
        ]


@pytest.mark.parametrize("kind", SAID)
def test_a_stack_image_is_pulled_and_named(kind: str, site: Site, recorder: Recorder) -> None:
    """docker and podman do not run here: what they are called with is compared with what their manuals say."""
    recorder.add(kind, **INSPECTED)
    assert site.push(site.service("team-a/catalog", HOST, build_spec=BuildSpec("redis:7"))) == "sha256:feed"
    stack = "docker.io/library/redis:7"
    assert [argv[1:] for argv in recorder.argvs()][1:3] == [["pull", "--", stack], ["tag", "--", stack, REFERENCE]]
    assert recorder.argvs()[3][1] == "push"


@pytest.mark.parametrize("kind", SAID)
def test_a_password_is_in_no_argument_and_its_file_is_gone_afterwards(
    kind: str, site: Site, recorder: Recorder, builder_home: Path
) -> None:
    """Also: what the user's configuration says of contexts and plugins holds, and no keychain is written to."""
    recorder.add(kind, **INSPECTED)
    file = log_in(builder_home, HOST)
    (file.parent / "contexts").mkdir()
    (file.parent / "contexts/mine").write_text("a context")
    before = file.read_bytes()
    site.run(awkward(site))
    words = [[word[:4] for word in argv if word in ("login", "push")] for argv in recorder.argvs()]
    login, pushing = words.index(["logi"]), words.index(["push"])
    assert recorder.read(login, "stdin") == PASSWORD
    assert not [argv for argv in recorder.argvs() if PASSWORD in " ".join(argv)]
    for number in (login, pushing):
        environment = dict(pair.split("=", 1) for pair in recorder.read(number, "env").split("\0") if pair)
        private = Path(environment["DOCKER_CONFIG"])
        assert environment["REGISTRY_AUTH_FILE"] == str(private / "config.json")
        assert PASSWORD not in recorder.read(number, "env") and recorder.read(number, "mode") == "700\n"
        assert recorder.read(number, "ls").split() == ["config.json", "contexts"]
        config = json.loads(recorder.read(number, "config.json"))
        assert list(config["auths"]) == [HOST] and config["currentContext"] == "default"
        assert not {"credsStore", "credHelpers"} & set(config) and not private.exists()
    assert file.read_bytes() == before and (file.parent / "contexts/mine").exists()
    assert PASSWORD not in "".join(path.read_text() for path in site.workspace.directory.rglob("*.log"))


def test_an_identity_token_is_used_without_another_login(site: Site, recorder: Recorder, builder_home: Path) -> None:
    recorder.add("docker", **INSPECTED)
    log_in(builder_home, HOST).write_text(json.dumps({"auths": {HOST: {"auth": "", "identitytoken": "a token"}}}))
    site.push(site.service("team-a/catalog", HOST, build_spec=BuildSpec("redis:7")))
    verbs = [argv[1] for argv in recorder.argvs()]
    assert "login" not in verbs
    entry = json.loads(recorder.read(verbs.index("push"), "config.json"))["auths"][HOST]
    assert entry["identitytoken"] == "a token"


@pytest.mark.parametrize(("kind", "registry"), [("docker", "docker.io"), ("podman", "docker.io"), ("docker", "team")])
def test_docker_hub_has_one_login_under_all_its_names(
    kind: str, registry: str, site: Site, recorder: Recorder, builder_home: Path
) -> None:
    recorder.add(kind)
    log_in(builder_home, "https://index.docker.io/v1/")
    site.push(site.service("catalog", registry, build_spec=BuildSpec("redis:7")))
    verbs = [argv[1] for argv in recorder.argvs()]
    assert recorder.argvs()[verbs.index("login")][-1] == "docker.io"
    auths = json.loads(recorder.read(verbs.index("push"), "config.json"))["auths"]
    assert list(auths) == ["https://index.docker.io/v1/", "docker.io"]


@pytest.mark.parametrize("named", ["", "other.example.test", f"other.example.test, {HOST}"])
def test_only_registries_that_are_named_are_spoken_to_without_tls(
    named: str, site: Site, recorder: Recorder, builder_home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    recorder.add("buildah")
    log_in(builder_home, HOST)
    monkeypatch.setenv("INSECURE_REGISTRIES", named)
    site.push(site.service("team-a/catalog", HOST, build_spec=BuildSpec(f"{HOST}/base/stack:1")))
    told = [argv[1] for argv in recorder.argvs() if "--tls-verify=false" in argv]
    assert told == (["pull", "login", "push"] if HOST in named else [])


@pytest.mark.parametrize(
    ("dockerfile", "told"),
    [
        ("FROM 127.0.0.1:5000/a", True),
        ("# a comment\nfrom --platform=linux/amd64 localhost:5000/a:1 as builder\nFROM builder\nFROM scratch", True),
        ("ARG X\nFROM ${HERE}/a\n", True),
        ("FROM 127.0.0.1:5000/a AS b\nFROM redis:7\n", False),
        ("FROM redis:7", False),
        ("FROM scratch", False),
        ("FROM ${UNKNOWN}", False),
    ],
)
def test_a_build_does_without_tls_only_when_all_it_builds_upon_does(
    dockerfile: str, told: bool, site: Site, recorder: Recorder
) -> None:
    recorder.add("buildah")
    site.build(site.service("a", None, dockerfile=site.dockerfile(dockerfile, args={"HERE": "127.0.0.1:1"})))
    assert ("--tls-verify=false" in recorder.argvs()[1]) == told


def test_a_dockerfile_of_many_lines_is_looked_at_without_delay(site: Site, recorder: Recorder) -> None:
    recorder.add("buildah")
    started = time.process_time()
    site.build(site.service("a", None, dockerfile=site.dockerfile("FROM 127.0.0.1:5000/a" + "\n" * 60_000 + "RUN x")))
    assert time.process_time() - started < 3.0  # a hundredth of this is usual
    assert "--tls-verify=false" in recorder.argvs()[1]


def test_a_digest_that_is_not_told_is_done_without(site: Site, recorder: Recorder) -> None:
    recorder.add("docker", image="echo '[]'")
    assert site.push(site.service("a", HOST, build_spec=BuildSpec("redis:7"))) is None
    assert len(site.talk.warnings) == 1 and f"{HOST}/a:2.4" in site.talk.warnings[0]


BUILDERS = {
    "the first that is there": (["docker", "podman", "buildah"], "", "", "docker"),
    "only podman": (["podman"], "", "", "podman"),
    "only buildah": (["buildah"], "", "", "buildah"),
    "the first that works": (["docker", "podman", "buildah"], "docker", "", "podman"),
    "the one that is wanted": (["docker", "podman", "buildah"], "", "buildah", "buildah"),
    "one that is wanted by its path": (["docker", "podman-5"], "", "{bin}/podman-5", "podman-5"),
}


@pytest.mark.parametrize("case", BUILDERS)
def test_a_builder_that_works_is_taken(
    case: str, site: Site, recorder: Recorder, monkeypatch: pytest.MonkeyPatch
) -> None:
    there, broken, wanted, taken = BUILDERS[case]
    for name in there:
        recorder.add(name, **({"version": "exit 1"} if name == broken else {}))
    monkeypatch.setenv("IMAGE_BUILDER", wanted.replace("{bin}", str(recorder.bin)))
    site.build(awkward(site))
    assert recorder.argvs()[-1][:2] == [taken, "tag"]


def test_podman_may_go_by_the_name_of_docker(site: Site, recorder: Recorder) -> None:
    recorder.add("docker", version="echo Client: Podman Engine")
    assert site.push(site.service("a", "localhost:5000", build_spec=BuildSpec("redis:7"))) == "sha256:feed"
    assert "--tls-verify=false" in recorder.argvs()[-1]


def test_a_login_that_cannot_be_looked_up_is_missed_before_anything_is_built(
    site: Site, recorder: Recorder, builder_home: Path
) -> None:
    recorder.add("docker")
    log_in(builder_home, HOST).write_text(json.dumps({"credHelpers": {HOST: "gone"}}))
    with pytest.raises(PreflightError, match="docker-credential-gone cannot be started"):
        preflight(awkward(site))


def test_a_build_that_does_not_end_is_stopped(site: Site, recorder: Recorder, monkeypatch: pytest.MonkeyPatch) -> None:
    recorder.add("docker", build="echo begun; exec sleep 60")
    monkeypatch.setenv("HSPEC_IMAGE_SECONDS", "1")
    with pytest.raises(BuildError, match=r"cannot be built. docker gave no answer within 1 s\."):
        site.build(awkward(site))


def test_a_push_does_not_wait_for_a_builder_that_is_asked_for_more(
    site: Site, recorder: Recorder, builder_home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    recorder.add("docker", image="exec sleep 60", rmi="exec sleep 60")
    log_in(builder_home, HOST)
    monkeypatch.setattr(builders, "PATIENCE", 1.0)
    monkeypatch.setattr(stages, "REMOVING", 1.0)
    assert site.push(awkward(site)) is None
    assert [argv[1] for argv in recorder.argvs()][-2:] == ["image", "rmi"]


def test_a_registry_that_does_not_finish_is_left_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    """It says who may come in, but takes its time: some characters every now and then."""
    monkeypatch.setattr(registry_module, "LONGEST", 0.5)
    is_over = threading.Event()
    with socket.create_server(("127.0.0.1", 0)) as server:
        thread = threading.Thread(target=trickle, args=(server, is_over))
        thread.start()
        assert not registry_module.wants_login(f"127.0.0.1:{server.getsockname()[1]}")
        is_over.set()
        thread.join()


def trickle(server: socket.socket, is_over: threading.Event) -> None:
    connection, _ = server.accept()
    with connection:
        connection.recv(10_000)
        for character in b"HTTP/1.0 401 no\r\nX-Slow: yes\r\n\r\n":
            if is_over.wait(0.1):
                return
            connection.send(bytes([character]))


NO_BUILDER = {
    "none is there": ({}, "", "docker: it is not installed.\npodman: it is not installed.\nbuildah: it is not installed."),
    "the daemon does not run": ({"docker": "echo x; echo Cannot connect. >&2; exit 1"}, "docker", "docker: Cannot connect."),
    "the wanted one is not there": ({"docker": "true"}, "/opt/podman", "/opt/podman: it is not installed."),
    "the wanted one is none": ({"docker": "true"}, "kaniko", "IMAGE_BUILDER is kaniko; it must be docker, podman or"),
    "the wanted one cannot be started": ({}, "{bin}/podman", "podman: .*podman cannot be started: "),
}  # fmt: skip


@pytest.mark.parametrize("case", NO_BUILDER)
def test_what_each_builder_lacks_is_told_before(
    case: str, site: Site, recorder: Recorder, monkeypatch: pytest.MonkeyPatch
) -> None:
    there, wanted, told = NO_BUILDER[case]
    for name, version in there.items():
        recorder.add(name, version=version)
    (recorder.bin / "podman").write_text("#!/no/such/shell\n")
    if "{bin}" in wanted:
        (recorder.bin / "podman").chmod(0o755)
    monkeypatch.setenv("IMAGE_BUILDER", wanted.replace("{bin}", str(recorder.bin)))
    with pytest.raises(PreflightError, match=told):
        preflight(awkward(site))


def test_what_is_not_made_needs_nothing(site: Site, recorder: Recorder) -> None:
    preflight(site.service("team-a/catalog", HOST))
    assert not recorder.argvs()


def test_a_builder_that_goes_away_fails_the_stage_it_was_needed_in(site: Site, recorder: Recorder) -> None:
    recorder.add("docker", version=f"rm {recorder.bin}/docker")
    with pytest.raises(
        BuildError, match=r"The image of catalog cannot be built\. docker cannot be started: No such file"
    ):
        site.build(awkward(site))


NAMES = {
    "redis": "docker.io/library/redis",
    "redis:7": "docker.io/library/redis:7",
    "docker.io/redis": "docker.io/library/redis",
    "index.docker.io/library/redis": "docker.io/library/redis",
    "team/redis:7": "docker.io/team/redis:7",
    "docker.io/team/redis@sha256:1": "docker.io/team/redis@sha256:1",
    "localhost/redis": "localhost/redis",
    "host:5000/redis": "host:5000/redis",
    "registry.example.test/a/b/c": "registry.example.test/a/b/c",
}


@pytest.mark.parametrize("name", NAMES)
def test_names_of_images_are_read_as_docker_reads_them(name: str) -> None:
    assert qualified(name) == NAMES[name]


DIGESTS = {
    '["r.test/a@sha256:1"]': "sha256:1",
    '["r.test/a@sha256:1","r.test/b@sha256:2"]': "sha256:1",
    '["r.test/a@sha256:1","r.test/a@sha256:2","r.test/a/b@sha256:3"]': "sha256:2",
    '["r.test/b@sha256:2"]': None,
    "[]": None,
    "null": None,
    "": None,
    "7": None,
}


@pytest.mark.parametrize("text", DIGESTS)
def test_the_digest_is_that_of_the_right_repository(text: str) -> None:
    assert digest_in(text, "r.test/a") == DIGESTS[text]


@pytest.mark.parametrize(
    ("host", "insecure"),
    [
        ("127.0.0.1:5000", 1), ("127.1.2.3", 1), ("localhost", 1), ("[::1]:1", 1),
        ("localhost.test", 0), ("127.evil.test", 0), ("127.0.0.1.evil.test:443", 0), ("10.0.0.1", 0),
    ],
)  # fmt: skip
def test_registries_of_this_machine_are_spoken_to_without_tls(host: str, insecure: int) -> None:
    assert is_insecure(host) == bool(insecure)


@pytest.mark.usefixtures("builder_home")
def test_what_has_not_changed_is_the_same_image_again(site: Site, stack_image: str, registry: DockerRegistry) -> None:
    artifact = Artifact("page", site.write("page.html", "hello"), "/srv/page.html")
    spec = BuildSpec(stack_image, (artifact,))
    service = site.service("shop/again", registry.host, build_spec=spec)
    first = site.run(service)[-1]
    site.workspace.clean()
    site.write("page.html", "hello")
    assert site.run(service)[-1] == first
    site.workspace.clean()
    site.write("page.html", "good bye")
    assert site.run(service)[-1] != first


@pytest.mark.usefixtures("builder_home")
@pytest.mark.parametrize("row", ["stack", "dockerfile"])
def test_a_directory_for_docker_without_a_configuration_in_it_is_no_obstacle(
    row: str, site: Site, stack_image: str, registry: DockerRegistry, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DOCKER_CONFIG", str(tmp_path / "nothing"))
    service = site.service(f"shop/unconfigured-{row}", registry.host, **image_of(row, site, stack_image))
    assert site.run(service)[-1] == registry.digest(service.image.name, "2.4")
