"""A browser without JavaScript: reads a page, fills its forms and sends them as a browser would."""

import re
from collections.abc import Iterator
from html.parser import HTMLParser
from typing import Any, NamedTuple
from urllib.parse import urljoin, urlsplit

import requests
from conftest import eventually

VOID = {"br", "hr", "img", "input", "link", "meta"}


class Element:
    def __init__(self, tag: str, attributes: dict[str, str | None], parent: "Element | None") -> None:
        self.tag, self.attributes, self.parent = tag, attributes, parent
        self.children: list[Element | str] = []

    def __getitem__(self, name: str) -> str:
        return self.attributes[name] or ""

    def get(self, name: str, default: str | None = None) -> str | None:
        return (self.attributes[name] or "") if name in self.attributes else default

    def all(self, *tags: str, **attributes: str) -> Iterator["Element"]:
        """The elements within, of these tags and with these attributes, in the order of the document.

        Of `class` one of its words will do; as a Python word it is `class_`.
        """
        for child in self.children:
            if isinstance(child, Element):
                if (not tags or child.tag in tags) and all(child.has(*pair) for pair in attributes.items()):
                    yield child
                yield from child.all(*tags, **attributes)

    def has(self, name: str, value: str) -> bool:
        given = self.get(name.rstrip("_"))
        return given is not None and (value in given.split() if name == "class_" else value == given)

    def texts(self, *tags: str, **attributes: str) -> list[str]:
        """What the elements within say."""
        return [found.words for found in self.all(*tags, **attributes)]

    @property
    def text(self) -> str:
        return "".join(child if isinstance(child, str) else child.text for child in self.children)

    @property
    def words(self) -> str:
        """The text as it is seen: with white space folded."""
        return " ".join(self.text.split())

    @property
    def label(self) -> str:
        """What a button or a link is called."""
        return self.get("aria-label") or self.words

    @property
    def offers(self) -> list[str]:
        """What the links and buttons within are called."""
        return [found.label for found in self.all("a", "button")]


class _Parser(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.root = self.here = Element("", {}, None)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        assert len(dict(attrs)) == len(attrs), f"<{tag}> has an attribute twice: {attrs}"
        element = Element(tag, dict(attrs), self.here)
        self.here.children.append(element)
        if tag not in VOID:
            self.here = element

    def handle_endtag(self, tag: str) -> None:
        assert tag == self.here.tag or tag in VOID, f"</{tag}> ends <{self.here.tag}>"
        if tag not in VOID:
            self.here = self.here.parent

    def handle_data(self, data: str) -> None:
        self.here.children.append(data)


def parse(html: str) -> Element:
    """The elements of a document or a part of one; every one that begins has to end."""
    parser = _Parser()
    parser.feed(html.removeprefix("<!doctype html>"))
    parser.close()
    assert parser.here is parser.root, f"<{parser.here.tag}> does not end"
    return parser.root


class Row(NamedTuple):
    """A row of a form of overrides. `origin` is the word that people see; `default` is shown with what was changed."""

    key: str
    value: str
    origin: str
    default: str
    error: str
    button: str


class Form:
    """A form of a page: its fields as somebody left them."""

    def __init__(self, page: "Page", element: Element) -> None:
        self._show(page, element)

    def _show(self, page: "Page", element: Element) -> None:
        self.page, self.element = page, element
        elsewhere = list(page.root.all(form=element["id"])) if element.get("id") else []
        controls = [*element.all("input", "textarea", "select"), *elsewhere]
        self.fields = [field for control in controls if (field := _field(control))]
        self.buttons = [button for button in element.all("button") if button.get("type", "submit") == "submit"]

    @property
    def method(self) -> str:
        return (self.element.get("method") or "get").lower()

    @property
    def refused(self) -> list[str]:
        """The names of the fields for which a browser would not send the form."""
        return [field["name"] for field in self.fields if field["on"] and not _is_valid(field)]

    def values(self, name: str) -> list[str]:
        """The values under this name, of boxes only the ticked ones."""
        return [value for control, value in self.data() if control == name]

    def data(self) -> list[tuple[str, str]]:
        return [(field["name"], field["value"]) for field in self.fields if field["on"]]

    def fill(self, name: str, value: str, row: int = 0) -> "Form":
        fields = [field for field in self.fields if field["name"] == name]
        assert not fields[row]["fixed"], f"nobody could type into {name}"
        fields[row]["value"] = value
        return self

    def tick(self, name: str, on: bool = True) -> "Form":
        [box] = [field for field in self.fields if field["name"] == name]
        box["on"] = on
        return self

    def submit(self, button: str | None = None) -> "Page":
        """Send it, by the button that is called this; without one by the Enter key, which presses the first."""
        data = [(name, value.replace("\r\n", "\n").replace("\n", "\r\n")) for name, value in self.data()]
        chosen = next(found for found in self.buttons if button in (None, found.label))
        if chosen.get("name"):
            data.append((chosen["name"], chosen.get("value") or ""))
        address = urljoin(self.page.address, chosen.get("formaction") or self.element["action"])
        if self.method == "get":
            return self.page.browser.get(address, params=data)
        return self.page.browser.post(address, data)

    # --- of a form of overrides

    def click(self, button: str) -> "Form":
        """Press a button that lays the form out anew, and go on with that."""
        page = self.submit(button)
        assert page.status == 200, page.text
        self._show(page, page.form.element)
        return self

    def level(self, level: str) -> Element:
        [found] = self.element.all("fieldset", id=f"{level}-level")
        return found

    def lines(self, level: str) -> list[Row]:
        """The rows from top to bottom, with what was typed into them."""
        groups = self.level(level).all("div", class_="override")
        pairs = zip(self.values(f"{level}.key"), self.values(f"{level}.value"), strict=True)
        return [self._row(group, *pair) for group, pair in zip(groups, pairs, strict=True)]

    def _row(self, group: Element, key: str, value: str) -> Row:
        [area], [button] = group.all("textarea"), group.all("button")
        default = next(iter(group.texts("small")), "").removeprefix("default: ")
        origin = next(iter(group.texts("span", class_="badge")), "default")
        return Row(key, value, origin, default, self.page.description(area), button.label)

    def line(self, level: str, key: str) -> Row:
        """The row of this key."""
        [found] = [row for row in self.lines(level) if row.key == key]
        return found

    def rows(self, level: str) -> dict[str, str]:
        """Key to value, as shown."""
        return {row.key: row.value for row in self.lines(level)}

    def origins(self, level: str) -> dict[str, str]:
        return {row.key: row.origin for row in self.lines(level)}

    def add(self, level: str, key: str, value: str) -> "Form":
        """A row of one's own: press the level's button for one, and type."""
        [button] = [found for found in self.buttons if found.get("value") == f"{level}.add"]
        button.attributes["aria-label"] = f"add to {level}"  # both are called the same
        self.click(f"add to {level}")
        blank = [(row.key, row.value) for row in self.lines(level)].index(("", ""))
        return self.fill(f"{level}.key", key, blank).fill(f"{level}.value", value, blank)

    def set(self, level: str, key: str, value: str) -> "Form":
        """Type a value for a key, in the row that has it or else in one of one's own."""
        shown = self.values(f"{level}.key")
        if key not in shown:
            return self.add(level, key, value)
        return self.fill(f"{level}.value", value, shown.index(key))

    def look(self) -> "Form":
        """Have the form laid out anew with what was typed."""
        return self.click("Look at the changes")

    def suggestions(self, level: str) -> list[str]:
        return [option["value"] for option in self.level(level).all("option")]

    @property
    def changes(self) -> list[str]:
        """What the form says that it will change."""
        return [change for part in self.element.all(class_="changes") for change in part.texts("li")]


def _field(control: Element) -> dict[str, Any] | None:
    name = control.get("name")
    if not name or "disabled" in control.attributes:
        return None
    field = {
        "control": control,
        "name": name,
        "value": control.get("value") or "",
        "on": True,
        "fixed": "readonly" in control.attributes or control.get("type") == "hidden",
    }
    if control.tag == "textarea":
        field["value"] = control.text.removeprefix("\n")
    elif control.tag == "select":
        options = list(control.all("option"))
        chosen = next((option for option in options if "selected" in option.attributes), options[0])
        field["value"] = chosen.get("value", chosen.text)
    elif control.get("type") in ("checkbox", "radio"):
        field["on"] = "checked" in control.attributes
    return field


def _is_valid(field: dict[str, Any]) -> bool:
    control, value = field["control"], field["value"]
    if not value:
        return "required" not in control.attributes
    longest, pattern = control.get("maxlength"), control.get("pattern")
    return len(value) <= int(longest or len(value)) and (not pattern or bool(re.fullmatch(pattern, value)))


class Page:
    """A page as it was answered."""

    def __init__(self, browser: "Browser", answer: requests.Response) -> None:
        self.browser, self.answer = browser, answer
        self.address, self.status = answer.url, answer.status_code
        assert answer.headers["Content-Type"] == "text/html; charset=utf-8", answer.text
        self.root = parse(answer.text)

    @property
    def path(self) -> str:
        return urlsplit(self.address).path

    @property
    def text(self) -> str:
        return self.root.words

    @property
    def heading(self) -> str:
        return next(self.root.all("h1")).words

    @property
    def alert(self) -> str:
        """What the page says went wrong; empty when it says nothing."""
        return " ".join(found.text.strip() for found in self.root.all(role="alert"))

    def description(self, element: Element) -> str:
        """What the elements say that describe this one; each of them has to be there, once."""
        found = [list(self.root.all(id=name)) for name in (element.get("aria-describedby") or "").split()]
        assert all(len(same) == 1 for same in found), element.attributes
        return " ".join(same[0].words for same in found)

    @property
    def links(self) -> dict[str, str]:
        """Text to address."""
        return {link.words: link["href"] for link in self.root.all("a")}

    def follow(self, text: str) -> "Page":
        return self.browser.get(urljoin(self.address, self.links[text]))

    @property
    def forms(self) -> list[Form]:
        return [Form(self, form) for form in self.root.all("form")]

    @property
    def form(self) -> Form:
        """The form of overrides, or of what has to be confirmed."""
        [found] = [form for part in ("form", "confirm") for home in self.root.all(id=part) for form in home.all("form")]
        return Form(self, found)

    def press(self, button: str) -> "Page":
        """Press the button that is called this, in whichever form it is."""
        form = next(form for form in self.forms if button in [found.label for found in form.buttons])
        return form.submit(button)

    @property
    def buttons(self) -> list[str]:
        """What can be pressed; what only JavaScript brings to life cannot."""
        return [button.label for form in self.forms if form.method != "dialog" for button in form.buttons]

    @property
    def reloads(self) -> bool:
        """Whether it looks again by itself where there is no JavaScript."""
        return any(meta.has("http-equiv", "refresh") for part in self.root.all("noscript") for meta in part.all("meta"))

    # --- of a deployment

    @property
    def state(self) -> str:
        """The word for how the deployment is."""
        [status] = self.root.all("span", class_="status")
        return said(status)

    @property
    def facts(self) -> dict[str, str]:
        """Title to content: when it was created, how long it is kept."""
        items = self.root.all("div", class_="datagrid-item")
        return {title.words: content.words for title, content, *_ in (list(item.all("div")) for item in items)}

    @property
    def config(self) -> dict[str, tuple[str, str]]:
        """The effective configuration: key to value and origin."""
        leaves = [leaf for tree in self.root.all("ul", class_="tree") for leaf in tree.children if _is_leaf(leaf)]
        pairs = [(list(leaf.all("span")), leaf) for leaf in leaves]
        return {spans[0]["title"]: (spans[1].text, _badge(leaf)) for spans, leaf in pairs}

    @property
    def history(self) -> list[Element]:
        """The actions, newest first."""
        return [entry for part in self.root.all("ol", class_="history") for entry in part.all("li") if entry.get("id")]

    # --- of the list

    def row(self, name: str) -> Element:
        """The row of a deployment."""
        [found] = [row for row in self.root.all("tr") if row.texts("a", class_="stretched-link") == [name]]
        return found

    @property
    def names(self) -> list[str]:
        """The deployments in the order of their rows."""
        return [link.words for link in self.root.all("a", class_="stretched-link")]


def said(status: Element) -> str:
    """The word of a status, without since when."""
    return "".join(child for child in status.children if isinstance(child, str)).strip()


def _is_leaf(leaf: Element | str) -> bool:
    return isinstance(leaf, Element) and "origin-" in (leaf.get("class") or "")


def _badge(leaf: Element) -> str:
    return next(iter(leaf.texts("span", class_="badge")), "default")


class Browser:
    """Somebody at a browser without JavaScript."""

    def __init__(self, url: str, login: tuple[str, str] | None = None) -> None:
        self.url = url
        self.http = requests.Session()
        self.http.headers["Accept"] = "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8"
        self.http.auth = login

    def get(self, path: str, **options: Any) -> Page:
        headers = {"Sec-Fetch-Site": "same-origin"}
        return Page(self, self.http.get(urljoin(self.url, path), headers=headers, timeout=30, **options))

    def post(self, path: str, data: list[tuple[str, str]]) -> Page:
        headers = {"Sec-Fetch-Site": "same-origin", "Origin": self.url}
        return Page(self, self.http.post(urljoin(self.url, path), data=data, headers=headers, timeout=30))

    def shown(self, name: str, state: str) -> Page:
        """The page of a deployment, once it says this and nothing is being done to it."""

        def look() -> Page | None:
            page = self.get(f"/deployments/{name}")
            return page if page.state == state and not any("Cancel" in button for button in page.buttons) else None

        return eventually(look, f"the page to say that {name} is {state}")
