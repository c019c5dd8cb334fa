"""f2c · compressor · From Frames to Clips (arXiv 2510.02262).

Anchors are the peaks of the frames' similarity to the question; around each a clip is chosen, long and coarse
or short and fine, at the price of its anchor. What differs from the paper and why: it resizes pixels, here a
frame already is tokens and a scale of s averages them to 1 / s^2 of their number (the paper's own rule for
encoders of one size); similarity is min-max first, because its range is the encoder's own and the weights
below are not; a clip of one frame has redundancy 0. Merged clips and grids that do not divide would break the
budget, so numbers are brought back under it at the end; without peaks the anchors are evenly spaced.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from itertools import pairwise
from typing import ClassVar

import numpy as np

from watchonce.contracts import Budget, Compressor
from watchonce.ops import allocate, merge
from watchonce.ops.cluster import kmeans
from watchonce.ops.frames import framed, grid, means
from watchonce.ops.score import of_frames, unit
from watchonce.types import Query, Tokens


@dataclass
class FramesToClips(Compressor):
    """Short fine clips or long coarse ones, where the question points."""

    waits: ClassVar[bool] = True
    saliency: ClassVar[str] = "similarity"

    coarsest: float = 2.0  # scale s, at most
    redundancy: float = 0.5  # weight of the likeness of a clip's frames
    length: float = 0.05  # weight of a clip's length
    seed: int = 0

    def compress(self, tokens: Tokens, query: Query | None, budget: Budget) -> Tokens:
        """At most `budget.tokens` tokens: clips worth that many tokens of full frames."""
        if not len(tokens) or budget.tokens is None or len(tokens) <= budget.tokens:
            return tokens
        frame, count = framed(tokens)
        score = unit(of_frames(tokens, frame, count, "f2c"))
        each = len(tokens) / count
        worth = min(float(count), budget.tokens / each)  # full frames
        rows = anchors(score, max(1, int(worth)), self.seed)
        direction = means(tokens, frame, count).cpu().numpy().astype(np.float64)
        direction /= np.linalg.norm(direction, axis=1, keepdims=True).clip(1e-12)
        scale = self.scales(score, direction @ direction.T, rows, worth)
        wanted = np.where(np.isfinite(scale), each / scale**2, 0.0)
        keep = np.floor(wanted + 1e-9).astype(np.int64)
        keep[(wanted > 0) & (keep == 0)] = 1
        if keep.sum() > budget.tokens:
            keep = allocate.shares(wanted, budget.tokens, np.ceil(wanted).astype(np.int64))
        for row in best_outside(score, keep > 0):
            keep[row] = min(int(each), budget.tokens - int(keep.sum()))
        height, width = grid(tokens)
        sizes = {k: allocate.grid(k, height, width) for k in np.unique(keep).tolist()}
        shapes = np.array([(height, width) if k >= each else sizes[k] for k in keep.tolist()])
        return merge.by_label(tokens, merge.pool(tokens, frame, shapes))

    def scales(self, score: np.ndarray, likeness: np.ndarray, rows: np.ndarray, worth: float) -> np.ndarray:
        """Each frame's scale, 1 or more, infinite outside every clip: float64 `[T]`.

        score: `[T]` in 0..1. likeness: cosines of frames `[T, T]`. rows: the anchors. worth: full frames
        the clips may cost, l / s^2 = worth / anchors each. Where clips overlap the finer scale counts.
        """
        share = worth / len(rows)
        longest = max(1, min(len(score), int(self.coarsest**2 * share + 1e-9)))
        scale = np.full(len(score), np.inf)
        for anchor in rows.tolist():
            first, last = self._clip(score, likeness, anchor, longest)
            mine = min(max(math.sqrt((last - first) / share), 1.0), self.coarsest)
            scale[first:last] = np.minimum(scale[first:last], mine)
        return scale

    def _clip(self, score: np.ndarray, likeness: np.ndarray, anchor: int, longest: int) -> tuple[int, int]:
        """The best clip about an anchor: mean score less redundancy plus length; of equals the shortest."""
        best = (-math.inf, anchor, anchor + 1)
        for length in range(1, longest + 1):
            first = min(max(anchor - (length - 1) // 2, 0), len(score) - length)
            clip = slice(first, first + length)
            inside = likeness[clip, clip]
            alike = (inside.sum() - inside.trace()) / (length * (length - 1)) if length > 1 else 0.0
            gain = score[clip].mean() - self.redundancy * alike + self.length * length / longest
            if gain > best[0] + 1e-12:
                best = (gain, first, first + length)
        return best[1], best[2]


def best_outside(score: np.ndarray, taken: np.ndarray) -> np.ndarray:
    """Rows that are not taken, by falling score; of a plateau evenly spaced ones come first: int64 `[n]`."""
    rest = np.flatnonzero(~taken)
    level, place = np.unique(-score[rest], return_inverse=True)
    groups = [rest[place == k] for k in range(len(level))]
    return np.concatenate([*(group[allocate.halving(len(group))] for group in groups), rest[:0]])


def anchors(score: np.ndarray, most: int, seed: int = 0) -> np.ndarray:
    """The peak of every basin between two valleys, at most `most` of them: int64, ascending.

    Valleys are local minima and both ends. Of too many peaks, those of a group near in time (k-means on
    their rows) give their best. Constant scores have no peak: evenly spaced rows.
    """
    if np.ptp(score) == 0:
        return allocate.spread(len(score), most)
    change = np.flatnonzero(np.diff(score)) + 1  # plateaus count as one place
    starts = np.concatenate([[0], change])
    level = score[starts]
    inner = np.flatnonzero((level[1:-1] < level[:-2]) & (level[1:-1] < level[2:])) + 1
    edges = np.concatenate([[0], starts[inner], [len(score)]])
    peaks = np.array([a + int(score[a:b].argmax()) for a, b in pairwise(edges)])
    if len(peaks) <= most:
        return peaks
    _, group = kmeans(peaks[:, None].astype(np.float64), most, seed)
    return np.sort([max(peaks[group == g], key=lambda row: score[row]) for g in range(most)])
