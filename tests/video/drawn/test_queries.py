"""Relational queries against a plain look through the events of the film."""

from __future__ import annotations

import json
from collections import Counter
from dataclasses import replace

import numpy as np
import pytest

from watchonce.types import BadInput, Span
from watchonce.video.drawn.queries import WINDOWS, Relation, relational
from watchonce.video.drawn.truth import Truth, truth_of
from watchonce.video.drawn.world import ACTIVITIES, make_world


@pytest.fixture(scope="module")
def truth() -> Truth:
    world = make_world(21, 2700.0)
    return truth_of(world, fps=5.0, variable=False, size=(96, 96), frames=13500, scale=1.0)


@pytest.fixture(scope="module")
def asked(truth: Truth) -> list[Relation]:
    return relational(truth, np.random.default_rng(0), 180)


def test_every_kind_and_length_is_asked_in_equal_shares(asked: list[Relation]) -> None:
    assert len(asked) == 180
    cells = Counter((r.kind, r.length) for r in asked)
    assert len(cells) == 9
    assert min(cells.values()) >= 10
    assert max(Counter(r.activity for r in asked if r.activity).values()) < 0.25 * len(asked)


def test_answers_are_all_and_only_what_happens_in_the_window(truth: Truth, asked: list[Relation]) -> None:
    for relation in asked:
        own = [e for e in truth.events if e.instance == relation.instance]
        inside = [e for e in own if e.start >= relation.window.start and e.end <= relation.window.end]
        touching = [e for e in own if e.start < relation.window.end and e.end > relation.window.start]
        assert inside == touching
        assert inside
        assert relation.window.length == pytest.approx(min(WINDOWS[relation.length], truth.duration))
        assert relation.window.start >= 0
        assert relation.window.end <= truth.duration + 1e-9
        if relation.kind == "activity":
            assert set(relation.labels) == {e.activity for e in inside}
            assert relation.activity is None
        if relation.kind == "time":
            expected = tuple(Span(e.start, e.end) for e in inside if e.activity == relation.activity)
            assert relation.segments == expected


def test_an_object_query_has_one_right_object_and_its_boxes(truth: Truth, asked: list[Relation]) -> None:
    for relation in [r for r in asked if r.kind == "object"]:
        (span,) = relation.segments
        doing = [
            e.instance
            for e in truth.events
            if e.activity == relation.activity and e.start < span.end and e.end > span.start
        ]
        assert doing == [relation.instance]
        assert len(relation.boxes) == pytest.approx(span.length / 0.2, abs=2)
        for time, *box in relation.boxes:
            assert span.start <= time < span.end
            assert tuple(box) == truth.box_at(relation.instance, time)


def test_the_reference_does_not_give_the_answer_away(truth: Truth, asked: list[Relation]) -> None:
    with_reference = [r for r in asked if r.reference is not None]
    assert len(with_reference) > 0.9 * len(asked)
    for relation in with_reference:
        assert relation.reference is not None
        time, _ = relation.reference
        assert not any(s.start <= time < s.end for s in relation.segments)
        assert not [e for e in truth.events if e.instance == relation.instance and e.start <= time < e.end]


def test_half_the_objects_are_used_otherwise_outside_the_window(truth: Truth) -> None:
    short = relational(truth, np.random.default_rng(1), 40, kinds=("activity",), lengths=("short",))
    other = [
        r for r in short if {e.activity for e in truth.events if e.instance == r.instance} - set(r.labels)
    ]
    assert len(other) >= len(short) / 2


def test_a_record_is_plain_json(asked: list[Relation]) -> None:
    for number, relation in enumerate(asked[:20]):
        row = json.loads(json.dumps(relation.record(f"q{number}", "film")))
        assert [ACTIVITIES[n] for n in row["labels"]] == list(relation.labels)
        assert row["n_gt"] == len(row["labels"] if row["kind"] == "activity" else row["segments"])
        assert row["window"] == [relation.window.start, relation.window.end]


def test_the_same_seed_asks_the_same(truth: Truth, asked: list[Relation]) -> None:
    assert relational(truth, np.random.default_rng(0), 180) == asked
    assert relational(truth, np.random.default_rng(1), 180) != asked


def test_nothing_to_ask_and_bad_kinds(truth: Truth) -> None:
    assert relational(replace(truth, events=()), np.random.default_rng(0), 10) == []
    with pytest.raises(BadInput, match="'place' is none of activity, object, time"):
        relational(truth, np.random.default_rng(0), 10, kinds=("place",))
    with pytest.raises(BadInput, match="'epic' is none of short, medium, long"):
        relational(truth, np.random.default_rng(0), 10, lengths=("epic",))
