"""The first walk with the model that ships: draw, watch, lose the film, ask; and a variable frame rate."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from watchonce import Memory, watch
from watchonce.types import Query, Span
from watchonce.video import open_video
from watchonce.video.drawn.film import draw
from watchonce.video.drawn.truth import load_truth


@pytest.fixture(scope="module", autouse=True)
def home(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    patch = pytest.MonkeyPatch()
    patch.setenv("WATCHONCE_HOME", str(tmp_path_factory.mktemp("home")))
    yield
    patch.undo()


@pytest.fixture(scope="module")
def walked(tmp_path_factory: pytest.TempPathFactory) -> tuple[Memory, dict]:
    """Eight minutes of film, watched by the tiny model, then deleted."""
    folder = tmp_path_factory.mktemp("walk")
    draw(folder / "home.mp4", seconds=480, seed=11)
    told: list[str] = []
    memory = watch(folder / "home.mp4", folder / "home.memory", tell=told.append)
    assert told == ["a drawn film: using the tiny model that ships"]
    (folder / "home.mp4").unlink()
    return memory, json.loads((folder / "home.json").read_text())


def test_most_events_are_noted_where_they_happen(walked: tuple[Memory, dict]) -> None:
    memory, truth = walked
    found = 0
    for event in truth["events"]:
        span = Span(event["start"], event["end"])
        found += any(n.text == event["text"] and n.span.iou(span) > 0.3 for n in memory.notes)
    assert found >= 0.6 * len(truth["events"]), f"{found} of {len(truth['events'])} events noted"


def right(answer: object, row: dict) -> bool:
    text = getattr(answer, "text", "").strip(" .").lower()
    evidence = getattr(answer, "evidence", ())
    if row["kind"] == "none":
        return getattr(answer, "not_found", False)
    if row["kind"] == "when":
        return any(evidence[0].overlap(Span(*s)) > 0 for s in row["evidence"]) if evidence else False
    return text == row["answer"].strip(" .").lower()


def test_questions_are_answered_without_the_film(walked: tuple[Memory, dict]) -> None:
    memory, truth = walked
    rows = truth["questions"]
    answers = memory.ask_all([Query(row["question"]) for row in rows])
    score = float(np.mean([right(a, row) for a, row in zip(answers, rows, strict=True)]))
    assert score >= 0.5, f"{score:.2f} of {len(rows)} right"
    proven = [a for a in answers if not a.not_found and a.text.lower() != "no"]
    assert np.mean([bool(a.evidence) for a in proven]) > 0.9
    assert all(0 <= s.start < s.end <= memory.duration + 1 for a in proven for s in a.evidence)


def test_what_never_happened_is_not_found(walked: tuple[Memory, dict]) -> None:
    memory, _ = walked
    for question in ("When was the elephant washed?", "Where is the dragon?", "What did the pope paint?"):
        answer = memory.ask(question)
        assert answer.not_found, f"{question}: {answer.text}"
        assert answer.evidence == ()


def test_the_same_question_has_the_same_answer_after_reopening(walked: tuple[Memory, dict]) -> None:
    memory, truth = walked
    question = truth["questions"][0]["question"]
    again = Memory.open(memory.path)
    assert again.ask(question).text == memory.ask(question).text
    assert again.ask(question).evidence == memory.ask(question).evidence


def test_evidence_of_a_variable_rate_film_lies_on_its_own_time_stamps(tmp_path: Path) -> None:
    """Spans may only begin and end on the grid of looks, or on a frame's own start or end."""
    film = tmp_path / "vary.mp4"
    draw(film, seconds=120, seed=4, vary=True)
    truth = load_truth(film)
    video = open_video(film)
    stamps = np.concatenate([b.start for b in video.frames()] + [b.end for b in video.frames()])
    memory = watch(film, tmp_path / "vary.memory")
    captions = [n for n in memory.notes if n.source == "caption"]
    assert captions
    for note in captions:
        for edge in (note.start, note.end):
            assert edge % 4.0 == 0 or np.abs(stamps - edge).min() < 1e-9
    # a look covers 8 s and vouches for 4: events must be noted within a few seconds of where they are
    errors = [min((abs(n.start - e.start) + abs(n.end - e.end)) / 2 for n in captions) for e in truth.events]
    assert np.median(errors) < 4.0, errors


def test_the_uniform_baseline_walks_too(tmp_path: Path) -> None:
    film = tmp_path / "home.mp4"
    draw(film, seconds=60, seed=2)
    memory = watch(film, tmp_path / "u.memory", recipe="uniform", overrides=["budget.frames=16"])
    answer = memory.ask(
        Query("Which room is this?", choices=("kitchen", "bedroom", "office", "garage", "garden"))
    )
    rooms = {v.room for v in load_truth(film).visits}
    assert answer.text in rooms
    assert len(answer.scores) == 5
    assert answer.evidence
