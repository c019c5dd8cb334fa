"""The benchmark on a real drawn film: questions with pictures, truth that is right, a prior that is blind."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from watchonce.bench import Case, Film
from watchonce.bench.rest import Rest
from watchonce.bench.rest.asking import RestCase, as_answer, pictures, said_of
from watchonce.bench.rest.drawn import film_of
from watchonce.bench.rest.queries import RestFilm, save
from watchonce.bench.rest.scoring import Said
from watchonce.discovery import find_benchmark
from watchonce.types import Answer, BadInput, Query, Span
from watchonce.video.drawn.paint import Painter
from watchonce.video.drawn.truth import load_truth
from watchonce.video.drawn.world import ACTIVITIES, make_world


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("films")


@pytest.fixture(scope="module")
def film(folder: Path) -> Film:
    return next(Rest(minutes=6, questions=27).films("test", (5,), folder))


def cases(film: Film, kind: str) -> list[RestCase]:
    found = [c for c in film.cases if isinstance(c, RestCase) and c.asked.kind == kind]
    assert found
    return found


def truth_told(case: RestCase) -> Answer:
    query = case.asked
    if query.kind == "activity":
        return Answer("", activities=((case.right[0], 0.9), ("juggle", 0.8)))
    if query.kind == "object":
        return Answer("", boxes=query.boxes)
    return Answer("", evidence=query.segments)


def test_it_is_found_by_name() -> None:
    assert find_benchmark("rest") is Rest


def test_the_truth_is_right_and_silence_or_another_cases_truth_is_not(film: Film) -> None:
    for kind in ("activity", "object", "time"):
        for case in cases(film, kind):
            assert Rest().correct(case, truth_told(case))
            assert not Rest().correct(case, Answer("", not_found=True))
    one = cases(film, "activity")[0]
    assert not Rest().correct(one, Answer("", activities=(("juggle", 0.9), (one.right[0], 0.8))))
    assert Rest().correct(one, Answer(one.right[0]))
    for kind in ("object", "time"):
        one = cases(film, kind)[0]
        other = next(c for c in cases(film, kind) if c.evidence[0].overlap(one.evidence[0]) == 0)
        far = Answer(
            "", evidence=other.asked.segments, boxes=((one.evidence[0].start, 0.0, 0.0, 0.02, 0.02),)
        )
        assert not Rest().correct(one, far)
    with pytest.raises(BadInput, match="another benchmark"):
        Rest().correct(Case(Query("?"), "what", "x", ()), Answer("x"))


def test_two_are_given_and_the_third_is_asked(film: Film) -> None:
    for case in film.cases:
        assert isinstance(case, RestCase)
        query = case.query
        assert query.asks == case.asked.kind == case.kind.split()[0]
        assert query.span == case.asked.span
        assert query.text.endswith("?")
        if case.asked.kind == "object":
            assert query.image is None
        else:
            assert query.image is not None
            assert query.image.dtype == np.uint8
        if case.asked.kind != "activity":
            assert query.activity == case.right[0]


def test_a_crop_shows_the_object_that_is_meant(film: Film) -> None:
    """Of the world painted at that time, the crop is nearer to the object than to anything else on view."""
    painter = Painter(make_world(5, 360.0))
    for case in cases(film, "activity"):
        sight, image = case.asked.ref, case.query.image
        assert sight is not None
        assert image is not None
        frame = painter.draw(np.array([sight.time]))[0].transpose(2, 0, 1)
        own = painter.boxes(sight.time)[case.asked.instance_id]
        assert own == pytest.approx(sight.box, abs=0.02)
        high, wide = image.shape[1:]
        far = {}
        for top in range(0, 96 - high, 2):
            for left in range(0, 96 - wide, 2):
                part = frame[:, top : top + high, left : left + wide].astype(int)
                far[left, top] = np.abs(part - image).mean()
        left, top = min(far, key=lambda place: far[place])
        assert left / 96 == pytest.approx(max(0.0, own[0] - 0.1 * (own[2] - own[0])), abs=0.03)
        assert top / 96 == pytest.approx(max(0.0, own[1] - 0.1 * (own[3] - own[1])), abs=0.03)


def test_the_prior_looks_at_no_film(film: Film, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("watchonce.bench.rest.TRAIN_FILMS", 4)
    rest = Rest(minutes=6, questions=27)
    said = [rest.prior(case.query) for case in film.cases]
    assert [rest.prior(case.query) for case in film.cases] == said
    by_kind = {kind: said[film.cases.index(cases(film, kind)[0])] for kind in ("activity", "object", "time")}
    assert {name for name, _ in by_kind["activity"].activities} == set(ACTIVITIES)
    assert len(by_kind["object"].boxes) == 1
    assert len(by_kind["time"].evidence) == 1
    with pytest.raises(BadInput, match="two of activity, image and span"):
        rest.prior(Query("what?"))


def test_answers_and_what_is_scored() -> None:
    named = as_answer("activity", Said(scores=torch.tensor([0.1, 0.7, 0.2])), ("a", "b", "c"))
    assert [name for name, _ in named.activities] == ["b", "c", "a"]
    boxes = torch.tensor([[0.0, 0.0, 0.5, 0.5], [0.25, 0.25, 0.5, 0.5]], dtype=torch.float64)
    told = said_of(as_answer("object", Said(times=torch.tensor([2.0, 1.0]).double(), boxes=boxes), ()))
    assert told.times is not None
    assert told.boxes is not None
    assert told.times.tolist() == [1.0, 2.0]
    assert told.boxes[1].tolist() == boxes[0].tolist()
    assert as_answer("time", Said(spans=torch.zeros(0, 3)), ()).not_found
    assert as_answer("time", Said(spans=torch.tensor([[1.0, 2.0, -1.0]])), ()).evidence == (Span(1.0, 2.0),)
    with pytest.raises(BadInput, match="nothing was said"):
        as_answer("time", Said(), ())


def test_films_of_ones_own(film: Film, folder: Path, tmp_path: Path) -> None:
    own = film_of(load_truth(film.path), 1)
    save([own, RestFilm("train-1", "train", 9.0, own.activities, ())], tmp_path / "own.jsonl")
    rest = Rest(queries=str(tmp_path / "own.jsonl"), videos=str(folder))
    (again,) = rest.films("test", (1,), tmp_path)
    assert again.path == film.path
    assert [c.query.span for c in again.cases] == [q.span for q in own.queries]
    with pytest.raises(BadInput, match="has test films 1 to 1, got seed 2"):
        list(rest.films("test", (2,), tmp_path))
    with pytest.raises(BadInput, match=r"has no video train-1\.mp4"):
        list(rest.films("train", (1,), tmp_path))
    with pytest.raises(BadInput, match="go together"):
        Rest(queries="x.jsonl")


def test_a_video_that_is_too_short_is_told(film: Film) -> None:
    late = film_of(load_truth(film.path), 1)
    query = next(q for q in late.queries if q.ref is not None)
    assert query.ref is not None
    asked = replace(query, ref=replace(query.ref, time=9000.0))
    with pytest.raises(BadInput, match="has no frame at 9000 s"):
        pictures(film.path, RestFilm(late.video_id, "test", 360.0, late.activities, (asked,)))


@pytest.mark.parametrize(
    ("options", "words"),
    [({"questions": 8}, "9 or more"), ({"minutes": 0.5}, "1 to 2880")],
)
def test_options_out_of_range(options: dict[str, float], words: str) -> None:
    with pytest.raises(BadInput, match=words):
        Rest(**options)  # type: ignore[arg-type]
