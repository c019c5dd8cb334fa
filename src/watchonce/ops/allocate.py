"""Splitting a whole number: how many tokens each frame, rank or segment gets of a budget. Pure functions.

Every rule here gives integers of 0 or more whose sum never exceeds the total. It does not know what is
being shared out.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np


def shares(
    weights: Sequence[float] | np.ndarray, total: int, most: np.ndarray | int | None = None
) -> np.ndarray:
    """Integers in proportion to the weights by largest remainder: int64 `[n]`, none above `most`.

    They sum to `total`, or to the sum of `most` where that is less; what a full place cannot take goes to
    the others in proportion. Weights that are negative or not finite count as 0; all 0 counts as all
    alike. Of equal remainders the earlier place wins.
    """
    weight = np.asarray(weights, np.float64)
    weight = np.where(np.isfinite(weight) & (weight > 0), weight, 0.0)
    count = len(weight)
    cap = np.full(count, total) if most is None else np.broadcast_to(np.asarray(most), (count,))
    cap = np.minimum(cap.astype(np.int64), max(0, total))
    quota = np.zeros(count)
    left, free = float(min(total, cap.sum())), cap > 0
    while free.any() and left > 1e-9:
        pull = weight * free
        pull = pull if pull.sum() > 0 else free.astype(np.float64)  # only places of weight 0 are left
        raised = quota + left * pull / pull.sum()
        quota = np.minimum(raised, cap)
        left = float(min(total, cap.sum()) - quota.sum())
        free &= raised < cap
    given = np.floor(quota + 1e-9).astype(np.int64)
    rest = int(min(total, cap.sum()) - given.sum())
    order = np.argsort(-np.where(given < cap, quota - given, -1.0), kind="stable")
    given[order[: max(0, rest)]] += 1
    return given


def spread(count: int, keep: int) -> np.ndarray:
    """Rows of `keep` of `count`, evenly spaced, the middles of equal stretches: int64, increasing."""
    keep = min(count, keep)
    return ((np.arange(keep) + 0.5) * count / max(1, keep)).astype(np.int64)


def halving(count: int) -> np.ndarray:
    """All of `count` rows, so ordered that the first of them are spread evenly however many are taken."""
    bits = max(1, (count - 1).bit_length())
    return np.array(sorted(range(count), key=lambda row: int(f"{row:0{bits}b}"[::-1], 2)), np.int64)


def grid(cells: int, rows: int, columns: int) -> tuple[int, int]:
    """The best grid of at most `cells` cells that is no finer than rows x columns: (r, c); (0, 0) for none.

    Many cells are good, the shape of rows x columns is good: area times the root of the shapes' ratio.
    """
    if cells < 1:
        return 0, 0

    def merit(grid: tuple[int, int]) -> float:
        ratio = grid[0] * columns / (grid[1] * rows)
        return grid[0] * grid[1] * min(ratio, 1 / ratio) ** 0.5

    return max(((r, min(columns, cells // r)) for r in range(1, min(rows, cells) + 1)), key=merit)
