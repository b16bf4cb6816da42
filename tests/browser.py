"""A browser without JavaScript: reads a page, fills its forms and sends them as a browser would."""

from collections.abc import Iterator
from html.parser import HTMLParser
from typing import Any
from urllib.parse import urljoin, urlsplit

import requests

VOID = {"br", "hr", "img", "input", "link", "meta"}


class Element:
    def __init__(self, tag: str, attributes: dict[str, str | None], parent: "Element | None") -> None:
        self.tag, self.attributes, self.parent = tag, attributes, parent
        self.children: list[Element | str] = []

    def __getitem__(self, name: str) -> str:
        return self.attributes[name] or ""

    def get(self, name: str, default: str | None = None) -> str | None:
        return (self.attributes[name] or "") if name in self.attributes else default

    def all(self, *tags: str) -> Iterator["Element"]:
        """The elements within of these tags, in the order of the document."""
        for child in self.children:
            if isinstance(child, Element):
                if not tags or child.tag in tags:
                    yield child
                yield from child.all(*tags)

    @property
    def text(self) -> str:
        return "".join(child if isinstance(child, str) else child.text for child in self.children)


class _Parser(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.root = self.here = Element("", {}, None)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
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


class Form:
    """A form of a page: its fields as somebody left them."""

    def __init__(self, page: "Page", element: Element) -> None:
        self.page, self.element = page, element
        self.fields = [field for control in element.all("input", "textarea", "select") if (field := _field(control))]
        self.buttons = list(element.all("button"))

    @property
    def method(self) -> str:
        return (self.element.get("method") or "get").lower()

    @property
    def address(self) -> str:
        return urljoin(self.page.address, self.element.get("action") or "")

    def values(self, name: str) -> list[str]:
        """The values under this name, of boxes only the ticked ones."""
        return [value for control, value in self.data() if control == name]

    def data(self) -> list[tuple[str, str]]:
        return [(field["name"], field["value"]) for field in self.fields if field["on"]]

    def fill(self, name: str, value: str, row: int = 0) -> "Form":
        fields = [field for field in self.fields if field["name"] == name]
        assert not fields[row]["readonly"], f"nobody could type into {name}"
        fields[row]["value"] = value
        return self

    def tick(self, name: str, value: str, on: bool = True) -> "Form":
        box = next(field for field in self.fields if (field["name"], field["value"]) == (name, value))
        box["on"] = on
        return self

    def rows(self, level: str) -> dict[str, str]:
        """Of a form of overrides: key to value, as shown."""
        pairs = zip(self.values(f"{level}.key"), self.values(f"{level}.value"), strict=True)
        return {key: value for key, value in pairs if key}

    def set(self, level: str, key: str, value: str) -> "Form":
        """Type a value for a key, in the row that has it or else in an empty one."""
        shown = self.values(f"{level}.key")
        if key not in shown:
            self.fill(f"{level}.key", key, shown.index(""))
        return self.fill(f"{level}.value", value, shown.index(key if key in shown else ""))

    def submit(self, button: str | None = None) -> "Page":
        """Send it, by the button with this text where there are several."""
        data = [(name, value.replace("\r\n", "\n").replace("\n", "\r\n")) for name, value in self.data()]
        chosen = next(found for found in self.buttons if button in (None, found.text.strip()))
        if chosen.get("name"):
            data.append((chosen["name"], chosen.get("value") or ""))
        if self.method == "get":
            return self.page.browser.get(self.address, params=data)
        return self.page.browser.post(self.address, data)


def _field(control: Element) -> dict[str, Any] | None:
    name = control.get("name")
    if not name or "disabled" in control.attributes:
        return None
    field = {
        "name": name,
        "value": control.get("value") or "",
        "on": True,
        "readonly": "readonly" in control.attributes,
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


class Page:
    """A page as it was answered."""

    def __init__(self, browser: "Browser", answer: requests.Response) -> None:
        self.browser, self.answer = browser, answer
        self.address, self.status = answer.url, answer.status_code
        assert answer.headers["Content-Type"] == "text/html; charset=utf-8", answer.text
        parser = _Parser()
        parser.feed(answer.text.removeprefix("<!doctype html>"))
        parser.close()
        self.root = parser.root

    @property
    def path(self) -> str:
        return urlsplit(self.address).path

    @property
    def text(self) -> str:
        return " ".join(self.root.text.split())

    @property
    def heading(self) -> str:
        return next(self.root.all("h1")).text

    @property
    def alert(self) -> str:
        """What the page says went wrong; empty when it says nothing."""
        return " ".join(found.text.strip() for found in self.root.all() if found.get("role") == "alert")

    @property
    def links(self) -> dict[str, str]:
        """Text to address."""
        return {link.text.strip(): link["href"] for link in self.root.all("a")}

    def follow(self, text: str) -> "Page":
        return self.browser.get(urljoin(self.address, self.links[text]))

    @property
    def forms(self) -> list[Form]:
        return [Form(self, form) for form in self.root.all("form")]

    @property
    def form(self) -> Form:
        """The form of overrides."""
        return next(form for form in self.forms if form.method == "post" and form.values("application.key"))

    def press(self, button: str) -> "Page":
        """Press the button with this text, in whichever form it is."""
        form = next(form for form in self.forms if button in [found.text.strip() for found in form.buttons])
        return form.submit(button)

    @property
    def buttons(self) -> list[str]:
        return [button.text.strip() for button in self.root.all("button")]


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
