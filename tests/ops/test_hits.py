"""The metrics against brute force: sets, permutations, every pair of cells."""

from __future__ import annotations

import itertools
import math

import pytest
import torch
from torch import Tensor

from watchonce.ops.hits import MEETS, boxes_at, decode_spans, matched, recall_at, t_iou, v_iou
from watchonce.types import BadInput, Span


def dice(seed: int) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def rows(values: list[list[float]]) -> Tensor:
    return torch.tensor(values, dtype=torch.float64)


def slow_recall(scores: list[float], labels: list[bool], k: int) -> float:
    true = {c for c, label in enumerate(labels) if label}
    best = sorted(range(len(scores)), key=lambda c: (-scores[c], c))[: k * len(true)]
    return len(true & set(best)) / len(true)


@pytest.mark.parametrize("k", [1, 3])
def test_recall_is_what_sets_give(k: int) -> None:
    scores = torch.randint(0, 6, (300, 12), generator=dice(0)).float()  # many ties
    labels = torch.rand(300, 12, generator=dice(1)) < 0.2
    labels[torch.arange(300), torch.randint(0, 12, (300,), generator=dice(2))] = True
    found = recall_at(scores, labels, k)
    expected = [slow_recall(s, y, k) for s, y in zip(scores.tolist(), labels.tolist(), strict=True)]
    torch.testing.assert_close(found, torch.tensor(expected))
    assert 0.1 < found.mean() < 0.9


def test_recall_by_hand() -> None:
    scores = torch.tensor([0.9, 0.8, 0.1, 0.7])
    labels = torch.tensor([True, False, True, False])
    assert recall_at(scores, labels, 1).item() == 0.5
    assert recall_at(scores, labels, 3).item() == 1.0  # three times two is more than there are
    with pytest.raises(BadInput, match="at least one true class"):
        recall_at(scores, torch.zeros(4, dtype=torch.bool))


def slow_iou(a: list[float], b: list[float]) -> float:
    wide = max(0.0, min(a[2], b[2]) - max(a[0], b[0]))
    high = max(0.0, min(a[3], b[3]) - max(a[1], b[1]))
    union = (a[2] - a[0]) * (a[3] - a[1]) + (b[2] - b[0]) * (b[3] - b[1]) - wide * high
    return wide * high / union


def tube(frames: int, seed: int) -> Tensor:
    low = torch.rand(frames, 2, generator=dice(seed), dtype=torch.float64) * 0.5
    return torch.cat([low, low + 0.2 + 0.3 * torch.rand(frames, 2, generator=dice(seed + 50))], -1)


def test_a_tube_is_measured_where_the_truth_has_boxes() -> None:
    for seed in range(20):
        boxes, true = tube(9, seed), tube(9, seed + 100)
        has = torch.rand(9, generator=dice(seed)) < 0.6
        has[seed % 9] = True
        where = [f for f in range(9) if has[f]]
        expected = sum(slow_iou(boxes[f].tolist(), true[f].tolist()) for f in where) / len(where)
        assert v_iou(boxes, true, has) == pytest.approx(expected)


def test_the_best_of_several_true_tubes_counts() -> None:
    boxes, other, has = tube(5, 1), tube(5, 7), torch.ones(2, 5, dtype=torch.bool)
    both = torch.stack([other, boxes])
    assert v_iou(boxes, both, has) == pytest.approx(1.0)
    assert v_iou(boxes, other, has[0]) < 0.9
    with pytest.raises(BadInput, match="no box on any frame"):
        v_iou(boxes, other, torch.zeros(5, dtype=torch.bool))


def test_boxes_move_in_straight_lines_between_their_times() -> None:
    times = torch.tensor([1.0, 2.0, 4.0], dtype=torch.float64)
    boxes = rows([[0, 0, 1, 1], [1, 0, 2, 1], [3, 4, 4, 5]])
    found = boxes_at(times, boxes, torch.tensor([0.0, 1.0, 1.25, 2.0, 3.0, 9.0], dtype=torch.float64))
    expected = [[0, 0, 1, 1], [0, 0, 1, 1], [0.25, 0, 1.25, 1], [1, 0, 2, 1], [2, 2, 3, 3], [3, 4, 4, 5]]
    torch.testing.assert_close(found, rows(expected))
    torch.testing.assert_close(boxes_at(times[:1], boxes[:1], times), boxes[:1].expand(3, 4))
    with pytest.raises(BadInput, match="at least one box"):
        boxes_at(times[:0], boxes[:0], times)


def spans(count: int, seed: int, longest: float = 30.0) -> Tensor:
    start = torch.rand(count, generator=dice(seed), dtype=torch.float64) * 60
    length = torch.rand(count, generator=dice(seed + 1), dtype=torch.float64) * longest
    return torch.stack([start, start + length], -1)


def test_overlap_in_time_is_that_of_spans() -> None:
    one, two = spans(20, 0), spans(15, 5)
    found = t_iou(one, two)
    for a, b in itertools.product(range(20), range(15)):
        assert found[a, b].item() == pytest.approx(Span(*one[a].tolist()).iou(Span(*two[b].tolist())))
    assert t_iou(rows([[3, 3]]), rows([[3, 3]])).item() == 0


def slow_matched(one: Tensor, two: Tensor) -> int:
    fits = t_iou(one, two) > MEETS
    count = min(len(one), len(two))
    return max(
        sum(bool(fits[a, b]) for a, b in zip(here, there, strict=True))
        for here in itertools.permutations(range(len(one)), count)
        for there in itertools.combinations(range(len(two)), count)
    )


def test_the_matching_is_the_largest_there_is() -> None:
    seen = set()
    for seed in range(60):
        one, two = spans(4, seed, 60.0), spans(1 + seed % 4, seed + 300, 60.0)
        seen.add(matched(one, two))
        assert matched(one, two) == slow_matched(one, two)
    assert len(seen) >= 4
    assert matched(one[:0], two) == 0


def test_taking_the_best_first_would_lose_a_match() -> None:
    """The first span fits both segments, the second fits only the one the first fits better."""
    true = rows([[0, 10], [8, 22]])
    given = rows([[2, 16], [0, 9]])
    assert (t_iou(given, true) > MEETS).tolist() == [[True, True], [True, False]]
    assert matched(given, true) == 2


def slow_decode(
    start: list[float], end: list[float], cells: list[list[float]], count: int, least: int
) -> list[tuple[float, float, float]]:
    def log(logits: list[float]) -> list[float]:
        top = max(logits)
        whole = top + math.log(sum(math.exp(v - top) for v in logits))
        return [v - whole for v in logits]

    first, last = log(start), log(end)
    pairs = [
        (cells[s][0], cells[e][1], first[s] + last[e])
        for s in range(len(start))
        for e in range(s + least, len(end))
        if first[s] + last[e] > -math.inf
    ]
    kept: list[tuple[float, float, float]] = []
    for pair in sorted(pairs, key=lambda p: -p[2]):
        if len(kept) < count and all(Span(*pair[:2]).iou(Span(*k[:2])) <= 0.5 for k in kept):
            kept.append(pair)
    return kept


@pytest.mark.parametrize("least", [0, 1])
@pytest.mark.parametrize("count", [1, 2, 5, 50])
def test_decoding_is_what_trying_every_pair_gives(count: int, least: int) -> None:
    for seed in range(8):
        size = 3 + 9 * seed
        start, end = (torch.randn(size, generator=dice(seed + n), dtype=torch.float64) * 2 for n in (0, 90))
        if seed % 2:
            start[0], end[size // 2] = -torch.inf, -torch.inf  # padding, or outside the window
        edges = torch.rand(size + 1, generator=dice(seed), dtype=torch.float64).add(0.2).cumsum(0)
        cells = torch.stack([edges[:-1], edges[1:]], -1)
        expected = slow_decode(start.tolist(), end.tolist(), cells.tolist(), count, least)
        torch.testing.assert_close(
            decode_spans(start, end, cells, count, least), rows([*map(list, expected)])
        )


@pytest.mark.parametrize("spread", [0.0, 0.2, 4.0])
def test_looking_at_the_likeliest_first_changes_nothing(
    spread: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Sharp logits need the likeliest alone, flat ones all pairs; both must be what all pairs give."""
    cells = torch.stack([torch.arange(120.0), torch.arange(120.0) + 1], -1)
    for seed in range(10):
        start, end = (torch.randn(120, generator=dice(seed + n)) * spread for n in (0, 50))
        near = decode_spans(start, end, cells, 4)
        with monkeypatch.context() as patch:
            patch.setattr("watchonce.ops.hits.LIKELY", 120)
            torch.testing.assert_close(near, decode_spans(start, end, cells, 4), rtol=0, atol=0)


def test_one_cell_is_a_segment_unless_two_are_asked_for() -> None:
    start, cells = torch.tensor([0.0, 5.0, 0.0]), rows([[0, 1], [1, 2], [2, 3]])
    assert decode_spans(start, start, cells)[0, :2].tolist() == [1, 2]
    assert decode_spans(start, start, cells, least=1)[0, :2].tolist() in ([0, 2], [1, 3])
    for count in (1, 3):
        assert len(decode_spans(start[:1], start[:1], cells[:1], count, least=1)) == 0
    with pytest.raises(BadInput, match="count of 1 or more"):
        decode_spans(start, start, cells, 0)
