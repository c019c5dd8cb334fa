"""Losses against numbers worked out by hand or by torch's own functions."""

from __future__ import annotations

import math

import pytest
import torch
from torch.nn import functional

from watchonce.ops.records import Outputs, Targets
from watchonce.ops.relational import (
    balanced_bce,
    box_loss,
    edge_loss,
    focal_loss,
    relational_loss,
)
from watchonce.types import BadInput

GENERATOR = torch.Generator().manual_seed(0)


def test_focal_loss_is_cross_entropy_at_gamma_0_and_forgives_the_easy() -> None:
    logits, labels = (
        torch.randn(3, 5, generator=GENERATOR),
        (torch.rand(3, 5, generator=GENERATOR) > 0.5).float(),
    )
    plain = functional.binary_cross_entropy_with_logits(logits, labels, reduction="sum") / 3
    assert torch.allclose(focal_loss(logits, labels, gamma=0), plain)
    easy, hard = torch.tensor([[6.0]]), torch.tensor([[-6.0]])
    one = torch.ones(1, 1)
    p = torch.sigmoid(hard)
    assert float(focal_loss(hard, one)) == pytest.approx(float((1 - p) ** 2 * -torch.log(p)))
    assert float(focal_loss(easy, one)) < 1e-7
    assert torch.allclose(focal_loss(hard, one, alpha=0.25), 0.25 * focal_loss(hard, one))
    assert torch.allclose(focal_loss(hard, 1 - one, alpha=0.25), 0.75 * focal_loss(hard, 1 - one))


def test_box_loss_counts_only_frames_with_a_box() -> None:
    right = torch.tensor([[[0.5, 0.5, 0.2, 0.2], [0.1, 0.1, 0.1, 0.1]]])
    said = torch.tensor([[[0.6, 0.5, 0.2, 0.2], [0.9, 0.9, 0.4, 0.4]]])
    has = torch.tensor([[True, False]])
    # L1 .1; boxes .2 wide overlap by half: IoU 1/3, hull .3 x .2 is covered whole
    assert float(box_loss(said, right, has)) == pytest.approx(5 * 0.1 + 2 * (1 - 1 / 3), abs=1e-5)
    assert float(box_loss(said, right, has, count=2.0)) == pytest.approx((0.5 + 4 / 3) / 2, abs=1e-5)
    assert float(box_loss(said, right, torch.zeros(1, 2).bool())) == 0.0
    assert float(box_loss(right, right, torch.ones(1, 2).bool())) == pytest.approx(0.0, abs=1e-5)


def test_edge_loss_never_touches_a_time_that_is_not_there() -> None:
    logits = torch.tensor([[0.0, 1.0, -math.inf]], requires_grad=True)
    target = torch.tensor([[0.5, 0.5, 0.0]])
    loss = edge_loss(logits, target)
    log = torch.tensor([0.0, 1.0]).log_softmax(0)
    assert float(loss.detach()) == pytest.approx(-float(log.mean()))
    loss.backward()
    assert logits.grad is not None
    assert torch.isfinite(logits.grad).all()


def test_balanced_bce_gives_the_rare_side_half_of_the_say() -> None:
    logits = torch.tensor([[2.0] + [-1.0] * 9 + [5.0, 7.0]])
    labels = torch.tensor([[1.0] + [0.0] * 9 + [math.nan, 1.0]])
    valid = torch.tensor([[True] * 11 + [False]])
    one, nine = functional.softplus(torch.tensor(-2.0)), functional.softplus(torch.tensor(-1.0))
    assert float(balanced_bce(logits, labels, valid)) == pytest.approx(float((one + nine) / 2))
    assert math.isfinite(float(balanced_bce(logits, torch.zeros_like(labels), valid)))


def test_a_kind_has_its_own_loss_layer_by_layer_and_match_where_labelled() -> None:
    logits, labels = torch.zeros(2, 3), torch.ones(2, 3)
    outputs, targets = Outputs(activity=logits), Targets(labels=labels)
    single = relational_loss("activity", outputs, targets)
    assert set(single) == {"activity"}
    twice = relational_loss("activity", Outputs(activity=logits, aux=(outputs,)), targets)
    assert torch.allclose(twice["activity"], 2 * single["activity"])
    known = Targets(labels=labels, shows=torch.tensor([[1.0, math.nan]] * 2))
    both = relational_loss("activity", Outputs(activity=logits, shows=torch.zeros(2, 2)), known)
    assert float(both["match"]) == pytest.approx(math.log(2) / 2)
    with pytest.raises(BadInput, match="'object'"):
        relational_loss("object", outputs, targets)
