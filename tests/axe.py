"""What axe-core finds wrong with a page for people who cannot see, hear, point or read as others do."""

from functools import cache
from typing import Any

from conftest import ROOT
from playwright.sync_api import Page

SOURCE = ROOT / "tests/vendor/axe-core-4.14.1/axe.min.js"
TAGS = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "best-practice"]
GRAVE = ("serious", "critical")

# Evaluated like typed into the developer tools: a policy that forbids the page scripts of others does not forbid these.
RUN = "tags => axe.run({ runOnly: tags, resultTypes: ['violations'] }).then(({ violations }) => violations)"


@cache
def source() -> str:
    return SOURCE.read_text()


def violations(page: Page) -> list[str]:
    """What is serious or critical, in words: the rule, what to do, and which elements break it.

    Where neither `html` nor `body` has a background colour axe takes it for white, even for who prefers dark.
    """
    assert page.evaluate("matchMedia('(scripting: enabled)').matches"), "axe needs a visitor with JavaScript"
    if not page.evaluate("'axe' in window"):
        page.evaluate(source())
    return [_in_words(found) for found in page.evaluate(RUN, TAGS) if found["impact"] in GRAVE]


def _in_words(found: dict[str, Any]) -> str:
    return "\n".join([f"{found['id']} ({found['impact']}): {found['help']}", *map(_where, found["nodes"])])


def _where(node: dict[str, Any]) -> str:
    said = [check["message"] for check in node["any"] + node["all"] + node["none"]]
    target = " ".join(map(str, node["target"]))
    return f"  {target}  {node['html']}\n    {said[0]}"
