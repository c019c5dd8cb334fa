"""The drawn world: rooms, objects and events invented from a seed, all known to the millisecond.

One seed, one split and one duration give one world, for ever. `train`, `val` and `test` draw from
separate random streams, so a seed never gives the same world twice. Distances are in units of a
canvas 96 wide and 96 high, whatever size it is painted at. This file does not know pixels, films
or questions.
"""

from __future__ import annotations

import bisect
import functools
import itertools
import math
from dataclasses import dataclass, field

import numpy as np

from watchonce.types import BadInput

CATEGORIES = ("cup", "ball", "book", "plant", "box", "lamp", "bottle", "shoe")
COLOURS = ("red", "green", "blue", "yellow", "purple", "orange")
ROOMS = ("kitchen", "bedroom", "office", "garage", "garden")
STATIC = ("wash", "wipe", "cut", "paint", "fix", "spray", "inspect", "hammer")
ORDERED = ("lift", "lower", "push", "pull")  # two pairs: the second of each is the first, reversed
ACTIVITIES = STATIC + ORDERED
SPLITS = ("train", "val", "test")

CANVAS = 96.0
COLUMNS = (18.0, 48.0, 78.0)
ROWS = (36.0, 76.0)
TRAVEL = 20.0  # how far a held object goes, of 96
RAMP = 8.0  # seconds one ramp of lift, lower, push or pull takes, about
SWAY_STEP = 3.0  # seconds between two knots of the camera's drift
LIGHT_STEP = 20.0  # seconds between two knots of the light's drift
NEEDLE_SECONDS = 4.0
WORDS = ("anna", "bob", "clara", "david", "emma", "frank", "grace", "henry", "iris", "jack", "kate", "leo")
PICTURES = ("star", "heart", "moon", "sun", "flag", "key")
SHORTEST = 10.0
LONGEST = 48 * 3600.0


@dataclass(frozen=True, slots=True)
class Instance:
    """One object of a video: side `size` of 96; `hue` -1..1 and `marking` 0..3 vary its look."""

    id: int
    category: str
    colour: str
    size: int = 26
    hue: int = 0
    marking: int = 0
    favourites: tuple[str, ...] = ()

    @property
    def name(self) -> str:
        """Colour and category; no two instances of a video share it."""
        return f"{self.colour} {self.category}"


@dataclass(frozen=True, slots=True)
class Event:
    """Something done to one instance, in seconds, half-open. It lies inside one visit."""

    id: int
    start: float
    end: float
    activity: str
    instance: int
    room: str


@dataclass(frozen=True, slots=True)
class Visit:
    """The camera is in `room` from start to end; the visits of a world tile `[0, duration)`."""

    start: float
    end: float
    room: str


@dataclass(frozen=True, slots=True)
class Placement:
    """Where the centre of an instance rests during one visit, of 96."""

    instance: int
    x: float
    y: float


@dataclass(frozen=True, slots=True)
class IdleHand:
    """A hand that holds nothing and does nothing: a distractor."""

    start: float
    end: float
    x: float
    y: float


@dataclass(frozen=True, slots=True)
class Needle:
    """Something foreign shown for a moment: kind "word" (a burnt-in text) or "picture" (an odd sprite)."""

    id: int
    kind: str
    what: str
    start: float
    end: float
    x: float
    y: float


@dataclass(frozen=True, eq=False)
class World:
    """All there is to know about one drawn video; events are sorted by start."""

    seed: int
    split: str
    duration: float
    instances: tuple[Instance, ...]
    visits: tuple[Visit, ...]
    events: tuple[Event, ...]
    placements: tuple[tuple[Placement, ...], ...]  # one tuple a visit
    hands: tuple[IdleHand, ...]
    needles: tuple[Needle, ...]
    looks: tuple[int, ...]  # the seed of each room's background, in the order of ROOMS
    sway: np.ndarray = field(repr=False)  # float64 [K, 2], dx and dy of 96, a knot every SWAY_STEP
    light: np.ndarray = field(repr=False)  # float64 [L, 3], gain of R, G, B, a knot every LIGHT_STEP

    @functools.cached_property
    def _visit_starts(self) -> list[float]:
        return [visit.start for visit in self.visits]

    @functools.cached_property
    def _events_of_visit(self) -> list[list[Event]]:
        found: list[list[Event]] = [[] for _ in self.visits]
        for event in self.events:
            found[self.visit_at(event.start)].append(event)
        return found

    def visit_at(self, time: float) -> int:
        """Index of the visit that holds `time`; a time outside the film belongs to the nearest visit."""
        return max(0, bisect.bisect_right(self._visit_starts, time) - 1)

    def events_at(self, time: float) -> list[Event]:
        """The events that go on at `time`, by start."""
        return [e for e in self._events_of_visit[self.visit_at(time)] if e.start <= time < e.end]

    def events_of(self, visit: int) -> list[Event]:
        """The events of one visit, by index, by start."""
        return self._events_of_visit[visit]

    def sway_at(self, time: float) -> tuple[float, float]:
        """Camera drift at `time`, of 96; linear between knots."""
        at = min(max(time / SWAY_STEP, 0.0), len(self.sway) - 1.0)
        low = min(int(at), len(self.sway) - 2)
        (x0, y0), (x1, y1) = self.sway[low], self.sway[low + 1]
        part = at - low
        return x0 + (x1 - x0) * part, y0 + (y1 - y0) * part


def ramps(event: Event) -> int:
    """How many whole ramps an ordered event makes; each lasts about RAMP seconds."""
    return max(1, round((event.end - event.start) / RAMP))


def phase(event: Event, time: float) -> float:
    """Where on its ramp the held object is, 0..1: rising for lift and push, falling for lower and pull."""
    turns = ramps(event) * (time - event.start) / (event.end - event.start)
    rising = max(0.0, turns - math.floor(turns + 1e-9))  # a ramp that ends at `time` has ended
    return rising if event.activity in ("lift", "push") else 1.0 - rising


def offset(activity: str, x: float, at: float) -> tuple[float, float]:
    """Displacement (dx, dy), of 96, of an object that rests at `x` when its phase is `at`."""
    if activity in ("lift", "lower"):
        return 0.0, -TRAVEL * at
    if activity in ("push", "pull"):
        lead = min(max((x - COLUMNS[0]) / (COLUMNS[2] - COLUMNS[0]), 0.0), 1.0)  # the ramp stays on canvas
        return TRAVEL * (at - round(2 * lead) / 2), 0.0
    return 0.0, 0.0


def tool_side(x: float, number: int) -> int:
    """+1 or -1: the side of an object at `x` on which its tool is held; the middle column takes turns."""
    if x < 36:
        return 1
    if x > 60:
        return -1
    return 1 if number % 2 else -1


def make_world(seed: int, duration: float, *, split: str = "test", needles: int = 0) -> World:
    """A world of `duration` seconds.

    Raises BadInput for a negative seed, an unknown split, a duration outside 10 s .. 48 h, or more
    needles than the film has room for (one every 8 s).
    """
    _check(seed, duration, split, needles)
    duration = round(float(duration), 3)

    def stream(purpose: int) -> np.random.Generator:
        return np.random.default_rng([seed, SPLITS.index(split), purpose])

    instances = _instances(stream(0))
    visits = _visits(stream(1), duration)
    placements = _placements(stream(2), instances, visits)
    events, hands = _rhythm(stream(3), instances, visits, placements)
    looks = tuple(int(n) for n in stream(4).integers(1 << 20, 1 << 31, len(ROOMS)))
    drift, lamp = stream(5), stream(6)
    sway = drift.uniform(-2.5, 2.5, (int(duration / SWAY_STEP) + 3, 2))
    steps = int(duration / LIGHT_STEP) + 3
    light = lamp.uniform(0.86, 1.14, (steps, 1)) * lamp.uniform(0.96, 1.04, (steps, 3))
    return World(
        seed=seed,
        split=split,
        duration=duration,
        instances=instances,
        visits=visits,
        events=events,
        placements=placements,
        hands=hands,
        needles=_needles(stream(7), duration, needles),
        looks=looks,
        sway=sway,
        light=light,
    )


def _check(seed: int, duration: float, split: str, needles: int) -> None:
    if not isinstance(seed, int | np.integer) or seed < 0:
        raise BadInput(f"seed must be a whole number, 0 or above, got {seed!r}")
    if split not in SPLITS:
        raise BadInput(f"split must be one of {', '.join(SPLITS)}, got {split!r}")
    if not SHORTEST <= duration <= LONGEST:
        raise BadInput(f"a drawn film lasts {SHORTEST:g} to {LONGEST:g} seconds, got {duration:g}")
    room_for = int(duration // 8)
    if not 0 <= needles <= room_for:
        raise BadInput(f"a film of {duration:g} s has room for 0 to {room_for} needles, got {needles}")


def _instances(rng: np.random.Generator) -> tuple[Instance, ...]:
    """24 to 32 objects, at least two of every category: look-alikes that differ in colour."""
    count = int(rng.integers(24, 33))
    chosen: list[tuple[int, int]] = []
    for category in range(len(CATEGORIES)):
        first = rng.choice(len(COLOURS), 2, replace=False)
        chosen += [(category, int(colour)) for colour in first]
    rest = [(k, c) for k in range(len(CATEGORIES)) for c in range(len(COLOURS)) if (k, c) not in chosen]
    chosen += [rest[int(i)] for i in rng.choice(len(rest), count - len(chosen), replace=False)]
    made = []
    for number, pick in enumerate(rng.permutation(count)):
        category, colour = chosen[int(pick)]
        made.append(
            Instance(
                id=number,
                category=CATEGORIES[category],
                colour=COLOURS[colour],
                size=int(rng.integers(24, 29)),
                hue=int(rng.integers(-1, 2)),
                marking=int(rng.integers(0, 4)),
                favourites=tuple(str(a) for a in rng.choice(ACTIVITIES, 3, replace=False)),
            )
        )
    return tuple(made)


def _visits(rng: np.random.Generator, duration: float) -> tuple[Visit, ...]:
    """Visits of 40 to 160 s (one shorter visit if the film is); never the same room twice running."""
    edges = [0.0]
    while duration - edges[-1] > 160.0:
        longest = min(160.0, duration - edges[-1] - 40.0)  # leaves a whole visit for the end
        edges.append(round(edges[-1] + float(rng.uniform(40.0, longest)), 3))
    edges.append(duration)
    found: list[Visit] = []
    for start, end in itertools.pairwise(edges):
        others = [room for room in ROOMS if not found or room != found[-1].room]
        found.append(Visit(start, end, str(rng.choice(others))))
    return tuple(found)


def _placements(
    rng: np.random.Generator, instances: tuple[Instance, ...], visits: tuple[Visit, ...]
) -> tuple[tuple[Placement, ...], ...]:
    """Three to five objects on view a visit; now and then one is carried along to the next room."""
    homes: dict[str, list[int]] = {room: [] for room in ROOMS}
    for number, pick in enumerate(rng.permutation(len(instances))):
        homes[ROOMS[number % len(ROOMS)]].append(int(pick))
    carried: int | None = None
    found = []
    for visit in visits:
        here = homes[visit.room]
        others = [i for i in here if i != carried]
        count = min(int(rng.integers(3, 6)), len(here))
        shown = [int(i) for i in rng.permutation(others)[: count - (carried is not None)]]
        shown += [] if carried is None else [carried]
        slots = rng.permutation(len(COLUMNS) * len(ROWS))[: len(shown)]
        spots = []
        for instance, slot in zip(shown, slots, strict=True):
            dx, dy = rng.uniform(-2.5, 2.5), rng.uniform(-2.0, 1.0)
            x, y = COLUMNS[slot % 3] + dx, ROWS[slot // 3] + dy
            spots.append(Placement(instance, round(float(x), 2), round(float(y), 2)))
        found.append(tuple(spots))
        carried = None
        following = visits[len(found)].room if len(found) < len(visits) else None
        if following and len(here) > 3 and rng.random() < 0.3:
            carried = int(rng.choice(shown))
            here.remove(carried)
            homes[following].append(carried)
    return tuple(found)


def _rhythm(
    rng: np.random.Generator,
    instances: tuple[Instance, ...],
    visits: tuple[Visit, ...],
    placements: tuple[tuple[Placement, ...], ...],
) -> tuple[tuple[Event, ...], tuple[IdleHand, ...]]:
    """Events of 8 to 45 s (log-normal), gaps of 2 to 12 s; now and then a second one beside."""
    drafts: list[tuple[float, float, str, int, str]] = []
    hands: list[IdleHand] = []

    def add(start: float, end: float, spot: Placement, room: str) -> float:
        activity = _activity(rng, instances[spot.instance])
        drafts.append((round(start, 3), round(end, 3), activity, spot.instance, room))
        return end

    for visit, spots in zip(visits, placements, strict=True):
        now = visit.start
        while visit.end - now >= 10.0:
            gap = float(rng.uniform(2.0, min(12.0, visit.end - now - 8.0)))
            if gap > 3.0 and rng.random() < 0.3:
                hands.append(_idle_hand(rng, now + 0.5, now + gap - 0.5, spots))
            start = now + gap
            end = min(start + _length(rng), visit.end)
            first = int(rng.integers(len(spots)))
            now = add(start, end, spots[first], visit.room)
            begin = float(rng.uniform(start + 2.0, end - 3.0))
            if rng.random() < 0.14 and visit.end - begin >= 8.0:
                second = (first + int(rng.integers(1, len(spots)))) % len(spots)
                until = add(begin, min(begin + _length(rng), visit.end), spots[second], visit.room)
                now = max(end, until)
    drafts.sort()
    return tuple(Event(number, *draft) for number, draft in enumerate(drafts)), tuple(hands)


def _length(rng: np.random.Generator) -> float:
    """Seconds: log-normal between 8 and 45, fitted to the Ego4D Goal-Step spans of that length."""
    while not 8.0 <= (length := float(rng.lognormal(math.log(15.0), 0.65))) <= 45.0:
        pass
    return length


def _activity(rng: np.random.Generator, instance: Instance) -> str:
    """Half the time one of the object's favourites, else any: a prior exists, but a weak one."""
    return str(rng.choice(instance.favourites if rng.random() < 0.5 else ACTIVITIES))


def _idle_hand(rng: np.random.Generator, start: float, end: float, spots: tuple[Placement, ...]) -> IdleHand:
    """Over a slot where nothing stands."""
    free = [(x, y) for y in ROWS for x in COLUMNS if all(abs(s.x - x) > 6 or abs(s.y - y) > 6 for s in spots)]
    x, y = free[int(rng.integers(len(free)))]
    dx, dy = rng.uniform(-4.0, 4.0, 2)
    return IdleHand(round(start, 3), round(end, 3), round(x + float(dx), 2), round(y + float(dy), 2))


def _needles(rng: np.random.Generator, duration: float, count: int) -> tuple[Needle, ...]:
    """Words and pictures in turn, four seconds each, one in each of `count` equal stretches of the film."""
    if not count:
        return ()
    words = [WORDS[int(i)] for i in rng.permutation(len(WORDS))]
    pictures = [PICTURES[int(i)] for i in rng.permutation(len(PICTURES))]
    stretch = duration / count
    found = []
    for number in range(count):
        start = round(stretch * number + float(rng.uniform(1.0, stretch - NEEDLE_SECONDS - 1.0)), 3)
        kind, names = (("word", words), ("picture", pictures))[number % 2]
        x = 48.0 if kind == "word" else float(rng.choice([33.0, 63.0]))
        what = names[number // 2 % len(names)]
        end = round(start + NEEDLE_SECONDS, 3)
        found.append(Needle(number, kind, what, start, end, x, 56.0 if kind == "picture" else 12.0))
    return tuple(found)
