"""JSON Schemas (draft 2020-12) of service specs and profiles, for editors.

They take all that loading takes. What one field has to do with another, what is on the disk, and unknown fields of a
spec, which are warnings, are not theirs to refuse.
"""

from dataclasses import replace
from typing import Any

from .kinds import Boolean, Either, Field, Group, Kind, ListOf, MapOf, Text, Whole
from .model import PROFILE_KEYS, SPEC

Schema = dict[str, Any]
DRAFT = "https://json-schema.org/draft/2020-12/schema"


def json_schema() -> Schema:
    """The schema of a service spec."""
    schema = _group(SPEC)
    schema["properties"]["image"]["not"] = _both("dockerfile", "buildSpec")
    return {"$schema": DRAFT, "title": "Service spec of hspec", **schema}


def profile_schema() -> Schema:
    """The schema of a profile."""
    return {"$schema": DRAFT, "title": "Profile of hspec", **_group(_profile())}


def _both(*names: str) -> Schema:
    return {"required": list(names), "properties": {name: {"type": "object"} for name in names}}


def _profile() -> Group:
    patch = _overridable_fields(SPEC)
    return replace(patch, fields=PROFILE_KEYS + patch.fields)


def _overridable(kind: Kind) -> Kind:
    """What a profile may say of a kind."""
    if isinstance(kind, ListOf) and isinstance(kind.item, Group) and not kind.is_replaced:
        return replace(kind, item=_overridable_fields(kind.item, kind.key), least=0)
    if isinstance(kind, Either) and isinstance(kind.mapping, Group):
        return replace(kind, mapping=_overridable_fields(kind.mapping))
    return _overridable_fields(kind) if isinstance(kind, Group) else kind


def _overridable_fields(group: Group, key: str = "") -> Group:
    """Of any of them none need be there, but what tells the elements of a list apart."""
    fields = [field for field in group.fields if field.is_overridable]
    said = [replace(field, is_required=field.name == key, kind=_overridable(field.kind)) for field in fields]
    return replace(group, is_closed=True, fields=tuple(said))


def _field(field: Field) -> Schema:
    schema = _kind(field.kind)
    if not field.is_required:
        schema = _optional(schema, field.kind)
    default = f" Default: {field.default}." if field.default else ""
    examples = {"examples": [field.example]} if field.example is not None else {}
    return {"description": f"{field.help}{default}", **schema, **examples}


def _optional(schema: Schema, kind: Kind) -> Schema:
    """Nothing is the same as absent."""
    if "anyOf" in schema:
        return {"anyOf": [*schema["anyOf"], {"type": "null"}]}
    types = schema["type"] if isinstance(schema["type"], list) else [schema["type"]]
    blank = {"pattern": rf"^(?:\s*|{kind.pattern})$"} if isinstance(kind, Text) and kind.pattern else {}
    return {**schema, "type": [*types, "null"], **blank}


def _kind(kind: Kind) -> Schema:
    return _SCHEMAS[type(kind)](kind)


def _text(kind: Text) -> Schema:
    """Numbers and words such as `true` are texts as well, as they are written."""
    bare = _bare(kind)
    schema: Schema = {"type": ["string", *bare]}
    if kind.pattern:
        schema["pattern"] = f"^(?:{kind.pattern})$"
    if kind.longest:
        schema["maxLength"] = kind.longest
    if schema["type"][-1] != "string" and not kind.regex.fullmatch("-1"):
        schema["minimum"] = 0 if kind.regex.fullmatch("0") else 1
    return {**schema, "maximum": kind.most} if kind.most else schema


def _bare(kind: Text) -> list[str]:
    """What may be written without quotes although YAML takes it for no text."""
    matches = kind.regex.fullmatch
    types = ["number"] if matches("1.5") else ["integer"] if matches("1") else []
    return types + (["boolean"] if matches("true") and matches("false") else [])


def _whole(kind: Whole) -> Schema:
    return {
        "type": ["integer", "string"],
        "minimum": kind.least,
        "maximum": kind.most,
        "pattern": f"^({kind.pattern})$",
    }


def _boolean(kind: Boolean) -> Schema:
    return {"type": ["boolean", "string"], "pattern": f"^({'|'.join(kind.true + kind.false)})$"}


def _group(kind: Group) -> Schema:
    schema: Schema = {"type": "object", "properties": {field.name: _field(field) for field in kind.fields}}
    if required := [field.name for field in kind.fields if field.is_required]:
        schema["required"] = required
    if kind.is_closed:
        schema["additionalProperties"] = False
    return schema


def _list(kind: ListOf) -> Schema:
    schema: Schema = {"type": "array", "items": _kind(kind.item)}
    if kind.least:
        schema["minItems"] = kind.least
    return {**schema, "uniqueItems": True} if kind.is_set else schema


def _map(kind: MapOf) -> Schema:
    key = {"pattern": f"^(?:{kind.key.pattern})$"} | ({"maxLength": kind.key.longest} if kind.key.longest else {})
    return {"type": "object", "propertyNames": key, "additionalProperties": _optional(_kind(kind.value), kind.value)}


def _either(kind: Either) -> Schema:
    return {"anyOf": [_kind(each) for each in (kind.scalar, kind.list, kind.mapping) if each]}


_SCHEMAS: dict[type, Any] = {
    Text: _text, Whole: _whole, Boolean: _boolean, Group: _group, ListOf: _list, MapOf: _map, Either: _either,
}  # fmt: skip
