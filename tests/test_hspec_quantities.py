"""Quantities of Kubernetes: their values, and how its API writes them."""

from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from octopod.hspec.quantities import BINARY, DECIMAL, canonical, parse


@pytest.mark.parametrize(
    ("written", "form"),
    [
        ("1024Mi", "1Gi"),
        ("1000m", "1"),
        ("0.5", "500m"),
        (".5", "500m"),
        ("1000M", "1G"),
        ("1500M", "1500M"),
        ("1.5Gi", "1536Mi"),
        ("1.1Gi", "1181116006400m"),  # a fraction of a byte is written in decimal
        ("0.5Ki", "512"),
        ("1023Ki", "1023Ki"),
        ("1024Ki", "1Mi"),
        ("1024", "1024"),
        ("2000", "2k"),
        ("0", "0"),
        ("0Gi", "0"),
        ("0.0", "0"),
        ("5.", "5"),
        ("007", "7"),
        ("+5", "5"),
        ("-1000m", "-1"),
        ("-0.5Gi", "-512Mi"),
        ("100u", "100u"),
        ("1500u", "1500u"),
        ("1000n", "1u"),
        ("0.1n", "1n"),  # something is never nothing
        ("1.0000000001", "1000000001n"),
        ("1e3", "1e3"),
        ("1E3", "1e3"),
        ("12e2", "1200"),
        ("1e-3", "1e-3"),
        ("1E", "1E"),
        ("7Ei", "7Ei"),
        ("9223372036854775807", "9223372036854775807"),
    ],
)
def test_quantity_is_written_as_the_api_writes_it(written, form):
    assert canonical(written) == form


@pytest.mark.parametrize(
    ("written", "value"),
    [
        ("1Ki", 1024),
        ("1k", 1000),
        ("1500m", Fraction(3, 2)),
        ("1e-1", Fraction(1, 10)),
        ("2.5Mi", 2621440),
        ("3E", 3 * 10**18),
    ],
)
def test_quantity_has_its_exact_value(written, value):
    assert parse(written) == value


@pytest.mark.parametrize("suffix", [*DECIMAL, *BINARY])
def test_every_suffix_is_read(suffix):
    assert parse(f"1{suffix}") > 0
    assert canonical(f"1{suffix}") == f"1{suffix}"


@pytest.mark.parametrize(
    "text", ["", " ", "1 Gi", "Gi", "1g", "1GI", "1ki", "1KiB", "1K", "1e", "1e+", "--1", "1,5", "1.5.2", ".", "abc",
             "10E1E", "1Gi\n", "٣", "9223372036854775808", "8Ei", "1e99", "1" * 65, "0x10", "1_000"]
)  # fmt: skip
def test_what_is_no_quantity_is_refused(text):
    with pytest.raises(ValueError, match="quantity"):
        parse(text)
    with pytest.raises(ValueError, match="quantity"):
        canonical(text)


NUMBERS = st.decimals(0, 5000, places=3).map(str)


@given(NUMBERS, st.sampled_from([*DECIMAL, *BINARY, "e0", "e3", "e-3", "E2", "e7"]))
def test_written_anew_it_has_the_same_value_and_stays(number, suffix):
    text = number + suffix
    try:
        value = parse(text)
    except ValueError:
        return
    form = canonical(text)
    assert parse(form) == value
    assert canonical(form) == form
    assert "." not in form


@given(st.text(max_size=20))
def test_any_text_is_a_quantity_or_refused(text):
    try:
        assert parse(canonical(text)) == parse(text)
    except ValueError as error:
        assert "quantity" in str(error)  # noqa: PT017 -- either outcome is right
