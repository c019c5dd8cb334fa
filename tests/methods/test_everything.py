"""everything: all of it, or every 2^k-th frame of it."""

from __future__ import annotations

import torch

from tests.parts import tokens_for
from watchonce.contracts import Budget
from watchonce.methods.everything import Everything
from watchonce.types import FrameBatch, Query, Span


def fill(memory: Everything, seconds: int, budget: Budget, step: int = 10) -> None:
    for first in range(0, seconds, step):
        times = [float(t) for t in range(first, min(first + step, seconds))]
        memory.write(FrameBatch.empty(), tokens_for(times, 4), budget)


def test_without_a_budget_every_token_is_there_in_order() -> None:
    memory = Everything()
    fill(memory, 95, Budget())
    kept = memory.read(Query("?")).tokens
    assert kept is not None
    assert torch.equal(kept.data, tokens_for([float(t) for t in range(95)], 4).data)


def test_under_a_budget_the_frames_kept_are_equally_far_apart() -> None:
    memory = Everything()
    fill(memory, 1000, Budget(memory=64))
    kept = memory.read(Query("?")).tokens
    assert kept is not None
    moments = torch.unique(kept.start)
    assert len(kept) <= 64
    assert len(kept) == 4 * len(moments)  # a frame's tokens stay together
    assert torch.unique(torch.diff(moments)).tolist() == [64.0]  # 1000 frames into 16 = every 64th


def test_the_windows_do_not_matter() -> None:
    one, many = Everything(), Everything()
    fill(one, 300, Budget(memory=48), step=300)
    fill(many, 300, Budget(memory=48), step=7)
    first, second = one.read(Query("?")).tokens, many.read(Query("?")).tokens
    assert first is not None
    assert second is not None
    assert torch.equal(first.data, second.data)


def test_a_span_and_a_before_are_kept_to() -> None:
    memory = Everything()
    fill(memory, 100, Budget())
    kept = memory.read(Query("?", span=Span(20.0, 40.0), before=30.0)).tokens
    assert kept is not None
    assert float(kept.start.min()) == 20.0
    assert float(kept.start.max()) == 29.0
    assert memory.read(Query("?", span=Span(200.0, 300.0))).tokens is None
