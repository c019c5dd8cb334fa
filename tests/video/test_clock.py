"""Exact time: rounding, ticks and the spans between them, on random clocks."""

from __future__ import annotations

from fractions import Fraction
from itertools import pairwise
from math import ceil

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from watchonce.types import BadInput
from watchonce.video.clock import Clock, exact, exact_rate
from watchonce.video.selection import Every, Moments, Ticks

UNITS = [Fraction(1, d) for d in (25, 30, 1000, 12288, 90000, 11456, 10**9)] + [
    Fraction(1001, 30000),
    Fraction(2),
]
clocks = st.builds(Clock, st.sampled_from(UNITS), st.integers(-(2**33), 2**33))
small_clocks = st.builds(Clock, st.sampled_from(UNITS[:3]), st.integers(-(2**33), 2**33))
rates = st.fractions(min_value=Fraction(1, 100), max_value=60, max_denominator=1001)
quiet = settings(deadline=None, derandomize=True, max_examples=60)


@quiet
@given(clocks, st.integers(-(2**20), 2**40))
def test_seconds_are_correctly_rounded(clock: Clock, ticks: int) -> None:
    assert clock.seconds(clock.origin + ticks) == float(ticks * clock.unit)


@quiet
@given(clocks, st.integers(0, 2**36))
def test_a_float_time_finds_the_stamp_it_was_rounded_from(clock: Clock, ticks: int) -> None:
    stamp = clock.origin + ticks
    time = clock.seconds(stamp)
    assert clock.seconds(clock.first_stamp(time)) == time == clock.seconds(clock.last_stamp(time))


@quiet
@given(clocks, st.fractions(0, 10**6))
def test_stamps_around_an_exact_time(clock: Clock, time: Fraction) -> None:
    after, before = clock.first_stamp(time), clock.last_stamp(time)
    assert clock.time(after) >= time > clock.time(after - 1)
    assert clock.time(before) <= time < clock.time(before + 1)


@quiet
@given(clocks, st.lists(st.integers(1, 10**7), min_size=1, max_size=40))
def test_microseconds_of_adjoining_stretches_add_up(clock: Clock, lengths: list[int]) -> None:
    edges = [clock.origin]
    for length in lengths:
        edges.append(edges[-1] + length)
    parts = sum(clock.micros(a, b) for a, b in pairwise(edges))
    assert parts == clock.micros(edges[0], edges[-1])


@quiet
@given(small_clocks, rates, st.lists(st.integers(1, 400), min_size=1, max_size=30))
def test_each_tick_keeps_what_is_on_display(clock: Clock, rate: Fraction, lengths: list[int]) -> None:
    edges = [clock.origin]
    for length in lengths:
        edges.append(edges[-1] + length)
    ticks = Ticks(clock, rate)
    spans = list(pairwise(edges))
    kept = [s for s, e in spans if ticks.wants(s, e)]
    last = clock.time(edges[-1])
    shown = {next(s for s, e in spans if k / rate < clock.time(e)) for k in range(ceil(last * rate))}
    expected = sorted(shown)
    assert kept == expected
    for stamp in kept:
        anchor = ticks.anchor(stamp)
        assert anchor >= clock.time(stamp)
        assert (anchor * rate).denominator == 1
        assert anchor - 1 / rate < clock.time(stamp)


@quiet
@given(clocks, st.lists(st.integers(0, 1000), max_size=20), st.integers(0, 1000), st.integers(1, 50))
def test_moments_and_every(clock: Clock, times: list[int], start: int, length: int) -> None:
    moments = Moments(clock, sorted(times))
    assert moments.wants(start, start + length) == any(start <= t < start + length for t in times)
    assert Every(clock).wants(start, start + length)
    assert Every(clock).anchor(start) == moments.anchor(start) == clock.time(start)


def test_decimals_are_meant_as_written() -> None:
    assert exact(0.1, "x") == Fraction(1, 10)
    assert exact_rate(29.97) == Fraction(2997, 100)
    for bad in (float("nan"), float("inf"), "soon"):
        with pytest.raises(BadInput, match="x"):
            exact(bad, "x")  # type: ignore[arg-type]
    for bad in (0, -1, 1001):
        with pytest.raises(BadInput, match="fps"):
            exact_rate(bad)
