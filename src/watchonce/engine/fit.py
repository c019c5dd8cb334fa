"""A small training loop: named losses, a schedule by steps, clipping, checkpoints, exact resumption.

A batch is a function of (seed, step) alone, so a resumed run sees the very batches an undisturbed one
would. This file knows no method, no model and no data.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from watchonce.engine.checkpoint import load_checkpoint, save_checkpoint
from watchonce.engine.peers import Peers
from watchonce.types import BadInput, WatchonceError

if TYPE_CHECKING:
    from torch import Tensor, nn

Losses = Mapping[str, "Tensor"]
Progress = Callable[[int, int, Mapping[str, float]], None]


@dataclass(frozen=True)
class Plan:
    """How to optimise. Rates are per step; `floor` is the last learning rate as a share of `rate`."""

    steps: int
    rate: float
    warm_up: int = 50
    floor: float = 0.05
    decay: float = 0.01
    clip: float = 1.0
    betas: tuple[float, float] = (0.9, 0.98)
    every: int = 200  # steps between checkpoints
    seed: int = 0
    weights: Mapping[str, float] = field(default_factory=dict)  # of named losses; 1 where not named
    slower: Mapping[str, float] = field(default_factory=dict)  # parameter prefix -> share of `rate`

    def __post_init__(self) -> None:
        if self.steps < 1 or not self.rate > 0:
            raise BadInput(f"training needs steps and rate above 0, got {self.steps} and {self.rate}")


class Diverged(WatchonceError):
    """The loss is no longer a finite number."""


def rate_at(plan: Plan, step: int) -> float:
    """Share of `plan.rate` at `step`: a linear warm-up, then half a cosine down to `floor`."""
    warm = min(plan.warm_up, plan.steps // 2)
    if step < warm:
        return (step + 1) / warm
    done = (step - warm) / max(1, plan.steps - warm)
    return plan.floor + (1 - plan.floor) * 0.5 * (1 + math.cos(math.pi * min(1.0, done)))


def fit(
    model: nn.Module,
    losses: Callable[[int, np.random.Generator], Losses],
    plan: Plan,
    *,
    checkpoint: Path | None = None,
    resume: bool = True,
    progress: Progress | None = None,
    until: int | None = None,
    peers: Peers | None = None,
) -> list[float]:
    """Trains `model`'s parameters that require gradients; returns the total loss of every step.

    `losses(step, rng)` makes a batch and returns named scalars. With `checkpoint`, the state is written
    every `plan.every` steps and at the end, and taken up from there when `resume`. `until` stops early,
    as an interruption would, with a checkpoint. With `peers`, several processes take one step together:
    gradients are averaged and the first process writes. Raises Diverged at the first loss that is not
    finite.
    """
    import torch

    peers = peers or Peers()
    groups = _groups(model, plan)
    optimizer = torch.optim.AdamW(groups, lr=plan.rate, betas=plan.betas, weight_decay=plan.decay)
    trained = [p for group in groups for p in group["params"]]
    first, history, spent = 0, [], 0.0
    if checkpoint is not None and resume and checkpoint.exists():
        first, facts = load_checkpoint(checkpoint, model, optimizer)
        history, spent = list(facts["history"]), float(facts["cpu_seconds"])
    began = time.process_time()
    last = plan.steps if until is None else min(until, plan.steps)
    for step in range(first, last):
        for group, scale in zip(optimizer.param_groups, (g["scale"] for g in groups), strict=True):
            group["lr"] = plan.rate * scale * rate_at(plan, step)
        named = losses(step, np.random.default_rng([plan.seed, step]))
        total = sum((plan.weights.get(name, 1.0) * value for name, value in named.items()), torch.zeros(()))
        if not torch.isfinite(total):
            values = {name: float(value.detach()) for name, value in named.items()}
            raise Diverged(f"the loss is not finite at step {step}: {values}; lower the rate ({plan.rate:g})")
        optimizer.zero_grad(set_to_none=True)
        total.backward()
        peers.average(trained)
        torch.nn.utils.clip_grad_norm_(trained, plan.clip)
        optimizer.step()
        history.append(float(total.detach()))
        if progress is not None and peers.first:
            progress(step + 1, plan.steps, {name: float(value.detach()) for name, value in named.items()})
        if checkpoint is not None and peers.first and ((step + 1) % plan.every == 0 or step + 1 == last):
            facts = {"history": history, "cpu_seconds": spent + time.process_time() - began}
            save_checkpoint(checkpoint, model, optimizer, step + 1, facts)
    peers.wait()
    return history


def _groups(model: nn.Module, plan: Plan) -> list[dict]:
    """Parameters by (share of the rate, decayed or not); vectors and embeddings are not decayed."""
    found: dict[tuple[float, bool], list] = {}
    for name, parameter in model.named_parameters():
        if parameter.requires_grad:
            scale = next((s for prefix, s in plan.slower.items() if name.startswith(prefix)), 1.0)
            decayed = parameter.ndim > 1 and "embed" not in name
            found.setdefault((scale, decayed), []).append(parameter)
    return [
        {"params": parameters, "scale": scale, "weight_decay": plan.decay if decayed else 0.0}
        for (scale, decayed), parameters in found.items()
    ]
