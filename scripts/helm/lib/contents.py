"""What is in a chart: read from the file that helm packaged, or from a directory."""

import io
import tarfile
from collections.abc import Iterator, Mapping
from pathlib import Path, PurePosixPath
from typing import Any

import yaml

from lib.documents import load
from lib.files import is_below
from lib.output import Failure
from lib.values import Values, merge, with_strings

MOST_BYTES = 20 << 20


class Contents:
    """The files of a chart, by their path in it. Templates are not among them."""

    def __init__(self, files: Mapping[str, bytes]) -> None:
        self.files = files
        self.about = mapping("Chart.yaml", files.get("Chart.yaml"))
        self.name, self.version = str(self.about.get("name", "")), str(self.about.get("version", ""))

    @property
    def label(self) -> str:
        """Chart and version as `helm list` shows them."""
        return f"{self.name}-{self.version}"

    def values(self) -> Values:
        """Its own values, as `helm show values` has them. Raises Failure."""
        return with_strings(mapping("values.yaml", self.files.get("values.yaml")))

    def all_values(self) -> Values:
        """Its values, and below the names of its subcharts what it does not say of theirs."""
        below = {name: subchart.all_values() for name, subchart in self.subcharts()}
        return merge(below, self.values())

    def subcharts(self) -> "Iterator[tuple[str, Contents]]":
        """The charts in `charts/`, by the names under which their values are."""
        aliases: dict[str, list[str]] = {}
        for dependency in self.about.get("dependencies") or []:
            aliases.setdefault(dependency["name"], []).append(dependency.get("alias") or dependency["name"])
        for files in self._directories():
            chart = Contents(files)
            for alias in aliases.get(chart.name, [chart.name]):
                yield alias, chart

    def _directories(self) -> Iterator[dict[str, bytes]]:
        directories: dict[str, dict[str, bytes]] = {}
        for name, data in self.files.items():
            top, _, rest = name.partition("/")
            if top != "charts":
                continue
            directory, slash, inner = rest.partition("/")
            if slash:
                directories.setdefault(directory, {})[inner] = data
            elif directory.endswith(".tgz"):
                yield read_archive(data)
        yield from (files for files in directories.values() if "Chart.yaml" in files)


def mapping(name: str, data: bytes | None) -> dict[str, Any]:
    """A YAML file that has to be a map, or empty. Raises Failure, without what is in it."""
    try:
        value = load(data) if data else {}
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        raise Failure(f"{name} is not YAML{f', in line {mark.line + 1}' if mark else ''}.") from None
    if value is not None and not isinstance(value, dict):
        raise Failure(f"{name} is not a map of values.")
    return value or {}


def is_interesting(path: PurePosixPath) -> bool:
    """Whether a file is more than a template: what helm reads before it renders."""
    inner = path
    while len(inner.parts) > 2 and inner.parts[0] == "charts":
        inner = PurePosixPath(*inner.parts[2:])
    return inner.parts[0] != "templates" and inner.suffix in (".yaml", ".yml", ".json", ".tgz")


def read_archive(data: bytes) -> dict[str, bytes]:
    """The files of a packaged chart, without the directory that is around them. Raises Failure."""
    files = {}
    try:
        with tarfile.open(fileobj=io.BytesIO(data), mode="r:gz") as archive:
            for member in archive:
                path = PurePosixPath(*PurePosixPath(member.name).parts[1:])
                if member.isreg() and path.parts and is_interesting(path) and member.size <= MOST_BYTES:
                    files[str(path)] = archive.extractfile(member).read()  # type: ignore[union-attr]
    except (tarfile.TarError, EOFError, OSError) as error:
        raise Failure(f"The chart is not a package of helm: {error}") from None
    return files


def read_directory(directory: Path) -> dict[str, bytes]:
    files = {}
    for path in sorted(directory.rglob("*")):
        inner = PurePosixPath(path.relative_to(directory).as_posix())
        if path.is_file() and is_interesting(inner) and is_below(path, directory):
            files[str(inner)] = path.read_bytes()
    return files


def read(path: Path) -> Contents:
    """The chart at a path, directory or package. Raises Failure."""
    try:
        contents = Contents(read_directory(path) if path.is_dir() else read_archive(path.read_bytes()))
    except OSError as error:
        raise Failure(f"The chart in {path} cannot be read: {error.strerror}.") from None
    if not contents.name:
        raise Failure(f"There is no chart in {path}: it has no Chart.yaml.")
    return contents
