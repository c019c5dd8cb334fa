"""A crop is the box with its margin, inside the frame, never empty."""

from __future__ import annotations

import numpy as np
import pytest

from watchonce.ops.crops import crop

FRAME = np.arange(3 * 50 * 100, dtype=np.uint32).astype(np.uint8).reshape(3, 50, 100)


@pytest.mark.parametrize(
    ("box", "margin", "rows", "columns"),
    [
        ((0.2, 0.4, 0.4, 0.8), 0.0, slice(20, 40), slice(20, 40)),
        ((0.2, 0.4, 0.4, 0.8), 0.1, slice(18, 42), slice(18, 42)),
        ((0.0, 0.0, 1.0, 1.0), 0.5, slice(0, 50), slice(0, 100)),
        ((0.5, 0.5, 0.5, 0.5), 0.1, slice(25, 26), slice(50, 51)),
        ((1.0, 1.0, 1.0, 1.0), 0.1, slice(49, 50), slice(99, 100)),
    ],
)
def test_a_crop_is_the_box_with_its_margin(
    box: tuple[float, ...], margin: float, rows: slice, columns: slice
) -> None:
    found = crop(FRAME, box, margin)
    assert found.flags.c_contiguous
    assert (found == FRAME[:, rows, columns]).all()
