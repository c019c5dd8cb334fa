"""Relational queries made ready: what a network is asked about a film, and what would be right.

A batch holds queries of one kind. Queries follow from (film, seed, epoch); the crop, the clip and the
times a decoder looks at are drawn from the generator that is handed over. This file knows the truth of
films; it knows no network and no memory.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np
import torch

from watchonce.bench.rest.drawn import relations_of
from watchonce.bench.rest.queries import LENGTHS, RestQuery
from watchonce.ops.asking import cells_of
from watchonce.ops.records import Questions, Records, Targets, spread
from watchonce.train.relational.films import REPRESENTED, Film
from watchonce.types import BadInput
from watchonce.video.drawn.world import ACTIVITIES

if TYPE_CHECKING:
    from torch import Tensor

CELLS = 160  # of a time query, at most; never shorter than a second
LOOKS_OF_ACTIVITY = 32  # times an activity query looks at
BOX_LOOKS = 24  # times an object query looks at in training, at most
INSIDE = 0.5  # chance that a training clip is made to meet the answer


@dataclass(frozen=True, eq=False)
class Ask:
    """One query about one film, as the film shows it: a mirrored film has mirrored boxes and activities."""

    film: Film
    query: RestQuery

    @property
    def kind(self) -> str:
        """activity, object or time."""
        return self.query.kind

    @property
    def activity(self) -> int:
        """Number of the activity that an object or time query names."""
        return self.query.labels[0]


def asks_of(
    film: Film, kind: str, count: int, *, draw: int = 0, lengths: Sequence[str] = LENGTHS
) -> list[Ask]:
    """Exactly `count` queries of one kind, lengths in turn; where the film has too few, some come again.

    draw: another number asks other queries. Raises BadInput for a film that has none at all.
    """
    each = -(-count // len(lengths))
    drawn = relations_of(film.truth, each, kinds=(kind,), lengths=lengths, draw=draw)
    usable = [RestQuery.of(r.record(f"{kind}-{n}", film.key.name)) for n, r in enumerate(drawn)]
    if not usable:
        raise BadInput(
            f"film {film.key.name} has no query of kind {kind!r}; take longer films or other lengths"
        )
    pools = [[q for q in usable if q.length == length] or usable for length in lengths]
    turns = [pools[n % len(pools)][n // len(pools) % len(pools[n % len(pools)])] for n in range(count)]
    return [Ask(film, _shown(film, query)) for query in turns]


def _shown(film: Film, query: RestQuery) -> RestQuery:
    if not film.mirror:
        return query
    return replace(
        query,
        activity=None if query.activity is None else film.activity(query.activity),
        labels=tuple(film.activity(label) for label in query.labels),
        boxes=tuple((t, 1 - x2, y1, 1 - x1, y2) for t, x1, y1, x2, y2 in query.boxes),
    )


def clip_of(ask: Ask, length: int, rng: np.random.Generator) -> np.ndarray:
    """Indices of `length` neighbouring frames inside the query's window, int64 `[length]`.

    Half the time, as long as that can be, the clip meets the answer (4.4 of the paper's training leaves
    this open). Fewer frames, where the film is shorter.
    """
    frames = ask.film.during(ask.query.window)
    first, last = int(frames[0]), max(int(frames[0]), int(frames[-1]) + 1 - length)
    if rng.random() < INSIDE:
        segment = ask.query.segments[int(rng.integers(len(ask.query.segments)))]
        held = ask.film.during(segment)
        low = max(first, int(held[0]) - length + 1)
        first, last = min(low, last), max(min(int(held[-1]), last), min(low, last))
    start = int(rng.integers(first, last + 1))
    return np.arange(start, min(start + length, len(ask.film.times)))


# -- what is asked


def questions(
    asks: Sequence[Ask], streams: Sequence[np.random.Generator] | None = None, *, cells: int | None = None
) -> Questions:
    """The queries of one kind as a padded batch.

    streams: of each ask, to draw one of the object's crops and the cells from; the first crop where None.

    cells: how many of a time query's cells are asked at most, the true ones among them (training); all
    of them where None (as is everything an object query has a box for).
    """
    kind = asks[0].kind
    own = streams or [np.random.default_rng(0)] * len(asks)
    times = [_times(ask, rng, cells) for ask, rng in zip(asks, own, strict=True)]
    looks = torch.zeros(len(asks), max(len(t) for t in times))
    there = torch.zeros(looks.shape, dtype=torch.bool)
    for row, at in enumerate(times):
        looks[row, : len(at)], there[row, : len(at)] = at, True
    shown, activity = None, None
    if kind != "object":
        views = [
            ask.film.crops[ask.query.instance_id, int(rng.integers(REPRESENTED)) if streams else 0]
            for ask, rng in zip(asks, own, strict=True)
        ]
        shown = torch.stack(views).float()
    if kind != "activity":
        activity = torch.tensor([a.activity for a in asks])
    window = torch.tensor(
        [[span.start, span.end] for span in (a.query.span for a in asks)], dtype=torch.float32
    )
    return Questions(kind, shown, activity, looks, there, window)


def _times(ask: Ask, rng: np.random.Generator, cells: int | None) -> Tensor:
    if ask.kind == "object":
        at = np.array([row[0] for row in ask.query.boxes], np.float32)
        if cells is not None and len(at) > BOX_LOOKS:
            at = at[np.sort(rng.choice(len(at), BOX_LOOKS, replace=False))]
        return torch.from_numpy(at)
    span = ask.query.span
    if ask.kind == "activity":
        return spread(torch.tensor([[span.start, span.end]], dtype=torch.float32), LOOKS_OF_ACTIVITY)[0]
    grid = cells_of(span)
    if cells is None or cells >= len(grid):
        return grid.mean(1)
    true = {int(c) for edge in _edges(ask, grid) for c in edge}
    others = np.setdiff1d(np.arange(len(grid)), list(true))
    kept = [*true, *rng.choice(others, max(0, cells - len(true)), replace=False).tolist()]
    return grid[sorted(kept)].mean(1)


def _edges(ask: Ask, grid: Tensor) -> tuple[np.ndarray, np.ndarray]:
    """Of every segment, the cell that holds its start and the cell that holds its last moment."""
    low = grid[:, 0].double().numpy()
    starts = np.array([s.start for s in ask.query.segments])
    ends = np.array([s.end for s in ask.query.segments])
    first = np.searchsorted(low, starts + 1e-4, side="right") - 1
    last = np.searchsorted(low, ends - 1e-4, side="right") - 1
    return first.clip(0, len(grid) - 1), last.clip(0, len(grid) - 1)


# -- what is right


def targets(asks: Sequence[Ask], asked: Questions, records: Records | None = None) -> Targets:
    """What is right, for the batch `questions` made; with `records` (a row an ask) the match labels too."""
    made = Targets(**_own(asks, asked))
    if records is None:
        return made
    shows, acts = matches(asks, records)
    return replace(made, shows=shows if asked.kind != "object" else None, acts=acts)


def _own(asks: Sequence[Ask], asked: Questions) -> dict[str, Tensor]:
    if asked.kind == "activity":
        labels = torch.zeros(len(asks), len(ACTIVITIES))
        for row, ask in enumerate(asks):
            labels[row, list(ask.query.labels)] = 1.0
        return {"labels": labels}
    if asked.kind == "object":
        boxes = torch.zeros(*asked.times.shape, 4)
        for row, ask in enumerate(asks):
            known = torch.tensor(ask.query.boxes)
            place = torch.searchsorted(known[:, 0].float().contiguous(), asked.times[row, asked.there[row]])
            x1, y1, x2, y2 = known[place.clamp(max=len(known) - 1), 1:].unbind(1)
            centred = torch.stack([(x1 + x2) / 2, (y1 + y2) / 2, x2 - x1, y2 - y1], 1)
            boxes[row, : len(centred)] = centred
        return {"boxes": boxes, "has": asked.there}
    start, end = torch.zeros(asked.times.shape), torch.zeros(asked.times.shape)
    for row, ask in enumerate(asks):
        grid = cells_of(ask.query.span)
        middle = grid.mean(1)
        for edge, into in zip(_edges(ask, grid), (start, end), strict=True):
            for cell in edge:
                into[row, asked.there[row].nonzero()[:, 0]] += (
                    asked.times[row, asked.there[row]] == middle[int(cell)]
                ).float()
    return {"start": start / start.sum(1, keepdim=True), "end": end / end.sum(1, keepdim=True)}


def matches(asks: Sequence[Ask], records: Records) -> tuple[Tensor, Tensor]:
    """float `[B, L]` of 0 and 1, NaN at padding: shows the object; shows the activity, or any."""
    shows = torch.full(records.time.shape, torch.nan)
    acts = shows.clone()
    for row, ask in enumerate(asks):
        valid = records.valid[row].numpy()
        frame = ask.film.frame_at(records.time[row])[valid]
        patch = records.patch[row].numpy()[valid]
        shows[row, records.valid[row]] = torch.from_numpy(
            ask.film.shows(ask.query.instance_id)[frame, patch]
        ).float()
        doing = ask.film.acting if ask.kind == "activity" else ask.film.acts[ask.activity]
        acts[row, records.valid[row]] = torch.from_numpy(doing[frame, patch]).float()
    return shows, acts
