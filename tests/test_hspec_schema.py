"""JSON Schemas and the reference: they say what loading does."""

import json

import jsonschema
import pytest
from hspec_specs import FULL, changed, full, problems, specs, spoiled
from hypothesis import given, settings
from test_hspec_profiles import FIELDS, profile
from test_hspec_spec import BAD, GOOD, short

from octopod.hspec.spec import json_schema, profile_schema, reference

SPEC = jsonschema.Draft202012Validator(json_schema())
PROFILE = jsonschema.Draft202012Validator(profile_schema())

# What no schema can see: the disk, other fields, and what a quantity is worth.
BEYOND = {
    "image.dockerfile.path", "image.dockerfile.dockerfilePath", "image.buildSpec.artifacts[0].source",
    "image.buildSpec.runCommandsScript", "k8sSnippets", "memory", "cpu", "volumes[0].size", "volumes[0].path",
    "propsVolumePath", "secretsVolumePath", "agents[0].propsVolumePath", "agents[0].volumes[0].attach",
    "agents[0].volumes[0].mountPath", "agents[0].props", "props", "secrets", "agents[0].name", "ports[0].port",
    "agents[0].ports[0].port", "allowTraffic[0].ports", "loadBalancer.mapping[0].port", "loadBalancer.mapping",
    "loadBalancer.host", "loadBalancer.labels", "image.dockerfile.args", "replicas.min", "name",
    "image.buildSpec.artifacts[0].name",
}  # fmt: skip
SEEN = [
    ("memory", "lots"), ("cpu", "x"), ("volumes[0].size", "1g"), ("volumes[0].path", "srv"), ("propsVolumePath", "a"),
    ("props", {"a b": "x"}), ("props", {"A": ["x"]}), ("secrets", ["A", "A"]), ("secrets", {"A": ["x"]}),
    ("ports[0].port", 65536), ("ports[0].port", 0), ("ports[0].port", "80/sctp"), ("ports[0].port", "080"),
    ("ports[0].port", 80.5), ("name", "A"), ("name", ["A"]), ("agents[0].name", "A"), ("replicas.min", -1),
    ("image.dockerfile.args", {"a-b": "c"}), ("image.dockerfile.args", ["a"]), ("loadBalancer.host", "a b"),
    ("loadBalancer.labels", {"a": "-b"}), ("loadBalancer.mapping", []), ("allowTraffic[0].ports", ["x"]),
    ("image.buildSpec", {"artifacts": []}), ("image.dockerfile", []), ("image.buildSpec.artifacts[0].name", "a/b"),
]  # fmt: skip


def test_schemas_are_schemas():
    for schema in (json_schema(), profile_schema()):
        jsonschema.Draft202012Validator.check_schema(schema)
        assert schema["$schema"] == "https://json-schema.org/draft/2020-12/schema"
        assert json.loads(json.dumps(schema)) == schema


def test_schema_takes_the_spec_that_says_everything():
    for path in ("", "image.dockerfile", "allowTraffic"):
        SPEC.validate(full(path))


@pytest.mark.parametrize(("path", "value"), [row[:2] for row in GOOD], ids=short)
def test_schema_takes_what_loading_takes(path, value):
    SPEC.validate(changed(path, value))


@pytest.mark.parametrize(
    ("path", "value"),
    [(path, value) for path, values in BAD if path not in BEYOND for value in values] + SEEN,
    ids=short,
)
def test_schema_refuses_what_loading_refuses(path, value, tmp_path):
    assert not SPEC.is_valid(changed(path, value))
    assert problems(tmp_path, changed(path, value))


def test_schema_refuses_a_dockerfile_beside_a_build_spec(tmp_path):
    spec = changed("image.dockerfile", {}, FULL)
    assert not SPEC.is_valid(spec)
    assert SPEC.is_valid(changed("image.dockerfile", None, FULL))


@pytest.mark.parametrize("path", [path for path, field in FIELDS.items() if field.is_required])
def test_schema_misses_what_is_required(path):
    assert not SPEC.is_valid(changed(path, None))


@given(specs())
@settings(max_examples=30)
def test_schema_takes_any_valid_spec(spec):
    SPEC.validate(spec)


@given(spoiled())
@settings(max_examples=60)
def test_what_the_schema_refuses_loading_refuses(tmp_path_factory, spec):
    if not SPEC.is_valid(spec):
        assert problems(tmp_path_factory.getbasetemp(), spec)


PROFILES = [
    {}, {"replicas": 2}, {"replicas": {"max": 7}}, {"memory": None}, {"volumes": [{"name": "data"}]}, {"volumes": []},
    {"agents": [{"name": "shipper", "props": {"A": 1}}]}, {"k8sSnippets": ["file.txt"]}, {"secrets": ["A"]},
    {"loadBalancer": {"host": "a.b"}}, {"loadBalancer": {"mapping": [{"port": "8080/tcp"}]}},
]  # fmt: skip
NO_PROFILES = [
    {"image": {}}, {"replica": 1}, {"replicas": "x"}, {"volumes": [{"size": "1Gi"}]}, {"agents": [{"name": "a", "image": "b"}]},
    {"volumes": [{"name": "data", "path": "/x"}]}, {"environment": None}, {"overrides": "A"}, {"environment": "d_v"},
    {"loadBalancer": {"host": "A"}}, {"loadBalancer": {"hosts": "a"}}, {"allowTraffic": [{"from": ["a"]}]}, {"props": [1]},
]  # fmt: skip


@pytest.mark.parametrize("fields", PROFILES, ids=str)
def test_schema_of_profiles_takes_what_loading_takes(fields, tmp_path):
    path = profile(tmp_path, **fields)
    assert problems(tmp_path, FULL, profile=path) == []
    PROFILE.validate(json.loads(path.read_text()))


@pytest.mark.parametrize("fields", NO_PROFILES, ids=str)
def test_schema_of_profiles_refuses_what_loading_refuses(fields, tmp_path):
    path = profile(tmp_path)
    path.write_text(json.dumps(json.loads(path.read_text()) | fields))
    assert not PROFILE.is_valid(json.loads(path.read_text()))
    assert problems(tmp_path, full("allowTraffic"), profile=path)


def test_everything_has_a_description():
    def look(schema):
        for name, field in schema.get("properties", {}).items():
            assert field["description"].strip(), name
            look(field)
        for inner in [*filter(None, [schema.get("items")]), *schema.get("anyOf", [])]:
            look(inner)

    look(json_schema())
    look(profile_schema())


def test_reference_has_a_row_for_every_field():
    rows = [line for line in reference().splitlines() if line.startswith("|")]
    for path, field in FIELDS.items():
        (row,) = [row for row in rows if row.startswith((f"| `{path}` |", f"| **`{path}`** |"))]
        assert row.startswith("| **") == field.is_required
        assert field.kind.allowed.replace("|", "\\|") in row
    widths = {row.replace("\\|", "").count("|") for row in rows}
    assert widths == {7}


def test_every_help_is_a_sentence():
    for path, field in FIELDS.items():
        assert field.help.endswith("."), path
        assert field.help[0].isupper(), path
