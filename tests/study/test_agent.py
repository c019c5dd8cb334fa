"""agent: a film becomes a corpus; a kill changes nothing; a model that talks nonsense breaks nothing."""

from __future__ import annotations

import hashlib
import os
import signal
import subprocess
import sys
import textwrap
import time
from pathlib import Path
from typing import cast

import pytest

from tests.models.builders import BUILDERS, SIZES
from watchonce.contracts import VLM, Desk
from watchonce.models.vlm import load_vlm
from watchonce.study.agent import CORPUS, TRACE, Agent, Effort, costs
from watchonce.study.exam import Marks
from watchonce.study.items import Corpus, Event
from watchonce.types import Note, Video
from watchonce.video.file import FileVideo

STRAIGHT = "straight"


def digest(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


@pytest.fixture(scope="module")
def studied(
    film: Video, looks: list[Note], tiny: VLM, tmp_path_factory: pytest.TempPathFactory
) -> tuple[Agent, Corpus]:
    folder = tmp_path_factory.mktemp("studied")
    agent = Agent(Desk(film, folder, lambda *_: None), tiny, looks, Effort(calls=400))
    corpus = agent.explore()
    (folder / STRAIGHT).write_text(digest(folder / CORPUS))  # a later tour writes another corpus
    return agent, corpus


def test_a_film_becomes_a_corpus(studied: tuple[Agent, Corpus], film: Video) -> None:
    agent, corpus = studied
    folder = agent.desk.folder
    kinds = {item.kind for item in corpus.items}
    assert {"when", "what", "where", "object", "at", "count", "ever"} <= kinds
    assert len(corpus.items) > 100
    assert corpus.probe
    taught = {item.question for item in corpus.items}
    assert not [item for item in corpus.probe if item.question in taught]
    assert all(0 <= e.start < e.end <= film.duration + 1e-6 for e in corpus.events)
    assert agent.findings.calls <= 400
    assert agent.findings.silent < 8
    assert agent.findings.controls["second look"] > agent.findings.controls["blind"]
    spent = costs(folder)
    assert set(spent) >= {"overview", "verify", "second opinion"}
    assert all(row["seconds"] > 0 for row in spent.values())


def test_a_further_tour_dwells_on_what_was_missed(studied: tuple[Agent, Corpus]) -> None:
    agent, corpus = studied
    before = agent.tools.trace.calls
    missed = frozenset(item.fact for item in corpus.probe if item.kind == "when")
    again = agent.again(corpus, Marks(0, len(missed), {}, missed))
    heavy = {item.fact for item in again.items if item.weight > 1}
    assert heavy
    assert heavy <= missed
    assert agent.tools.trace.calls > before
    assert any(step.tool == "zoom" for step in agent.tools.trace.steps)


def test_the_budget_is_a_hard_cap(film: Video, looks: list[Note], tiny: VLM, tmp_path: Path) -> None:
    agent = Agent(Desk(film, tmp_path, lambda *_: None), tiny, looks, Effort(calls=20))
    corpus = agent.explore()
    assert len(agent.tools.trace.steps) <= 20
    assert corpus.items  # the vote costs nothing
    assert agent.findings.checks["unseen"] > 0


CHILD = """
import sys
from pathlib import Path
import torch
torch.set_num_threads(1)
from watchonce.contracts import Desk
from watchonce.models.vlm import load_vlm
from watchonce.study.agent import Agent, Effort
from watchonce.study.items import Corpus, Event
from watchonce.types import Note
from watchonce.video import open_video
looks = [Note(e.text, e.start, e.end, "caption", e.score) for e in Corpus.read(Path(sys.argv[3])).events]
desk = Desk(open_video(Path(sys.argv[1])), Path(sys.argv[2]), lambda *_: None)
Agent(desk, load_vlm("tiny", device="cpu"), looks, Effort(calls=400)).explore()
"""


def test_a_killed_study_goes_on_and_ends_the_same(
    studied: tuple[Agent, Corpus], film: Video, looks: list[Note], tiny: VLM, tmp_path: Path
) -> None:
    first, _ = studied
    whole = first.desk.folder / TRACE
    folder, notes, script = tmp_path / "killed", tmp_path / "looks.jsonl", tmp_path / "child.py"
    folder.mkdir()
    script.write_text(textwrap.dedent(CHILD))
    Corpus(tuple(Event(n.start, n.end, n.text, n.score) for n in looks)).write(notes)
    path = str(cast(FileVideo, film).path)
    child = subprocess.Popen([sys.executable, str(script), path, str(folder), str(notes)])
    trace = folder / TRACE
    while child.poll() is None and not (trace.exists() and trace.stat().st_size > 0.1 * whole.stat().st_size):
        time.sleep(0.01)
    assert child.poll() is None, "the study ended before it could be killed"
    os.kill(child.pid, signal.SIGKILL)
    child.wait()
    assert not (folder / CORPUS).exists()
    done = trace.read_bytes()
    again = Agent(Desk(film, folder, lambda *_: None), tiny, looks, Effort(calls=400))
    paid = len(again.tools.trace.steps)
    assert paid > 0
    corpus = again.explore()
    assert digest(folder / CORPUS) == (first.desk.folder / STRAIGHT).read_text()
    assert Corpus.read(folder / CORPUS) == corpus
    assert trace.read_bytes().startswith(done[: done.rfind(b'"more": 0')])  # nothing made was made again


@pytest.mark.parametrize("family", ["smolvlm", "qwen2_5_vl"])
def test_nonsense_replies_end_in_an_empty_handed_but_whole_study(
    family: str, film: Video, tmp_path: Path
) -> None:
    folder = BUILDERS[family](tmp_path / "model")
    vlm = load_vlm(folder, device="cpu", size=SIZES[family] if family.startswith("qwen") else None)
    assert vlm.phrasebook is None
    desk = Desk(film, tmp_path / "desk", lambda *_: None)
    desk.folder.mkdir()
    spoken = Note("Hello there, this is the kitchen.", 3.0, 6.0, "subtitle")
    corpus = Agent(desk, vlm, [spoken], Effort(calls=12)).explore()
    assert Corpus.read(desk.folder / CORPUS) == corpus
    assert any("this is the kitchen" in event.text for event in corpus.events)
    assert {item.kind for item in corpus.items} >= {"when", "at", "summary"}
    assert all(0 <= e.start <= e.end for e in corpus.events)
    assert corpus.dropped.get("unparsed", 0) + corpus.dropped.get("unwritten", 0) >= 1
