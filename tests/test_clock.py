"""Times read and printed."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from watchonce.clock import clock, parse_clock, parse_span
from watchonce.types import BadInput, Span


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("90", 90),
        ("90.5", 90.5),
        ("1:30", 90),
        ("00:01:30.5", 90.5),
        ("1m30s", 90),
        ("2h", 7200),
        ("100:00:00", 360000),
    ],
)
def test_every_promised_form_is_read(text: str, seconds: float) -> None:
    assert parse_clock(text) == seconds


@pytest.mark.parametrize("text", ["", "abc", "-1", "1:2:3:4", "nan", "inf", "1e12", "12:", ":30", "1,5"])
def test_anything_else_is_refused_with_its_value(text: str) -> None:
    with pytest.raises(BadInput, match="is not a time") as caught:
        parse_clock(text)
    assert repr(text) in str(caught.value)


@given(st.integers(0, 10**9))
def test_what_is_printed_is_read_back(milliseconds: int) -> None:
    assert parse_clock(clock(milliseconds / 1000)) == pytest.approx(milliseconds / 1000, abs=5e-4)


def test_printing() -> None:
    assert clock(3723.4567) == "01:02:03.457"
    assert clock(59.9996) == "00:01:00.000"
    assert parse_span("1:00-1:30.5") == Span(60, 90.5)
    for wrong in ("90", "2:00-1:00"):
        with pytest.raises(BadInput):
            parse_span(wrong)
