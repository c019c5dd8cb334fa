"""Axis-aligned boxes: two ways to write them down, and how far two of them agree, pair by pair.

Corners are x1, y1, x2, y2; centres are cx, cy, w, h. Everything is differentiable, element-wise over
the leading axes, and computed in float32 at least. A box whose second corner is not beyond its first
has no area. This file does not know whose boxes they are, nor in what unit.
"""

from __future__ import annotations

import torch
from torch import Tensor


def corners(boxes: Tensor) -> Tensor:
    """Centres `[..., 4]` to corners `[..., 4]`."""
    centre, size = boxes[..., :2], boxes[..., 2:]
    return torch.cat([centre - size / 2, centre + size / 2], dim=-1)


def centres(boxes: Tensor) -> Tensor:
    """Corners `[..., 4]` to centres `[..., 4]`."""
    first, second = boxes[..., :2], boxes[..., 2:]
    return torch.cat([(first + second) / 2, second - first], dim=-1)


def area(boxes: Tensor) -> Tensor:
    """Corners `[..., 4]` to areas `[...]`, 0 for a box turned inside out."""
    return (boxes[..., 2:] - boxes[..., :2]).clamp(min=0).prod(dim=-1)


def iou(a: Tensor, b: Tensor) -> Tensor:
    """Intersection over union of corners `[..., 4]` and `[..., 4]`; 0 where neither has an area."""
    a, b = _wide(a), _wide(b)
    shared, union = _overlap(a, b)
    return _over(shared, union)


def giou(a: Tensor, b: Tensor) -> Tensor:
    """Generalised intersection over union of corners `[..., 4]` and `[..., 4]`, above -1 and up to 1.

    IoU less the share of the hull that neither box covers; where the hull itself has no area that share
    is 0. Rezatofighi et al. 2019, equation (3).
    """
    a, b = _wide(a), _wide(b)
    shared, union = _overlap(a, b)
    low = torch.minimum(a[..., :2], b[..., :2])
    high = torch.maximum(a[..., 2:], b[..., 2:])
    hull = area(torch.cat([low, high], dim=-1))
    return _over(shared, union) - _over(hull - union, hull)


def _overlap(a: Tensor, b: Tensor) -> tuple[Tensor, Tensor]:
    """Areas shared and covered."""
    low = torch.maximum(a[..., :2], b[..., :2])
    high = torch.minimum(a[..., 2:], b[..., 2:])
    shared = area(torch.cat([low, high], dim=-1))
    return shared, area(a) + area(b) - shared


def _over(part: Tensor, whole: Tensor) -> Tensor:
    """part / whole, 0 (with gradient 0) where the whole is nothing."""
    some = whole > 0
    return torch.where(some, part / torch.where(some, whole, 1.0), 0.0)


def _wide(boxes: Tensor) -> Tensor:
    return boxes if boxes.dtype == torch.float64 else boxes.float()
