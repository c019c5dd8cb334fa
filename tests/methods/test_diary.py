"""diary: sentences that touch are one note, and the times are right."""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise
from typing import Any, cast

import numpy as np
import pytest

from tests.parts import Eye
from watchonce.contracts import VLM, Bodies, Budget, TextEmbedder
from watchonce.methods.diary import Diary
from watchonce.types import FrameBatch, Note, Query, Span


def film(colours: list[int], rate: float = 1.0, offset: float = 0.0) -> FrameBatch:
    """One frame a tick, each of one primary colour (0 red, 1 green, 2 blue), shown for 0.2 s."""
    pixels = np.zeros((len(colours), 3, 8, 8), np.uint8)
    pixels[np.arange(len(colours)), colours] = 200
    start = offset + np.arange(len(colours)) / rate
    return FrameBatch(pixels, start, start + 0.2)


def watched(frames: FrameBatch, window: float = 64.0, budget: Budget | None = None, **options: Any) -> Diary:
    eye = Eye()
    diary = Diary(**options)
    diary.bind(Bodies(vlm=cast(VLM, eye)))
    edges = np.arange(0, frames.end[-1] + window, window)
    for low, high in pairwise(edges):
        part = frames[(frames.start >= low) & (frames.start < high)]
        diary.write(part, eye.encode(part) if len(part) else None, budget or Budget())
    diary.finish(budget or Budget())
    return diary


def captions(diary: Diary) -> list[tuple[str, float, float]]:
    notes = [n for n in diary.state().notes if n.source == "caption" and n.text != "Quiet."]
    return [(n.text, n.start, n.end) for n in notes]


COLOURS = [0] * 40 + [2] * 40 + [1] * 24


@pytest.mark.parametrize("window", [8.0, 20.0, 64.0, 500.0])
def test_equal_sentences_that_touch_are_one_note_whatever_the_windows(window: float) -> None:
    # red 0-40, blue 40-80, green 80-104 s; looks of 8 s every 4 s may be one stride off at a change
    found = captions(watched(film(COLOURS), window))
    assert [text for text, _, _ in found] == ["Mostly red.", "Mostly blue.", "Mostly green."]
    for (_, start, end), (low, high) in zip(found, [(0, 40), (40, 80), (80, 104)], strict=True):
        assert abs(start - low) <= 4
        assert abs(end - high) <= 4
    assert found == captions(watched(film(COLOURS)))


def test_a_sentence_of_its_own_is_a_note_of_its_own() -> None:
    notes = [n for n in watched(film(COLOURS)).state().notes if n.text == "Quiet."]
    assert [(n.start, n.end) for n in notes] == [(0.0, pytest.approx(103.2))]


def test_one_missing_look_does_not_split_a_note() -> None:
    colours = [0] * 40
    colours[18:22] = [2] * 4  # four seconds: one look of eight may turn
    reds = [row for row in captions(watched(film(colours))) if "red" in row[0]]
    assert len(reds) == 1
    assert reds[0][1] == 0.0


def test_a_long_gap_does_split_it() -> None:
    frames = FrameBatch.cat([film([0] * 20), film([0] * 20, offset=60.0)])
    found = captions(watched(frames))
    assert [(round(s), round(e)) for _, s, e in found] == [(0, 19), (60, 79)]


@pytest.mark.parametrize("rate", [0.2, 0.5, 5.0])
def test_any_rate_is_looked_at(rate: float) -> None:
    found = captions(watched(film([1] * int(60 * rate), rate)))
    assert [text for text, _, _ in found] == ["Mostly green."]
    assert found[0][2] >= 50


def test_the_cap_keeps_the_surest_notes() -> None:
    diary = watched(film(COLOURS), budget=Budget(memory=3))
    assert len(diary.state().notes) == 3


def ask(diary: Diary, text: str, **fields: Any) -> list[Note]:
    return list(diary.read(Query(text, **fields)).notes)


def told(notes: list[tuple[str, float]]) -> Diary:
    diary = Diary(recall=4)
    diary.add_notes([Note(text, start, start + 10, "subtitle") for text, start in notes])
    diary.finish(Budget())
    return diary


STORY = told(
    [("the cat sleeps", 0), ("the dog barks", 20), ("a bell rings", 40), ("the dog eats", 60), ("rain", 80)]
)


def test_notes_near_the_best_fit_come_back_in_time_order() -> None:
    notes = ask(STORY, "when does the dog eat?")
    assert [(n.text, n.score) for n in notes] == [("the dog eats", 1.0)]
    both = ask(STORY, "the dog")
    assert [n.text for n in both] == ["the dog barks", "the dog eats"]
    wide = told([(n.text, n.start) for n in STORY.state().notes])
    wide.margin = 0.0
    notes = ask(wide, "when does the dog eat?")
    assert [n.text for n in notes] == ["the dog barks", "the dog eats"]
    assert (notes[0].score or 0) < (notes[1].score or 0) == 1.0


def test_questions_of_order_bring_the_neighbours() -> None:
    texts = [n.text for n in ask(STORY, "what happened before the bell rings?")]
    assert texts == ["the cat sleeps", "the dog barks", "a bell rings", "the dog eats"]


def test_a_time_in_the_question_is_a_filter() -> None:
    assert [n.text for n in ask(STORY, "what happened at 0:42?")] == ["a bell rings"]
    assert [n.text for n in ask(STORY, "what did the dog do after 0:50?")] == ["the dog eats"]
    assert [n.text for n in ask(STORY, "the dog", span=Span(0, 30))] == ["the dog barks"]
    assert [n.text for n in ask(STORY, "the dog", before=30.0)] == ["the dog barks"]


def test_scenes_are_searched_only_where_nothing_was_described() -> None:
    plain = Diary()
    plain.write(film([0] * 30), None, Budget())
    plain.finish(Budget())
    assert ask(plain, "a red scene")[0].source == "scene"
    described = watched(film([0] * 30))
    assert any(n.source == "scene" for n in described.state().notes)
    assert {n.source for n in ask(described, "mostly red scene")} == {"caption"}


class Letters:
    """Texts as counts of letters: enough meaning for 'dogs' to be near 'dog'."""

    name = "letters"

    def embed(self, texts: list[str]) -> np.ndarray:
        rows = np.array(
            [[t.lower().count(c) for c in "abcdefghijklmnopqrstuvwxyz"] for t in texts], np.float32
        )
        return rows / np.maximum(1e-6, np.linalg.norm(rows, axis=1, keepdims=True))


def test_meaning_finds_what_no_word_does_and_is_kept_in_the_state() -> None:
    bodies = Bodies(text=cast(TextEmbedder, Letters()))
    diary = Diary(recall=1)
    diary.bind(bodies)
    diary.add_notes([replace(n, source="subtitle") for n in STORY.state().notes])
    diary.finish(Budget())
    again = Diary(recall=1)
    again.bind(bodies)
    again.restore(diary.state())
    assert [n.text for n in ask(again, "gbodthe karss")] == ["the dog barks"]


def test_a_model_of_few_words_must_say_a_thing_twice() -> None:
    class FewWords(Eye):
        words = frozenset({"mostly", "red"})  # type: ignore[assignment]

    blink = film([0] * 40 + [2] * 5 + [0] * 40)  # five seconds of blue: the centre of one look only
    for body, seen in ((Eye(), True), (FewWords(), False)):
        diary = Diary()
        diary.bind(Bodies(vlm=cast(VLM, body)))
        diary.write(blink, body.encode(blink), Budget())
        diary.finish(Budget())
        assert any("blue" in text for text, _, _ in captions(diary)) == seen
