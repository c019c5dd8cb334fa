"""The baseline is taught on what its clips show, and on that alone."""

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch

from tests.train.relational.conftest import STUDY
from watchonce.engine.fit import Plan, fit
from watchonce.methods.long_vmnet import preset
from watchonce.methods.tubedetr import TubeDETR
from watchonce.train.relational.asks import asks_of, questions
from watchonce.train.relational.clips import ClipCourse, cut, edges, frames_of
from watchonce.types import Span
from watchonce.video.drawn.world import ACTIVITIES


def network():
    torch.manual_seed(0)
    return TubeDETR(preset("unit", ACTIVITIES, features=128, grid=(4, 4)))


def test_activity_labels_are_those_of_the_clip(films):
    film, rng = films[0], np.random.default_rng(0)
    seen = set()
    for ask in asks_of(film, "activity", 6):
        for _ in range(10):
            frames = frames_of(ask, 12, rng)
            short = cut(ask, frames)
            span = Span(float(frames[0]), float(frames[-1]) + 1)
            done = {
                e.activity
                for e in film.truth.events
                if e.instance == ask.query.instance_id and span.overlap(Span(e.start, e.end)) > 0
            }
            assert {ACTIVITIES[n] for n in short.query.labels} == done
            assert short.query.window == span
            seen.add(len(done))
    assert {0, 1} <= seen


def test_an_object_clip_meets_its_segment_and_keeps_the_boxes_inside(films):
    rng = np.random.default_rng(0)
    for film in films:
        for ask in asks_of(film, "object", 4):
            frames = frames_of(ask, 8, rng)
            assert np.isin(frames, film.during(ask.query.span)).any()
            short = cut(ask, frames)
            assert short.query.boxes
            assert all(frames[0] <= row[0] < frames[-1] + 1 for row in short.query.boxes)


def test_time_edges_are_the_frames_on_view(films):
    asks = asks_of(films[1], "time", 4)
    rng = np.random.default_rng(3)
    frames = [frames_of(ask, 20, rng) for ask in asks]
    right: Any
    asked, right = edges(asks, frames, questions(asks, [rng] * 4))
    for row, ask in enumerate(asks):
        assert (np.diff(frames[row]) > 0).all()
        assert asked.times[row, asked.there[row]].tolist() == frames[row].tolist()
        segment = ask.query.segments[0]
        before = [place for place, frame in enumerate(frames[row]) if frame <= segment.start] or [0]
        assert right.start[row, before[-1]] > 0
        assert float(right.start[row].sum()) == pytest.approx(1.0)
        assert float(right.end[row].sum()) == pytest.approx(1.0)


def test_it_learns_clips_by_heart(films):
    study = replace(STUDY, clip=10, batch=4, each=4, kinds=("activity",))
    course = ClipCourse(network(), films, study)
    history = fit(course, course.watch, Plan(steps=50, rate=5e-3, warm_up=5, weights={"match": 0.5}))
    assert np.mean(history[-8:]) < 0.75 * np.mean(history[:4])


@pytest.mark.parametrize("kind", ["object", "time"])
def test_losses_of_the_other_kinds_have_gradients(films, kind):
    course = ClipCourse(network(), films, replace(STUDY, clip=10, kinds=(kind,)))
    losses = course.watch(0, np.random.default_rng(0))
    assert set(losses) == {kind, "match"}
    torch.stack(list(losses.values())).sum().backward()
    assert any(p.grad is not None and float(p.grad.abs().sum()) > 0 for p in course.parameters())
