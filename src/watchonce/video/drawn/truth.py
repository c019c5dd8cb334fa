"""What is true of a drawn film, second by second: written beside it as JSON, read back and checked.

A track gives an instance's box at knots; between two knots the box moves in a straight line, so
`box_at` is right to a pixel at any time. This file does not know how a film is painted or encoded.
"""

from __future__ import annotations

import functools
import itertools
import json
import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from watchonce.types import BadInput, Span
from watchonce.video.drawn.asked import Asked
from watchonce.video.drawn.needles import needle_box
from watchonce.video.drawn.phrases import sentence
from watchonce.video.drawn.sprites import object_sprite
from watchonce.video.drawn.world import (
    ACTIVITIES,
    CATEGORIES,
    COLOURS,
    ORDERED,
    ROOMS,
    SWAY_STEP,
    Event,
    Instance,
    Needle,
    Placement,
    Visit,
    World,
    offset,
    phase,
    ramps,
)

SCHEMA = 1
GENERATOR = "watchonce drawn world 1"
BLINK = 2e-6  # seconds before a jump at which its last knot stands
Box = tuple[float, float, float, float]


@dataclass(frozen=True, slots=True, eq=False)
class Track:
    """One instance during one visit. boxes: float64 `[K, 5]`, rows of time, x1, y1, x2, y2, by time."""

    instance: int
    start: float
    end: float
    boxes: np.ndarray


@dataclass(frozen=True, eq=False)
class Truth:
    """Everything that is true of one drawn film. Times in seconds, half-open; boxes in 0..1."""

    seed: int
    split: str
    duration: float
    fps: float
    variable: bool  # True: stretches at `fps` and at a fifth of it take turns
    size: tuple[int, int]  # width, height
    frames: int
    instances: tuple[Instance, ...]
    visits: tuple[Visit, ...]
    events: tuple[Event, ...]
    tracks: tuple[Track, ...] = field(repr=False)
    needles: tuple[Needle, ...]
    questions: tuple[Asked, ...] = field(repr=False)

    @functools.cached_property
    def _tracks_of(self) -> dict[int, list[Track]]:
        found: dict[int, list[Track]] = {instance.id: [] for instance in self.instances}
        for track in self.tracks:
            found[track.instance].append(track)
        return found

    def box_at(self, instance: int, time: float) -> Box | None:
        """Where the instance is at `time`, or None while it is not on view. BadInput: no such instance."""
        if instance not in self._tracks_of:
            raise BadInput(f"this film has instances 0 to {len(self.instances) - 1}, got {instance}")
        for track in self._tracks_of[instance]:
            if track.start <= time < track.end:
                x1, y1, x2, y2 = (
                    float(np.interp(time, track.boxes[:, 0], track.boxes[:, side])) for side in range(1, 5)
                )
                return (x1, y1, x2, y2) if x2 > x1 and y2 > y1 else None
        return None

    def segments(self, activity: str, instance: int) -> tuple[Span, ...]:
        """When `activity` was done to `instance`, by start; empty if never."""
        return tuple(
            Span(e.start, e.end) for e in self.events if e.activity == activity and e.instance == instance
        )

    def reference(self, instance: int, avoid: Sequence[Span] = ()) -> tuple[float, Box] | None:
        """A time at which the instance is on view and at rest, outside `avoid`, and its box then.

        For a crop that shows the object without giving the answer away; None if there is no such time.
        """
        own = [Span(e.start, e.end) for e in self.events if e.instance == instance]
        for track in self._tracks_of.get(instance, []):
            edges = sorted({track.start, track.end, *(t for s in [*own, *avoid] for t in (s.start, s.end))})
            inside = [edge for edge in edges if track.start <= edge <= track.end]
            gaps = [Span(a, b) for a, b in itertools.pairwise(inside)]
            free = [g for g in gaps if all(g.overlap(s) == 0 for s in [*own, *avoid])]
            for gap in sorted(free, key=lambda g: -g.length):
                time = (gap.start + gap.end) / 2
                if (box := self.box_at(instance, time)) is not None:
                    return time, box
        return None


def tracks(world: World, scale: float = 1.0) -> tuple[Track, ...]:
    """The path of every instance through every visit; `scale` = pixels painted per unit of 96."""
    found = []
    for number, visit in enumerate(world.visits):
        events = world.events_of(number)
        for spot in world.placements[number]:
            own = [e for e in events if e.instance == spot.instance and e.activity in ORDERED]
            boxes = _knots(world, visit, spot, own, scale)
            found.append(Track(spot.instance, visit.start, visit.end, boxes))
    return tuple(found)


def _knots(world: World, visit: Visit, spot: Placement, own: list[Event], scale: float) -> np.ndarray:
    """float64 `[K, 5]`: the camera's knots, both sides of every jump, and where a box meets the frame."""
    thing = world.instances[spot.instance]
    sprite = object_sprite(thing.category, thing.colour, thing.size, thing.hue, thing.marking, scale)
    half = np.array([sprite.width, sprite.height]) / (2 * scale)
    first, last = math.ceil(visit.start / SWAY_STEP), math.floor(visit.end / SWAY_STEP)
    times = {visit.start, visit.end - BLINK, *(k * SWAY_STEP for k in range(first, last + 1))}
    for event in own:
        length = (event.end - event.start) / ramps(event)
        jumps = [event.start + length * k for k in range(ramps(event) + 1)]
        # rounded up to the microsecond, as a knot just before the jump would still be on the old ramp
        times |= {t for jump in jumps for t in (jump - BLINK, math.ceil(jump * 1e6 - 1e-3) / 1e6)}
    rows = []
    for time in sorted(t for t in times if visit.start <= t < visit.end):
        dx, dy = world.sway_at(time)
        for event in own:
            if event.start <= time < event.end:
                move = offset(event.activity, spot.x, phase(event, time))
                dx, dy = dx + move[0], dy + move[1]
        centre = np.array([spot.x + dx, spot.y + dy])
        rows.append([time, *((centre - half) / 96), *((centre + half) / 96)])
    boxes = _with_crossings(np.array(rows))
    boxes[:, 1:] = boxes[:, 1:].clip(0.0, 1.0)
    return boxes.round(6)


def _with_crossings(boxes: np.ndarray) -> np.ndarray:
    """Adds a knot wherever a side crosses 0 or 1, so that clipping keeps the lines straight."""
    added = []
    for before, after in itertools.pairwise(boxes):
        for side in range(1, 5):
            for wall in (0.0, 1.0):
                a, b = before[side] - wall, after[side] - wall
                if a * b < 0:
                    added.append(before + (after - before) * (a / (a - b)))
    whole = np.concatenate([boxes, np.array(added).reshape(-1, 5)])
    return whole[np.argsort(whole[:, 0], kind="stable")]


def truth_of(
    world: World,
    *,
    fps: float,
    variable: bool,
    size: tuple[int, int],
    frames: int,
    scale: float,
    questions: Sequence[Asked] = (),
) -> Truth:
    """The truth of a film of `world` that was painted at `scale` pixels per unit of 96."""
    return Truth(
        seed=world.seed,
        split=world.split,
        duration=world.duration,
        fps=fps,
        variable=variable,
        size=size,
        frames=frames,
        instances=world.instances,
        visits=world.visits,
        events=world.events,
        tracks=tracks(world, scale),
        needles=world.needles,
        questions=tuple(questions),
    )


def to_json(truth: Truth) -> str:
    """The truth as one line of JSON a part; the same world always gives the same bytes."""
    names = {instance.id: instance.name for instance in truth.instances}
    data: dict[str, Any] = {
        "schema": SCHEMA,
        "generator": GENERATOR,
        "seed": truth.seed,
        "split": truth.split,
        "duration": truth.duration,
        "fps": truth.fps,
        "variable": truth.variable,
        "size": list(truth.size),
        "frames": truth.frames,
        "categories": list(CATEGORIES),
        "colours": list(COLOURS),
        "activities": list(ACTIVITIES),
        "rooms": list(ROOMS),
        "instances": [{"name": i.name, **asdict(i)} for i in truth.instances],
        "visits": [asdict(visit) for visit in truth.visits],
        "events": [
            {**asdict(e), "text": sentence(e.activity, names[e.instance], e.room)} for e in truth.events
        ],
        "needles": [{**asdict(n), "box": [round(v, 6) for v in needle_box(n)]} for n in truth.needles],
        "questions": [
            {**asdict(a), "evidence": [[s.start, s.end] for s in a.evidence]} for a in truth.questions
        ],
        "tracks": [
            {"instance": t.instance, "start": t.start, "end": t.end, "boxes": t.boxes.tolist()}
            for t in truth.tracks
        ],
    }
    lines = [f'"{name}": {json.dumps(value, ensure_ascii=False)}' for name, value in data.items()]
    return "{" + ",\n ".join(lines) + "}\n"


def load_truth(path: str | Path) -> Truth:
    """Reads and checks the truth of a film, given the film (out.mp4) or the truth beside it (out.json).

    Raises BadInput when there is none, or when it is not the truth of a drawn film.
    """
    path = Path(path)
    source = path if path.suffix == ".json" else path.with_suffix(".json")
    if not source.is_file():
        raise BadInput(f"{source} is missing: no truth was written beside this film; draw it again")
    try:
        data = json.loads(source.read_text(encoding="utf-8"))
    except (UnicodeDecodeError, json.JSONDecodeError) as error:
        raise BadInput(f"{source} is not JSON ({error}); draw the film again") from error
    if not isinstance(data, dict) or data.get("generator") != GENERATOR or data.get("schema") != SCHEMA:
        raise BadInput(
            f"{source} is not the truth of a {GENERATOR!r} film, schema {SCHEMA}; draw the film again"
        )
    try:
        truth = _parse(data)
    except (KeyError, TypeError, ValueError) as error:
        detail = f"misses {error}" if isinstance(error, KeyError) else str(error)
        raise BadInput(f"{source} is damaged: {detail}; draw the film again") from error
    if (fault := _fault(truth)) is not None:
        raise BadInput(f"{source} is damaged: {fault}; draw the film again")
    return truth


def _parse(data: dict[str, Any]) -> Truth:
    def instance(row: dict[str, Any]) -> Instance:
        kept = {k: v for k, v in row.items() if k != "name"}
        return Instance(**{**kept, "favourites": tuple(row["favourites"])})

    def without(row: dict[str, Any], *names: str) -> dict[str, Any]:
        return {k: v for k, v in row.items() if k not in names}

    return Truth(
        seed=data["seed"],
        split=data["split"],
        duration=float(data["duration"]),
        fps=float(data["fps"]),
        variable=bool(data["variable"]),
        size=(int(data["size"][0]), int(data["size"][1])),
        frames=int(data["frames"]),
        instances=tuple(instance(row) for row in data["instances"]),
        visits=tuple(Visit(**row) for row in data["visits"]),
        events=tuple(Event(**without(row, "text")) for row in data["events"]),
        tracks=tuple(
            Track(t["instance"], t["start"], t["end"], np.array(t["boxes"], np.float64).reshape(-1, 5))
            for t in data["tracks"]
        ),
        needles=tuple(Needle(**without(row, "box")) for row in data["needles"]),
        questions=tuple(
            Asked(
                **{
                    **row,
                    "evidence": tuple(Span(*pair) for pair in row["evidence"]),
                    "choices": tuple(row["choices"]),
                }
            )
            for row in data["questions"]
        ),
    )


def _fault(truth: Truth) -> str | None:
    """What makes no sense in it, or None."""
    known = {instance.id for instance in truth.instances}
    if len({instance.name for instance in truth.instances}) != len(known):
        return "two instances share a name"
    edges = [0.0, *(visit.end for visit in truth.visits)]
    if [visit.start for visit in truth.visits] != edges[:-1] or edges[-1] != truth.duration:
        return "the visits do not tile the film"
    starts = [event.start for event in truth.events]
    if starts != sorted(starts):
        return "the events are not in order"
    for event in truth.events:
        if event.instance not in known or event.activity not in ACTIVITIES or event.room not in ROOMS:
            return f"event {event.id} has an unknown instance, activity or room"
        if not 0 <= event.start < event.end <= truth.duration:
            return f"event {event.id} lies outside the film"
    for track in truth.tracks:
        if track.instance not in known or not len(track.boxes) or (np.diff(track.boxes[:, 0]) < 0).any():
            return f"a track of instance {track.instance} has no knots in order"
    return None
