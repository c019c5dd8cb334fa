"""What is asked and what is right, against the truth of the film."""

from typing import Any

import numpy as np
import pytest
import torch

from watchonce.ops.asking import cells_of
from watchonce.train.relational.asks import asks_of, clip_of, questions, targets
from watchonce.train.relational.bank import gather
from watchonce.types import Span
from watchonce.video.drawn.world import ACTIVITIES


def streams(count, seed=0):
    return [np.random.default_rng([seed, n]) for n in range(count)]


@pytest.mark.parametrize("kind", ["activity", "object", "time"])
def test_exactly_as_many_as_wanted_and_others_in_another_draw(films, kind):
    asks = asks_of(films[0], kind, 7, draw=1)
    assert len(asks) == 7
    assert {ask.kind for ask in asks} == {kind}
    same, other = asks_of(films[0], kind, 7, draw=1), asks_of(films[0], kind, 7, draw=2)
    assert [a.query for a in asks] == [a.query for a in same]
    assert [a.query for a in asks] != [a.query for a in other]


def test_activity_labels_are_what_is_done_in_the_window(films):
    for film in films:
        asks = asks_of(film, "activity", 6)
        asked = questions(asks, streams(6))
        right: Any = targets(asks, asked).labels
        for row, ask in enumerate(asks):
            window = ask.query.window
            done = {
                e.activity
                for e in film.truth.events
                if e.instance == ask.query.instance_id and window.start <= e.start and e.end <= window.end
            }
            assert {ACTIVITIES[n] for n in right[row].nonzero()[:, 0].tolist()} == done
            assert (asked.times[row] >= window.start).all()
            assert (asked.times[row] <= window.end).all()


def test_boxes_are_those_of_the_object_at_those_times(films):
    film = films[1]
    asks = asks_of(film, "object", 6)
    asked = questions(asks, streams(6), cells=10)
    right: Any = targets(asks, asked)
    for row, ask in enumerate(asks):
        for place in asked.there[row].nonzero()[:, 0].tolist():
            x1, y1, x2, y2 = film.truth.box_at(ask.query.instance_id, float(asked.times[row, place]))
            mine = right.boxes[row, place].tolist()
            assert mine == pytest.approx([(x1 + x2) / 2, (y1 + y2) / 2, x2 - x1, y2 - y1], abs=5e-3)
    assert torch.equal(right.has, asked.there)


@pytest.mark.parametrize("cells", [None, 20])
def test_time_targets_are_the_cells_of_the_edges(films, cells):
    asks = asks_of(films[2], "time", 6)
    asked = questions(asks, streams(6), cells=cells)
    right: Any = targets(asks, asked)
    for row, ask in enumerate(asks):
        grid = cells_of(ask.query.span)
        half = float(grid[0, 1] - grid[0, 0]) / 2
        assert asked.there[row].sum() == min(len(grid), cells or len(grid))
        for edge, share in (("start", right.start[row]), ("end", right.end[row])):
            assert share.sum() == pytest.approx(1.0)
            true = np.array([getattr(s, edge) for s in ask.query.segments])
            for place in share.nonzero()[:, 0].tolist():
                assert np.abs(true - float(asked.times[row, place])).min() <= half + 1e-3


def test_cells_tile_the_span_and_are_never_too_many():
    for span in (Span(0.0, 0.4), Span(10.0, 310.0), Span(3.5, 1803.5), Span(0.0, 1800.0)):
        cells = cells_of(span)
        assert 1 <= len(cells) <= 160
        assert float(cells[0, 0]) == pytest.approx(span.start)
        assert float(cells[-1, 1]) == pytest.approx(span.end)
        assert torch.equal(cells[1:, 0], cells[:-1, 1])


def test_match_labels_are_the_films(films):
    film = films[3]
    cells = film.acting.shape[1]
    frames = np.repeat(np.arange(0, 150, 5), cells)
    patches = np.tile(np.arange(cells), 30)
    for kind in ("activity", "time"):
        asks = asks_of(film, kind, 3)
        records = gather([film] * 3, [frames, frames[:100], frames], [patches, patches[:100], patches])
        right: Any = targets(asks, questions(asks, streams(3)), records)
        for row, ask in enumerate(asks):
            shows = film.shows(ask.query.instance_id)[frames, patches]
            acts = film.acting if kind == "activity" else film.acts[ask.activity]
            room = 100 if row == 1 else len(frames)
            assert np.array_equal(right.shows[row, :room].numpy(), shows[:room].astype(np.float32))
            assert np.array_equal(right.acts[row, :room].numpy(), acts[frames, patches][:room])
            assert right.shows[row, room:].isnan().all()
    asks = asks_of(film, "object", 3)
    right: Any = targets(asks, questions(asks, streams(3)), gather([film] * 3, [frames] * 3, [patches] * 3))
    assert right.shows is None
    assert right.acts is not None


def test_clips_lie_in_the_window_and_half_are_made_to_meet_the_answer(films):
    film = films[0]
    (ask,) = asks_of(film, "time", 1)
    answer = np.concatenate([film.during(s) for s in ask.query.segments])
    rng, met = np.random.default_rng(0), 0
    for _ in range(200):
        clip = clip_of(ask, 10, rng)
        assert len(clip) == 10
        assert (np.diff(clip) == 1).all()
        assert np.isin(clip, film.during(ask.query.window)).all()
        met += bool(np.isin(clip, answer).any())
    chance = np.mean([np.isin(np.arange(s, s + 10), answer).any() for s in range(141)])
    assert met / 200 == pytest.approx(0.5 + 0.5 * chance, abs=0.11)
    assert len(clip_of(ask, 400, rng)) == 150
