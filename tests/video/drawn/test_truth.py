"""The truth beside a film: it comes back as it was written, its boxes fit at any time, damage is named."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from watchonce.types import BadInput, Span
from watchonce.video.drawn.needles import needle_box
from watchonce.video.drawn.paint import Painter
from watchonce.video.drawn.questions import film_questions
from watchonce.video.drawn.truth import Truth, load_truth, to_json, truth_of
from watchonce.video.drawn.world import ACTIVITIES, ORDERED, make_world

WORLD = make_world(9, 900.0, needles=4)


def written(tmp_path: Path, scale: float = 1.0) -> Path:
    asked = film_questions(WORLD, np.random.default_rng(0), 40)
    size = (round(96 * scale), round(96 * scale))
    truth = truth_of(WORLD, fps=5.0, variable=False, size=size, frames=4500, scale=scale, questions=asked)
    path = tmp_path / "film.json"
    path.write_text(to_json(truth))
    return path


@pytest.fixture(scope="module")
def truth(tmp_path_factory: pytest.TempPathFactory) -> Truth:
    return load_truth(written(tmp_path_factory.mktemp("truth")))


def test_the_truth_comes_back_as_it_was(truth: Truth, tmp_path: Path) -> None:
    assert truth.events == WORLD.events
    assert truth.visits == WORLD.visits
    assert truth.instances == WORLD.instances
    assert truth.needles == WORLD.needles
    assert (truth.seed, truth.split, truth.duration, truth.frames) == (9, "test", 900.0, 4500)
    assert truth.questions == tuple(film_questions(WORLD, np.random.default_rng(0), 40))
    path = written(tmp_path)
    assert to_json(load_truth(path)) == path.read_text()


def test_the_json_reads_by_itself(tmp_path: Path) -> None:
    data = json.loads(written(tmp_path).read_text())
    assert data["schema"] == 1
    assert data["activities"] == list(ACTIVITIES)
    first = data["events"][0]
    name = data["instances"][first["instance"]]["name"]
    assert name in first["text"]
    assert first["room"] in first["text"]
    assert first["text"].startswith("someone ")
    for needle, source in zip(data["needles"], WORLD.needles, strict=True):
        assert needle["box"] == pytest.approx(needle_box(source), abs=1e-5)


@pytest.mark.parametrize("scale", [1.0, 2.0])
def test_boxes_between_knots_are_right_to_a_pixel(tmp_path: Path, scale: float) -> None:
    truth = load_truth(written(tmp_path, scale))
    painter = Painter(WORLD, round(96 * scale))
    jumps = [t for e in WORLD.events if e.activity in ORDERED for t in (e.start, e.end, e.end - 1e-3)]
    # the grid of the film, an odd grid, and both sides of every jump
    times = np.concatenate([np.arange(0, 900, 0.6), np.arange(0.0371, 900, 1.7), jumps])
    worst = 0.0
    for time in times[times < 900]:
        shown = painter.boxes(time)
        for instance in truth.instances:
            box = truth.box_at(instance.id, float(time))
            assert (box is None) == (instance.id not in shown)
            if box is not None:
                worst = max(worst, float(np.abs(np.array(box) - shown[instance.id]).max()))
    assert worst * 96 * scale <= 1.01


def test_box_at_knows_what_is_not_on_view(truth: Truth) -> None:
    number, visit = 0, truth.visits[0]
    shown = {spot.instance for spot in WORLD.placements[number]}
    hidden = next(i.id for i in truth.instances if i.id not in shown)
    assert truth.box_at(hidden, visit.start) is None
    assert truth.box_at(hidden, -5.0) is None
    assert truth.box_at(min(shown), truth.duration) is None
    with pytest.raises(BadInput, match="got 99"):
        truth.box_at(99, 0.0)


def test_relational_material_can_be_derived(truth: Truth) -> None:
    """Of activity, object and time any two give the third; a crop of the object need not tell."""
    found = 0
    for event in truth.events:
        spans = truth.segments(event.activity, event.instance)
        assert Span(event.start, event.end) in spans
        assert len(spans) == sum(
            e.activity == event.activity and e.instance == event.instance for e in truth.events
        )
        reference = truth.reference(event.instance, spans)
        if reference is not None:
            time, box = reference
            assert all(not span.start <= time < span.end for span in spans)
            assert not [e for e in WORLD.events_at(time) if e.instance == event.instance]
            assert box == truth.box_at(event.instance, time)
            found += 1
        middle = truth.box_at(event.instance, (event.start + event.end) / 2)
        assert middle is not None
    assert found > 0.9 * len(truth.events)
    assert truth.segments("wash", 0) == tuple(
        Span(e.start, e.end) for e in truth.events if (e.activity, e.instance) == ("wash", 0)
    )
    everything = [Span(0.0, truth.duration)]
    assert truth.reference(0, everything) is None


def test_questions_have_evidence_inside_the_film(truth: Truth) -> None:
    assert len(truth.questions) == 40
    for asked in truth.questions:
        assert asked.question
        assert asked.answer
        assert not asked.choices or asked.answer in asked.choices
        assert all(0 <= span.start < span.end <= truth.duration for span in asked.evidence)


def test_the_film_or_its_truth_may_be_named(tmp_path: Path) -> None:
    path = written(tmp_path)
    assert load_truth(tmp_path / "film.mp4").events == load_truth(str(path)).events
    with pytest.raises(BadInput, match=r"other\.json is missing: no truth"):
        load_truth(tmp_path / "other.mp4")


def drop(name: str) -> Callable[[dict[str, Any]], None]:
    return lambda data: data.pop(name)


def swap_events(data: dict[str, Any]) -> None:
    data["events"].reverse()


def twins(data: dict[str, Any]) -> None:
    first, second = data["instances"][:2]
    first.update(colour=second["colour"], category=second["category"])


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (drop("events"), "misses 'events'"),
        (drop("generator"), "not the truth of a"),
        (lambda d: d.update(schema=2), "schema 1"),
        (swap_events, "not in order"),
        (lambda d: d["events"][0].update(instance=77), "event 0 has an unknown instance"),
        (lambda d: d["events"][-1].update(end=5000.0), "lies outside the film"),
        (lambda d: d["events"][0].pop("start"), "start"),
        (lambda d: d["visits"].pop(1), "do not tile"),
        (lambda d: d["tracks"][0].update(boxes=[]), "no knots"),
        (lambda d: d["tracks"][0].update(boxes=[[1, 2]]), "reshape"),
        (twins, "share a name"),
        (lambda d: d["instances"][0].pop("favourites"), "misses 'favourites'"),
    ],
)  # fmt: skip
def test_damage_is_named_in_one_line(tmp_path: Path, change: Callable, words: str) -> None:
    path = written(tmp_path)
    data = json.loads(path.read_text())
    change(data)
    path.write_text(json.dumps(data))
    with pytest.raises(BadInput, match=words) as caught:
        load_truth(path)
    assert "\n" not in str(caught.value)
    assert "draw the film again" in str(caught.value)


def test_what_is_not_json_is_said_to_be_so(tmp_path: Path) -> None:
    path = tmp_path / "film.json"
    for junk in (b"", b"{", b"\xff\xfe\x00", b"[1, 2]"):
        path.write_bytes(junk)
        with pytest.raises(BadInput, match="draw the film again"):
            load_truth(path)
