"""Top-m selection: relaxations sum to m, the hard choice is exact, policies keep what they promise."""

from __future__ import annotations

import itertools

import pytest
import torch
from torch import Tensor

from watchonce.ops.topk import (
    POLICIES,
    conditional_poisson,
    even_lot,
    gumbel,
    inclusion,
    lot,
    select,
    sigmoid_topk,
    softplus_topk,
    top,
    xie_ermon,
)
from watchonce.types import BadInput


def normal(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def uniform(*shape: int, seed: int = 0) -> Tensor:
    return torch.rand(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


@pytest.mark.parametrize("relax", [sigmoid_topk, softplus_topk, xie_ermon])
@pytest.mark.parametrize("m", [1, 7, 20, 39])
@pytest.mark.parametrize("tau", [0.3, 1.0, 1.5])
def test_a_relaxation_sums_to_m_and_keeps_the_order(relax, m: int, tau: float) -> None:
    scores = normal(3, 40)
    soft = relax(scores, m, tau)
    assert torch.allclose(soft.sum(-1), torch.full((3,), float(m), dtype=torch.float64))
    if relax is xie_ermon and tau < 1:
        return  # a step of log(1 - p) is stretched by 1 / tau: what was ahead can fall behind
    assert (soft.gather(1, scores.argsort(1)).diff(dim=1) >= -1e-12).all()
    assert torch.equal(top(soft, m), top(scores, m))


def test_sigmoid_topk_stays_in_0_to_1_and_becomes_the_hard_choice() -> None:
    scores = normal(2, 200)
    hard = torch.zeros_like(scores).scatter(1, top(scores, 60), 1.0)
    apart = [float((sigmoid_topk(scores, 60, tau) - hard).abs().mean()) for tau in (1.5, 0.5, 0.1, 0.001)]
    assert apart == sorted(apart, reverse=True)
    assert apart[-1] < 0.002
    soft = sigmoid_topk(scores, 60, 0.1)
    assert 0 <= float(soft.min()) <= float(soft.max()) <= 1


@pytest.mark.parametrize("relax", [sigmoid_topk, softplus_topk])
def test_the_gradient_of_the_level_is_exact(relax) -> None:
    scores, given, step = normal(12), normal(12, seed=1), 1e-5
    free = scores.clone().requires_grad_()
    (got,) = torch.autograd.grad((relax(free[None], 5, 1.3)[0] * given).sum(), free)
    moved = scores + step * torch.eye(12, dtype=torch.float64) * torch.tensor([[[1.0]], [[-1.0]]])
    ahead, behind = (relax(m, 5, 1.3) @ given for m in moved)
    assert torch.allclose(got, (ahead - behind) / (2 * step), atol=1e-8)


def test_sigmoid_topk_has_the_gradient_of_the_implicit_function_theorem() -> None:
    scores, given = normal(1, 9).requires_grad_(), normal(1, 9, seed=1)
    soft = sigmoid_topk(scores, 4, 0.7)
    (got,) = torch.autograd.grad((soft * given).sum(), scores)
    w = soft * (1 - soft)
    assert torch.allclose(got, w * (given - (w * given).sum() / w.sum()) / 0.7)


def test_xie_ermon_tends_to_softplus_for_many_items() -> None:
    keys = normal(2, 2000) + gumbel(uniform(2, 2000))
    for tau in (1.5, 1.0, 0.5):
        apart = (xie_ermon(keys, 1000, tau) - softplus_topk(keys, 1000, tau)).abs().mean()
        assert float(apart) < 0.0025
    assert float(softplus_topk(keys, 1000, 1.0).max()) > 3  # water-filling, no k-hot


@pytest.mark.parametrize("relax", [sigmoid_topk, softplus_topk])
def test_what_is_not_there_takes_no_share(relax) -> None:
    scores = normal(2, 10)
    scores[0, 3:] = -torch.inf  # fewer than m
    scores[1, 7:] = -torch.inf
    scores.requires_grad_()
    soft = relax(scores, 5, 1.0)
    assert torch.allclose(soft[0, :3], torch.ones(3, dtype=torch.float64))
    assert not soft[0, 3:].any()
    assert not soft[1, 7:].any()
    assert float(soft[1].detach().sum()) == pytest.approx(5.0)
    (slope,) = torch.autograd.grad(soft.square().sum(), scores)
    assert torch.isfinite(slope).all()


def test_top_prefers_the_later_of_equals_and_takes_the_missing_last() -> None:
    assert top(torch.tensor([1.0, 2.0, 1.0, 1.0]), 2).tolist() == [1, 3]
    assert top(torch.tensor([-torch.inf, 0.0, -torch.inf]), 2).tolist() == [1, 2]
    assert top(torch.tensor([3.0, 1.0]), 5).tolist() == [0, 1]


def test_the_gate_is_hard_forward_and_soft_backward() -> None:
    scores = normal(2, 20).requires_grad_()
    index, gate = select(scores, 6, 1.0)
    assert torch.equal(gate.detach(), torch.zeros_like(gate).scatter(1, index, 1.0))
    given = normal(2, 20, seed=3)
    (hard,) = torch.autograd.grad((gate * given).sum(), scores)
    (soft,) = torch.autograd.grad((sigmoid_topk(scores, 6, 1.0) * given).sum(), scores)
    assert torch.allclose(hard, soft)


def plackett_luce(scores: Tensor, pair: tuple[int, int]) -> float:
    """The chance that these two of n are drawn first, in either order."""
    p = torch.softmax(scores, 0)
    return sum(float(p[a] * p[b] / (1 - p[a])) for a, b in (pair, pair[::-1]))


def test_gumbel_top_m_draws_without_replacement_in_proportion() -> None:
    scores, draws = torch.tensor([0.0, 1.0, -1.0, 0.5], dtype=torch.float64), 40_000
    index, _ = select(scores.expand(draws, 4), 2, 1.0, noise=gumbel(uniform(draws, 4)))
    for pair in itertools.combinations(range(4), 2):
        share = float((index == torch.tensor(pair)).all(1).float().mean())
        assert share == pytest.approx(plackett_luce(scores, pair), abs=0.01)


def test_conditional_poisson_draws_sets_in_proportion_to_their_odds() -> None:
    scores, draws = torch.tensor([0.0, 1.0, -1.0, 0.5], dtype=torch.float64), 40_000
    taken = conditional_poisson(scores.expand(draws, 4).contiguous(), 2, uniform(draws, 4))
    assert (taken.sum(1) == 2).all()
    pairs = list(itertools.combinations(range(4), 2))
    odds = torch.tensor([float(scores[list(pair)].sum().exp()) for pair in pairs])
    for pair, chance in zip(pairs, (odds / odds.sum()).tolist(), strict=True):
        share = float(taken[:, list(pair)].all(1).float().mean())
        assert share == pytest.approx(chance, abs=0.01)
    with pytest.raises(BadInput, match="finite"):
        conditional_poisson(torch.full((1, 3), -torch.inf), 1, uniform(1, 3))


@pytest.mark.parametrize("m", [1, 5, 15])
def test_inclusion_chances_sum_to_m(m: int) -> None:
    chances = inclusion(normal(4, 16), m)
    assert torch.allclose(chances.sum(-1), torch.full((4,), float(m), dtype=torch.float64))
    assert 0 <= float(chances.min()) <= float(chances.max()) <= 1


# -- lots and policies


def places(frames: int, cells: int = 4) -> tuple[Tensor, Tensor]:
    time = torch.arange(frames, dtype=torch.float32).repeat_interleave(cells)
    return time, torch.arange(cells).repeat(frames)


def walk(policy: str, m: int, frames: int, clip: int, seed: int = 0) -> tuple[Tensor, Tensor]:
    """Times and patches that a policy keeps of a film seen clip by clip."""
    time, patch = places(frames)
    kept = torch.zeros(0, dtype=torch.int64)
    for step, first in enumerate(range(0, len(time), clip * 4)):
        kept = torch.cat([kept, torch.arange(first, min(first + clip * 4, len(time)))])
        kept = kept[top(POLICIES[policy](time[kept], patch[kept], step, seed), m)]
    return time[kept], patch[kept]


def test_a_lot_is_even_and_belongs_to_its_place() -> None:
    time, patch = places(5000)
    drawn = lot(time, patch)
    assert 0 < float(drawn.min()) < float(drawn.max()) < 1
    counts = torch.histc(drawn.float(), 10, 0, 1)
    assert float((counts - 2000).abs().max()) < 200
    assert abs(float(torch.corrcoef(torch.stack([drawn[:-1], drawn[1:]]))[0, 1])) < 0.02
    assert torch.equal(lot(time[77:99], patch[77:99]), drawn[77:99])
    assert not torch.equal(lot(time, patch, 1), drawn)


def test_even_lots_leave_no_stretch_without_its_share() -> None:
    time, patch = places(2000)
    worst = {}
    for drawn in (lot, even_lot):
        low = (drawn(time, patch) < 0.2).view(2000, 4).float()
        shares = low.unfold(0, 20, 1).mean(-1)  # of every 20 seconds, per cell
        worst[drawn] = float((shares - 0.2).abs().max())
        assert float(low.mean()) == pytest.approx(0.2, abs=0.02)
    assert worst[even_lot] < 0.11 < 0.25 < worst[lot]
    assert torch.equal(even_lot(time[77:99], patch[77:99]), even_lot(time, patch)[77:99])


def test_a_reservoir_is_uniform_over_the_film_and_does_not_hang_on_the_clips() -> None:
    halves = []
    for seed in range(20):
        time, patch = walk("reservoir", 64, 512, 16, seed)
        again = walk("reservoir", 64, 512, 50, seed)
        assert torch.equal(time, again[0])
        assert torch.equal(patch, again[1])
        halves.append(float((time < 256).float().mean()))
    assert sum(halves) / 20 == pytest.approx(0.5, abs=0.05)


def test_a_fresh_draw_at_every_clip_forgets_the_past() -> None:
    shares = [float((walk("random", 64, 512, 16, seed)[0] < 256).float().mean()) for seed in range(20)]
    assert sum(shares) / 20 < 0.01  # sixteen times half of it went


def test_fifo_keeps_the_newest_and_stride_whole_frames_equally_far_apart() -> None:
    assert sorted(walk("fifo", 64, 512, 16)[0].unique().tolist()) == [float(t) for t in range(496, 512)]
    time, patch = walk("stride", 64, 512, 16)
    assert sorted(time.unique().tolist()) == [float(t) for t in range(0, 512, 32)]
    assert patch.bincount().tolist() == [16, 16, 16, 16]
