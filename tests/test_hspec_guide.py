"""The guide keeps its word: its shell blocks are run in order, by the real kubectl and buildah, with a real registry."""

import runpy
from pathlib import Path

import pytest
from conftest import ROOT
from guides import Guide, anchors
from kube.cluster import Cluster

GUIDE = Guide(ROOT / "docs/hspec-guide.md")
BUILDING = "## Build an image"


@pytest.fixture
def environment(cluster: Cluster, kubectl: Path) -> dict[str, str]:
    cluster.pods("library/nginx:missing", then="image")
    path = f"{kubectl.parent}:{cluster.environment['PATH']}"
    return cluster.environment | {"REPOSITORY": str(ROOT), "PATH": path, "TERM": "dumb"}


def test_first_half_does_what_it_says_without_any_builder(environment, tmp_path):
    half = Guide(GUIDE.path)
    half.blocks = [block for block in GUIDE.blocks if GUIDE.text.index(block.code) < GUIDE.text.index(BUILDING)]
    assert 5 <= len(half.blocks) < len(GUIDE.blocks)
    half.run(environment, tmp_path, patience=60, both=True)


@pytest.mark.thorough
def test_all_of_it_does_what_it_says(environment, tmp_path, buildah, registry, stack_image):
    tools = buildah.environment | {"REGISTRY": registry.host, "STACK_IMAGE": stack_image, "IMAGE_BUILDER": "buildah"}
    GUIDE.run(environment | tools, tmp_path, patience=110, both=True)
    assert "shop/web" in registry.repositories()


def test_code_has_a_language_and_what_is_shown_follows_commands():
    assert set(GUIDE.languages) <= {"sh", "text", "console", "yaml", "python", ""}
    assert len(GUIDE.blocks) >= 10


@pytest.mark.parametrize("link", GUIDE.links, ids=lambda link: "#".join(link))
def test_links_lead_somewhere(link):
    file, anchor = link
    target = GUIDE.path.parent / file if file else GUIDE.path
    assert target.exists()
    assert not anchor or anchor in anchors(target)


def test_every_exit_code_is_explained():
    from octopod.hspec import errors

    table = GUIDE.text[GUIDE.text.index("| code |") : GUIDE.text.index("With several services")]
    codes = [one.code for one in vars(errors).values() if isinstance(one, type) and issubclass(one, errors.HspecError)]
    assert all(str(code) in table.replace(",", " ").split() for code in codes)


GENERATED = runpy.run_path(str(ROOT / "tools/write-hspec-doc"))["FILES"]


@pytest.mark.parametrize("name", GENERATED)
def test_reference_and_schemas_are_as_the_model_has_them(name):
    assert (ROOT / name).read_text() == GENERATED[name], "run `make docs`"
