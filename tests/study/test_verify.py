"""verify: true answers stay, false ones go with all their phrasings, and controls are counted."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import cast

import pytest

from watchonce.contracts import VLM, Desk
from watchonce.study.items import Item
from watchonce.study.tools import Toolbox
from watchonce.study.trace import Trace
from watchonce.study.verify import verify
from watchonce.types import Span, Video
from watchonce.video.drawn.phrases import FORMS
from watchonce.video.drawn.truth import load_truth
from watchonce.video.file import FileVideo


@pytest.fixture
def tools(desk: Callable[[], Desk], tiny: VLM) -> Toolbox:
    return Toolbox(desk(), tiny, [], "Describe what happens.", Trace(desk().folder / "trace.jsonl"))


@pytest.fixture
def true_items(film: Video) -> list[Item]:
    """What was done, where and to what, in two phrasings each, from the truth of the film."""
    truth = load_truth(Path(cast(FileVideo, film).path))
    names = {thing.id: thing.name for thing in truth.instances}
    found = []
    for number, e in enumerate(truth.events):
        _, past, ing = FORMS[e.activity]
        span, name = (Span(e.start, e.end),), names[e.instance]
        asked = {
            "what": (f"What was done to the {name}?", past, f"What is done to the {name}?"),
            "object": (f"What was {past}?", name, f"What is someone {ing}?"),
            "where": (f"Where was the {name} {past}?", e.room, "Which room is this?"),
        }
        for kind, (question, answer, view) in asked.items():
            for form in range(2):
                text = question if form == 0 else question.replace("was", "is")
                found.append(Item(text, answer, kind, span, f"{kind}|{number}", form, view))
    return found


def test_what_a_second_look_bears_out_stays(tools: Toolbox, true_items: list[Item]) -> None:
    verdict = verify(true_items, tools)
    assert len(verdict.kept) >= 0.7 * len(true_items)
    assert verdict.checks["agreed"] >= 0.7 * len(true_items) / 2
    assert sum(verdict.dropped.values()) == len(true_items) - len(verdict.kept)
    assert verdict.controls["blind"] < verdict.controls["second look"]
    assert verdict.controls["wrong clip"] < verdict.controls["second look"]
    # two phrasings, one look: the clip shows the same
    assert sum(step.tool == "verify" for step in tools.trace.steps) == len(true_items) / 2


def test_what_it_contradicts_goes_with_all_its_phrasings(tools: Toolbox, true_items: list[Item]) -> None:
    rooms = {item.answer for item in true_items if item.kind == "where"}
    wrong = next(room for room in ("garden", "kitchen", "office") if room not in rooms)
    lies = [replace(item, answer=wrong) if item.kind == "where" else item for item in true_items]
    verdict = verify(lies, tools)
    assert not [item for item in verdict.kept if item.kind == "where"]
    assert verdict.dropped["second look"] >= sum(item.kind == "where" for item in lies)
    assert verdict.checks["overruled"] >= 1


def test_two_answers_to_one_question_do_not_both_stay(tools: Toolbox) -> None:
    blind = Item("How many times was the cup washed?", "two", "count", (Span(1, 5),), "count|a")
    other = replace(blind, answer="three", fact="count|b")
    assert verify([blind, other], tools).dropped == {"contradiction": 2}
    third = replace(blind, question=blind.question.upper(), fact="count|c")
    verdict = verify([blind, other, third], tools)
    assert [item.fact for item in verdict.kept] == ["count|a", "count|c"]
    assert tools.trace.steps == []  # no clip shows a count


def test_what_the_budget_does_not_reach_is_counted(
    desk: Callable[[], Desk], tiny: VLM, true_items: list[Item]
) -> None:
    trace = Trace(desk().folder / "trace.jsonl")
    tools = Toolbox(desk(), tiny, [], "Describe what happens.", trace, calls=3)
    verdict = verify(true_items, tools)
    assert len(trace.steps) <= 3
    assert verdict.checks["unseen"] == len(true_items) / 2 - 3
