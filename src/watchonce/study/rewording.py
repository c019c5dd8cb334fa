"""One question in many words: in every way a model of few words was taught it; the replies vote.

A small adapter knows a fact better in the phrasings in which it has read it. A question of a known pattern is
put in every phrasing of its kind; one of an unknown pattern in those of the kind whose phrasings are nearest,
by words that tell kinds apart. The question itself is always among them. This file asks nobody.
"""

from __future__ import annotations

import functools
import math
import re
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass

from watchonce.contracts import Reply
from watchonce.study import times
from watchonce.study.phrasebook import Phrasebook
from watchonce.types import Span

MOST = 8  # wordings of a question, itself among them
FAR = 0.5  # of a question's own weight by which the nearest phrasing may differ
TELLING = 1.5  # weight from which on a word tells kinds apart
STRANGE = 0.25  # weight of a word that no phrasing has: politeness, mostly
# persons and tenses nobody means to tell apart
SAME = {"anyone": "someone", "anybody": "someone", "somebody": "someone", "person": "someone"}
SAME |= {"is": "was", "are": "were", "does": "did", "happens": "happened"}
TOKEN = re.compile(r"\{\w+\}|\w+")
CLOCK = r"\d{1,3}(?::\d{2}){1,2}"
SLOT = re.compile(r"\{(\w+?)(2?)\}")
NOTHING = re.compile(r"\bnot (found|in (the|this) video)\b", re.IGNORECASE)
KEYS = {"verb": "activity", "third": "activity", "past": "activity", "ing": "activity", "until": "time"}


@dataclass(frozen=True, slots=True)
class Form:
    """A phrasing without its particulars: how often each slot stands in it, and its words."""

    kind: str
    phrasing: str
    slots: tuple[str, ...]
    words: frozenset[str]


@functools.lru_cache(8)
def _forms(text: str) -> tuple[Phrasebook, tuple[Form, ...], dict[str, float], re.Pattern[str]]:
    """The phrasebook, its forms, the weight of every word, and a pattern of what may fill a slot."""
    book = Phrasebook.parse(text)
    forms = tuple(
        Form(kind, phrasing, *_taken_apart(SLOT.sub(_slot, phrasing.lower())))
        for kind, phrasings in book.film.items()
        for phrasing in phrasings
    )
    kinds: dict[str, set[str]] = defaultdict(set)
    for form in forms:
        for word in form.words:
            kinds[word].add(form.kind)
    weights = {word: 0.1 + math.log(len(book.film) / len(used)) for word, used in kinds.items()}
    deeds = sorted({w for verb, forms_ in book.activities.items() for w in (verb, *forms_)}, key=len)
    colours, categories, rooms = ("|".join(book.words[key]) for key in ("colour", "category", "room"))
    slots = (
        rf"\b(?:(?P<name>(?:{colours}) (?:{categories}))|(?P<time>{CLOCK})|minute (?P<minute>\d+)"
        rf"|(?P<room>{rooms})|(?P<activity>{'|'.join(reversed(deeds))})|(?P<colour>{colours})"
        rf"|(?P<category>{categories}))\b"
    )
    return book, forms, weights, re.compile(slots)


def _slot(found: re.Match[str]) -> str:
    return f"{{{KEYS.get(found[1], found[1])}}}"


def _taken_apart(skeleton: str) -> tuple[tuple[str, ...], frozenset[str]]:
    """Slots in a fixed order, and words, of a lower-case text whose particulars are slots."""
    tokens: list[str] = TOKEN.findall(skeleton)
    slots = tuple(sorted(t for t in tokens if t.startswith("{")))
    return slots, frozenset(SAME.get(t, t) for t in tokens if not t.startswith("{"))


def reword(question: str, phrasebook: str | None) -> tuple[str, ...]:
    """The question, and the same in the phrasings of its kind; the question alone where none is near.

    phrasebook: its text, as `VLM.phrasebook`; None for a model that reads any text.
    """
    if phrasebook is None:
        return (question,)
    book, forms, weights, pattern = _forms(phrasebook)
    said: dict[str, list[str]] = defaultdict(list)

    def take(found: re.Match[str]) -> str:
        key = str(found.lastgroup)
        said[key].append(found[key])
        return f"minute {{{key}}}" if key == "minute" else f"{{{key}}}"

    slots, words = _taken_apart(pattern.sub(take, question.lower()))
    kinds = [form for form in forms if form.slots == slots and _tells(words, form.kind, forms, weights)]
    near = [(_apart(words, form.words, weights), form.kind) for form in kinds]
    own = sum(weights.get(word, STRANGE) for word in words)
    if not near or min(near)[0] > FAR * own:
        return (question,)
    kind = min(near)[1]
    filled = _filled(said, book)
    others = [
        book.fill(form.phrasing, **filled) for form in forms if (form.kind, form.slots) == (kind, slots)
    ]
    return tuple(dict.fromkeys([question, *others]))[:MOST]


def _tells(words: frozenset[str], kind: str, forms: Sequence[Form], weights: dict[str, float]) -> bool:
    """Has the kind every word of a question that tells kinds apart? "How many" is not asked of "which"."""
    known = frozenset().union(*(form.words for form in forms if form.kind == kind))
    return not any(weights.get(word, 0.0) > TELLING for word in words - known)


def _apart(one: frozenset[str], other: frozenset[str], weights: dict[str, float]) -> float:
    return sum(weights.get(word, STRANGE) for word in one ^ other)


def _filled(said: dict[str, list[str]], book: Phrasebook) -> dict[str, str]:
    """Values of the slots of a phrasing, the second of a kind under its second name."""
    verbs = {word: verb for verb, forms in book.activities.items() for word in (verb, *forms)}
    values: dict[str, str] = {}
    for key, found in said.items():
        for place, value in enumerate(found[:2]):
            name = "until" if key == "time" and place else f"{key}{'2' if place else ''}"
            values[name] = verbs[value] if key == "activity" else value
    return values


def settle(replies: Sequence[Reply]) -> Reply:
    """The reply that the wordings of one question speak for: first whether there is an answer, then which.

    A reply counts as much as the model was sure of it. Those that find nothing are weighed against all others
    together, since one wrong answer is not like another; then replies of the same words count as one, and
    the surest of them stands. The first where the model tells no probabilities.
    """
    if any(reply.sure is None for reply in replies):
        return replies[0]
    said: dict[str, list[Reply]] = defaultdict(list)
    for reply in replies:
        words, spans = times.parse(reply.text)
        said["" if says_nothing(words, spans) else f"answer {words}"].append(reply)
    weight = {words: sum(reply.sure or 0.0 for reply in same) for words, same in said.items()}
    nothing = weight.pop("", 0.0)
    chosen = "" if nothing > sum(weight.values()) else max(weight, key=lambda words: weight[words])
    return max(said[chosen], key=lambda reply: reply.sure or 0.0)


def says_nothing(words: str, spans: Sequence[Span]) -> bool:
    """Whether a reply, parsed, says that the video has no answer."""
    return not (words or spans) or bool(NOTHING.search(words))
