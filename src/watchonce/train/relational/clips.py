"""The baseline's training: every query is asked about a few frames of its window, and about them alone.

What TubeDETR is taught is what it will be asked: labels and boxes of a clip, edges among frames picked
evenly from the window. No memory, so nothing is kept between steps. It does not know how weights move.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import nn

from watchonce.ops.records import Questions, Targets
from watchonce.ops.relational import relational_loss
from watchonce.train.relational.asks import Ask, clip_of, matches, questions, targets
from watchonce.train.relational.bank import gather
from watchonce.train.relational.dealing import Dealer, Study, streams
from watchonce.types import Span

if TYPE_CHECKING:
    from watchonce.engine.fit import Losses
    from watchonce.methods.tubedetr import TubeDETR
    from watchonce.train.relational.films import Film


class ClipCourse(nn.Module):
    """The network that is taught, and `watch`, its losses at a step."""

    def __init__(
        self, network: TubeDETR, films: Sequence[Film], study: Study, rank: int = 0, ranks: int = 1
    ) -> None:
        super().__init__()
        self.network, self.study = network, study
        self.dealer = Dealer(films, study, rank, ranks)

    def watch(self, step: int, rng: np.random.Generator) -> Losses:
        """The losses of one batch; times of activity queries fall on the clip."""
        turn = self.dealer.turn(step)
        if not turn.asks:
            return {turn.kind: torch.stack([p.sum() for p in self.network.parameters()]).sum() * 0.0}
        asks, frames = [], []
        seeds = streams(turn, rng)
        for ask, own in zip(turn.asks, seeds, strict=True):
            frames.append(frames_of(ask, self.study.clip, own))
            asks.append(cut(ask, frames[-1]))
        cells = asks[0].film.features.shape[1]
        records = gather(
            [ask.film for ask in asks],
            [np.repeat(shown, cells) for shown in frames],
            [np.tile(np.arange(cells), len(shown)) for shown in frames],
        )
        asked = questions(asks, seeds, cells=self.study.cells)
        if turn.kind == "time":
            asked, right = edges(asks, frames, asked)
        else:
            right = targets(asks, asked)
        if self.study.match:
            shows, acts = matches(asks, records)
            right = replace(right, shows=shows if turn.kind != "object" else None, acts=acts)
        losses = relational_loss(asked.kind, self.network.read(records, asked), right)
        return {name: turn.share * value for name, value in losses.items()}


def frames_of(ask: Ask, length: int, rng: np.random.Generator) -> np.ndarray:
    """Indices of at most `length` frames, int64: the clip a query is taught on.

    activity: a random clip of the window. object: one that meets the segment. time: frames picked evenly
    from the whole window, as they are when it is asked.
    """
    film = ask.film
    if ask.kind == "activity":
        return clip_of(ask, length, rng)
    inside = film.during(ask.query.span)
    if ask.kind == "time":
        share = (np.arange(length) + rng.random()) / length
        return np.unique(inside[(share * len(inside)).astype(np.int64)])
    middle = int(inside[int(rng.integers(len(inside)))])
    start = min(max(0, middle - int(rng.integers(length))), max(0, len(film.times) - length))
    return np.arange(start, min(start + length, len(film.times)))


def cut(ask: Ask, frames: np.ndarray) -> Ask:
    """The query as it stands in these frames: what is not shown is not asked. A time query stays as it is."""
    film, query = ask.film, ask.query
    span = Span(float(film.times[frames[0]]), float(film.times[frames[-1]]) + 1 / film.key.fps)
    if ask.kind == "activity":
        own = [e for e in film.truth.events if e.instance == query.instance_id]
        done = {film.activity_of(e) for e in own if span.overlap(Span(e.start, e.end)) > 0}
        return Ask(film, replace(query, window=span, labels=tuple(sorted(done))))
    if ask.kind == "object":
        boxes = tuple(row for row in query.boxes if span.start <= row[0] < span.end)
        return Ask(film, replace(query, boxes=boxes or query.boxes))
    return ask


def edges(asks: Sequence[Ask], frames: Sequence[np.ndarray], asked: Questions) -> tuple[Questions, Targets]:
    """A time query asked at the frames alone; right are the frames on view when a segment starts and ends."""
    times = torch.zeros(len(asks), max(len(shown) for shown in frames))
    there = torch.zeros(times.shape, dtype=torch.bool)
    start, end = torch.zeros(times.shape), torch.zeros(times.shape)
    for row, (ask, shown) in enumerate(zip(asks, frames, strict=True)):
        at = ask.film.times[shown]
        times[row, : len(at)], there[row, : len(at)] = torch.from_numpy(at).float(), True
        for segment in ask.query.segments:
            start[row, max(0, int(np.searchsorted(at, segment.start, side="right")) - 1)] += 1
            end[row, max(0, int(np.searchsorted(at, segment.end - 1e-3, side="right")) - 1)] += 1
    right = Targets(start=start / start.sum(1, keepdim=True), end=end / end.sum(1, keepdim=True))
    return replace(asked, times=times, there=there), right
