"""Questions of every kind about a timeline, in many phrasings and both directions, with their answers.

With a phrasebook they are the facts of `facts.py` in its phrasings. Without one, captions are quoted: what
happened when, when did that happen, what came next, how often, in which order; why is asked by a language
model alone (`written.py`), as nothing in a table of events tells a cause. One phrasing of every kind is only
for the probe. This file knows no video, no model and no truth but the events it is handed.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import replace

import numpy as np

from watchonce.clock import clock
from watchonce.study.composed import composed
from watchonce.study.facts import Fact, Film
from watchonce.study.items import Event, Item
from watchonce.study.phrasebook import Phrasebook
from watchonce.study.times import TICK

PROBE = -1  # the form of a phrasing that is kept for the probe
# How many phrasings of a fact are listed, taking turns; one where not named. An adapter must read a fact some
# thirty times, and what has more phrasings is read the more often: these are shares of the teaching.
FORMS = {
    **dict.fromkeys(("what", "object", "before", "after"), 3),
    **dict.fromkeys(("when", "where", "at", "count", "ever", "what_room"), 2),
    **dict.fromkeys(("first", "last", "busy", "objects"), 2),
}
ALWAYS = frozenset((*FORMS, "opening", "closing", "most_object", "most_room", "most_deed"))  # listed whole
LISTED = 0.4  # share listed of other kinds
ABSENT = 0.4  # facts listed that never were, for every one that was
FEWEST = 40  # of them, where hardly anything was
OFTEN = 2.5  # of them, questions whether it ever was, for one of another kind
PAUSES = 3  # ticks of a pause of which one is listed
PROBED = 160  # questions of a probe, at most
# shares of a probe; kinds that are not named count 1
SHARES: dict[str, int] = dict.fromkeys(
    ("when", "what", "where", "object", "at", "before", "after", "count", "ever"), 6
)

# Without a phrasebook: kind -> phrasings of a quoted caption {text}; the last is the probe's.
OPEN: dict[str, tuple[str, ...]] = {
    "at": ("What happens at {time}?", "What is going on at {time}?", "What happened at {time}?"),
    "span": (
        "What happens from {time} to {until}?",
        "Describe {time} to {until}.",
        "What happened between {time} and {until}?",
    ),
    "when": (
        'When does this happen: "{text}"?',
        'At what time can one see this: "{text}"?',
        'When did this happen: "{text}"?',
    ),
    "after": (
        'What happens right after this: "{text}"?',
        'What is next after "{text}"?',
        'What happened just after this: "{text}"?',
    ),
    "before": (
        'What happens right before this: "{text}"?',
        'What leads up to this: "{text}"?',
        'What happened just before this: "{text}"?',
    ),
    "count": ('How many times does this happen: "{text}"?', 'How often is this seen: "{text}"?'),
    "duration": ('How long does this last: "{text}"?', 'For how long is this seen: "{text}"?'),
    "order": (
        'Does this: "{text}" happen before this: "{other}"?',
        'Is it true that "{text}" comes earlier than "{other}"?',
    ),
    "ever": ('Does this happen: "{text}"?', 'Is this seen in the video: "{text}"?'),
    "opening": ("What happens first?", "How does the video begin?"),
    "closing": ("What happens last?", "How does the video end?"),
}


def ask_all(events: Sequence[Event], book: Phrasebook | None, seed: int, duration: float) -> list[Item]:
    """Every question about a timeline, those of the probe (form -1) among them; seeded, in a fixed order.

    duration: of the film, seconds.
    """
    rng = np.random.default_rng([seed, 41])
    if book is None:
        return list(_quoted(events, rng))
    film = Film(events, book, duration)
    facts = [*film.facts(rng), *composed(film, rng)]
    for number, moment in enumerate(np.arange(0.0, duration, TICK)):
        found = film.at(float(moment))
        if found and (number % PAUSES == 0 or "activity" in found[0].proof[0].fields):
            facts += found
    facts += [film.over(event, event.start, event.end) for event in film.deeds]
    facts = _listed(facts, rng)
    return [item for number, fact in enumerate(facts) for item in _worded(fact, number, book)]


def _listed(facts: Sequence[Fact], rng: np.random.Generator) -> list[Fact]:
    """The facts that are taught, in their order."""
    shares = np.array([1.0 if fact.kind in ALWAYS else LISTED for fact in facts])
    absent = np.array([fact.absent for fact in facts], bool)
    shares[absent] = [OFTEN if fact.kind == "ever" else 1.0 for fact in facts if fact.absent]
    room = max(ABSENT * shares[~absent].sum(), FEWEST)
    shares[absent] *= room / max(shares[absent].sum(), 1.0)
    return [fact for fact, taken in zip(facts, rng.random(len(facts)) < shares, strict=True) if taken]


def _worded(fact: Fact, number: int, book: Phrasebook) -> Iterator[Item]:
    """A fact in its phrasings, and once more for the probe."""
    phrasings = book.film[fact.kind]
    many = 1 if fact.absent else FORMS.get(fact.kind, 1)
    view = book.view(fact.kind, number, **fact.slots) if fact.shown and fact.proof else ""
    for turn in range(min(many, len(phrasings))):
        form = (number + turn) % len(phrasings)
        yield _item(fact, book.fill(phrasings[form], **fact.slots), form, view)
    yield _item(fact, book.fill(book.probe[fact.kind][0], **fact.slots), PROBE, view)


def _item(fact: Fact, question: str, form: int, view: str) -> Item:
    return Item(question, fact.answer, fact.kind, fact.spans, fact.id, form, view, fact.absent)


def split(items: Sequence[Item], most: int = PROBED, seed: int = 0) -> tuple[list[Item], list[Item]]:
    """What is learnt, and a probe of at most so many items in phrasings that are not learnt.

    The kinds take turns by their shares; of each, questions without an answer are at most a third.
    """
    learnt = [item for item in items if item.form != PROBE]
    rng = np.random.default_rng([seed, 43])
    kinds: dict[str, list[Item]] = defaultdict(list)
    for item in (held := [item for item in items if item.form == PROBE]):
        kinds[item.kind].append(item)
    if len(held) <= most:
        return learnt, held
    total = sum(SHARES.get(kind, 1) for kind in kinds)
    chosen: list[Item] = []
    for kind, mine in sorted(kinds.items()):
        room = max(1, most * SHARES.get(kind, 1) // total)
        there = [item for item in mine if not item.absent]
        gone = [item for item in mine if item.absent]
        lost = min(len(gone), room // 3 if there else room)
        for pool, count in ((there, room - lost), (gone, lost)):
            chosen += [pool[int(i)] for i in sorted(rng.permutation(len(pool))[:count])]
    return learnt, chosen[:most]


# -- without a phrasebook


def _quoted(events: Sequence[Event], rng: np.random.Generator) -> Iterator[Item]:
    """Questions that quote captions; the times of equal captions belong together."""
    table = sorted(events, key=lambda e: (e.start, e.end, e.text))
    alike: dict[str, list[Event]] = defaultdict(list)
    for event in table:
        alike[event.text].append(event)
    for text, same in alike.items():
        plain, spans = text.strip().rstrip(".?!"), tuple(e.span for e in same)
        yield from _forms("when", Item("", "", "when", spans), text=plain)
        yield from _forms("ever", Item("", "yes", "ever", spans[:1]), text=plain)
        yield from _forms("count", Item("", _times(len(same)), "count", spans[:1]), text=plain)
    for row, event in enumerate(table):
        middle = (event.start + event.end) / 2
        told = Item("", event.text, "at", (event.span,), view="What happens in these frames?")
        yield from _forms("at", told, time=_short(middle))
        over = replace(told, kind="span")
        yield from _forms("span", over, time=_short(event.start), until=_short(event.end))
        if len(alike[event.text]) > 1:
            continue
        plain = event.text.strip().rstrip(".?!")
        lasted = Item("", f"{max(1, round(event.span.length))} seconds", "duration", (event.span,))
        yield from _forms("duration", lasted, text=plain)
        for kind, other in (("before", row - 1), ("after", row + 1)):
            if 0 <= other < len(table):
                beside = table[other]
                yield from _forms(kind, Item("", beside.text, kind, (beside.span,)), text=plain)
        yield from _earlier(event, table, rng)
    for kind, event in (("opening", table[:1]), ("closing", table[-1:])):
        for only in event:
            yield from _forms(kind, Item("", only.text, kind, (only.span,)))


def _earlier(event: Event, table: Sequence[Event], rng: np.random.Generator) -> Iterator[Item]:
    """Is this before that? One yes and one no of every event that has others on both sides."""
    pools = {
        "yes": [e for e in table if e.start > event.end and e.text != event.text],
        "no": [e for e in table if e.end < event.start and e.text != event.text],
    }
    for answer, pool in pools.items():
        if not pool:
            continue
        other = pool[int(rng.integers(len(pool)))]
        proof = (event.span,) if answer == "yes" else ()
        texts = (e.text.strip().rstrip(".?!") for e in (event, other))
        yield from _forms(
            "order", Item("", answer, "order", proof), **dict(zip(("text", "other"), texts, strict=True))
        )


def _forms(kind: str, item: Item, **slots: str) -> Iterator[Item]:
    fact = "|".join((kind, *slots.values()))
    for form, phrasing in enumerate(OPEN[kind]):
        last = form + 1 == len(OPEN[kind])
        yield replace(item, question=_fill(phrasing, slots), fact=fact, form=PROBE if last else form)


def _fill(phrasing: str, slots: dict[str, str]) -> str:
    for name, value in slots.items():  # captions may hold braces of their own
        phrasing = phrasing.replace(f"{{{name}}}", value)
    return phrasing


def _times(count: int) -> str:
    return "once" if count == 1 else f"{count} times"


def _short(seconds: float) -> str:
    return clock(round(seconds)).split(".")[0]
