"""`docs/guarantees.md` names the test that holds each promise; here the names are held to the tests."""

import re

import pytest
from conftest import ROOT

from tests.faults.run import FAULTS

DOCUMENT = (ROOT / "docs/guarantees.md").read_text()
TESTS = "\n".join(path.read_text() for path in (ROOT / "tests").rglob("*.py"))
SECTIONS = {"the database goes away": "# --- the database goes away ---"}
ROWS = [line for line in DOCUMENT.splitlines() if line.startswith("| ") and "held by" not in line and "---" not in line]


@pytest.mark.parametrize("name", sorted(set(re.findall(r"`(test_\w+…?)", DOCUMENT))))
def test_every_test_that_is_named_exists(name):
    assert f"def {name[:-1]}" in TESTS if name.endswith("…") else f"def {name}(" in TESTS


@pytest.mark.parametrize("quoted", sorted(set(re.findall("“(.+?)”", DOCUMENT))))
def test_every_fault_that_is_named_is_injected(quoted):
    assert quoted in FAULTS or SECTIONS[quoted] in TESTS


@pytest.mark.parametrize("row", ROWS)
def test_every_promise_names_what_holds_it(row):
    assert re.search("`(faults|recovery|live|bundles|hspec)`", row.split("|")[-2])
