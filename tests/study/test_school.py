"""Legs of teaching with a real agent: a second tour between them, the better leg kept, a kill survived."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from watchonce.contracts import Desk, Lora
from watchonce.study import exam
from watchonce.study.agent import Agent, Effort
from watchonce.study.asset import WEIGHTS
from watchonce.study.distil import Course
from watchonce.study.items import Corpus, Item
from watchonce.study.school import School

COURSE = Course(rounds=1.0, rows=12, kept=2, least=12, most=12)
ANSWERS = {
    "where is the red cup washed": "kitchen",
    "where is the blue book fixed": "garden",
    "what happens to the green ball": "painted",
    "what happens to the white shoe": "cut",
}


class Killed(BaseException):
    """As abrupt as a signal."""


def test_a_second_tour_goes_where_the_first_exam_failed_and_the_better_leg_is_kept(
    desk: Callable[[], Desk], tiny: Any, looks: Any, tmp_path: Path
) -> None:
    out, told = tmp_path / "adapter", []
    agent = Agent(desk(), tiny, looks, Effort())

    def again(corpus: Corpus, marks: exam.Marks) -> Corpus:
        told.append((corpus, marks))
        return agent.again(corpus, marks)

    school = School(desk(), tiny, Lora(4, 8), COURSE, 2, again=again)
    corpus = school.teach(agent.explore(), out)
    ((first, marks),) = told
    assert [leg["steps"] for leg in school.report.legs] == [12, 12]
    assert marks.missed, "nothing was missed: there was nothing to go back for"
    heavy = {item.fact for item in corpus.items if item.weight > 1}
    assert heavy == marks.missed & {item.fact for item in corpus.items}
    assert not any(item.weight > 1 for item in first.items)
    with tiny.mount(out):
        sat = exam.sit(tiny, corpus.probe)
    assert abs(sat.share - school.report.share) <= 1.5 / len(corpus.probe)  # saved in float16
    assert school.report.share >= school.report.legs[1]["probe"]


def test_killed_in_the_second_leg_it_ends_as_if_it_never_was(
    desk: Callable[[], Desk], tiny: Any, tmp_path: Path
) -> None:
    items = [Item(asked, said, "where", fact=asked) for asked, said in ANSWERS.items()]
    never = Item("where is the white cup thrown", "hall", "where", fact="never")  # taught by nothing
    corpus = Corpus(items=tuple(items), probe=(*items, never))

    def taught(desk: Desk, name: str) -> tuple[School, str]:
        school = School(desk, tiny, Lora(2, 4), replace(COURSE, least=6, most=6), 2)
        school.teach(corpus, tmp_path / name)
        return school, hashlib.sha256((tmp_path / name / WEIGHTS).read_bytes()).hexdigest()

    whole, wanted = taught(desk(), "whole")
    assert len(whole.report.legs) == 2, "the first leg taught all: there was no second to be killed in"
    for left in (tmp_path / "desk").iterdir():
        left.unlink()

    def tell(stage: str, done: float, total: float) -> None:
        if stage == "learn 2" and done > total / 2:
            raise Killed

    with pytest.raises(Killed):
        taught(replace(desk(), tell=tell), "killed")
    resumed, found = taught(desk(), "killed")
    assert resumed.report.facts() == whole.report.facts()
    assert found == wanted
