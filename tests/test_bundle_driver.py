"""The driver of bundles, as a keeper starts it: what it prints, how it ends, and that nothing is left of a run."""

import gzip
import io
import json
import os
import re
import signal
import subprocess
import sys
import tarfile
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from conftest import PATIENCE, POWERLESS, ROOT, Gate, eventually
from test_bundle_aes import KEY, PLAIN, VECTORS, encrypt
from test_runs import is_alive

DRIVER = ROOT / "octopod/bundle/driver.py"
ENVIRONMENT = {"PATH": "/usr/local/bin:/usr/bin:/bin", "LANG": "C.UTF-8"}
LIMITS = {"size": 1 << 20, "members": 100, "ratio": 200, "depth": 8}


class Done(NamedTuple):
    """A run that is over. How many seconds a script took is replaced by N."""

    code: int
    output: bytes

    @property
    def log(self) -> list[str]:
        return self.output.decode().splitlines()


class Bundle:
    """What is to be packed, and the driver that runs it. `pids` is where scripts say who they are."""

    def __init__(self, directory: Path) -> None:
        self.home, self.source, self.pids = directory / "home", directory / "source", directory / "pids"
        self.prefix: list[str] = []
        self.source.mkdir()
        (self.home / "callback").mkdir(parents=True)

    def write(self, name: str, content: str | bytes, mode: int = 0o600) -> "Bundle":
        path = self.source / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content.encode() if isinstance(content, str) else content)
        path.chmod(mode)
        return self

    def bash(self, name: str, *lines: str) -> "Bundle":
        return self.write(name, "\n".join(["#!/bin/bash", *lines, ""]), 0o700)

    def pack(self) -> bytes:
        file = io.BytesIO()
        with tarfile.open(fileobj=file, mode="w:gz") as tar:
            tar.add(self.source, ".")
        return file.getvalue()

    def plan(self, *scripts: str, **changes: Any) -> None:
        plan = {
            "scripts": scripts, "variables": {}, "masked": [], "key": KEY, "environment": ENVIRONMENT,
            "python": sys.executable, "grace": PATIENCE, "limits": LIMITS,
        }  # fmt: skip
        (self.home / "plan.json").write_text(json.dumps(plan | changes))

    def start(self, *scripts: str, **changes: Any) -> "subprocess.Popen[bytes]":
        if not (self.home / "bundle.tgz").exists():
            (self.home / "bundle.tgz").write_bytes(self.pack())
        self.plan(*scripts, **changes)
        command = [*self.prefix, sys.executable, "-I", str(DRIVER), str(self.home)]
        pipe, nothing = subprocess.PIPE, subprocess.DEVNULL
        return subprocess.Popen(
            command, env={}, cwd="/", start_new_session=True, stdin=nothing, stdout=pipe, stderr=pipe
        )

    def end(self, driver: "subprocess.Popen[bytes]") -> Done:
        """Wait for the end of a run; nothing may be left of it."""
        output, errors = driver.communicate(timeout=PATIENCE)
        assert errors == b""
        assert not self.home.exists()
        assert not [pid for pid in self.noted() if is_alive(pid)]
        return Done(driver.returncode, re.sub(rb" ran in \d+ seconds\n", b" ran in N seconds\n", output))

    def run(self, *scripts: str, **changes: Any) -> Done:
        return self.end(self.start(*scripts, **changes))

    def noted(self) -> list[int]:
        return [int(pid) for pid in self.pids.read_text().split()] if self.pids.exists() else []


@pytest.fixture
def bundle(tmp_path: Path) -> Bundle:
    return Bundle(tmp_path)


def read_until(driver: "subprocess.Popen[bytes]", line: bytes) -> bytes:
    """What a run prints up to this line."""
    assert driver.stdout
    read = b""
    while not read.endswith(line):
        more = driver.stdout.readline()
        assert more, read[-1000:]
        read += more
    return read


# --- the log


def test_log_says_everything_in_order(bundle):
    bundle.write("deploy.py", "import sys\nprint('deploying')\nprint('a warning', file=sys.stderr)\nprint('done')\n")
    bundle.write("conf/db.yml.aes", VECTORS["md5"]).write("a.txt.aes", encrypt(b"clear", KEY))
    bundle.write(
        "test.py", "import time\nprint(open('conf/db.yml').read() + open('a.txt').read())\nraise SystemExit(3)\n"
    )
    variables = {"TARGET": "qa and é", "DB_PASSWORD": "s3cret", "CALLBACK": "http://x/callback/y"}
    environment = ENVIRONMENT | {"PYTHONUNBUFFERED": "1"}
    done = bundle.run(
        "deploy.py",
        "test.py",
        "deploy.py",
        variables=variables,
        masked=["DB_PASSWORD", "OTHER"],
        environment=environment,
    )
    assert done.log == [
        "$TARGET = qa and é",
        "$DB_PASSWORD = ********",
        "$CALLBACK = http://x/callback/y",
        "decrypted a.txt.aes",
        "decrypted conf/db.yml.aes",
        "deploying",
        "a warning",
        "done",
        "deploy.py ran in N seconds",
        "password: s3cret",
        "clear",
        "test.py ran in N seconds",
        "failure (test.py exited with code 3)",
    ]
    assert done.output.endswith(b")\n")
    assert done.code == 1


def test_scripts_that_all_succeed_make_a_run_that_does(bundle):
    bundle.bash("a", "echo 1").bash("b", "echo 2")
    done = bundle.run("a", "b", "a")
    assert done == (0, b"1\na ran in N seconds\n2\nb ran in N seconds\n1\na ran in N seconds\n")


def test_seconds_are_counted_in_full(bundle):
    bundle.bash("slow", "sleep 1.1")
    output, _ = bundle.start("slow").communicate(timeout=PATIENCE)
    assert re.fullmatch(rb"slow ran in [1-9]\d* seconds\n", output)


@pytest.mark.parametrize(
    ("printf", "printed"),
    [
        ("", b""),
        ("no end", b"no end\n"),
        (r"end\n", b"end\n"),
        (r"two ends\n\n", b"two ends\n\n"),
        (r"\n", b"\n"),
        (r"10%%\r20%%\r\n", b"10%\r20%\r\n"),
        (r"50%%\r", b"50%\r\n"),
        (r"caf\xe9\x00\xff\n", b"caf\xe9\x00\xff\n"),
        (r"\xc3", b"\xc3\n"),
    ],
)
def test_output_passes_as_it_is_and_the_next_line_is_a_new_one(bundle, printf, printed):
    bundle.bash("a", f"printf '{printf}'")
    assert bundle.run("a") == (0, printed + b"a ran in N seconds\n")


def test_output_and_errors_keep_their_order(bundle):
    bundle.bash("a", "for n in {1..200}; do echo $n; echo e$n >&2; done")
    expected = "".join(f"{number}\ne{number}\n" for number in range(1, 201))
    assert bundle.run("a").output.decode() == f"{expected}a ran in N seconds\n"


def test_output_can_be_read_while_the_script_runs(bundle, tmp_path):
    gate = Gate(tmp_path / "gate")
    bundle.bash("a", "echo so far", f"read -r _ <{gate.path}", "echo and on")
    driver = bundle.start("a")
    assert read_until(driver, b"so far\n") == b"so far\n"
    gate.open()
    assert bundle.end(driver).log[0] == "and on"


def test_much_output_takes_little_memory(bundle, tmp_path):
    gate = Gate(tmp_path / "gate")
    bundle.bash("a", "head -c 50000000 /dev/zero | tr '\\0' x; echo; echo written", f"read -r _ <{gate.path}")
    driver = bundle.start("a")
    assert len(read_until(driver, b"written\n")) == 50_000_009
    status = Path(f"/proc/{driver.pid}/status").read_text()
    gate.open()
    assert bundle.end(driver).code == 0
    assert int(re.search(r"VmHWM:\s+(\d+) kB", status)[1]) < 64_000


def test_reader_that_goes_away_does_not_keep_a_run_from_its_end(bundle, tmp_path):
    gate = Gate(tmp_path / "gate")
    bundle.bash("a", f"setsid sleep 1000 & echo $! >>{bundle.pids}", f"read -r _ <{gate.path}", "seq 100000", "exit 5")
    driver = bundle.start("a")
    assert driver.stdout and driver.stderr
    gate.reached()
    driver.stdout.close()
    gate.open()
    assert driver.wait(PATIENCE) == 1
    assert driver.stderr.read() == b""
    assert not bundle.home.exists() and not is_alive(bundle.noted()[0])
    driver.stderr.close()


# --- scripts


def test_missing_script_ends_the_run_when_its_turn_comes(bundle):
    bundle.bash("a", "echo ran")
    assert bundle.run("a", "test.py", "a").log == [
        "ran",
        "a ran in N seconds",
        "failure (test.py is not in the bundle)",
    ]


def test_script_may_be_made_by_an_earlier_one(bundle):
    bundle.bash("a", "echo 'print(1)' >made.py")
    assert bundle.run("a", "made.py").log == ["a ran in N seconds", "1", "made.py ran in N seconds"]


@pytest.mark.parametrize(
    "name", ["../outside", "/bin/true", "", "lib", "lib/", "lib//b", "lib/../a", "a/", "a\nb", "x" * 300, "a/b"]
)
def test_name_that_leads_elsewhere_is_not_in_the_bundle(bundle, name):
    bundle.bash("a", "cp /bin/true ../outside; cp /bin/true $'a\\nb'").bash("lib/b")
    shown = name if name.isprintable() and name else repr(name)
    assert bundle.run("a", name).log == ["a ran in N seconds", f"failure ({shown} is not in the bundle)"]


@pytest.mark.parametrize("name", ["lib/deep/a", "./a", "a b", "-a", "lib/-a.py", "-a.py", "été", "$HOME", "a.PY"])
def test_script_may_be_anywhere_in_the_bundle(bundle, name):
    bundle.write(name, f"#!{sys.executable}\nimport os\nprint(os.getcwd())\n", 0o700)
    assert bundle.run(name).log == [f"{bundle.home}/work", f"{name} ran in N seconds"]


def test_python_finds_modules_beside_the_script(bundle):
    bundle.write("lib/deploy.py", "import helper, sys\nprint(helper.NAME, sys.argv)\n").write(
        "lib/helper.py", "NAME = 'x'\n"
    )
    assert bundle.run("lib/deploy.py").log[0] == "x ['lib/deploy.py']"


@pytest.mark.parametrize(
    ("content", "mode", "failure"),
    [
        ("#!/bin/bash\n", 0o600, "a is not executable"),
        (
            "#!/nowhere/bash\n",
            0o700,
            "a cannot be started: the interpreter named in its first line is not on this machine",
        ),
        ("\x7fELF", 0o700, "a cannot be started: Exec format error"),
        ("#!/bin/bash\nexit 3", 0o700, "a exited with code 3"),
        ("#!/bin/bash\nkill -9 $$", 0o700, "a was ended by signal 9"),
        ("#!/bin/bash\nkill -TERM $$", 0o700, "a was ended by signal 15"),
        ("#!/bin/bash\nexit 255", 0o700, "a exited with code 255"),
    ],
)
def test_script_that_fails_ends_the_run(bundle, content, mode, failure):
    bundle.write("a", content, mode).bash("b", "echo never")
    done = bundle.run("a", "b")
    assert done.log[-1] == f"failure ({failure})"
    assert done.log[:-1] == (["a ran in N seconds"] if "exit" in failure or "ended" in failure else [])
    assert done.code == 1


def test_traceback_of_a_script_is_in_the_log(bundle):
    bundle.write("a.py", "raise ValueError('oops')\n")
    log = bundle.run("a.py").log
    assert log[0] == "Traceback (most recent call last):" and log[-3] == "ValueError: oops"
    assert log[-1] == "failure (a.py exited with code 1)"


def test_environment_is_exactly_what_was_given(bundle):
    bundle.write("a.py", "import json, os\nprint(json.dumps(dict(os.environ)))\n")
    given = ENVIRONMENT | {"HOME": "/nowhere", "TARGET": "default", "OCTOPOD_URL": "http://x"}
    done = bundle.run("a.py", environment=given, variables={"TARGET": "qa", "A_B": "é = 'x'"})
    seen = json.loads(done.log[2])
    assert seen == given | {"HOME": f"{bundle.home}/work", "TARGET": "qa", "A_B": "é = 'x'"}


def test_scripts_find_neither_key_nor_archive_and_read_nothing(bundle):
    bundle.bash("a", "ls ..; wc -c; stat -c %a ../work . a; ls /proc/self/fd | wc -l")
    assert bundle.run("a").log[:-1] == ["callback", "work", "0", "700", "700", "700", "4"]


def test_key_cannot_be_read_from_the_memory_of_the_driver(bundle):
    if os.geteuid() == 0:  # who may read everything, unless told not to
        bundle.prefix = ["setpriv", "--bounding-set=-sys_ptrace"]
    bundle.bash("a", "for pid in $$ $PPID; do head -c 1 /proc/$pid/mem 2>&1 | grep -o '[^:]*$'; done")
    assert bundle.run("a").log[:-1] == [" Input/output error", " Permission denied"], "its own it may open"


# --- encrypted files


def test_encrypted_files_are_decrypted_at_all_depths(bundle):
    for name in ("a.txt.aes", "b/b.txt.aes", "b/c/d/d.txt.aes", "b/double.aes.aes"):
        bundle.write(name, VECTORS["sha256"])
    bundle.write("b/.aes", b"no secret").write(".aes", b"no secret").write("x.AES", b"no secret").write(
        "y.aes.txt", b"no secret"
    )
    (bundle.source / "directory.aes").mkdir()
    bundle.bash("a", "find . -name '*.txt' -o -name '*aes*' | sort")
    decrypted = ["a.txt.aes", "b/b.txt.aes", "b/c/d/d.txt.aes", "b/double.aes.aes"]
    kept = [*decrypted, "b/.aes", ".aes", "directory.aes", "y.aes.txt"]
    made = [name.removesuffix(".aes") for name in decrypted]
    log = bundle.run("a", environment=ENVIRONMENT | {"LC_ALL": "C"}).log
    assert log[:4] == [f"decrypted {name}" for name in decrypted]
    assert log[4:-1] == sorted(f"./{name}" for name in kept + made)


def test_decrypted_file_takes_the_place_of_a_clear_one_and_is_ours_alone(bundle):
    bundle.write("conf.yml", "old and longer than the new one", 0o755).write("conf.yml.aes", VECTORS["pbkdf2"])
    bundle.bash("a", "cat conf.yml; stat -c %a conf.yml; ls -A ..")
    expected = ["decrypted conf.yml.aes", PLAIN.decode().strip(), "600", "callback", "work", "a ran in N seconds"]
    assert bundle.run("a").log == expected


@pytest.mark.parametrize(
    ("secret", "key", "reason"),
    [
        (VECTORS["md5"], "wrong key", "it was encrypted with another key"),
        (encrypt(PLAIN, "other"), KEY, "it was encrypted with another key, or changed since"),
        (b"clear text", KEY, "it is not base64"),
        (b"", KEY, "it was encrypted neither by `octo encrypt` nor by `openssl enc`"),
    ],
    ids=["openssl", "ours", "clear", "empty"],
)
def test_file_that_cannot_be_decrypted_fails_the_run(bundle, secret, key, reason):
    bundle.bash("a", "echo never").write("conf/foo.yml.aes", secret)
    assert bundle.run("a", key=key) == (1, f"failure (cannot decrypt conf/foo.yml.aes: {reason})\n".encode())


@pytest.mark.parametrize("name", ["a.aes", "..aes", "...aes"])
def test_decrypted_file_cannot_take_the_place_of_a_directory(bundle, name):
    bundle.bash("a/b").write(name, VECTORS["md5"])
    reason = "there is a directory of that name without .aes"
    assert bundle.run("a/b").log == [f"failure (cannot decrypt {name}: {reason})"]


# --- what goes wrong


@pytest.mark.parametrize(
    ("packed", "sentence"),
    [
        (b"no archive", "the archive is not gzipped"),
        (gzip.compress(bytes(1 << 24)), "the archive unpacks to more than 1,048,576 bytes"),
    ],
)
def test_archive_that_is_refused_fails_the_run(bundle, packed, sentence):
    (bundle.home / "bundle.tgz").write_bytes(packed)
    assert bundle.run("a", variables={"A": "1"}).log == ["$A = 1", f"failure ({sentence})"]


def test_unforeseen_is_said_with_its_place(bundle):
    bundle.bash("a")
    done = bundle.run("a", limits={"many": 1})
    assert re.fullmatch(rb"unexpected failure \(driver\.py:\d+: TypeError: .*'many'.*\)\n", done.output)
    assert done.code == 2


def test_plan_that_cannot_be_read_is_unforeseen(bundle):
    driver = bundle.start("a", limits=None)
    assert re.fullmatch(rb"unexpected failure \(driver\.py:\d+: TypeError: .*\)\n", bundle.end(driver).output)


def test_directory_that_is_no_home_is_left_alone(tmp_path):
    (tmp_path / "precious").touch()
    done = subprocess.run([sys.executable, "-I", DRIVER, tmp_path], capture_output=True, text=True, check=False)
    assert done.returncode == 1 and done.stderr == f"{tmp_path} is not the home of a run: it has no plan.json\n"
    assert [path.name for path in tmp_path.iterdir()] == ["precious"]


@pytest.mark.parametrize("gone", ["$PWD", "${PWD%/work}"])
def test_script_may_remove_what_it_runs_in(bundle, gone):
    bundle.bash("a", f'rm -rf "{gone}"', "echo gone").bash("b")
    assert bundle.run("a", "b").log == ["gone", "a ran in N seconds", "failure (b is not in the bundle)"]


def test_home_is_removed_even_if_a_script_takes_away_the_rights_to_it(bundle, tmp_path):
    if os.geteuid() == 0:  # who may do everything, unless told not to
        bundle.prefix = POWERLESS
    (outside := tmp_path / "outside").mkdir(mode=0o500)
    bundle.bash("a", "mkdir -p x/y/z; touch x/y/z/file", f"ln -s {outside} x/link", "chmod 0 x/y/z x/y x .. .")
    assert bundle.run("a").code == 0
    assert outside.stat().st_mode & 0o777 == 0o500


LATE = """
import runpy, sys
*_, driver, home = sys.argv

def write(event, arguments):
    if event == "os.rmdir" and arguments[0] == "callback":
        open(f"{home}/callback/late", "a").close()

sys.addaudithook(write)
sys.argv = [driver, home]
runpy.run_path(driver, run_name="__main__")
"""


def test_file_that_comes_while_the_home_is_removed_does_not_make_the_run_fail(bundle, tmp_path):
    """A callback: the server removes it, once it takes no more of them."""
    (tmp_path / "late.py").write_text(LATE)
    bundle.prefix = [sys.executable, str(tmp_path / "late.py")]
    driver = bundle.bash("a").start("a")
    output, errors = driver.communicate(timeout=PATIENCE)
    assert (driver.returncode, errors) == (0, b"") and output.startswith(b"a ran in ") and output.count(b"\n") == 1
    assert [path.name for path in bundle.home.rglob("*")] == ["callback", "late"]


# --- what scripts leave running


@pytest.mark.parametrize(
    "start", ["sleep 1000", "setsid sleep 1000", "setsid bash -c 'sleep 1000 & wait'", "nohup sleep 1000"]
)
def test_what_is_left_running_holds_nothing_up_and_is_ended(bundle, start):
    bundle.bash("a", f"{start} & echo $! >>{bundle.pids}").bash("b", "echo next")
    assert bundle.run("a", "b") == (0, b"a ran in N seconds\nnext\nb ran in N seconds\n")
    assert len(bundle.noted()) == 1


DAEMON = """
import os, signal, time
if not os.fork():
    os.setsid()
    if os.fork():
        os._exit(0)
    {what}
    for _ in range(3):
        os.fork()
    with open({pids!r}, "a") as file:
        print(os.getpid(), file=file)
    time.sleep(1000)
os.wait()
"""


@pytest.mark.parametrize("what", ["pass", "signal.signal(signal.SIGTERM, signal.SIG_IGN)"], ids=["polite", "stubborn"])
def test_daemons_are_ended_too(bundle, what):
    bundle.write("a.py", DAEMON.format(what=what, pids=str(bundle.pids)))
    bundle.bash("b", f"until [ $(wc -l <{bundle.pids}) = 8 ]; do :; done")
    assert bundle.run("a.py", "b").code == 0
    assert len(bundle.noted()) == 8


def test_what_an_earlier_script_has_started_runs_until_the_end(bundle, tmp_path):
    gate = Gate(tmp_path / "gate")
    bundle.bash("a", f"(read -r _ <{gate.path}; echo from the background; echo >>{gate.path}.done) &")
    bundle.bash("b", "echo before", f"echo >{gate.path}", f"until [ -e {gate.path}.done ]; do :; done", "echo after")
    assert bundle.run("a", "b").log == [
        "a ran in N seconds", "before", "from the background", "after", "b ran in N seconds",
    ]  # fmt: skip


def test_last_words_come_before_the_failure(bundle):
    background = "(trap 'echo last words; exit' TERM; echo >ready; sleep 1000 & wait)"
    bundle.bash("a", f"({background} & wait) &", "until [ -e ready ]; do :; done", "exit 1")
    assert bundle.run("a").log == ["a ran in N seconds", "last words", "failure (a exited with code 1)"]


def test_child_that_goes_on_printing_does_not_hold_up_the_run(bundle):
    bundle.bash("a", "yes &", "echo parent").bash("b", "echo next")
    done = bundle.run("a", "b")
    said = [line for line in done.log if line not in ("y", "")]
    assert said == ["parent", "a ran in N seconds", "next", "b ran in N seconds"]
    assert done.code == 0


def test_child_may_print_while_the_script_exits(bundle):
    bundle.bash("a", "for n in {1..2000}; do echo line; done & echo end")
    done = bundle.run("a", "a")
    assert set(done.log) == {"line", "end", "a ran in N seconds"} or set(done.log) == {"end", "a ran in N seconds"}
    assert done.log.count("a ran in N seconds") == 2


def test_many_orphans_are_buried(bundle):
    bundle.bash("a", "for n in {1..200}; do (: &) ; done; echo done").bash("b", "ps -o stat= --ppid $PPID | grep -c Z")
    log = bundle.run("a", "b").log
    assert log[:2] == ["done", "a ran in N seconds"] and int(log[2]) < 100


# --- cancelling


def cancelled(bundle: Bundle, script: str, *more: str) -> Done:
    """What becomes of a run whose group is signalled once `script` has said that it is ready."""
    driver = bundle.start(script, *more)
    read_until(driver, b"ready\n")
    os.killpg(driver.pid, signal.SIGTERM)
    return bundle.end(driver)


def test_cancelled_run_leaves_nothing(bundle):
    bundle.bash("a", f"setsid sleep 1000 & echo $! >>{bundle.pids}", "echo ready; sleep 1000").bash("b", "echo never")
    done = cancelled(bundle, "a", "b")
    assert done.log == ["a ran in N seconds", "failure (a was ended by signal 15)"] and done.code == 1


def test_script_may_clean_up_when_it_is_cancelled(bundle):
    bundle.bash("a", "trap 'echo cleaned up; exit 0' TERM; echo ready; sleep 1000 & wait").bash("b", "echo never")
    assert cancelled(bundle, "a", "b").log == ["cleaned up", "a ran in N seconds", "failure (the run was cancelled)"]


def test_script_that_has_left_the_group_is_cancelled_too(bundle):
    bundle.write("a.py", "import os, time\nos.setsid()\nprint('ready', flush=True)\ntime.sleep(1000)\n")
    assert cancelled(bundle, "a.py").log == ["a.py ran in N seconds", "failure (a.py was ended by signal 15)"]


STUBBORN = "trap '' TERM; setsid sleep 1000 & echo $! $$ >>{pids}; echo ready; while :; do sleep 1000; done"
TOO_LATE = (
    "trap 'setsid sleep 1000 & echo $! $$ >>{pids}; sleep 1000; exit 1' TERM; echo ready; while :; do sleep 1; done"
)


@pytest.mark.parametrize("script", [STUBBORN, TOO_LATE], ids=["ignored", "answered with more"])
def test_what_does_not_end_when_it_is_told_to_is_killed_before_the_keeper_would(bundle, script):
    bundle.bash("a", script.format(pids=bundle.pids))
    driver = bundle.start("a", grace=2)
    read_until(driver, b"ready\n")
    os.killpg(driver.pid, signal.SIGTERM)
    assert bundle.end(driver).log[-2:] == ["a ran in N seconds", "failure (a was ended by signal 9)"]
    assert len(bundle.noted()) == 2


def test_run_that_is_cancelled_before_its_first_script_starts_none(bundle):
    bundle.bash("a", "echo never")
    os.mkfifo(bundle.home / "bundle.tgz")
    driver = bundle.start("a")

    def waiting() -> int | None:
        try:
            return os.open(bundle.home / "bundle.tgz", os.O_WRONLY | os.O_NONBLOCK)
        except OSError:
            return None

    fd = eventually(waiting, "the driver to open its archive")
    os.killpg(driver.pid, signal.SIGTERM)
    with open(fd, "wb") as file:
        file.write(bundle.pack())
    assert bundle.end(driver) == (1, b"failure (the run was cancelled)\n")


def test_signals_are_as_usual_for_scripts(bundle):
    bundle.bash("a", "grep -E 'Sig(Ign|Blk)' /proc/self/status")
    usual = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGCHLD, signal.SIGPIPE, signal.SIGXFSZ)
    for line in bundle.run("a").log[:-1]:
        withheld = int(line.split()[1], 16)
        assert not [number for number in usual if withheld >> (number - 1) & 1], line
