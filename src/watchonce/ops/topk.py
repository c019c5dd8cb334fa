"""Keeping m of n: which are kept, how a gradient reaches the choice, and policies that need no network.

`select` chooses the m largest keys and returns a gate that is exactly 0 or 1 forward and carries the
gradient of a relaxed top-m backward (straight-through). A score of -inf means "not there". Everything
works on the last axis; this file does not know what is being kept.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import torch
from torch import Tensor
from torch.nn import functional

from watchonce.types import BadInput

GOLDEN = (5**0.5 - 1) / 2
HALVINGS = 50  # bisection steps for the level; float32 is exact long before
Relaxation = Callable[[Tensor, int, float], Tensor]


def top(keys: Tensor, m: int) -> Tensor:
    """Positions of the m largest keys, ascending: `[..., n]` -> int64 `[..., min(m, n)]`.

    Of equal keys the later position wins. Positions of -inf are taken only when nothing else is left.
    """
    n = keys.shape[-1]
    order = torch.sort(keys.flip(-1), dim=-1, descending=True, stable=True).indices
    return torch.sort(n - 1 - order[..., : min(m, n)], dim=-1).values


def select(
    scores: Tensor, m: int, tau: float, noise: Tensor | None = None, relax: Relaxation | None = None
) -> tuple[Tensor, Tensor]:
    """The m largest of scores + noise: positions `[..., min(m, n)]` and straight-through gate `[..., n]`.

    The gate is 1 on the chosen and 0 elsewhere; its gradient is that of `relax` (sigmoid_topk unless
    given) at temperature `tau`. With Gumbel noise the choice is a sample without replacement.
    """
    keys = scores if noise is None else scores + noise
    index = top(keys.detach(), m)
    hard = torch.zeros_like(keys).scatter(-1, index, 1.0) * torch.isfinite(keys)
    if not (torch.is_grad_enabled() and keys.requires_grad):
        return index, hard
    soft = (relax or sigmoid_topk)(keys, m, tau)
    return index, hard + (soft - soft.detach())


# -- relaxations


def sigmoid_topk(scores: Tensor, m: int, tau: float) -> Tensor:
    """Relaxed m-hot `sigmoid((z - level) / tau)` in 0..1, the level such that it sums to m.

    Goes to the true m-hot as tau goes to 0. Where at most m scores are finite, those are 1. The gradient
    is w * (g - sum(w g) / sum(w)), w = p (1 - p) / tau, by the implicit function theorem.
    """
    return _level(scores, m, tau, torch.sigmoid, lambda p: p * (1 - p))


def softplus_topk(scores: Tensor, m: int, tau: float) -> Tensor:
    """`tau * softplus((z - level) / tau)` summing to m: what xie_ermon tends to for many alike items.

    Not bounded by 1: it tends to water-filling, not to the top m. For use behind a straight-through gate.
    """

    def slope(value: Tensor) -> Tensor:
        return 1 - torch.exp(-value)  # sigmoid(x), from softplus(x)

    return tau * _level(scores, m / tau, tau, functional.softplus, slope, full=m)


def xie_ermon(scores: Tensor, m: int, tau: float) -> Tensor:
    """The relaxed subset of Xie & Ermon 2019: m softmaxes in turn, each with what was taken masked out.

    Sums to m exactly; costs m sequential softmaxes over n, so it is for tests and small m.
    """
    alpha, taken = scores, torch.zeros_like(scores)
    tiny = torch.finfo(scores.dtype).tiny
    for _ in range(min(m, scores.shape[-1])):
        share = torch.softmax(alpha / tau, dim=-1)
        taken = taken + share
        alpha = alpha + torch.log((1 - share).clamp(min=tiny))
    return taken


def inclusion(scores: Tensor, m: int) -> Tensor:
    """Neural conditional Poisson sampling: chances in 0..1 that sum to m, from p = sigmoid(score).

    p scaled down where it sums to more than m, 1 - p scaled down where it sums to less.
    """
    there = torch.isfinite(scores)
    chance = torch.where(there, torch.sigmoid(scores), 0.0)
    rest = torch.where(there, torch.sigmoid(-scores), 0.0)
    total, others = chance.sum(-1, keepdim=True), rest.sum(-1, keepdim=True)
    count = there.sum(-1, keepdim=True)
    down = m * chance / total.clamp(min=1e-12)
    up = torch.where(there, 1 - (count - m).clamp(min=0) * rest / others.clamp(min=1e-12), 0.0)
    return torch.where(total >= m, down, up)


def conditional_poisson(scores: Tensor, m: int, uniform: Tensor) -> Tensor:
    """Exactly m of n by independent coins conditioned on their number: scores and uniforms `[B, n]` -> bool.

    A set S is drawn with chance proportional to exp(sum of its scores). Exact, by sums over suffixes:
    n steps of `[B, m + 1]`.
    """
    batch, n = scores.shape
    if int(torch.isfinite(scores).sum(-1).min()) < m:
        raise BadInput(f"conditional Poisson sampling of {m} needs {m} finite scores in every row")
    ways = scores.new_full((batch, n + 1, m + 1), -math.inf, dtype=torch.float64)  # log, of j among i..n-1
    ways[:, n, 0] = 0.0
    odds = scores.double()
    for i in range(n - 1, -1, -1):
        ways[:, i] = ways[:, i + 1]
        ways[:, i, 1:] = torch.logaddexp(ways[:, i + 1, 1:], odds[:, i, None] + ways[:, i + 1, :-1])
    left = torch.full((batch, 1), m, device=scores.device)
    taken = torch.zeros_like(scores, dtype=torch.bool)
    for i in range(n):
        after = ways[:, i + 1].gather(1, (left - 1).clamp(min=0))[:, 0] + odds[:, i]
        chance = torch.exp(after - ways[:, i].gather(1, left)[:, 0])
        taken[:, i] = (left[:, 0] > 0) & (uniform[:, i] < chance)
        left = left - taken[:, i, None].long()
    return taken


def _level(
    scores: Tensor,
    total: float,
    tau: float,
    shape: Callable[[Tensor], Tensor],
    slope: Callable[[Tensor], Tensor],
    full: int | None = None,
) -> Tensor:
    """shape((z - level) / tau) with the level that makes each row sum to `total`; -inf gives 0.

    Rows with at most `full` finite scores are 1 / 0 (in units of total / full), without gradient.
    """
    there = torch.isfinite(scores)
    size = full if full is not None else int(total)
    finite = torch.where(there, scores, 0.0)
    with torch.no_grad():
        reach = tau * (scores.shape[-1] + 40.0) if shape is functional.softplus else 40.0 * tau
        low = torch.where(there, scores, math.inf).amin(-1, keepdim=True) - reach - total
        high = torch.where(there, scores, -math.inf).amax(-1, keepdim=True) + 40.0 * tau
        low, high = (v.nan_to_num(posinf=0.0, neginf=0.0) for v in (low, high))
        for _ in range(HALVINGS):
            middle = (low + high) / 2
            value = torch.where(there, shape((finite - middle) / tau), 0.0).sum(-1, keepdim=True)
            low, high = torch.where(value > total, middle, low), torch.where(value > total, high, middle)
        level = (low + high) / 2
    value = torch.where(there, shape((finite - level) / tau), 0.0)
    weight = torch.where(there, slope(value), 0.0).detach()
    # One Newton step from the solution moves nothing and makes the level's own derivative exact.
    level = level + (tau * (value - value.detach()).sum(-1, keepdim=True)) / weight.sum(
        -1, keepdim=True
    ).clamp(min=1e-12)
    few = there.sum(-1, keepdim=True) <= size
    solved = torch.where(there, shape((finite - level) / tau), 0.0)
    return torch.where(few, there.to(scores.dtype) * (total / size), solved)


# -- noise and policies


def gumbel(uniform: Tensor) -> Tensor:
    """Standard Gumbel draws from uniforms in (0, 1)."""
    return -torch.log(-torch.log(uniform))


def lot(time: Tensor, patch: Tensor, seed: int = 0) -> Tensor:
    """A uniform draw in (0, 1) that belongs to a place and moment: the same whenever it is asked for.

    time: seconds `[...]`, told apart by the millisecond. patch: int64 `[...]`. float64 of that shape. A
    record keeps its draw without storing it, so a file, a stream and two merged memories agree.
    """
    spread = (seed * -7046029254386353131 + 2**63) % 2**64 - 2**63  # as int64 would wrap around
    mixed = torch.round(time.double() * 1000).long() * 4099 + patch + spread
    for shift, factor in ((30, -4658895280553007687), (27, -7723592293110705685)):  # splitmix64
        mixed = (mixed ^ ((mixed >> shift) & ((1 << (64 - shift)) - 1))) * factor
    mixed = mixed ^ ((mixed >> 31) & ((1 << 33) - 1))
    return (((mixed >> 11) & ((1 << 53) - 1)).double() + 0.5) / 2.0**53


def even_lot(time: Tensor, patch: Tensor, seed: int = 0) -> Tensor:
    """Like `lot`, but a cell's draws are spread evenly over time: uniform in (0, 1), no two neighbours alike.

    The golden rotation of the seconds, from a start that is the cell's own. Of any stretch of a film about
    the same share is drawn, where independent lots leave gaps and clumps.
    """
    start = lot(torch.zeros_like(time), patch, seed)
    return ((time.double() * GOLDEN + start) % 1.0).clamp(1e-9, 1 - 1e-9)


def keys_random(time: Tensor, patch: Tensor, step: int, seed: int = 0) -> Tensor:
    """The paper's random memory: a fresh draw at every step, so half of the old goes each time."""
    return lot(time, patch, seed * 1_000_003 + step + 1)


def keys_reservoir(time: Tensor, patch: Tensor, step: int, seed: int = 0) -> Tensor:
    """A uniform sample of all records seen: one draw a record, kept."""
    del step
    return lot(time, patch, seed)


def keys_fifo(time: Tensor, patch: Tensor, step: int, seed: int = 0) -> Tensor:
    """The newest records; within a frame by lot."""
    del step
    return time.double() + lot(time, patch, seed) * 1e-3


def keys_stride(time: Tensor, patch: Tensor, step: int, seed: int = 0) -> Tensor:
    """Whole frames equally far apart: those first whose second is divisible by the higher power of two."""
    del step
    second = torch.round(time.double()).long()
    power = torch.where(second > 0, second & -second, 1 << 40).double()
    return power - lot(time, torch.zeros_like(patch), seed) * 0.5 - patch.double() * 1e-6


POLICIES: dict[str, Callable[..., Tensor]] = {
    "random": keys_random,
    "reservoir": keys_reservoir,
    "fifo": keys_fifo,
    "stride": keys_stride,
}
