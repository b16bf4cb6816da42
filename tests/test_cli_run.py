"""`octo run`, `encrypt`, `decrypt` and `token`: what is packed and signed, what is printed, and how it is exited.

What the CLI uploads is judged by those who have to read it: the server's own modules, GNU tar and openssl.
"""

import io
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import tarfile
import threading
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from bundling import Client, pack, second_signature, waits_at
from conftest import ROOT, Gate, Server, eventually, free_port, numbers
from hypothesis import given, settings
from hypothesis import strategies as st
from test_cli import STOPPING, Octo, Outcome, answering, answering_in_turn, nobody, on_sqlite  # noqa: F401
from werkzeug.formparser import parse_form_data

import cli
from octopod.bundle import aes, signature
from octopod.bundle.archive import Limits, unpack

pytestmark = pytest.mark.parametrize("database", ["sqlite"], indirect=True)  # makes no difference to the CLI

KEY = "kTq0+x/Vb4Zs8e1m2Xn5Yw7Ra9Lu3Hc6"
LIMITS = Limits(size=1 << 28, members=10_000, ratio=1000, depth=20)


class Upload(NamedTuple):
    """What the CLI has sent."""

    path: str
    headers: dict[str, str]
    archive: bytes

    def members(self) -> dict[str, tarfile.TarInfo]:
        with tarfile.open(fileobj=io.BytesIO(self.archive)) as archive:
            return {member.name + "/" * member.isdir(): member for member in archive}

    def files(self) -> set[str]:
        return {name for name in self.members() if not name.endswith("/")}


class Receiver(Octo):
    """The CLI, and somebody who keeps what it uploads, and refuses it."""

    def __init__(self, url: str, uploads: list[Upload]) -> None:
        super().__init__(url, SERVO_TOKEN=KEY)
        self.uploads = uploads

    def upload(self, *arguments: str, **environment: str) -> Upload:
        code, out, err = self("run", *arguments, **environment)
        assert (code, out) == (4, ""), err
        return self.uploads.pop()


@pytest.fixture(scope="module")
def receiving() -> Iterator[Receiver]:
    uploads: list[Upload] = []

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            length, kind = str(len(body)), self.headers["Content-Type"]
            form = {"wsgi.input": io.BytesIO(body), "CONTENT_LENGTH": length, "CONTENT_TYPE": kind}
            with parse_form_data(form | {"REQUEST_METHOD": "POST"})[2]["tgz"].stream as archive:
                uploads.append(Upload(self.path, dict(self.headers), archive.read()))
            self.send_response(403)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, *_: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as receiver:
        thread = threading.Thread(target=receiver.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield Receiver(f"http://127.0.0.1:{receiver.server_port}", uploads)
        receiver.shutdown()
        thread.join()


@pytest.fixture
def receiver(receiving: Receiver) -> Receiver:
    receiving.uploads.clear()
    return receiving


@pytest.fixture
def bundle(tmp_path: Path) -> Path:
    """A directory with a script in it."""
    (tmp_path / "bundle").mkdir()
    (tmp_path / "bundle/a.py").write_text("print('hello')\n")
    return tmp_path / "bundle"


def put(path: Path, text: str = "", mode: int = 0o644) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    path.chmod(mode)
    return path


# --- Packing --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("by", ["tar", "server"])
def test_bundle_unpacks_to_what_was_packed(receiver, bundle, tmp_path, by):
    put(bundle / "run.sh", "#!/bin/sh\n", 0o700)
    put(bundle / "lib/deep/data.yml", "a: 1\n", 0o600)
    put(bundle / ("long-" * 30) / ("name-" * 30), "long")
    put(bundle / "größe 🦑.txt", "ünï")
    put(bundle / "-rf", "")
    (bundle / "empty").mkdir()
    upload = receiver.upload(str(bundle), "a.py")
    put(tmp_path / "bundle.tgz").write_bytes(upload.archive)
    (there := tmp_path / "there").mkdir()
    if by == "tar":
        subprocess.run(["tar", "xzf", "../bundle.tgz"], cwd=there, check=True)
    else:
        unpack(tmp_path / "bundle.tgz", there, LIMITS)
    assert tree(there) == tree(bundle)


def tree(directory: Path) -> dict[str, tuple[bytes, bool] | None]:
    """Each file with its content and whether it is executable, each directory with None."""
    return {
        str(path.relative_to(directory)): (path.read_bytes(), os.access(path, os.X_OK)) if path.is_file() else None
        for path in directory.rglob("*")
    }


def test_same_files_make_the_same_bytes_whoever_packs_them_and_when(receiver, bundle, tmp_path):
    for name in ("b", "C", "a.d/e", "a/f", "Z"):
        put(bundle / name, name * 1000)
        os.utime(bundle / name, (1.5, 1.5e9))
    copy = tmp_path / "copy"
    copy.mkdir()
    for path in sorted(bundle.iterdir(), reverse=True):
        subprocess.run(["cp", "-a", path, copy], check=True)
    os.chmod(copy / "b", 0o640)
    one, other = (receiver.upload(str(directory), "a.py") for directory in (bundle, f"{copy}/"))
    assert one.archive == other.archive
    members = one.members()
    assert list(members) == ["C", "Z", "a/", "a/f", "a.d/", "a.d/e", "a.py", "b"]
    assert {(member.uid, member.gid, member.uname, member.gname) for member in members.values()} == {(0, 0, "", "")}
    assert members["b"].mtime == 1_500_000_000


def test_links_to_files_inside_become_files(receiver, bundle):
    put(bundle / "real/run.sh", "#!/bin/sh\n", 0o755)
    (bundle / "link.sh").symlink_to("real/run.sh")
    os.link(bundle / "a.py", bundle / "again.py")
    members = receiver.upload(str(bundle), "link.sh").members()
    assert all(member.isfile() or member.isdir() for member in members.values())
    assert members["link.sh"].mode == 0o755
    assert members["link.sh"].size == members["real/run.sh"].size
    assert members["again.py"].size == members["a.py"].size


def link(to: str) -> Callable[[Path], None]:
    return lambda bundle: (bundle / "odd").symlink_to(to)


@pytest.mark.parametrize(
    "make",
    [
        link("/etc/passwd"),
        link("../outside"),
        link("."),
        link("nowhere"),
        link("odd"),
        lambda at: os.mkfifo(at / "odd"),
    ],
    ids=["absolute", "upwards", "directory", "dangling", "loop", "pipe"],
)
def test_what_is_neither_file_nor_directory_is_refused_by_name(receiver, bundle, make):
    put(bundle.parent / "outside", "secret")
    make(bundle)
    code, _, err = receiver("run", str(bundle), "a.py")
    assert (code, receiver.uploads) == (2, [])
    assert str(bundle / "odd") in err
    put(bundle / ".octoignore", "odd\n")
    assert receiver.upload(str(bundle), "a.py").files() == {"a.py"}


def test_link_to_a_neighbour_whose_name_begins_alike_is_outside(receiver, bundle):
    put(bundle.parent / "bundle-2/secret", "secret")
    (bundle / "odd").symlink_to("../bundle-2/secret")
    assert receiver("run", str(bundle), "a.py").code == 2


def test_name_that_is_not_utf_8_is_refused(receiver, bundle):
    put(Path(os.fsdecode(bytes(bundle / "bad-") + b"\xff")))
    code, _, err = receiver("run", str(bundle), "a.py")
    assert (code, receiver.uploads) == (2, [])
    assert "UTF-8" in err


def test_unreadable_directory_is_a_sentence(receiver, tmp_path):
    for directory, words in ((tmp_path / "nowhere", "No such file"), (put(tmp_path / "file"), "Not a directory")):
        code, out, err = receiver("run", str(directory), "a.py")
        assert (code, out) == (2, "")
        assert str(directory) in err and words in err
        assert "Traceback" not in err


def test_memory_does_not_grow_with_the_bundle(receiver, bundle):
    with (bundle / "large").open("wb") as file:
        for _ in range(64):
            file.write(os.urandom(1 << 20))
    limited = ["bash", "-c", f'ulimit -d {48 * 1024} && exec "$@"', "-", sys.executable, str(ROOT / "cli.py")]
    ended = subprocess.run([*limited, "run", str(bundle), "a.py"], env=receiver.environment, capture_output=True)
    assert ended.returncode == 4, ended.stderr
    assert len(receiver.uploads.pop().archive) > 64 << 20


# --- .octoignore ----------------------------------------------------------------------------------------------------


def test_octoignore_leaves_out_what_it_names(receiver, bundle):
    for name in (".git/config", "sub/.git/config", "module/.git", "notes.md", "doc/notes.md", "build/x", "sub/build/y"):
        put(bundle / name)
    for name in ("keep.log", "other.log", "top", "sub/top", " trailing", ".env", "#x", "a.pyc"):
        put(bundle / name)
    rules = "\ufeff# comment\n\n*.log\r\n!keep.log\n/top  \nbuild/\ndoc/**\n\\#x\n*.py[co]\n!.git\n!.octoignore"
    put(bundle / ".octoignore", rules)
    expected = {"a.py", "notes.md", "keep.log", "sub/top", " trailing", ".env"}
    assert receiver.upload(str(bundle), "a.py").files() == expected


def test_octoignore_that_cannot_be_read_is_a_sentence(receiver, bundle):
    (bundle / ".octoignore").mkdir()
    code, _, err = receiver("run", str(bundle), "a.py")
    assert (code, receiver.uploads) == (2, [])
    assert ".octoignore" in err and "Traceback" not in err
    (bundle / ".octoignore").rmdir()
    put(bundle / ".octoignore", "[z-a]\n")
    assert "'[z-a]' is not understood" in receiver("run", str(bundle), "a.py").err


NAMES = ["a", "b", "ab", "a.b", ".a", "a*", "#a", "!a", "a "]
PIECES = st.sampled_from(
    ["a", "b", ".", "*", "**", "?", "/", "/**/", "**/", "/**", "[ab]", "[!a]", "[a-b]", r"\*", " "]
)
RULES = st.tuples(st.sampled_from(["", "", "", "!", "#", "\\#", "\\!", "/"]), st.lists(PIECES, max_size=4).map("".join))


def is_as_documented(rule: str) -> bool:
    """Whether git does with a rule what its documentation says: in `a**/b` it should take `**` for `*`, and does not."""
    return not re.search(r"[^/!]\*\*", rule)


@pytest.fixture(scope="module")
def repository(tmp_path_factory: pytest.TempPathFactory) -> Path:
    directory = tmp_path_factory.mktemp("repository")
    subprocess.run(["git", "init", "-q", directory], check=True)
    for top in NAMES:
        put(directory / f"{top}f")
        for middle in NAMES[:4]:
            put(directory / top / middle / "a")
            put(directory / top / f"{middle}f")
    return directory


@settings(max_examples=200)
@given(rules=st.lists(RULES.map("".join).filter(is_as_documented), min_size=1, max_size=4))
def test_octoignore_is_read_as_git_reads_gitignore(repository, rules):
    put(repository / ".octoignore", "\n".join(rules))
    command = ["git", "ls-files", "-z", "--others", "--exclude-from=.octoignore"]
    listed = subprocess.run(command, cwd=repository, check=True, capture_output=True, text=True).stdout
    packed = cli.walk(str(repository), cli.ignore_rules(str(repository)))
    ours = {path for path in packed if not path.endswith("/")}
    assert ours == set(listed.split("\0")) - {"", ".octoignore"}


# --- Signing --------------------------------------------------------------------------------------------------------


def test_both_signatures_are_what_the_server_computes(receiver, bundle, tmp_path):
    scripts = ["a.py", "sub/two words ü%2F.py", "a.py"]
    put(bundle / scripts[1])
    given = ["-v", "target-env:qa", "--variable", "b:1:2:3", "-v", "E:", "-v", "U:ünï à"]
    sent = receiver.upload(str(bundle), *scripts, *given)
    (tmp_path / "tgz").write_bytes(sent.archive)
    digests = signature.Digests(tmp_path / "tgz", [KEY])
    variables = {"TARGET_ENV": "qa", "B": "1:2:3", "E": "", "U": "ünï à"}
    signed = [sent.headers[f"X-{name}"] for name in ("Timestamp", "Nonce")]
    second = signature.sign_v2(KEY, f"/run/{'+'.join(scripts)}", *signed, digests.sha256, variables)
    assert sent.path == "/run/a.py+sub/two%20words%20%C3%BC%252F.py+a.py"
    assert digests.find_key(sent.headers["X-Signature"]) == KEY
    assert sent.headers["X-Signature-V2"] == second
    assert abs(int(signed[0]) - time.time()) < 60
    assert re.fullmatch("[A-Za-z0-9_-]{16,64}", signed[1])


def test_signature_is_what_openssl_computes(receiver, bundle):
    sent = receiver.upload(str(bundle), "a.py")
    command = ["openssl", "dgst", "-sha256", "-hmac", KEY]
    printed = subprocess.run(command, input=sent.archive, check=True, capture_output=True).stdout.decode()
    assert sent.headers["X-Signature"] == f"sha256={printed.split()[-1]}"


def test_no_two_uploads_have_the_same_nonce(receiver, bundle):
    sent = [receiver.upload(str(bundle), "a.py").headers for _ in range(2)]
    assert sent[0]["X-Nonce"] != sent[1]["X-Nonce"]
    assert sent[0]["X-Signature"] == sent[1]["X-Signature"]


def test_variables_are_headers_without_underscores(receiver, bundle):
    headers = receiver.upload(str(bundle), "a.py", "-v", "target_env:a_b", "-v", "U:à").headers
    assert headers["X-Var-TARGET-ENV"] == "a_b"
    assert headers["X-Var-U"].encode("latin-1").decode() == "à"
    assert not [name for name in headers if "_" in name]


def test_own_token_comes_before_the_servers(receiver, bundle):
    first, second = (
        receiver.upload(str(bundle), "a.py", **environment).headers["X-Signature"] for environment in TOKENS
    )
    assert first == second


TOKENS = [{"SERVO_TOKEN": "mine\n"}, {"SERVO_TOKEN": KEY, "OCTO_SERVO_TOKEN": "mine"}]


def test_encrypted_script_is_one_to_run(receiver, bundle):
    (bundle / "a.py").rename(bundle / "a.py.aes")
    assert receiver.upload(str(bundle), "a.py").path == "/run/a.py"


# --- Usage and refusals ---------------------------------------------------------------------------------------------

RUN = "run {bundle} a.py"
USAGE = [
    "run",
    "run {bundle}",
    "run {bundle} missing.py",
    "run {bundle} left-out.py",
    "run {bundle} a.py ../a.py",
    "run {bundle} ./a.py",
    "run {bundle} {bundle}/a.py",
    "run {bundle} sub",
    "run {bundle} sub/",
    "run {bundle} a+b.py",
    RUN + " -v NOVALUE",
    RUN + " -v :value",
    RUN + " -v TWO%WORDS:1",
    RUN + " -v Ü:1",
    RUN + " -v A:%1",
    RUN + " -v A:1%",
    RUN + " -v A:1\n2",
    RUN + " -v A:\x7f",
    RUN + " -v A-B:1 -v a_b:2",
    RUN + " --detach --timeout 1h",
    RUN + " --timeout soon",
    RUN + " --wait",
    "encrypt",
    "encrypt {bundle}/missing",
    "encrypt {bundle}",
    "encrypt {bundle}/a.py {bundle}/b.aes",
    "decrypt {bundle}/a.py",
    "decrypt {bundle}/.aes",
    "decrypt {bundle}/missing.aes",
    "token",
    "token list all",
    "token create",
    "token create ci --role root",
    "token create ..",
    "token rotate",
    "token rotate ci --overlap soon",
    "token remove",
    "token frobnicate ci",
]


@pytest.mark.parametrize("arguments", USAGE)
def test_wrong_usage_is_2_before_anything_is_sent(nobody, bundle, arguments):  # noqa: F811
    for name in ("sub/x", "left-out.py", "a+b.py", "b.aes"):
        put(bundle / name)
    put(bundle / ".octoignore", "left-out.py\n")
    given = [word.replace("%", " ").format(bundle=bundle) for word in arguments.split(" ")]
    code, out, err = nobody(*given, SERVO_TOKEN=KEY)
    assert (code, out) == (2, "")
    assert "octo" in err and "Traceback" not in err
    assert not list(bundle.glob("*.py.aes"))


@pytest.mark.parametrize("command", ["run {} a.py", "encrypt {}/a.py", "decrypt {}/a.py.aes"])
@pytest.mark.parametrize("environment", [{}, {"SERVO_TOKEN": " \n"}], ids=["unset", "blank"])
def test_missing_token_is_2_and_names_the_variable(nobody, bundle, command, environment):  # noqa: F811
    nobody.environment.pop("SERVO_TOKEN", None)
    code, out, err = nobody(*command.format(bundle).split(), **environment)
    assert (code, out) == (2, "")
    assert "SERVO_TOKEN" in err


REASON = b'{"detail": "Not like this"}'


@pytest.mark.parametrize(
    ("status", "body", "code", "words"),
    [
        (403, b"", 4, "Is SERVO_TOKEN one of its tokens"),
        (403, REASON, 4, "octo: Not like this\n"),
        (401, b"<h1>Log in</h1>", 4, "not from Octopod"),
        (404, b"<h1>Lost</h1>", 3, "not from Octopod"),
        (413, REASON, 6, "Not like this"),
        (422, REASON, 6, "Not like this"),
        (500, REASON, 9, "Not like this"),
        (503, REASON, 9, "Not like this"),
        (202, b"{}", 9, "not understood"),
        (202, b"<h1>Welcome</h1>", 9, "OCTOPOD_URL"),
    ],
)
def test_each_answer_has_its_exit_code(bundle, status, body, code, words):
    with answering(status, body) as octo:
        ended = octo("run", str(bundle), "a.py", SERVO_TOKEN=KEY)
    assert (ended.code, ended.out) == (code, "")
    assert words in ended.err
    assert "Traceback" not in ended.err


def test_nobody_listening_is_9(nobody, bundle):  # noqa: F811
    code, out, err = nobody("run", str(bundle), "a.py", SERVO_TOKEN=KEY)
    assert (code, out) == (9, "")
    assert "Connection refused" in err


# --- Servers that want to be asked again ----------------------------------------------------------------------------

BUSY = (429, b'{"detail": "Too many"}', {"Retry-After": "1"})
UNSIGNED: tuple[int, bytes, dict[str, str]] = (403, b"", {})


def test_busy_server_is_asked_again_when_it_says_and_with_a_signature_of_its_own(bundle):
    begun = time.monotonic()
    with answering_in_turn(BUSY, STOPPING, UNSIGNED) as octo:
        code, out, err = octo("run", str(bundle), "a.py", SERVO_TOKEN=KEY)
    assert (code, out) == (4, "")
    assert err.startswith("Trying again: Too many\nTrying again: About to stop\nocto: ")
    assert time.monotonic() - begun >= 2, "it has said: in a second"
    sent = [asked.headers for asked in octo.asked]
    assert len({headers["X-Nonce"] for headers in sent}) == 3
    assert len({headers["X-Signature-V2"] for headers in sent}) == 3
    assert len({headers["Content-Length"] for headers in sent}) == 1, "the whole archive each time"


def test_server_that_stays_busy_is_9_and_not_called_unreachable(bundle):
    with answering(*BUSY[:2]) as octo:
        code, out, err = octo("run", str(bundle), "a.py", "--timeout", "1", SERVO_TOKEN=KEY)
    assert (code, out) == (9, "")
    assert err.endswith("octo: the server did not take the run in time. Too many\n")


@pytest.mark.parametrize("flags", [["--timeout", "0"], ["--timeout", "0", "--json"]], ids=" ".join)
def test_busy_server_is_asked_once_by_who_has_no_time(bundle, flags):
    with answering(*BUSY[:2], **BUSY[2]) as octo:
        code, out, err = octo("run", str(bundle), "a.py", *flags, SERVO_TOKEN=KEY)
    assert (code, out, err) == (9, "", "octo: the server did not take the run in time. Too many\n")
    assert len(octo.asked) == 1


def test_server_that_was_about_to_stop_is_waited_for(bundle):
    """Somebody who was there will be there again; who was not (above) is probably nobody."""
    with answering_in_turn(STOPPING) as octo:
        process = octo.start("run", str(bundle), "a.py", SERVO_TOKEN=KEY)
        assert process.stderr.readline() == b"Trying again: About to stop\n"
        port = int(octo.environment["OCTOPOD_URL"].rpartition(":")[2])
    with process:
        assert b"refused" in process.stderr.readline()
        with answering_in_turn(UNSIGNED, port=port):
            process.communicate()
    assert process.returncode == 4


def test_who_is_patient_waits_for_a_server_that_is_not_there_yet(new_server, bundle):
    server = new_server(SERVO_TOKEN=KEY)
    with Octo(server.url, SERVO_TOKEN=KEY).start("run", str(bundle), "a.py", OCTO_PATIENCE="5m") as process:
        assert b"Trying again: cannot reach" in process.stderr.readline()
        server.start()
        out, err = process.communicate()
    assert process.returncode == 0, err
    assert log_of(out.decode()) == ["hello", "a.py ran in N seconds"]


# --- Runs -----------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def servo(new_database: Callable[[str], str], scratch: Path) -> Iterator[Server]:
    """A server with logins, which takes bundles only with the second signature."""
    directory = scratch / f"server-servo-{next(numbers)}"
    directory.mkdir()
    logins = {"UI_BASIC_AUTH": "user:secret", "POWER_AUTHORIZATION_HEADER": "Bearer octopus"}
    server = Server(directory, new_database("sqlite"), SERVO_TOKEN=KEY, SERVO_REQUIRE_V2="true", **logins).start()
    server.http.headers["Authorization"] = "Bearer octopus"
    yield server
    server.stop()


@pytest.fixture
def client(servo: Server) -> Octo:
    """The CLI with a token and without a login."""
    return Octo(servo.url, SERVO_TOKEN=KEY)


@pytest.fixture
def admin(servo: Server) -> Octo:
    return Octo(servo.url, SERVO_TOKEN=KEY, OCTO_AUTHORIZATION_HEADER="Bearer octopus")


@pytest.fixture
def gate(scratch: Path) -> Gate:
    return Gate(scratch / f"gate-{next(numbers)}")


def log_of(out: str) -> list[str]:
    """The lines of a log, but for what is different each time."""
    assert re.search(r"^\$CALLBACK = ", out, re.M), out
    return [re.sub(r"\d+ seconds", "N seconds", line) for line in out.splitlines() if not line.startswith("$CALLBACK")]


def newest_run(server: Server) -> dict[str, Any]:
    return server.get("/actions", params={"kind": "run", "limit": 1}).json()["items"][0]


@contextmanager
def held(octo: Octo, bundle: Path, gate: Gate, *options: str) -> Iterator[subprocess.Popen[bytes]]:
    """The CLI in the middle of a run, whose script waits at the gate."""
    put(bundle / "a.py", f"print('begun', flush=True)\n{waits_at(gate)}print('done')")
    with octo.start("run", str(bundle), "a.py", *options) as process:
        gate.reached()
        yield process


def test_run_prints_what_scripts_write_and_exits_with_0(client, bundle):
    put(bundle / "lib/text.txt", "from a file")
    put(bundle / "sub/b.sh", "#!/bin/sh\ncat lib/text.txt; echo oops >&2", 0o755)
    code, out, err = client("run", str(bundle), "a.py", "sub/b.sh", "a.py")
    assert code == 0
    ran = ["hello", "a.py ran in N seconds"]
    assert log_of(out) == [*ran, "from a fileoops", "sub/b.sh ran in N seconds", *ran]
    assert re.fullmatch(r"octo: the run of a.py\+sub/b.sh\+a.py \(action \d+\) succeeded in \S+\n", err)


def test_log_is_printed_while_it_is_written(client, bundle, gate):
    with held(client, bundle, gate) as process:
        lines = iter(process.stdout.readline, b"")
        assert b"begun\n" in lines
        gate.open()
        assert next(lines) == b"done\n"
        assert process.stdout.read().startswith(b"a.py ran in")
    assert process.returncode == 0


VARIABLES = {"TARGET_ENV": "qa", "COLONS": "1:2:3", "EMPTY": "", "UMLAUT": "ünï 🦑", "QUOTES": "'\"$HOME`id`\\"}


def test_variables_reach_the_scripts_as_they_were_given(client, bundle):
    put(bundle / "a.py", "import json, os\nprint(json.dumps(dict(os.environ)))")
    given = [part for name, value in VARIABLES.items() for part in ("-v", f"{name.lower().replace('_', '-')}:{value}")]
    _, out, _ = client("run", str(bundle), "a.py", *given)
    found = json.loads(next(line for line in out.splitlines() if line.startswith("{")))
    assert VARIABLES.items() <= found.items()
    assert "$TARGET_ENV = qa\n" in out


@pytest.mark.parametrize("value", ["voilà", "Å", "日本"])
def test_last_bytes_of_a_value_are_not_taken_for_blanks(client, bundle, value):
    put(bundle / "a.py", "import os\nprint(ascii(os.environ['A']))")
    code, out, err = client("run", str(bundle), "a.py", "-v", f"A:{value}")
    assert code == 0, err
    assert ascii(value) in out


def test_encrypted_files_are_clear_to_the_scripts(client, bundle):
    put(bundle / "a.py", "print(open('password').read())")
    put(bundle / "password", "open sesame")
    put(bundle / "other", "of openssl")
    assert client("encrypt", str(bundle / "password")).code == 0
    assert client("encrypt", str(bundle / "a.py"), str(bundle / "other"), "--openssl").code == 0
    for name in ("password", "a.py", "other"):
        (bundle / name).unlink()
    out = client("run", str(bundle), "a.py").out
    assert {"decrypted a.py.aes", "decrypted other.aes", "decrypted password.aes", "open sesame"} <= set(log_of(out))


def test_failed_script_is_1_and_the_log_says_why(client, bundle):
    put(bundle / "bad.py", "print('half')\nraise SystemExit(3)")
    code, out, err = client("run", str(bundle), "bad.py", "a.py")
    assert code == 1
    assert log_of(out) == ["half", "bad.py ran in N seconds", "failure (bad.py exited with code 3)"]
    assert "failed. bad.py exited with code 3" in err
    assert "Last lines" not in err


@pytest.mark.parametrize("variable", ["LD_PRELOAD:x", "1A:x", "A%B:x"])
def test_refused_variable_is_1_and_the_log_says_why(client, bundle, variable):
    code, out, err = client("run", str(bundle), "a.py", "-v", variable)
    assert (code, err) == (1, "")
    assert re.fullmatch(r"failure \(The variable .*\)\n", out)
    answer = json.loads(client("run", str(bundle), "a.py", "-v", variable, "--json").out)
    assert answer == {"ok": 0, "log": [out.rstrip("\n")]}


def test_run_that_takes_too_long_is_1(new_server, bundle):
    server = new_server(SERVO_TOKEN=KEY, BUNDLE_TIMEOUT="1").start()
    put(bundle / "a.py", "import time\nprint('begun', flush=True)\ntime.sleep(1000)")
    octo = Octo(server.url, SERVO_TOKEN=KEY)
    code, out, err = octo("run", str(bundle), "a.py")
    assert (code, "begun" in out) == (1, True)
    assert "timed out" in err
    answer = json.loads(octo("run", str(bundle), "a.py", "--json").out)
    assert answer["ok"] == 0
    assert re.match("failure .*", answer["log"][-1])


def test_run_that_somebody_cancels_is_8(client, admin, servo, bundle, gate):
    with held(client, bundle, gate) as process:
        action_id = str(newest_run(servo)["id"])
        cancelled = admin("cancel", "-a", action_id, "--wait")
        assert (cancelled.code, cancelled.out) == (0, "")
        assert f"the run of a.py (action {action_id}): cancelled" in cancelled.err
        _, err = process.communicate()
    assert process.returncode == 8
    assert b"cancelled" in err


def test_wrong_token_is_4(client, bundle):
    code, out, err = client("run", str(bundle), "a.py", SERVO_TOKEN="another")
    assert (code, out) == (4, "")
    assert "SERVO_TOKEN" in err
    assert "OCTO_AUTHORIZATION_HEADER" not in err


def test_wrong_clock_is_4_and_says_so(client, bundle, tmp_path):
    put(tmp_path / "late/sitecustomize.py", "import time\nnow = time.time\ntime.time = lambda: now() - 4000")
    code, _, err = client("run", str(bundle), "a.py", PYTHONPATH=str(tmp_path / "late"))
    assert code == 4
    assert "X-Timestamp" in err


def test_too_large_a_bundle_is_6_and_says_so(new_server, bundle):
    server = new_server(SERVO_TOKEN=KEY, BUNDLE_SIZE="1000").start()
    (bundle / "large").write_bytes(os.urandom(3 << 20))
    code, _, err = Octo(server.url, SERVO_TOKEN=KEY)("run", str(bundle), "a.py")
    assert code == 6, err
    assert "1,000" in err or "1000" in err


def test_json_is_what_the_server_answers_who_waits(client, servo, bundle):
    put(bundle / "b.py", "print('\\r1\\r\\n\\n\\x0c2', end='')\nraise SystemExit(1)")
    archive = pack(bundle.parent, {path.name: path.read_bytes() for path in bundle.iterdir()})
    headers = second_signature("/run/a.py+b.py", archive, KEY, time.time(), uuid.uuid4().hex)
    expected = Client(servo, bundle.parent).send("a.py+b.py", archive, headers).json()
    code, out, err = client("run", str(bundle), "a.py", "b.py", "--json")
    assert (code, json.loads(out)) == (1, expected)
    assert err


def test_detached_run_is_followed_with_what_is_said(client, bundle, gate):
    put(bundle / "a.py", f"{waits_at(gate)}print('done')")
    code, out, err = client("run", str(bundle), "a.py", "--detach")
    assert code == 0
    assert f"action {int(out)}." in err
    gate.open()
    shown = typed(client, err.strip().rpartition("Follow it with: ")[2])
    assert (shown.code, log_of(shown.out)) == (0, ["done", "a.py ran in N seconds"])
    answer = json.loads(client("run", str(bundle), "a.py", "--detach", "--json").out)
    assert {"run", "authorization"} <= set(answer)


def typed(octo: Octo, line: str) -> Outcome:
    """How a line ends that was typed into a shell."""
    command = ["bash", "-c", f'octo() {{ "{sys.executable}" "{ROOT}/cli.py" "$@"; }}\n{line}']
    ended = subprocess.run(command, env=octo.environment, capture_output=True, text=True)
    return Outcome(ended.returncode, ended.stdout, ended.stderr)


# --- Runs that go on without us -------------------------------------------------------------------------------------


def interrupted(process: subprocess.Popen[bytes]) -> str:
    """The command that cancels a run, as it is said on Ctrl-C."""
    assert process.stdout.readline().startswith(b"$CALLBACK")
    process.send_signal(signal.SIGINT)
    _, err = process.communicate()
    assert process.returncode == 130
    assert b"Traceback" not in err
    return err.decode().strip().rpartition("goes on; to cancel it: ")[2]


def test_ctrl_c_does_not_end_the_run(client, servo, bundle, gate):
    with held(client, bundle, gate) as process:
        interrupted(process)
    gate.open()
    assert servo.finished(newest_run(servo)["id"])["state"] == "succeeded"


def test_who_has_no_login_cancels_with_the_ticket_of_the_run(client, servo, bundle, gate):
    with held(client, bundle, gate) as process:
        line = interrupted(process)
    action_id = newest_run(servo)["id"]
    assert re.fullmatch(rf"OCTO_AUTHORIZATION_HEADER='Bearer \w+' octo cancel -a {action_id}", line)
    assert typed(client, f"{line} --wait").code == 0
    assert servo.finished(action_id)["state"] == "cancelled"


def test_who_has_a_login_is_not_shown_a_ticket(admin, servo, bundle, gate):
    with held(admin, bundle, gate) as process:
        line = interrupted(process)
    assert line == f"octo cancel -a {newest_run(servo)['id']}"
    assert typed(admin, line).code == 0


def test_time_that_is_up_is_7_and_the_run_goes_on(client, servo, bundle, gate):
    with held(client, bundle, gate, "--timeout", "3") as process:
        out, err = process.communicate()
    assert process.returncode == 7
    assert b"begun\n" in out
    assert typed(client, err.decode().strip().rpartition("to cancel it: ")[2]).code == 0


def test_time_is_up_for_scripts_that_write_all_the_time_too(client, servo, bundle):
    put(bundle / "a.py", "import time\nwhile True:\n    print('and on', flush=True)\n    time.sleep(0.01)")
    begun = time.monotonic()
    code, _, err = client("run", str(bundle), "a.py", "--timeout", "3")
    assert code == 7
    assert time.monotonic() - begun < 15
    assert typed(client, err.strip().rpartition("to cancel it: ")[2]).code == 0


def test_restart_of_the_server_only_delays_the_log(new_server, bundle, gate):
    server = new_server(SERVO_TOKEN=KEY).start()
    with held(Octo(server.url, SERVO_TOKEN=KEY), bundle, gate) as process:
        lines = iter(process.stdout.readline, b"")
        assert b"begun\n" in lines
        server.stop(signal.SIGKILL)
        assert b"Trying again" in process.stderr.readline()
        server.start()
        gate.open()
        out = process.stdout.read()
    assert process.returncode == 0
    assert re.fullmatch(rb"done\na.py ran in \d+ seconds\n", out)


@pytest.mark.parametrize("command", ["status", "update --wait", "archive"])
def test_restart_of_the_server_only_delays_what_scripts_ask_for(new_server, bundle, gate, command):
    server = new_server(SERVO_TOKEN=KEY).start()
    server.running("steady")
    said = bundle.parent / "said"
    put(bundle / "b.sh", f"#!/bin/sh\nocto {command} -n steady 2>'{said}'", 0o755)
    put(bundle / "a.py", waits_at(gate))
    with Octo(server.url, SERVO_TOKEN=KEY).start("run", str(bundle), "a.py", "b.sh") as process:
        gate.reached()
        server.stop(signal.SIGKILL)
        gate.open()
        eventually(lambda: said.exists() and "Trying again" in said.read_text(), "a script that asks in vain")
        server.start()
        process.communicate()
    assert process.returncode == 0, said.read_text()


def test_long_log_is_printed_once_and_whole(client, bundle):
    put(bundle / "a.py", "for i in range(50000): print(i, 'größe')")
    out = client("run", str(bundle), "a.py").out
    assert log_of(out)[:-1] == [f"{i} größe" for i in range(50000)]


def test_terminal_is_spared_control_characters(client, bundle):
    put(bundle / "a.py", r"print('\x1b]0;title\x07\x1b[2J\x1b[31mred\u202eü')")
    code, shown = client.on_terminal("run", str(bundle), "a.py")
    assert (code, "redü\r\n" in shown) == (0, True)
    assert not re.search("[\x1b\x07\u202e]|title", shown)
    assert "\x1b[2J\x1b[31mred\u202eü\n" in client("run", str(bundle), "a.py").out


def test_nothing_is_said_when_nobody_reads_on(client, bundle):
    put(bundle / "a.py", "for i in range(100000): print(i)")
    with client.start("run", str(bundle), "a.py") as process:
        process.stdout.readline()
        process.stdout.close()
        assert process.stderr.read() == b""
    assert process.returncode == 141


# --- Tokens ---------------------------------------------------------------------------------------------------------


@pytest.fixture
def named() -> str:
    return f"token-{next(numbers)}"


def test_token_is_shown_once_and_signs(admin, client, bundle, named):
    code, out, err = admin("token", "create", named)
    assert code == 0
    assert "shown only now" in err
    assert client("run", str(bundle), "a.py", SERVO_TOKEN=out.strip()).code == 0
    listed = admin("token", "list")
    assert (listed.code, listed.err) == (0, "")
    assert re.search(rf"^{named} +user +all +all +20\d\d-", listed.out, re.M)
    assert out.strip() not in listed.out
    assert admin("token", "create", named).code == 5


def test_token_is_for_what_it_was_made_for(admin, client, servo, bundle, named):
    limits = ["--scripts", "deploy*.py", "--scripts", "test.py", "--deployments", "review-*", "--role", "admin"]
    created = json.loads(admin("token", "create", named, *limits, "--json").out)
    assert (created["name"], created["role"]) == (named, "admin")
    assert (created["scripts"], created["deployments"]) == (["deploy*.py", "test.py"], ["review-*"])
    code, out, _ = client("run", str(bundle), "a.py", SERVO_TOKEN=created["token"])
    assert code == 1
    assert f"the token {named} may run" in out
    assert admin("token", "list", "--json").out.encode() == servo.get("/tokens").content


def test_rotated_token_is_another_and_the_old_one_is_good_for_the_overlap(admin, client, bundle, named):
    tokens = [admin("token", "create", named).out.strip()]
    for overlap in ("1h", "0"):
        tokens.append(admin("token", "rotate", named, "--overlap", overlap).out.strip())
    codes = [client("run", str(bundle), "a.py", SERVO_TOKEN=token).code for token in tokens]
    assert codes == [4, 4, 0]
    admin("token", "rotate", named)
    assert client("run", str(bundle), "a.py", SERVO_TOKEN=tokens[-1]).code == 0
    assert admin("token", "list").out.count(named) == 2


def test_removed_token_is_refused(admin, client, bundle, named):
    token = admin("token", "create", named).out.strip()
    assert admin("token", "remove", named)[:2] == (0, "")
    assert client("run", str(bundle), "a.py", SERVO_TOKEN=token).code == 4
    for command in (["rotate", named], ["remove", named], ["remove", "servo"]):
        assert admin("token", *command).code == 3


@pytest.mark.parametrize("command", ["list", "create other", "rotate other", "remove other"])
def test_tokens_are_for_admins(client, command):
    code, out, err = client("token", *command.split(), OCTO_AUTHORIZATION_HEADER="Basic dXNlcjpzZWNyZXQ=")
    assert (code, out) == (4, "")
    assert "admin" in err


def test_invalid_token_is_6_and_says_which_field(admin, named):
    code, _, err = admin("token", "create", "Two Words")
    assert (code, "name" in err) == (6, True)
    assert "scripts" in admin("token", "create", named, "--scripts", "a b").err


def test_table_of_tokens_keeps_within_80_columns(admin, named):
    long = [part for number in range(9) for part in ("--deployments", f"review-environment-{number}-*")]
    admin("token", "create", named, *long, "--scripts", "deploy-*.py")
    admin("token", "rotate", named)
    assert max(map(len, admin("token", "list").out.splitlines())) <= 80


# --- Encrypted files ------------------------------------------------------------------------------------------------

TEXT = "password: gehäim\n" * 40
OPENSSL = ["openssl", "enc", "-base64", "-aes-256-cbc", "-k", KEY]


@pytest.fixture
def plain(bundle: Path) -> Path:
    return put(bundle / "plain.yml", TEXT, 0o640)


@pytest.fixture
def vault() -> Octo:
    """The CLI with a token and without a server."""
    return Octo(f"http://127.0.0.1:{free_port()}", SERVO_TOKEN=KEY)


def openssl(*options: str, given: bytes) -> bytes:
    return subprocess.run([*OPENSSL, *options], input=given, check=True, stdout=-1, stderr=-1).stdout


@pytest.mark.parametrize("flags", [[], ["--openssl"]], ids=["ours", "openssl"])
@pytest.mark.parametrize("size", [0, 15, 16, 17, 100_000])
def test_what_is_encrypted_the_server_and_we_decrypt(vault, plain, flags, size):
    plain.write_bytes(content := os.urandom(size))
    code, out, err = vault("encrypt", str(plain), *flags)
    assert (code, out, err) == (0, f"{plain}.aes\n", "")
    assert aes.decrypt(Path(f"{plain}.aes").read_bytes(), KEY) == content
    plain.unlink()
    assert vault("decrypt", f"{plain}.aes") == (0, f"{plain}\n", "")
    assert plain.read_bytes() == content


def test_content_that_another_derivation_seems_to_fit_is_not_written(vault, bundle):
    """One in a hundred would be, since nothing but padding tells, and this is no text."""
    files = [bundle / f"{number}" for number in range(400)]
    for file in files:
        file.write_bytes(bytes(range(128, 144)))
    assert vault("encrypt", "--openssl", *map(str, files)).code == 0
    encrypted = [Path(f"{file}.aes").read_bytes() for file in files]
    assert {aes.decrypt(content, KEY) for content in encrypted} == {bytes(range(128, 144))}


def test_openssl_decrypts_what_is_encrypted_for_it(vault, plain):
    assert vault("encrypt", "--openssl", str(plain)).code == 0
    assert openssl("-d", given=Path(f"{plain}.aes").read_bytes()).decode() == TEXT


@pytest.mark.parametrize("options", [[], ["-md", "md5"], ["-md", "sha256"], ["-pbkdf2"]], ids=" ".join)
def test_what_openssl_encrypts_we_decrypt(vault, plain, options):
    Path(f"{plain}.aes").write_bytes(openssl("-e", *options, given=TEXT.encode()))
    plain.unlink()
    assert vault("decrypt", f"{plain}.aes").code == 0
    assert plain.read_text() == TEXT


@pytest.mark.parametrize("flags", [[], ["--openssl"]], ids=["ours", "openssl"])
@pytest.mark.parametrize(
    "changed",
    [
        lambda text: text.replace(b"\n", b"\r\n"),
        lambda text: text.replace(b"\n", b""),
        lambda text: text.rstrip(b"\n"),
        lambda text: subprocess.run(["base64", "-d"], input=text, check=True, capture_output=True).stdout,
    ],
    ids=["CRLF", "one line", "no final newline", "binary"],
)
def test_other_ways_to_write_an_encrypted_file_down_are_understood(vault, plain, flags, changed):
    vault("encrypt", str(plain), *flags)
    encrypted = Path(f"{plain}.aes")
    assert max(map(len, encrypted.read_bytes().split(b"\n"))) == 64
    encrypted.write_bytes(changed(encrypted.read_bytes()))
    plain.unlink()
    assert vault("decrypt", str(encrypted)).code == 0
    assert plain.read_text() == TEXT


def test_many_files_are_all_decrypted_or_none(vault, bundle, plain):
    other = put(bundle / "other", "other")
    names = [f"{plain}.aes", f"{other}.aes"]
    assert vault("encrypt", str(plain), str(other)).out.split() == names
    assert json.loads(vault("decrypt", *names, "--json").out) == {"files": [str(plain), str(other)]}
    put(Path(names[1]), "U2FsdGVk\n")
    plain.unlink()
    code, out, err = vault("decrypt", *names)
    assert (code, out) == (6, "")
    assert "cannot decrypt" in err and names[1] in err
    assert not plain.exists()


def tampered(content: bytes) -> bytes:
    return content[:80] + (b"A" if content[80:81] != b"A" else b"B") + content[81:]


@pytest.mark.parametrize(
    ("key", "changed"),
    [
        ("another key", lambda content: content),
        (KEY, tampered),
        (KEY, lambda content: content[:64]),
        (KEY, lambda content: content[:10]),
        (KEY, lambda content: b"*" + content),
        (KEY, lambda _: b""),
        (KEY, lambda _: b"plain text"),
    ],
    ids=["other key", "tampered", "cut", "cut short", "not base64", "empty", "plain"],
)
def test_what_cannot_be_decrypted_is_6_and_writes_nothing(vault, bundle, plain, key, changed):
    vault("encrypt", str(plain))
    encrypted, before = Path(f"{plain}.aes"), plain.read_text()
    encrypted.write_bytes(changed(encrypted.read_bytes()))
    code, out, err = vault("decrypt", str(encrypted), SERVO_TOKEN=key)
    assert (code, out) == (6, "")
    assert str(encrypted) in err and "Traceback" not in err
    assert plain.read_text() == before
    assert {path.name for path in bundle.iterdir()} == {"a.py", "plain.yml", "plain.yml.aes"}


def test_decrypted_file_is_the_users_alone_and_encrypted_one_as_open_as_before(vault, plain):
    vault("encrypt", str(plain))
    encrypted = Path(f"{plain}.aes")
    assert encrypted.stat().st_mode & 0o777 == 0o640
    opened = plain.open()
    assert vault("decrypt", str(encrypted)).code == 0
    assert plain.stat().st_mode & 0o777 == 0o600
    assert plain.stat().st_ino != os.fstat(opened.fileno()).st_ino, "not put in place at once"
    opened.close()


def test_overwriting_is_asked_for_on_a_terminal(vault, plain):
    vault("encrypt", str(plain))
    plain.write_text("mine")
    code, shown = vault.on_terminal("decrypt", f"{plain}.aes", typed="no\n")
    assert (code, plain.read_text()) == (2, "mine")
    assert "overwrites" in shown
    assert vault.on_terminal("decrypt", f"{plain}.aes", typed="yes\n")[0] == 0
    assert plain.read_text() == TEXT
    assert "overwrites" not in vault.on_terminal("decrypt", "--yes", f"{plain}.aes")[1]
    plain.unlink()
    assert "overwrites" not in vault.on_terminal("decrypt", f"{plain}.aes")[1]


def test_without_cryptography_it_says_how_to_get_it(tmp_path, plain):
    alone = shutil.copy(ROOT / "cli.py", tmp_path)
    command = [sys.executable, "-I", "-S", alone, "encrypt", str(plain)]
    ended = subprocess.run(command, env={"SERVO_TOKEN": KEY}, capture_output=True, text=True)
    assert (ended.returncode, ended.stdout) == (2, "")
    assert "pip install cryptography" in ended.stderr


def test_encrypting_needs_neither_a_server_nor_requests(tmp_path, plain):
    put(tmp_path / "without/requests.py", "raise ImportError")
    ended = Octo("", PYTHONPATH=str(tmp_path / "without"), SERVO_TOKEN=KEY)("encrypt", str(plain))
    assert ended == (0, f"{plain}.aes\n", "")
