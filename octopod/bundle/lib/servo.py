"""What the scripts of a bundle import to talk to Octopod.

    from servo import servo

    with servo() as proxy:
        proxy("create -n orange --wait")
        for name, address in proxy("port 80 orange").items():
            ...

The commands are those of octo (docs/cli.md). They run in this process, with the server and the rights that OCTOPOD_URL
and OCTO_AUTHORIZATION_HEADER name; so a script can be tried on a desk as well. In a bundle, they outlast a restart of the
server (OCTO_PATIENCE).
"""

import io
import re
import shlex
import sys
import threading
import traceback
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, redirect_stderr, redirect_stdout
from fnmatch import fnmatchcase
from functools import cache
from importlib.util import module_from_spec, spec_from_file_location
from json import loads
from pathlib import Path
from tempfile import TemporaryFile
from typing import Any, NamedTuple
from urllib.parse import urlsplit

CLI = Path(__file__).resolve().parents[3] / "cli.py"
ALIASES = {"ls": "list"}
PLAIN = ("logs",)  # what it prints is wanted, not what the API says about it
PORTS = {"http": 80, "https": 443}
TIMES = ("created_at", "updated_at", "checked_at", "archived_at")

Json = dict[str, Any]
turn = threading.Lock()


@contextmanager
def servo(strict: bool = True, verbose: bool = False) -> Iterator["Proxy"]:
    """Give a block the proxy, and end the process with it; nothing after the block runs.

    The exit code is 0 at the end of the block; 1 after an AssertionError (stdout says `failure -> MESSAGE`) and after any
    other Exception (`unexpected failure -> FILE:LINE: TYPE: MESSAGE`, and the traceback on stderr); n after sys.exit(n).
    """
    try:
        load_cli()
        yield Proxy(strict, verbose)
    except AssertionError as error:
        tell(f"failure -> {str(error) or where(error)}")
        sys.exit(1)
    except Exception as error:
        traceback.print_exc()
        tell(f"unexpected failure -> {where(error)}: {type(error).__name__}: {error}")
        sys.exit(1)
    sys.exit(0)


class Proxy:
    """Runs commands of octo for a script. Commands of several threads wait for each other."""

    def __init__(self, strict: bool, verbose: bool) -> None:
        self.strict, self.verbose = strict, verbose

    def __call__(self, cmdline: str | Iterable[object]) -> Any:
        """The answer to a command, given as a line (quotes as in a shell) or as a list of arguments.

        The answer is the parsed JSON, `{}` where there is none. `logs` answers with the text of the log. `status` is
        answered whatever the status is. `ls` is `list`, and two commands are the proxy's own:

        - `port N [GLOB]`: where to reach the port N of deployments whose name matches GLOB. A link counts when N is its
          port, or 80 for http and 443 for https: `{"orange #1": {"ip": HOST, "public": HOST, "ports": "34567"}}`.
        - `poll [GLOB]`: `{"orange": {"status": …, "reason": …, "action": …, "created_at": …, …}}`; `action` is the kind of
          the unfinished action.

        When the command fails (with `--wait`: also when that ends badly), a strict proxy raises AssertionError with what
        octo said, another one answers None. A verbose proxy prints `[passed] "CMDLINE"` or `[failed] "CMDLINE"`.
        """
        arguments = shlex.split(cmdline) if isinstance(cmdline, str) else [str(argument) for argument in cmdline]
        shown = cmdline if isinstance(cmdline, str) else shlex.join(arguments)
        try:
            answer = ask(arguments)
        except AssertionError:
            self._report("failed", shown)
            if self.strict:
                raise
            return None
        self._report("passed", shown)
        return answer

    def _report(self, how: str, shown: str) -> None:
        if self.verbose:
            tell(f'[{how}] "{shown}"')


def ask(arguments: list[str]) -> Any:
    """The answer to one command. Raises AssertionError when it fails."""
    verb, *rest = arguments or [""]
    verb = ALIASES.get(verb, verb)
    if verb in OWN:
        return OWN[verb](*rest)
    done = run([verb, *agreement(verb), *rest] if verb in PLAIN else ["--json", verb, *agreement(verb), *rest])
    if done.code and not (verb == "status" and done.code == load_cli().FAILED):  # 1 means: not Running
        raise AssertionError(done.reason or f"octo {shlex.join(arguments)} exited with code {done.code}")
    return done.out if verb in PLAIN else parsed(done.out)


def agreement(verb: str) -> list[str]:
    """What keeps octo from asking before this: nobody is there to answer."""
    _, options, *_ = load_cli().COMMANDS.get(verb, (None, ""))
    return ["-y"] if "yes" in options.split() else []


def parsed(text: str) -> Any:
    """The JSON; text that is none, such as a help text, as it is."""
    try:
        return loads(text or "{}")
    except ValueError:
        return text


# --- octo in this process


class Done(NamedTuple):
    """How a command ended: its exit code, what it printed, what it said."""

    code: int
    out: str
    said: str

    @property
    def reason(self) -> str:
        """What it said last, without the progress or the usage before."""
        return re.split(r"^octo(?: [a-z]+)*: ", self.said, flags=re.MULTILINE)[-1].strip()


@cache
def load_cli() -> Any:
    """The module cli.py, and what it needs to talk to a server."""
    import requests  # noqa: F401  # lacking it, cli.py would start the whole script again, with another Python

    spec = spec_from_file_location("octo", CLI)
    assert spec and spec.loader
    module = module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def run(argv: list[str]) -> Done:
    """Run a command of octo. Raises KeyboardInterrupt when that has interrupted it."""
    said = io.StringIO()
    # A file, since octo writes bytes beside sys.stdout.
    with turn, TemporaryFile("w+", encoding="utf-8", errors="replace", newline="") as out:
        with redirect_stdout(out), redirect_stderr(said):
            code = exit_code(argv)
        if code == load_cli().INTERRUPTED:
            raise KeyboardInterrupt
        out.seek(0)
        return Done(code, out.read(), said.getvalue())


def exit_code(argv: list[str]) -> int:
    """The code with which a command of octo ends, also when its arguments are wrong."""
    try:
        return load_cli().run(argv)
    except SystemExit as error:
        return int(error.code or 0)


# --- commands of our own


def port(number: str = "", glob: str = "*", *more: str) -> Json:
    """Where deployments are reached at a port, one entry per address."""
    if not (number.isascii() and number.isdecimal()) or more:
        raise AssertionError("usage: port N [GLOB]")
    found = {}
    for deployment in matching(glob, "--archived=false"):
        addresses = dict.fromkeys(
            address for link in deployment["links"] for address in addresses_at(link, int(number))
        )
        for index, (host, actual) in enumerate(addresses, 1):
            found[f"{deployment['name']} #{index}"] = {"ip": host, "public": host, "ports": str(actual)}
    return found


def addresses_at(link: Json, number: int) -> list[tuple[str, int]]:
    """Host and port of a link, if that port, or the one that its scheme stands for, is `number`."""
    try:
        url = urlsplit(link["url"])
        default = PORTS.get(url.scheme)
        actual = url.port or default
    except ValueError:  # suites may print anything
        return []
    return [(url.hostname, actual)] if url.hostname and actual and number in (actual, default) else []


def poll(glob: str = "*", *more: str) -> Json:
    """How deployments are."""
    if more:
        raise AssertionError("usage: poll [GLOB]")
    return {deployment["name"]: state(deployment) for deployment in matching(glob)}


def state(deployment: Json) -> Json:
    action = deployment["action"]
    now = {"status": deployment["status"], "reason": deployment["status_reason"], "action": action and action["kind"]}
    return now | {time: deployment[time] for time in TIMES}


def matching(glob: str, *options: str) -> list[Json]:
    """The deployments whose names match, by name."""
    items = ask(["list", "--sort=name", *options])["items"]
    return [item for item in items if fnmatchcase(item["name"], glob)]


OWN: dict[str, Callable[..., Json]] = {"port": port, "poll": poll}


# --- what goes wrong


def tell(text: str) -> None:
    """Print a line, whatever characters are in it."""
    encoding = sys.stdout.encoding or "utf-8"
    print(text.encode(encoding, "backslashreplace").decode(encoding), flush=True)


def where(error: BaseException) -> str:
    """`deploy.py:12`, where the script was; in another file only if it was none of the script's own."""
    frames = traceback.extract_tb(error.__traceback__)
    home = Path(getattr(sys.modules["__main__"], "__file__", "") or ".").resolve().parent
    own = [frame for frame in frames if Path(frame.filename).resolve().is_relative_to(home)]
    last = (own or frames)[-1]
    return f"{Path(last.filename).name}:{last.lineno}"
