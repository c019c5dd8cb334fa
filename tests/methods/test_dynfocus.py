"""dynfocus: prototypes, the question's choice, cones and rods."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any, cast

import numpy as np
import pytest
import torch

from tests.parts import Eye, grid_tokens, relevant
from watchonce.contracts import Bodies, Budget
from watchonce.methods.dynfocus import DynamicFocus, prototypes, split_budget, taught
from watchonce.ops.focus import Focus, Shape
from watchonce.ops.weights import save_network
from watchonce.types import BadInput, Query, Tokens

ASKED = Query("what happens?")


def scenes(lengths: list[int], side: int = 2, width: int = 16, seed: int = 0) -> tuple[Tokens, np.ndarray]:
    """A video of still scenes with a little noise, and each frame's scene."""
    scene = np.repeat(np.arange(len(lengths)), lengths)
    tokens = grid_tokens(len(scene), side, side, width=width, seed=seed)
    looks = torch.randn(len(lengths), side * side, width, generator=torch.Generator().manual_seed(seed + 1))
    data = looks[torch.from_numpy(scene)].flatten(0, 1) + 0.01 * tokens.data
    return replace(tokens, data=data), scene


@pytest.mark.parametrize("frames", [40, 60, 80])
def test_literal_token_counts(frames: int) -> None:
    """Eighty prototypes or fewer: ceil(.45 T) cones of 38 tokens, the other frames two each."""
    tokens = relevant(grid_tokens(frames, 16, 16, width=4), np.linspace(0, 1, frames))
    less = DynamicFocus(prototypes=80).compress(tokens, ASKED, Budget())
    cones = math.ceil(0.45 * frames)
    assert len(less) == cones * 38 + (frames - cones) * 2
    counts = torch.unique(less.start, return_counts=True)[1].tolist()
    assert sorted(counts) == [2] * (frames - cones) + [38] * cones
    assert math.isclose(float(less.size.sum()), len(tokens), rel_tol=1e-5)


def test_a_cone_is_prototype_fine_and_coarse() -> None:
    """Sixteen areas of the scene's frames; clusters of the medoid; clusters of those."""
    tokens, scene = scenes([4] * 9, side=16, width=8)
    asked = relevant(tokens, np.isin(scene, [1, 4, 7]).astype(float))
    less = DynamicFocus(focus=0.75).compress(asked, ASKED, Budget(tokens=3 * 38 + 33 * 2))
    counts = torch.unique(less.start, return_counts=True)[1]
    assert int(counts.sum()) == 180
    # the areas stand at the start of their scene's first frame and last to its end
    wide = less[less.end - less.start > 1]
    assert torch.unique(wide.start).tolist() == [4.0, 16.0, 28.0]
    assert torch.unique(wide.end).tolist() == [8.0, 20.0, 32.0]
    assert len(wide) == 48
    area = tokens.data[4 * 256 : 8 * 256].reshape(4, 4, 4, 4, 4, 8).mean((0, 2, 4)).reshape(16, 8)
    assert torch.allclose(wide.data[:16], area, atol=1e-5)


@pytest.mark.parametrize("asked", [0, 1, 2])
def test_the_question_chooses_the_event(asked: int) -> None:
    """Three events between still stretches; each question sees its own in full."""
    tokens, scene = scenes([20, 4, 20, 4, 20, 4, 20])
    event = 2 * asked + 1
    less = DynamicFocus().compress(relevant(tokens, (scene == event).astype(float)), ASKED, Budget(tokens=23))
    starts, counts = torch.unique(less.start, return_counts=True)
    whole = starts[counts == 4].long().numpy()
    assert event in scene[whole]
    assert len(less) == 23


def test_the_score_can_be_deaf_to_the_question() -> None:
    tokens, scene = scenes([20, 4, 20, 4, 20, 4, 20])
    kept = [
        DynamicFocus(question=0.0).compress(relevant(tokens, (scene == e) * 1.0), ASKED, Budget(tokens=23))
        for e in (1, 5)
    ]
    assert torch.equal(kept[0].data, kept[1].data)


def test_the_chosen_frame_of_a_scene_is_its_medoid() -> None:
    tokens, scene = scenes([9, 3, 1, 1, 1], seed=3)
    rows = tokens.data[: 9 * 4].reshape(9, -1)
    medoid = int(((rows - rows.mean(0)) ** 2).sum(1).argmin())
    asked = relevant(tokens, (scene == 0).astype(float))
    less = DynamicFocus(focus=1.0).compress(asked, ASKED, Budget(tokens=4))
    assert less.start.tolist() == [float(medoid)] * 4
    assert torch.equal(less.data, tokens.data[4 * medoid : 4 * medoid + 4])


@pytest.mark.parametrize(("cone", "rod"), [(38, 2), (4, 1), (1, 1)])
def test_a_budget_splits_into_cones_and_rods_that_fit(cone: int, rod: int) -> None:
    for frames in (1, 2, 7, 80, 500):
        for total in (1, 2, 3, 10, 64, 99, 1456, 9000):
            for focus in (0.0, 0.5, 0.75, 1.0):
                cones, rods = split_budget(total, frames, cone, rod, focus)
                assert cones * cone + rods * rod <= total
                assert min(cones, rods) >= 0
                assert cones + rods <= frames
    for focus in (0.75, 0.94):
        assert split_budget(1456, 80, 38, 2, focus) == (36, 44)  # the paper's, out of its own budget
    assert split_budget(64, 64, 4, 1, 0.75) == (12, 16)


def test_every_token_of_the_budget_is_used() -> None:
    tokens = relevant(grid_tokens(30, 3, 3), np.random.default_rng(0).random(30))
    for budget in range(1, 270, 7):
        assert len(DynamicFocus().compress(tokens, ASKED, Budget(tokens=budget))) == budget


def test_a_budget_beyond_the_paper_s_cones_makes_larger_ones() -> None:
    tokens = relevant(grid_tokens(5, 10, 10, width=4), np.array([0.1, 0.2, 0.9, 0.3, 0.4]))
    less = DynamicFocus().compress(tokens, ASKED, Budget(tokens=5 * 38 + 70))
    assert torch.unique(less.start, return_counts=True)[1].sum() == 260
    assert float(less.size.sum()) == pytest.approx(500, rel=1e-5)
    whole = torch.tensor([bool((tokens.data == row).all(1).any()) for row in less.data])
    assert int(whole.sum()) >= 100  # one frame has all its tokens by now


def test_frames_in_another_order_are_chosen_all_the_same() -> None:
    """Prototypes do not know of time: with frames moved, the same frames are cones."""
    tokens, scene = scenes([6, 3, 6, 3], seed=5)
    relevance = np.where(scene == 1, 0.9, 0.1)
    order = np.random.default_rng(1).permutation(18)
    data = tokens.data.reshape(18, 4, -1)
    moved = relevant(replace(tokens, data=data[torch.from_numpy(order)].flatten(0, 1)), relevance[order])
    part = DynamicFocus(focus=1.0, prototypes=18)  # every frame its own prototype: no start matters
    one = part.compress(relevant(tokens, relevance), ASKED, Budget(tokens=16))
    other = part.compress(moved, ASKED, Budget(tokens=16))
    chosen = {int(t) for t in one.start.tolist()}
    assert {int(order[int(t)]) for t in other.start.tolist()} == chosen


# -- taught


WORDS = ("after", "cup", "red", "the", "washed")


@pytest.fixture(scope="module")
def weights(tmp_path_factory: pytest.TempPathFactory) -> str:
    """A file of a small network that was taught nothing: what holds of any weights holds of these."""
    torch.manual_seed(0)
    shape = Shape(WORDS, features=16, width=16, inner=8, cones=3, rods=5)
    network = Focus(shape)
    torch.nn.init.normal_(network.rod.weight, std=0.1)
    path = tmp_path_factory.mktemp("weights") / "d.safetensors"
    save_network(path, network, shape, {"model": "abc"})
    return str(path)


CUP = Query("Was the red cup washed?")


def test_taught_it_spends_no_more_than_the_budget_nor_than_it_was_taught(weights: str) -> None:
    draw = np.random.default_rng(7)
    part = DynamicFocus(weights=weights)
    assert part.reads == ""
    for _ in range(200):
        frames, rows, columns = (int(n) for n in draw.integers(1, (40, 4, 4)))
        tokens = grid_tokens(frames, rows, columns, width=16, seed=int(draw.integers(1000)))
        budget = int(draw.integers(1, len(tokens) + 3))
        less = part.compress(tokens, CUP, Budget(tokens=budget))
        assert 0 < len(less) <= min(budget, len(tokens), 3 * rows * columns + 5)
        assert bool((torch.diff(less.start) >= 0).all())
        assert float(less.size.sum()) <= len(tokens) * (1 + 1e-5)
        again = part.compress(tokens, CUP, Budget(tokens=budget))
        assert torch.equal(less.data, again.data)


def test_cones_are_the_frames_and_rods_span_all_others(weights: str) -> None:
    tokens = replace(grid_tokens(30, 2, 2, width=16), saliency=None)
    less = DynamicFocus(weights=weights, focus=0.7).compress(tokens, CUP, Budget(tokens=17))
    assert len(less) == 3 * 4 + 5
    bare = DynamicFocus(weights=weights, focus=1.0).compress(tokens, CUP, Budget(tokens=17))
    assert torch.equal(bare.data, less.data[less.size == 1])
    cones, rods = less[less.size == 1], less[less.size > 1]
    assert len(cones) == 12
    for row, start in zip(cones.data, cones.start, strict=True):
        assert bool((tokens.data[tokens.start == start] == row).all(1).any())
    assert float(rods.size.sum()) == pytest.approx(27 * 4, rel=1e-5)
    chosen = set(cones.start.tolist())
    others = sorted(set(tokens.start.tolist()) - chosen)
    assert rods.start.tolist() == [others[len(others) * k // 5 + (len(others) * k % 5 > 0)] for k in range(5)]
    network, _ = taught(weights)
    plain = tokens[tokens.start == others[0]].data.mean(0)
    assert not torch.allclose(rods.data[0], plain, atol=1e-3)
    assert network.rod.weight.grad is None


def test_the_cones_are_prototypes_of_the_frames_scored_best(weights: str) -> None:
    tokens = replace(grid_tokens(30, 2, 2, width=16, seed=4), saliency=None)
    less = DynamicFocus(weights=weights).compress(tokens, CUP, Budget(tokens=12))
    network, _ = taught(weights)
    score = network(tokens.data.reshape(30, 4, 16), network.hear([CUP.text], np.arange(30) + 0.5))[0]
    best = score.topk(6).indices.tolist()
    chosen = {int(t) for t in less.start.tolist()}
    assert len(chosen) == 3
    assert chosen <= set(best)
    other = DynamicFocus(weights=weights).compress(tokens, Query("after"), Budget(tokens=12))
    assert {int(t) for t in other.start.tolist()} != chosen


def test_prototypes_of_frames_that_look_alike_are_one() -> None:
    points = np.array([[0.0], [0.01], [0.02], [5.0], [5.01], [9.0], [9.01], [9.02]])
    score = np.ones(8)
    rows = prototypes(score, points, 4)
    assert {0, 1, 2} & set(rows.tolist())
    assert {3, 4} & set(rows.tolist())
    assert {5, 6, 7} & set(rows.tolist())
    score[:3] = 2.0
    assert prototypes(score, points, 1).tolist() in ([0], [1])  # the two scored best
    assert prototypes(score[:2], points[:2], 4).tolist() == [0, 1]


def test_taught_it_says_what_it_cannot_read(weights: str) -> None:
    part = DynamicFocus(weights=weights)
    tokens = grid_tokens(4, 2, 2, width=16)
    with pytest.raises(BadInput, match="hear a question"):
        part.compress(tokens, Query(" "), Budget(tokens=4))
    with pytest.raises(BadInput, match="16 wide, got 8"):
        part.compress(grid_tokens(4, 2, 2, width=8), CUP, Budget(tokens=4))
    with pytest.raises(BadInput, match=r"leave compress\.weights out"):
        part.bind(Bodies(vlm=cast(Any, Eye())))
    with pytest.raises(BadInput, match=r"none\.safetensors"):
        DynamicFocus(weights="none.safetensors").fingerprint()
    assert part.fingerprint() != ""
    assert DynamicFocus().fingerprint() == ""
