"""Unpacks bundles: gzipped tar archives, made by strangers.

Only files and directories come out, with a mode of ours and nobody's owner. Headers are read as POSIX.1-1988 (ustar),
POSIX.1-2001 (pax) and GNU tar write them. `tarfile` parses a header but does not read the archive: it keeps whatever an
extended header holds in memory, and offers much that is refused here.
"""

import errno
import gzip
import os
import re
import tarfile
import zlib
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import BinaryIO, NamedTuple, cast

BLOCK = tarfile.BLOCKSIZE
CHUNK = 65536
LONGEST_NAME = 1024
LONGEST_EXTRA = 1 << 20  # bytes of an extended header
OVERHEAD = 4096  # bytes of headers and padding that a member may take on average
FREE_OF_RATIO = 1 << 20  # a small archive of many empty files is packed very tightly and harms nobody
DIRECTORY = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW
NEW_FILE = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW
FILES = (tarfile.REGTYPE, tarfile.AREGTYPE, tarfile.CONTTYPE)
PAX = (tarfile.XHDTYPE, tarfile.SOLARIS_XHDTYPE)
EXTRAS = (*PAX, tarfile.XGLTYPE, tarfile.GNUTYPE_LONGNAME, tarfile.GNUTYPE_LONGLINK)
SPARSE = b"GNU.sparse."
OTHERS = {
    tarfile.SYMTYPE: "a symbolic link",
    tarfile.LNKTYPE: "a hard link",
    tarfile.CHRTYPE: "a device",
    tarfile.BLKTYPE: "a device",
    tarfile.FIFOTYPE: "a named pipe",
    tarfile.GNUTYPE_SPARSE: "a sparse file",
}
RECORD = re.compile(rb"(\d{1,9}) ([^=]+)=")
BAD_NAMES = {
    "is empty": re.compile(r"\A\Z"),
    "is absolute": re.compile(r"\A/"),
    "leads upwards": re.compile(r"(\A|/)\.\.(/|\Z)"),
    "has an empty step": re.compile(r"//|/\Z"),
    "has a control character in it": re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029]"),
    "is not UTF-8": re.compile(r"[\ud800-\udfff]"),
}


class BadArchive(Exception):
    """Why an archive is not unpacked: a sentence that begins with "the archive"."""


class Limits(NamedTuple):
    """How much may come out of an archive."""

    size: int  # bytes of all files together
    members: int  # files and directories
    ratio: int  # bytes unpacked for each byte of the archive
    depth: int  # steps of a name: a/b/c has three


class Member(NamedTuple):
    """A file or a directory, as the archive describes it."""

    name: str
    is_directory: bool
    is_executable: bool
    size: int


def unpack(archive: Path, directory: Path, limits: Limits) -> None:
    """Unpack into a directory, which may be there already; files get mode 0600 or 0700, directories 0700.

    Raises BadArchive; what had come out by then is left in the directory, and nothing ever is outside of it.
    """
    directory.mkdir(mode=0o700, exist_ok=True)
    top = os.open(directory, DIRECTORY)
    try:
        with gzip.open(archive) as file:
            stream = Stream(cast(BinaryIO, file), archive.stat().st_size, limits)
            tree = Tree(top, limits)
            for member in read_members(stream):
                tree.add(member, stream)
            stream.finish()
    finally:
        os.close(top)


class Stream:
    """The tar inside of the gzip, and never more of it than is allowed."""

    def __init__(self, file: BinaryIO, packed: int, limits: Limits) -> None:
        self.file = file
        self.position = 0
        self.limit, self.too_much = min(
            (limits.size + limits.members * OVERHEAD, f"unpacks to more than {limits.size:,} bytes"),
            (max(limits.ratio * packed, FREE_OF_RATIO), f"unpacks to more than {limits.ratio:,} times its size"),
        )

    def read(self, size: int) -> bytes:
        """The next `size` bytes, all of them."""
        return b"".join(self.pieces(size))

    def pieces(self, size: int) -> Iterator[bytes]:
        """The next `size` bytes, a handy piece at a time."""
        while size:
            piece = self._take(size)
            if not piece:
                raise BadArchive("the archive is cut off")
            size -= len(piece)
            yield piece

    def skip_padding(self, size: int) -> None:
        """Go to the end of the block in which `size` bytes have ended."""
        self.read(-size % BLOCK)

    def finish(self) -> None:
        """See that nothing but padding is left. Only then it is certain that the gzip is whole."""
        while piece := self._take(CHUNK):
            if piece.count(0) < len(piece):
                raise BadArchive("the archive has something behind its end")

    def _take(self, size: int) -> bytes:
        try:
            piece = self.file.read(min(size, CHUNK))
        except EOFError:
            raise BadArchive("the archive is cut off") from None
        except (gzip.BadGzipFile, zlib.error):
            raise BadArchive(f"the archive is {'damaged' if self.position else 'not gzipped'}") from None
        self.position += len(piece)
        if self.position > self.limit:
            raise BadArchive(f"the archive {self.too_much}")
        return piece


class Tree:
    """A directory to be filled. Names are followed step by step from its top, so that none leads out of it."""

    def __init__(self, top: int, limits: Limits) -> None:
        self.top = top
        self.limits = limits
        self.size = self.members = 0

    def add(self, member: Member, stream: Stream) -> None:
        """Make the directory, or the file with what the stream has for it."""
        steps = steps_of(member.name)
        if len(steps) > self.limits.depth:
            raise BadArchive(
                f"the archive holds {shown(member.name)}, which is more than {self.limits.depth} levels deep"
            )
        try:
            if member.is_directory:
                os.close(self._enter(steps))
            else:
                self._add_file(steps, member, stream)
        except FileExistsError:
            raise BadArchive(f"the archive holds {shown(member.name)} twice") from None
        except NotADirectoryError:
            raise BadArchive(f"the archive holds {shown(member.name)}, but a file is in its way") from None
        except OSError as error:
            if error.errno != errno.ENAMETOOLONG:
                raise
            raise BadArchive(f"the archive holds {shown(member.name)}: the name is too long") from None

    def _add_file(self, steps: list[str], member: Member, stream: Stream) -> None:
        self.size += member.size
        if self.size > self.limits.size:
            raise BadArchive(f"the archive unpacks to more than {self.limits.size:,} bytes")
        with os.fdopen(self._create(steps, 0o700 if member.is_executable else 0o600), "wb") as file:
            for piece in stream.pieces(member.size):
                file.write(piece)

    def _create(self, steps: list[str], mode: int) -> int:
        """A new file, open."""
        *above, name = steps or [os.curdir]  # the top itself, which is there
        self._count()
        here = self._enter(above)
        try:
            return os.open(name, NEW_FILE, mode, dir_fd=here)
        finally:
            os.close(here)

    def _enter(self, steps: list[str]) -> int:
        """A directory, open; it and those above it are made where they are missing."""
        here = os.dup(self.top)
        for step in steps:
            here = self._step(here, step)
        return here

    def _step(self, here: int, name: str) -> int:
        try:
            with suppress(FileExistsError):
                os.mkdir(name, 0o700, dir_fd=here)
                self._count()
            return os.open(name, DIRECTORY, dir_fd=here)
        finally:
            os.close(here)

    def _count(self) -> None:
        self.members += 1
        if self.members > self.limits.members:
            raise BadArchive(f"the archive holds more than {self.limits.members:,} files and directories")


def steps_of(name: str) -> list[str]:
    """The steps of a name from the top of the bundle; none for the top itself. Raises BadArchive."""
    for problem, pattern in BAD_NAMES.items():
        if pattern.search(name):
            raise BadArchive(f"the archive holds {shown(name)}: the name {problem}")
    if len(name.encode()) > LONGEST_NAME:
        raise BadArchive(f"the archive holds {shown(name)}: the name is too long")
    return [step for step in name.split("/") if step != "."]


def shown(name: str) -> str:
    """A name as a sentence may quote it, whatever is in it."""
    return repr(name if len(name) <= 100 else name[:99] + "…")


def read_members(stream: Stream) -> Iterator[Member]:
    """What the archive holds. Whoever takes a file reads its content from the stream before taking the next member."""
    extra: dict[bytes, bytes] = {}
    while (block := stream.read(BLOCK)).count(0) < BLOCK:
        header = _parse(block, stream.position == BLOCK)
        if header.type in EXTRAS:
            extra |= _read_extra(header, stream)
            continue
        member = _describe(header, extra)
        yield member
        stream.skip_padding(member.size)
        extra = {}


def _parse(block: bytes, is_first: bool) -> tarfile.TarInfo:
    try:
        header = tarfile.TarInfo.frombuf(block, "utf-8", "surrogateescape")
    except tarfile.HeaderError:
        raise BadArchive("the archive is gzipped, but not a tar" if is_first else "the archive is damaged") from None
    if header.size < 0:
        raise BadArchive("the archive is damaged")
    return header


def _read_extra(header: tarfile.TarInfo, stream: Stream) -> dict[bytes, bytes]:
    """What an extended header says about the member after it, as pax records."""
    if header.size > LONGEST_EXTRA:
        raise BadArchive(
            f"the archive holds an extended header of {header.size:,} bytes, at most {LONGEST_EXTRA:,} are read"
        )
    body = stream.read(header.size)
    stream.skip_padding(header.size)
    if header.type == tarfile.GNUTYPE_LONGNAME:
        return {b"path": body.rstrip(b"\0")}
    return _records(body) if header.type in PAX else {}


def _records(body: bytes) -> dict[bytes, bytes]:
    """Those pax records that matter here. Each is its length in bytes, a space, KEY=VALUE and a newline."""
    found, at = {}, 0
    while at < len(body):
        match = RECORD.match(body, at)
        end = at + int(match[1]) if match else 0
        if not match or end <= match.end() or body[end - 1 : end] != b"\n":
            raise BadArchive("the archive is damaged")
        if match[2] in (b"path", b"size") or match[2].startswith(SPARSE):
            found[match[2]] = body[match.end() : end - 1]
        at = end
    return found


def _describe(header: tarfile.TarInfo, extra: dict[bytes, bytes]) -> Member:
    name = extra[b"path"].decode(errors="surrogateescape") if b"path" in extra else header.name
    kind = tarfile.GNUTYPE_SPARSE if any(key.startswith(SPARSE) for key in extra) else header.type
    if kind == tarfile.DIRTYPE:
        return Member(name.removesuffix("/"), True, True, 0)
    if kind in FILES:
        return Member(name, False, bool(header.mode & 0o100), _size(header, extra))
    what = OTHERS.get(kind, "something of an unknown kind")
    raise BadArchive(f"the archive holds {what}, {shown(name)}: only files and directories are taken")


def _size(header: tarfile.TarInfo, extra: dict[bytes, bytes]) -> int:
    size = extra.get(b"size", b"%d" % header.size)
    if not size.isdigit() or len(size) > 20:
        raise BadArchive("the archive is damaged")
    return int(size)
