"""What is in a chart: read from the file that helm packaged, or from a directory."""

import gzip
import io
import tarfile
import zlib
from collections.abc import Iterator, Mapping
from fnmatch import fnmatchcase
from pathlib import Path, PurePosixPath
from typing import IO, Any

import yaml

from lib.documents import load
from lib.values import Values, merge, with_strings
from shared.files import is_below
from shared.output import Failure

MOST_BYTES = 50 << 20  # of a chart, unpacked; with its subcharts, in packages or not
MOST_FILES = 10_000


class Contents:
    """What helm reads of a chart before it renders, by path in it; other files are found in `path` when they are asked for."""

    def __init__(self, files: Mapping[str, bytes], path: Path | None = None) -> None:
        self.files, self.path = files, path
        self.about = mapping("Chart.yaml", files.get("Chart.yaml"))
        self.name, self.version = str(self.about.get("name", "")), str(self.about.get("version", ""))

    @property
    def label(self) -> str:
        """Chart and version as `helm list` shows them."""
        return f"{self.name}-{self.version}"

    def values(self) -> Values:
        """Its own values, as `helm show values` has them. Raises Failure."""
        return with_strings(mapping("values.yaml", self.files.get("values.yaml")))

    def find(self, name: str) -> bytes | None:
        """A file of the chart; None when there is none. Raises Failure."""
        if name in self.files or not self.path:
            return self.files.get(name)
        return read_files(self.path, name).get(name)

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


def is_interesting(path: PurePosixPath, also: str = "") -> bool:
    """Whether helm reads a file before it renders, or it is asked for by name."""
    inner = path
    while len(inner.parts) > 2 and inner.parts[0] == "charts":
        inner = PurePosixPath(*inner.parts[2:])
    names = ("Chart.yaml", "values.schema.json", "values*.y*ml")
    return str(path) == also or any(fnmatchcase(str(inner), name) for name in names)


def is_package(path: PurePosixPath) -> bool:
    """Whether a file of a chart is a subchart in a package."""
    return path.suffix == ".tgz" and len(path.parts) % 2 == 0 and set(path.parts[::2]) == {"charts"}


class Room:
    """How much may still be read of a chart: what is small in a package may be huge outside of it."""

    def __init__(self) -> None:
        self.bytes, self.files = MOST_BYTES, MOST_FILES

    def take(self, size: int = 0, files: int = 0) -> None:
        """Raises Failure when there is no more room."""
        self.bytes, self.files = self.bytes - size, self.files - files
        if self.bytes < 0:
            raise Failure(f"The chart is too large: it has more than {MOST_BYTES >> 20} MiB.")
        if self.files < 0:
            raise Failure(f"The chart is too large: it has more than {MOST_FILES} files.")


class Unpacked:
    """What is unpacked of a package, as a file that takes its room."""

    def __init__(self, packed: IO[bytes], room: Room) -> None:
        self.file, self.room = gzip.GzipFile(fileobj=packed), room

    def read(self, size: int) -> bytes:
        data = self.file.read(size)
        self.room.take(size=len(data))
        return data


def read_archive(packed: IO[bytes], room: Room, also: str = "") -> dict[str, bytes]:
    """The files of a packaged chart, without the directory that is around them. Raises Failure."""
    files: dict[str, bytes] = {}
    try:
        with tarfile.open(fileobj=Unpacked(packed, room), mode="r|") as archive:  # type: ignore[call-overload]
            for member in archive:
                room.take(files=1)
                path = PurePosixPath(*PurePosixPath(member.name).parts[1:])
                if member.isreg() and path.parts and (is_interesting(path, also) or is_package(path)):
                    files |= unpacked(path, archive.extractfile(member).read(), room)
    except (tarfile.TarError, EOFError, OSError, zlib.error) as error:
        raise Failure(f"The chart is not a package of helm: {error}") from None
    return files


def unpacked(path: PurePosixPath, data: bytes, room: Room) -> dict[str, bytes]:
    """A file as it is; of a package the files in it, as if it were a directory."""
    if not is_package(path):
        return {str(path): data}
    return {f"{path}/{name}": content for name, content in read_archive(io.BytesIO(data), room).items()}


def read_directory(directory: Path, room: Room, also: str = "") -> dict[str, bytes]:
    """The files of a chart in a directory; links out of it are left out. Raises Failure."""
    files: dict[str, bytes] = {}
    for path in sorted(directory.rglob("*")):
        inner = PurePosixPath(path.relative_to(directory).as_posix())
        if not (is_interesting(inner, also) or is_package(inner)):
            continue
        if path.is_file() and is_below(path, directory):
            room.take(size=path.stat().st_size, files=1)
            files |= unpacked(inner, path.read_bytes(), room)
    return files


def read_files(path: Path, also: str = "") -> dict[str, bytes]:
    """What is wanted of the chart at a path, directory or package. Raises Failure."""
    try:
        if path.is_dir():
            return read_directory(path, Room(), also)
        with path.open("rb") as packed:
            return read_archive(packed, Room(), also)
    except OSError as error:
        raise Failure(f"The chart in {path} cannot be read: {error.strerror}.") from None


def read(path: Path) -> Contents:
    """The chart at a path, directory or package. Raises Failure."""
    contents = Contents(read_files(path), path)
    if not contents.name:
        raise Failure(f"There is no chart in {path}: it has no Chart.yaml.")
    return contents
