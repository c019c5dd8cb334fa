"""What published methods promise of themselves, held over every selector and compressor that discovery finds.

Budgets, order, odd scores and places in a frame are in `test_contracts`, what enters four families of models
in `models/test_compressed` and `evaluate/arena/test_families`. Here: an empty film, near ties, scores on
another scale, time run backwards, chance, growing budgets, and what merging may and may not change.
"""

from __future__ import annotations

import dataclasses
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch

from tests.parts import grid_tokens, relevant, scan_for
from watchonce import discovery
from watchonce.contracts import Budget, Compressor, Selector
from watchonce.ops.cluster import diverse
from watchonce.types import Query, Scan, Tokens

SELECTORS: dict[str, Any] = discovery.parts("select")
COMPRESSORS: dict[str, Any] = discovery.parts("compress")
ASKED = Query("what happens?")
SHAPES = ((12, 3, 40), (10, 3, 33), (16, 4, 64), (9, 3, 20), (40, 2, 24))  # frames, side, budget

# Run backwards, these choose the same moments. The others say why not.
REVERSIBLE = {"bolt", "keye"}
ONE_WAY = {
    "uniform": "a frame is placed by where it starts",
    "aks": "a stretch of odd length is halved unevenly",
    "ktv": "k-means draws its first centres in the order of frames",
    "dynfocus": "k-means draws its first centres in the order of frames",
    "f2c": "a clip of even length reaches one frame further forward",
    "flashvid": "a token merges into the frame before it",
    "free_video_llm": "strides count from the first frame",
    "ig_vlm": "strides count from the first frame",
    "ts_llava": "strides count from the first token",
    "longvlm": "pairs are even places with odd ones",
    "tempo": "pairs are even places with odd ones",
}
# What merges and drops nothing keeps the size-weighted mean; what only selects changes no value.
MERGES = {"keye", "longvlm", "tempo"}
SELECTS = {"ktv"}


def tokens_of(frames: int, side: int, seed: int) -> Tokens:
    score = np.random.default_rng(seed).random(frames)
    return relevant(grid_tokens(frames, side, side, seed=seed), score)


def compressed(cls: type[Compressor], tokens: Tokens, budget: int, **options: Any) -> Tokens:
    return cls(**options).compress(tokens, ASKED if cls.waits else None, Budget(tokens=budget))


@pytest.mark.parametrize("name", SELECTORS)
def test_a_selector_of_no_frames_plans_nothing(name: str) -> None:
    cls: type[Selector] = SELECTORS[name]
    rows = scan_for(4, cls.signals).signals
    empty = Scan(np.zeros(0), np.zeros(0), {key: value[:0] for key, value in rows.items()})
    assert len(cls().select(empty, ASKED, Budget(frames=3))) == 0


@pytest.mark.parametrize("name", SELECTORS)
def test_a_selector_survives_near_ties(name: str) -> None:
    cls: type[Selector] = SELECTORS[name]
    scan = scan_for(30, cls.signals)
    flat = {key: np.full_like(value, 0.5) for key, value in scan.signals.items()}
    for value in flat.values():
        value[11], value[23] = np.float32(0.5) + np.spacing(np.float32(0.5)), np.nextafter(0.5, 0)
    plan = cls().select(Scan(scan.start, scan.end, flat), ASKED, Budget(frames=6))
    assert len(plan) == 6
    assert (np.diff(plan.times) > 0).all()


@pytest.mark.parametrize("name", COMPRESSORS)
def test_a_compressor_asks_of_scores_only_how_they_compare(name: str) -> None:
    for frames, side, budget in SHAPES:
        tokens = tokens_of(frames, side, seed=frames)
        assert tokens.saliency is not None
        moved = replace(tokens, saliency=tokens.saliency * 4.0 + 8.0)
        one, other = (compressed(COMPRESSORS[name], t, budget) for t in (tokens, moved))
        assert torch.equal(one.start, other.start)
        assert torch.allclose(one.data, other.data, atol=1e-5)


# -- time run backwards


def backwards(tokens: Tokens, frames: int) -> Tokens:
    order = torch.arange(len(tokens)).reshape(frames, -1).flip(0).flatten()
    return replace(tokens[order], start=tokens.start, end=tokens.end)


def rows_of(tokens: Tokens) -> torch.Tensor:
    rows = torch.cat([tokens.start[:, None], tokens.end[:, None], tokens.data.double()], 1)
    return rows[np.lexsort(rows.round(decimals=4).T.numpy()[::-1])]


def reverses(name: str) -> bool:
    """Whether it chooses the same of every film run backwards, as it stands or with its scores."""
    if name in SELECTORS:
        cls = SELECTORS[name]
        for count, frames, seed in ((40, 9, 0), (64, 7, 1), (60, 6, 2), (41, 8, 3)):
            scan = scan_for(count, cls.signals, seed)
            turned = Scan(scan.start, scan.end, {k: v[::-1].copy() for k, v in scan.signals.items()})
            one, other = (cls().select(s, ASKED, Budget(frames=frames)).times for s in (scan, turned))
            if sorted(count - 1 - other) != one.tolist():
                return False
    if name in COMPRESSORS:
        for frames, side, budget in SHAPES:
            tokens = tokens_of(frames, side, seed=frames)
            one = compressed(COMPRESSORS[name], tokens, budget)
            other = compressed(COMPRESSORS[name], backwards(tokens, frames), budget)
            other = replace(other, start=frames - other.end, end=frames - other.start)
            if len(one) != len(other) or not torch.allclose(rows_of(one), rows_of(other), atol=1e-4):
                return False
    return True


@pytest.mark.parametrize("name", sorted({*SELECTORS, *COMPRESSORS}))
def test_time_run_backwards(name: str) -> None:
    """A symmetric method must be one; one that is not must have its reason here."""
    assert (name in REVERSIBLE) != (name in ONE_WAY), f"say in this file whether {name} is symmetric in time"
    assert reverses(name) == (name in REVERSIBLE)


@pytest.mark.parametrize("count", [40, 61, 64])
def test_uniform_run_backwards_is_off_by_two_frames_at_most(count: int) -> None:
    times = SELECTORS["uniform"]().select(scan_for(count), None, Budget(frames=9)).times
    assert np.abs(np.sort(count - 1 - times) - times).max() <= 2


# -- chance


@pytest.mark.parametrize("name", COMPRESSORS)
def test_a_compressor_draws_from_its_own_seed_alone(name: str) -> None:
    tokens = tokens_of(16, 3, seed=5)
    torch.manual_seed(1)
    np.random.seed(1)  # noqa: NPY002 -- the global stream is what must not matter
    before = torch.get_rng_state(), np.random.get_state()[1].copy()  # type: ignore[index]  # noqa: NPY002
    one = compressed(COMPRESSORS[name], tokens, 30)
    after = torch.get_rng_state(), np.random.get_state()[1]  # type: ignore[index]  # noqa: NPY002
    assert torch.equal(before[0], after[0])
    assert (before[1] == after[1]).all()
    torch.manual_seed(2)
    other = compressed(COMPRESSORS[name], tokens, 30)
    assert torch.equal(one.data, other.data)
    if any(field.name == "seed" for field in dataclasses.fields(COMPRESSORS[name])):
        kept = [compressed(COMPRESSORS[name], tokens, 30, seed=seed) for seed in (3, 3)]
        assert torch.equal(kept[0].data, kept[1].data)


# -- budgets that grow


def test_farthest_points_are_nested() -> None:
    data = torch.randn(40, 8, generator=torch.Generator().manual_seed(0))
    picks = [diverse(data, torch.ones(40), keep).tolist() for keep in (5, 12, 40)]
    assert picks[0] == picks[2][:5]
    assert picks[1] == picks[2][:12]


@pytest.mark.parametrize("name", sorted(n for n, c in COMPRESSORS.items() if c.waits))
def test_a_larger_budget_never_shows_less_of_what_was_asked_for(name: str) -> None:
    """The eight frames about the one that the question points at keep as many tokens or more."""
    score = np.full(16, 0.1)
    score[6] = 1.0
    tokens = relevant(grid_tokens(16, 4, 4, seed=2), score)
    shown = []
    for budget in (16, 32, 64, 128):
        less = compressed(COMPRESSORS[name], tokens, budget)
        assert bool(((less.start <= 6.0) & (less.end > 6.0)).any())
        shown.append(int((less.start < 8.0).sum()))
    assert shown == sorted(shown)
    assert shown[0] < shown[-1]


# -- merging and selecting


@pytest.mark.parametrize("name", COMPRESSORS)
def test_merging_keeps_sizes_and_means_and_selecting_keeps_rows(name: str) -> None:
    for frames, side, budget in SHAPES:
        tokens = tokens_of(frames, side, seed=frames + 1)
        less = compressed(COMPRESSORS[name], tokens, budget)
        alone = less[(less.size == 1) & (less.end - less.start == 1)]
        if name in MERGES and budget >= frames:  # with less, whole frames have to go
            assert float(less.size.sum()) == pytest.approx(len(tokens), rel=1e-5)
            mean = (less.data * less.size[:, None]).sum(0)
            assert torch.allclose(mean, tokens.data.sum(0), atol=1e-3)
        if name in SELECTS:
            assert len(alone) == len(less)
        if name in {"ktv", "tempo"}:  # elsewhere layers overlap, and a mean may have size 1
            rows = torch.cat([tokens.start[:, None], tokens.data.double()], 1)
            for row in torch.cat([alone.start[:, None], alone.data.double()], 1):
                assert bool((rows == row).all(1).any())
