"""Relational queries over a drawn film: given two of activity, object and time, name the third.

Three kinds, three window lengths. Every query has an answer, the activities are drawn in equal shares,
and of the objects asked about half are also used for something else outside the window, so that
knowing the object is not enough. This file does not know how a query is shown to a model or scored.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from watchonce.types import BadInput, Span
from watchonce.video.drawn.truth import Box, Truth
from watchonce.video.drawn.world import ACTIVITIES, Event

KINDS = ("activity", "object", "time")
WINDOWS = {"short": 300.0, "medium": 900.0, "long": 1800.0}  # seconds
BOX_STEP = 0.2  # seconds between the boxes of an object query


@dataclass(frozen=True, slots=True)
class Relation:
    """One relational query with its answer.

    activity (given the object and the window): `labels`, all that is done to the object there.
    object (given activity and segment): `boxes` of the object, rows of time, x1, y1, x2, y2.
    time (given activity, object and window): `segments`. `reference` is a time and box for a crop of
    the object at rest, outside `segments`; None if the film never shows it so.
    """

    kind: str
    length: str
    window: Span
    activity: str | None
    labels: tuple[str, ...]
    instance: int
    segments: tuple[Span, ...]
    reference: tuple[float, Box] | None
    boxes: tuple[tuple[float, float, float, float, float], ...] = ()

    def record(self, qid: str, video: str) -> dict[str, Any]:
        """The query as one row of JSONL: seconds, boxes x1, y1, x2, y2 in 0..1."""
        shown = None
        if self.reference is not None:
            shown = {"video_id": video, "time": self.reference[0], "box": list(self.reference[1])}
        return {
            "qid": qid,
            "video_id": video,
            "kind": self.kind,
            "length": self.length,
            "window": [self.window.start, self.window.end],
            "segments": [[s.start, s.end] for s in self.segments],
            "activity": None if self.activity is None else ACTIVITIES.index(self.activity),
            "labels": [ACTIVITIES.index(label) for label in self.labels],
            "instance_id": self.instance,
            "ref": shown,
            "boxes": [list(row) for row in self.boxes],
            "n_gt": len(self.labels) if self.kind == "activity" else len(self.segments),
        }


def relational(
    truth: Truth,
    rng: np.random.Generator,
    count: int,
    *,
    kinds: Sequence[str] = KINDS,
    lengths: Sequence[str] = tuple(WINDOWS),
) -> list[Relation]:
    """At most `count` different queries, kinds and lengths in turn.

    A window longer than the film is the film. Raises BadInput for an unknown kind or length.
    """
    for value, known in [*((k, KINDS) for k in kinds), *((n, tuple(WINDOWS)) for n in lengths)]:
        if value not in known:
            raise BadInput(f"{value!r} is none of {', '.join(known)}")
    if not truth.events:
        return []
    found: dict[tuple[Any, ...], Relation] = {}
    cells = [(kind, length) for length in lengths for kind in kinds]
    asker = _Asker(truth, rng)
    for attempt in range(count * 10):
        if len(found) >= count:
            break
        kind, length = cells[attempt % len(cells)]
        relation = asker.ask(kind, length, busy=attempt // len(cells) % 2 == 0)
        if relation is not None:
            key = (kind, length, relation.activity, relation.instance, relation.segments)
            found.setdefault(key, relation)
    return list(found.values())


class _Asker:
    """Events of one film by activity, and the draws from them."""

    def __init__(self, truth: Truth, rng: np.random.Generator) -> None:
        self.truth, self.rng = truth, rng
        self.of: dict[int, list[Event]] = defaultdict(list)
        self.doing: dict[str, list[Event]] = defaultdict(list)
        for event in truth.events:
            self.of[event.instance].append(event)
            self.doing[event.activity].append(event)

    def ask(self, kind: str, length: str, busy: bool) -> Relation | None:
        """One draw; None if it has no clear answer. busy: the object is put to other use elsewhere."""
        activity = list(self.doing)[int(self.rng.integers(len(self.doing)))]
        event = self.doing[activity][int(self.rng.integers(len(self.doing[activity])))]
        window = self._window(event, WINDOWS[length])
        if any(_cut(e, window) for e in self.of[event.instance]):
            return None
        inside = [e for e in self.of[event.instance] if window.start <= e.start and e.end <= window.end]
        labels = tuple(dict.fromkeys(e.activity for e in inside))
        if busy and not {e.activity for e in self.of[event.instance]} - set(labels) and kind == "activity":
            return None
        if kind == "object":
            return self._object(event, length, window)
        same = [e for e in inside if kind == "activity" or e.activity == activity]
        spans = tuple(Span(e.start, e.end) for e in same)
        return Relation(
            kind=kind,
            length=length,
            window=window,
            activity=activity if kind == "time" else None,
            labels=labels if kind == "activity" else (activity,),
            instance=event.instance,
            segments=spans,
            reference=self.truth.reference(event.instance, spans),
        )

    def _object(self, event: Event, length: str, window: Span) -> Relation | None:
        """None if the same is done to another object at the same time: two right answers."""
        span = Span(event.start, event.end)
        if any(e is not event and span.overlap(Span(e.start, e.end)) for e in self.doing[event.activity]):
            return None
        return Relation(
            kind="object",
            length=length,
            window=window,
            activity=event.activity,
            labels=(event.activity,),
            instance=event.instance,
            segments=(span,),
            reference=self.truth.reference(event.instance, (span,)),
            boxes=tuple(_boxes(self.truth, event)),
        )

    def _window(self, event: Event, seconds: float) -> Span:
        """A stretch of the film that holds the whole event, its place drawn evenly."""
        whole = self.truth.duration
        if seconds >= whole:
            return Span(0.0, whole)
        first, last = max(0.0, event.end - seconds), min(event.start, whole - seconds)
        start = round(float(self.rng.uniform(first, last)), 3)
        start = min(max(start, first), last)
        return Span(start, start + seconds)


def _cut(event: Event, window: Span) -> bool:
    """The window's edge goes through the event."""
    return any(event.start < edge < event.end for edge in (window.start, window.end))


def _boxes(truth: Truth, event: Event) -> Iterator[tuple[float, float, float, float, float]]:
    """`Truth.box_at` all along an event, which lies in one visit and so on one track."""
    times = np.arange(event.start, event.end, BOX_STEP)
    for track in truth.tracks:
        if track.instance == event.instance and track.start <= event.start < track.end:
            sides = [np.interp(times, track.boxes[:, 0], track.boxes[:, side]) for side in range(1, 5)]
            for time, x1, y1, x2, y2 in np.stack([times, *sides], 1).tolist():
                if time < track.end and x2 > x1 and y2 > y1:
                    yield time, x1, y1, x2, y2
