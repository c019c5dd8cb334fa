"""Cutting an object's picture out of a frame. Pure; knows neither files nor models."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

MARGIN = 0.1  # of an object's width and height, on each side of its picture


def crop(frame: np.ndarray, box: Sequence[float], margin: float = MARGIN) -> np.ndarray:
    """What a box shows, with a margin: uint8 `[3, h, w]`, of a frame `[3, H, W]`; box x1, y1, x2, y2 in 0..1.

    Never empty: at least the pixel under the box's corner.
    """
    _, high, wide = frame.shape
    x1, y1, x2, y2 = box
    dx, dy = margin * (x2 - x1), margin * (y2 - y1)
    left, top = max(0, round((x1 - dx) * wide)), max(0, round((y1 - dy) * high))
    right, foot = min(wide, round((x2 + dx) * wide)), min(high, round((y2 + dy) * high))
    left, top = min(left, wide - 1), min(top, high - 1)
    return np.ascontiguousarray(frame[:, top : max(foot, top + 1), left : max(right, left + 1)])
