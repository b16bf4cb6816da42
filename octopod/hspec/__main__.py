"""The command `hspec`."""

import argparse
import os
import signal
import sys
from collections.abc import Sequence
from importlib import import_module
from typing import NoReturn

from .commands.table import COMMANDS, Command
from .errors import HspecError, UsageError

VERSION = "1.0.0"
USAGE = "usage: hspec COMMAND [options]"
ABOUT = "From a service spec to a running service."
EXIT_CODES = """
  0 done  1 something unforeseen  2 usage  15 spec cannot be read  22 spec is invalid  30 profile
  45 something is missing that would be needed later  60 Dockerfile  75 build  90 push  105 manifests
  120 the cluster refuses a change  135 does not run in time  201 has no address in time
  202 the cluster cannot be asked  203 no logs
With several services, that of the first one that failed."""
ENVIRONMENT = """
  HYSCALE_HOME           where generated files and logs are (default ~/.hyscale/hyscale)
  IMAGE_BUILDER          docker, podman or buildah (default: the first of them that works)
  INSECURE_REGISTRIES    registries without TLS, besides those of this machine
  DOCKER_CONFIG          directory of the config.json with the logins (default ~/.docker)
  REGISTRY_AUTH_FILE     the file with the logins of podman and buildah
  HSPEC_PLUGINS          a file in the place of plugins.txt
  KUBECONFIG             the cluster, as for kubectl
  KUBECTL_BIN            the program kubectl (default: that of the PATH)
  HYS_POD_RESTART_COUNT  restarts of a pod after which its service has failed (default 3)
  HYS_LB_READY_TIMEOUT   milliseconds until a service must have its address from outside (default 90000)
  HSPEC_IMAGE_SECONDS    seconds that a build, a pull or a push may take (default 3600)
  HSPEC_POLL_SECONDS     seconds between two looks at the cluster (default 2)"""


def main(argv: Sequence[str] | None = None) -> int:
    """Do what the arguments say; the exit code. All that can be foreseen is one sentence on stderr, never a traceback."""
    words = list(sys.argv[1:] if argv is None else argv)
    if "HSPEC_DEBUG" in os.environ:
        return dispatch(words)
    try:
        return dispatch(words)
    except BrokenPipeError:
        sys.stderr.close()
        return 1
    except KeyboardInterrupt:
        return complain("interrupted", 130)
    except Exception as error:
        return complain(f"failed unexpectedly ({type(error).__name__}: {error}); HSPEC_DEBUG=1 shows where", 1)


def dispatch(words: list[str]) -> int:
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # so that what is only there meanwhile is removed
    try:
        command, rest = find(words)
        options = parser_of(command).parse_args(rest)
        module, _, function = command.function.partition(":")
        return int(getattr(import_module(f".commands.{module}", __package__), function)(options))
    except HspecError as error:
        return complain(str(error), error.code)


def complain(text: str, code: int) -> int:
    for line in text.splitlines():
        print(f"hspec: {line}", file=sys.stderr)
    return code


def find(words: list[str]) -> tuple[Command, list[str]]:
    """The command that the first words name, in whatever case, and its arguments. Raises UsageError."""
    count = next((index for index, word in enumerate(words) if word.startswith("-")), len(words))
    said = tuple(word.lower() for word in words[:count])
    for command in COMMANDS:
        if said in (command.words, *command.aliases):
            return command, words[count:]
    option = words[count] if count < len(words) else ""
    if option in ("-h", "--help") or said[:1] == ("help",) or not words:
        show(said[said[:1] == ("help",) :])
    if option in ("-V", "--version") or said == ("version",):
        print(f"hspec {VERSION}")
        sys.exit(0)
    raise UsageError(advice(said))


def advice(said: tuple[str, ...]) -> str:
    """What could have been meant."""
    from difflib import get_close_matches

    if not said:
        return "The command comes first. hspec --help lists them."
    known = [" ".join(command.words) for command in COMMANDS]
    text = " ".join(said)
    for count in range(len(said), 0, -1):
        begun = " ".join(said[:count])
        if longer := [f"  hspec {one}" for one in known if one.startswith(f"{begun} ")]:
            what = f"`hspec {begun}` is not the whole of a command" if begun == text else f"There is no `hspec {text}`"
            return "\n".join([f"{what}. There is", *longer])
    harmless = [one for one in known if text.startswith("u") or not one.startswith("undeploy")]
    near = [f"`hspec {one}`" for one in get_close_matches(text, harmless, 3, 0.5)]
    hint = f"Is it {' or '.join(near)}?" if near else "hspec --help lists them."
    return f"There is no command `hspec {text}`. {hint}"


def show(said: tuple[str, ...]) -> NoReturn:
    """Print the commands that begin with these words, and all there is to know if there are none."""
    chosen = [command for command in COMMANDS if command.words[: len(said)] == said]
    if not chosen:
        raise UsageError(advice(said))
    width = max(len(" ".join(command.words)) for command in chosen)
    lines = [f"  {' '.join(command.words):<{width}}  {command.help}" for command in chosen]
    parts = [USAGE, "", ABOUT, "", "commands:", *lines, "", "`hspec COMMAND --help` shows the options of a command."]
    if not said:
        parts += ["", f"environment:{ENVIRONMENT}", "", f"exit codes:{EXIT_CODES}"]
    print("\n".join(parts))
    sys.exit(0)


def parser_of(command: Command) -> argparse.ArgumentParser:
    other = ", ".join(f"hspec {' '.join(words)}" for words in command.aliases)
    parser = argparse.ArgumentParser(
        prog=f"hspec {' '.join(command.words)}", description=f"{command.help[0].upper()}{command.help[1:]}.",
        epilog=f"Also: {other}" if other else None, allow_abbrev=False,
    )  # fmt: skip
    for add in command.options:
        add(parser)
    return parser


if __name__ == "__main__":
    sys.exit(main())
