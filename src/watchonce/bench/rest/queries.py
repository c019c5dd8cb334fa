"""Relational queries as records: what is given, what is right, and how they lie in a JSONL file.

The fields are those of ReST (relational space-time queries) as Long-VMNet uses them. Seconds
throughout; boxes are corners in 0..1. This file does not know where films come from nor who answers.
"""

from __future__ import annotations

import json
import math
import os
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from watchonce.types import BadInput, Span

SCHEMA = "watchonce rest 1"
KINDS = ("activity", "object", "time")
LENGTHS = ("short", "medium", "long")
SPLITS = ("train", "val", "test")
CELLS = tuple((kind, length) for kind in KINDS for length in LENGTHS)
TimedBox = tuple[float, float, float, float, float]  # seconds, x1, y1, x2, y2


@dataclass(frozen=True, slots=True)
class Sight:
    """Where an object can be seen for a crop: film, seconds, corners."""

    video_id: str
    time: float
    box: tuple[float, float, float, float]


@dataclass(frozen=True, slots=True)
class RestQuery:
    """One query with its answer.

    activity: given `ref` (the object) and `window`; right are `labels`, all that is done to it there.
    object: given `activity` and the one segment; right are `boxes`, of the object it is done to, and just
    as much each tube of `others`, where it is done to several. time: given `ref`, `activity` and `window`;
    right are `segments`. Activities are numbers, named by the film.
    """

    qid: str
    video_id: str
    kind: str
    length: str
    window: Span
    segments: tuple[Span, ...]
    activity: int | None
    labels: tuple[int, ...]
    instance_id: int
    ref: Sight | None
    boxes: tuple[TimedBox, ...] = ()
    others: tuple[tuple[TimedBox, ...], ...] = ()

    @property
    def tubes(self) -> tuple[tuple[TimedBox, ...], ...]:
        """All that is right to an object query."""
        return (self.boxes, *self.others)

    @property
    def span(self) -> Span:
        """The span that is given: the segment of an object query, else the window."""
        return self.segments[0] if self.kind == "object" else self.window

    def record(self) -> dict[str, Any]:
        """Plain values, ready for JSON."""
        return {
            "qid": self.qid,
            "video_id": self.video_id,
            "kind": self.kind,
            "length": self.length,
            "window": [self.window.start, self.window.end],
            "segments": [[s.start, s.end] for s in self.segments],
            "activity": self.activity,
            "labels": list(self.labels),
            "instance_id": self.instance_id,
            "ref": None if self.ref is None else {**asdict(self.ref), "box": list(self.ref.box)},
            "boxes": [list(row) for row in self.boxes],
            "others": [[list(row) for row in tube] for tube in self.others],
            "n_gt": len(self.labels) if self.kind == "activity" else len(self.segments),
        }

    @staticmethod
    def of(row: Mapping[str, Any]) -> RestQuery:
        """From the values of `record`. Raises KeyError, TypeError or ValueError where they are not those."""
        shown = row["ref"]
        query = RestQuery(
            qid=str(row["qid"]),
            video_id=str(row["video_id"]),
            kind=str(row["kind"]),
            length=str(row["length"]),
            window=_span(row["window"]),
            segments=tuple(_span(pair) for pair in row["segments"]),
            activity=None if row["activity"] is None else int(row["activity"]),
            labels=tuple(int(label) for label in row["labels"]),
            instance_id=int(row["instance_id"]),
            ref=None
            if shown is None
            else Sight(str(shown["video_id"]), float(shown["time"]), _box(shown["box"])),
            boxes=_tube(row["boxes"]),
            others=tuple(_tube(tube) for tube in row.get("others", ())),
        )
        if (fault := _fault(query)) is not None:
            raise ValueError(fault)
        return query


@dataclass(frozen=True, slots=True)
class RestFilm:
    """A film and all that is asked about it.

    activities: the names of all classes, in the order of their numbers. note: how the truth came about,
    where that matters.
    """

    video_id: str
    split: str
    seconds: float
    activities: tuple[str, ...]
    queries: tuple[RestQuery, ...] = field(repr=False)
    note: str = ""

    def cell(self, kind: str, length: str) -> tuple[RestQuery, ...]:
        """The queries of one kind and length."""
        return tuple(q for q in self.queries if q.kind == kind and q.length == length)


def save(films: Sequence[RestFilm], path: Path) -> None:
    """Writes JSONL: a line of what all films share, then per film its own line and those of its queries."""
    if not path.parent.is_dir():
        raise BadInput(f"the folder {str(path.parent)!r} does not exist; make it first")
    if len({film.activities for film in films}) != 1:
        raise BadInput("the films of one file must share their activities; write several files")
    lines: list[dict[str, Any]] = [{"schema": SCHEMA, "activities": list(films[0].activities)}]
    for film in films:
        head = {"film": film.video_id, "split": film.split, "seconds": film.seconds, "note": film.note}
        lines += [head, *(query.record() for query in film.queries)]
    part = path.with_name(f".{path.name}.{os.getpid()}.part")
    try:
        part.write_text("".join(json.dumps(line, ensure_ascii=False) + "\n" for line in lines), "utf-8")
        part.replace(path)
    finally:
        part.unlink(missing_ok=True)


def load(path: Path) -> list[RestFilm]:
    """Reads what `save` wrote. Raises BadInput with the line that is wrong."""
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise BadInput(
            f"{path} cannot be read ({error}); give a .jsonl file of relational queries"
        ) from error
    heads: list[tuple[dict[str, Any], list[RestQuery]]] = []
    activities: tuple[str, ...] = ()
    for number, line in enumerate(lines, 1):
        try:
            row = json.loads(line)
            if number == 1:
                if row["schema"] != SCHEMA:
                    raise ValueError(f"schema {row['schema']!r} is not {SCHEMA!r}")
                activities = tuple(str(name) for name in row["activities"])
            elif "film" in row:
                heads.append((row, []))
            else:
                heads[-1][1].append(_checked(RestQuery.of(row), heads[-1][0], len(activities)))
        except (KeyError, TypeError, ValueError, IndexError, BadInput) as error:
            detail = f"misses {error}" if isinstance(error, KeyError) else str(error)
            raise BadInput(f"{path}, line {number}: no relational query ({detail}); make it again") from error
    if not heads:
        raise BadInput(f"{path} holds no film; make it again")
    return [
        RestFilm(
            head["film"],
            head["split"],
            float(head["seconds"]),
            activities,
            tuple(queries),
            head.get("note", ""),
        )
        for head, queries in heads
    ]


def _checked(query: RestQuery, head: Mapping[str, Any], classes: int) -> RestQuery:
    numbers = [*query.labels, *([] if query.activity is None else [query.activity])]
    if not all(0 <= number < classes for number in numbers):
        raise ValueError(f"activities {numbers} of {classes}")
    if query.video_id != head["film"]:
        raise ValueError(f"a query of {query.video_id!r} below the film {head['film']!r}")
    return query


def _fault(query: RestQuery) -> str | None:
    """What makes no sense in it, or None."""
    if query.kind not in KINDS or query.length not in LENGTHS:
        return f"kind {query.kind!r} and length {query.length!r}"
    if not query.segments or not query.labels:
        return "a query without an answer"
    if (query.kind == "activity") != (query.activity is None):
        return "an activity where it is asked for, or none where it is given"
    if query.kind == "object" and (not all(query.tubes) or len(query.segments) != 1):
        return "an object query without one segment and its boxes"
    if query.kind != "object" and query.ref is None:
        return "a query without a sight of its object"
    return None


def _span(pair: Sequence[float]) -> Span:
    start, end = (float(v) for v in pair)
    if not (math.isfinite(start) and math.isfinite(end)):
        raise ValueError(f"a span from {start} to {end}")
    return Span(start, end)


def _tube(rows: Sequence[Sequence[float]]) -> tuple[TimedBox, ...]:
    return tuple((float(row[0]), *_box(row[1:])) for row in rows)


def _box(values: Sequence[float]) -> tuple[float, float, float, float]:
    x1, y1, x2, y2 = (float(v) for v in values)
    if not (0 <= x1 <= x2 <= 1 and 0 <= y1 <= y2 <= 1):
        raise ValueError(f"box {x1}, {y1}, {x2}, {y2} is not two corners in 0..1")
    return x1, y1, x2, y2
