"""rewording: a question in every phrasing of its kind, unknown phrasings too; other kinds are left alone."""

from __future__ import annotations

import pytest

from watchonce.contracts import Reply
from watchonce.models.source import TINY
from watchonce.study.rewording import reword, settle
from watchonce.video.drawn.phrases import FILM, fill

BOOK = (TINY / "phrasebook.toml").read_text()
SLOTS = {"activity": "wash", "name": "red cup", "room": "kitchen", "time": "12:40"}


def test_a_known_question_is_asked_in_every_phrasing_of_its_kind() -> None:
    first, *others = reword("Where was the red cup washed?", BOOK)
    assert first == "Where was the red cup washed?"
    assert "In which room was the red cup washed?" in others
    assert "Where did someone wash the red cup?" in others
    assert all("red cup" in other and "wash" in other for other in others)
    assert len({first, *others}) == len(others) + 1 >= 4


@pytest.mark.parametrize("kind", [kind for kind in FILM if kind != "at"])
def test_a_phrasing_the_phrasebook_lacks_finds_its_kind(kind: str) -> None:
    held = fill(FILM[kind][-1], **SLOTS)
    known = {fill(phrasing, **SLOTS) for phrasing in FILM[kind][:-1]}
    first, *others = reword(held, BOOK)
    assert first == held
    assert known & set(others)
    elsewhere = {fill(p, **SLOTS) for other, ps in FILM.items() if other != kind for p in ps[:-1]} - known
    assert not elsewhere & set(others)


def test_times_and_second_things_go_to_their_own_slots() -> None:
    wordings = reword("What happened from 1:05 to 12:40?", BOOK)
    assert any("between 1:05 and 12:40" in w for w in wordings)
    order = reword("Which was first, washing the red cup or cutting the blue box?", BOOK)
    assert len(order) > 1
    for wording in order:
        assert wording.index("red cup") < wording.index("blue box")


@pytest.mark.parametrize(
    "question",
    [
        "In how many rooms was the red cup used?",  # not: in which
        "Was the red cup washed before it was cut?",
        "What was done to the red cup next after it was painted?",
        "Why did the dog bark?",
        "",
    ],
)
def test_a_question_of_another_kind_is_left_alone(question: str) -> None:
    assert reword(question, BOOK) == (question,)


def test_without_a_phrasebook_a_question_stands_for_itself() -> None:
    assert reword("Where was the red cup washed?", None) == ("Where was the red cup washed?",)


def said(*replies: tuple[str, float]) -> list[Reply]:
    return [Reply(text, logprob, 3) for text, logprob in replies]


def test_wordings_vote_and_the_surest_of_the_winners_stands() -> None:
    where = said(("garden, from 1 2 to 1 9", -0.1), ("kitchen, from 3 2 to 3 9", -0.4), ("kitchen", -0.3))
    assert settle(where).text == "kitchen"
    assert settle(said(("garden", -0.1), ("kitchen", -2.5), ("kitchen", -2.5))).text == "garden"
    times = said(("from 1 2 to 1 9", -0.5), ("from 1 2 to 1 8", -0.2), ("from 7 2 to 7 8", -0.6))
    assert settle(times).text == "from 1 2 to 1 8"


def test_that_there_is_no_answer_wins_against_all_answers_together() -> None:
    nothing = ("not found", -0.1)
    assert settle(said(nothing, nothing, ("one", -0.01), ("two", -0.9))).text == "not found"
    assert settle(said(nothing, ("one", -0.4), ("two", -0.4))).text == "one"


def test_the_first_reply_stands_where_no_probabilities_are_told() -> None:
    nan = float("nan")
    assert settle([Reply("a", nan, 0), Reply("b", nan, 0), Reply("b", nan, 0)]).text == "a"
