"""Time rides with the data and is checked at birth."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch

from tests.parts import frames_for, tokens_for
from watchonce.contracts import Budget
from watchonce.types import BadInput, Coverage, FrameBatch, Note, Query, Span, Tokens


def test_a_batch_with_wrong_times_is_not_born() -> None:
    pixels = np.zeros((2, 3, 4, 4), np.uint8)
    zero_one, ends = np.array([0.0, 1.0]), np.array([1.0, 2.0])
    FrameBatch(pixels, zero_one, ends)
    for start, end in [
        (np.array([0.0]), ends),
        (zero_one[::-1], ends),
        (np.zeros(2), ends),
        (ends, zero_one),
    ]:
        with pytest.raises(BadInput):
            FrameBatch(pixels, start, end)
    for wrong in (pixels.astype(np.float32), pixels[:, 0], pixels.transpose(0, 2, 3, 1)):
        with pytest.raises(BadInput, match="uint8"):
            FrameBatch(wrong, zero_one, ends)


@pytest.mark.parametrize("index", [0, -1, slice(1, 3), [0, 2], np.array([True, False, True, False])])
def test_slicing_keeps_pixels_and_times_together(index: Any) -> None:
    frames = frames_for([0.0, 0.5, 2.0, 7.0])
    part = frames[index]
    picked = np.atleast_1d(np.arange(4)[index])
    assert (part.start == frames.start[picked]).all()
    assert (part.pixels == frames.pixels[picked]).all()


def test_cat_joins_and_refuses_what_goes_back_in_time() -> None:
    one, two = frames_for([0.0, 1.0]), frames_for([2.0])
    assert len(FrameBatch.cat([one, FrameBatch.empty(), two])) == 3
    with pytest.raises(BadInput, match="increase"):
        FrameBatch.cat([two, one])
    assert len(FrameBatch.cat([])) == 0
    assert FrameBatch.empty().span == Span(0, 0)


def test_tokens_stay_together() -> None:
    tokens = tokens_for([0.0, 1.0, 2.0], 4)
    some = tokens[tokens.start > 0.5]
    assert len(some) == 8
    assert float(some.start.min()) == 1.0
    assert len(tokens[-1]) == 1
    assert torch.equal(Tokens.cat([tokens[:4], tokens[4:]]).data, tokens.data)
    assert Tokens(**tokens.state()).data is not None
    with pytest.raises(BadInput, match="12 tokens need 12 values of x"):
        Tokens(tokens.data, tokens.start, tokens.end, tokens.y, tokens.x[:3], tokens.size)
    half = tokens.to(torch.float16)
    assert half.data.dtype == torch.float16
    assert half.start.dtype == torch.float64


def test_spans() -> None:
    assert Span(0, 10).overlap(Span(5, 20)) == 5
    assert Span(0, 10).iou(Span(5, 15)) == pytest.approx(1 / 3)
    assert Span(3, 3).iou(Span(3, 3)) == 0
    with pytest.raises(BadInput, match="must end"):
        Span(2, 1)
    with pytest.raises(BadInput):
        Span(0, float("nan"))
    assert Note("x", 1.0, 2.0, score=0.5).span == Span(1.0, 2.0)


def test_budget_and_coverage() -> None:
    wrongs: tuple[dict[str, Any], ...] = ({"fps": 0.0}, {"frames": -1}, {"memory": 2**31}, {"fps": 1e9 * 10})
    for wrong in wrongs:
        with pytest.raises(BadInput, match=next(iter(wrong))):
            Budget(**wrong)
    assert Coverage(100.0, 50.0, 10, 5, 1.0).fraction == 0.5
    assert Coverage(0.0, 0.0, 0, 0, None).fraction == 0.0


def test_a_query_asks_for_the_third_of_three() -> None:
    crop = np.zeros((3, 8, 8), np.uint8)
    span = Span(0, 9)
    assert Query("why?").asks == "words"
    assert Query("why?", span=span).asks == "words"
    assert Query(image=crop, span=span).asks == "activity"
    assert Query(activity="cut", span=span).asks == "object"
    assert Query(activity="cut", image=crop).asks == "time"
    assert Query(activity="cut", image=crop, span=span).asks == "time"
    for half in (Query(activity="cut"), Query(image=crop)):
        with pytest.raises(BadInput, match="give a span as well"):
            _ = half.asks
