"""Notes found by words, by meaning and by time."""

from __future__ import annotations

import math

import numpy as np
import pytest

from watchonce.ops.words import NoteIndex, asked_span, content_words
from watchonce.types import Note, Span

TEXTS = [
    "someone washes the red cup in the kitchen",
    "someone wipes the red cup in the kitchen",
    "nothing happens in the kitchen",
    "someone washes the blue cup in the garden",
    "someone paints the red box in the garage",
]
NOTES = [Note(text, 10.0 * i, 10.0 * i + 10) for i, text in enumerate(TEXTS)]


def test_the_note_with_every_word_comes_first_whatever_its_form() -> None:
    hits = NoteIndex(NOTES).search("When was the red cup being washed?", 3)
    assert hits[0].row == 0
    assert hits[0].cover == pytest.approx(1.0)
    assert {h.row for h in hits[1:]} <= {1, 3}
    assert hits[1].cover < 1.0


def test_a_word_of_no_note_weighs_as_much_as_the_others() -> None:
    index = NoteIndex(NOTES)
    best = index.search("when was the red elephant washed", 1)[0]
    # red, washed known; elephant not: at most two thirds of the question is covered
    assert best.cover == pytest.approx(2 / 3, abs=0.01)
    assert index.unknown(["red", "elephant"]) == ["elephant"]
    assert index.search("elephants giraffes", 5) == []


def test_only_the_asked_time_counts() -> None:
    index = NoteIndex(NOTES)
    assert [h.row for h in index.search("the red cup", 9, span=Span(10, 20))] == [1]
    assert [h.row for h in index.search("what happened?", 9, span=Span(15, 15))] == [1]
    assert all(h.note.start < 10 for h in index.search("red cup", 9, before=10.0))
    assert index.search("what happened?", 9) == []


def test_last_prefers_late_notes() -> None:
    notes = [Note("someone washes the red cup", 100.0 * i, 100.0 * i + 5) for i in range(20)]
    index = NoteIndex(notes)
    assert index.search("when was the red cup first washed", 3)[0].row == 0
    assert index.search("when was the red cup last washed", 3)[0].row == 19


def test_meaning_finds_what_words_do_not() -> None:
    vectors = np.eye(5, dtype=np.float32)
    hits = NoteIndex(NOTES, vectors).search("mug cleaning", 2, vector=vectors[3])
    assert hits[0].row == 3
    assert hits[0].cover == 0.0


def test_neighbours_are_those_that_start_before_and_after() -> None:
    index = NoteIndex(NOTES)
    assert sorted(index.around(2, 1)) == [1, 3]
    assert sorted(index.around(0, 2)) == [1, 2]
    assert index.around(2, 2, before=15.0) == [1, 0]


@pytest.mark.parametrize(
    ("text", "span"),
    [
        ("what happened at 12:30?", Span(750, 750)),
        ("what happened at 1:02:03.5", Span(3723.5, 3723.5)),
        ("between 1:00 and 2:00, what was cut?", Span(60, 120)),
        ("from 2:00 to 1:00", Span(60, 120)),
        ("what was cut after 5:00?", Span(300, math.inf)),
        ("what was cut before 5:00?", Span(0, 300)),
        ("what happened in minute 12?", Span(720, 780)),
    ],
)
def test_times_in_a_question_are_understood(text: str, span: Span) -> None:
    found, rest = asked_span(text)
    assert found == span
    assert ":" not in rest


def test_a_question_without_a_time_is_left_alone() -> None:
    assert asked_span("how many times was it cut?") == (None, "how many times was it cut?")


def test_form_words_are_not_searched() -> None:
    assert content_words("When was the Red cup washed, at 12:30?") == ["red", "cup", "washed"]


@pytest.mark.parametrize(
    "text", ['"', "a* OR b", "NEAR(", "column: x", "'; DROP TABLE note; --", "\x00", "ünï çödé"]
)
def test_no_question_breaks_the_search(text: str) -> None:
    NoteIndex(NOTES).search(text, 3)
