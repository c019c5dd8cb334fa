"""Scores of hand-made answers, and a prior that no other constant answer beats."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
import torch

from watchonce.bench.rest.drawn import drawn_film
from watchonce.bench.rest.queries import CELLS, RestFilm
from watchonce.bench.rest.scoring import MAIN, Prior, Said, score
from watchonce.types import BadInput, Span

from .test_queries import query

TUBE = ((10.0, 0.0, 0.0, 0.5, 0.5), (10.5, 0.0, 0.0, 0.5, 0.5), (11.0, 0.5, 0.5, 1.0, 1.0))


def tube(*boxes: tuple[float, ...]) -> Said:
    rows = torch.tensor(boxes)
    return Said(times=rows[:, 0], boxes=rows[:, 1:])


def test_activities() -> None:
    asked = query(labels=(0, 4))
    said = Said(scores=torch.tensor([0.9, 0.8, 0.7, 0.6, 0.5, 0.4, 0.3]))
    assert score(asked, said) == {"recall@1x": 0.5, "recall@3x": 1.0}
    assert score(asked, Said()) == {"recall@1x": 0.0, "recall@3x": 0.0}
    with pytest.raises(BadInput, match="activity 4 has no score"):
        score(asked, Said(scores=torch.ones(3)))


def test_a_tube_is_compared_at_the_times_of_the_truth() -> None:
    asked = query("object", boxes=TUBE)
    assert score(asked, tube(*TUBE)) == {"vIoU>0.3": 1.0, "vIoU>0.5": 1.0, "vIoU": 1.0}
    still = score(asked, tube(TUBE[0]))  # right on two of three frames
    assert still["vIoU"] == pytest.approx(2 / 3)
    assert score(asked, tube(TUBE[2])) == {"vIoU>0.3": 1.0, "vIoU>0.5": 0.0, "vIoU": pytest.approx(1 / 3)}
    assert score(asked, Said())["vIoU"] == 0.0


def test_as_many_spans_count_as_there_are_segments() -> None:
    asked = query("time", segments=(Span(10, 20), Span(50, 60)))
    right, wrong = [[10.0, 20.0], [52.0, 60.0]], [[0.0, 5.0], [90.0, 95.0]]

    def said(*spans: list[float]) -> dict[str, float]:
        return score(asked, Said(spans=torch.tensor(spans)))

    assert said(*right) == {"tIoU>0.3": 1.0, "tIoU>0.5": 1.0, "tIoU": pytest.approx(0.9)}
    assert said(right[0])["tIoU>0.3"] == 0.5
    assert said(right[0], wrong[0], right[1])["tIoU>0.3"] == 0.5  # the third comes too late
    assert said(right[0], [11.0, 19.0])["tIoU>0.3"] == 0.5  # one segment is matched once
    assert said(*wrong) == {"tIoU>0.3": 0.0, "tIoU>0.5": 0.0, "tIoU": 0.0}
    assert score(asked, Said())["tIoU"] == 0.0


@pytest.fixture(scope="module")
def films() -> list[RestFilm]:
    return [drawn_film(seed, "train", 900.0, each=8) for seed in range(3)]


def right(prior: Prior, films: list[RestFilm], kind: str, length: str) -> float:
    asked = [q for film in films for q in film.cell(kind, length)]
    return float(np.mean([score(q, prior.said(kind, length, q.span))[MAIN[kind]] for q in asked]))


def test_no_other_order_of_activities_beats_the_prior_where_one_is_right(films: list[RestFilm]) -> None:
    prior = Prior.of(films)
    singles = [q for film in films for q in film.cell("activity", "short") if len(q.labels) == 1]
    first = int(prior.order["short"].argmax())
    counts = np.bincount([label for f in films for q in f.cell("activity", "short") for label in q.labels])
    assert counts[first] == counts.max()
    assert singles


def test_the_constant_answers_are_the_best_of_many(films: list[RestFilm]) -> None:
    prior = Prior.of(films)
    rng = np.random.default_rng(0)
    for length in ("short", "long"):
        for kind in ("object", "time"):
            best = right(prior, films, kind, length)
            assert best > 0
            for _ in range(5):
                low = rng.uniform(0, 0.7, 2)
                box = torch.tensor([*low, *(low + 0.26)])
                place = (float(rng.uniform()), float(rng.uniform(5, 40)))
                other = Prior(prior.order, {length: box}, {length: place})
                assert right(other, films, kind, length) <= best


def test_a_prior_needs_every_kind(films: list[RestFilm]) -> None:
    few = tuple(q for q in films[0].queries if q.kind != "time")
    with pytest.raises(BadInput, match="every kind in every length"):
        Prior.of([RestFilm("a", "train", 900.0, films[0].activities, few)])


def test_drawn_films_fill_their_cells_evenly(films: list[RestFilm]) -> None:
    for kind, length in itertools.chain(CELLS):
        assert [len(film.cell(kind, length)) for film in films] == [8, 8, 8]
    assert drawn_film(0, "train", 900.0, each=8) == films[0]
    assert drawn_film(0, "train", 900.0, each=8, draw=1).queries != films[0].queries


def test_the_prior_of_activities_is_weak_on_other_films(films: list[RestFilm]) -> None:
    prior = Prior.of(films)
    others = [drawn_film(seed, "test", 900.0, each=8) for seed in range(3)]
    for length in ("short", "medium", "long"):
        assert right(prior, others, "activity", length) <= 0.25
