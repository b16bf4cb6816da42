"""Guides that are run: all their shell blocks, in order, in one shell, and what the blocks are to print."""

import re
import subprocess
import threading
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import NamedTuple

BLOCK = re.compile(r"^```sh\n(?P<code>.*?)^```\n(?:\n```text\n(?P<shown>.*?)^```\n)?", re.MULTILINE | re.DOTALL)
LINK = re.compile(r"\]\(([^)#]*)(?:#([^)]*))?\)")
MARK = "=== end of a block ==="


class Block(NamedTuple):
    """Commands, and what they print: … stands for anything, None for whatever they like."""

    code: str
    shown: str | None


class Guide:
    """A page of docs/."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.text = path.read_text()
        self.blocks = [Block(match["code"], match["shown"]) for match in BLOCK.finditer(self.text)]
        self.languages = re.findall(r"^```(\w*)$", self.text, re.MULTILINE)
        self.links: list[tuple[str, str]] = LINK.findall(self.text)

    def run(
        self, environment: dict[str, str], directory: Path, patience: float, after: Callable[[], None] = lambda: None,
        both: bool = False,
    ) -> None:  # fmt: skip
        """Run the blocks, and `after` each what the world does meanwhile. Fails when one does not do what it says.

        `both`: what they print on stderr counts as well.
        """
        complaints = directory / ".stderr"
        script = "".join(f"{{\n{code}}} </dev/null\necho '{MARK}'\nread -r\n" for code, _ in self.blocks)
        command = ["bash", "-euo", "pipefail", "-c", script]
        with (
            complaints.open("w") as stderr,
            subprocess.Popen(
                command, env=environment, cwd=directory, text=True,
                stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.STDOUT if both else stderr,
            ) as shell,
        ):  # fmt: skip
            alarm = threading.Timer(patience, shell.kill)
            alarm.start()
            try:
                for block in self.blocks:
                    self._follow(block, shell, complaints)
                    after()
                    print(file=shell.stdin, flush=True)
            finally:
                alarm.cancel()
                shell.kill()

    def _follow(self, block: Block, shell: "subprocess.Popen[str]", complaints: Path) -> None:
        """Read what the shell prints until this block has ended."""
        assert shell.stdout
        printed = ""
        for line in shell.stdout:
            if line.endswith(f"{MARK}\n"):
                printed += line.removesuffix(f"{MARK}\n")
                break
            printed += line
        else:
            raise AssertionError(f"{block.code}\nfailed, and printed\n{printed}\n{complaints.read_text()}")
        if block.shown is not None and not is_like(block.shown, printed):
            raise AssertionError(f"{block.code}\nprinted\n{printed}\nand not\n{block.shown}\n{complaints.read_text()}")


def is_like(shown: str, printed: str) -> bool:
    """Whether a block printed what the guide shows, where … stands for anything."""
    pattern = ".*?".join(re.escape(part) for part in shown.strip().split("…"))
    return bool(re.fullmatch(pattern, printed.strip(), re.DOTALL))


def anchors(path: Path) -> Iterable[str]:
    """Of the headings of a page, as GitHub makes them."""
    headings = re.findall(r"^#+ (.*)$", path.read_text(), re.MULTILINE)
    return {re.sub(r"[^\w -]", "", heading.lower()).replace(" ", "-") for heading in headings}


def install_programs(directory: Path, **commands: str) -> None:
    """Small programs of the machine that a guide is read on: each replaces itself by a command."""
    directory.mkdir()
    for name, command in commands.items():
        (directory / name).write_text(f"#!/bin/sh\nexec {command}\n")
        (directory / name).chmod(0o755)
