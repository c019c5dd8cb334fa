"""Laying out prompts: notes, slots and their positions, cutting and moving."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from watchonce.contracts import Prompt
from watchonce.models.layout import Shown, after, cut, expand, lay, note_lines, straight
from watchonce.models.smolvlm import number_words
from watchonce.types import BadInput, Note, Tokens


def test_notes_are_numbered_lines() -> None:
    lines = note_lines([Note(" two\n lines ", 1.0, 2.0), Note("x", 3.0, 4.0)])
    assert lines == ["[1] 00:00:01.000-00:00:02.000 two lines", "[2] 00:00:03.000-00:00:04.000 x"]


def some(start: list[float], y: list[float], x: list[float], end: list[float] | None = None) -> Tokens:
    count = len(start)
    return Tokens(
        torch.arange(count, dtype=torch.float32)[:, None],
        torch.tensor(start, dtype=torch.float64),
        torch.tensor(end or [s + 1 for s in start], dtype=torch.float64),
        torch.tensor(y),
        torch.tensor(x),
        torch.ones(count),
    )


def test_tokens_find_their_slots_whatever_their_order() -> None:
    # a grid of 2 x 2; the frame at 1 s lost its first cell, the one at 3 s all but its last
    tokens = some(
        [3.0, 1.0, 1.0, 1.0], [0.75, 0.75, 0.25, 0.75], [0.75, 0.25, 0.75, 0.75], [9.0, 2.0, 2.0, 4.0]
    )
    shown = Shown.of(tokens, (2, 2))
    assert shown.start.tolist() == [1.0, 3.0]
    assert shown.end.tolist() == [4.0, 9.0]
    assert shown.slot.tolist() == [1, 2, 3, 7]
    assert shown.order.tolist() == [2, 1, 3, 0]


def test_edges_of_the_picture_stay_in_the_grid() -> None:
    shown = Shown.of(some([0.0, 0.0], [1.0, 0.0], [1.0, 0.0]), (2, 3))
    assert shown.slot.tolist() == [0, 5]


def test_survivors_keep_the_positions_of_the_full_layout() -> None:
    words = np.array([10, 99, 11, 99, 12])  # 99 stands for a frame of 4
    ids, slots = expand(words, 99, [4, 4])
    assert ids.tolist() == [10, 99, 99, 99, 99, 11, 99, 99, 99, 99, 12]
    shown = Shown.of(some([0.0, 0.0, 5.0], [0.25, 0.75, 0.25], [0.75, 0.75, 0.25]), (2, 2))
    prompt = lay(ids, slots, shown, straight)
    assert prompt.ids.tolist() == [10, 99, 99, 11, 99, 12]
    assert prompt.positions.tolist() == [0, 2, 4, 5, 6, 10]
    assert prompt.slots.tolist() == [False, True, True, False, True, False]


def test_two_merged_tokens_may_share_a_slot() -> None:
    ids, slots = expand(np.array([7, 99]), 99, [4])
    shown = Shown.of(some([0.0, 0.0, 0.0], [0.3, 0.2, 0.9], [0.1, 0.2, 0.9]), (2, 2))
    prompt = lay(ids, slots, shown, straight)
    assert prompt.positions.tolist() == [0, 1, 1, 4]
    assert shown.order.tolist() == [0, 1, 2]


def test_a_template_without_placeholders_is_refused() -> None:
    with pytest.raises(BadInput, match="wrote 0 visual placeholders where 2 belong"):
        expand(np.array([1, 2, 3]), 99, [4, 4])


def test_cut_and_after() -> None:
    visual = torch.arange(6.0).reshape(3, 2)
    slots = torch.tensor([False, True, True, True, False])
    place = torch.tensor([[0, 5, 6, 7, 8], [0, 1, 1, 1, 2], [0, 1, 2, 3, 4]])
    prompt = Prompt(torch.arange(5), slots, place, visual)
    head, tail = cut(prompt, 2)
    assert head.visual is not None
    assert tail.visual is not None
    assert (len(head), len(tail)) == (2, 3)
    assert head.visual.tolist() == [[0.0, 1.0]]
    assert tail.visual.tolist() == [[2.0, 3.0], [4.0, 5.0]]
    assert tail.positions.tolist() == [[6, 7, 8], [1, 1, 2], [2, 3, 4]]
    assert after(head, prompt).positions.tolist() == [[9, 14], [9, 10], [9, 10]]


@pytest.mark.parametrize(
    "number", [0, 7, 19, 20, 42, 90, 100, 101, 121, 999, 1000, 1001, 1100, 12345, 300_000]
)
def test_numbers_are_spelled_as_the_stock_prompt_does(number: int) -> None:
    num2words = pytest.importorskip(
        "num2words", reason="the stock SmolVLM processor spells with it"
    ).num2words
    assert number_words(number) == num2words(number)
