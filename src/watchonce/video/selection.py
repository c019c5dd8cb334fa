"""Which pictures of a video are kept: all of them, those on display at regular ticks, or at given times.

A choice looks at one interval's table alone and gives the same answer wherever reading began. This
file knows stamps and clocks, no pixels.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Sequence
from fractions import Fraction
from typing import Protocol

from watchonce.video.clock import Clock


class Selection(Protocol):
    """Chooses pictures by when they are on display."""

    def wants(self, start: int, end: int) -> bool:
        """True when the picture on display over `[start, end)` (stamps) is kept."""
        ...

    def anchor(self, start: int) -> Fraction:
        """The time, in seconds, that makes a kept picture belong to a window."""
        ...


class Every:
    """All pictures; each belongs where it starts."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock

    def wants(self, start: int, end: int) -> bool:
        """Always True."""
        return True

    def anchor(self, start: int) -> Fraction:
        """The picture's own start."""
        return self._clock.time(start)


class Ticks:
    """The pictures on display at the ticks `k / rate`; each belongs to its first tick."""

    def __init__(self, clock: Clock, rate: Fraction) -> None:
        self._clock, self._rate = clock, rate
        self._up = clock.unit.numerator * rate.numerator
        self._down = clock.unit.denominator * rate.denominator

    def _tick(self, stamp: int) -> int:
        return -(-(stamp - self._clock.origin) * self._up // self._down)

    def wants(self, start: int, end: int) -> bool:
        """True when a tick falls into `[start, end)`."""
        return self._tick(start) * self._down < (end - self._clock.origin) * self._up

    def anchor(self, start: int) -> Fraction:
        """The first tick at or after `start`."""
        return Fraction(self._tick(start)) / self._rate


class Moments:
    """The pictures on display at given stamps (ascending)."""

    def __init__(self, clock: Clock, stamps: Sequence[int]) -> None:
        self._clock, self._stamps = clock, stamps

    def wants(self, start: int, end: int) -> bool:
        """True when one of the moments falls into `[start, end)`."""
        at = bisect_left(self._stamps, start)
        return at < len(self._stamps) and self._stamps[at] < end

    def anchor(self, start: int) -> Fraction:
        """The picture's own start."""
        return self._clock.time(start)
