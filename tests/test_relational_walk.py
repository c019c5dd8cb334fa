"""The relational walk with the weights that ship: draw, watch into a fixed size, lose the film, ask."""

from __future__ import annotations

import hashlib
import json
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from watchonce import Memory, find, journal, library, watch
from watchonce.bench.rest.asking import RestCase, cases_of, said_of
from watchonce.bench.rest.drawn import film_of
from watchonce.bench.rest.scoring import score
from watchonce.cli import main
from watchonce.ops.weights import shipped
from watchonce.types import Query, Span
from watchonce.video.drawn.film import draw
from watchonce.video.drawn.truth import load_truth

pytestmark = pytest.mark.skipif(
    not shipped("long_vmnet").is_file(),
    reason="the weights of long_vmnet are not in this checkout; run watchonce train long_vmnet",
)
SECONDS = 600


@pytest.fixture(scope="module", autouse=True)
def home(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    patch = pytest.MonkeyPatch()
    patch.setenv("WATCHONCE_HOME", str(tmp_path_factory.mktemp("home")))
    yield
    patch.undo()


@pytest.fixture(scope="module")
def walked(tmp_path_factory: pytest.TempPathFactory) -> tuple[Memory, tuple[RestCase, ...]]:
    """Ten minutes of a test film, watched and deleted; and what is asked of it."""
    path = tmp_path_factory.mktemp("walk") / "home.mp4"
    draw(path, seconds=SECONDS, seed=11, fps=1.0)
    told: list[str] = []
    memory = watch(path, recipe="long_vmnet", tell=told.append)
    assert told == ["seeing with the vision tower of tiny"]
    cases = cases_of(path, film_of(load_truth(path), 10))
    path.unlink()
    return memory, cases


def test_it_names_what_is_done_far_above_chance(walked: tuple[Memory, tuple[RestCase, ...]]) -> None:
    memory, cases = walked
    mine = [case for case in cases if case.kind.startswith("activity")]
    answers = memory.ask_all([case.query for case in mine])
    right = np.mean(
        [bool(a.activities) and a.activities[0][0] in c.right for a, c in zip(answers, mine, strict=True)]
    )
    assert len(mine) >= 20
    assert right >= 0.75, f"{right:.2f} of {len(mine)}; chance is about .15"


def test_it_finds_when_and_where_far_above_chance(walked: tuple[Memory, tuple[RestCase, ...]]) -> None:
    memory, cases = walked
    hits: dict[str, list[float]] = defaultdict(list)
    for case in cases:
        told = score(case.asked, said_of(memory.ask(case.query)))
        hits[case.asked.kind].append(next(iter(told.values())))
    assert np.mean(hits["time"]) >= 0.5, (
        f"{np.mean(hits['time']):.2f} of {len(hits['time'])}; prior about .05"
    )
    assert np.mean(hits["object"]) >= 0.75, (
        f"{np.mean(hits['object']):.2f} of {len(hits['object'])}; prior about .1"
    )


def test_evidence_lies_in_the_span_that_was_asked_about(walked: tuple[Memory, tuple[RestCase, ...]]) -> None:
    memory, cases = walked
    for case in cases:
        answer = memory.ask(case.query)
        span = case.query.span or Span(0.0, SECONDS)
        assert all(s.end > span.start - 3 and s.start < span.end + 3 for s in answer.evidence)
        assert all(span.start <= t <= span.end for t, *_ in answer.boxes)
        assert answer.not_found == (not answer.evidence)


def test_many_at_once_are_answered_as_one_by_one(walked: tuple[Memory, tuple[RestCase, ...]]) -> None:
    memory, cases = walked
    queries = [case.query for case in cases][::4]
    for one, many in zip([memory.ask(q) for q in queries], memory.ask_all(queries), strict=True):
        assert [name for name, _ in one.activities] == [name for name, _ in many.activities]
        np.testing.assert_allclose(
            np.array(one.boxes).reshape(-1, 5), np.array(many.boxes).reshape(-1, 5), atol=1e-4
        )
        assert one.not_found == many.not_found


def test_the_memory_reopens_and_answers_the_same(walked: tuple[Memory, tuple[RestCase, ...]]) -> None:
    memory, cases = walked
    again = Memory.open(memory.path)
    query = next(case.query for case in cases if case.kind.startswith("activity"))
    assert again.ask(query).activities == memory.ask(query).activities
    found = find(query)
    assert [(hit.memory, hit.text) for hit in found] == [
        ("home", name) for name, _ in memory.ask(query).activities
    ]


def digests(folder: Path) -> dict[str, str]:
    files = sorted(p for p in folder.rglob("*") if p.is_file())
    return {str(p.relative_to(folder)): hashlib.sha256(p.read_bytes()).hexdigest() for p in files}


def test_an_interrupted_watch_leaves_the_same_bytes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    draw(tmp_path / "film.mp4", seconds=200, seed=4, fps=1.0)
    watch(tmp_path / "film.mp4", tmp_path / "calm.memory", recipe="long_vmnet")
    monkeypatch.setattr(journal, "EVERY", 0.0)
    monkeypatch.setattr(journal, "SHARE", 1.0)

    def stop(progress: object) -> None:
        if getattr(progress, "done", 0.0) > 100:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        watch(tmp_path / "film.mp4", tmp_path / "torn.memory", recipe="long_vmnet", report=stop)
    assert (tmp_path / ".torn.memory.watching" / "step.json").is_file()
    watch(tmp_path / "film.mp4", tmp_path / "torn.memory", recipe="long_vmnet")
    assert digests(tmp_path / "calm.memory") == digests(tmp_path / "torn.memory")


def test_the_memory_file_is_as_large_for_any_length(tmp_path: Path) -> None:
    sizes = []
    for minutes in (2, 6):
        draw(tmp_path / f"{minutes}.mp4", seconds=60 * minutes, seed=4, fps=1.0)
        made = watch(tmp_path / f"{minutes}.mp4", recipe="long_vmnet")
        sizes.append((made.path / library.TENSORS).stat().st_size)
    assert sizes[0] == sizes[1] < 9e6


def test_the_verbs_answer_in_lines_and_in_json(
    walked: tuple[Memory, tuple[RestCase, ...]],
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    from PIL import Image

    memory, cases = walked
    case = next(c for c in cases if c.kind.startswith("time") and not memory.ask(c.query).not_found)
    assert case.query.image is not None
    Image.fromarray(case.query.image.transpose(1, 2, 0)).save(tmp_path / "thing.png")
    monkeypatch.chdir(tmp_path)

    def said(*words: str) -> str:
        with pytest.raises(SystemExit) as ended:
            main(list(words))
        assert ended.value.code == 0
        return capsys.readouterr().out

    deed = str(case.query.activity)
    found = json.loads(said("ask", "home", "--activity", deed, "--object", "thing.png", "--json"))
    assert (found["asks"], found["activity"], found["object"]) == ("time", deed, "thing.png")
    assert (
        found["evidence"][0]["start"]
        == memory.ask(Query(activity=deed, image=case.query.image)).evidence[0].start
    )
    shown = said("ask", "home", "--activity", deed, "--object", "thing.png").splitlines()
    assert shown[0].strip().startswith(found["evidence"][0]["text"])
    hits = json.loads(said("find", "all", "--object", "thing.png", "--span", "0-600", "--json"))["hits"]
    assert hits
    assert {hit["memory"] for hit in hits} <= {"home", "2", "6", "calm", "torn"}
    assert said("find", "home", "--activity", deed, "--span", "1:00-1:10", "--most", "3").count("\n") in (
        1,
        4,
    )
    assert said("show", "home").startswith("home.png: what home.memory kept")
    with Image.open("home.png") as page:
        assert page.width == 1600
