"""allocate: whole shares of a whole number."""

from __future__ import annotations

import numpy as np
import pytest

from watchonce.ops.allocate import grid, halving, shares, spread


def test_largest_remainders_get_the_rest() -> None:
    # quotas 4.7, 2.35, 2.95: floors 4, 2, 2; the two left go to .95 and .7
    assert shares([4.7, 2.35, 2.95], 10).tolist() == [5, 2, 3]


def test_what_a_full_place_cannot_take_goes_to_the_others_in_proportion() -> None:
    # 90 : 6 : 4 of 50 with 10 at most: 10, then 40 over 6 : 4 is 24 and 16, both full at 10
    assert shares([90, 6, 4], 50, 10).tolist() == [10, 10, 10]
    assert shares([90, 6, 4], 20, 10).tolist() == [10, 6, 4]


@pytest.mark.parametrize("seed", range(5))
def test_sums_are_exact_and_caps_are_kept(seed: int) -> None:
    draw = np.random.default_rng(seed)
    for _ in range(200):
        count = int(draw.integers(1, 12))
        weight = draw.random(count) * (draw.random(count) < 0.7)
        most = draw.integers(0, 9, count)
        total = int(draw.integers(0, 60))
        given = shares(weight, total, most)
        assert given.sum() == min(total, most.sum())
        assert (given >= 0).all()
        assert (given <= most).all()


def test_weights_of_nothing_and_nan_count_as_all_alike_and_as_none() -> None:
    assert shares([0, 0, 0], 7).tolist() == [3, 2, 2]
    assert shares([np.nan, 1.0, -3.0], 7).tolist() == [0, 7, 0]


def test_spread_takes_the_middles_of_equal_stretches() -> None:
    assert spread(10, 2).tolist() == [2, 7]
    assert spread(3, 9).tolist() == [0, 1, 2]
    assert spread(5, 0).tolist() == []


def test_halving_spreads_however_many_are_taken() -> None:
    assert halving(8).tolist() == [0, 4, 2, 6, 1, 5, 3, 7]
    assert halving(1).tolist() == [0]
    assert halving(0).tolist() == []
    for count in (5, 13, 100):
        order = halving(count)
        assert sorted(order.tolist()) == list(range(count))
        for taken in range(2, count):
            gaps = np.diff(np.sort(order[:taken]))
            assert gaps.max() <= 4 * count / taken


def test_grids_have_the_picture_s_shape_and_no_more_cells_than_allowed() -> None:
    assert grid(144, 24, 24) == (12, 12)
    assert grid(231, 21, 11) == (21, 11)
    assert grid(5, 24, 24) == (2, 2)  # not 1 x 5
    assert grid(2, 2, 2) == (1, 2)
    assert grid(0, 24, 24) == (0, 0)
    for cells in range(1, 600):
        rows, columns = grid(cells, 24, 24)
        assert 1 <= rows * columns <= cells
        assert max(rows, columns) <= 24
