"""uniform · selector · no paper: the baseline every paper compares with.

Takes frames at equal distances in time: the middles of `budget.frames` equal stretches, moved to the
nearest frame of the scan. Without a frame budget it takes every frame of the scan.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from watchonce.contracts import Budget, Selector
from watchonce.types import Plan, Query, Scan


@dataclass
class Uniform(Selector):
    """Equal distances in time; looks at nothing."""

    def select(self, scan: Scan, query: Query | None, budget: Budget) -> Plan:
        """At most `budget.frames` times of the scan, strictly increasing."""
        count = len(scan) if budget.frames is None else min(budget.frames, len(scan))
        if count == len(scan):
            return Plan(scan.start.copy())
        first, last = float(scan.start[0]), float(scan.end[-1])
        middles = first + (np.arange(count) + 0.5) * (last - first) / count
        after = np.clip(np.searchsorted(scan.start, middles), 1, len(scan) - 1)
        nearest = after - (middles - scan.start[after - 1] < scan.start[after] - middles)
        # Two middles may share a frame where the scan is thin; push right, then left, to keep them apart.
        rows = nearest.astype(np.int64)
        rows = np.maximum.accumulate(rows - np.arange(count)) + np.arange(count)
        rows = np.minimum(rows, len(scan) - count + np.arange(count))
        return Plan(scan.start[rows])
