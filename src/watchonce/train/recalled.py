"""Notes as the diary really hands them over: a film's true notes, a question, and what reading recalls.

A tiny language model need not find one note among ten look-alikes, because retrieval does that first; it
must cite, count, order and read what it is handed. Which method recalls is named here alone.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

from watchonce.contracts import Budget
from watchonce.methods.diary import Diary
from watchonce.methods.plain import Plain
from watchonce.train.lessons import cited, training_world
from watchonce.train.pages import Page
from watchonce.types import Note, Query
from watchonce.video.drawn.asked import Asked
from watchonce.video.drawn.phrases import idle, sentence
from watchonce.video.drawn.questions import film_questions
from watchonce.video.drawn.world import World

SLACK = 6.0  # seconds without an event that a diary notes as "nothing happens"


def film_notes(world: World) -> list[Note]:
    """One note an event, and one for every longer pause: what a perfect captioner would write."""
    names = {i.id: i.name for i in world.instances}
    notes = [
        Note(sentence(e.activity, names[e.instance], e.room), e.start, e.end, "caption") for e in world.events
    ]
    free = 0.0
    for event in world.events:
        if event.start - free > SLACK:
            room = world.visits[world.visit_at((free + event.start) / 2)].room
            notes.append(Note(idle(room), free, event.start, "caption"))
        free = max(free, event.end)
    return notes


def recalled_pages(rng: np.random.Generator, count: int, split: str = "train") -> Iterator[Page]:
    """`count` pages of one question each, from a fresh film or two."""
    made = 0
    while made < count:
        world = training_world(rng, split, float(rng.uniform(300, 1800)))
        diary = Diary(nearby=int(rng.choice([1, 2, 2, 3])))
        diary.add_notes(film_notes(world))
        diary.finish(Budget())
        for asked in film_questions(world, rng, min(40, count - made)):
            page = _page(rng, diary, asked)
            if page is not None:
                made += 1
                yield page


def _page(rng: np.random.Generator, diary: Diary, asked: Asked) -> Page | None:
    """The question with what is recalled; None where retrieval alone decides, or cut the proof off."""
    recalled = diary.read(Query(asked.question)).notes
    if not recalled or (asked.kind == "none" and _fit(recalled) < Plain.grasp):
        return None
    number = {(n.start, n.end): i for i, n in enumerate(recalled, start=1)}
    if any((span.start, span.end) not in number for span in asked.evidence):
        return None
    dot = rng.random() < 0.8
    texts = [n.text if dot else n.text.rstrip(".") for n in recalled]
    lines = "\n".join(f"[{i}] {text}" for i, text in enumerate(texts, start=1))
    answer: Any = cited(asked, number)
    return Page(0, lines, ((asked.kind, asked.question, answer),))


def _fit(notes: tuple[Note, ...]) -> float:
    return max(n.score or 0.0 for n in notes)
