"""What a request asks for, read from its line, its headers and its body."""

import json
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any
from urllib.parse import parse_qs, urlsplit

from . import protobuf
from .errors import bad_request, not_found_path, unsupported_media
from .kinds import Kind, Kinds
from .paths import Object
from .selectors import Test, by_fields, by_labels

PROTOBUF = "application/vnd.kubernetes.protobuf"


class Target:
    """What the path is about: a kind, in a version, perhaps one object of it, perhaps a part of that."""

    def __init__(self, kinds: Kinds, path: str) -> None:
        words = path.strip("/").split("/")
        group, self.version, *rest = ["", *words[1:]] if words[0] == "api" else words[1:]
        self.namespace = ""
        if rest[:1] == ["namespaces"] and len(rest) > 2 and rest[2] not in ("status", "finalize"):
            self.namespace, rest = rest[1], rest[2:]
        plural, self.name, self.subresource, *more = [*rest, "", ""] if len(rest) < 3 else [*rest, ""]
        if any(more):
            raise not_found_path()
        self.kind: Kind = kinds.served(group, self.version, plural)


@dataclass
class Request:
    """One request, kept in the cluster's log."""

    method: str
    target: str
    headers: dict[str, str] = field(repr=False)
    content: bytes = field(repr=False)
    status: int = 0

    @property
    def path(self) -> str:
        return urlsplit(self.target).path

    @cached_property
    def query(self) -> dict[str, str]:
        pairs = parse_qs(urlsplit(self.target).query, keep_blank_values=True)
        return {key: values[-1] for key, values in pairs.items()}

    @property
    def body(self) -> Any:
        """The content as JSON; None without any."""
        media = self.media_type
        if not self.content:
            return None
        if media == PROTOBUF and (decoded := protobuf.decode(self.content)):
            return decoded
        if "json" not in media and media not in ("", "application/apply-patch+yaml"):
            raise unsupported_media(media, ["application/json"])
        try:
            return json.loads(self.content)
        except ValueError as error:
            raise bad_request(f"couldn't get version/kind; json parse error: {error}") from None

    @property
    def object(self) -> Object:
        body = self.body
        if not isinstance(body, dict):
            raise bad_request("the request has no object in its body")
        return body

    @property
    def media_type(self) -> str:
        return self.headers.get("Content-Type", "").partition(";")[0].strip()

    @property
    def watch(self) -> bool:
        return self.flag("watch") or "/watch/" in self.path

    @property
    def dry(self) -> bool:
        return bool(self.query.get("dryRun"))

    def flag(self, name: str) -> bool:
        return self.query.get(name, "false").lower() in ("1", "true", "")

    @property
    def form(self) -> str:
        """How the answer is wanted: `Table`, `PartialObjectMetadata` or, as it is, nothing."""
        for media in self.headers.get("Accept", "").split(","):
            asked = dict(part.strip().partition("=")[::2] for part in media.split(";")[1:])
            if asked.get("g") == "meta.k8s.io" and asked.get("v") == "v1":
                return asked["as"].removesuffix("List")
            if media.partition(";")[0].strip() in ("application/json", "*/*"):
                return ""
        return ""

    def selects(self, name: str = "") -> Test:
        """What the selectors, and the name in the path, ask of an object."""
        labels, fields = by_labels(self.query.get("labelSelector", "")), by_fields(self.query.get("fieldSelector", ""))
        return lambda item: labels(item) and fields(item) and name in ("", item["metadata"]["name"])
