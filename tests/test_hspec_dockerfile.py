"""Dockerfiles from build specs: when none is needed, what is in them, what lies beside them, what cannot be."""

import io
import stat
from pathlib import Path

import pytest

from octopod.hspec.errors import DockerfileError
from octopod.hspec.home import Workspace
from octopod.hspec.images import write_dockerfile
from octopod.hspec.images.dockerfile import text
from octopod.hspec.service import Artifact, BuildSpec, Dockerfile, Image, Service
from octopod.hspec.talk import Skipped, Talk

STACK = "docker.example.test/base/jre:17"
CHMOD = "RUN chmod -R 755 /hyscale/init_scripts/\n"


@pytest.fixture
def workspace(tmp_path: Path) -> Workspace:
    workspace = Workspace(tmp_path / "apps/shop/catalog")
    workspace.make()
    return workspace


def service(tmp_path: Path, **image: object) -> Service:
    return Service("catalog", Image("team-a/catalog", **image), tmp_path / "catalog.hspec")  # type: ignore[arg-type]


def write(tmp_path: Path, workspace: Workspace, **spec: object) -> Path:
    build_spec = BuildSpec(STACK, **spec)  # type: ignore[arg-type]
    return write_dockerfile(service(tmp_path, build_spec=build_spec), workspace, Talk(io.StringIO()))


def a_file(path: Path, content: str = "content", mode: int = 0o644) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(content)
    path.chmod(mode)
    return path


SKIPPED = {
    "neither": ({}, "the image is there already"),
    "a Dockerfile of the user's": (
        {"dockerfile": Dockerfile(Path("/src"), Path("/src/Dockerfile"))},
        "the spec brings a Dockerfile",
    ),
    "a stack image only": ({"build_spec": BuildSpec(STACK)}, "the stack image is used as it is"),
    "a stack image and commands that are empty": (
        {"build_spec": BuildSpec(STACK, config_commands="", run_commands="")},
        "the stack image is used as it is",
    ),
}


@pytest.mark.parametrize("case", SKIPPED)
def test_no_dockerfile_is_written_where_none_is_needed(case: str, tmp_path: Path, workspace: Workspace) -> None:
    image, why = SKIPPED[case]
    with pytest.raises(Skipped, match=f"^{why}$"):
        write_dockerfile(service(tmp_path, **image), workspace, Talk(io.StringIO()))
    assert not list(workspace.dockerfiles.iterdir())


NEEDED = {
    "artifacts": (
        {"artifacts": (Artifact("jar", Path("/src/catalog.jar"), "/srv/catalog.jar"),)},
        "COPY artifacts/jar/catalog.jar /srv/catalog.jar\n",
    ),
    "artifacts in the order of the spec": (
        {"artifacts": (Artifact("z", Path("/z.jar"), "/srv/"), Artifact("a", Path("/a.jar"), "/srv/"))},
        "COPY artifacts/z/z.jar /srv/\nCOPY artifacts/a/a.jar /srv/\n",
    ),
    "config commands": (
        {"config_commands": "mkdir /data"},
        "ADD configure.sh /hyscale/init_scripts/ \n" + CHMOD + "RUN /hyscale/init_scripts/configure.sh\n",
    ),
    "a config script": (
        {"config_script": Path("/src/prepare.sh")},
        "ADD prepare.sh /hyscale/init_scripts/ \n" + CHMOD + "RUN /hyscale/init_scripts/prepare.sh\n",
    ),
    "run commands": (
        {"run_commands": "exec app"},
        "ADD run.sh /hyscale/init_scripts/\n" + CHMOD + 'ENTRYPOINT ["/bin/sh","/hyscale/init_scripts/run.sh"]\n',
    ),
    "a run script": (
        {"run_script": Path("/src/start.sh")},
        "ADD start.sh /hyscale/init_scripts/\n" + CHMOD + 'ENTRYPOINT ["/bin/sh","/hyscale/init_scripts/start.sh"]\n',
    ),
    "characters that mean something in HTML": (
        {"artifacts": (Artifact("a", Path("/src/a&b.txt"), "/srv/<a>&b"),)},
        'COPY ["artifacts/a/a&b.txt","/srv/<a>&b"]\n',
    ),
    "blanks": (
        {"artifacts": (Artifact("a", Path("/src/my file.txt"), "/srv/my files/"),), "run_script": Path("/my start.sh")},
        'COPY ["artifacts/a/my file.txt","/srv/my files/"]\n'
        'ADD ["my start.sh","/hyscale/init_scripts/"]\n'
        + CHMOD
        + 'ENTRYPOINT ["/bin/sh","/hyscale/init_scripts/my start.sh"]\n',
    ),
    "a script whose name is like an option": (
        {"config_script": Path("/src/--chown=x")},
        'ADD ["--chown=x","/hyscale/init_scripts/"] \n' + CHMOD + "RUN /hyscale/init_scripts/--chown=x\n",
    ),
    "a script whose name a shell would take apart": (
        {"config_script": Path("/src/a;b $c.sh")},
        'ADD ["a;b \\\\$c.sh","/hyscale/init_scripts/"] \n' + CHMOD + "RUN '/hyscale/init_scripts/a;b $c.sh'\n",
    ),
    "a source that is like a pattern": (
        {"artifacts": (Artifact("a", Path("/src/a[1].txt"), "/srv/"),)},
        'COPY ["artifacts/a/a[[]1].txt","/srv/"]\n',
    ),
    "a variable of the stack image": (
        {"artifacts": (Artifact("a", Path("/src/a.war"), "$CATALINA_HOME/webapps/${NAME}.war"),)},
        "COPY artifacts/a/a.war $CATALINA_HOME/webapps/${NAME}.war\n",
    ),
}


@pytest.mark.parametrize("case", NEEDED)
def test_a_dockerfile_has_what_the_build_spec_says(case: str) -> None:
    spec, lines = NEEDED[case]
    assert text(BuildSpec(STACK, **spec)) == f"FROM {STACK}\n{lines}"


def test_the_whole_of_the_example_is_as_it_has_always_been(tmp_path: Path, workspace: Workspace) -> None:
    jar = a_file(tmp_path / "target/catalog.jar", "a jar")
    file = write(
        tmp_path,
        workspace,
        artifacts=(Artifact("app-jar", jar, "/srv/catalog.jar"),),
        config_commands="mkdir -p /srv/data\nadduser -D svc",
        run_commands="exec java -jar /srv/catalog.jar",
    )
    assert file == workspace.dockerfiles / "Dockerfile"
    assert file.read_text() == (
        "FROM docker.example.test/base/jre:17\n"
        "COPY artifacts/app-jar/catalog.jar /srv/catalog.jar\n"
        "ADD configure.sh /hyscale/init_scripts/ \n"
        "ADD run.sh /hyscale/init_scripts/\n"
        "RUN chmod -R 755 /hyscale/init_scripts/\n"
        "RUN /hyscale/init_scripts/configure.sh\n"
        'ENTRYPOINT ["/bin/sh","/hyscale/init_scripts/run.sh"]\n'
    )
    beside = {str(path.relative_to(file.parent)) for path in file.parent.rglob("*") if path.is_file()}
    assert beside == {"Dockerfile", "configure.sh", "run.sh", "artifacts/app-jar/catalog.jar"}
    assert (file.parent / "artifacts/app-jar/catalog.jar").read_text() == "a jar"


@pytest.mark.parametrize("commands", ["echo \"$A & <b>\" 'c' \\\n  && true", "one\ntwo\n", "  indented"])
def test_commands_become_a_script_as_they_are(commands: str, tmp_path: Path, workspace: Workspace) -> None:
    script = write(tmp_path, workspace, run_commands=commands).with_name("run.sh")
    assert script.read_text() == "#!/bin/sh\nset -e\nset -x\n" + commands.removesuffix("\n") + "\n"
    assert stat.S_IMODE(script.stat().st_mode) == 0o755


def test_a_script_of_the_users_is_copied_unchanged(tmp_path: Path, workspace: Workspace) -> None:
    script = a_file(tmp_path / "scripts/start.sh", "#!/bin/bash\r\necho hi", 0o640)
    copy = write(tmp_path, workspace, run_script=script).with_name("start.sh")
    assert copy.read_bytes() == b"#!/bin/bash\r\necho hi"
    assert stat.S_IMODE(script.stat().st_mode) == 0o640


def test_a_large_artifact_takes_no_memory_and_no_room(tmp_path: Path, workspace: Workspace) -> None:
    large = tmp_path / "large.bin"
    with large.open("wb") as file:
        file.truncate(1 << 40)  # a terabyte, none of it on the disk
    write(tmp_path, workspace, artifacts=(Artifact("large", large, "/srv/"),))
    assert (workspace.dockerfiles / "artifacts/large/large.bin").samefile(large)


def test_an_artifact_that_is_a_link_is_copied_as_what_it_leads_to(tmp_path: Path, workspace: Workspace) -> None:
    (tmp_path / "latest.jar").symlink_to(a_file(tmp_path / "app-1.2.jar", "version 1.2"))
    write(tmp_path, workspace, artifacts=(Artifact("jar", tmp_path / "latest.jar", "/srv/app.jar"),))
    copy = workspace.dockerfiles / "artifacts/jar/latest.jar"
    assert copy.read_text() == "version 1.2" and not copy.is_symlink()


def test_writing_again_takes_the_place_of_what_was_there_and_leaves_the_users_files_alone(
    tmp_path: Path, workspace: Workspace
) -> None:
    script = a_file(tmp_path / "run.sh", "the user's")
    write(tmp_path, workspace, run_script=script)
    write(tmp_path, workspace, run_commands="ours")
    assert (workspace.dockerfiles / "run.sh").read_text().endswith("ours\n")
    assert script.read_text() == "the user's"


def test_all_that_is_missing_is_told_at_once(tmp_path: Path, workspace: Workspace) -> None:
    artifacts = (Artifact("a", tmp_path / "absent.jar", "/a"), Artifact("b", tmp_path, "/b"))
    with pytest.raises(DockerfileError) as failure:
        write(tmp_path, workspace, artifacts=artifacts, run_script=tmp_path / "absent.sh")
    assert str(failure.value).splitlines() == [
        f"{tmp_path}/absent.sh cannot be copied into the image: there is no such file.",
        f"{tmp_path}/absent.jar cannot be copied into the image: there is no such file.",
        f"{tmp_path} cannot be copied into the image: it is a directory, and only files can be.",
    ]
    assert not list(workspace.dockerfiles.iterdir())


@pytest.mark.parametrize("name", ["", "..", "a/b", "a\nb"])
def test_an_artifact_stays_in_its_place(name: str, tmp_path: Path, workspace: Workspace) -> None:
    with pytest.raises(DockerfileError, match="cannot be the name of an artifact"):
        write(tmp_path, workspace, artifacts=(Artifact(name, a_file(tmp_path / "a.txt"), "/srv/"),))


def test_a_name_that_no_dockerfile_can_hold_is_refused(tmp_path: Path, workspace: Workspace) -> None:
    with pytest.raises(DockerfileError, match="its name has characters"):
        write(tmp_path, workspace, run_script=a_file(tmp_path / "a\nRUN evil"))


def test_a_directory_that_cannot_be_written_to_is_named(tmp_path: Path, workspace: Workspace) -> None:
    (workspace.dockerfiles / "Dockerfile").mkdir()
    with pytest.raises(DockerfileError, match="Dockerfile cannot be written: "):
        write(tmp_path, workspace, run_commands="true")
