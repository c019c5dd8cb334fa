"""Pictures of answers: the right colours at the right times, for ten seconds and for a day."""

from __future__ import annotations

import csv
import itertools
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from watchonce import library, picture, recipe
from watchonce.contracts import Bodies, MemoryState
from watchonce.memory import Memory
from watchonce.methods.diary import Diary
from watchonce.picture.layout import (
    MARGIN,
    ROOM,
    WIDTH,
    across,
    short_clock,
    side_by_side,
    tick_step,
    wrap,
)
from watchonce.types import Answer, BadInput, Coverage, DamagedMemory, Gap, Note, Query, Span

HOT, COLD, PROOF = (214, 62, 42), (243, 242, 238), (11, 98, 196)


def made(
    folder: Path, seconds: float, notes: list[Note], *, thumbs: int = 0, gaps: tuple[Any, ...] = ()
) -> Memory:
    """A real memory folder with the given notes, thumbnails at equal distances, and gaps."""
    plan = recipe.load("diary")
    work = folder / "work"
    (work / library.THUMBS).mkdir(parents=True)
    for number in range(thumbs):
        at = seconds * number / thumbs
        tint = Image.new("RGB", (160, 90), (20 * number % 255, 120, 160))
        tint.save(work / library.THUMBS / f"{round(at * 1000):010d}.webp", "WEBP")
    holes = tuple(Gap(start, end, "r") for start, end in gaps)
    receipt = Coverage(seconds, seconds, int(seconds), int(seconds), 1.0, holes)
    manifest = {
        "schema": library.SCHEMA,
        "version": "test",
        "source": {"name": "f", "fingerprint": "x", "duration": seconds, "width": 160, "height": 90},
        "models": {"vlm": None, "text": None},
        "recipe": plan.as_dict(),
        "job": {},
        "coverage": asdict(receipt),
    }
    state = MemoryState(Diary().state().tensors, tuple(notes))
    library.publish(work, folder / "f.memory", manifest, state, replace=False)
    return Memory(library.load(folder / "f.memory"), Bodies(), plan)


def drawn(memory: Memory, question: str, answer: Answer | None = None, **fields: Any) -> np.ndarray:
    query = Query(question, **fields)
    path = picture.draw_answer(memory, query, answer or memory.ask(query), memory.path.parent / "out.png")
    with Image.open(path) as opened:
        assert opened.format == "PNG"
        return np.asarray(opened.convert("RGB"))


def lane_of(pixels: np.ndarray) -> int:
    """The first row of the whole timeline: a full row of its frame's colour."""
    frame = (pixels[:, MARGIN - 1 : MARGIN + ROOM] == (183, 189, 195)).all(-1).mean(1)
    return int(np.flatnonzero(frame > 0.5)[0]) + 1


def colour(pixels: np.ndarray, row: int, span: Span, time: float) -> tuple[int, ...]:
    return tuple(int(v) for v in pixels[row, round(across(span, time))])


NOTES = [
    Note("someone washes the red cup", 10.0, 20.0),
    Note("someone cuts the blue box", 40.0, 50.0),
    Note("scene: bright, still", 0.0, 60.0, "scene"),
]


def test_heat_evidence_and_gaps_lie_at_their_times(tmp_path: Path) -> None:
    memory = made(tmp_path, 60.0, NOTES, gaps=((25.0, 30.0),))
    pixels = drawn(memory, "When was the red cup washed?")
    lane, whole = lane_of(pixels), Span(0, 60)
    assert colour(pixels, lane + 60, whole, 17.0) == HOT
    assert colour(pixels, lane + 60, whole, 45.0) == COLD
    assert colour(pixels, lane + 60, whole, 5.0) == COLD
    assert colour(pixels, lane + 60, whole, 10.0) == PROOF
    assert colour(pixels, lane + 60, whole, 19.99) == PROOF
    hole = pixels[lane + 2 : lane + 80, round(across(whole, 26)) : round(across(whole, 29))]
    assert {tuple(int(v) for v in p) for p in hole.reshape(-1, 3)} == {(236, 238, 240), (138, 146, 154)}


def test_the_table_beside_it_says_what_the_colours_mean(tmp_path: Path) -> None:
    drawn(made(tmp_path, 60.0, NOTES), "Where was the red cup?")
    with (tmp_path / "out.csv").open(encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    assert [(r["start"], r["text"]) for r in rows] == [
        ("0.000", "scene: bright, still"),
        ("10.000", "someone washes the red cup"),
        ("40.000", "someone cuts the blue box"),
    ]
    assert [float(r["score"]) for r in rows] == [0.0, 1.0, 0.0]


def test_a_time_in_the_question_heats_the_notes_of_that_time(tmp_path: Path) -> None:
    memory = made(tmp_path, 60.0, NOTES)
    scores = {n.text: n.score for n in picture.relevance(memory, Query("What happened at 0:45?"))}
    assert scores["someone cuts the blue box"] == scores["scene: bright, still"] == 1.0
    assert scores["someone washes the red cup"] == 0.0
    early = picture.relevance(memory, Query("blue box", before=30.0))
    assert max(n.score or 0 for n in early) == 0.0


def test_a_thumbnail_of_the_evidence_is_shown(tmp_path: Path) -> None:
    pixels = drawn(made(tmp_path, 60.0, NOTES, thumbs=6), "When was the blue box cut?")
    seen = {tuple(int(v) for v in p) for p in pixels[::4, ::4].reshape(-1, 3)}
    assert any(
        abs(r - 80) < 6 and abs(g - 120) < 6 and abs(b - 160) < 6 for r, g, b in seen
    )  # number 4, 40 s
    assert not any(abs(r - 20) < 6 and abs(g - 120) < 6 and abs(b - 160) < 6 for r, g, b in seen)


def test_not_found_is_said_plainly(tmp_path: Path) -> None:
    pixels = drawn(made(tmp_path, 60.0, NOTES, thumbs=3), "Who plays the violin?")
    words = (pixels == (162, 59, 42)).all(-1)
    assert words.sum() > 500
    assert not (pixels == PROOF).all(-1).any()


@pytest.mark.parametrize("seconds", [10.0, 59.9, 3600.0, 86400.0])
def test_every_length_gets_a_page(tmp_path: Path, seconds: float) -> None:
    notes = [Note(f"someone washes cup {i}", seconds * i / 50, seconds * i / 50 + 2) for i in range(50)]
    answer = Answer("a", evidence=(notes[20].span, notes[21].span, notes[49].span))
    pixels = drawn(made(tmp_path, seconds, notes, thumbs=20), "Was cup 20 washed?", answer)
    assert pixels.shape[1] == WIDTH
    assert 500 < pixels.shape[0] < 1500
    lane, whole = lane_of(pixels), Span(0, seconds)
    middle = notes[20].start + 0.5
    around = pixels[lane + 50, round(across(whole, middle)) - 3 : round(across(whole, middle)) + 4]
    seen = {tuple(int(v) for v in p) for p in around}
    assert seen & {HOT, PROOF}


def test_pages_of_odd_answers(tmp_path: Path) -> None:
    memory = made(tmp_path, 60.0, NOTES, thumbs=2, gaps=((0.0, 60.0), (70.0, 80.0)))
    many = tuple(Span(i, i + 0.5, 0.1) for i in range(30))
    for number, (question, answer) in enumerate(
        [
            ("why " * 400, Answer("because " * 400, evidence=many)),
            ("w" * 900, Answer("")),
            ("Wo ist die Tür? Где дверь?", Answer("dort", evidence=(Span(59.9, 60.0),))),
            ("empty spans", Answer("x", evidence=(Span(0.0, 0.0), Span(60.0, 60.0)))),
        ]
    ):
        pixels = drawn(memory, question, answer)
        assert pixels.shape[0] < 1700, number
        assert (pixels[:, -20:] == 255).all(), "nothing runs over the right margin"
        assert (pixels[-20:] == 255).all()


def test_a_memory_without_notes_still_shows_its_evidence(tmp_path: Path) -> None:
    memory = made(tmp_path, 60.0, [])
    pixels = drawn(memory, "what?", Answer("this", evidence=(Span(10.0, 20.0, 0.5),)))
    assert colour(pixels, lane_of(pixels) + 60, Span(0, 60), 10.0) == PROOF
    assert (tmp_path / "out.csv").read_text(encoding="utf-8") == "start,end,score,text\n"


def test_bad_paths_and_bad_pictures_are_named(tmp_path: Path) -> None:
    memory = made(tmp_path, 60.0, NOTES, thumbs=1)
    query, answer = Query("red cup"), Answer("x", evidence=(Span(10.0, 20.0),))
    with pytest.raises(BadInput, match=r"answer\.png"):
        picture.draw_answer(memory, query, answer, tmp_path / "answer.jpg")
    with pytest.raises(BadInput, match="does not exist"):
        picture.draw_answer(memory, query, answer, tmp_path / "nowhere" / "out.png")
    memory.stored.thumbs[0][1].write_bytes(b"no picture")
    with pytest.raises(DamagedMemory, match=r"0000000000\.webp"):
        picture.draw_answer(memory, query, answer, tmp_path / "out.png")
    assert not list(tmp_path.glob(".*part"))


# -- layout


@given(st.text(max_size=300), st.integers(3, 40), st.integers(1, 8))
@settings(max_examples=150, deadline=None)
def test_wrapped_text_fits(text: str, width: int, lines: int) -> None:
    found = wrap(text, len, width, lines)
    assert 1 <= len(found) <= lines
    assert all(len(line) <= width for line in found)
    if not found[-1].endswith("…"):
        assert "".join(found).replace(" ", "") == "".join(text.split())


@given(st.lists(st.floats(-500, 2500), min_size=1, max_size=5))
def test_cards_never_overlap_nor_leave_the_page(wishes: list[float]) -> None:
    pitch = (ROOM - 4 * 24) // 5 + 24
    places = side_by_side(sorted(wishes), pitch)
    assert all(b - a >= pitch - 1 for a, b in itertools.pairwise(places))
    assert places[0] >= MARGIN
    assert places[-1] + pitch - 24 <= WIDTH - MARGIN + 1


@given(st.floats(0.5, 400_000))
def test_ticks_are_few_and_round(seconds: float) -> None:
    step = tick_step(seconds)
    assert seconds / step <= 12
    assert step >= 0.1
    if seconds > 60:
        assert seconds / step >= 3


def test_labels_of_ticks() -> None:
    assert short_clock(65.0, 600.0) == "1:05"
    assert short_clock(65.0, 7200.0) == "0:01:05"
    assert short_clock(0.2, 1.0) == "0:00.2"


def test_a_box_is_drawn_on_the_frame_it_is_of(tmp_path: Path) -> None:
    memory = made(tmp_path, 60.0, NOTES, thumbs=6)
    span = Span(18.0, 22.0)
    box = (0.25, 0.25, 0.75, 0.75)
    for moment, wanted in ((20.4, True), (24.0, False)):
        pixels = drawn(memory, "Where?", Answer("a box", boxes=((moment, *box),), evidence=(span,)))
        lane = lane_of(pixels)
        card = (pixels[: lane - 60] == PROOF).all(-1)
        runs = card[:, MARGIN:-MARGIN].sum(1)
        assert (int(runs.max()) > 120) == wanted, "the box's upper side is half a card wide"
