"""f2c: clips at a constant price."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch

from tests.parts import grid_tokens, relevant
from watchonce.contracts import Budget
from watchonce.methods.f2c import FramesToClips, anchors, best_outside
from watchonce.types import Query

ASKED = Query("what happens?")


def test_anchors_are_the_peaks_of_basins() -> None:
    score = np.array([0.1, 0.5, 0.3, 0.2, 0.9, 0.4, 0.4, 0.8, 0.1])
    assert anchors(score, 9).tolist() == [1, 4, 7]  # valleys at rows 3 and 5-6
    assert anchors(np.array([1.0, 0.5, 0.2]), 9).tolist() == [0]
    # too many: rows 1 and 4 against 7 or 1 against 4 and 7 near in time; the better of a pair stays
    assert anchors(score, 1).tolist() == [4]
    assert set(anchors(score, 2).tolist()) <= {1, 4, 7}


def test_flat_scores_are_as_good_as_uniform() -> None:
    assert anchors(np.full(60, 0.3), 6).tolist() == [5, 15, 25, 35, 45, 55]
    tokens = relevant(grid_tokens(60, 2, 2), np.full(60, 0.3))
    less = FramesToClips().compress(tokens, ASKED, Budget(tokens=24))
    assert len(less) == 24
    assert torch.unique(torch.floor(less.start / 10)).tolist() == [0, 1, 2, 3, 4, 5]


@pytest.mark.parametrize("seed", range(6))
def test_clips_that_do_not_meet_are_worth_the_frames_of_the_budget(seed: int) -> None:
    """The paper's identity: the sum of l / s^2 is K, where no clip is shorter than its share."""
    draw = np.random.default_rng(seed)
    score = draw.random(200) * 0.01
    peaks = np.array([25, 75, 125, 175])
    score[peaks] = 1.0
    part = FramesToClips(redundancy=0.0, length=5.0)  # long clips are preferred
    scale = part.scales(score, np.eye(200), peaks, 12.0)
    inside = np.isfinite(scale)
    assert inside.sum() == 4 * 12  # l_max = 2^2 * 12 / 4
    assert math.isclose((1 / scale[inside] ** 2).sum(), 12.0)
    assert set(scale[inside].tolist()) == {2.0}
    assert inside[peaks].all()


def best_clip(score: np.ndarray, like: np.ndarray, anchor: int, longest: int) -> tuple[int, int]:
    """The objective of the paper, clip by clip."""
    found = []
    for length in range(1, longest + 1):
        first = min(max(anchor - (length - 1) // 2, 0), len(score) - length)
        rows = range(first, first + length)
        pairs = [like[i, j] for i in rows for j in rows if i != j]
        gain = np.mean([score[i] for i in rows]) - 0.5 * (np.mean(pairs) if pairs else 0.0)
        found.append((round(gain + 0.05 * length / longest, 9), -length, first))
    _, length, first = max(found)
    return first, first - length


@pytest.mark.parametrize("seed", range(6))
def test_a_clip_is_the_best_by_the_paper_s_objective(seed: int) -> None:
    draw = np.random.default_rng(seed)
    score = np.convolve(draw.random(50), np.ones(7) / 7, "same")
    direction = draw.normal(size=(50, 4))
    direction /= np.linalg.norm(direction, axis=1, keepdims=True)
    like = direction @ direction.T
    for anchor in (0, 13, 30, 49):
        scale = FramesToClips().scales(score, like, np.array([anchor]), 3.0)
        first, last = best_clip(score, like, anchor, 12)
        assert np.flatnonzero(np.isfinite(scale)).tolist() == list(range(first, last))
        assert scale[anchor] == min(max(math.sqrt((last - first) / 3.0), 1.0), 2.0)


def test_where_clips_overlap_the_finer_scale_counts() -> None:
    score = np.zeros(20)
    score[[4, 6]] = 1.0
    scale = FramesToClips(redundancy=0.0, length=5.0).scales(score, np.eye(20), np.array([4, 6]), 4.0)
    alone = FramesToClips(redundancy=0.0, length=5.0).scales(score, np.eye(20), np.array([4]), 2.0)
    assert (scale[np.isfinite(alone)] <= alone[np.isfinite(alone)]).all()
    assert (1 / scale**2).sum() <= 4.0


def test_the_frame_that_answers_is_there_in_full() -> None:
    score = np.zeros(40)
    score[23] = 1.0
    tokens = relevant(grid_tokens(40, 4, 4), score)
    less = FramesToClips().compress(tokens, ASKED, Budget(tokens=16))
    assert torch.equal(less.data, tokens.data[23 * 16 : 24 * 16])


def test_what_short_clips_leave_over_goes_to_the_best_frames_outside() -> None:
    """Three peaks make three clips of one frame; the fourth frame's worth is not thrown away."""
    score = np.full(40, 0.2)
    score[23], score[5], score[30:34] = 1.0, 0.4, 0.3
    tokens = relevant(grid_tokens(40, 2, 2), score)
    less = FramesToClips().compress(tokens, ASKED, Budget(tokens=16))
    assert len(less) == 16
    assert torch.unique(less.start).tolist() == [5.0, 23.0, 30.0, 31.0]


def test_the_best_outside_come_first_and_a_plateau_is_spread() -> None:
    score = np.array([0.5, 0.1, 0.1, 0.1, 0.1, 0.9, 0.2])
    assert best_outside(score, score > 0.8).tolist() == [0, 6, 1, 3, 2, 4]
