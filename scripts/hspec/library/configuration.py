"""The application configuration: what a form begins with, and what of it comes back as a change to the specs.

With one service a key is `props.LOG`. With several it begins with the service, `web.props.LOG`, and one without means
every service whose spec has that.
"""

from collections.abc import Iterable, Mapping, Sequence
from difflib import get_close_matches
from typing import Any

from library import fields
from library.fields import Field
from octopod.hspec.service import Service
from shared import handed_out
from shared.output import Failure

Pairs = Sequence[tuple[str, str]]
MOST = 20  # keys in a sentence


class Form:
    """What can be set of these services."""

    def __init__(self, services: Sequence[Service]) -> None:
        self.fields = [field for service in services for field in fields.of(service)]
        self.is_single = len(services) == 1
        ambiguous = {service.name for service in services} & {*fields.SCALARS, *fields.MAPS}
        if ambiguous and not self.is_single:
            raise Failure(f"A service that is called {min(ambiguous)} cannot be deployed here beside others.")

    def key(self, field: Field) -> str:
        return field.key if self.is_single else field.full_key

    def defaults(self) -> list[tuple[str, str]]:
        """What the specs say themselves."""
        return [(self.key(field), field.value) for field in self.fields if field.value]

    def keys(self) -> list[str]:
        """What can be set; last, what can be set for several services at once."""
        own = [self.key(field) for field in self.fields]
        declared = [field.key for field in self.fields if field.is_declared]
        return list(dict.fromkeys(own + [key for key in declared if declared.count(key) > 1]))

    def meant(self, key: str) -> list[Field]:
        """The fields that a key is about."""
        exactly = [field for field in self.fields if key in (self.key(field), field.full_key)]
        return exactly or [field for field in self.fields if field.key == key and field.is_declared]

    def schema(self) -> dict[str, Any]:
        """JSON Schema of the configuration as a tree: each dot of a key leads a level down."""
        root: dict[str, Any] = {"$schema": "https://json-schema.org/draft/2020-12/schema", "type": "object"}
        for field in self.fields:
            node = root
            for part in self.key(field).split("."):
                node = node.setdefault("properties", {}).setdefault(part, {"type": "object"})
            node |= fields.schema(field)
        return root


def changes(form: Form, given: Pairs, handed: Mapping[str, str]) -> dict[str, dict[str, Any]]:
    """What is to be changed, by service. Raises Failure with all that cannot be.

    `handed`: digests of the defaults that the form began with; a value that is one of them is no change, so that what
    a new commit says is not held back by what an older one said. What names its service wins.
    """
    problems: list[str] = []
    own = dict(form.defaults())
    asked = [(key, text) for key, text in given if own.get(key) != text and handed.get(key) != handed_out.digest(text)]
    found: dict[str, dict[str, Any]] = {}
    for key, text in sorted(asked, key=lambda pair: any(pair[0] == field.full_key for field in form.fields)):
        meant = form.meant(key)
        if not meant:
            problems.append(unknown(form, key))
        for field in meant:
            problems += _put(found.setdefault(field.service, {}), field, key, text)
    problems += _incomplete(form, found)
    if problems:
        raise Failure("\n".join(dict.fromkeys(problems)))
    return found


def _put(change: dict[str, Any], field: Field, key: str, text: str) -> list[str]:
    """Note a change, or say why it cannot be made."""
    if field.name:
        change.setdefault(field.part, {})[field.name] = text
    elif field.part != "replicas":
        change[field.part] = text.strip()
    elif text.isascii() and text.strip().isdigit():
        change[field.part] = int(text)
    else:
        return [f'{key} must be a whole number, not "{text}".']
    return []


def _incomplete(form: Form, found: Mapping[str, Mapping[str, Any]]) -> Iterable[str]:
    """Secrets of which the spec has only the names: either all get a value here, or all are somewhere else."""
    for service, change in found.items():
        given = change.get("secrets", {})
        named = [field for field in form.fields if field.service == service and field.is_secret]
        missing = [form.key(field) for field in named if field.value is None and field.name not in given]
        if given and missing:
            yield f"The secrets of {service} need all a value, or none: {', '.join(missing)} is missing."


def unknown(form: Form, key: str) -> str:
    """That a key cannot be set, and what can."""
    keys = form.keys()
    near = get_close_matches(key, keys, 1)
    if near:
        return f"{key} cannot be set. Did you mean {near[0]}?"
    rest = f" and {len(keys) - MOST} more" if len(keys) > MOST else ""
    return f"{key} cannot be set. These can: {', '.join(keys[:MOST])}{rest}."


def taken_away(form: Form, given: Pairs, handed: Iterable[str]) -> list[str]:
    """Sentences on defaults that were handed out and have not come back: a spec cannot be made to say less."""
    missing = {key for key, _ in form.defaults()} & set(handed) - {key for key, _ in given}
    return [f"{key} cannot be taken away: the spec has it. Give it another value." for key in sorted(missing)]
