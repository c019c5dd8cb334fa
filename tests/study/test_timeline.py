"""timeline: events of a drawn film against its truth, crossed events undone, gaps found."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import cast

from watchonce.contracts import VLM, Desk
from watchonce.study.items import Event
from watchonce.study.timeline import join, timeline, uncovered, uncross
from watchonce.study.tools import Toolbox
from watchonce.study.trace import Trace
from watchonce.types import Note, Span, Video
from watchonce.video.drawn.phrases import sentence
from watchonce.video.drawn.truth import load_truth
from watchonce.video.file import FileVideo

CUP = "someone pulls the green cup in the office."
SHOE = "someone wipes the purple shoe in the office."
CROSSED = "someone pulls the purple shoe in the office."


def test_the_events_of_a_film_are_found_and_no_others(film: Video, looks: list[Note]) -> None:
    truth = load_truth(Path(cast(FileVideo, film).path))
    names = {thing.id: thing.name for thing in truth.instances}
    true = {sentence(e.activity, names[e.instance], e.room): Span(e.start, e.end) for e in truth.events}
    found = [e for e in timeline(looks).events if not e.text.startswith("nothing") and e.end - e.start > 2]
    right = [e for e in found if e.text in true and true[e.text].iou(e.span) >= 0.5]
    assert len(true) >= 2
    assert len(right) >= 0.7 * len(true)
    assert len(right) >= 0.7 * len(found)
    for event in found:
        assert 0 <= event.start < event.end <= film.duration + 1


def test_a_closer_look_decides_between_rivals(
    desk: Callable[[], Desk], looks: list[Note], tiny: VLM, film: Video
) -> None:
    table = timeline(looks)
    event = max((e for e in table.events if not e.text.startswith("nothing")), key=lambda e: e.end - e.start)
    colours = ("red", "blue", "yellow", "purple", "green", "orange")
    worn = next(c for c in colours if c in event.text)
    wrong = event.text.replace(worn, next(c for c in colours if c != worn), 1)
    # a first watch whose looks take the colour for another more often than not
    bad = [
        replace(n, text=n.text.replace(event.text, wrong)) if event.text in n.text and i % 3 else n
        for i, n in enumerate(looks)
    ]
    assert wrong in {e.text for e in timeline(bad).events}
    tools = Toolbox(desk(), tiny, looks, "Describe what happens.", Trace(desk().folder / "trace.jsonl"))
    settled = timeline(bad, tools)
    assert settled.changed >= 1
    texts = {e.text for e in settled.events}
    assert event.text in texts
    assert wrong not in texts
    assert tools.trace.costs()["weigh"]["calls"] > 0


def test_without_calls_left_the_vote_stands(desk: Callable[[], Desk], looks: list[Note], tiny: VLM) -> None:
    trace = Trace(desk().folder / "trace.jsonl")
    tools = Toolbox(desk(), tiny, looks, "Describe what happens.", trace, calls=1)
    table = timeline(looks, tools)
    assert trace.steps == []
    assert table.changed == 0


def test_two_events_crossed_give_their_time_back() -> None:
    events = [Event(600, 644, CUP), Event(642, 650, CROSSED), Event(648, 668, SHOE)]
    assert [(e.text, e.start, e.end) for e in uncross(events)] == [(CUP, 600, 650), (SHOE, 642, 668)]


def test_what_lasts_or_adds_a_word_is_not_crossed() -> None:
    long = [Event(600, 644, CUP), Event(630, 650, CROSSED), Event(648, 668, SHOE)]
    new = [Event(600, 644, CUP), Event(642, 650, CROSSED.replace("purple", "red")), Event(648, 668, SHOE)]
    far = [Event(600, 620, CUP), Event(642, 650, CROSSED), Event(648, 668, SHOE)]
    for events in (long, new, far):
        assert uncross(events) == events


def test_equal_events_nearby_are_one() -> None:
    events = [Event(0, 10, CUP, 0.5), Event(12, 20, CUP, 0.9), Event(40, 50, CUP), Event(8, 14, SHOE)]
    assert [(e.text, e.start, e.end, e.score) for e in join(events)] == [
        (CUP, 0, 20, 0.9),
        (SHOE, 8, 14, None),
        (CUP, 40, 50, None),
    ]


def test_stretches_nobody_spoke_of() -> None:
    events = [Event(4, 10, CUP), Event(8, 9, SHOE), Event(30, 40, SHOE)]
    assert uncovered(events, 60.0, 8.0) == [Span(10, 30), Span(40, 60)]
    assert uncovered(events, 60.0, 0.5)[0] == Span(0, 4)
    assert uncovered([], 5.0, 1.0) == [Span(0, 5)]
