"""The loop on a network small enough to check by hand."""

import math

import numpy as np
import pytest
import torch
from torch import nn

from watchonce.engine.checkpoint import load_checkpoint, save_checkpoint
from watchonce.engine.fit import Diverged, Plan, fit, rate_at
from watchonce.types import BadInput, DamagedMemory


class Network(nn.Module):
    def __init__(self):
        super().__init__()
        self.first, self.last = nn.Linear(4, 8), nn.Linear(8, 1)

    def forward(self, x):
        return self.last(self.first(x).tanh())


def network():
    torch.manual_seed(3)
    return Network()


def lesson(model):
    def losses(step, rng):
        x = torch.from_numpy(rng.normal(size=(16, 4)).astype(np.float32))
        miss = model(x) - x.mean(1, keepdim=True)
        return {"square": (miss**2).mean(), "size": 1e-3 * miss.abs().mean()}

    return losses


PLAN = Plan(steps=40, rate=2e-2, warm_up=5, every=10, weights={"size": 0.5})


def test_loss_goes_down():
    model = network()
    history = fit(model, lesson(model), PLAN)
    assert len(history) == 40
    assert np.mean(history[-5:]) < 0.7 * np.mean(history[:5])


def test_resumes_to_the_same_bits(tmp_path):
    whole, halves = network(), network()
    expected = fit(whole, lesson(whole), PLAN)
    fit(halves, lesson(halves), PLAN, checkpoint=tmp_path / "c.safetensors", until=17)
    again = network()
    for parameter in again.parameters():
        nn.init.zeros_(parameter)  # everything must come from the checkpoint
    history = fit(again, lesson(again), PLAN, checkpoint=tmp_path / "c.safetensors")
    assert history == expected
    for one, other in zip(whole.parameters(), again.parameters(), strict=True):
        assert torch.equal(one, other)


def test_without_resume_it_starts_anew(tmp_path):
    first = network()
    fit(first, lesson(first), PLAN, checkpoint=tmp_path / "c.safetensors", until=10)
    second = network()
    history = fit(second, lesson(second), PLAN, checkpoint=tmp_path / "c.safetensors", resume=False, until=10)
    assert len(history) == 10
    assert torch.equal(first.first.weight, second.first.weight)


def test_frozen_parameters_stay():
    model = network()
    model.first.requires_grad_(False)
    before = model.first.weight.clone()
    fit(model, lesson(model), PLAN, until=5)
    assert torch.equal(before, model.first.weight)


def test_slower_parts_move_less():
    moved = {}
    for share in (1.0, 0.01):
        model = network()
        before = model.first.weight.clone()
        fit(model, lesson(model), Plan(steps=10, rate=1e-2, slower={"first.": share}))
        moved[share] = float((model.first.weight - before).detach().abs().mean())
    assert moved[0.01] < 0.1 * moved[1.0]


def test_stops_where_the_loss_is_not_finite(tmp_path):
    model = network()

    def losses(step, rng):
        loss = (model(torch.ones(1, 4)) ** 2).mean()
        return {"square": loss * (math.nan if step == 7 else 1.0)}

    with pytest.raises(Diverged, match=r"step 7.*square.*nan"):
        fit(model, losses, PLAN)
    assert all(bool(torch.isfinite(p).all()) for p in model.parameters())


def test_schedule():
    plan = Plan(steps=100, rate=1.0, warm_up=10, floor=0.1)
    rates = [rate_at(plan, step) for step in range(100)]
    assert rates[0] == pytest.approx(0.1)
    assert max(rates) == pytest.approx(1.0)
    assert rates[10:] == sorted(rates[10:], reverse=True)
    assert rate_at(plan, 100) == pytest.approx(0.1)


def test_bad_plans_and_files(tmp_path):
    with pytest.raises(BadInput, match="got 0 and 1"):
        Plan(steps=0, rate=1.0)
    model = network()
    optimizer = torch.optim.AdamW(model.parameters())
    (tmp_path / "torn").write_bytes(b"not a checkpoint")
    with pytest.raises(DamagedMemory, match="torn"):
        load_checkpoint(tmp_path / "torn", model, optimizer)
    save_checkpoint(tmp_path / "other", nn.Linear(2, 2), optimizer, 1, {})
    with pytest.raises(DamagedMemory, match="another network"):
        load_checkpoint(tmp_path / "other", model, optimizer)
    assert not list(tmp_path.glob("*.part"))
