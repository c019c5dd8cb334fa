"""One test for every part that discovery finds: a new method is tested because it is there."""

from __future__ import annotations

import copy
from pathlib import Path

import numpy as np
import pytest
import torch

from tests.parts import frames_for, scan_for, tokens_for
from watchonce import discovery, library
from watchonce.contracts import Answerer, Budget, Compressor, Memory, Selector
from watchonce.types import BadInput, Note, Query, Recall, Scan, Span, Tokens

SELECTORS = list(discovery.parts("select").items())
COMPRESSORS = list(discovery.parts("compress").items())
MEMORIES = list(discovery.parts("memory").items())
ANSWERERS = list(discovery.parts("answer").items())


def named(parts: list) -> dict:
    return {"argvalues": [cls for _, cls in parts], "ids": [name for name, _ in parts]}


@pytest.mark.parametrize("cls", **named(SELECTORS))
@pytest.mark.parametrize("count", [1, 2, 7, 64])
@pytest.mark.parametrize("frames", [1, 2, 7, 64, 1000])
def test_a_selector_keeps_its_budget_and_the_order(cls: type[Selector], count: int, frames: int) -> None:
    scan = scan_for(count, cls.signals)
    before = copy.deepcopy(scan)
    plan = cls().select(scan, Query("what happens?"), Budget(frames=frames))
    assert 1 <= len(plan) <= min(count, frames)
    assert (np.diff(plan.times) > 0).all()
    assert set(plan.times.tolist()) <= set(scan.start.tolist())
    again = cls().select(scan, Query("what happens?"), Budget(frames=frames))
    assert (plan.times == again.times).all()
    assert (before.start == scan.start).all()
    for name, signal in before.signals.items():
        assert (signal == scan.signals[name]).all(), f"{name} was changed"


@pytest.mark.parametrize("cls", **named(SELECTORS))
@pytest.mark.parametrize("value", [0.0, 1.0, np.nan])
def test_a_selector_survives_constant_and_nan_signals(cls: type[Selector], value: float) -> None:
    scan = scan_for(20, cls.signals)
    flat = Scan(scan.start, scan.end, {k: np.full_like(v, value) for k, v in scan.signals.items()})
    plan = cls().select(flat, Query("what happens?"), Budget(frames=5))
    assert 1 <= len(plan) <= 5


@pytest.mark.parametrize("cls", **named(COMPRESSORS))
@pytest.mark.parametrize("budget", [1, 3, 16, 10_000])
@pytest.mark.parametrize("times", [[], [0.0], [0.0, 1.0, 2.5, 3.0]])
def test_a_compressor_keeps_its_budget_and_the_evidence(
    cls: type[Compressor], budget: int, times: list[float]
) -> None:
    tokens = tokens_for(times, 4)
    before = tokens.data.clone()
    less = cls().compress(tokens, None, Budget(tokens=budget))
    assert len(less) <= min(budget, len(tokens))
    assert torch.equal(before, tokens.data)
    if len(less):
        assert (torch.diff(less.start) >= 0).all()
        assert float(less.start.min()) >= float(tokens.start.min())
        assert float(less.end.max()) <= float(tokens.end.max())
        assert float(less.size.sum()) <= float(tokens.size.sum()) + 1e-4
    again = cls().compress(tokens, None, Budget(tokens=budget))
    assert torch.equal(less.data, again.data)


def tokens_seen_by(memory: Memory, times: list[float]) -> Tokens:
    """Tokens of the width that the body it sees by makes: the shipped vision tower's, or any."""
    return tokens_for(times, 4, width=128 if memory.sees == "vision" else 8)


def write_all(memory: Memory, windows: list[list[float]], budget: Budget) -> None:
    for times in windows:
        memory.write(frames_for(times), tokens_seen_by(memory, times) if times else None, budget)


WINDOWS = [[0.0, 1.0, 2.0], [], [64.0, 65.0], [128.0, 129.0, 130.0, 131.0]]


@pytest.mark.parametrize("cls", **named(MEMORIES))
def test_a_memory_goes_on_bit_for_bit_from_its_state(cls: type[Memory], tmp_path: Path) -> None:
    budget = Budget(memory=12)
    whole = cls()
    whole.add_notes([Note("hello there", 1.0, 2.0, "subtitle")])
    write_all(whole, WINDOWS, budget)
    whole.finish(budget)
    for cut in range(len(WINDOWS) + 1):
        first = cls()
        first.add_notes([Note("hello there", 1.0, 2.0, "subtitle")])
        write_all(first, WINDOWS[:cut], budget)
        library.dump_state(first.state(), tmp_path)
        second = cls()
        second.restore(library.read_state(tmp_path))
        write_all(second, WINDOWS[cut:], budget)
        second.finish(budget)
        one, two = whole.state(), second.state()
        assert one.notes == two.notes
        assert one.tensors.keys() == two.tensors.keys()
        for name, value in one.tensors.items():
            assert torch.equal(value, two.tensors[name]), f"{name} differs after a cut at window {cut}"


@pytest.mark.parametrize("cls", **named(MEMORIES))
@pytest.mark.parametrize("cap", [1, 5, 16])
def test_a_memory_keeps_its_budget_and_never_looks_past_before(cls: type[Memory], cap: int) -> None:
    memory = cls()
    memory.add_notes([Note(f"line {i}", float(i), i + 1.0, "subtitle") for i in range(0, 140, 7)])
    write_all(memory, WINDOWS, Budget(memory=cap))
    memory.finish(Budget(memory=cap))
    recall = memory.read(Query("line"))
    kept = len(recall.tokens) if recall.tokens is not None else len(memory.state().notes)
    assert kept <= cap
    early = memory.read(Query("line", before=70.0))
    assert all(n.start < 70.0 for n in early.notes)
    assert early.tokens is None or float(early.tokens.start.max()) < 70.0


@pytest.mark.parametrize("cls", **named(MEMORIES))
def test_a_memory_of_nothing_answers_nothing(cls: type[Memory]) -> None:
    memory = cls()
    memory.finish(Budget())
    recall = memory.read(Query("what happened?"))
    assert recall.tokens is None
    assert recall.notes == ()


@pytest.mark.parametrize("cls", **named(MEMORIES))
def test_a_memory_does_not_change_what_it_is_given(cls: type[Memory]) -> None:
    memory = cls()
    frames, tokens = frames_for([0.0, 1.0]), tokens_seen_by(memory, [0.0, 1.0])
    pixels, data = frames.pixels.copy(), tokens.data.clone()
    memory.write(frames, tokens, Budget(memory=3))
    memory.finish(Budget(memory=3))
    memory.read(Query("what happened?"))
    assert (pixels == frames.pixels).all()
    assert torch.equal(data, tokens.data)


@pytest.mark.parametrize("cls", **named(ANSWERERS))
def test_an_answerer_answers_every_pair_in_order_and_says_not_found(cls: type[Answerer]) -> None:
    assert cls().answer([], []) == []
    if "words" not in cls.understands:
        lost = cls().answer([Recall()], [Query(activity="wash", span=Span(0.0, 9.0))])
        assert [a.not_found for a in lost] == [True]
        with pytest.raises(BadInput, match="words"):
            cls().answer([Recall()], [Query("when?")])
        return
    notes = (Note("a red cup is washed", 4.0, 9.0, "caption", 1.0), Note("a dog", 20.0, 30.0, "caption", 0.1))
    answers = cls().answer(
        [Recall(), Recall(notes=notes)], [Query("when?"), Query("when was the red cup washed?")]
    )
    assert len(answers) == 2
    assert answers[0].not_found
    assert not answers[0].evidence
    assert not answers[1].not_found
    assert answers[1].evidence[0].start == 4.0
