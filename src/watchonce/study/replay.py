"""Replay: questions with a clip in view that a model must go on answering as it did before it was taught.

A film has one house and one cast; what must not change is how any clip is read. So its clips are shown in
other colours and mirrored, cut anywhere, and asked in every way the phrasebook has for a clip, of what they
show as often as of something else. What the bare model says to them is not decided here (`rows.py`).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeVar

import numpy as np

from watchonce.contracts import VLM, Prompt
from watchonce.study.items import Corpus, Event
from watchonce.study.phrasebook import Phrasebook
from watchonce.study.rows import frames_of
from watchonce.types import FrameBatch, Span, Video

T = TypeVar("T")
SWAPS = ((0, 1, 2), (2, 0, 1), (1, 2, 0), (0, 2, 1))  # orders of red, green, blue
EACH = 2  # questions a clip
LENGTHS = (6.0, 10.0)  # seconds of a clip
AWAY = 6.0  # seconds by which its middle may miss that of an event
STRANGE = 0.2  # share of questions about a thing that may be nowhere in the film


def replay(video: Video, vlm: VLM, corpus: Corpus, count: int, seed: int) -> list[Prompt]:
    """`count` prompts, each with a clip in view; none of a film in which nothing was found."""
    rng, book = np.random.default_rng([seed, 77]), Phrasebook.of(vlm)
    deeds = [event for event in corpus.events if book is None or "activity" in event.fields]
    views = [item.view for item in corpus.items if item.view]
    prompts: list[Prompt] = []
    while deeds and len(prompts) < count and (book or views):
        shown = _one(rng, deeds)
        tokens = vlm.encode(altered(frames_of(video, vlm, _cut(shown.span, video.duration, rng)), rng))
        for _ in range(min(EACH, count - len(prompts))):
            about = shown if rng.random() < 0.5 else _one(rng, deeds)
            asked = _one(rng, views) if book is None else _question(about, book, rng)
            prompts.append(vlm.prompt(asked, tokens=tokens))
    return prompts


def _cut(span: Span, duration: float, rng: np.random.Generator) -> Span:
    """A stretch somewhere about the middle of another."""
    length = min(float(rng.uniform(*LENGTHS)), duration)
    start = (span.start + span.end - length) / 2 + float(rng.uniform(-AWAY, AWAY))
    start = min(max(0.0, start), duration - length)
    return Span(start, start + length)


def _question(about: Event, book: Phrasebook, rng: np.random.Generator) -> str:
    """Any question of a clip, about the deed and the thing of an event or about another thing."""
    fields = dict(about.fields)
    if rng.random() < STRANGE:
        fields |= {key: _one(rng, book.words[key]) for key in ("colour", "category")}
        fields["name"] = book.name.format(**fields)
    kind = _one(rng, tuple(book.clip))
    return book.fill(_one(rng, book.clip[kind]), **fields)


def _one(rng: np.random.Generator, options: Sequence[T]) -> T:
    return options[int(rng.integers(len(options)))]


def altered(frames: FrameBatch, rng: np.random.Generator) -> FrameBatch:
    """The same clip in another house: mirrored, its colours in another order, or both."""
    pixels = frames.pixels[:, list(SWAPS[int(rng.integers(len(SWAPS)))])]
    if rng.random() < 0.5:
        pixels = pixels[..., ::-1]
    return FrameBatch(np.ascontiguousarray(pixels), frames.start, frames.end)
