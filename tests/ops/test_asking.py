"""From queries to looks, and from outputs to answers that name their proof."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from watchonce.ops.asking import cells_of, evidence, looks_of, number, put, tell
from watchonce.ops.records import Outputs
from watchonce.types import BadInput, Query, Span, Tokens

NAMES = ("wash", "wipe", "cut")


def tokens_at(times: list[float]) -> Tokens:
    start = torch.tensor(times, dtype=torch.float64)
    half = torch.full((len(times),), 0.5)
    return Tokens(torch.zeros(len(times), 4), start, start + 1, half, half, torch.ones(len(times)))


def told(outputs: Outputs, kind: str, span: Span, tokens: Tokens, sure: float = 0.5):
    query = Query(activity=None if kind == "activity" else "cut", span=span)
    objects = None if kind == "object" else torch.zeros(1, 4, 4)
    return tell(outputs, 0, put(kind, [query], [span], objects, NAMES), tokens, span, NAMES, sure)


def test_cells_tile_the_span_a_second_each_until_there_are_too_many() -> None:
    short = cells_of(Span(10.5, 14.0))
    assert short.shape == (4, 2)
    assert torch.allclose(short[1:, 0], short[:-1, 1])
    assert (float(short[0, 0]), float(short[-1, 1])) == (10.5, 14.0)
    assert len(cells_of(Span(0.0, 1800.0))) == 160
    assert len(cells_of(Span(3.0, 3.0))) == 1


def test_looks_lie_inside_the_span_and_a_batch_is_padded() -> None:
    for kind in ("activity", "object", "time"):
        looks = looks_of(kind, Span(20.0, 26.0))
        assert 20.0 < float(looks.min()) <= float(looks.max()) < 26.0
    spans = [Span(0.0, 2.0), Span(0.0, 6.0)]
    asked = put("object", [Query(activity="cut")] * 2, spans, None, NAMES)
    assert asked.there.sum(1).tolist() == [10, 30]
    assert asked.activity is not None
    assert asked.activity.tolist() == [2, 2]
    with pytest.raises(BadInput, match=r"known: wash, wipe, cut"):
        number("fly", NAMES)


def test_evidence_joins_what_is_near_and_comes_best_first() -> None:
    tokens = tokens_at([1.0, 2.0, 50.0, 51.0, 90.0])
    spans = evidence(torch.tensor([0.1, 0.1, 0.4, 0.3, 0.1]), tokens)
    assert (spans[0].start, spans[0].end) == (50.0, 52.0)
    assert spans[0].score == pytest.approx(0.7)
    assert sum(s.score or 0 for s in spans) > 0.79
    assert evidence(torch.zeros(5), tokens) == ()


def test_activities_name_the_likeliest_and_those_likelier_than_not() -> None:
    weight = torch.tensor([[0.2, 0.8]])
    answer = told(
        Outputs(activity=torch.tensor([[-1.0, 2.0, 0.5]]), weight=weight),
        "activity",
        Span(0, 9),
        tokens_at([1.0, 5.0]),
    )
    assert answer.text == "wipe, cut"
    assert answer.evidence[0].start == 5.0
    unsure = told(
        Outputs(activity=torch.tensor([[-1.0, -2.0, -3.0]]), weight=weight),
        "activity",
        Span(0, 9),
        tokens_at([1.0, 5.0]),
    )
    assert [name for name, _ in unsure.activities] == ["wash"]


def test_boxes_are_corners_with_times_to_the_millisecond() -> None:
    boxes = torch.tensor([0.5, 0.5, 0.2, 0.4]).repeat(1, 5, 1)
    answer = told(
        Outputs(boxes=boxes, weight=torch.ones(1, 1)), "object", Span(101.0, 102.0), tokens_at([101.0])
    )
    assert [row[0] for row in answer.boxes] == [101.1, 101.3, 101.5, 101.7, 101.9]
    assert answer.boxes[0][1:] == pytest.approx((0.4, 0.3, 0.6, 0.7))


def edges(count: int, *at: tuple[int, float]) -> Tensor:
    logits = torch.full((1, count), -9.0)
    for place, height in at:
        logits[0, place] = height
    return logits


def test_when_is_the_best_span_and_rivals_that_do_not_touch_it() -> None:
    outputs = Outputs(
        start=edges(20, (3, 5.0), (14, 4.9)), end=edges(20, (6, 5.0), (17, 4.9)), weight=torch.ones(1, 2)
    )
    answer = told(outputs, "time", Span(100.0, 120.0), tokens_at([104.0, 115.0]))
    assert [(s.start, s.end) for s in answer.evidence] == [(103.0, 107.0), (114.0, 118.0)]
    assert answer.text == "00:01:43.000-00:01:47.000; 00:01:54.000-00:01:58.000"


def test_nothing_near_the_span_or_nothing_that_fits_is_not_found() -> None:
    outputs = Outputs(activity=torch.zeros(1, 3), weight=torch.ones(1, 1), shows=torch.zeros(1, 1))
    span = Span(0.0, 9.0)
    assert told(outputs, "activity", span, tokens_at([30.0])).not_found
    assert told(outputs, "activity", span, tokens_at([5.0]), sure=0.6).not_found
    assert not told(outputs, "activity", span, tokens_at([5.0]), sure=0.4).not_found
    both = Outputs(
        activity=torch.zeros(1, 3), weight=torch.ones(1, 1), shows=torch.zeros(1, 1), acts=torch.zeros(1, 1)
    )
    assert told(both, "activity", span, tokens_at([5.0]), sure=0.3).not_found  # .5 x .5
