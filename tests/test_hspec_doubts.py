"""What can be deployed as it is written, but was hardly meant like that."""

import pytest
from hspec_specs import loaded, minimal

DOUBTS = {
    "a bracket is missing": ({"props": {"DB": "endpoint(db"}}, "props.DB", "does not end with a bracket"),
    "a bracket of an agent's is": (
        {"agents": [{"name": "a", "image": "b", "props": {"F": "file(a.txt"}}]}, "agents[0].props.F", "a plain text",
    ),
    "a secret has a form": ({"secrets": {"KEY": "file(tls.key)"}}, "secrets.KEY", "this very text is the secret"),
    "a prop of several lines is in config.props": (
        {"props": {"A": "one\ntwo"}, "propsVolumePath": "/etc/web"}, "props.A", "lines of its own in config.props",
    ),
    "cpu without its m": ({"cpu": "100m-500"}, "cpu", "500 are that many processors"),
    "what is built goes nowhere": (
        {"image": {"name": "web", "buildSpec": {"stackImage": "busybox"}}}, "image", "stays on this machine",
    ),
}  # fmt: skip
NO_DOUBTS = [
    {"props": {"DB": "endpoint(db)", "NOTE": "see endpoint(db", "TEXT": "one\ntwo"}},
    {"secrets": {"KEY": "file"}, "cpu": "100"},
    {"cpu": "500m-2000m", "props": {"T": "string(a\nb)"}},
    {"image": {"name": "web", "registry": "r.test", "buildSpec": {"stackImage": "busybox"}}},
]


@pytest.mark.parametrize("why", DOUBTS)
def test_what_was_hardly_meant_is_a_warning(why, tmp_path):
    fields, field, says = DOUBTS[why]
    [warning] = loaded(tmp_path, minimal(**fields)).warnings
    assert (warning.field, says in warning.message) == (field, True)
    assert warning.line


@pytest.mark.parametrize("fields", NO_DOUBTS)
def test_what_may_well_be_meant_is_none(fields, tmp_path):
    assert not loaded(tmp_path, minimal(**fields)).warnings


def test_warning_does_not_show_a_secret(tmp_path):
    [warning] = loaded(tmp_path, minimal(secrets={"KEY": "string(open sesame)"})).warnings
    assert "sesame" not in str(warning)
