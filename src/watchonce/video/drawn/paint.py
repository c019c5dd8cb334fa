"""A world made visible: frames for any times, boxes for any time, crowded scenes for a vision tower.

What stands still is laid down once a scene and kept; a frame is then a copy, the objects in hand,
the light and a sheet of noise. The same times always give the same bytes. This file does not know
films, codecs or questions.
"""

from __future__ import annotations

import bisect
import functools
from collections import OrderedDict

import numpy as np

from watchonce.types import BadInput
from watchonce.video.drawn.needles import needle_sprite
from watchonce.video.drawn.rooms import PAD, background
from watchonce.video.drawn.sprites import (
    TOOL_SIZE,
    Sprite,
    object_sprite,
    shadow_sprite,
    tool_sprite,
    track_sprite,
)
from watchonce.video.drawn.world import (
    ACTIVITIES,
    CANVAS,
    CATEGORIES,
    COLOURS,
    COLUMNS,
    LIGHT_STEP,
    ORDERED,
    ROOMS,
    ROWS,
    STATIC,
    TRAVEL,
    IdleHand,
    Instance,
    Placement,
    World,
    offset,
    phase,
    tool_side,
)

KEPT = 8  # scenes without their moving parts that a painter keeps
SHEETS = 64
Box = tuple[float, float, float, float]
BINS = 6  # of displacement, for each of the two directions


class Painter:
    """Draws one world on a square canvas of `size` pixels a side."""

    def __init__(self, world: World, size: int = 96) -> None:
        if not 48 <= size <= 1536:
            raise BadInput(f"the canvas must be 48 to 1536 pixels a side, got {size}")
        self.world = world
        self.size = size
        self.scale = size / CANVAS
        self.pad = round(PAD * self.scale)
        self._still: OrderedDict[tuple[int, frozenset[int]], np.ndarray] = OrderedDict()
        self._hands: list[list[IdleHand]] = [[] for _ in world.visits]
        self._needle_starts = [needle.start for needle in world.needles]
        for hand in world.hands:
            self._hands[world.visit_at(hand.start)].append(hand)

    def draw(self, times: np.ndarray) -> np.ndarray:
        """uint8 `[T, size, size, 3]`, RGB, for times in seconds, in any order."""
        times = np.asarray(times, np.float64)
        if times.ndim != 1 or not np.isfinite(times).all():
            raise BadInput(
                f"times must be a list of finite seconds, got an array of shape {list(times.shape)}"
            )
        frames = np.empty((len(times), self.size, self.size, 3), np.uint8)
        for number, time in enumerate(times.tolist()):
            self._scene(time, frames[number])
        knots = np.arange(len(self.world.light)) * LIGHT_STEP
        gain = np.stack([np.interp(times, knots, self.world.light[:, c]) for c in range(3)], 1)
        ticks = np.round(times * 1000).astype(np.int64).view(np.uint64)
        shine(frames, gain, (ticks * np.uint64(0x9E3779B97F4A7C15)) >> np.uint64(40))
        return frames

    def boxes(self, time: float) -> dict[int, Box]:
        """Per instance on view, the box of its own pixels (not the tool's): x1, y1, x2, y2 in 0..1."""
        found = {}
        dx, dy = self._drift(time)
        for spot, (x, y) in self._stands(time):
            sprite = self._sprite(spot.instance)
            left, top = sprite.corner(x * self.scale, y * self.scale)
            edges = (left + dx, top + dy, left + dx + sprite.width, top + dy + sprite.height)
            x1, y1, x2, y2 = (min(max(edge / self.size, 0.0), 1.0) for edge in edges)
            if x2 > x1 and y2 > y1:
                found[spot.instance] = (x1, y1, x2, y2)
        return found

    def _stands(self, time: float) -> list[tuple[Placement, tuple[float, float]]]:
        """Every placement of the visit with where its centre is now, of 96, before the camera's drift."""
        moved = {e.instance: e for e in self.world.events_at(time) if e.activity in ORDERED}
        found = []
        for spot in self.world.placements[self.world.visit_at(time)]:
            dx, dy = 0.0, 0.0
            if (event := moved.get(spot.instance)) is not None:
                dx, dy = offset(event.activity, spot.x, phase(event, time))
            found.append((spot, (spot.x + dx, spot.y + dy)))
        return found

    def _sprite(self, instance: int) -> Sprite:
        thing = self.world.instances[instance]
        return _look_of(thing, self.scale)

    def _drift(self, time: float) -> tuple[int, int]:
        dx, dy = self.world.sway_at(time)
        return round(dx * self.scale), round(dy * self.scale)

    def _scene(self, time: float, into: np.ndarray) -> None:
        """Writes the unlit frame at `time`."""
        visit = self.world.visit_at(time)
        events = self.world.events_at(time)
        dx, dy = self._drift(time)
        held = frozenset(e.instance for e in events if e.activity in ORDERED)
        still = self._ground(visit, held)
        y, x = self.pad - dy, self.pad - dx
        into[...] = still[y : y + self.size, x : x + self.size]
        spots = {s.instance: s for s in self.world.placements[visit]} if events else {}
        for event in events:
            spot = spots[event.instance]
            at = phase(event, time) if event.activity in ORDERED else 0.0
            thing = self.world.instances[event.instance]
            side = tool_side(spot.x, event.id)
            for sprite, left, top in acted(thing, spot.x, spot.y, event.activity, at, side, self.scale):
                sprite.lay(into, left + dx, top + dy)
        self._hands_and_needle(visit, time, into, dx, dy)

    def _hands_and_needle(self, visit: int, time: float, into: np.ndarray, dx: int, dy: int) -> None:
        for hand in self._hands[visit]:
            if hand.start <= time < hand.end:
                sprite = tool_sprite("hand", tool_side(hand.x, 0), self.scale)
                left, top = sprite.corner(hand.x * self.scale, hand.y * self.scale)
                sprite.lay(into, left + dx, top + dy)
        latest = bisect.bisect_right(self._needle_starts, time) - 1
        if latest >= 0 and time < (needle := self.world.needles[latest]).end:
            sprite = needle_sprite(needle.kind, needle.what, self.scale)
            sprite.lay(into, *sprite.corner(needle.x * self.scale, needle.y * self.scale))

    def _ground(self, visit: int, held: frozenset[int]) -> np.ndarray:
        """The room and all that stands still in it, padded for the drift."""
        key = (visit, held)
        if key in self._still:
            self._still.move_to_end(key)
            return self._still[key]
        room = self.world.visits[visit].room
        picture = background(room, self.world.looks[ROOMS.index(room)], self.size).copy()
        for spot in self.world.placements[visit]:
            if spot.instance not in held:
                sprite = self._sprite(spot.instance)
                left, top = sprite.corner(spot.x * self.scale, spot.y * self.scale)
                sprite.lay(picture, left + self.pad, top + self.pad)
        self._still[key] = picture
        if len(self._still) > KEPT:
            self._still.popitem(last=False)
        return picture


def _look_of(thing: Instance, scale: float) -> Sprite:
    return object_sprite(thing.category, thing.colour, thing.size, thing.hue, thing.marking, scale)


def acted(
    thing: Instance, x: float, y: float, activity: str, at: float, side: int, scale: float
) -> list[tuple[Sprite, int, int]]:
    """What an activity adds to a frame: sprites with left and top pixel, in laying order.

    A static activity is a tool at the object's shoulder. An ordered one is the object itself, moved
    to phase `at`, with the trace it leaves and a bare hand; the two of a pair share every frame.
    """
    placed: list[tuple[Sprite, float, float]] = []
    dx, dy = offset(activity, x, at)
    if activity in ("lift", "lower"):
        placed.append((shadow_sprite(thing.size - 4, scale), x, y + thing.size / 2 - 1))
    elif activity in ("push", "pull"):
        lead, _ = offset(activity, x, 0.5)
        placed.append((track_sprite(round(TRAVEL) + 16, scale), x + lead, y + thing.size / 2 + 1))
    if activity in ORDERED:
        placed.append((_look_of(thing, scale), x + dx, y + dy))
        tool = tool_sprite("hand", side, scale)
    else:
        tool = tool_sprite(activity, side, scale)
    reach = thing.size / 2 + TOOL_SIZE / 2 - 9
    placed.append((tool, x + dx + side * reach, y + dy - (0 if activity in ORDERED else 8)))
    return [(sprite, *sprite.corner(cx * scale, cy * scale)) for sprite, cx, cy in placed]


def shine(frames: np.ndarray, gain: np.ndarray, seeds: np.ndarray) -> None:
    """Light and noise, in place: uint8 `[T, S, S, 3]` times `gain` `[T, 3]`, plus a sheet by `seeds`."""
    sheets = _noise(frames.shape[1])
    # seven bits of fraction: 255 * 189 still fits in 16 bits, eight bits would not
    factor = np.clip(np.round(gain * 128), 0, 189).astype(np.uint16)
    for number in range(len(frames)):
        lit = (frames[number] * factor[number]) >> 7
        seed = int(seeds[number])
        roll = seed // SHEETS % sheets.shape[1]
        signed = lit.view(np.int16)
        signed[roll:] += sheets[seed % len(sheets), : len(signed) - roll]
        signed[:roll] += sheets[seed % len(sheets), len(signed) - roll :]
        np.clip(signed, 0, 255, out=signed)
        frames[number] = signed


@functools.lru_cache(maxsize=4)
def _noise(size: int) -> np.ndarray:
    """int8 `[N, size, size, 3]`: deviation 3 at 96 pixels, less on finer canvases, where it costs bits."""
    count = max(1, min(SHEETS, (64 << 20) // (size * size * 3)))
    deviation = 3 * min(1.0, CANVAS / size)
    sheets = np.random.default_rng(20).normal(0, deviation, (count, size, size, 3))
    return np.clip(np.round(sheets), -10, 10).astype(np.int8)


def dense_scenes(rng: np.random.Generator, count: int) -> tuple[np.ndarray, dict[str, np.ndarray]]:
    """Crowded random frames for a vision tower: uint8 `[N, 96, 96, 3]` and int64 labels.

    Labels are `[N, 8, 8]`, one a patch of 12 x 12 pixels, 0 = none: `category` 1..8, `colour` 1..6,
    `tool` 1..8 by STATIC and 9 = bare hand, `activity` acting on the object of the patch 1..8 and
    9 = an ordered one, `category_of_active`, `colour_of_active`, `displacement` of a held object
    1..6 vertical and 7..12 horizontal. `room` is `[N]`, 0..4.
    """
    frames = np.empty((count, 96, 96, 3), np.uint8)
    labels = {name: np.zeros((count, 8, 8), np.int64) for name in LABELS}
    labels["room"] = rng.integers(0, len(ROOMS), count)
    for number in range(count):
        room = ROOMS[labels["room"][number]]
        frames[number], found = _crowd(rng, room)
        for name, value in found.items():
            labels[name][number] = value
    gain = rng.uniform(0.84, 1.16, (count, 1)) * rng.uniform(0.95, 1.05, (count, 3))
    shine(frames, gain, rng.integers(0, 1 << 20, count))
    return frames, labels


LABELS = (
    "category", "colour", "tool", "activity", "category_of_active", "colour_of_active", "displacement",
)  # fmt: skip
_PATCH = (np.arange(96)[:, None] // 12 * 8 + np.arange(96)[None, :] // 12).ravel()


def _crowd(rng: np.random.Generator, room: str) -> tuple[np.ndarray, dict[str, np.ndarray]]:
    """One unlit frame with its patch labels `[8, 8]`."""
    wall = background(room, int(rng.integers(256)), 96)
    shift = rng.integers(0, 9, 2)
    frame = wall[shift[1] : shift[1] + 96, shift[0] : shift[0] + 96].copy()
    drift = (4 - int(shift[0]), 4 - int(shift[1]))
    things = np.zeros((96, 96), np.int8)  # which object is on top, 1..6
    tools = np.zeros((96, 96), np.int8)  # whose tool is on top, 1..7
    facts = np.zeros((len(LABELS), 8), np.int64)  # by label and object
    slots = rng.permutation(6)[: int(rng.integers(1, 7))]
    busy = rng.random(len(slots)) < 0.6
    for number in sorted(range(len(slots)), key=lambda n: bool(busy[n])):  # the held ones lie on top
        x = COLUMNS[slots[number] % 3] + rng.uniform(-2.5, 2.5)
        y = ROWS[slots[number] // 3] + rng.uniform(-2.0, 1.0)
        category, colour = int(rng.integers(8)), int(rng.integers(6))
        look = (int(rng.integers(24, 29)), int(rng.integers(-1, 2)), int(rng.integers(4)))
        thing = Instance(number, CATEGORIES[category], COLOURS[colour], *look)
        mark = number + 1
        facts[:2, mark] = category + 1, colour + 1
        body = _look_of(thing, 1.0)
        if not busy[number]:
            left, top = body.corner(x, y)
            body.lay(frame, left + drift[0], top + drift[1])
            body.mark(things, left + drift[0], top + drift[1], mark)
            continue
        act = int(rng.integers(len(ACTIVITIES)))
        activity, at = ACTIVITIES[act], float(rng.random())
        kind = act + 1 if activity in STATIC else len(STATIC) + 1
        bend = (1 + int(at * BINS) + (BINS if activity in ("push", "pull") else 0)) if kind > 8 else 0
        facts[2:, mark] = kind, kind, category + 1, colour + 1, bend
        if activity in STATIC:
            left, top = body.corner(x, y)
            body.lay(frame, left + drift[0], top + drift[1])
            body.mark(things, left + drift[0], top + drift[1], mark)
        parts = acted(thing, x, y, activity, at, tool_side(x, int(rng.integers(2))), 1.0)
        for sprite, left, top in parts:
            sprite.lay(frame, left + drift[0], top + drift[1])
            if sprite is body:
                sprite.mark(things, left + drift[0], top + drift[1], mark)
        sprite, left, top = parts[-1]
        sprite.mark(tools, left + drift[0], top + drift[1], mark)
    if rng.random() < 0.2:  # a hand that does nothing
        x, y = rng.uniform(8, 88), rng.uniform(8, 88)
        sprite = tool_sprite("hand", 1 if rng.random() < 0.5 else -1, 1.0)
        sprite.lay(frame, *sprite.corner(x, y))
        sprite.mark(tools, *sprite.corner(x, y), 7)
        facts[2, 7] = len(STATIC) + 1
    return frame, _patches(things, tools, facts)


def _patches(things: np.ndarray, tools: np.ndarray, facts: np.ndarray) -> dict[str, np.ndarray]:
    """Labels by the owner of most pixels of each patch, where it owns at least a seventh."""

    def owner(ids: np.ndarray) -> np.ndarray:
        counts = np.bincount(_PATCH * 8 + ids.ravel(), minlength=512).reshape(64, 8)
        counts[:, 0] = 20
        return counts.argmax(1).reshape(8, 8)

    thing, tool = owner(things), owner(tools)
    acting = np.where((facts[3][thing] > 0) | (tool == 0), thing, tool)
    found = {"category": facts[0][thing], "colour": facts[1][thing], "tool": facts[2][tool]}
    for row in range(3, len(LABELS)):
        found[LABELS[row]] = facts[row][acting]
    return found
