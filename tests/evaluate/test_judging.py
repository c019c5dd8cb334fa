"""The error in seconds, by hand."""

from __future__ import annotations

from tests.parts import tokens_for
from watchonce.bench import Case
from watchonce.bench.drawn import Drawn
from watchonce.evaluate.judging import citation, judge, reached
from watchonce.types import Answer, Note, Query, Recall, Span


def test_the_error_is_the_mean_of_both_ends_to_the_nearest_truth() -> None:
    found = citation([Span(12, 18)], [Span(100, 110), Span(10, 20)])
    assert found["error"] == 2.0
    assert found["iou"] == 0.6
    assert found["close"]
    assert found["touches"]


def test_only_the_best_span_counts() -> None:
    found = citation([Span(40, 50), Span(10, 20)], [Span(10, 20)])
    assert found["error"] == 30.0
    assert found["iou"] == 0.0
    assert found["close"] is False
    assert found["touches"] is False


def test_five_seconds_is_still_close() -> None:
    assert citation([Span(15, 25)], [Span(10, 20)])["close"] is True
    assert citation([Span(15.01, 25.01)], [Span(10, 20)])["close"] is False


def test_nothing_cited_or_nothing_to_cite_has_no_error() -> None:
    for cited, true in (([], [Span(1, 2)]), ([Span(1, 2)], []), ([], [])):
        assert set(citation(cited, true).values()) == {None}


def test_a_row_is_plain() -> None:
    case = Case(Query("where?"), "where", "kitchen", (Span(10, 20),))
    row = judge(Drawn(), case, Answer("kitchen", evidence=(Span(10, 21, 0.9),)))
    assert row["right"] is True
    assert row["evidence"] == [[10, 21, 0.9]]
    assert row["error"] == 0.5


def test_what_was_recalled_reaches_some_of_the_truth() -> None:
    true = [Span(10, 20), Span(40, 50)]
    assert reached(Recall(notes=(Note("x", 19, 30),)), true) == 0.5
    assert reached(Recall(notes=(Note("x", 20, 30),)), true) == 0.0  # spans are half-open
    assert reached(Recall(tokens=tokens_for([12.0, 49.9], 4)), true) == 1.0
    assert reached(Recall(), true) == 0.0
    assert reached(Recall(), []) is None
    assert reached(Recall(kv=object()), true) is None
