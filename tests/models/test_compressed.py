"""Every compressor with every family: what it leaves is what the language model reads, and it matters."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch

from tests.parts import relevant
from watchonce import discovery
from watchonce.contracts import Budget, Compressor
from watchonce.models.layout import Shown
from watchonce.types import FrameBatch, Query, Tokens

from .builders import BUILDERS, SIZES, noise
from .test_families import masked_logits

COMPRESSORS = [(n, c) for n, c in discovery.parts("compress").items() if issubclass(c, Compressor)]
ASKED = Query("Which?")


def logits(vlm: Any, prompt: Any) -> torch.Tensor:
    with torch.no_grad():
        return vlm.language.read([prompt]).logits[0, -1]


@pytest.mark.parametrize("family", sorted(BUILDERS))
def test_what_a_compressor_leaves_is_read_and_matters(family: str, family_vlm: Any) -> None:
    vlm = family_vlm(family)
    film: FrameBatch = noise(12, SIZES[family], seed=3)
    tokens = vlm.encode(film)
    frames = len(torch.unique(tokens.start))
    tokens = relevant(tokens, np.linspace(0.1, 0.9, frames) ** 2)
    whole = vlm.prompt(ASKED.text, tokens)
    closing = int(whole.slots.sum()) - len(tokens)  # LLaVA's newline
    plain = logits(vlm, whole)
    for name, cls in COMPRESSORS:
        budget = len(tokens) // 2
        less = cls().compress(tokens, ASKED if cls.waits else None, Budget(tokens=budget))
        assert 0 < len(less) <= budget, name
        assert less.data.dtype == tokens.data.dtype
        prompt = vlm.prompt(ASKED.text, less)
        assert int(prompt.slots.sum()) == len(less) + closing, name
        assert prompt.visual is not None
        assert len(prompt.visual) == len(less) + closing, name
        assert bool((torch.diff(prompt.positions, dim=-1) >= 0).all() or prompt.positions.ndim > 1), name
        read = logits(vlm, prompt)
        assert bool(torch.isfinite(read).all()), name
        assert not torch.allclose(read, plain, atol=1e-4), f"{name} changed nothing"


@pytest.mark.parametrize("family", sorted(BUILDERS))
def test_a_budget_for_everything_changes_nothing(family: str, family_vlm: Any) -> None:
    """But for two whose law gives less: keye's fast frames, tempo's segments beside the question."""
    vlm = family_vlm(family)
    tokens = vlm.encode(noise(4, SIZES[family], seed=4))
    tokens = relevant(tokens, np.full(len(torch.unique(tokens.start)), 0.5))
    plain = logits(vlm, vlm.prompt(ASKED.text, tokens))
    for name, cls in COMPRESSORS:
        less = cls().compress(tokens, ASKED if cls.waits else None, Budget(tokens=len(tokens)))
        if len(less) == len(tokens):
            assert torch.equal(logits(vlm, vlm.prompt(ASKED.text, less)), plain), name
        else:
            assert name in ("keye", "tempo"), f"{name} keeps {len(less)} of {len(tokens)}"


def around(less: Tokens, tokens: Tokens, grid: tuple[int, int]) -> tuple[Tokens, torch.Tensor, Tokens]:
    """Whole frames with what a method left in its places, where that is, and what was left.

    Of several tokens in one place the first counts, and each ends with its frame: Qwen3-VL writes times.
    """
    frames = tokens[torch.isin(tokens.start, less.start)]
    shown = Shown.of(less, grid)
    _, first = np.unique(shown.slot, return_index=True)
    rows, slots = torch.from_numpy(shown.order[first]), torch.from_numpy(shown.slot[first])
    data = frames.data.clone()
    data[slots] = less.data[rows]
    there = torch.zeros(len(frames), dtype=torch.bool)
    there[slots] = True
    kept = less[torch.sort(rows).values]
    until = {float(a): b for a, b in zip(frames.start, frames.end, strict=True)}
    ends = torch.stack([until[float(a)] for a in kept.start])
    return replace(frames, data=data), there, replace(kept, end=ends)


@pytest.mark.parametrize("family", sorted(BUILDERS))
def test_what_a_method_leaves_out_is_as_if_masked(family: str, family_vlm: Any) -> None:
    """Not in the prompt, or in it and masked in every layer: the same logits, method by method."""
    vlm = family_vlm(family)
    tokens = vlm.encode(noise(8, SIZES[family], seed=5))
    tokens = relevant(tokens, np.linspace(0.1, 0.9, len(torch.unique(tokens.start))) ** 2)
    for name, cls in COMPRESSORS:
        budget = Budget(tokens=len(tokens) // 3)
        less = cls().compress(tokens, ASKED if cls.waits else None, budget)
        whole, there, kept = around(less, tokens, vlm.grid)
        prompt = vlm.prompt(ASKED.text, whole)
        keep = torch.ones(len(prompt), dtype=torch.bool)
        keep[prompt.slots.nonzero()[: len(whole), 0][~there]] = False
        assert int((~keep).sum()) > 0, f"{name} leaves nothing out"
        dropped = logits(vlm, vlm.prompt(ASKED.text, kept))
        masked = masked_logits(vlm, prompt, keep)
        torch.testing.assert_close(dropped, masked, atol=1e-4, rtol=1e-4, msg=lambda m, n=name: f"{n}: {m}")
