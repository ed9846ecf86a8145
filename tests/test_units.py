"""Quantities in and out: round trips, orders of size, and refusals that name the parameter."""

from __future__ import annotations

import doctest
import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from perflab import units

DURATIONS = {"ns": 1e-6, "us": 1e-3, "µs": 1e-3, "ms": 1, "s": 1e3, "m": 6e4, "min": 6e4, "h": 3.6e6, "d": 8.64e7}
amounts = st.floats(0.001, 1e6)


@given(amounts, st.sampled_from(sorted(DURATIONS)))
def test_a_duration_is_amount_times_unit(amount, unit):
    assert units.parse_duration(f"{amount!r}{unit}") == pytest.approx(amount * DURATIONS[unit])
    assert units.parse_duration(f" {amount!r} {unit.upper()} ") == pytest.approx(amount * DURATIONS[unit])


@given(st.integers(0, 48), st.integers(0, 59), st.integers(0, 59), st.integers(0, 999))
def test_compound_durations_add_up(h, m, s, ms):
    assert units.parse_duration(f"{h}h{m}m{s}s{ms}ms") == pytest.approx(h * 3.6e6 + m * 6e4 + s * 1e3 + ms)


@given(st.floats(1e-3, 1e8))
def test_format_ms_reads_back_within_three_digits(value):
    assert units.parse_duration(units.format_ms(value).replace(",", "")) == pytest.approx(value, rel=6e-3)


@given(st.floats(1, 9e11))
def test_format_bytes_reads_back_within_three_digits(value):
    assert units.parse_size(units.format_bytes(value).replace(",", "")) == pytest.approx(value, rel=6e-3)


@given(st.floats(1e-5, 10))
def test_format_fraction_reads_back_within_three_digits(value):
    assert units.parse_fraction(units.format_fraction(value).replace(",", "")) == pytest.approx(value, rel=6e-3)


@given(st.floats(allow_nan=True, allow_infinity=True))
def test_every_float_can_be_written(value):
    for name in ("x_ms", "x_bytes", "x_fraction", "x_per_s", "p_value", "x"):
        assert units.format_value(name, value)


@given(st.floats(1e-3, 1e8), st.floats(1e-3, 1e8))
def test_formatting_keeps_the_order(one, two):
    low, high = sorted((one, two))
    read = [units.parse_duration(units.format_ms(v).replace(",", "")) for v in (low, high)]
    assert read[0] <= read[1] * (1 + 1e-9)


@pytest.mark.parametrize("text", ["", "fast", "3 parsecs", "1m x", "s", "--3s", "1e999s", True, None, [1]])
def test_no_duration_is_refused_by_name(text):
    with pytest.raises(ValueError, match=r"timeout must be .*got "):
        units.parse_duration(text, parameter="timeout")


@pytest.mark.parametrize("text", ["", "ten %", "10 %%", None, "nan"])
def test_no_fraction_is_refused_by_name(text):
    with pytest.raises(ValueError, match=r"warmup must be .*got "):
        units.parse_fraction(text, parameter="warmup")


@pytest.mark.parametrize("text", ["10 XB", "MB", "", "1 2 MB"])
def test_no_size_is_refused_by_name(text):
    with pytest.raises(ValueError, match=r"limit must be .*got "):
        units.parse_size(text, parameter="limit")


def test_numbers_without_a_unit_are_seconds_or_what_is_said():
    assert units.parse_duration(2) == 2000
    assert units.parse_duration("2") == 2000
    assert units.parse_duration(2, bare="ms") == 2


@pytest.mark.parametrize(
    ("name", "value", "written"),
    [
        ("p95_ms", 182.4, "182 ms"),
        ("p95_ms", 0.0, "0 ms"),
        ("p95_ms", math.nan, "–"),
        ("p95_ms", 59_999.0, "60 s"),
        ("rss_bytes", 999, "999 B"),
        ("error_fraction", 0.0, "0 %"),
        ("throughput_per_s", 81.27, "81.3/s"),
        ("p_value", 0.0, "< 0.0001"),
        ("errors", 12_345, "12,345"),
        ("status", "200", "200"),
        ("ok", True, "yes"),
        ("anything", None, "–"),
    ],
)
def test_values_for_people(name, value, written):
    assert units.format_value(name, value) == written


def test_the_examples_hold():
    assert doctest.testmod(units).failed == 0
