"""Questions about a drawn world whose answers follow from its script alone: for a clip, and for the film.

Seeded and balanced: every kind has its share, yes meets no, wrong choices are look-alikes. Nothing here
sees a pixel or a model. The film questions are asked of whatever has instances, visits and events.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Protocol, TypeVar

import numpy as np

from watchonce.types import Span
from watchonce.video.drawn.phrases import CLIP, FILM, FORMS, NOT_FOUND, NOTHING, NUMBERS, fill, idle, sentence
from watchonce.video.drawn.world import (
    ACTIVITIES,
    CATEGORIES,
    COLOURS,
    ROOMS,
    Event,
    Instance,
    Visit,
    World,
)

T = TypeVar("T")

SHOWN = 1.5  # seconds an event must share with a clip to count as seen in it
CLIP_KINDS = tuple(CLIP)
FILM_KINDS = ("when", "what", "where", "object", "at", "before", "after", "count", "ever", "none")


@dataclass(frozen=True, slots=True)
class Asked:
    """A question with its one right answer, the spans that prove it, and choices (the answer among them)."""

    question: str
    answer: str
    kind: str
    evidence: tuple[Span, ...]
    choices: tuple[str, ...] = ()


class Script(Protocol):
    """What a question about a whole film needs to know: a World has it, and so has its written truth."""

    @property
    def instances(self) -> Sequence[Instance]: ...
    @property
    def visits(self) -> Sequence[Visit]: ...
    @property
    def events(self) -> Sequence[Event]: ...


def clock(seconds: float) -> str:
    """HH:MM:SS.mmm"""
    whole = round(seconds * 1000)
    return f"{whole // 3_600_000:02d}:{whole // 60_000 % 60:02d}:{whole // 1000 % 60:02d}.{whole % 1000:03d}"


def _one(rng: np.random.Generator, options: Sequence[T]) -> T:
    return options[int(rng.integers(len(options)))]


def _choices(
    rng: np.random.Generator, right: str, near: Iterable[str], far: Iterable[str] = ()
) -> tuple[str, ...]:
    """The right answer and three wrong ones, those of `near` first, in random order."""
    wrong: list[str] = []
    for pool in (near, far):
        fresh = sorted(set(pool) - {right, *wrong})
        wrong += [fresh[int(i)] for i in rng.permutation(len(fresh))]
    options = [right, *wrong[:3]]
    return tuple(options[int(i)] for i in rng.permutation(len(options)))


class _Cast:
    """Names of a script's instances, and which events they take part in."""

    def __init__(self, script: Script) -> None:
        self.name = {instance.id: instance.name for instance in script.instances}
        self.names = sorted(self.name.values())

    def say(self, event: Event) -> str:
        return sentence(event.activity, self.name[event.instance], event.room)

    def look_alikes(self, name: str) -> list[str]:
        """Names in the video that share a word with `name`."""
        colour, category = name.split(" ")
        return [n for n in self.names if n != name and (n.startswith(colour) or n.endswith(category))]


# ---------------------------------------------------------------- a clip


def caption_events(world: World, span: Span) -> list[Event]:
    """The events that fill at least half of the middle half of `span`, at most three, by start."""
    middle = Span(span.start + span.length / 4, span.end - span.length / 4)
    found = [e for e in _near(world, span) if Span(e.start, e.end).overlap(middle) >= middle.length / 2]
    return found[:3]


def caption(world: World, span: Span) -> str:
    """What one should say of `span`: a sentence per event, or that nothing happens and where."""
    cast = _Cast(world)
    found = caption_events(world, span)
    room = world.visits[world.visit_at((span.start + span.end) / 2)].room
    return " ".join(cast.say(event) for event in found) or idle(room)


def _near(world: World, span: Span) -> list[Event]:
    first, last = world.visit_at(span.start), world.visit_at(max(span.start, span.end - 1e-6))
    found = [e for visit in range(first, last + 1) for e in world._events_of_visit[visit]]
    return [e for e in found if e.start < span.end and e.end > span.start]


class _Clip:
    """One span of a world and everything that may be asked about it."""

    def __init__(self, world: World, span: Span, rng: np.random.Generator) -> None:
        self.world, self.span, self.rng, self.cast = world, span, rng, _Cast(world)
        self.near = _near(world, span)
        need = min(SHOWN, span.length / 2)
        self.shown = [e for e in self.near if Span(e.start, e.end).overlap(span) >= need]
        self.vague = len(self.near) > len(self.shown)
        first, last = world.visit_at(span.start), world.visit_at(max(span.start, span.end - 1e-6))
        self.visit = first if first == last else None  # None: the camera moves to another room meanwhile

    @cached_property
    def on_view(self) -> list[str]:
        """Names of what stands in the room, by category, then colour."""
        spots = self.world.placements[self.visit] if self.visit is not None else ()
        return sorted((self.cast.name[s.instance] for s in spots), key=_shelf)

    def ask(
        self,
        kind: str,
        answer: str,
        events: Sequence[Event] = (),
        choices: tuple[str, ...] = (),
        **slots: str,
    ) -> Asked:
        inside = [Span(max(e.start, self.span.start), min(e.end, self.span.end)) for e in events]
        evidence = tuple(inside) or (self.span,)
        return Asked(fill(_one(self.rng, CLIP[kind]), **slots), answer, kind, evidence, choices)

    def about(self, event: Event) -> dict[str, str]:
        return {"activity": event.activity, "name": self.cast.name[event.instance], "room": event.room}

    def describe(self) -> Asked:
        return self.ask("describe", caption(self.world, self.span), caption_events(self.world, self.span))

    def room(self) -> Asked | None:
        if self.visit is None:
            return None
        right = self.world.visits[self.visit].room
        return self.ask("room", right, choices=_choices(self.rng, right, ROOMS))

    def _lone(self, key: Callable[[Event], object]) -> Event | None:
        """A shown event that no other event near the clip shares its key with."""
        often = Counter(key(e) for e in self.near)
        found = [e for e in self.shown if often[key(e)] == 1]
        return _one(self.rng, found) if found else None

    def act(self) -> Asked | None:
        event = self._lone(lambda e: e.instance)
        if event is None:
            return None
        right = FORMS[event.activity][1]
        near = [FORMS[e.activity][1] for e in self.near]
        options = _choices(self.rng, right, near, (past for _, past, _ in FORMS.values()))
        return self.ask("act", right, [event], options, **self.about(event))

    def object(self) -> Asked | None:
        event = self._lone(lambda e: e.activity)
        if event is None:
            return None
        right = self.cast.name[event.instance]
        options = _choices(self.rng, right, {*self.on_view, *self.cast.look_alikes(right)}, self.cast.names)
        return self.ask("object", right, [event], options, **self.about(event))

    def where(self) -> Asked | None:
        event = self._lone(lambda e: (e.instance, e.activity))
        if event is None:
            return None
        return self.ask(
            "where", event.room, [event], _choices(self.rng, event.room, ROOMS), **self.about(event)
        )

    def colour(self) -> Asked | None:
        event = self._lone(lambda e: (e.activity, self.cast.name[e.instance].split(" ")[1]))
        if event is None:
            return None
        right = self.cast.name[event.instance].split(" ")[0]
        return self.ask("colour", right, [event], _choices(self.rng, right, COLOURS), **self.about(event))

    def see(self) -> Asked | None:
        if not self.on_view:
            return None
        there = self.rng.random() < 0.5
        name = _one(self.rng, self.on_view)
        if not there:  # mostly a look-alike of something on view
            every = [f"{c} {k}" for c in COLOURS for k in CATEGORIES]
            alike = [n for n in every if n.split()[1] == name.split()[1] or n.split()[0] == name.split()[0]]
            pool = alike if self.rng.random() < 0.8 else every
            name = _one(self.rng, [n for n in pool if n not in self.on_view])
        return self.ask("see", "yes" if there else "no", choices=("yes", "no"), name=name)

    def view(self) -> Asked | None:
        return self.ask("view", " ".join(self.on_view)) if self.on_view else None

    def _order(self, kind: str) -> Asked | None:
        """Needs exactly two events, the first seen for a second before the second starts."""
        if self.vague or len(self.shown) != 2:
            return None
        first, second = self.shown
        if second.start - max(first.start, self.span.start) < 1.0 or first.instance == second.instance:
            return None
        asked, told = (second, first) if kind == "before" else (first, second)
        if self.rng.random() < 0.25:
            return self.ask(kind, NOTHING, [told], **self.about(told))
        return self.ask(kind, self.cast.say(told), [told], **self.about(asked))

    def before(self) -> Asked | None:
        return self._order("before")

    def after(self) -> Asked | None:
        return self._order("after")

    def count(self) -> Asked | None:
        if self.vague or len(self.shown) > 4:
            return None
        right = NUMBERS[len(self.shown)]
        return self.ask("count", right, self.shown, _choices(self.rng, right, NUMBERS[:4]))

    def yesno(self) -> Asked | None:
        if not self.shown or self.visit is None:
            return None
        event = _one(self.rng, self.shown)
        slots = self.about(event)
        if self.rng.random() < 0.5:
            return self.ask("yesno", "yes", [event], ("yes", "no"), **slots)
        if self.rng.random() < 0.5:
            others = [n for n in {*self.on_view, *self.cast.look_alikes(slots["name"])} if n != slots["name"]]
            slots["name"] = _one(self.rng, sorted(others))
        else:
            slots["activity"] = _one(self.rng, [a for a in ACTIVITIES if a != event.activity])
        done = {(self.cast.name[e.instance], e.activity) for e in self.near}
        if (slots["name"], slots["activity"]) in done:
            return None
        return self.ask("yesno", "no", choices=("yes", "no"), **slots)


def _shelf(name: str) -> tuple[int, int]:
    colour, category = name.split(" ")
    return CATEGORIES.index(category), COLOURS.index(colour)


def clip_questions(
    world: World, span: Span, rng: np.random.Generator, kinds: Sequence[str] = CLIP_KINDS
) -> list[Asked]:
    """One question of every kind that has a clear answer in `span`; a few seconds of one or two rooms."""
    clip = _Clip(world, span, rng)
    found = (getattr(clip, kind)() for kind in kinds)
    return [asked for asked in found if asked is not None]


# ---------------------------------------------------------------- the whole film


class _Film:
    """A whole script, indexed by what was done with what."""

    def __init__(self, script: Script, rng: np.random.Generator) -> None:
        self.rng, self.cast, self.events = rng, _Cast(script), list(script.events)
        self.pairs: dict[tuple[str, int], list[Event]] = defaultdict(list)
        self.of: dict[int, list[Event]] = defaultdict(list)
        self.used: dict[tuple[str, str], list[Event]] = defaultdict(list)
        for event in self.events:
            self.pairs[event.activity, event.instance].append(event)
            self.of[event.instance].append(event)
            self.used[event.activity, event.room].append(event)

    def ask(
        self,
        kind: str,
        phrasing: str,
        answer: str,
        events: Sequence[Event],
        choices: tuple[str, ...] = (),
        **slots: str,
    ) -> Asked:
        spans = tuple(Span(e.start, e.end) for e in events)
        return Asked(fill(_one(self.rng, FILM[phrasing]), **slots), answer, kind, spans, choices)

    def about(self, event: Event) -> dict[str, str]:
        return {"activity": event.activity, "name": self.cast.name[event.instance], "room": event.room}

    def _pair(self, fits: Callable[[list[Event]], bool]) -> list[Event] | None:
        found = [events for events in self.pairs.values() if fits(events)]
        return _one(self.rng, found) if found else None

    def when(self) -> Asked | None:
        often = self._pair(lambda events: len(events) > 1) if self.rng.random() < 0.3 else None
        if often:
            which, event = [("first", often[0]), ("last", often[-1])][int(self.rng.integers(2))]
        else:
            once = self._pair(lambda events: len(events) == 1)
            if once is None:
                return None
            which, event = "when", once[0]
        return self.ask("when", which, _period(event), [event], **self.about(event))

    def what(self) -> Asked | None:
        options = [
            [e for e in events if not room or e.room == room]
            for events in self.of.values()
            for room in ("", *ROOMS)
        ]
        options = [o for o in options if 0 < len(o) <= 4 and len({e.activity for e in o}) <= 3]
        if not options:
            return None
        events = _one(self.rng, options)
        past = [FORMS[activity][1] for activity in dict.fromkeys(e.activity for e in events)]
        right = " and ".join(past)
        everywhere = len(events) == len(self.of[events[0].instance])
        phrasing = "what" if everywhere and self.rng.random() < 0.7 else "what_room"
        if phrasing == "what_room" and len({e.room for e in events}) > 1:
            phrasing = "what"
        near = [FORMS[a][1] for a in ACTIVITIES if FORMS[a][1] not in past]
        wrong = [" and ".join(self.rng.permutation(near)[: len(past)]) for _ in range(6)]
        return self.ask(
            "what", phrasing, right, events, _choices(self.rng, right, wrong), **self.about(events[0])
        )

    def where(self) -> Asked | None:
        events = self._pair(lambda events: len({e.room for e in events}) == 1 and len(events) <= 4)
        if events is None:
            return None
        right = events[0].room
        return self.ask(
            "where", "where", right, events, _choices(self.rng, right, ROOMS), **self.about(events[0])
        )

    def object(self) -> Asked | None:
        found = [e for e in self.used.values() if len({x.instance for x in e}) == 1 and len(e) <= 4]
        if not found:
            return None
        events = _one(self.rng, found)
        right = self.cast.name[events[0].instance]
        options = _choices(self.rng, right, self.cast.look_alikes(right), self.cast.names)
        return self.ask("object", "object", right, events, options, **self.about(events[0]))

    def at(self) -> Asked | None:
        event = _one(self.rng, self.events)
        time = round(event.start + (event.end - event.start) * float(self.rng.uniform(0.3, 0.7)))
        going = [e for e in self.events if e.start - 1 <= time < e.end + 1]
        if going != [event]:
            return None
        right = self.cast.say(event)
        options = _choices(self.rng, right, self._others(event))
        return self.ask("at", "at", right, [event], options, time=clock(time).split(".")[0])

    def _others(self, event: Event) -> list[str]:
        """Captions of other events near in time, and of the same event in other words."""
        index = self.events.index(event)
        near = self.events[max(0, index - 3) : index + 4]
        return [self.cast.say(e) for e in near if e is not event]

    def _order(self, kind: str) -> Asked | None:
        events = self._pair(lambda events: len(events) == 1)
        if events is None:
            return None
        index = self.events.index(events[0])
        other = index - 1 if kind == "before" else index + 1
        if not 0 <= other < len(self.events):
            return None
        first, second = sorted((self.events[other], events[0]), key=lambda e: e.start)
        beside = [e for e in self.events if e.start < second.end and e.end > first.start]
        if len(beside) != 2 or first.end > second.start:  # overlapping events have no clear order
            return None
        told = self.events[other]
        options = _choices(self.rng, self.cast.say(told), self._others(told))
        return self.ask(kind, kind, self.cast.say(told), [told], options, **self.about(events[0]))

    def before(self) -> Asked | None:
        return self._order("before")

    def after(self) -> Asked | None:
        return self._order("after")

    def count(self) -> Asked | None:
        want = int(self.rng.integers(1, 5))
        events = self._pair(lambda events: len(events) == want)
        if events is None:
            return None
        right = NUMBERS[len(events)]
        return self.ask(
            "count", "count", right, events, _choices(self.rng, right, NUMBERS[1:6]), **self.about(events[0])
        )

    def ever(self) -> Asked | None:
        if self.rng.random() < 0.5:
            events = self._pair(lambda events: len(events) <= 4)
            if events is None:
                return None
            return self.ask("ever", "ever", "yes", events, ("yes", "no"), **self.about(events[0]))
        activity, name, _ = self._never()
        return self.ask("ever", "ever", "no", [], ("yes", "no"), activity=activity, name=name)

    def _never(self) -> tuple[str, str, str]:
        """(activity, name, room) of something that never happens, though both parts mostly do."""
        ids = {name: number for number, name in self.cast.name.items()}
        while True:
            event = _one(self.rng, self.events)
            name = self.cast.name[event.instance]
            if self.rng.random() < 0.5:
                activity = _one(self.rng, ACTIVITIES)
            else:
                activity, name = (
                    event.activity,
                    _one(self.rng, self.cast.look_alikes(name) or self.cast.names),
                )
            if (activity, ids[name]) not in self.pairs:
                return activity, name, event.room

    def none(self) -> Asked | None:
        activity, name, room = self._never()
        kind = _one(self.rng, ("when", "where", "before", "after", "object", "count"))
        if kind == "object":
            missing = [(a, r) for a in ACTIVITIES for r in ROOMS if (a, r) not in self.used]
            if not missing:
                return None
            activity, room = _one(self.rng, missing)
        return self.ask("none", kind, NOT_FOUND, [], activity=activity, name=name, room=room)


def _period(event: Event) -> str:
    return f"{clock(event.start)}-{clock(event.end)}"


def film_questions(
    script: Script, rng: np.random.Generator, count: int, kinds: Sequence[str] = FILM_KINDS
) -> list[Asked]:
    """At most `count` different questions over the whole film, the kinds in turn.

    A film too short for a kind goes without it; evidence is the spans of the events that prove the answer,
    none for "not found" and "no".
    """
    if not script.events:
        return []
    film = _Film(script, rng)
    found: dict[str, Asked] = {}
    for attempt in range(count * 8):
        if len(found) == count:
            break
        asked = getattr(film, kinds[attempt % len(kinds)])()
        if asked is not None:
            found.setdefault(asked.question, asked)
    return list(found.values())
