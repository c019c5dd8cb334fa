"""When an answer to a relational query is a hit: the metrics of activity, object and time queries.

They follow Long-VMNet's evaluation: recall at κx of the activities, overlap of a tube of boxes, and
one-to-one matched segments of time. Times are seconds, boxes corners in any one unit. This file does
not know queries, films or networks.
"""

from __future__ import annotations

import torch
from torch import Tensor

from watchonce.ops.boxes import iou
from watchonce.types import BadInput

MEETS = 0.3  # overlap over union above which a box tube or a segment is a hit
ALIKE = 0.5  # overlap over union above which two decoded segments are the same one
LIKELY = 48  # starts, and ends, that decoding looks at first


def recall_at(scores: Tensor, labels: Tensor, k: int = 1) -> Tensor:
    """Share of a query's x true classes among its k·x best: `[..., C]` and bool `[..., C]` to `[...]`.

    Of equal scores the class with the lower number goes first. The κx definition follows the Ego4D
    moment queries. Raises BadInput for a query without a true class.
    """
    count = labels.sum(-1, keepdim=True)
    if k < 1 or (count == 0).any():
        raise BadInput(f"recall at {k}x needs k of 1 or more and at least one true class a query")
    order = scores.argsort(dim=-1, descending=True, stable=True)
    place = torch.arange(scores.shape[-1], device=scores.device)
    hits = labels.gather(-1, order) & (place < k * count)
    return hits.sum(-1) / count.squeeze(-1)


def boxes_at(times: Tensor, boxes: Tensor, wanted: Tensor) -> Tensor:
    """Boxes `[F, 4]` at rising times `[F]`, drawn out in straight lines to `wanted` `[W]`: `[W, 4]`.

    Before the first and after the last time the box stands still. Raises BadInput without a box.
    """
    if not len(times):
        raise BadInput("a tube needs at least one box")
    after = torch.searchsorted(times.contiguous(), wanted.to(times.dtype).contiguous()).clamp(
        max=len(times) - 1
    )
    before = (after - 1).clamp(min=0)
    gap = times[after] - times[before]
    part = torch.where(gap > 0, (wanted - times[before]) / torch.where(gap > 0, gap, 1.0), 1.0)
    part = part.clamp(0.0, 1.0)[:, None].to(boxes.dtype)
    return boxes[before] * (1 - part) + boxes[after] * part


def v_iou(boxes: Tensor, true: Tensor, has: Tensor) -> float:
    """Mean overlap over union on the frames where the truth has a box; the best of K true tubes.

    boxes `[F, 4]`; true `[F, 4]` or `[K, F, 4]`, has bool `[F]` or `[K, F]`. The time is given in an
    object query, so this is TubeDETR's vIoU restricted to the true segment. Raises BadInput for a
    tube without a true box.
    """
    tubes, there = true.reshape(-1, *boxes.shape), has.reshape(-1, len(boxes))
    if not there.any(-1).all():
        raise BadInput("a true tube has no box on any frame")
    overlap = torch.where(there, iou(boxes.expand_as(tubes), tubes), 0.0)
    return float((overlap.sum(-1) / there.sum(-1)).max())


def t_iou(spans: Tensor, true: Tensor) -> Tensor:
    """Overlap over union of spans `[N, 2]` and `[M, 2]`: `[N, M]`, 0 where neither has a length."""
    low = torch.maximum(spans[:, None, 0], true[None, :, 0])
    high = torch.minimum(spans[:, None, 1], true[None, :, 1])
    shared = (high - low).clamp(min=0)
    lengths = [(s[:, 1] - s[:, 0]).clamp(min=0) for s in (spans, true)]
    union = lengths[0][:, None] + lengths[1][None, :] - shared
    return torch.where(union > 0, shared / torch.where(union > 0, union, 1.0), 0.0)


def matched(spans: Tensor, true: Tensor, meets: float = MEETS) -> int:
    """How many true segments `[M, 2]` can each have a span of `[N, 2]` of their own that meets them.

    A span meets a segment when their overlap over union is above `meets`. The largest matching there
    is, found by augmenting paths.
    """
    fits = (t_iou(spans, true) > meets).tolist() if len(spans) and len(true) else []
    taken: dict[int, int] = {}  # segment -> span

    def place(span: int, seen: set[int]) -> bool:
        for segment, fit in enumerate(fits[span]):
            if fit and segment not in seen:
                seen.add(segment)
                if segment not in taken or place(taken[segment], seen):
                    taken[segment] = span
                    return True
        return False

    return sum(place(span, set()) for span in range(len(fits)))


def decode_spans(start: Tensor, end: Tensor, cells: Tensor, count: int = 1, least: int = 0) -> Tensor:
    """The best `count` segments, best first: float64 `[<= count, 3]`, rows of start, end, score.

    start, end `[Q]`: logits that a segment begins, or ends, in a cell; -inf where there is none. cells
    `[Q, 2]`: the half-open seconds of each cell, rising. A segment runs from the start of its first
    cell to the end of its last, so the end is exclusive; its score is log p(start) + log p(end), the
    last cell at least `least` after the first (1 in TubeDETR). Of two that overlap by more than 0.5
    only the better stays.
    """
    if count < 1 or not len(start):
        raise BadInput(
            f"decoding needs a count of 1 or more and at least one cell, got {count}, {len(start)}"
        )
    first, last = start.double().log_softmax(-1), end.double().log_softmax(-1)
    low, high = cells[:, 0].double(), cells[:, 1].double()
    if count == 1:
        best = _best(first, last, low, high, least)
        return best[best[:, 2] > -torch.inf]
    # The likeliest starts and ends nearly always hold all that is sought; if not, every pair is tried.
    near = [edge.topk(min(LIKELY, len(edge))).indices.sort().values for edge in (first, last)]
    found = _greedy(first, last, low, high, near, count, least)
    if len(first) > LIKELY:
        rest = [
            edge.index_fill(0, rows, -torch.inf).max() for edge, rows in zip((first, last), near, strict=True)
        ]
        bound = torch.maximum(rest[0] + last.max(), first.max() + rest[1])
        if len(found) < count or not found[-1, 2] > bound:
            every = torch.arange(len(first))
            found = _greedy(first, last, low, high, [every, every], count, least)
    return found


def _greedy(
    first: Tensor, last: Tensor, low: Tensor, high: Tensor, near: list[Tensor], count: int, least: int
) -> Tensor:
    """Best first, those that overlap it struck out, again; among the starts and ends `near` alone."""
    starts, ends = near
    pairs = first[starts][:, None] + last[ends][None, :]
    pairs.masked_fill_(ends[None, :] < starts[:, None] + least, -torch.inf)
    low, high = low[starts][:, None], high[ends][None, :]
    lengths = (high - low).clamp(min=0)
    found = []
    while len(found) < count:
        s, e = divmod(int(pairs.argmax()), len(ends))
        if pairs[s, e] == -torch.inf:
            break
        begin, until = low[s, 0], high[0, e]
        found.append(torch.stack([begin, until, pairs[s, e]]))
        shared = (high.clamp(max=until) - low.clamp(min=begin)).clamp(min=0)
        pairs.masked_fill_(shared > ALIKE * (lengths + (until - begin) - shared), -torch.inf)
        pairs[s, e] = -torch.inf  # a cell without length overlaps nothing, itself included
    return torch.stack(found) if found else torch.zeros(0, 3, dtype=torch.float64)


def _best(first: Tensor, last: Tensor, low: Tensor, high: Tensor, least: int) -> Tensor:
    """The best pair alone, in one pass: the best start so far beside every end."""
    if least >= len(first):
        return torch.zeros(0, 3, dtype=torch.float64)
    so_far, where = first[: len(first) - least].cummax(0)
    score, e = (so_far + last[least:]).max(0)
    return torch.stack([low[where[e]], high[e + least], score])[None]
