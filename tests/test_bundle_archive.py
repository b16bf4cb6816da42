"""Unpacking bundles: what GNU tar packs comes out again, and nothing that strangers pack does any harm."""

import gzip
import io
import os
import subprocess
import tarfile
import tempfile
import tracemalloc
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as some

from octopod.bundle.archive import BadArchive, Limits, unpack

MEBIBYTE = 1 << 20
LIMITS = Limits(size=MEBIBYTE, members=100, ratio=200, depth=8)
LARGE = LIMITS._replace(size=1 << 40)
END = bytes(1024)
MOST_MEMORY = 16 * MEBIBYTE
ONLY = ": only files and directories are taken"


@pytest.fixture
def yard(tmp_path: Path) -> Path:
    """A directory in which nothing but `work` may appear."""
    yard = tmp_path / "yard"
    yard.mkdir()
    return yard


# --- making archives


def gnu_tar(source: Path, *options: str, what: str = ".") -> bytes:
    """What GNU tar makes of a directory."""
    command = ["bash", "-O", "dotglob", "-c", f'tar "$@" -zcf - -- {what}', "tar", *options]
    return subprocess.run(command, cwd=source, stdout=subprocess.PIPE, check=True).stdout


def header(name: str = "file", kind: bytes = tarfile.REGTYPE, size: int = 0, **fields: Any) -> bytes:
    info = tarfile.TarInfo(name)
    info.type, info.size = kind, size
    for field, value in fields.items():
        setattr(info, field, value)
    return info.tobuf(tarfile.GNU_FORMAT, "utf-8", "surrogateescape")


def entry(name: str = "file", content: bytes = b"", kind: bytes = tarfile.REGTYPE, **fields: Any) -> bytes:
    return header(name, kind, len(content), **fields) + content + bytes(-len(content) % 512)


def pax(name: str = "file", content: bytes = b"", **records: str) -> bytes:
    """A file with an extended header before it."""
    info = tarfile.TarInfo(name)
    info.size, info.pax_headers = len(content), records
    return info.tobuf(tarfile.PAX_FORMAT, "utf-8", "surrogateescape") + content + bytes(-len(content) % 512)


def records(*lines: bytes) -> bytes:
    return entry("x", b"".join(lines), tarfile.XHDTYPE) + entry()


def zipped(*parts: bytes) -> bytes:
    return gzip.compress(b"".join(parts), 6, mtime=0)


def unpacked(yard: Path, packed: bytes, limits: Limits = LIMITS) -> Path:
    archive = yard.parent / "bundle.tgz"
    archive.write_bytes(packed)
    unpack(archive, yard / "work", limits)
    return yard / "work"


def refusal(yard: Path, packed: bytes, limits: Limits = LIMITS) -> str:
    """Why an archive is refused, which leaves nothing outside of its directory, nor anything strange in it."""
    with pytest.raises(BadArchive) as refused:
        unpacked(yard, packed, limits)
    assert {path.name for path in yard.iterdir()} <= {"work"}
    found = list((yard / "work").rglob("*"))
    assert all(not path.is_symlink() and (path.is_dir() or path.is_file()) for path in found)
    assert sum(path.stat().st_size for path in found if path.is_file()) <= limits.size
    sentence = str(refused.value)
    assert sentence.startswith("the archive ") and sentence.isprintable() and len(sentence) < 300
    return sentence


def contents(top: Path) -> dict[str, tuple[bool, bytes] | None]:
    """What is in a directory: of each file whether it is executable, and its bytes."""
    return {
        str(path.relative_to(top)): None if path.is_dir() else (bool(path.stat().st_mode & 0o100), path.read_bytes())
        for path in top.rglob("*")
    }


# --- what comes out


def make_tree(top: Path, long: bool = True) -> Path:
    """A directory with all that a bundle may have in it."""
    for name in ("lib/deep/deeper", "empty", "tests"):
        (top / name).mkdir(parents=True)
    for name in ("deploy.py", ".hidden", "lib/a b.txt", "lib/deep/deeper/-dash", "tests/été.yml", "tests/emptyfile"):
        (top / name).write_text(name * 1000 if "empty" not in name else "")
    (top / "run.sh").write_text("#!/bin/bash\n")
    (top / "run.sh").chmod(0o4755)
    if long:
        path = top / ("d" * 120) / ("e" * 120) / ("ü" * 110)
        path.parent.mkdir(parents=True)
        path.write_text("long")
    return top


@pytest.mark.parametrize("what", [".", "*", "./*"])
@pytest.mark.parametrize("format", ["gnu", "oldgnu", "pax", "ustar", "v7"])
def test_what_gnu_tar_packs_comes_out(yard, tmp_path, format, what):
    source = make_tree(tmp_path / "source", long=format not in ("ustar", "v7"))
    work = unpacked(yard, gnu_tar(source, f"--format={format}", what=what))
    assert contents(work) == contents(source)


@pytest.mark.parametrize("option", ["--owner=nobody:65534", "--numeric-owner", "--mtime=@0", "--no-recursion"])
def test_options_of_gnu_tar_do_not_matter(yard, tmp_path, option):
    source = make_tree(tmp_path / "source")
    work = unpacked(yard, gnu_tar(source, option))
    assert contents(work) == (contents(source) if option != "--no-recursion" else {})


@pytest.mark.parametrize(
    "packed",
    [zipped(END), zipped(bytes(10240)), zipped(entry(".", kind=tarfile.DIRTYPE), END)],
    ids=["end", "record", "top"],
)
def test_archive_without_members_is_empty(yard, packed):
    assert contents(unpacked(yard, packed)) == {}


def test_everything_belongs_to_us_and_to_us_alone(yard):
    parts = [
        entry("plain", b"x", mode=0o666, uid=12345, gid=12345),
        entry("setuid", b"x", mode=0o7755),
        entry("open", kind=tarfile.DIRTYPE, mode=0o1777),
        entry("none", kind=tarfile.DIRTYPE, mode=0),
        entry("none/inside", b"x", mode=0),
    ]
    work = unpacked(yard, zipped(*parts, END))
    modes = {path.name: oct(path.stat().st_mode & 0o7777) for path in [work, *work.rglob("*")]}
    assert modes == {
        "work": "0o700", "plain": "0o600", "setuid": "0o700", "open": "0o700", "none": "0o700", "inside": "0o600",
    }  # fmt: skip
    assert {path.stat().st_uid for path in work.rglob("*")} == {os.geteuid()}


@pytest.mark.parametrize("name", ["./a/b", "a/./b", "././a/b", "a/b"])
def test_steps_that_go_nowhere_are_left_out(yard, name):
    assert contents(unpacked(yard, zipped(entry(name, b"x"), END))) == {"a": None, "a/b": (False, b"x")}


def test_directory_may_come_after_what_is_in_it_and_again(yard):
    parts = [entry("a/b", b"x"), entry("a", kind=tarfile.DIRTYPE), entry("a/", kind=tarfile.DIRTYPE)]
    assert contents(unpacked(yard, zipped(*parts, END))) == {"a": None, "a/b": (False, b"x")}


def test_names_that_differ_in_case_are_two(yard):
    assert set(contents(unpacked(yard, zipped(entry("a"), entry("A"), END)))) == {"a", "A"}


def test_pax_records_count_before_the_header(yard):
    body = entry("short", b"12345")
    extended = [b"20 path=long/name.x\n", b"9 size=5\n", b"13 other=a=b\n"]
    parts = [entry("x", b"".join(extended), tarfile.XHDTYPE), body, entry("g", b"14 path=wrong\n", tarfile.XGLTYPE)]
    work = unpacked(yard, zipped(*parts, entry("next"), END))
    assert contents(work) == {"long": None, "long/name.x": (False, b"12345"), "next": (False, b"")}


@pytest.mark.parametrize("cut", [1, 300, 512, 1500])
def test_gzip_may_have_several_members_and_zeros_behind_it(yard, cut):
    tar = entry("file", b"x" * 1000) + END
    assert contents(unpacked(yard, zipped(tar[:cut]) + zipped(tar[cut:]) + bytes(500))) == {
        "file": (False, b"x" * 1000)
    }


def test_lone_block_of_zeros_ends_an_archive(yard):
    assert set(contents(unpacked(yard, zipped(entry("a"), bytes(512))))) == {"a"}


name_texts = some.text(
    some.characters(exclude_categories=("C", "Zl", "Zp"), exclude_characters="/"), min_size=1, max_size=40
)
names = name_texts.filter(lambda name: name not in (".", "..")).map(
    lambda name: name.encode()[:200].decode(errors="ignore")
)
trees = some.recursive(
    some.dictionaries(names, some.binary(max_size=2000), max_size=4),
    lambda inner: some.dictionaries(names, some.one_of(some.binary(max_size=2000), inner), max_size=4),
    max_leaves=12,
)


def plant(top: Path, tree: dict[str, Any]) -> None:
    top.mkdir()
    for name, value in tree.items():
        if isinstance(value, dict):
            plant(top / name, value)
        else:
            (top / name).write_bytes(value)


@given(tree=trees, format=some.sampled_from(["gnu", "pax"]))
def test_any_tree_comes_out_as_it_was(tree, format):
    with tempfile.TemporaryDirectory() as name:
        plant(Path(name) / "source", tree)
        (yard := Path(name) / "yard").mkdir()
        work = unpacked(yard, gnu_tar(Path(name) / "source", f"--format={format}"), LIMITS._replace(depth=100))
        assert contents(work) == contents(Path(name) / "source")


# --- what is refused

STRANGE = {
    "symbolic link": (entry("latest", kind=tarfile.SYMTYPE, linkname="/etc"), "a symbolic link, 'latest'" + ONLY),
    "hard link": (entry("a") + entry("b", kind=tarfile.LNKTYPE, linkname="a"), "a hard link, 'b'" + ONLY),
    "character device": (entry("null", kind=tarfile.CHRTYPE, devmajor=1, devminor=3), "a device, 'null'" + ONLY),
    "block device": (entry("disk", kind=tarfile.BLKTYPE, devmajor=8), "a device, 'disk'" + ONLY),
    "pipe": (entry("pipe", kind=tarfile.FIFOTYPE), "a named pipe, 'pipe'" + ONLY),
    "sparse file": (entry("hole", kind=tarfile.GNUTYPE_SPARSE), "a sparse file, 'hole'" + ONLY),
    "sparse file of pax": (pax("hole", **{"GNU.sparse.major": "1"}), "a sparse file, 'hole'" + ONLY),
    "label": (entry("label", kind=b"V"), "something of an unknown kind, 'label'" + ONLY),
    "link in pax": (pax("x", path="y", linkpath="/etc") + entry("l", kind=b"2"), "a symbolic link, 'l'" + ONLY),
    "absolute name": (entry("/etc/passwd", b"x"), "'/etc/passwd': the name is absolute"),
    "root": (entry("/", kind=tarfile.DIRTYPE), "'': the name is empty"),
    "upwards": (entry("../up", b"x"), "'../up': the name leads upwards"),
    "upwards later": (entry("a/../../up", b"x"), "'a/../../up': the name leads upwards"),
    "only upwards": (entry("..", kind=tarfile.DIRTYPE), "'..': the name leads upwards"),
    "upwards in pax": (pax("a", path="../up"), "'../up': the name leads upwards"),
    "absolute in pax": (pax("a", path="/tmp/up"), "'/tmp/up': the name is absolute"),
    "upwards in a long name": (entry("L", b"a/../b\0", tarfile.GNUTYPE_LONGNAME) + entry(), "'a/../b': the name leads upwards"),
    "empty step": (entry("a//b", b"x"), "'a//b': the name has an empty step"),
    "file like a directory": (pax("a", path="a/"), "'a/': the name has an empty step"),
    "empty name": (entry("", b"x"), "'': the name is empty"),
    "file that is the top": (entry(".", b"x"), "'.' twice"),
    "newline": (entry("a\nb", b"x"), "'a\\nb': the name has a control character in it"),
    "escape": (entry("a\x1b[2Jb", b"x"), "'a\\x1b[2Jb': the name has a control character in it"),
    "line separator": (entry("a\u2028b", b"x"), "'a\\u2028b': the name has a control character in it"),
    "NUL": (pax("a", path="a\0b"), "'a\\x00b': the name has a control character in it"),
    "NUL in a long name": (
        entry("L", b"a\0b\0", tarfile.GNUTYPE_LONGNAME) + entry(),
        "'a\\x00b': the name has a control character in it",
    ),
    "not UTF-8": (entry("caf\udce9", b"x"), "'caf\\udce9': the name is not UTF-8"),
    "not UTF-8 in pax": (records(b"11 path=\xff\xfe\n"), "'\\udcff\\udcfe': the name is not UTF-8"),
    "twice": (entry("a", b"1") + entry("a", b"2"), "'a' twice"),
    "twice in two ways": (entry("a", b"1") + entry("./a", b"2"), "'./a' twice"),
    "file, then directory": (entry("a") + entry("a", kind=tarfile.DIRTYPE), "'a', but a file is in its way"),
    "directory, then file": (entry("a", kind=tarfile.DIRTYPE) + entry("a"), "'a' twice"),
    "below a file": (entry("a") + entry("a/b"), "'a/b', but a file is in its way"),
    "deep": (entry("1/2/3/4/5/6/7/8/9"), "'1/2/3/4/5/6/7/8/9', which is more than 8 levels deep"),
    "long step": (pax(path="s" * 300), f"'{'s' * 99}…': the name is too long"),
    "long name": (pax(path="/".join(["s" * 250] * 5)), f"'{'s' * 99}…': the name is too long"),
}  # fmt: skip


@pytest.mark.parametrize(("parts", "sentence"), STRANGE.values(), ids=STRANGE)
def test_strange_member_is_refused(yard, parts, sentence):
    assert refusal(yard, zipped(parts, END)) == f"the archive holds {sentence}"


def test_link_is_not_followed_even_if_it_was_there_before(yard, tmp_path):
    (yard / "work").mkdir()
    (tmp_path / "elsewhere").mkdir()
    (yard / "work/link").symlink_to(tmp_path / "elsewhere")
    (yard / "work/file").symlink_to(tmp_path / "file")
    for name in ("link/a", "file", "link"):
        with pytest.raises(BadArchive, match=r"twice|in its way"):
            unpacked(yard, zipped(entry(name, b"x"), END))
    assert not (tmp_path / "file").exists() and list((tmp_path / "elsewhere").iterdir()) == []


@pytest.mark.parametrize(
    "format", ["gnu", "pax --sparse-version=0.0", "pax --sparse-version=0.1", "pax --sparse-version=1.0"]
)
def test_sparse_file_of_gnu_tar_is_refused(yard, tmp_path, format):
    (source := tmp_path / "source").mkdir()
    with (source / "hole").open("wb") as file:
        file.truncate(10 * MEBIBYTE)
        file.write(b"x")
    sentence = refusal(yard, gnu_tar(source, "--sparse", "--hole-detection=raw", *f"--format={format}".split()))
    assert sentence.startswith("the archive holds a sparse file")


GOOD = entry("file", bytes(range(256)) * 8)
DAMAGED = {
    "nothing": (b"", "is cut off"),
    "not gzipped": (GOOD + END, "is not gzipped"),
    "text": (b"hello world", "is not gzipped"),
    "zip": (b"PK\x03\x04" + bytes(100), "is not gzipped"),
    "gzip of nothing": (zipped(), "is cut off"),
    "gzip of text": (zipped(b"hello world " * 100), "is gzipped, but not a tar"),
    "gzip of gzip": (zipped(os.urandom(100) * 8), "is gzipped, but not a tar"),
    "no end": (zipped(GOOD), "is cut off"),
    "no content": (zipped(header(size=5000)), "is cut off"),
    "half a header": (zipped(GOOD, header()[:100]), "is cut off"),
    "second header is none": (zipped(GOOD, b"x" * 512, END), "is damaged"),
    "negative size": (zipped(header(size=-512), END), "is damaged"),
    "negative size of an extended header": (zipped(header(kind=tarfile.XHDTYPE, size=-512), GOOD, END), "is damaged"),
    "no number in pax": (zipped(records(b"x path=a\n"), END), "is damaged"),
    "no length in pax": (zipped(records(b"0 path=a\n"), END), "is damaged"),
    "too long in pax": (zipped(records(b"99 path=a\n"), END), "is damaged"),
    "strange size in pax": (zipped(pax(size="-5"), END), "is damaged"),
    "endless size in pax": (zipped(pax(size="9" * 5000), END), "is damaged"),
    "garbage behind the gzip": (zipped(GOOD, END) + b"garbage", "is damaged"),
    "second archive behind it": (zipped(GOOD, END) * 2, "has something behind its end"),
    "wrong checksum": (zipped(GOOD, END)[:-8] + bytes(8), "is damaged"),
}


@pytest.mark.parametrize(("packed", "sentence"), DAMAGED.values(), ids=DAMAGED)
def test_damaged_archive_is_refused(yard, packed, sentence):
    assert refusal(yard, packed) == f"the archive {sentence}"


def test_archive_is_refused_wherever_it_is_cut_off(tmp_path):
    packed = zipped(entry("a", os.urandom(600)), entry("b", os.urandom(600)), END)
    for size in range(2, len(packed)):
        (yard := tmp_path / f"{size}/yard").mkdir(parents=True)
        assert refusal(yard, packed[:size]) == "the archive is cut off"


@given(at=some.integers(0, 2047), byte=some.integers(0, 255), more=some.binary(max_size=12))
def test_any_change_of_the_tar_is_taken_or_refused(at, byte, more):
    tar = bytearray(pax("dir/file", b"content", path="dir/other") + END)
    tar[at : at + 1 + len(more)] = bytes([byte]) + more
    with tempfile.TemporaryDirectory() as name:
        (yard := Path(name) / "yard").mkdir()
        try:
            unpacked(yard, zipped(bytes(tar)))
        except BadArchive:
            refusal(yard, zipped(bytes(tar)))


# --- bombs


def endless(part: bytes, size: int) -> bytes:
    """`part` again and again, gzipped without holding all of it."""
    file = io.BytesIO()
    with gzip.GzipFile(fileobj=file, mode="wb", compresslevel=1) as zip:
        for _ in range(size // len(part)):
            zip.write(part)
    return file.getvalue()


def with_zeros(head: bytes, size: int) -> bytes:
    return zipped(head) + endless(bytes(MEBIBYTE), size) + zipped(END)


def many(name: str, count: int, kind: bytes = tarfile.REGTYPE) -> bytes:
    return zipped(*(entry(name.format(number), kind=kind) for number in range(count)), END)


HUGE = 100 * MEBIBYTE
BOMBS: dict[str, tuple[Callable[[], bytes], Limits, str]] = {
    "file": (lambda: with_zeros(header(size=10 * MEBIBYTE), 10 * MEBIBYTE), LIMITS, "unpacks to more than 1,048,576 bytes"),
    "dense file": (
        lambda: with_zeros(header(size=HUGE), HUGE),
        LARGE,
        "unpacks to more than 200 times its size",
    ),
    "two files": (
        lambda: zipped(entry("a", os.urandom(700_000)), entry("b", os.urandom(700_000)), END),
        LIMITS,
        "unpacks to more than 1,048,576 bytes",
    ),
    "promise": (lambda: zipped(header(size=1 << 60)), LIMITS, "unpacks to more than 1,048,576 bytes"),
    "promise in pax": (lambda: zipped(pax(size=str(1 << 60))), LIMITS, "unpacks to more than 1,048,576 bytes"),
    "files": (lambda: many("file{}", 101), LIMITS, "holds more than 100 files and directories"),
    "directories": (lambda: many("dir{}", 101, tarfile.DIRTYPE), LIMITS, "holds more than 100 files and directories"),
    "nested": (lambda: many("{0}/a/b/c/d", 30), LIMITS, "holds more than 100 files and directories"),
    "pax header": (
        lambda: with_zeros(header(kind=tarfile.XHDTYPE, size=HUGE), HUGE),
        LARGE,
        "holds an extended header of 104,857,600 bytes, at most 1,048,576 are read",
    ),
    "long name": (
        lambda: with_zeros(header(kind=tarfile.GNUTYPE_LONGNAME, size=HUGE), HUGE),
        LARGE,
        "holds an extended header of 104,857,600 bytes, at most 1,048,576 are read",
    ),
    "global headers": (
        lambda: endless(entry("g", bytes(MEBIBYTE), tarfile.XGLTYPE), HUGE),
        LIMITS,
        "unpacks to more than 1,048,576 bytes",
    ),
    "same directory": (
        lambda: endless(entry("dir", kind=tarfile.DIRTYPE), 4 * MEBIBYTE),
        LIMITS,
        "unpacks to more than 1,048,576 bytes",
    ),
    "zeros at the end": (lambda: with_zeros(entry() + END, HUGE), LIMITS, "unpacks to more than 1,048,576 bytes"),
    "dense zeros at the end": (lambda: with_zeros(entry() + END, HUGE), LARGE, "unpacks to more than 200 times its size"),
}  # fmt: skip


@pytest.fixture
def little_memory() -> Iterator[None]:
    tracemalloc.start()
    yield
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < MOST_MEMORY


@pytest.mark.parametrize("bomb", BOMBS)
def test_bomb_does_not_go_off(yard, bomb, request):
    make, limits, sentence = BOMBS[bomb]
    packed = make()
    request.getfixturevalue("little_memory")
    assert refusal(yard, packed, limits) == f"the archive {sentence}"


def test_records_that_do_not_matter_are_not_kept(yard, request):
    packed = zipped(records(b"8 0000=\n", *(b"9 %04d=x\n" % (number % 10_000) for number in range(100_000))), END)
    request.getfixturevalue("little_memory")
    assert set(contents(unpacked(yard, packed))) == {"file"}


def test_what_just_fits_is_taken(yard):
    parts = [entry(f"{number}/file", bytes(range(256)) * 64) for number in range(50)]
    limits = Limits(size=50 * 256 * 64, members=100, ratio=1000, depth=2)
    assert len(contents(unpacked(yard, zipped(*parts, END), limits))) == 100


def test_small_archive_may_be_packed_as_tightly_as_it_can(yard):
    packed = many("file{}", 100)
    assert len(packed) * 5 < 100 * 512
    assert len(contents(unpacked(yard, packed, LIMITS._replace(ratio=1)))) == 100
