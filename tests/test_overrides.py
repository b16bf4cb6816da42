"""Overrides and CSV, as pure functions: what is accepted, how levels are merged, in which order scripts receive them."""

import csv
import io

import pytest
from hypothesis import given
from hypothesis import strategies as st

from octopod.errors import Invalid
from octopod.overrides import (
    LONGEST_PAIR,
    MASK,
    Change,
    check_value,
    effective,
    explain,
    first_wins,
    merge,
    parse_key,
    parse_overrides,
)
from octopod.suite import BadOutput, parse_csv

segments = st.from_regex(r"[A-Za-z0-9_-]{1,6}", fullmatch=True)
keys = st.lists(segments, min_size=1, max_size=3).map(".".join)
values = st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]), min_size=1, max_size=20)
defaults = st.lists(st.tuples(keys, values), max_size=6)
overrides = st.dictionaries(keys, st.none() | values.filter(lambda value: value != MASK), max_size=6)


def refusals(pairs, kept=None):
    """What is said about each field of these pairs."""
    with pytest.raises(Invalid) as refused:
        parse_overrides(pairs, "application_overrides", kept)
    assert all(error.message in refused.value.detail for error in refused.value.errors)
    return {
        error.field.removeprefix("application_overrides").lstrip("."): error.message for error in refused.value.errors
    }


# --- keys and values


@pytest.mark.parametrize(
    ("typed", "key"), [("A", "A"), (" A ", "A"), ("a. b .c", "a.b.c"), ("größe", "größe"), ("a b", "a b"), ("-x", "-x")]
)
def test_segments_of_a_key_are_trimmed(typed, key):
    assert parse_key(typed) == key


@pytest.mark.parametrize(
    ("key", "message"),
    [
        ("", "empty"),
        ("   ", "empty"),
        (".", "empty segment"),
        ("a..b", "empty segment"),
        ("a. .b", "empty segment"),
        (".a", "empty segment"),
        ("a.", "empty segment"),
        ("a\nb", "control character"),
        ("a\x7fb", "control character"),
        ("a\x85b", "control character"),
        ("a\0b", "control character"),
        ("a=b", "="),
    ],
)
def test_key_that_could_not_be_passed_on_is_refused(key, message):
    with pytest.raises(ValueError, match=message):
        parse_key(key)


@pytest.mark.parametrize(
    "value", [None, "=", "a,b", '"', "'", "a\nb\r\n", " ", "🐙", "x" * (LONGEST_PAIR - len("KEY="))]
)
def test_value_that_can_be_passed_on_is_accepted(value):
    assert parse_overrides([("KEY", value)], "f") == {"KEY": value}


@pytest.mark.parametrize(
    ("value", "message"),
    [
        ("", "empty"),
        ("a\0b", "NUL"),
        ("\ud800", "Unicode"),
        ("x" * (LONGEST_PAIR - len("KEY=") + 1), "too long"),
        ("🐙" * (LONGEST_PAIR // 4), "too long"),
    ],
)
def test_value_that_could_not_be_passed_on_is_refused(value, message):
    with pytest.raises(ValueError, match=message):
        check_value("KEY", value)


def test_every_wrong_key_and_value_is_named_at_once():
    said = refusals([("", "1"), ("a..b", "1"), ("OK", "1"), ("E", ""), ("N", "\0")])
    assert set(said) == {"", "a..b", "E", "N"}


def test_keys_that_are_the_same_once_trimmed_are_duplicates():
    assert refusals([("A.B", "1"), (" A . B ", "2")]) == {" A . B ": "the key is there twice"}


def test_mask_stands_for_the_stored_value():
    assert parse_overrides([("TOKEN", MASK)], "f", {"TOKEN": "secret"}) == {"TOKEN": "secret"}


@pytest.mark.parametrize("kept", [{}, {"OTHER": "secret"}, {"TOKEN": None}])
def test_mask_without_a_stored_value_is_refused(kept):
    assert "none is stored" in refusals([("TOKEN", MASK)], kept)["TOKEN"]


@given(overrides)
def test_valid_overrides_are_kept_as_they_are_and_in_their_order(given_overrides):
    parsed = parse_overrides(given_overrides.items(), "f")
    assert list(parsed.items()) == list(given_overrides.items())


# --- changes


def test_change_sets_and_unsets():
    merged = merge({"A": "1", "B": "2", "C": None}, Change({"B": "3", "D": None}, ["A", " C "]), "application")
    assert merged == {"B": "3", "D": None}


def test_key_to_unset_has_to_be_overridden():
    with pytest.raises(Invalid, match="not overridden") as refused:
        merge({"A": "1"}, Change({}, ["B", "A"]), "application")
    assert [error.field for error in refused.value.errors] == ["application.unset.B"]


def test_key_cannot_be_set_and_unset_at_once():
    with pytest.raises(Invalid, match="set and unset at once"):
        merge({"A": "1"}, Change({"A": "2"}, [" A "]), "application")


def test_merging_leaves_the_stored_overrides_alone():
    stored = {"A": "1", "B": "2"}
    merge(stored, Change({"C": "3"}, ["A"]), "application")
    assert stored == {"A": "1", "B": "2"}


@given(overrides, overrides)
def test_what_was_added_by_a_change_can_be_unset_again(stored, added):
    new = {key: value for key, value in added.items() if key not in stored}
    assert merge(merge(stored, Change(new, []), "f"), Change({}, list(new)), "f") == stored


@given(overrides, overrides)
def test_unsetting_all_leaves_only_what_is_set(stored, change):
    unset = [key for key in stored if key not in change]
    assert merge(stored, Change(change, unset), "f") == change


# --- the effective configuration


def test_overrides_without_default_come_first_then_defaults_in_their_order():
    given_defaults = [("B", "1"), ("A", "2"), ("C", "3")]
    given_overrides = {"Z": "z", "A": "changed", "C": None, "Y": "y"}
    assert effective(given_defaults, given_overrides) == [("Z", "z"), ("Y", "y"), ("B", "1"), ("A", "changed")]


def test_origins_are_told_apart():
    items = explain([("A", "1"), ("B", "2"), ("C", "3")], {"B": "x", "C": None, "D": "y"})
    assert [(item.key, item.value, item.origin, item.default) for item in items] == [
        ("D", "y", "custom", None),
        ("A", "1", "default", "1"),
        ("B", "x", "override", "2"),
        ("C", None, "removed", "3"),
    ]


def test_first_of_duplicate_defaults_wins():
    assert first_wins([("A", "1"), ("B", "2"), ("A", "3")]) == {"A": "1", "B": "2"}
    assert effective([("A", "1"), ("A", "3")], {}) == [("A", "1")]


@given(defaults, overrides)
def test_effective_configuration_is_defaults_with_overrides_on_top(given_defaults, given_overrides):
    pairs = effective(given_defaults, given_overrides)
    expected = {
        key: value for key, value in (first_wins(given_defaults) | given_overrides).items() if value is not None
    }
    assert dict(pairs) == expected
    assert len(pairs) == len(expected), "no key is there twice"


@given(defaults, overrides)
def test_effective_order_is_custom_keys_then_defaults(given_defaults, given_overrides):
    order = [key for key, _ in effective(given_defaults, given_overrides)]
    known = first_wins(given_defaults)
    custom = [key for key, value in given_overrides.items() if key not in known and value is not None]
    kept = [key for key in known if given_overrides.get(key, "") is not None]
    assert order == custom + kept


# --- CSV


@pytest.mark.parametrize(
    ("text", "pairs"),
    [
        ("", []),
        ("A,1\nB,2\n", [("A", "1"), ("B", "2")]),
        ("A,1\r\nB,2\r\n", [("A", "1"), ("B", "2")]),
        ("A,1", [("A", "1")]),
        ("\n\nA,1\n\n\nB,2\n\n", [("A", "1"), ("B", "2")]),
        ("A,", [("A", "")]),
        ("A,a,b,,c", [("A", "a,b,,c")]),
        ('A,"a,b"', [("A", "a,b")]),
        ('A,"say ""hi"""', [("A", 'say "hi"')]),
        ('A,"two\nlines"\nB,2', [("A", "two\nlines"), ("B", "2")]),
        ('"A,B",1', [("A,B", "1")]),
        ('A,it is 5" long', [("A", 'it is 5" long')]),
        ("A, 1 ", [("A", " 1 ")]),
        ("A,x=1,y=2", [("A", "x=1,y=2")]),
        ("url,http://x/?a=1,2", [("url", "http://x/?a=1,2")]),
        ("A,größe 🐙", [("A", "größe 🐙")]),
    ],
)
def test_csv_is_read_as_the_contract_says(text, pairs):
    assert parse_csv("deployment_config", text) == pairs


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("A", "no comma in line 1"),
        ("A,1\n\nB\n", "no comma in line 3"),
        ('A,"open', "not CSV, in line 1"),
        ('A,1\nB,"open\nC,3\n', "not CSV"),
        ('A,"closed" and more', "not CSV, in line 1"),
    ],
)
def test_what_is_not_csv_is_named_with_its_line(text, message):
    with pytest.raises(BadOutput, match=message) as bad:
        parse_csv("deployment_config", text)
    assert str(bad.value).startswith("deployment_config printed ")


@given(st.lists(st.tuples(st.text(), st.text())))
def test_what_a_csv_writer_writes_is_read_back_the_same(pairs):
    written = io.StringIO(newline="")
    csv.writer(written).writerows(pairs)
    assert parse_csv("deployment_config", written.getvalue()) == pairs
