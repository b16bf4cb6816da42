"""git: argument lists only, nobody is ever asked for a password, and no login is among the arguments."""

import os
import re
import shlex
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from urllib.parse import urlsplit

from library.sources import Source
from shared import processes
from shared.output import Failure, Unreachable
from shared.processes import Done

QUIET = {
    "GIT_TERMINAL_PROMPT": "0",
    "GIT_ASKPASS": "true",
    "SSH_ASKPASS_REQUIRE": "never",
    "GCM_INTERACTIVE": "never",
}
ELSEWHERE = re.compile(r"GIT_(DIR|WORK_TREE|INDEX_FILE|OBJECT_DIRECTORY|COMMON_DIR|NAMESPACE|PREFIX|CEILING_.*)")
ANSWER = '!printf "username=%s\\npassword=%s\\n" "$OCTOPOD_GIT_USER" "$OCTOPOD_GIT_PASSWORD" #'
QUICK = 20.0  # seconds for what needs no network


def environment(source: Source | None = None, **more: str) -> dict[str, str]:
    """Ours, without what would lead git to another repository, and with the login for the source's host only."""
    own = {name: value for name, value in processes.environment().items() if not ELSEWHERE.fullmatch(name)}
    ssh = f"{own.get('GIT_SSH_COMMAND') or _configured_ssh()} -oBatchMode=yes -oConnectTimeout=10"
    allowed = "file" if source and source.is_local else "https:http:ssh:git"
    return own | QUIET | {"GIT_SSH_COMMAND": ssh, "GIT_ALLOW_PROTOCOL": allowed} | _login(source, own) | more


@cache
def _configured_ssh() -> str:
    """What git would run by its own configuration, which the variable would take the place of."""
    done = processes.run(["git", "config", "--get", "core.sshCommand"], QUICK)
    return done.out.strip() or shlex.quote(os.environ.get("GIT_SSH") or "ssh")


def _login(source: Source | None, own: Mapping[str, str]) -> dict[str, str]:
    if not source or not source.login:
        return {}
    count, parts = int(own.get("GIT_CONFIG_COUNT") or 0), urlsplit(source.remote)
    helper = f"credential.{parts.scheme}://{parts.netloc}.helper"
    given = [(helper, ""), (helper, ANSWER)]  # the empty one forgets those that are set up for it
    pairs = {
        f"GIT_CONFIG_{part}_{count + at}": text
        for at, pair in enumerate(given)
        for part, text in zip(("KEY", "VALUE"), pair, strict=True)
    }
    login = {"OCTOPOD_GIT_USER": source.login.user, "OCTOPOD_GIT_PASSWORD": source.login.password}
    return pairs | login | {"GIT_CONFIG_COUNT": str(count + len(given))}


def run(*arguments: str, directory: Path, env: Mapping[str, str] | None = None, seconds: float = QUICK) -> Done:
    """Run git on a git directory, in our process group. Raises Unreachable when it takes too long."""
    left = processes.limit.within(seconds)
    command = [
        "timeout",
        "--foreground",
        "--kill-after=2",
        f"{max(left, 1):.0f}",
        "git",
        f"--git-dir={directory}",
        *arguments,
    ]
    done = processes.run(command, left + 5, env=env or environment())
    if done.code in (124, 137):
        raise Unreachable(f"git gave no answer within {left:.0f} s.")
    return done


def do(
    what: str, *arguments: str, directory: Path, env: Mapping[str, str] | None = None, seconds: float = QUICK
) -> str:
    """What git printed. Raises Failure, beginning with what was to be done."""
    try:
        done = run(*arguments, directory=directory, env=env, seconds=seconds)
    except Unreachable as failure:
        raise Unreachable(f"{what}: {failure}") from None
    if not done.ok:
        raise Failure(f"{what}: {first_error(done.err)}")
    return done.out


def first_error(text: str) -> str:
    """What git says first is what went wrong; what follows is advice."""
    lines = [line.strip() for line in text.splitlines() if line.strip() and not line.lower().startswith("warning:")]
    said = re.sub(r"^(fatal|error|remote): ", "", lines[0]) if lines else "git does not say why."
    return said if said.endswith((".", "!", "?")) else f"{said}."


def version() -> str:
    """Of the git that is there. Raises Failure when there is none."""
    done = processes.run(["git", "--version"], QUICK, env=dict(os.environ))
    if not done.ok:
        raise Failure(f"git does not work: {done.complaint}")
    return done.out.strip()
