"""Losses of relational questions: focal, box, start-and-end, and two auxiliary ones.

Pure functions of outputs and targets; computed in float32. This file does not know which network
spoke, nor how the losses are weighted against each other over a training.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional

from watchonce.ops.boxes import corners, giou
from watchonce.ops.records import Outputs, Targets
from watchonce.types import BadInput

L1_WEIGHT, GIOU_WEIGHT = 5.0, 2.0  # Long-VMNet, section 4; as in TubeDETR and MDETR


def focal_loss(logits: Tensor, labels: Tensor, *, gamma: float = 2.0, alpha: float = -1.0) -> Tensor:
    """Sigmoid focal loss summed over classes, mean over questions: `[B, C]` and `[B, C]` -> scalar.

    alpha in 0..1 weighs positives by alpha and negatives by 1 - alpha; below 0 it weighs nothing. Lin et
    al. 2017, equation (5).
    """
    logits, labels = logits.float(), labels.float()
    cost = functional.binary_cross_entropy_with_logits(logits, labels, reduction="none")
    wrong = (torch.sigmoid(logits) - labels).abs()
    cost = cost * wrong**gamma
    if alpha >= 0:
        cost = cost * (alpha * labels + (1 - alpha) * (1 - labels))
    return cost.sum(dim=1).mean()


def box_loss(boxes: Tensor, targets: Tensor, has: Tensor, *, count: Tensor | float | None = None) -> Tensor:
    """5 x L1 + 2 x (1 - gIoU) over the frames that have a box, `[B, Q, 4]` centres -> scalar.

    count: what the sum is divided by, where it is not the number of boxes in the batch (several ranks).
    """
    said, right = boxes.float()[has], targets.float()[has]
    apart = (said - right).abs().sum()
    missed = (1 - giou(corners(said), corners(right))).sum()
    number = torch.as_tensor(has.sum() if count is None else count, dtype=torch.float32, device=boxes.device)
    return (L1_WEIGHT * apart + GIOU_WEIGHT * missed) / number.clamp(min=1.0)


def edge_loss(logits: Tensor, target: Tensor) -> Tensor:
    """Cross-entropy over a question's times: logits `[B, Q]` (-inf = no time), rows of target sum to 1."""
    log = functional.log_softmax(logits.float(), dim=1)
    return -(target * torch.where(target > 0, log, 0.0)).sum(dim=1).mean()


def balanced_bce(logits: Tensor, labels: Tensor, valid: Tensor) -> Tensor:
    """Mean cost of the positives plus mean cost of the negatives, halved, where `valid` and not NaN.

    Few of many records are positive; each side counts the same. Used for scores ("a record shows an
    object in use") and for matches ("a record shows the object asked about"). `[B, L]` each -> scalar.
    """
    known = valid & ~labels.isnan()
    labels = torch.where(known, labels, 0.0).float()
    cost = functional.binary_cross_entropy_with_logits(logits.float(), labels, reduction="none")
    sides = [
        (cost * side).sum() / side.sum().clamp(min=1e-6) for side in (labels * known, (1 - labels) * known)
    ]
    return (sides[0] + sides[1]) / 2


def relational_loss(
    kind: str, outputs: Outputs, targets: Targets, *, gamma: float = 2.0, alpha: float = -1.0
) -> dict[str, Tensor]:
    """The losses of one batch of one kind: its own under `kind`, and `match` where targets are given for it.

    The layers before the last are counted in with the same weight (TubeDETR). Raises BadInput where the
    outputs or the targets of that kind are missing.
    """
    total = torch.stack([_of(kind, layer, targets, gamma, alpha) for layer in (*outputs.aux, outputs)]).sum()
    losses = {kind: total}
    matches = [(outputs.shows, targets.shows), (outputs.acts, targets.acts)]
    # A logit is -inf or a label NaN nowhere but at padding, so the label alone says what counts.
    said = [
        balanced_bce(logits, labels, torch.ones_like(labels, dtype=torch.bool))
        for logits, labels in matches
        if logits is not None and labels is not None
    ]
    if said:
        losses["match"] = torch.stack(said).sum()
    return losses


def _of(kind: str, outputs: Outputs, targets: Targets, gamma: float, alpha: float) -> Tensor:
    if kind == "activity":
        logits, labels = _given(kind, outputs.activity, targets.labels)
        return focal_loss(logits, labels, gamma=gamma, alpha=alpha)
    if kind == "object":
        boxes, right, has = _given(kind, outputs.boxes, targets.boxes, targets.has)
        return box_loss(boxes, right, has)
    start, end, first, last = _given(kind, outputs.start, outputs.end, targets.start, targets.end)
    return edge_loss(start, first) + edge_loss(end, last)


def _given(kind: str, *values: Tensor | None) -> tuple[Tensor, ...]:
    if any(v is None for v in values):
        raise BadInput(f"a loss of kind {kind!r} needs the outputs and the targets of that kind")
    return tuple(v for v in values if v is not None)
