"""The guide keeps its word: its shell blocks are run in order, and print what it says."""

import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from conftest import ROOT, Server, clean_environment

GUIDE = (ROOT / "docs/cd-guide.md").read_text()
BLOCK = re.compile(r"^```sh\n(?P<code>.*?)^```\n(?:\n```text\n(?P<shown>.*?)^```\n)?", re.MULTILINE | re.DOTALL)
BLOCKS = [(match["code"], match["shown"]) for match in BLOCK.finditer(GUIDE)]
MARK = "=== end of a block ==="


@pytest.fixture
def shell(tmp_path: Path, local_server: Server) -> Callable[[str], subprocess.CompletedProcess[str]]:
    """Runs bash on a machine that has `octo`, in an empty directory."""
    (tmp_path / "bin").mkdir()
    (tmp_path / "work").mkdir()
    for name, command in {"octo": f'"{ROOT}/cli.py" "$@"', "python3": '"$@"'}.items():
        (tmp_path / "bin" / name).write_text(f'#!/bin/sh\nexec "{sys.executable}" {command}\n')
        (tmp_path / "bin" / name).chmod(0o755)
    own = {"PATH": f"{tmp_path}/bin:/usr/bin:/bin", "NO_PROXY": "*"}
    own |= {"OCTOPOD_URL": local_server.url, "OCTOPOD_SOURCE": str(ROOT)}

    def run(script: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            ["bash", "-euo", "pipefail", "-c", script], env=clean_environment() | own, cwd=tmp_path / "work",
            stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=110,
        )  # fmt: skip

    return run


def is_like(shown: str, printed: str) -> bool:
    """Whether a block printed what the guide shows, where … stands for anything."""
    pattern = ".*?".join(re.escape(part) for part in shown.strip().split("…"))
    return bool(re.fullmatch(pattern, printed.strip(), re.DOTALL))


def test_guide_does_what_it_says(shell: Callable[[str], subprocess.CompletedProcess[str]]) -> None:
    done = shell("".join(f"{code}\necho '{MARK}'\n" for code, _ in BLOCKS))
    *printed, rest = done.stdout.split(f"{MARK}\n")
    for (code, shown), text in zip(BLOCKS, printed, strict=False):
        assert shown is None or is_like(shown, text), f"{code}\nprinted\n{text}\nand not\n{shown}\n{done.stderr}"
    assert done.returncode == 0, f"{BLOCKS[len(printed)][0]}\nprinted\n{rest}\n{done.stderr}"


def test_every_fenced_block_that_looks_like_shell_is_run() -> None:
    fences = re.findall(r"^```(\w*)$", GUIDE, re.MULTILINE)
    assert not {"bash", "shell", "console"} & set(fences)
    assert fences.count("sh") == len(BLOCKS) > 10


LINKS = re.findall(r"\]\(([^)#]*)(?:#([^)]*))?\)", GUIDE)


@pytest.mark.parametrize(("path", "anchor"), LINKS, ids=map("#".join, LINKS))
def test_links_of_the_guide_lead_somewhere(path: str, anchor: str) -> None:
    target = ROOT / "docs" / path if path else ROOT / "docs/cd-guide.md"
    assert target.exists()
    if anchor:
        headings = re.findall(r"^#+ (.*)$", target.read_text(), re.MULTILINE)
        assert anchor in {re.sub(r"[^\w -]", "", heading.lower()).replace(" ", "-") for heading in headings}
