"""Boxes: both notations, overlap by hand and by counting pixels, and what happens to boxes of no area."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from watchonce.ops.boxes import area, centres, corners, giou, iou


def box(*values: float) -> Tensor:
    return torch.tensor(values, dtype=torch.float64)


def drawn(count: int, seed: int, side: int = 24) -> Tensor:
    """Boxes with whole corners on a grid, so that their cells can be counted."""
    points = torch.randint(0, side, (count, 2, 2), generator=torch.Generator().manual_seed(seed))
    low, high = points.amin(1), points.amax(1) + 1
    return torch.cat([low, high], -1).double()


def cells(one: Tensor, side: int = 25) -> set[tuple[int, int]]:
    x1, y1, x2, y2 = (int(v) for v in one)
    return {(x, y) for x in range(max(0, x1), min(side, x2)) for y in range(max(0, y1), min(side, y2))}


def test_the_two_notations_are_inverse() -> None:
    boxes = drawn(50, 0) / 25
    torch.testing.assert_close(corners(centres(boxes)), boxes)
    torch.testing.assert_close(centres(box(0.0, 0.2, 0.4, 0.8)), box(0.2, 0.5, 0.4, 0.6))


def test_overlap_is_what_counting_cells_gives() -> None:
    a, b = drawn(200, 1), drawn(200, 2)
    found, general = iou(a, b), giou(a, b)
    for row in range(200):
        first, second = cells(a[row]), cells(b[row])
        union = len(first | second)
        assert found[row].item() == pytest.approx(len(first & second) / union)
        low, high = torch.minimum(a[row, :2], b[row, :2]), torch.maximum(a[row, 2:], b[row, 2:])
        hull = len(cells(torch.cat([low, high])))
        assert general[row].item() == pytest.approx(len(first & second) / union - (hull - union) / hull)


@pytest.mark.parametrize(
    ("a", "b", "overlap", "general"),
    [
        (box(0, 0, 1, 1), box(0, 0, 1, 1), 1.0, 1.0),
        (box(0, 0, 2, 1), box(1, 0, 3, 1), 1 / 3, 1 / 3),  # the hull is covered
        (box(0, 0, 1, 1), box(3, 0, 4, 1), 0.0, -0.5),  # half of the hull is empty
        (box(0, 0, 1, 1), box(1, 1, 2, 2), 0.0, -0.5),  # they touch at a corner
        (box(0, 0, 1, 1), box(0.5, 0.5, 0.5, 0.5), 0.0, 0.0),  # a point inside
        (box(0, 0, 1, 1), box(2, 0, 2, 1), 0.0, -0.5),  # a line outside
        (box(1, 1, 1, 1), box(1, 1, 1, 1), 0.0, 0.0),  # the same point twice
        (box(0, 0, 1, 1), box(0.8, 0.8, 0.2, 0.2), 0.0, 0.0),  # turned inside out
    ],
)
def test_by_hand(a: Tensor, b: Tensor, overlap: float, general: float) -> None:
    for one, two in ((a, b), (b, a)):
        assert iou(one, two).item() == pytest.approx(overlap)
        assert giou(one, two).item() == pytest.approx(general)


def test_no_gradient_is_infinite_where_boxes_have_no_area() -> None:
    a = torch.tensor([[0.5, 0.5, 0.5, 0.5], [0.2, 0.2, 0.2, 0.9], [0.0, 0.0, 1.0, 1.0]], requires_grad=True)
    b = torch.tensor([[0.5, 0.5, 0.5, 0.5], [0.2, 0.2, 0.2, 0.9], [2.0, 2.0, 2.0, 2.0]])
    (1 - giou(a, b)).sum().backward()
    assert a.grad is not None
    assert torch.isfinite(a.grad).all()


def test_disjoint_boxes_are_pulled_together_though_their_iou_is_flat() -> None:
    a = torch.tensor([0.1, 0.1, 0.2, 0.2], dtype=torch.float64, requires_grad=True)
    there = torch.tensor([0.7, 0.1, 0.8, 0.2], dtype=torch.float64)
    giou(a, there).backward()
    assert a.grad is not None
    assert a.grad[0] != 0
    assert a.grad[2] > 0
    assert torch.autograd.gradcheck(lambda x: giou(x, there), (a,))


def test_half_precision_is_computed_in_full() -> None:
    boxes = torch.rand(30, 4, generator=torch.Generator().manual_seed(3)).half()
    found = iou(corners(boxes), corners(boxes))
    assert found.dtype == torch.float32
    torch.testing.assert_close(found, torch.ones(30))


def test_inside_out_boxes_have_no_area() -> None:
    assert area(box(1, 0, 0, 1)).item() == 0
    assert area(box(1, 1, 0, 0)).item() == 0
