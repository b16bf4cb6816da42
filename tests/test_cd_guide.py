"""The guide keeps its word: its shell blocks are run in order, and print what it says."""

import sys
from pathlib import Path

import pytest
from conftest import ROOT, Server, clean_environment
from guides import Guide, anchors, install_programs

GUIDE = Guide(ROOT / "docs/cd-guide.md")


def test_guide_does_what_it_says(tmp_path: Path, local_server: Server) -> None:
    """On a machine that has `octo`, in an empty directory."""
    (tmp_path / "work").mkdir()
    install_programs(
        tmp_path / "bin", octo=f'"{sys.executable}" "{ROOT}/cli.py" "$@"', python3=f'"{sys.executable}" "$@"'
    )
    own = {"PATH": f"{tmp_path}/bin:/usr/bin:/bin", "NO_PROXY": "*"}
    own |= {"OCTOPOD_URL": local_server.url, "OCTOPOD_SOURCE": str(ROOT)}
    GUIDE.run(clean_environment() | own, tmp_path / "work", patience=110)


def test_every_fenced_block_that_looks_like_shell_is_run() -> None:
    assert not {"bash", "shell", "console"} & set(GUIDE.languages)
    assert GUIDE.languages.count("sh") == len(GUIDE.blocks) > 10


@pytest.mark.parametrize(("path", "anchor"), GUIDE.links, ids=map("#".join, GUIDE.links))
def test_links_of_the_guide_lead_somewhere(path: str, anchor: str) -> None:
    target = GUIDE.path.parent / path if path else GUIDE.path
    assert target.exists()
    assert not anchor or anchor in anchors(target)
