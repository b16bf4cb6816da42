"""Pieces put into trees at a path."""

import copy
from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from octopod.hspec.manifests.tree import InjectionError, inject, parse

# tree before, path, content, tree afterwards
CASES = {
    "a path of one key sets it": ({}, "kind", "Service", {"kind": "Service"}),
    "a path of one key replaces what is there": ({"a": {"b": 1}}, "a", {"c": 2}, {"a": {"c": 2}}),
    "a path of one key replaces a list as well": ({"a": [1]}, "a", [2], {"a": [2]}),
    "missing parents grow": ({}, "spec.template.name", "x", {"spec": {"template": {"name": "x"}}}),
    "present parents keep what they have": ({"a": {"x": 1}}, "a.b.c", 2, {"a": {"x": 1, "b": {"c": 2}}}),
    "a missing parent with an index becomes a list": ({}, "a[0].b", 1, {"a": [{"b": 1}]}),
    "it is filled up to the index": ({}, "a[2].b", 1, {"a": [{}, {}, {"b": 1}]}),
    "a present list is filled up too": ({"a": [{"x": 1}]}, "a[2].b", 1, {"a": [{"x": 1}, {}, {"b": 1}]}),
    "an element that is there is gone into": ({"a": [{"x": 1}]}, "a[0].b", 1, {"a": [{"x": 1, "b": 1}]}),
    "what filled a list up can grow": ({"a": [{}]}, "a[0].b.c", 1, {"a": [{"b": {"c": 1}}]}),
    "lists below lists": ({}, "a[1].b[1].c", 1, {"a": [{}, {"b": [{}, {"c": 1}]}]}),
    "a list is appended to a list": ({"a": {"b": [1]}}, "a.b", [2, 3], {"a": {"b": [1, 2, 3]}}),
    "a value is appended to a list": ({"a": {"b": [1]}}, "a.b", 2, {"a": {"b": [1, 2]}}),
    "a map is appended to a list": ({"a": {"b": []}}, "a.b", {"c": 1}, {"a": {"b": [{"c": 1}]}}),
    "a list where nothing is": ({}, "a.b", [1, 2], {"a": {"b": [1, 2]}}),
    "a map replaces a map whole": ({"a": {"b": {"x": 1}}}, "a.b", {"y": 2}, {"a": {"b": {"y": 2}}}),
    "a value replaces a map": ({"a": {"b": {"x": 1}}}, "a.b", 3, {"a": {"b": 3}}),
    "a list replaces a value": ({"a": {"b": 3}}, "a.b", [1], {"a": {"b": [1]}}),
    "nothing counts as missing": ({"a": None}, "a.b", 1, {"a": {"b": 1}}),
    "an element can be the end": ({}, "a[1]", "x", {"a": [{}, "x"]}),
    "and is replaced": ({"a": [{"x": 1}]}, "a[0]", {"y": 1}, {"a": [{"y": 1}]}),
    "a key with dots is quoted": ({}, 'a."hyscale.io/x".b', 1, {"a": {"hyscale.io/x": {"b": 1}}}),
    "a quoted key at the end": ({"a": {"k": 1}}, 'a."b.c/d[0]"', 1, {"a": {"k": 1, "b.c/d[0]": 1}}),
    "a quoted key with an index": ({}, '"a.b"[1].c', 1, {"a.b": [{}, {"c": 1}]}),
    "a text that looks like a number stays a text": ({}, "a.b", "3", {"a": {"b": "3"}}),
    "tuples become lists": ({"a": {"b": ["x"]}}, "a.b", ("y",), {"a": {"b": ["x", "y"]}}),
}
REFUSED = {
    "an index over a map": ({"a": {"b": 1}}, "a[0].c"),
    "an index over a value": ({"a": 1}, "a[0]"),
    "a key below a list": ({"a": [1]}, "a.b.c"),
    "a key below a value": ({"a": "text"}, "a.b"),
    "a key below a value that is an element": ({"a": ["text"]}, "a[0].b"),
    "an index beyond reason": ({}, "a[1000].b"),
    "no path": ({}, ""),
    "a dot at the end": ({}, "a."),
    "two dots": ({}, "a..b"),
    "an index that is no number": ({}, "a[x]"),
    "a negative index": ({}, "a[-1]"),
    "an index without a key": ({}, "[0]"),
    "a bracket that is open": ({}, "a[0"),
    "a quote that is open": ({}, 'a."b'),
    "text after a quote": ({}, '"a"b'),
}


@pytest.mark.parametrize(("before", "path", "content", "after"), CASES.values(), ids=CASES)
def test_content_is_put_at_its_path(before, path, content, after):
    tree = copy.deepcopy(before)
    inject(tree, path, content)
    assert tree == after


@pytest.mark.parametrize(("before", "path"), REFUSED.values(), ids=REFUSED)
def test_what_does_not_fit_is_refused_and_nothing_changed(before, path):
    tree = copy.deepcopy(before)
    with pytest.raises(InjectionError):
        inject(tree, path, 1)
    assert tree == before


@pytest.mark.parametrize("content", [{1: 2}, {"a": {1, 2}}, [b"bytes"], object(), {"a": [lambda: 1]}])
def test_only_plain_data_is_taken(content):
    tree: dict = {}
    with pytest.raises(InjectionError, match="no plain data"):
        inject(tree, "a.b", content)
    assert tree == {}


def test_what_is_put_shares_nothing_with_what_was_given():
    labels, tree = {"app": "shop"}, {}
    inject(tree, "a.labels", labels)
    inject(tree, "b.labels", labels)
    tree["a"]["labels"]["app"] = "other"
    assert (tree["b"]["labels"], labels) == ({"app": "shop"}, {"app": "shop"})


def test_padding_shares_nothing():
    tree: dict = {}
    inject(tree, "a[2].x", 1)
    inject(tree, "a[0].y", 2)
    assert tree == {"a": [{"y": 2}, {}, {"x": 1}]}


KEYS = st.text(st.characters(exclude_characters='"', codec="utf-8"), min_size=1, max_size=8)
STEPS = st.lists(st.tuples(KEYS, st.none() | st.integers(0, 4)), min_size=1, max_size=5)
PLAIN = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5),
    lambda below: st.lists(below, max_size=3) | st.dictionaries(KEYS, below, max_size=3),
    max_leaves=8,
)
TREES = st.dictionaries(st.sampled_from("abc"), PLAIN, max_size=3)
PATHS = st.lists(
    st.tuples(st.sampled_from("abc"), st.none() | st.integers(0, 3)), min_size=1, max_size=4
)  # few keys, so that they are often there


def written(steps):
    return ".".join(f'"{key}"' + ("" if index is None else f"[{index}]") for key, index in steps)


def flat(steps):
    return [step for key, index in steps for step in (key, index) if step is not None]


def found(tree, steps):
    for step in flat(steps):
        tree = tree[step]
    return tree


@given(STEPS)
def test_every_path_is_read_as_it_was_written(steps):
    assert parse(written(steps)) == flat(steps)


@given(STEPS, PLAIN)
def test_in_an_empty_tree_content_is_found_at_its_path(steps, content):
    tree: dict = {}
    inject(tree, written(steps), content)
    assert found(tree, steps) == content


@given(TREES, PATHS, PLAIN)
def test_content_arrives_or_the_tree_is_untouched(before, steps, content):
    tree = copy.deepcopy(before)
    try:
        inject(tree, written(steps), content)
    except InjectionError:
        assert tree == before
        return
    arrived, single = found(tree, steps), len(flat(steps)) == 1
    assert arrived == content or (not single and arrived[-1:] in ([content], content[-1:] if content else arrived[-1:]))


@given(TREES, PATHS, PLAIN)
def test_other_branches_stay_as_they_are(before, steps, content):
    tree = copy.deepcopy(before)
    try:
        inject(tree, written(steps), content)
    except InjectionError:
        return
    first = steps[0][0]
    assert {key: value for key, value in tree.items() if key != first} == {
        key: value for key, value in before.items() if key != first
    }


@given(st.text(max_size=20))
def test_any_text_is_a_path_or_refused(path):
    with suppress(InjectionError):
        inject({}, path, 1)
