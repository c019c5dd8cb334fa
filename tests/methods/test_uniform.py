"""uniform: the middles of equal stretches."""

from __future__ import annotations

import numpy as np
import pytest

from watchonce.contracts import Budget
from watchonce.methods.uniform import Uniform
from watchonce.types import Scan


def scan(count: int, step: float = 1.0) -> Scan:
    start = np.arange(count) * step
    return Scan(start, start + step)


def test_takes_the_middle_of_equal_stretches() -> None:
    # 100 s at 1 fps, 4 frames: stretches of 25 s have their middles at 12.5, 37.5, 62.5, 87.5
    times = Uniform().select(scan(100), None, Budget(frames=4)).times
    assert np.abs(times - np.array([12.5, 37.5, 62.5, 87.5])).max() <= 0.5


def test_without_a_cap_takes_every_frame() -> None:
    assert (Uniform().select(scan(7), None, Budget()).times == np.arange(7)).all()


@pytest.mark.parametrize("frames", [1, 2, 3, 16, 63, 64, 65])
def test_is_symmetric_in_time_up_to_one_frame(frames: int) -> None:
    forward = Uniform().select(scan(64), None, Budget(frames=frames)).times
    backward = 63 - forward[::-1]
    assert len(forward) == min(frames, 64)
    assert np.abs(forward - backward).max() <= 1.0


def test_keeps_frames_apart_where_the_scan_is_thin() -> None:
    start = np.array([0.0, 1.0, 2.0, 3.0, 500.0, 1000.0])
    times = Uniform().select(Scan(start, start + 0.5), None, Budget(frames=5)).times
    assert len(set(times.tolist())) == 5
    assert (np.diff(times) > 0).all()
