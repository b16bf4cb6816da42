"""Services from a git repository, from the browser to Running: the real git, kubectl, and where images are made buildah."""

import re

import pytest
from conftest import Server
from hspecing import BUILT, CLASS, DB, NS, SCRIPTS, environment, new_shop
from playwright.sync_api import Page, expect
from test_ui import status, value_of


@pytest.fixture
def portal(new_database, cluster, kubectl, tmp_path):
    """A server with the suite, before a new cluster; not started yet."""
    cluster.put(CLASS)
    suite = {"CONTROL_SCRIPTS": str(SCRIPTS), "NAMESPACE": "staging", "BASE_DOMAIN": "cactus.example"}
    server = Server(tmp_path, new_database("sqlite"), **suite)
    own = {key: value for key, value in server.env.items() if key.startswith("OCTOPOD_")}
    server.env = environment(cluster.environment, kubectl, tmp_path) | own
    yield server
    if server.process:
        server.stop()


def add(page: Page, level: str, number: int, key: str, value: str) -> None:
    """An override that the form has no row for."""
    page.locator(f"#{level}-level").get_by_role("button", name="Add an override").click()
    field = page.locator(f"#{level}-own-{number}-key")
    expect(field).to_be_focused()
    page.keyboard.type(key)
    page.keyboard.press("Tab")
    page.keyboard.type(value)
    page.keyboard.press("Tab")


def act(page: Page, link: str, then: str) -> None:
    page.get_by_role("link", name=link).click()
    page.locator("#confirm").get_by_role("button", name=link).click()
    expect(status(page)).to_have_text(re.compile(then))


def test_two_services_of_a_repository_from_the_browser_to_running_and_away(portal, cluster, tmp_path, new_visitor):
    shop = new_shop(tmp_path / "shop")
    page = new_visitor(portal.start().url).page
    page.goto("/new")
    page.locator("#name").fill("orange")
    expect(value_of(page, "deployment", "spec")).to_have_value("*.hspec*")
    add(page, "deployment", 0, "source", str(shop.directory))
    expect(value_of(page, "application", "web.props.LOG")).to_have_value("info")
    expect(value_of(page, "application", "web.secrets.API_TOKEN")).to_have_value("********")
    value_of(page, "application", "web.props.LOG").fill("debug")
    page.get_by_role("button", name="Create").click()
    page.wait_for_url("**/deployments/orange")
    expect(status(page)).to_have_text(re.compile("Running"))
    expect(page.get_by_role("link", name="web", exact=True)).to_have_attribute(
        "href", re.compile(r"http://[\d.]+:8080")
    )
    assert cluster.get("configmap", "orange-web", NS)["data"]["LOG"] == "debug"
    assert cluster.get("secret", "orange-web", NS)["data"]["API_TOKEN"] == "b3BlbiBzZXNhbWU="

    action = portal.get("/deployments/orange/actions").json()["items"][0]
    log = portal.get(f"/actions/{action['id']}/logs").text
    assert "Deployment orange-web: created" in log and "Runs: db, web." in log
    assert "open sesame" not in log + portal.log.read_text()

    act(page, "Move to archive", "Archived")
    assert cluster.names("pod", NS) == []
    page.get_by_role("button", name="Restore").click()
    expect(status(page)).to_have_text(re.compile("Running"))
    assert cluster.get("deployment", "orange-web", NS)["spec"]["replicas"] == 2
    act(page, "Move to archive", "Archived")
    page.get_by_role("link", name="Remove for good").click()
    page.locator("#typed").fill("orange")
    page.keyboard.press("Enter")
    expect(page.locator("#deployment")).to_contain_text("This deployment has been removed")
    assert cluster.find("namespace", NS) is None


def test_form_says_what_is_wrong_with_a_spec(portal, tmp_path, new_visitor):
    shop = new_shop(tmp_path / "shop")
    shop.write({"web.hspec": "name: web\nimage: {name: shop/web}\nreplicas: two\n"})
    page = new_visitor(portal.start().url).page
    page.goto("/new")
    add(page, "deployment", 0, "source", str(shop.directory))
    expect(page.locator("#application-level")).to_contain_text("web.hspec:3: replicas: ")


@pytest.mark.thorough
def test_image_is_built_and_pushed_on_the_way(portal, cluster, tmp_path, buildah, registry, stack_image, new_visitor):
    shop = new_shop(tmp_path / "shop")
    dockerfile = f"FROM {stack_image}\nCOPY hello /hello\n"
    shop.write(
        {"web.hspec": BUILT + "props: {LOG: info}\n", "Dockerfile": dockerfile, "hello": "hi\n", "db.hspec.yaml": DB}
    )
    home = tmp_path / "home"
    home.mkdir()
    portal.env |= buildah.environment | {"IMAGE_BUILDER": str(buildah.executable), "HOME": str(home)}
    portal.env |= {"XDG_RUNTIME_DIR": str(home)}
    page = new_visitor(portal.start().url).page
    page.goto("/new")
    page.locator("#name").fill("orange")
    add(page, "deployment", 0, "source", str(shop.directory))
    add(page, "deployment", 1, "registry", registry.host)
    add(page, "deployment", 2, "tag", "2.0")
    page.get_by_role("button", name="Create").click()
    page.wait_for_url("**/deployments/orange")
    expect(status(page)).to_have_text(re.compile("Running"))
    [container] = cluster.get("deployment", "orange-web", NS)["spec"]["template"]["spec"]["containers"]
    assert container["image"] == f"{registry.host}/shop/web@{registry.digest('shop/web', '2.0')}"
    assert portal.post("/deployments/orange/check").json()["status"] == "Running"
