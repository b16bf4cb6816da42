"""Bodies in Kubernetes' protobuf, which newer kubectls send for `create namespace`, `create secret` and the like.

Field numbers are those of the generated.proto files of k8s.io/api. What is not in these tables is refused, not lost.
"""

import base64
from collections.abc import Iterator
from typing import Any

from .paths import Object, dig

MAGIC = b"k8s\0"
TEXT, BYTES, NUMBER, FLAG, IGNORED = "text", "bytes", "number", "flag", "ignored"


class Message(dict[int, tuple[str, Any]]):
    """The fields of a message: their names, and what they are."""


class Many:
    """A repeated field."""

    def __init__(self, of: Any) -> None:
        self.of = of


class Map:
    """A map from texts."""

    def __init__(self, of: str) -> None:
        self.of = of


META = Message(
    {1: ("name", TEXT), 2: ("generateName", TEXT), 3: ("namespace", TEXT), 8: ("", IGNORED)}
    | {11: ("labels", Map(TEXT)), 12: ("annotations", Map(TEXT))}
)
PORT = Message({1: ("name", TEXT), 2: ("hostPort", NUMBER), 3: ("containerPort", NUMBER), 4: ("protocol", TEXT)})
VARIABLE = Message({1: ("name", TEXT), 2: ("value", TEXT)})
CONTAINER = Message(
    {1: ("name", TEXT), 2: ("image", TEXT), 3: ("command", Many(TEXT)), 4: ("args", Many(TEXT))}
    | {6: ("ports", Many(PORT)), 7: ("env", Many(VARIABLE)), 8: ("resources", Message()), 14: ("imagePullPolicy", TEXT)}
)
POD = Message({2: ("containers", Many(CONTAINER)), 3: ("restartPolicy", TEXT), 8: ("serviceAccountName", TEXT)})
TEMPLATE = Message({1: ("metadata", META), 2: ("spec", POD)})
SELECTOR = Message({1: ("matchLabels", Map(TEXT))})
DEPLOYMENT = Message(
    {1: ("replicas", NUMBER), 2: ("selector", SELECTOR), 3: ("template", TEMPLATE), 4: ("strategy", Message())}
)
JOB = Message(
    {1: ("parallelism", NUMBER), 2: ("completions", NUMBER), 6: ("template", TEMPLATE), 7: ("backoffLimit", NUMBER)}
)
ATTRIBUTES = ("namespace", "verb", "group", "version", "resource", "subresource", "name")
ACCESS = Message({number: (name, TEXT) for number, name in enumerate(ATTRIBUTES, 1)})
QUESTION = Message({1: ("resourceAttributes", ACCESS), 2: ("nonResourceAttributes", IGNORED)})


def _kind(**fields: Any) -> Message:
    """A kind whose metadata comes first; `_` stands for what the server does not want to know."""
    wanted = {number: (name.strip("_"), what) for number, (name, what) in enumerate(fields.items(), 2)}
    return Message({1: ("metadata", META)} | wanted)


KINDS = {
    "ConfigMap": _kind(data=Map(TEXT), binaryData=Map(BYTES), immutable=FLAG),
    "Deployment": _kind(spec=DEPLOYMENT, _=IGNORED),
    "Job": _kind(spec=JOB, _=IGNORED),
    "Namespace": _kind(_=IGNORED, __=IGNORED),
    "Secret": _kind(data=Map(BYTES), type=TEXT, stringData=Map(TEXT), immutable=FLAG),
    "SelfSubjectAccessReview": _kind(spec=QUESTION, _=IGNORED),
    "ServiceAccount": _kind(
        _=IGNORED, imagePullSecrets=Many(Message({1: ("name", TEXT)})), automountServiceAccountToken=FLAG
    ),
}
ENVELOPE = Message(
    {1: ("type", Message({1: ("apiVersion", TEXT), 2: ("kind", TEXT)})), 2: ("raw", BYTES)}
    | {3: ("", IGNORED), 4: ("", IGNORED)}
)


def decode(content: bytes) -> Object | None:
    """The object in such a body; None when it has something that is not in the tables."""
    envelope = _decode(content.removeprefix(MAGIC), ENVELOPE)
    raw = base64.b64decode(envelope["raw"])
    try:
        return dig(envelope, "type") | _decode(raw, KINDS[envelope["type"]["kind"]])
    except KeyError:
        return None


def _decode(content: bytes, message: Message) -> Object:
    """Raises KeyError for a field that is unknown and not empty."""
    decoded: Object = {}
    for number, value in _fields(content):
        if number not in message and not value:
            continue
        name, what = message[number]
        if isinstance(what, Many):
            decoded.setdefault(name, []).append(_value(value, what.of))
        elif isinstance(what, Map):
            entry = _decode(value, Message({1: ("key", TEXT), 2: ("value", what.of)}))
            decoded.setdefault(name, {})[entry.get("key", "")] = entry.get("value", "")
        elif what is not IGNORED and (value or what is FLAG or what is NUMBER):
            decoded[name] = _value(value, what)
    return decoded


def _value(value: Any, what: Any) -> Any:
    if isinstance(what, Message):
        return _decode(value, what)
    if what is BYTES:
        return base64.b64encode(value).decode()
    return value.decode() if what is TEXT else bool(value) if what is FLAG else value


def _fields(content: bytes) -> Iterator[tuple[int, Any]]:
    """The numbers and values of the fields of a message: numbers or bytes."""
    at = 0
    while at < len(content):
        tag, at = _varint(content, at)
        value, at = _varint(content, at)
        if tag & 7 == 2:
            value, at = content[at : at + value], at + value  # type: ignore[assignment]
        yield tag >> 3, value


def _varint(content: bytes, at: int) -> tuple[int, int]:
    number = shift = 0
    while True:
        number |= (content[at] & 0x7F) << shift
        shift, at = shift + 7, at + 1
        if content[at - 1] < 0x80:
            return number, at
