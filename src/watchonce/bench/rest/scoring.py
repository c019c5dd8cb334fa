"""What an answer to a relational query is worth, and what the best blind answer is worth.

The measures are those of `ops.hits`. The prior is, for every kind and length, the one answer that is
right most often on the training films: a fixed order of the activities, a box that does not move, a
span at a fixed place of the window. This file does not know who answers.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from watchonce.bench.rest.queries import RestFilm, RestQuery
from watchonce.ops.boxes import iou
from watchonce.ops.hits import MEETS, boxes_at, matched, recall_at, t_iou, v_iou
from watchonce.types import BadInput, Span

MAIN = {"activity": "recall@1x", "object": "vIoU>0.3", "time": "tIoU>0.3"}  # the paper's measure of a kind
CANDIDATES = 64  # boxes, and lengths of spans, that the prior chooses among
PLACES = 21  # of a span in its window, likewise


@dataclass(frozen=True, eq=False)
class Said:
    """An answer: scores `[C]` of the activities; or times `[F]` and boxes `[F, 4]`, corners in 0..1; or
    spans `[N, 2]`, seconds, best first."""

    scores: Tensor | None = None
    times: Tensor | None = None
    boxes: Tensor | None = None
    spans: Tensor | None = None


def score(query: RestQuery, said: Said) -> dict[str, float]:
    """The measures of one answer, each 0 to 1, `MAIN` of the kind first; an answer that is missing gets 0.

    activity: recall@1x, recall@3x. object: vIoU>0.3, vIoU>0.5, vIoU. time: tIoU>0.3 and tIoU>0.5 (the
    share of the x segments matched one to one by the first x spans), tIoU (mean over the segments of the
    best such span).
    """
    if query.kind == "activity":
        return _activity(query, said.scores)
    if query.kind == "object":
        overlap = _tube(query, said.times, said.boxes)
        return {"vIoU>0.3": float(overlap > MEETS), "vIoU>0.5": float(overlap > 0.5), "vIoU": overlap}
    true = torch.tensor([[s.start, s.end] for s in query.segments], dtype=torch.float64)
    spans = torch.zeros(0, 2) if said.spans is None else said.spans[: len(true), :2]
    spans = spans.double()
    best = t_iou(spans, true).amax(0).mean().item() if len(spans) else 0.0
    return {
        "tIoU>0.3": matched(spans, true) / len(true),
        "tIoU>0.5": matched(spans, true, 0.5) / len(true),
        "tIoU": best,
    }


def _activity(query: RestQuery, scores: Tensor | None) -> dict[str, float]:
    if scores is None:
        return {"recall@1x": 0.0, "recall@3x": 0.0}
    if scores.ndim != 1 or len(scores) <= max(query.labels):
        raise BadInput(f"activity {max(query.labels)} has no score among {list(scores.shape)}")
    labels = torch.zeros(len(scores), dtype=torch.bool)
    labels[list(query.labels)] = True
    return {f"recall@{k}x": recall_at(scores, labels, k).item() for k in (1, 3)}


def _tube(query: RestQuery, times: Tensor | None, boxes: Tensor | None) -> float:
    if times is None or boxes is None or not len(times):
        return 0.0
    found = []
    for tube in query.tubes:
        true = torch.tensor(tube, dtype=torch.float64)
        there = boxes_at(times.double(), boxes.double(), true[:, 0])
        found.append(v_iou(there, true[:, 1:], torch.ones(len(true), dtype=torch.bool)))
    return max(found)


@dataclass(frozen=True, eq=False)
class Prior:
    """The constant answers of the training films, by length."""

    order: dict[str, Tensor]  # float [C], how often each activity was right
    box: dict[str, Tensor]  # [4]
    place: dict[str, tuple[float, float]]  # share of the window at which the span's middle lies; seconds

    @staticmethod
    def of(films: Sequence[RestFilm]) -> Prior:
        """Counted on the queries of these films. Raises BadInput where a kind was never asked."""
        asked = [query for film in films for query in film.queries]
        lengths = sorted({query.length for query in asked})
        if {(q.kind, q.length) for q in asked} != set(itertools.product(MAIN, lengths)):
            raise BadInput("the prior needs training films with queries of every kind in every length")
        order, box, place = {}, {}, {}
        for length in lengths:
            cell = {kind: [q for q in asked if q.kind == kind and q.length == length] for kind in MAIN}
            labels = torch.tensor([label for q in cell["activity"] for label in q.labels])
            order[length] = torch.bincount(labels, minlength=len(films[0].activities)).double()
            box[length] = _best_box(cell["object"])
            place[length] = _best_place(cell["time"])
        return Prior(order, box, place)

    def said(self, kind: str, length: str, span: Span) -> Said:
        """The constant answer, knowing no more of a query than its kind, its length and the span it gives."""
        if kind == "activity":
            return Said(scores=self.order[length])
        if kind == "object":
            return Said(times=torch.tensor([span.start], dtype=torch.float64), boxes=self.box[length][None])
        middle, seconds = self.place[length]
        centre = span.start + middle * span.length
        edges = [[centre - seconds / 2, centre + seconds / 2]]
        return Said(spans=torch.tensor(edges, dtype=torch.float64))


def _best_box(asked: Sequence[RestQuery]) -> Tensor:
    """Of boxes that are right for some query, the one that hits most; of equals the first."""
    tubes = [torch.tensor(query.boxes, dtype=torch.float64)[:, 1:] for query in asked]
    rows = np.unique(np.linspace(0, len(tubes) - 1, CANDIDATES).astype(int))
    tried = torch.stack([tubes[row][len(tubes[row]) // 2] for row in rows])
    overlap = iou(tried[:, None], torch.cat(tubes)[None])
    means = torch.stack([part.mean(1) for part in overlap.split([len(tube) for tube in tubes], 1)])
    return tried[(means > MEETS).sum(0).argmax()]


def _best_place(asked: Sequence[RestQuery]) -> tuple[float, float]:
    """(share of the window, seconds) of the span that is right most often, of all lengths at all places."""
    lengths = np.quantile([s.length for q in asked for s in q.segments], np.linspace(0, 1, CANDIDATES))
    middles = np.linspace(0, 1, PLACES)
    seconds, middle = (torch.from_numpy(m.ravel()) for m in np.meshgrid(lengths, middles))
    hits = torch.zeros(len(middle), dtype=torch.float64)
    for query in asked:
        centre = query.window.start + middle * query.window.length
        spans = torch.stack([centre - seconds / 2, centre + seconds / 2], -1)
        true = torch.tensor([[s.start, s.end] for s in query.segments], dtype=torch.float64)
        hits += (t_iou(spans, true) > MEETS).any(1) / len(true)
    best = int(hits.argmax())
    return float(middle[best]), float(seconds[best])
