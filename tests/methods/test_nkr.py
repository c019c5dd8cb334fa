"""NKR whole, on the model that ships: a minute of film becomes an adapter, and the adapter answers."""

from __future__ import annotations

import hashlib
import json
import shutil
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch

from watchonce import library, pipeline, recipe
from watchonce.contracts import Bodies
from watchonce.library import Catalogue
from watchonce.memory import Memory
from watchonce.methods.nkr import NKR, Recite
from watchonce.models.vlm import load_vlm
from watchonce.types import BadInput, DamagedMemory, Query, Recall, Span
from watchonce.video import open_video
from watchonce.video.drawn.film import draw

ROOT = Path(__file__).resolve().parents[2]
QUICK = ("memory.rounds=26", "memory.legs=1", "memory.rate=8e-3")


@pytest.fixture(scope="module")
def vlm() -> Any:
    torch.set_num_threads(1)
    return load_vlm("tiny", device="cpu")


@pytest.fixture(scope="module")
def film(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("film") / "home.mp4"
    draw(path, seconds=70, seed=18, fps=2.0, split="val")
    return path


def walk(film: Path, out: Path, vlm: Any, report: Any = lambda progress: None) -> Path:
    plan = recipe.load("nkr", QUICK)
    catalogue = Catalogue(out.parent / "home")
    return pipeline.watch(open_video(film), out, plan, Bodies(vlm=vlm), catalogue=catalogue, report=report)


@pytest.fixture(scope="module")
def memory(film: Path, vlm: Any, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return walk(film, tmp_path_factory.mktemp("memory") / "home.memory", vlm)


def corpus_of(memory: Path) -> list[dict[str, Any]]:
    rows = [json.loads(line) for line in (memory / "study" / "corpus.jsonl").read_text().splitlines()]
    return [row["item"] for row in rows if "item" in row]


def opened(memory: Path, vlm: Any) -> tuple[NKR, Recite]:
    part, answerer = NKR(), Recite()
    part.bind(Bodies(vlm=vlm))
    answerer.bind(Bodies(vlm=vlm))
    part.restore(library.load(memory).state)
    return part, answerer


def test_it_answers_with_nothing_in_view_what_the_bare_model_cannot(memory: Path, vlm: Any) -> None:
    part, answerer = opened(memory, vlm)
    kinds = ("where", "after", "before", "object")
    items = [item for item in corpus_of(memory) if item["kind"] in kinds and item["evidence"]]
    assert len(items) > 10
    queries = [Query(item["question"]) for item in items]
    learnt = answerer.answer([part.read(q) for q in queries], queries)
    bare = answerer.answer([Recall()] * len(queries), queries)
    right = [sum(a.text == i["answer"] for a, i in zip(told, items, strict=True)) for told in (learnt, bare)]
    assert right[0] >= 0.5 * len(items)
    assert right[0] >= 2 * right[1]
    told = [(a.evidence[0], i["evidence"][0]) for a, i in zip(learnt, items, strict=True) if a.evidence]
    assert len(told) >= 0.8 * len(items), "an answer comes with its time"
    met = [span.iou(Span(true["start"], true["end"])) > 0.3 for span, true in told]
    assert sum(met) >= 0.5 * len(met)
    assert part.desk is None, "reading needs no film"


def test_the_asset_is_small_whole_and_says_what_it_is(memory: Path, film: Path, vlm: Any) -> None:
    stored = library.load(memory)
    assert sorted(stored.state.folders) == ["adapter", "study"]
    adapter = stored.state.folders["adapter"]
    assert sum(file.stat().st_size for file in adapter.iterdir()) < 1_000_000
    facts = json.loads((adapter / "nkr.json").read_text())
    assert facts["base"] == {"name": "tiny", "revision": vlm.revision}
    assert facts["video"]["fingerprint"] == open_video(film).fingerprint
    assert facts["coverage"]["watched"] == pytest.approx(70, abs=1.0)
    assert facts["carrier"]["rank"] == 8
    assert json.loads((memory / "study" / "cost.json").read_text())["distil_seconds"] > 0
    assert stored.state.notes, "the events are kept for the eye"
    text = "".join(file.read_text() for file in memory.rglob("*.json*"))
    assert str(memory.parent) not in text


def test_another_base_and_a_flipped_bit_are_refused(memory: Path, vlm: Any, tmp_path: Path) -> None:
    copy = tmp_path / "copy.memory"
    shutil.copytree(memory, copy)
    weights = copy / "adapter" / "adapter_model.safetensors"
    content = bytearray(weights.read_bytes())
    content[len(content) // 2] ^= 1
    weights.write_bytes(content)
    with pytest.raises(DamagedMemory, match=r"adapter_model.safetensors: damaged"):
        library.load(copy)
    part, answerer = opened(memory, vlm)
    config = memory / "adapter" / "adapter_config.json"
    before = config.read_text()
    config.write_text(before.replace(vlm.revision, "0" * 16))
    try:
        with pytest.raises(BadInput, match="was made for tiny at 0000000000000000, not") as caught:
            answerer.answer([part.read(Query("where?"))], [Query("where?")])
        assert "\n" not in str(caught.value)
    finally:
        config.write_text(before)


def test_nothing_stays_on_the_model_and_a_memory_is_asked_as_any(
    memory: Path, vlm: Any, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    prompt = vlm.prompt("where is the red cup")
    before = vlm.score([prompt], [["kitchen", "garden"]])[0]
    part, answerer = opened(memory, vlm)
    asked = Query("where is the red cup", choices=("kitchen", "garden"))
    chosen = answerer.answer([part.read(asked)], [asked])[0]
    assert chosen.choice in (0, 1)
    assert chosen.scores[chosen.choice] == max(chosen.scores)
    assert (vlm.score([prompt], [["kitchen", "garden"]])[0] == before).all()
    monkeypatch.setenv("WATCHONCE_HOME", str(tmp_path))
    whole = Memory.open(memory)
    items = [item for item in corpus_of(memory) if item["kind"] == "where" and item["evidence"]]
    answers = [whole.ask(item["question"]) for item in items]
    later = [n for n, answer in enumerate(answers) if answer.evidence and answer.evidence[0].start > 1]
    assert later, "no answer told a time beyond the first second"
    assert answers[later[0]].cost.tokens > 0
    assert whole.ask(items[later[0]]["question"], before=1.0).not_found
    assert whole.find(Query(items[0]["answer"])), "its notes are found"


KILLED = """
import os, signal, sys
from pathlib import Path
import torch
from tests.methods.test_nkr import walk
from watchonce.models.vlm import load_vlm

def die(progress):
    if progress.stage == "learn 1" and progress.done >= 55:
        os.kill(os.getpid(), signal.SIGKILL)

torch.set_num_threads(1)
walk(Path(sys.argv[1]), Path(sys.argv[2]), load_vlm("tiny", device="cpu"), die)
"""


def test_killed_while_it_learns_it_goes_on_to_the_same_adapter(
    memory: Path, film: Path, vlm: Any, tmp_path: Path
) -> None:
    """In a process of its own: torch cannot train in a fork of a process that has trained."""
    out = tmp_path / "home.memory"
    done = subprocess.run([sys.executable, "-c", KILLED, str(film), str(out)], cwd=ROOT, timeout=500)
    assert done.returncode == -signal.SIGKILL
    assert not out.exists()
    desk = tmp_path / ".home.memory.watching" / "desk"
    assert (desk / "leg0.safetensors").exists(), "no kill landed after a checkpoint: the test proves nothing"
    stages: dict[str, float] = {}
    walk(film, out, vlm, lambda progress: stages.setdefault(progress.stage, progress.done))
    assert "watch" not in stages
    assert stages["learn 1"] > 50, "it went on where it was"
    same = ["adapter/adapter_model.safetensors", "adapter/nkr.json", "study/corpus.jsonl", "timeline.jsonl"]
    for name in same:
        one, two = (hashlib.sha256((folder / name).read_bytes()).hexdigest() for folder in (memory, out))
        assert one == two, name


def test_the_rank_follows_the_length_and_the_budget(vlm: Any) -> None:
    from watchonce.study.asset import lora_for

    assert [lora_for(vlm, s, None, 0).rank for s in (60, 600, 601, 3600, 7200, 9000)] == [
        8,
        8,
        16,
        16,
        32,
        64,
    ]
    with vlm.learn(lora_for(vlm, 60, 10**9, 0)) as student:
        whole = sum(p.numel() for p in student.module.parameters())
    assert lora_for(vlm, 60, whole, 0).rank == 8
    assert lora_for(vlm, 60, whole - 1, 0).rank == 4
    with pytest.raises(BadInput, match="holds no adapter; the least one has"):
        lora_for(vlm, 60, 100, 0)


def test_a_watch_without_a_model_says_so_at_once(film: Path, tmp_path: Path) -> None:
    with pytest.raises(BadInput, match="add --model"):
        walk(film, tmp_path / "home.memory", None)
