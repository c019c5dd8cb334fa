"""From records to questions that anyone can be asked, and from answers back to what is scored.

A question about an object shows a crop of the film itself, taken where the object is at rest. This file
does not know where queries come from nor how an answer is scored.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import torch

from watchonce.bench import Case
from watchonce.bench.rest.queries import RestFilm, RestQuery
from watchonce.bench.rest.scoring import Said
from watchonce.clock import clock
from watchonce.ops.crops import crop
from watchonce.types import Answer, BadInput, Query, Span
from watchonce.video import open_video
from watchonce.video.drawn.queries import WINDOWS

FRAMES = 64  # of a film, read at once


@dataclass(frozen=True, slots=True)
class RestCase(Case):
    """A case with the record it was made from, and the names of the true activities."""

    asked: RestQuery = field(kw_only=True)
    right: tuple[str, ...] = field(kw_only=True)


def cases_of(path: Path, film: RestFilm) -> tuple[RestCase, ...]:
    """Every query of a film as a case, the crops read from its video. BadInput where that has no frame."""
    images = pictures(path, film)
    return tuple(_case(query, film, images.get(query.qid)) for query in film.queries)


def _case(query: RestQuery, film: RestFilm, image: np.ndarray | None) -> RestCase:
    right = tuple(film.activities[label] for label in query.labels)
    activity = None if query.activity is None else film.activities[query.activity]
    return RestCase(
        Query(in_words(query, activity), span=query.span, image=image, activity=activity),
        f"{query.kind} {query.length}",
        ", ".join(right),
        query.segments,
        asked=query,
        right=right,
    )


def pictures(path: Path, film: RestFilm) -> dict[str, np.ndarray]:
    """By qid, the crop of every query that shows an object: uint8 `[3, h, w]`.

    Raises BadInput where the video has no frame at the time of a crop.
    """
    shown = sorted((q.ref.time, q.qid, q.ref) for q in film.queries if q.ref and q.kind != "object")
    video = open_video(path)
    found = {}
    for first in range(0, len(shown), FRAMES):
        part = shown[first : first + FRAMES]
        frames = video.frames_at([time for time, _, _ in part])
        for time, qid, sight in part:
            row = int(np.searchsorted(frames.start, time, side="right")) - 1
            if row < 0 or frames.end[row] <= time:
                raise BadInput(
                    f"{path} has no frame at {time:g} s, where query {qid} takes its object's picture; "
                    "is this the video the queries were made for?"
                )
            found[qid] = crop(frames.pixels[row], sight.box)
    return found


def in_words(query: RestQuery, activity: str | None) -> str:
    """The query as a sentence, for those who read."""
    since, until = clock(query.span.start), clock(query.span.end)
    if query.kind == "activity":
        return f"What is done to this from {since} to {until}?"
    if query.kind == "object":
        return f"Where is what they {activity} from {since} to {until}?"
    return f"When do they {activity} this, from {since} to {until}?"


def nearest_length(kind: str, span: Span) -> str:
    """The length whose window is nearest to a span in ratio; an object query names none: long."""
    if kind == "object" or span.length <= 0:
        return "long"
    return min(WINDOWS, key=lambda length: abs(math.log(span.length / WINDOWS[length])))


def as_answer(kind: str, said: Said, activities: tuple[str, ...]) -> Answer:
    """What was said, as an answer: the best activity first, boxes by time, spans best first."""
    if kind == "activity" and said.scores is not None:
        order = said.scores.argsort(descending=True, stable=True).tolist()
        named = tuple((activities[n], float(said.scores[n])) for n in order)
        return Answer(named[0][0], activities=named)
    if kind == "object" and said.times is not None and said.boxes is not None:
        rows = torch.cat([said.times[:, None].double(), said.boxes.double()], 1).tolist()
        return Answer("", boxes=tuple((t, x1, y1, x2, y2) for t, x1, y1, x2, y2 in rows))
    if kind == "time" and said.spans is not None:
        spans = tuple(Span(*row[:2]) for row in said.spans.tolist())
        return Answer(f"{spans[0].start:.1f} s" if spans else "", evidence=spans, not_found=not spans)
    raise BadInput(f"nothing was said that answers a query of kind {kind!r}")


def said_of(answer: Answer) -> Said:
    """The boxes and spans of an answer, ready to be scored."""
    rows = torch.tensor(answer.boxes, dtype=torch.float64).reshape(-1, 5)
    spans = torch.tensor([[s.start, s.end] for s in answer.evidence], dtype=torch.float64).reshape(-1, 2)
    order = rows[:, 0].argsort()
    return Said(times=rows[order, 0], boxes=rows[order, 1:], spans=spans)
