"""Exact time: the one place where container ticks become seconds, and rates become ticks.

A time stamp is an integer count of `num/den` seconds. All comparisons are made on integers or
fractions; a float64 is only ever the last step, and it is the correctly rounded one. This file
knows no container and no pixel.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from fractions import Fraction

from watchonce.types import BadInput

MAX_FPS = 1000


def exact(value: float, name: str) -> Fraction:
    """The decimal a person meant by a float: 0.1 becomes 1/10, not its binary neighbour.

    Raises BadInput when the value is not a finite number.
    """
    try:
        number = float(value)
    except (TypeError, ValueError):
        raise BadInput(f"{name} must be a number of seconds, got {value!r}") from None
    if not math.isfinite(number):
        raise BadInput(f"{name} must be finite, got {value}")
    return Fraction(value) if isinstance(value, Fraction) else Fraction(repr(number))


def exact_rate(fps: float) -> Fraction:
    """Frames a second as a fraction. Raises BadInput outside (0, 1000]."""
    rate = exact(fps, "fps")
    if not 0 < rate <= MAX_FPS:
        raise BadInput(f"fps must be above 0 and at most {MAX_FPS}, got {fps}")
    return rate


@dataclass(frozen=True, slots=True)
class Clock:
    """Turns a stream's time stamps into seconds since its first presented frame.

    unit: seconds a tick lasts. origin: the time stamp of the first presented frame, in ticks.
    """

    unit: Fraction
    origin: int

    @property
    def offset(self) -> Fraction:
        """Seconds between the container's zero and the first presented frame."""
        return self.origin * self.unit

    def seconds(self, stamp: int) -> float:
        """The time of a stamp: `(stamp - origin) * unit`, correctly rounded to float64."""
        return (stamp - self.origin) * self.unit.numerator / self.unit.denominator

    def time(self, stamp: int) -> Fraction:
        """The time of a stamp, exactly."""
        return (stamp - self.origin) * self.unit

    def first_stamp(self, time: Fraction | float) -> int:
        """The smallest stamp at or after a time. A float is met by every stamp that rounds to it or above."""
        stamp = self.origin + math.ceil(Fraction(time) / self.unit)
        return stamp - 1 if isinstance(time, float) and self.seconds(stamp - 1) >= time else stamp

    def last_stamp(self, time: Fraction | float) -> int:
        """The largest stamp at or before a time: what is on display then began by it. Floats as above."""
        stamp = self.origin + math.floor(Fraction(time) / self.unit)
        return stamp + 1 if isinstance(time, float) and self.seconds(stamp + 1) <= time else stamp

    def micros(self, start: int, end: int) -> int:
        """A stretch in whole microseconds, such that those of adjoining stretches add up exactly."""
        return self._micro(end) - self._micro(start)

    def _micro(self, stamp: int) -> int:
        return (stamp - self.origin) * 1_000_000 * self.unit.numerator // self.unit.denominator
