"""Service specs as YAML: what is read, and what is refused with its line."""

import pytest
import yaml
from hspec_specs import TREES, loaded, minimal, problems, write
from hypothesis import given
from hypothesis import strategies as st

from octopod.hspec.errors import HspecError, ProfileError, SpecError
from octopod.hspec.spec import composing, load, reading
from octopod.hspec.spec.nodes import plain
from octopod.hspec.spec.reading import parse

HEAD = "name: web\nimage:\n  name: team/web\n"


def texts(text):
    return plain(parse(text, "x"))


@pytest.mark.parametrize(
    ("text", "line", "words"),
    [
        ("", 0, "empty"),
        ("# only a comment\n", 0, "empty"),
        ("---\n", 0, "empty"),
        ("~\n", 0, "empty"),
        ("- a\n- b\n", 1, "mapping is expected"),
        ("just text\n", 1, "mapping is expected"),
        ("a: 1\n---\nb: 2\n", 2, "second document"),
        ("a: 1\nb: 2\na: 3\n", 3, '"a" is there twice, first in line 1'),
        ("a:\n  b: 1\n  b: 2\n", 3, '"b" is there twice, first in line 2'),
        ("a: {b: 1,\n b: 2}\n", 2, '"b" is there twice'),
        ("a:\n\tb: 1\n", 2, "tab"),
        ("a: [1\nb: 2\n", 2, "no valid YAML"),
        ("a: 'open\n", 2, "no valid YAML"),
        ("a: b: c\n", 1, "no valid YAML"),
        ("a: 1\n b: 2\n", 2, "no valid YAML"),
        ("a: \x00\n", 1, "U+0000"),
        ("a: 1\nb: \x1b[0m\n", 2, "U+001B"),
        ("a: 1\nb: '\ufffe'\n", 2, "U+FFFE"),
        ('a: "\\0"\n', 1, "control character"),
        ('a: "\\e"\n', 1, "control character"),
        ("a: *nowhere\n", 1, "alias"),
        ("a: &x [*x]\n", 1, "alias"),
        ("a: &x\n  b: *x\n", 2, "alias"),
        ("a: !!python/object:os.system x\n", 1, "tag"),
        ("a: !secret x\n", 1, "tag"),
        ("a: !!binary aGk=\n", 1, "tag"),
        ("? [a]\n: b\n", 1, "key must be a text"),
        ("? {a: b}\n: b\n", 1, "key must be a text"),
        ("~: b\n", 1, "key must be a text"),
        ("a:\n  <<: 5\n", 2, "`<<`"),
        ("a:\n  <<: [{b: 1}, 5]\n", 2, "`<<`"),
        ("%YAML 7.0\n---\na: 1\n", 1, "no valid YAML"),
    ],
)
def test_what_is_ambiguous_or_no_yaml_is_refused_with_its_line(text, line, words, tmp_path):
    with pytest.raises(SpecError) as raised:
        load(write(tmp_path, text))
    assert any(problem.line == line and words in problem.message for problem in raised.value.problems), raised.value
    assert all(problem.file.endswith("web.hspec") for problem in raised.value.problems)
    assert raised.value.code == 15


def test_all_keys_that_are_there_twice_are_named_at_once():
    with pytest.raises(SpecError) as raised:
        parse("a: 1\na: 2\nb: {c: 1, c: 2}\nb: 3\n", "x")
    assert [problem.line for problem in raised.value.problems] == [2, 3, 4]


@pytest.mark.parametrize("text", ["a: &a [x,x,x,x,x,x,x,x,x]\n" + "".join(
    f"{letter}: &{letter} [{','.join([f'*{before}'] * 9)}]\n" for before, letter in zip("abcdefgh", "bcdefghi", strict=True)),
    "a: [" + "x," * 30_000 + "]\n",
    "a: " + "[" * 100_000,
    "a: " + "{b: " * 5_000,
    "a:\n" + "".join(" " * depth + "b:\n" for depth in range(1, 500)),
    "a0: &a0 x\n" + "".join(f"a{n + 1}: &a{n + 1} {'[' * 50}*a{n}{']' * 50}\n" for n in range(25)),
    "a: &a {x: 1}\n" + "".join(
        f"{letter}: &{letter} {{<<: [{','.join([f'*{before}'] * 9)}]}}\n" for before, letter in zip("abcdefgh", "bcdefghi", strict=True)),
])  # fmt: skip
def test_what_would_explode_is_refused(text):
    with pytest.raises(SpecError, match=r"more than|deeper than"):
        parse(text, "x")


def test_file_that_is_too_large_is_refused(tmp_path):
    with pytest.raises(SpecError, match="larger than 1 MiB"):
        load(write(tmp_path, "#" * (reading.LARGEST + 1)))


@pytest.mark.parametrize("content", [b"name: \xff\n", b"a: 1\nb: \xc3(\n", "name: web".encode("utf-16")])
def test_what_is_not_utf_8_is_refused(content, tmp_path):
    path = tmp_path / "web.hspec"
    path.write_bytes(content)
    with pytest.raises(SpecError, match="not UTF-8") as raised:
        load(path)
    assert raised.value.problems[0].line == content.count(b"\n", 0, content.find(b"\xc3")) + 1 or b"\xc3" not in content


def test_file_that_is_not_there_and_a_directory_are_refused(tmp_path):
    with pytest.raises(SpecError, match="no such file"):
        load(tmp_path / "nowhere.hspec")
    with pytest.raises(SpecError, match="no file"):
        load(tmp_path)
    with pytest.raises(SpecError, match="no such file"):
        load(tmp_path / ("x" * 5000))
    with pytest.raises(ProfileError, match="no such file"):
        loaded(tmp_path, minimal(), profile=tmp_path / "nowhere.hprof")


def test_byte_order_mark_and_windows_line_ends_are_read(tmp_path):
    path = tmp_path / "web.hspec"
    path.write_bytes(b"\xef\xbb\xbf" + HEAD.replace("\n", "\r\n").encode() + b"exernal: 1\r\n")
    service = load(path)
    assert service.image.name == "team/web"
    assert service.warnings[0].line == 4


@pytest.mark.parametrize(
    ("written", "value"),
    [
        ("1", 1), ("-7", -7), ("1.5", 1.5), ("true", True), ("false", False), ("null", None), ("~", None), ("", None),
        ("1.10", "1.10"), ("007", "007"), ("0o17", "0o17"), ("0x1F", "0x1F"), ("1_000", "1_000"), ("1e3", "1e3"),
        ("12:30:45", "12:30:45"), ("2026-01-01", "2026-01-01"), ("on", "on"), ("No", "No"), ("True", "True"),
        (".5", ".5"), (".inf", ".inf"), (".nan", ".nan"), ("+1", "+1"), ("-0", "-0"), ("1.0", 1.0), ('"1"', "1"),
        ("'true'", "true"), ("!!str 1", "1"), ("12345678901234567890", "12345678901234567890"), ("a b", "a b"),
        ("=", "="), ("<<", "<<"), ("!!int '3'", "3"),
    ],
)  # fmt: skip
def test_scalars_are_what_json_writes_alike_and_text_otherwise(written, value):
    found = texts(f"a: {written}\n")["a"]
    assert found == value
    assert type(found) is type(value)


def test_merge_keys_and_aliases_are_followed():
    text = "x: &x {a: 1, b: 2}\ny: &y {b: 3, c: 4}\nz:\n  <<: [*x, *y]\n  a: 0\nw:\n  <<: *y\nv: [*x, *x]\n"
    found = texts(text)
    assert found["z"] == {"a": 0, "b": 2, "c": 4}
    assert found["w"] == {"b": 3, "c": 4}
    assert found["v"] == [{"a": 1, "b": 2}] * 2


def test_lines_are_those_of_keys_also_behind_aliases():
    root = parse("x: &x\n  a: 1\ny:\n\n  b: *x\nz: |\n  one\n  two\nt: [1,\n 2]\n", "f")
    lines = {key: node.place.line for key, node in root.value.items()}
    assert lines == {"x": 1, "y": 3, "z": 6, "t": 9}
    assert root.value["y"].value["b"].place == ("f", 5)
    assert [item.place.line for item in root.value["t"].value] == [9, 10]


def test_secret_that_is_written_wrongly_is_not_repeated(tmp_path):
    for text in ("secrets: hunter2", "secrets: {A: !hunter2 x}", "secrets: {A: *hunter2 }", "secrets: [A=hunter2]",
                 "secrets: {A: [hunter2]}", "secrets: {A: 'hunter2}"):  # fmt: skip
        found = problems(tmp_path, HEAD + text + "\n")
        assert found
        assert "hunter2" not in str(found)


@given(st.text(max_size=200))
def test_any_text_is_read_or_refused(text):
    try:
        parse(text, "x")
    except SpecError as error:
        assert error.problems  # noqa: PT017 -- either outcome is right


def shape(node):
    """Texts, lists and mappings, of our nodes or of the library's."""
    if isinstance(node.value, dict):
        return {key: shape(child) for key, child in node.value.items()}
    if isinstance(node, yaml.MappingNode):
        return {key.value: shape(child) for key, child in node.value}
    return [shape(item) for item in node.value] if isinstance(node.value, list) else getattr(node, "text", node.value)


@given(st.text(st.sampled_from(list(":-?[]{},#&*!|>'\"%@` \nab1\t~")), max_size=60))
def test_any_yaml_is_read_as_the_library_reads_it_or_refused(text):
    try:
        found = parse(text, "x")
    except SpecError:
        return
    assert shape(found) == shape(yaml.compose(text, composing.LOADER))


@pytest.mark.parametrize("loader", [yaml.SafeLoader, getattr(yaml, "CSafeLoader", yaml.SafeLoader)])
def test_either_loader_reads_the_same(loader, monkeypatch, tmp_path):
    monkeypatch.setattr(composing, "LOADER", loader)
    assert texts("a: on\nb: 1\nc: 'x'\nd: [1, {e: f}]\n") == {"a": "on", "b": 1, "c": "x", "d": [1, {"e": "f"}]}
    assert len(problems(tmp_path, "a: [\n")) == 1


@given(TREES)
def test_any_tree_is_checked_without_failing(tmp_path_factory, tree):
    directory = tmp_path_factory.getbasetemp()
    try:
        loaded(
            directory, tree if isinstance(tree, dict) else {"name": tree, "image": tree, "ports": tree, "props": tree}
        )
    except HspecError as error:
        assert error.problems  # noqa: PT017 -- either outcome is right
