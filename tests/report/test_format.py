"""Numbers and names, as people read them."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from emjax.report.format import (
    clean,
    columns,
    count,
    decimals_for,
    interval,
    number,
    percent,
    plural,
    shorten,
)


@pytest.mark.parametrize(
    ("value", "decimals", "text"),
    [
        (0.5, 3, "0.500"),
        (-1234.5, 1, "−1,234.5"),
        (0.0, 2, "0.00"),
        (4.2e-7, 3, "4.2\u00a0×\u00a010⁻⁷"),
        (-4.2e-7, 3, "−4.2\u00a0×\u00a010⁻⁷"),
        (None, 3, "–"),
        (np.nan, 3, "–"),
        (np.inf, 3, "–"),
        (np.float64(0.1234), 2, "0.12"),
    ],
)
def test_numbers(value, decimals, text):
    assert number(value, decimals) == text


@pytest.mark.parametrize(
    ("share", "text"),
    [
        (0, "0 %"), (1, "100 %"), (0.163, "16 %"), (0.0163, "1.6 %"), (0.996, "99.6 %"), (0.0999, "10 %"),
        (1e-9, "<0.1 %"), (1 - 1e-9, ">99.9 %"), (None, "–"),
    ],
)  # fmt: skip
def test_percent(share, text):
    assert percent(share).replace("\u202f", " ") == text


def test_counts_and_intervals():
    assert count(8931.0) == "8,931"
    assert count(0.5) == "0.5"
    assert count(12.25) == "12.25"
    assert plural(1.0, "user") == "1 user"
    assert plural(0, "user") == "0 users"
    assert interval(None, 2.0) == "–"
    assert interval(-1, 2, 1) == "−1.0 to 2.0"
    assert [decimals_for(e) for e in (0.3, 0.031, 0.0031, 3e-9, None, np.nan)] == [2, 3, 4, 6, 3, 3]


@given(st.text(max_size=300))
def test_any_name_becomes_one_printable_line(name):
    line = clean(name)
    assert len(line) <= 200
    assert "\n" not in line
    assert not any(ord(c) < 32 for c in line)
    line.encode("utf-8")
    for width in (5, 18, 34):
        assert columns(shorten(name, width)) <= width


def test_short_names_are_unchanged():
    assert shorten("llama-3-70b", 34) == "llama-3-70b"
    assert shorten("模型" * 20, 11) == "模型模…模型"
    assert clean("\ud800\uffff\u202e") == "\ufffd\ufffd\ufffd"
