"""Questions about a few seconds of a drawn world, whose answers follow from its script alone.

Seeded and balanced: every kind has its share, yes meets no, wrong choices are look-alikes. Nothing here
sees a pixel or a model.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from functools import cached_property

import numpy as np

from watchonce.types import Span
from watchonce.video.drawn.asked import Asked, Cast, choices_for, one
from watchonce.video.drawn.phrases import CLIP, FORMS, NOTHING, NUMBERS, fill, idle
from watchonce.video.drawn.world import ACTIVITIES, CATEGORIES, COLOURS, ROOMS, Event, World

SHOWN = 1.5  # seconds an event must share with a clip to count as seen in it
CLIP_KINDS = tuple(CLIP)


def caption_events(world: World, span: Span) -> list[Event]:
    """The events that fill at least half of the middle half of `span`, at most three, by start."""
    middle = Span(span.start + span.length / 4, span.end - span.length / 4)
    found = [e for e in _near(world, span) if Span(e.start, e.end).overlap(middle) >= middle.length / 2]
    return found[:3]


def caption(world: World, span: Span) -> str:
    """What one should say of `span`: a sentence per event, or that nothing happens and where."""
    cast = Cast(world)
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
        self.world, self.span, self.rng, self.cast = world, span, rng, Cast(world)
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
        slots: Mapping[str, str] | None = None,
    ) -> Asked:
        inside = [Span(max(e.start, self.span.start), min(e.end, self.span.end)) for e in events]
        evidence = tuple(inside) or (self.span,)
        return Asked(fill(one(self.rng, CLIP[kind]), **(slots or {})), answer, kind, evidence, choices)

    def about(self, event: Event) -> dict[str, str]:
        return {"activity": event.activity, "name": self.cast.name[event.instance], "room": event.room}

    def describe(self) -> Asked:
        return self.ask("describe", caption(self.world, self.span), caption_events(self.world, self.span))

    def room(self) -> Asked | None:
        if self.visit is None:
            return None
        right = self.world.visits[self.visit].room
        return self.ask("room", right, choices=choices_for(self.rng, right, ROOMS))

    def _lone(self, key: Callable[[Event], object]) -> Event | None:
        """A shown event that no other event near the clip shares its key with."""
        often = Counter(key(e) for e in self.near)
        found = [e for e in self.shown if often[key(e)] == 1]
        return one(self.rng, found) if found else None

    def act(self) -> Asked | None:
        event = self._lone(lambda e: e.instance)
        if event is None:
            return None
        right = FORMS[event.activity][1]
        near = [FORMS[e.activity][1] for e in self.near]
        options = choices_for(self.rng, right, near, (past for _, past, _ in FORMS.values()))
        return self.ask("act", right, [event], options, slots=self.about(event))

    def object(self) -> Asked | None:
        event = self._lone(lambda e: e.activity)
        if event is None:
            return None
        right = self.cast.name[event.instance]
        options = choices_for(
            self.rng, right, {*self.on_view, *self.cast.look_alikes(right)}, self.cast.names
        )
        return self.ask("object", right, [event], options, slots=self.about(event))

    def where(self) -> Asked | None:
        event = self._lone(lambda e: (e.instance, e.activity))
        if event is None:
            return None
        return self.ask(
            "where", event.room, [event], choices_for(self.rng, event.room, ROOMS), slots=self.about(event)
        )

    def colour(self) -> Asked | None:
        event = self._lone(lambda e: (e.activity, self.cast.name[e.instance].split(" ")[1]))
        if event is None:
            return None
        right = self.cast.name[event.instance].split(" ")[0]
        return self.ask(
            "colour", right, [event], choices_for(self.rng, right, COLOURS), slots=self.about(event)
        )

    def see(self) -> Asked | None:
        if not self.on_view:
            return None
        there = self.rng.random() < 0.5
        name = one(self.rng, self.on_view)
        if not there:  # mostly a look-alike of something on view
            every = [f"{c} {k}" for c in COLOURS for k in CATEGORIES]
            alike = [n for n in every if n.split()[1] == name.split()[1] or n.split()[0] == name.split()[0]]
            pool = alike if self.rng.random() < 0.8 else every
            name = one(self.rng, [n for n in pool if n not in self.on_view])
        return self.ask("see", "yes" if there else "no", choices=("yes", "no"), slots={"name": name})

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
            return self.ask(kind, NOTHING, [told], slots=self.about(told))
        return self.ask(kind, self.cast.say(told), [told], slots=self.about(asked))

    def before(self) -> Asked | None:
        return self._order("before")

    def after(self) -> Asked | None:
        return self._order("after")

    def count(self) -> Asked | None:
        if self.vague or len(self.shown) > 4:
            return None
        right = NUMBERS[len(self.shown)]
        return self.ask("count", right, self.shown, choices_for(self.rng, right, NUMBERS[:4]))

    def yesno(self) -> Asked | None:
        if not self.shown or self.visit is None:
            return None
        event = one(self.rng, self.shown)
        slots = self.about(event)
        if self.rng.random() < 0.5:
            return self.ask("yesno", "yes", [event], ("yes", "no"), slots=slots)
        if self.rng.random() < 0.5:
            others = [n for n in {*self.on_view, *self.cast.look_alikes(slots["name"])} if n != slots["name"]]
            slots["name"] = one(self.rng, sorted(others))
        else:
            slots["activity"] = one(self.rng, [a for a in ACTIVITIES if a != event.activity])
        done = {(self.cast.name[e.instance], e.activity) for e in self.near}
        if (slots["name"], slots["activity"]) in done:
            return None
        return self.ask("yesno", "no", choices=("yes", "no"), slots=slots)


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
