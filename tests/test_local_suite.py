"""The suite in scripts/local, run as the server runs it: real scripts, real git, real processes, real HTTP."""

import csv
import io
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
import requests

SCRIPTS = Path(__file__).parent.parent / "scripts" / "local"
GENERAL = ["--project-name", "Cactus store", "--base-domain", "localhost", "--namespace", "cactus"]
ABOUT_ONE = ["create", "update", "unarchive", "archive", "cleanup", "check", "archive_check", "config_check", "info"]

# Answers in JSON what it is and what it was given. How it was called says how it misbehaves.
APP = """
import json, os, socket, sys

VERSION, MODE = "one", sys.argv[1]
FDS = [os.readlink("/proc/self/fd/" + fd) for fd in os.listdir("/proc/self/fd")[:-1]]
BODY = json.dumps({"version": VERSION, "mode": MODE, "env": dict(os.environ), "fds": FDS})
ANSWERS = {"mute": "", "foreign": "220 mail.example.com ESMTP\\r\\n", "broken": "HTTP/1.0 500 Oh no\\r\\n\\r\\n"}

with socket.create_server(("127.0.0.1", int(os.environ["PORT"]))) as server:
    while True:
        request = b""
        with server.accept()[0] as client:
            while b"\\r\\n\\r\\n" not in request and (more := client.recv(65536)):
                request += more
            if request:
                client.sendall(ANSWERS.get(MODE, "HTTP/1.0 200 OK\\r\\n\\r\\n" + BODY).encode())
"""
PYTHON = f"{sys.executable} -I -S"
MODES = ["other", "broken", "mute", "foreign"]
PROCFILE = [
    f"web: exec {PYTHON} app.py web",
    *(f"{mode}: exec {PYTHON} app.py {mode}" for mode in MODES),
    "dying: echo no database here >&2; exit 7",
    f"family: setsid sleep 300 & sleep 300 & exec {PYTHON} app.py family",
]


class Suite:
    """The scripts with a state directory of their own."""

    def __init__(self, data):
        self.data = data

    def command(self, script, *, name="orange", app=(), base_domain="localhost", **deployment):
        arguments = GENERAL if base_domain == "localhost" else [*GENERAL[:3], base_domain, *GENERAL[4:]]
        arguments = [*arguments, "--name", name] if script in ABOUT_ONE else list(arguments)
        for key, value in dict(app).items():
            arguments += ["--application-config", f"{key}={value}"]
        for key, value in deployment.items():
            arguments += ["--deployment-config", f"{key}={value}"]
        return [SCRIPTS / script, *([] if script == "init" else arguments)]

    def environment(self, **more):
        return {**os.environ, "OCTOPOD_SUITE_DATA": str(self.data), **more}

    def start(self, script, **config):
        """Runs a script without waiting for it, as a process group of its own."""
        return subprocess.Popen(
            self.command(script, **config), env=self.environment(), stdin=subprocess.DEVNULL, text=True,
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT, start_new_session=True,
        )  # fmt: skip

    def run(self, script, env=None, **config):
        return subprocess.run(
            self.command(script, **config), env=self.environment(**env or {}), stdin=subprocess.DEVNULL,
            capture_output=True, text=True, timeout=30,
        )  # fmt: skip

    def do(self, script, **config):
        """Runs a script that has to succeed, and returns what it printed."""
        done = self.run(script, **config)
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    def home(self, name="orange"):
        return self.data / "deployments" / name

    def links(self, **config):
        return dict(csv.reader(io.StringIO(self.do("info", **config))))

    def get(self, name="orange", **kwargs):
        return requests.get(self.links(name=name)["app"], timeout=5, **kwargs)

    def pid(self, name="orange"):
        return int((self.home(name) / "process").read_text().split()[0])

    def verdict(self, **config):
        done = self.run("check", **config)
        assert re.fullmatch(r"[^\n]+\n", done.stdout), "exactly one line says what was found"
        return done.returncode, done.stdout.strip()

    def complaints(self, **config):
        done = self.run("config_check", **config)
        assert (done.returncode == 0) == (done.stdout == ""), done
        assert done.stderr == ""
        return done.stdout


class Repository:
    """A git repository with the app in it."""

    def __init__(self, path):
        self.path = path

    def __str__(self):
        return str(self.path)

    def git(self, *arguments):
        done = subprocess.run(
            ["git", "-c", "user.name=t", "-c", "user.email=t@example.com", "-C", self.path, *arguments],
            check=True, capture_output=True, text=True,
        )  # fmt: skip
        return done.stdout.strip()

    def commit(self, version):
        """Commits the app saying that it is this version; returns the commit."""
        app = self.path / "app.py"
        app.write_text(re.sub('VERSION, MODE = "[^"]*"', f'VERSION, MODE = "{version}"', app.read_text()))
        self.git("commit", "--quiet", "--allow-empty", "-am", version)
        return self.git("rev-parse", "HEAD")


@pytest.fixture
def suite(tmp_path):
    suite = Suite(tmp_path / "suite data")
    suite.do("init")
    yield suite
    for home in (suite.data / "deployments").glob("*"):
        suite.do("cleanup", name=home.name)


@pytest.fixture(scope="session")
def template(tmp_path_factory):
    path = tmp_path_factory.mktemp("template")
    (path / "app.py").write_text(APP)
    (path / "Procfile").write_text("# how to start it\n" + "\n".join(PROCFILE) + "\n")
    (path / ".env.example").write_text("COLOR=blue\n")
    repository = Repository(path)
    repository.git("init", "--quiet", "--initial-branch=main")
    repository.git("add", ".")
    repository.commit("one")
    return path


@pytest.fixture
def repository(template, tmp_path):
    return Repository(shutil.copytree(template, tmp_path / "repository"))


@pytest.fixture
def directory(repository):
    """The app in a plain directory."""
    shutil.rmtree(repository.path / ".git")
    return repository.path


@pytest.fixture
def stranger():
    """A process that has nothing to do with any deployment."""
    with subprocess.Popen(["sleep", "300"]) as process:
        yield process
        process.kill()


def wait_until(condition, seconds=5):
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "waited in vain"
        time.sleep(0.02)


def is_alive(pid):
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(") ")[2][0] not in "ZX"
    except (FileNotFoundError, ProcessLookupError):
        return False


def parse_pairs(text):
    return list(csv.reader(io.StringIO(text, newline="")))


# The life of a deployment


def test_sample_app_lives_its_whole_life_and_keeps_its_data(suite):
    assert suite.do("info") == ""
    assert suite.verdict()[0] == 1
    suite.do("create", app={"GREETING": "Good morning"})
    assert suite.verdict()[0] == 0
    assert "Good morning" in suite.get().text
    assert '<strong id="visits">2</strong>' in suite.get().text
    address = suite.links()["app"]

    assert suite.run("archive_check").returncode == 1
    suite.do("archive")
    suite.do("archive_check")
    assert suite.verdict()[0] == 1
    with pytest.raises(requests.ConnectionError):
        requests.get(address, timeout=5)

    suite.do("unarchive", app={"GREETING": "Good morning"})
    assert suite.verdict()[0] == 0
    assert suite.links()["app"] == address
    assert '<strong id="visits">3</strong>' in suite.get().text

    suite.do("archive")
    suite.do("cleanup")
    assert suite.do("info") == ""
    assert not suite.home().exists()


def test_sample_app_masks_secrets_escapes_html_and_is_not_visited_by_checks(suite):
    suite.do("create", app={"GREETING": "<b>&", "API_TOKEN": "hush-hush", "EXTRA": "shown"})
    suite.verdict()
    page = suite.get().text
    assert "&lt;b&gt;&amp;" in page and "<b>" not in page
    assert "API_TOKEN" in page and "hush-hush" not in page
    assert "EXTRA" in page and "shown" in page
    assert '<strong id="visits">1</strong>' in page
    assert requests.get(suite.links()["app"] + "healthz", timeout=5).json() == {"status": "ok"}


def test_update_changes_what_the_page_says_and_keeps_the_port(suite):
    suite.do("create", app={"GREETING": "Before"})
    links = suite.links()
    suite.do("update", app={"GREETING": "After"})
    assert "After" in suite.get().text
    assert suite.links() == links


def test_update_brings_the_new_commit(suite, repository):
    suite.do("create", source=repository)
    assert suite.get().json()["version"] == "one"
    repository.commit("two")
    suite.do("update", source=repository)
    assert suite.get().json()["version"] == "two"


def test_update_to_what_cannot_be_had_leaves_the_old_one_running(suite, repository):
    suite.do("create", source=repository)
    pid = suite.pid()
    for wrong in [{"ref": "nowhere"}, {"process": "nobody"}, {"app": {"PORT": "1"}}]:
        failed = suite.run("update", source=repository, **wrong)
        assert failed.returncode == 1 and failed.stderr
    assert suite.run("update", source=repository.path / "nowhere").returncode == 1
    assert suite.pid() == pid
    assert suite.verdict(source=repository)[0] == 0


def test_process_that_dies_at_once_fails_the_create_with_the_end_of_its_log(suite, repository):
    failed = suite.run("create", source=repository, process="dying")
    assert failed.returncode == 1
    assert "exit code 7" in failed.stderr
    assert "no database here" in failed.stderr
    assert suite.verdict(source=repository)[0] == 1


def test_restore_starts_what_the_ref_asks_for_by_now(suite, repository):
    suite.do("create", source=repository)
    suite.do("archive")
    repository.commit("two")
    suite.do("unarchive", source=repository)
    assert suite.get().json()["version"] == "two"


def test_every_script_succeeds_when_run_again(suite, repository):
    def twice(script):
        suite.do(script, source=repository)
        suite.do(script, source=repository)

    twice("init")
    twice("create")
    twice("update")
    twice("check")
    twice("archive")
    twice("archive_check")
    twice("unarchive")
    assert suite.get().json()["version"] == "one"
    twice("cleanup")


@pytest.mark.parametrize("script", ["archive", "archive_check", "cleanup", "info"])
def test_what_never_existed_is_no_error(suite, script):
    suite.do(script)


def test_unknown_place_of_state_is_not_an_empty_one(suite):
    suite.data = suite.data / "elsewhere"
    suite.data.mkdir()
    unknown = suite.run("archive_check")
    assert unknown.returncode == 1
    assert "Cannot look into" in unknown.stderr


# What the app is given


def test_values_arrive_as_they_were_given(suite, repository):
    values = {
        "EQUALS": "a=b==c",
        "LINES": "one\n\ntwo\n",
        "QUOTES": '"it\'s" `id` $(id) $HOME \\n %s !',
        "EMOJI": "🐙 Spaß",
        "SPACES": "  in front, and behind  ",
        "DASHES": "--name orange",
        "STAR": "*",
    }
    suite.do("create", source=repository, app=values)
    env = suite.get().json()["env"]
    assert {key: env[key] for key in values} == values


def test_app_is_given_nothing_of_the_server(suite, repository):
    suite.do("create", source=repository, app={"COLOR": "red"}, env={"SERVER_SECRET": "hush"})
    env = suite.get().json()["env"]
    assert set(env) <= {"PATH", "HOME", "LANG", "LC_CTYPE", "PWD", "SHLVL", "_", "COLOR", "PORT", "DATA_DIR"}
    assert env["DATA_DIR"] == str(suite.home() / "data")


def test_app_holds_neither_pipes_nor_locks_of_the_script(suite, repository):
    suite.do("create", source=repository)
    log = str(suite.home() / "app.log")
    assert suite.get().json()["fds"] == ["/dev/null", log, log]
    assert subprocess.run(["flock", "--nonblock", suite.home(), "true"], check=False).returncode == 0


@pytest.mark.parametrize("kind", ["branch", "tag", "annotated tag", "commit", "short commit", "HEAD"])
def test_ref_may_be_anything_that_names_a_commit(suite, repository, kind):
    wanted = repository.commit("wanted")
    repository.git("branch", "feature/x")
    repository.git("tag", "v1")
    repository.git("tag", "-a", "-m", "x", "v2")
    if kind != "HEAD":
        repository.commit("later")
    refs = {"branch": "feature/x", "tag": "v1", "annotated tag": "v2", "commit": wanted, "short commit": wanted[:9]}
    config = {"source": repository, "ref": refs.get(kind, kind)}
    assert suite.complaints(**config) == ""
    suite.do("create", **config)
    assert suite.get().json()["version"] == "wanted"
    assert suite.verdict(**config)[0] == 0


def test_another_process_of_the_procfile_can_be_chosen(suite, repository):
    suite.do("create", source=repository, process="other")
    assert suite.get().json()["mode"] == "other"


def test_plain_directory_is_deployed_as_it_was_when_copied(suite, directory):
    suite.do("create", source=directory)
    (directory / "app.py").unlink()
    suite.do("archive")
    suite.do("unarchive", source=directory)
    assert suite.get().json()["version"] == "one"
    assert suite.verdict(source=directory)[0] == 0


def test_deploying_leaves_a_repository_on_this_machine_untouched(suite, repository):
    (repository.path / "app.py").write_text("not committed")
    suite.do("create", source=repository)
    assert suite.get().json()["version"] == "one"
    assert repository.git("status", "--short") == "M app.py"


# check


@pytest.mark.parametrize(
    ("process", "found"),
    [("broken", "answers 500"), ("mute", "nothing answers on port"), ("foreign", "is not HTTP")],
)
def test_check_says_2_when_the_app_runs_without_answering_well(suite, repository, process, found):
    suite.do("create", source=repository, process=process)
    code, reason = suite.verdict(source=repository, process=process)
    assert code == 2
    assert found in reason


def test_check_says_2_within_seconds_when_the_app_hangs(suite, repository):
    suite.do("create", source=repository)
    os.kill(suite.pid(), signal.SIGSTOP)
    began = time.monotonic()
    assert suite.verdict(source=repository)[0] == 2
    assert time.monotonic() - began < 4
    os.kill(suite.pid(), signal.SIGCONT)


def test_check_says_1_when_the_process_was_killed(suite, repository):
    suite.do("create", source=repository)
    pid = suite.pid()
    os.kill(pid, signal.SIGKILL)
    wait_until(lambda: not is_alive(pid))
    assert suite.verdict(source=repository) == (1, "The process of orange does not run.")


def test_check_says_3_when_another_commit_is_asked_for(suite, repository):
    old = repository.git("rev-parse", "HEAD")
    suite.do("create", source=repository, ref="main")
    new = repository.commit("two")
    code, reason = suite.verdict(source=repository, ref="main")
    assert code == 3
    assert old[:10] in reason and new[:10] in reason and "main" in reason
    assert suite.verdict(source=repository, ref=old)[0] == 0


def test_check_says_3_when_another_source_is_asked_for(suite, directory):
    suite.do("create", source=directory)
    assert suite.verdict()[0] == 3


def test_check_goes_by_what_was_asked_for_when_the_branch_is_gone(suite, repository):
    repository.git("branch", "feature")
    suite.do("create", source=repository, ref="feature")
    repository.git("branch", "-D", "feature")
    assert suite.verdict(source=repository, ref="feature")[0] == 0
    assert suite.verdict(source=repository, ref="gone-as-well")[0] == 3


def test_check_asks_no_remote_and_config_check_does(suite, repository):
    source = f"file://{repository}"
    suite.do("create", source=source)
    assert suite.get().json()["version"] == "one"
    repository.commit("two")
    assert suite.verdict(source=source)[0] == 0
    assert suite.complaints(source=source) == ""
    assert suite.verdict(source=source)[0] == 3
    suite.do("update", source=source)
    assert suite.get().json()["version"] == "two"
    assert suite.verdict(source=source)[0] == 0


# config_check


def test_config_check_is_silent_when_all_is_well(suite, repository):
    assert suite.complaints() == ""
    assert suite.complaints(source=repository, ref="main", process="other", app={"A_1": "x"}) == ""


@pytest.mark.parametrize("prefix", ["", "file://"])
def test_config_check_names_the_refs_there_are(suite, repository, prefix):
    repository.git("tag", "v1.0")
    repository.git("branch", "release/2")
    text = suite.complaints(source=f"{prefix}{repository}", ref="nowhere")
    assert 'has no branch, tag or commit "nowhere". It has: ' in text
    assert all(ref in text for ref in ["main", "v1.0", "release/2"])


def test_config_check_names_a_few_of_many_refs(suite, repository):
    for number in range(12):
        repository.git("tag", f"v{number}")
    assert "and 5 more." in suite.complaints(source=repository, ref="nowhere")


def test_config_check_names_the_processes_there_are(suite, repository):
    text = suite.complaints(source=repository, process="nobody")
    assert text.startswith('The Procfile has no process "nobody". It has: web, other, ')


def test_config_check_misses_the_procfile(suite, tmp_path):
    empty = tmp_path / "empty"
    empty.mkdir()
    assert f"{empty} has no Procfile" in suite.complaints(source=empty)


@pytest.mark.parametrize(
    ("source", "complaint"),
    [
        ("/nowhere/at/all", "There is no directory /nowhere/at/all on this machine."),
        ("relative/path", "The source must be the absolute path of a directory or the URL"),
        ("-oProxyCommand=touch x", "The source must be the absolute path of a directory or the URL"),
        ("--upload-pack=touch x", "The source must be the absolute path of a directory or the URL"),
        ("/", "it contains this suite's own state"),
        ("file:///nowhere/at/all", "Cannot read file:///nowhere/at/all: "),
        ("ext::sh -c touch% x", "Cannot read ext::sh -c touch% x: "),
        ("https://me:hush@127.0.0.1:1/x.git", "Cannot read https://127.0.0.1:1/x.git: "),
        ("ssh://-oProxyCommand=x/y", "Cannot read ssh://-oProxyCommand=x/y: "),
    ],
)
def test_config_check_says_why_a_source_cannot_be_read(suite, source, complaint):
    text = suite.complaints(source=source)
    assert complaint in text
    assert len(text.splitlines()) == 1
    assert "hush" not in text


def test_hostile_ref_is_taken_for_a_name(suite, repository):
    suite.do("create", source=repository)
    for ref in ["--all", "-h", "--since=1", "a\nb"]:
        assert "cannot be the name of a branch, tag or commit" in suite.complaints(source=repository, ref=ref)
        assert suite.verdict(source=repository, ref=ref)[0] == 3


def test_config_check_refuses_a_ref_of_a_plain_directory(suite, directory):
    assert 'it has no ref "main"' in suite.complaints(source=directory, ref="main")


def test_config_check_refuses_what_cannot_be_an_environment_variable(suite):
    text = suite.complaints(app={"app.color": "red", "1ST": "x", "FINE": "x", "PORT": "80", "DATA_DIR": "/"}, ref="x")
    assert '"app.color" cannot be the name of an environment variable' in text
    assert '"1ST" cannot be' in text
    assert "PORT cannot be set" in text and "DATA_DIR cannot be set" in text
    assert "FINE" not in text
    assert 'no ref "x"' in text, "all that is wrong is said at once"


def test_config_check_gets_over_a_git_that_was_killed(suite, repository):
    source = f"file://{repository}"
    suite.complaints(source=source)
    (mirror,) = (suite.data / "mirrors").glob("*.git")
    (mirror / "refs" / "heads" / "main.lock").touch()
    (mirror / "packed-refs.lock").touch()
    new = repository.commit("two")
    assert suite.complaints(source=source, ref=new) == ""
    assert suite.complaints(source=source, ref="main") == ""
    assert not list(mirror.rglob("*.lock"))


# Ports


def test_two_creates_at_the_same_time_get_different_ports(suite, repository):
    names = [f"d{number}" for number in range(4)]
    with ThreadPoolExecutor(len(names)) as pool:
        list(pool.map(lambda name: suite.do("create", name=name, source=repository, app={"WHO": name}), names))
    assert len({suite.links(name=name)["app"] for name in names}) == len(names)
    assert [suite.get(name).json()["env"]["WHO"] for name in names] == names


def test_port_that_was_taken_meanwhile_is_given_up(suite, repository):
    suite.do("create", source=repository)
    suite.do("archive")
    port = int(suite.links()["app"].rstrip("/").rpartition(":")[2])
    with socket.create_server(("127.0.0.1", port)):
        suite.do("unarchive", source=repository)
        assert not suite.links()["app"].endswith(f":{port}/")
        assert suite.verdict(source=repository)[0] == 0


# Processes


@pytest.mark.parametrize("script", ["archive", "cleanup", "update"])
def test_pid_that_was_used_again_is_not_signalled(suite, repository, stranger, script):
    suite.do("create", source=repository)
    _, started, boot = (suite.home() / "process").read_text().split()
    suite.do("archive")
    (suite.home() / "process").write_text(f"{stranger.pid} {started} {boot}\n")
    assert suite.verdict(source=repository)[0] == 1
    suite.do("archive_check")
    suite.do(script, source=repository)
    assert stranger.poll() is None


def test_archive_ends_the_whole_family(suite, repository):
    suite.do("create", source=repository, process="family")
    members = suite.run("archive_check").stdout.partition(":")[2].split()
    assert len(members) == 3, "the app, its child, and the child that left the session"
    suite.do("archive")
    suite.do("archive_check")
    assert not any(is_alive(pid) for pid in members)


def test_children_left_behind_by_a_dead_process_are_seen_and_ended(suite, repository):
    suite.do("create", source=repository, process="family")
    pid = suite.pid()
    os.kill(pid, signal.SIGKILL)
    wait_until(lambda: not is_alive(pid))
    assert suite.run("archive_check").returncode == 1
    suite.do("archive")
    suite.do("archive_check")


def test_process_that_nobody_recorded_is_seen_and_ended(suite, repository):
    suite.do("create", source=repository)
    pid = suite.pid()
    shutil.rmtree(suite.home())
    assert str(pid) in suite.run("archive_check").stdout
    suite.do("cleanup")
    assert not is_alive(pid)


@pytest.mark.parametrize("moment", ["Checking out", "Starting"])
def test_killed_create_does_not_stand_in_the_way_of_the_next(suite, repository, moment):
    killed = suite.start("create", source=repository)
    for line in killed.stdout:
        if line.startswith(moment):
            break
    os.killpg(killed.pid, signal.SIGKILL)
    killed.communicate()
    suite.do("create", source=repository)
    assert suite.verdict(source=repository)[0] == 0
    assert len(suite.run("archive_check").stdout.partition(":")[2].split()) == 1


def test_scripts_on_one_deployment_wait_for_each_other(suite, repository):
    with ThreadPoolExecutor(3) as pool:
        list(pool.map(lambda _: suite.do("create", source=repository), range(3)))
    assert suite.verdict(source=repository)[0] == 0
    assert len(suite.run("archive_check").stdout.partition(":")[2].split()) == 1


# Defaults, suggestions, links


def test_default_deployment_config_can_be_deployed(suite):
    defaults = dict(parse_pairs(suite.do("deployment_config")))
    assert defaults == {"source": str(SCRIPTS / "sample-app"), "process": "web"}
    assert suite.complaints(**defaults) == ""
    assert suite.do("deployment_config_keys").split() == ["source", "ref", "process"]


def test_default_application_config_is_that_of_the_sample_app(suite):
    defaults = dict(parse_pairs(suite.do("application_config")))
    assert defaults["GREETING"]
    assert all(defaults.values())
    keys = suite.do("application_config_keys").split()
    assert set(defaults) < set(keys)
    assert suite.complaints(app=defaults) == ""


def test_application_config_follows_source_and_ref(suite, repository):
    repository.git("switch", "--quiet", "-c", "green")
    (repository.path / ".env.example").write_text("COLOR=green\n")
    repository.commit("green")
    for source in [str(repository), f"file://{repository}"]:
        assert suite.do("application_config", source=source, ref="main") == "COLOR,blue\n"
        assert suite.do("application_config", source=source, ref="green") == "COLOR,green\n"


def test_example_lines_are_read_as_people_write_them(suite, directory):
    (directory / ".env.example").write_text(
        "# a comment\n\nPLAIN=one two\nexport EXPORTED=x\n  SPACED = y  \nCOMMENTED=z # why\nHASH=a#b\n"
        "SINGLE='a \"b\" \\n # c' # why\n" + r'DOUBLE="a \"b\" \\n \n $c"' + "\nCOMMA=a,b\nEQUALS=a=b=c\n"
        "EMPTY=\nQUOTED_EMPTY=''\nBARE\nTWICE=1\nTWICE=2\r\nPORT=3000\nDATA_DIR=/x\nnot a line\n9=x\nLAST=🐙"
    )
    pairs = parse_pairs(suite.do("application_config", source=directory))
    assert pairs == [
        ["PLAIN", "one two"],
        ["EXPORTED", "x"],
        ["SPACED", "y"],
        ["COMMENTED", "z"],
        ["HASH", "a#b"],
        ["SINGLE", 'a "b" \\n # c'],
        ["DOUBLE", 'a "b" \\n \n $c'],
        ["COMMA", "a,b"],
        ["EQUALS", "a=b=c"],
        ["TWICE", "2"],
        ["LAST", "🐙"],
    ]
    keys = suite.do("application_config_keys", source=directory).split()
    assert sorted(keys) == sorted([key for key, _ in pairs] + ["EMPTY", "QUOTED_EMPTY", "BARE"])


def test_source_without_an_example_has_no_defaults(suite, directory):
    (directory / ".env.example").unlink()
    assert suite.do("application_config", source=directory) == ""
    assert suite.do("application_config_keys", source=directory) == ""


@pytest.mark.parametrize("script", ["application_config", "application_config_keys"])
def test_defaults_of_an_unreadable_source_are_an_error_not_none(suite, script):
    failed = suite.run(script, source="/nowhere")
    assert failed.returncode == 1
    assert failed.stdout == ""
    assert "There is no directory /nowhere" in failed.stderr


def test_info_names_the_app_under_the_base_domain_and_its_log(suite, repository):
    suite.do("create", source=repository)
    links = suite.links(base_domain="staging.example.com")
    assert re.fullmatch(r"http://staging\.example\.com:2\d{4}/", links["app"])
    assert links["log"] == (suite.home() / "app.log").as_uri()


# The suite itself


def test_init_names_every_missing_tool(suite, tmp_path):
    (tmp_path / "bin").mkdir()
    for tool in ["bash", "env", "grep", "timeout", "sha256sum", "true", "mkdir"]:
        (tmp_path / "bin" / tool).symlink_to(shutil.which(tool))
    failed = suite.run("init", env={"PATH": str(tmp_path / "bin")})
    assert failed.returncode == 1
    assert re.findall(r"^  (\w+)", failed.stderr, re.MULTILINE) == ["git", "setsid", "flock"]


@pytest.mark.parametrize("script", ["init", "create", "check", "deployment_config"])
def test_every_script_says_that_its_place_of_state_is_not_set(suite, script):
    failed = suite.run(script, env={"OCTOPOD_SUITE_DATA": ""})
    assert failed.returncode == 1
    assert "OCTOPOD_SUITE_DATA is not set" in failed.stderr


@pytest.mark.parametrize("name", ["", "../orange", "-n", "a b", "Orange", "."])
def test_name_that_leads_elsewhere_is_refused(suite, name):
    failed = suite.run("cleanup", name=name)
    assert failed.returncode == 1
    assert "cannot be the name of a deployment" in failed.stderr


def test_every_script_is_executable_and_says_what_it_is_for():
    scripts = [path for path in SCRIPTS.iterdir() if path.is_file() and not path.name.startswith(".")]
    assert len(scripts) == 14
    for script in scripts:
        assert os.access(script, os.X_OK), script
        assert re.match(rf"#!/usr/bin/env bash\n#\n# Summary: .+\n# Usage:   {script.name}\b", script.read_text())
