"""Pictures of every page, light and dark, for the README and the guides: `make screenshots`.

A real server with made-up deployments, each in a state worth seeing; the scripts are those of the tests' suite.
"""

import contextlib
import shutil
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parent.parent
sys.path.insert(0, str(ROOT / "tests"))

from conftest import Server, eventually  # noqa: E402
from playwright.sync_api import Browser, Page, sync_playwright  # noqa: E402

IMAGES = ROOT / "docs/images"
FLAGS = ["--no-sandbox", "--disable-gpu", "--force-color-profile=srgb", "--font-render-hinting=none"]
DESK, PHONE = {"width": 1280, "height": 800}, {"width": 390, "height": 844}
LOGIN = {
    "TRUSTED_USER_HEADER": "X-User",
    "TRUSTED_GROUPS_HEADER": "X-Groups",
    "ADMIN_GROUPS": "devops",
    "TRUSTED_PROXIES": "127.0.0.1",
}

DEPLOYMENT = """\
image.repository,registry.example.com/shop
image.tag,release-2.13
replicas.web,1
replicas.worker,1
database.dump,nightly
database.size,small"""
APPLICATION = """\
FEATURE_CHECKOUT,off
FEATURE_SEARCH,on
MAIL_FROM,shop@example.com
PAYMENT_PROVIDER,sandbox
PAYMENT_SECRET,sk_test_4242424242"""
LINKS = """\
shop,https://NAME.staging.example.com
admin,https://NAME.staging.example.com/admin
mails,https://mails-NAME.staging.example.com"""
FAILED = """\
echo 'Pulling registry.example.com/shop:pay-by-link-3'
echo 'Migrating the database: 41 of 42 done'
echo 'Error: column "payment_link" of relation "orders" already exists' >&2
echo 'Migration 0042_payment_link failed. Nothing was deployed.' >&2
exit 1"""
WORKING = """\
for number in 1 2 3 4 5 6 7 8; do echo "Pulling layer $number of 8"; done
echo 'Image is there: sha256:1f0c…'
echo 'Migrating the database: 40 of 40 done'
echo 'release "fix-login" has been upgraded, waiting for 2 pods'"""


def populate(server: Server) -> None:
    """Deployments of a web shop, in all states."""
    board = server.board

    def ask(path: str, who: str, **body: Any) -> None:
        answer = server.post(path, body, headers={"X-User": f"{who}@example.com"})
        assert answer.status_code == 202, answer.text

    def create(name: str, who: str, deployment: dict[str, Any] | None = None, **application: Any) -> None:
        board.write(name, "info", f"cat <<'END'\n{LINKS.replace('NAME', name)}\nEND")
        healthy = "echo 'Both pods are ready, the shop answers 200'"
        board.write(name, "check", "echo 'No pods'; exit 1" if name == "qa-payments" else healthy)
        ask("/deployments", who, name=name, deployment_overrides=deployment or {}, application_overrides=application)

    board.write("qa-payments", "create", FAILED)
    create("release-2-13", "tom")
    create("black-friday", "maria", {"image.tag": "black-friday-7", "replicas.web": "3"}, FEATURE_CHECKOUT="on")
    create("demo-sales", "ben", {"database.dump": "demo"}, MAIL_FROM="sales@example.com")
    create("new-checkout", "maria", {"image.tag": "new-checkout-41"}, FEATURE_CHECKOUT="on")
    create(
        "qa-payments", "aylin", {"image.tag": "pay-by-link-3"}, PAYMENT_PROVIDER="stripe", PAYMENT_SECRET="sk_test_1"
    )
    create("fix-login", "tom", {"image.tag": "fix-login-2"})
    for name in ("release-2-13", "black-friday", "demo-sales", "new-checkout", "fix-login"):
        server.settled(name, "Running")
    server.settled("qa-payments", "GenericFailure")
    board.write("demo-sales", "check", "echo '1 of 2 pods is ready: worker waits for its queue'; exit 2")
    assert server.post("/deployments/demo-sales/check").ok
    change = {"image.tag": "new-checkout-42", "replicas.web": "2"}
    ask("/deployments/new-checkout/actions", "aylin", kind="update", deployment={"set": change})
    ask("/deployments/black-friday/actions", "maria", kind="archive")
    server.settled("new-checkout", "Running")
    server.settled("black-friday", "Archived")
    board.write("fix-login", "update", f"{WORKING}\nsleep 120")
    ask("/deployments/fix-login/actions", "tom", kind="update", deployment={"set": {"image.tag": "fix-login-3"}})
    eventually(lambda: server.deployment("fix-login")["action"]["state"] == "running", "the update")


class Camera:
    """A browser of somebody who looks at the server, in one colour scheme."""

    def __init__(self, browser: Browser, server: Server, scheme: str, groups: str = "devops") -> None:
        self.browser, self.server, self.scheme = browser, server, scheme
        self.headers = {"X-User": "maria@example.com", "X-Groups": groups}

    @contextlib.contextmanager
    def page(self, path: str, viewport: dict[str, int] = DESK) -> Iterator[Page]:
        context = self.browser.new_context(
            viewport=viewport,  # type: ignore[arg-type]
            color_scheme=self.scheme,  # type: ignore[arg-type]
            extra_http_headers=self.headers,
            locale="en-GB",
            timezone_id="Europe/Berlin",
            reduced_motion="reduce",
        )
        page = context.new_page()
        page.goto(self.server.url + path)
        page.wait_for_function(
            "document.querySelector('time[data-show]') === null || !document.querySelector('main').innerText.includes(' UTC')"
        )
        yield page
        context.close()

    def take(self, page: Page, name: str) -> None:
        page.wait_for_timeout(300)  # what moves or fades has come to rest
        page.screenshot(path=IMAGES / f"{name}-{self.scheme}.png", animations="disabled")


def take_all(camera: Camera) -> None:
    """Every page, and what opens on it."""
    with camera.page("/deployments") as page:
        camera.take(page, "list")
        page.locator("tr", has_text="new-checkout").locator(".menu summary").click()
        camera.take(page, "menu")
        page.keyboard.press("Escape")
        page.locator("tr", has_text="demo-sales").locator(".status").hover()
        camera.take(page, "reason")
        page.fill("[type=search]", "chekout")
        page.wait_for_selector("#similar")
        camera.take(page, "search")
    with camera.page("/deployments?archived=all", PHONE) as page:
        camera.take(page, "list-phone")
    with camera.page("/deployments?q=nothing-like-this") as page:
        camera.take(page, "empty")
    for name in ("new-checkout", "qa-payments", "fix-login"):
        with camera.page(f"/deployments/{name}") as page:
            camera.take(page, f"deployment-{name}")
    with camera.page("/deployments/new-checkout", PHONE) as page:
        camera.take(page, "deployment-phone")
    with camera.page("/deployments") as page:
        page.get_by_text("New deployment").click()
        page.fill("#name", "gift-cards")
        page.locator("#deployment-level").get_by_role("textbox", name="image.tag").fill("gift-cards-5")
        page.wait_for_selector(".origin-override")
        camera.take(page, "new")
    with camera.page("/deployments/new-checkout") as page:
        page.get_by_role("link", name="Edit").click()
        page.locator("#deployment-level").get_by_role("textbox", name="image.tag").fill("new-checkout-43")
        page.get_by_label("Take FEATURE_SEARCH away").click()
        page.wait_for_selector(".changes li:nth-child(2)")
        camera.take(page, "edit")
    with camera.page("/deployments/new-checkout/edit", PHONE) as page:
        camera.take(page, "edit-phone")
    with camera.page("/deployments/new-checkout") as page:
        page.get_by_role("link", name="Move to archive").click()
        page.wait_for_selector("#confirm")
        camera.take(page, "archive")
    with camera.page("/deployments/black-friday") as page:
        page.get_by_role("link", name="Remove for good").click()
        page.wait_for_selector("#confirm")
        camera.take(page, "cleanup")
    with camera.page("/actions") as page:
        camera.take(page, "history")
        page.locator("tr", has_text="fix-login").first.get_by_role("link", name="Update").click()
        page.wait_for_selector("#log-stdout:has-text('pods')")
        camera.take(page, "log")
    with camera.page("/deployments/no-such-one") as page:
        camera.take(page, "not-found")


def main() -> None:
    IMAGES.mkdir(parents=True, exist_ok=True)
    directory = Path(tempfile.mkdtemp(prefix="octopod-screenshots-"))
    settings = {"PROJECT_NAME": "Web shop", "CHECK_INTERVAL": "600", **LOGIN}
    server = Server(directory, f"sqlite:///{directory}/octopod.db", **settings)
    server.http.headers.update({"X-User": "robot@example.com", "X-Groups": "devops"})
    server.board.write("_", "deployment_config", f"cat <<'END'\n{DEPLOYMENT}\nEND")
    server.board.write("_", "application_config", f"cat <<'END'\n{APPLICATION}\nEND")
    server.start()
    try:
        populate(server)
        with sync_playwright() as playwright:
            browser = playwright.chromium.launch(executable_path=shutil.which("chromium"), args=FLAGS)
            for scheme in ("light", "dark"):
                take_all(Camera(browser, server, scheme))
            browser.close()
    finally:
        server.stop()
        shutil.rmtree(directory, ignore_errors=True)


if __name__ == "__main__":
    main()
