"""What the tiny model is taught: clips of drawn worlds and made-up lists of notes, as pages.

Every page is fresh: a new world or a new list per step, from the `train` split while training. This file
knows which moments of a world and which lists are worth asking about, not how they are learned.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from watchonce.clock import clock
from watchonce.train.pages import Page
from watchonce.types import Span
from watchonce.video.drawn.asked import Asked
from watchonce.video.drawn.clips import clip_questions
from watchonce.video.drawn.phrases import FILM as FILM_PHRASES
from watchonce.video.drawn.phrases import fill, idle, sentence
from watchonce.video.drawn.questions import film_questions
from watchonce.video.drawn.world import (
    ACTIVITIES,
    CATEGORIES,
    COLOURS,
    ORDERED,
    ROOMS,
    Event,
    Instance,
    Visit,
    World,
    make_world,
)

ASKED = 7  # questions a page at most
LIST_KINDS = ("when", "what", "where", "object", "before", "after", "count", "ever", "none")
READ = ("What does {number} say?", "Read {number}.", "What is said in note {number}?", "Read note {number}.")
COPY = ("Read every note.", "List the notes.", "List every note.")
FIND = {
    "instance": ("Find every note of the {name}.", "Find the {name}.", "List the notes with the {name}."),
    "activity": (
        "Find every time something was {past}.",
        "List the notes in which someone {third} something.",
    ),
    "room": ("Find every note of the {room}.", "List the notes in the {room}."),
}
# how often a kind is kept, of the times it could be asked; 1 where not named
KEEP = {"room": 0.5, "where": 0.5, "view": 0.5, "see": 0.8, "count": 0.6}


@dataclass(frozen=True, eq=False)
class Clip:
    """Frames of one world at `times`, and the page about them."""

    world: World
    times: np.ndarray  # float64 [n], seconds
    page: Page


def clip_lesson(
    rng: np.random.Generator,
    world: World,
    *,
    plain: bool = False,
    still: bool = False,
    kinds: Sequence[str] | None = None,
) -> Clip:
    """A moment worth asking about. plain: always 8 frames, 1 s apart; still: one frame, no ordered act."""
    frames, step = 8, 1.0
    if still:
        frames = 1
    elif not plain and rng.random() < 0.2:
        frames, step = int(rng.integers(2, 9)), float(rng.choice([0.5, 1.0, 1.0, 2.0]))
    length = frames * step
    start = _moment(rng, world, length)
    asked = clip_questions(world, Span(start, start + length), rng)
    if kinds is not None:
        asked = [a for a in asked if a.kind in kinds]
    kept = [a for a in asked if rng.random() < KEEP.get(a.kind, 1.0)] or asked
    order = rng.permutation(len(kept))[:ASKED]
    chosen = tuple((kept[i].kind, kept[i].question, kept[i].answer) for i in sorted(order))
    jitter = rng.uniform(-0.1, 0.1, frames) if frames > 1 else rng.uniform(-0.1, 0.1, 1)
    times = np.clip(start + np.arange(frames) * step + jitter, 0.0, world.duration - 1e-3)
    return Clip(world, np.maximum.accumulate(times), Page(frames, "", chosen))


def _moment(rng: np.random.Generator, world: World, length: float) -> float:
    """Start of a clip: mostly inside an event, often where one ends and the next begins."""
    latest = max(world.duration - length, 0.0)
    draw = rng.random()
    if draw < 0.1 or not world.events:
        return float(rng.uniform(0.0, latest))
    number = int(rng.integers(len(world.events)))
    ordered = [n for n, e in enumerate(world.events) if e.activity in ORDERED]
    if ordered and rng.random() < 0.3:  # harder than the rest: what one frame shows is not enough
        number = _one(rng, ordered)
    event = world.events[number]
    if draw < 0.5:
        low, high = event.start - length * 0.2, max(event.end - length * 0.8, event.start)
        start = float(rng.uniform(low, high))
    elif draw < 0.65:
        edge = (event.start, event.end)[int(rng.integers(2))]
        start = float(rng.uniform(edge - length, edge))
    else:
        following = [
            e for e in world.events[number + 1 : number + 3] if -6.0 < e.start - event.end < length * 0.6
        ]
        turn = following[0].start if following else event.start
        until = min(event.end, turn) if following else event.start
        start = float(rng.uniform(turn - length + 1.5, max(turn - length + 1.6, until - 1.5)))
    return float(np.clip(start, 0.0, latest))


def training_world(rng: np.random.Generator, split: str = "train", seconds: float = 400.0) -> World:
    """A fresh world of `split`."""
    return make_world(int(rng.integers(1 << 31)), seconds, split=split)


# ---------------------------------------------------------------- notes


@dataclass(frozen=True)
class NoteList:
    """A made-up list: a script of a few events, so that film questions can be asked of it alone."""

    instances: tuple[Instance, ...]
    visits: tuple[Visit, ...]
    events: tuple[Event, ...]


def note_list(rng: np.random.Generator, longest: int = 10, easy: float = 0.35) -> NoteList:
    """1 to `longest` events drawn from few objects, activities and rooms: all look-alikes of each other.

    A share `easy` of the lists is short and of things that have little in common: the first to be learned.
    """
    every = [(k, c) for k in range(len(CATEGORIES)) for c in range(len(COLOURS))]
    if rng.random() < easy:
        return _easy_list(rng, every, min(longest, 5))
    first = every[int(rng.integers(len(every)))]
    close = [p for p in every if (p[0] == first[0]) != (p[1] == first[1])]
    pool = [first, *(close[int(i)] for i in rng.permutation(len(close))[: int(rng.integers(1, 4))])]
    pool += [
        every[int(i)]
        for i in rng.permutation(len(every))[: int(rng.integers(0, 4))]
        if every[int(i)] != first
    ]
    pool = list(dict.fromkeys(pool))
    instances = tuple(Instance(n, CATEGORIES[k], COLOURS[c]) for n, (k, c) in enumerate(pool))
    acts = [ACTIVITIES[int(i)] for i in rng.permutation(len(ACTIVITIES))[: int(rng.integers(1, 7))]]
    rooms = [ROOMS[int(i)] for i in rng.permutation(len(ROOMS))[: int(rng.integers(1, 5))]]
    favourite = rng.random() < 0.4  # one pair comes back again and again
    events: list[Event] = []
    now = float(rng.uniform(0, 3000))
    for number in range(int(rng.integers(1, longest + 1))):
        again = favourite and rng.random() < 0.4
        activity = acts[0] if again else acts[int(rng.integers(len(acts)))]
        instance = 0 if again else int(rng.integers(len(instances)))
        end = now + float(rng.uniform(8, 40))
        room = rooms[int(rng.integers(len(rooms)))]
        events.append(Event(number, round(now, 3), round(end, 3), activity, instance, room))
        now = end + float(rng.uniform(2, 12) if rng.random() < 0.5 else rng.uniform(12, 600))
    return NoteList(instances, (), tuple(events))


def _easy_list(rng: np.random.Generator, every: list[tuple[int, int]], longest: int) -> NoteList:
    count = int(rng.integers(1, longest + 1))
    pool = [every[int(i)] for i in rng.permutation(len(every))[:count]]
    instances = tuple(Instance(n, CATEGORIES[k], COLOURS[c]) for n, (k, c) in enumerate(pool))
    acts = [ACTIVITIES[int(i)] for i in rng.permutation(len(ACTIVITIES))[:count]]
    starts = np.sort(rng.uniform(0, 3000, count)).round(3) + 50.0 * np.arange(count)
    rooms = [ROOMS[int(i)] for i in rng.integers(len(ROOMS), size=count)]
    made = zip(range(count), starts.tolist(), acts, rooms, strict=True)
    events = tuple(Event(n, start, start + 20.0, act, n, room) for n, start, act, room in made)
    return NoteList(instances, (), events)


def note_page(rng: np.random.Generator, *, longest: int = 10, easy: float = 0.35, count: int = ASKED) -> Page:
    """A list of notes and questions on it; answers begin with the numbers of the notes that prove them."""
    if rng.random() < 0.12:
        return _moment_page(rng)
    kinds = [LIST_KINDS[int(i)] for i in rng.permutation(len(LIST_KINDS))]
    return _page(rng, note_list(rng, longest, easy), kinds, count, idles=0.08, read=1.0)


def _page(
    rng: np.random.Generator, notes: NoteList, kinds: Sequence[str], count: int, idles: float, read: float
) -> Page:
    """The list written out, with idle notes thrown in between, `count` film questions and some readings."""
    name = {i.id: i.name for i in notes.instances}
    said: list[tuple[Event | None, str]] = []
    for event in notes.events:
        if rng.random() < idles:
            said.append((None, idle(ROOMS[int(rng.integers(len(ROOMS)))])))
        said.append((event, sentence(event.activity, name[event.instance], event.room)))
    said = said[:12]
    kept = {event.id for event, _ in said if event is not None}
    script = NoteList(notes.instances, (), tuple(e for e in notes.events if e.id in kept))
    dot = rng.random() < 0.7
    lines = [f"[{n}] {text if dot else text.rstrip('.')}" for n, (_, text) in enumerate(said, start=1)]
    number = {(e.start, e.end): n for n, (e, _) in enumerate(said, start=1) if e is not None}
    asked = [(a.kind, a.question, cited(a, number)) for a in film_questions(script, rng, count, kinds)]
    if rng.random() < read or not asked:
        asked += _readings(rng, said, name)
    return Page(0, "\n".join(lines), tuple(asked) or (("copy", COPY[0], f"[1] {said[0][1]}"),))


def recalled_page(rng: np.random.Generator, *, count: int = 5) -> Page:
    """Notes as retrieval hands them over: the full matches of a question, or only partial ones, or a window.

    A third of the pages is `note_page`, lists in which the right note must be told from look-alikes.
    """
    if rng.random() < 0.3:
        return note_page(rng, longest=6, count=count)
    every = [(k, c) for k in range(len(CATEGORIES)) for c in range(len(COLOURS))]
    pool = [every[int(i)] for i in rng.permutation(len(every))[:6]]
    instances = tuple(Instance(n, CATEGORIES[k], COLOURS[c]) for n, (k, c) in enumerate(pool))
    acts = [ACTIVITIES[int(i)] for i in rng.permutation(len(ACTIVITIES))[:6]]
    draw, kinds, idles = rng.random(), LIST_KINDS, 0.0
    if draw < 0.5:  # one pair, once or again and again
        pairs = [(acts[0], 0)] * int(rng.choice([1, 1, 1, 2, 2, 3, 4, 5]))
    elif draw < 0.65:  # one object
        pairs = [(acts[int(rng.integers(3))], 0) for _ in range(int(rng.integers(1, 5)))]
    elif draw < 0.75:  # one activity
        pairs = [(acts[0], int(rng.integers(3))) for _ in range(int(rng.integers(1, 5)))]
    else:  # a window of neighbours
        kinds, idles = ("before", "after"), 0.25
        pairs = [(acts[n], int(i)) for n, i in enumerate(rng.permutation(6)[: int(rng.integers(2, 6))])]
    rooms = [ROOMS[int(i)] for i in rng.integers(len(ROOMS), size=2)]
    starts = np.cumsum(rng.uniform(30, 200, len(pairs))).round(3).tolist()
    events = tuple(
        Event(n, start, start + 20.0, act, i, _one(rng, rooms))
        for n, (start, (act, i)) in enumerate(zip(starts, pairs, strict=True))
    )
    order = [kinds[int(i)] for i in rng.permutation(len(kinds))]
    return _page(rng, NoteList(instances, (), events), order, count, idles, read=0.2)


def _readings(
    rng: np.random.Generator, said: list[tuple[Event | None, str]], name: dict[int, str]
) -> list[tuple[str, str, str]]:
    """Reading lines aloud, by number or by what they speak of: the skill all other answers build on.

    Each of its words is a lesson in where to look, where a citation alone is one bit of advice for all.
    """
    found = []
    if rng.random() < 0.5:
        n = int(rng.integers(len(said)))
        found.append(("read", _one(rng, READ).format(number=f"[{n + 1}]"), said[n][1]))
    if rng.random() < 0.15 and len(said) <= 6:
        found.append(("copy", _one(rng, COPY), " ".join(f"[{n}] {t}" for n, (_, t) in enumerate(said, 1))))
    events = [event for event, _ in said if event is not None]
    for field in ("instance", "activity", "room"):
        if rng.random() < 0.4:
            event = _one(rng, events)
            slots = {"activity": event.activity, "name": name[event.instance], "room": event.room}
            hits = [
                f"[{n}] {text}"
                for n, (e, text) in enumerate(said, start=1)
                if e is not None and getattr(e, field) == getattr(event, field)
            ]
            if len(hits) <= 4:
                found.append(("find", fill(_one(rng, FIND[field]), **slots), " ".join(hits)))
    return found


def _one(rng: np.random.Generator, options: Sequence[Any]) -> Any:
    return options[int(rng.integers(len(options)))]


def cited(asked: Asked, number: dict[tuple[float, float], int]) -> str:
    """The answer as the model is to give it: the numbers of the proving notes, then the words."""
    marks = " ".join(f"[{number[span.start, span.end]}]" for span in asked.evidence)
    words = "" if asked.kind == "when" else asked.answer
    return f"{marks} {words}".strip()


def _moment_page(rng: np.random.Generator) -> Page:
    """What happened at a time: only the notes of that time are given, the time itself is not read."""
    count = int(rng.choice([1, 1, 1, 2]))
    texts = []
    for _ in range(count):
        room = ROOMS[int(rng.integers(len(ROOMS)))]
        name = f"{COLOURS[int(rng.integers(len(COLOURS)))]} {CATEGORIES[int(rng.integers(len(CATEGORIES)))]}"
        activity = ACTIVITIES[int(rng.integers(len(ACTIVITIES)))]
        texts.append(idle(room) if rng.random() < 0.15 else sentence(activity, name, room))
    lines = "\n".join(f"[{n}] {text}" for n, text in enumerate(texts, start=1))
    answer = " ".join(f"[{n}] {text}" for n, text in enumerate(texts, start=1))
    phrasings = FILM_PHRASES["at"]
    asked = tuple(("at", fill(p, time=clock(60.0 * k)), answer) for k, p in enumerate(phrasings))
    return Page(0, lines, asked[int(rng.integers(2)) :: 2])
