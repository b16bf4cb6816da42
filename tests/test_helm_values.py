"""Values of charts by dotted path: pure functions, and what helm makes of them."""

import json
from pathlib import Path

import pytest
from helming import CHARTS
from hypothesis import given
from hypothesis import strategies as st

from lib import configuration, contents, values
from lib.values import Refused
from shared.output import SECRET_KEY

DEFAULTS = {
    "replicas": 2,
    "ratio": 0.5,
    "on": True,
    "text": "007",
    "nothing": None,
    "list": ["a"],
    "none": [],
    "map": {},
    "hosts": [{"name": "one", "port": 80}, {"name": "two"}],
    "deep": {"er": {"still": 1}},
    "dotted": {"example.com/role": "web"},
}


def nested(*pairs, schema=None):
    return values.nested(list(pairs), DEFAULTS, schema)


@pytest.mark.parametrize(
    ("key", "path"),
    [
        ("a", ("a",)),
        ("a.b.c", ("a", "b", "c")),
        (r"a.example\.com/role", ("a", "example.com/role")),
        ("hosts[0].name", ("hosts", 0, "name")),
        ("a[1][2]", ("a", 1, 2)),
        (r"a\[0]", ("a[0]",)),
        (r"a\\.b", ("a\\", "b")),
        (r"a\\\.b", ("a\\.b",)),
        (r"a\\", ("a\\",)),
        ("a b.c-d_e", ("a b", "c-d_e")),
    ],
)
def test_path_is_read_and_written(key, path):
    assert values.parse_path(key) == path
    assert values.write_path(path) == key


@pytest.mark.parametrize("key", ["a..b", "a[x]", "a[0", ""])
def test_what_is_no_path_is_refused(key):
    with pytest.raises(Refused):
        values.parse_path(key)


@pytest.mark.parametrize(
    "text", ["a,b", "{a,b}", 'say "hi"', "x=y=z", "null", "true", "1.10", "a\nb", " ", "[1", "\\", "é"]
)
def test_strings_stay_strings(text):
    assert nested(("text", text)) == {"text": text}
    assert nested(("unknown.key", text)) == {"unknown": {"key": text}}
    assert nested(("nothing", text)) == {"nothing": text}


@pytest.mark.parametrize(
    ("key", "text", "value"),
    [
        ("replicas", "3", 3),
        ("replicas", "1.5", 1.5),
        ("ratio", "1", 1),
        ("ratio", "1e3", 1000.0),
        ("on", "false", False),
        ("on", "no", False),
        ("list", '["x", "y,z"]', ["x", "y,z"]),
        ("list", "[]", []),
        ("none", "- a\n- b", ["a", "b"]),
        ("map", '{"a": {"b": 1}}', {"a": {"b": 1}}),
        ("map", "a: b", {"a": "b"}),
        ("replicas", '"500m"', "500m"),
        ("on", "'yes'", "yes"),
    ],
)
def test_value_is_of_the_type_of_the_default(key, text, value):
    assert nested((key, text)) == {key: value}


@pytest.mark.parametrize(
    ("key", "text", "expected"),
    [
        ("replicas", "many", "replicas must be a number, as in the chart (2)."),
        ("on", "1", "on must be true or false, as in the chart (true)."),
        ("list", "a,b", 'list must be a list, like ["a", "b"], as in the chart (["a"]).'),
        ("map", "x", "map must be a map"),
        ("deep.er", "x", "deep.er must be a map"),
    ],
)
def test_value_of_another_type_is_refused(key, text, expected):
    with pytest.raises(Refused) as refused:
        nested((key, text))
    assert str(refused.value).startswith(expected)


def test_all_that_does_not_fit_is_said_at_once():
    with pytest.raises(Refused) as refused:
        nested(("replicas", "x"), ("on", "y"), ("text", "fine"))
    assert len(str(refused.value).splitlines()) == 2


def test_null_takes_a_value_of_another_type_than_string_away():
    assert nested(("replicas", "null")) == {"replicas": None}


def test_schema_says_the_type_where_the_default_does_not():
    schema = {
        "properties": {"nothing": {"type": ["integer", "null"]}, "extra": {"properties": {"on": {"type": "boolean"}}}}
    }
    assert nested(("nothing", "3"), ("extra.on", "true"), schema=schema) == {"nothing": 3, "extra": {"on": True}}
    with pytest.raises(Refused, match=r"extra\.on must be true or false\."):
        nested(("extra.on", "maybe"), schema=schema)


REFERRING = {
    "definitions": {"a/b": {"type": "integer"}, "way": {"$ref": "#/definitions/a~1b"}, "circle": {"$ref": "#/definitions/circle"}},
    "properties": {
        "extra": {"additionalProperties": {"type": "boolean"}, "properties": {"deep": {"$ref": "#/definitions/way"}}},
        "nothing": {"$ref": "#/definitions/way"},
        "circle": {"$ref": "#/definitions/circle"},
        "away": {"$ref": "https://example.com/schema.json"},
        "nowhere": {"$ref": "#/definitions/nowhere"},
        "whole": {"$ref": "#"},
    },
}  # fmt: skip


@pytest.mark.parametrize(
    ("key", "text", "value"),
    [
        ("nothing", "3", 3),
        ("extra.deep", "3", 3),
        ("extra.any", "true", True),
        ("whole.whole.nothing", "3", 3),
        ("circle", "3", "3"),
        ("away", "3", "3"),
        ("nowhere", "3", "3"),
        ("other", "3", "3"),
    ],
)
def test_schema_may_refer_to_its_own_parts(key, text, value):
    assert values.find(nested((key, text), schema=REFERRING), values.parse_path(key)) == value


def test_schema_may_allow_strings_beside_the_type_of_the_default():
    schema = {"properties": {"replicas": {"type": ["integer", "string"]}}}
    assert nested(("replicas", "50%"), schema=schema) == {"replicas": "50%"}
    assert nested(("replicas", "3"), schema=schema) == {"replicas": 3}


@pytest.mark.parametrize("text", ["NaN", "Infinity", "-Infinity", ".inf", "1e999"])
def test_number_that_json_has_not_is_refused(text):
    for key, value in (("ratio", text), ("list", f"[{text}]"), ("map", f'{{"a": {text}}}')):
        with pytest.raises(Refused, match=r"must not hold NaN or an infinite number"):
            values.parse_value(key, value, DEFAULTS[key])


@pytest.mark.parametrize("properties", [["a"], "a", 3])
def test_schema_that_is_wrong_is_said_once(properties):
    with pytest.raises(Refused) as refused:
        nested(("extra", "3"), ("more", "4"), schema={"properties": properties})
    assert str(refused.value) == "The chart's values.schema.json is wrong: what it has as properties is no object."


@pytest.mark.parametrize("key", ["db.pwd", "sentryDsn", "dsn", "databaseUrl", "database_url", "connectionString"])
def test_keys_of_secrets_are_known(key):
    assert SECRET_KEY.search(key)


def test_element_of_a_list_is_set_and_the_others_stay():
    expected = {"hosts": [{"name": "one", "port": 81}, {"name": "two"}]}
    assert nested(("hosts[0].port", "81")) == expected
    assert nested(("hosts.0.port", "81")) == expected
    assert nested(("hosts[2].name", "three"))["hosts"][2] == {"name": "three"}
    assert nested(("new[0].name", "x")) == {"new": [{"name": "x"}]}
    with pytest.raises(Refused, match="There is no element 5"):
        nested(("hosts[5].name", "x"))


def test_whole_list_counts_before_its_elements_whatever_the_order():
    pairs = [("hosts[0].name", "mine"), ("hosts", '[{"name": "theirs"}]')]
    assert nested(*pairs) == nested(*reversed(pairs)) == {"hosts": [{"name": "mine"}]}


def test_value_below_a_value_is_refused():
    with pytest.raises(Refused, match="cannot be set below"):
        nested(("new", "x"), ("new.below", "y"))


def test_what_is_the_default_is_not_passed():
    assert nested(*values.as_pairs(DEFAULTS)) == {}
    assert nested(("replicas", "2"), ("deep.er.still", "2")) == {"deep": {"er": {"still": 2}}}


def test_defaults_of_any_depth_are_listed():
    assert dict(values.as_pairs(DEFAULTS)) == {
        "replicas": "2",
        "ratio": "0.5",
        "on": "true",
        "text": "007",
        "list": '["a"]',
        "none": "[]",
        "map": "{}",
        "hosts": '[{"name": "one", "port": 80}, {"name": "two"}]',
        "deep.er.still": "1",
        r"dotted.example\.com/role": "web",
    }
    assert "nothing" in values.keys(DEFAULTS)


def test_map_with_keys_that_cannot_be_written_is_one_value():
    tree = {"map": {"a=b": 1, "c": 2}, "other": {"end.": 1}}
    assert dict(values.as_pairs(tree)) == {"map": '{"a=b": 1, "c": 2}', "other": '{"end.": 1}'}
    assert values.nested(values.as_pairs(tree), tree) == {}


def test_default_that_could_not_be_an_argument_is_left_to_the_chart():
    assert values.as_pairs({"long": "x" * 200_000, "short": "x"}) == [("short", "x")]


def test_keys_that_are_no_strings_become_strings():
    assert values.with_strings({80: {True: "x"}, "l": [{1: 2}]}) == {"80": {"true": "x"}, "l": [{"1": 2}]}


JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(10**6), 10**6)
    | st.floats(allow_nan=False, allow_infinity=False, width=32)
    | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(min_size=1, max_size=6), inner, max_size=3),
    max_leaves=12,
)


@given(st.dictionaries(st.text(min_size=1, max_size=6), JSON, max_size=4))
def test_defaults_come_back_as_they_were(tree):
    """What a form shows and sends back changes nothing, whatever is in the chart."""
    assert values.nested(values.as_pairs(tree), tree) == {}


@given(st.text(min_size=1), st.lists(st.text(st.characters(categories=["L", "N"]), min_size=1), min_size=1, max_size=3))
def test_any_string_arrives(text, path):
    found = values.find(values.nested([(".".join(path), text)], {}), tuple(path))
    assert found == text


# What application_config prints, helm renders


def test_defaults_and_values_of_every_type_reach_the_chart(offline):
    pairs = offline.pairs("application_config", "types")
    own = contents.read(CHARTS / "types").values()
    assert pairs["lines"] == "first\nsecond\n" and pairs["time"] == "12:30:45" and pairs["day"] == "2001-01-01"
    assert rendered(offline, pairs) == {**own, "ingress": {"hostname": "orange.cactus.example"}}


def test_hard_strings_reach_the_chart(offline):
    hard = {
        "text": 'a,b={c}"d"\'e\\',
        "digits": "012",
        "version": "1.20",
        "new.key": "{x,y}",
        "lines": "-\n:",
        "number": "5",
    }
    found = rendered(offline, hard)
    assert {key: found[key] for key in ("text", "digits", "version", "lines", "number")} == {
        **{key: hard[key] for key in ("text", "digits", "version", "lines")},
        "number": 5,
    }
    assert found["new"] == {"key": "{x,y}"}


def rendered(suite, app):
    """The values as a template sees them."""
    from lib import charts, documents, helm, settings
    from shared import arguments

    request = arguments.parse(suite.command("config_check", "types", app=app)[1:])
    found = settings.load(suite.env)
    chart = charts.Charts(found).get(charts.wanted(request, found))
    asked = configuration.Configuration(found, request, contents.read(chart)).values({})
    text = helm.Helm(found, "staging").template("orange", Path(chart), asked, [])
    [config] = documents.load_objects(text)
    return json.loads(config["data"]["values.json"])
