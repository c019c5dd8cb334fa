"""A whole walk: watch a drawn film, lose the film, ask; and the same bytes however often it was killed."""

from __future__ import annotations

import json
import os
import random
import signal
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.parts import Eye
from watchonce import journal, library, pipeline, recipe
from watchonce.contracts import Bodies
from watchonce.library import Catalogue
from watchonce.types import BadInput, Query
from watchonce.video import open_video
from watchonce.video.drawn.film import draw


@pytest.fixture(scope="module")
def film(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Seven minutes of drawn film, seven windows."""
    path = tmp_path_factory.mktemp("film") / "home.mp4"
    draw(path, seconds=430, seed=3)
    return path


def files_of(folder: Path) -> dict[str, bytes]:
    return {str(p.relative_to(folder)): p.read_bytes() for p in sorted(folder.rglob("*")) if p.is_file()}


def walk(
    film: Path, out: Path, name: str = "diary", overrides: tuple[str, ...] = (), force: bool = False
) -> Path:
    bodies = Bodies(vlm=Eye())  # type: ignore[arg-type]
    plan = recipe.load(name, overrides)
    return pipeline.watch(
        open_video(film), out, plan, bodies, catalogue=Catalogue(out.parent / "home"), force=force
    )


@pytest.mark.parametrize(
    ("name", "overrides"),
    [
        ("diary", ()),
        ("everything", ()),
        ("everything", ("budget.memory=50",)),
        ("uniform", ("budget.frames=9",)),
    ],
)
def test_the_same_watch_gives_the_same_bytes(
    film: Path, tmp_path: Path, name: str, overrides: tuple[str, ...]
) -> None:
    one = walk(film, tmp_path / "one.memory", name, overrides)
    two = walk(film, tmp_path / "two.memory", name, overrides)
    assert files_of(one) == files_of(two)
    assert library.verify(one) == []
    coverage = library.load(one).manifest["coverage"]
    assert coverage["gaps"] == () or coverage["gaps"] == []
    kept = {"uniform": 9}.get(name, 430)
    assert coverage["kept"] == kept
    if name != "uniform":
        assert coverage["watched"] == pytest.approx(430, abs=0.3)


def test_killed_twenty_times_it_still_gives_the_same_bytes(
    film: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(journal, "EVERY", 0.01)
    monkeypatch.setattr(journal, "SHARE", 1.0)
    undisturbed = walk(film, tmp_path / "calm.memory")
    rng, kills, resumed = random.Random(20), 0, 0
    rounds = 0
    while kills < 20:
        rounds += 1
        assert rounds < 40, f"only {kills} kills landed"
        out = tmp_path / "killed.memory"
        patience = 0.02
        while not out.exists():
            child = os.fork()
            if child == 0:  # the watch; it dies without a word
                os.setsid()
                walk(film, out)
                os._exit(0)
            time.sleep(patience * rng.random())
            os.kill(child, signal.SIGKILL)
            _, status = os.waitpid(child, 0)
            kills += os.WIFSIGNALED(status)
            resumed += (tmp_path / ".killed.memory.watching" / "step.json").exists()
            patience = min(4.0, patience * 1.5)
            assert not out.exists() or library.verify(out) == [], "a memory was visible before it was whole"
        assert files_of(out) == files_of(undisturbed)
        assert not (tmp_path / ".killed.memory.watching").exists() or not os.WIFEXITED(status)
        import shutil

        shutil.rmtree(out)
    assert resumed > 0, "no kill landed after a checkpoint: the test proves nothing"


def test_a_finished_watch_is_not_done_again(film: Path, tmp_path: Path) -> None:
    out = walk(film, tmp_path / "a.memory")
    stamp = (out / "manifest.json").stat().st_mtime_ns
    assert walk(film, out) == out
    assert (out / "manifest.json").stat().st_mtime_ns == stamp
    with pytest.raises(BadInput, match="--force"):
        walk(film, out, "everything")
    walk(film, out, "everything", force=True)
    assert library.load(out).manifest["recipe"]["name"] == "everything"


def test_a_leftover_of_another_job_is_cleared(film: Path, tmp_path: Path) -> None:
    out = tmp_path / "a.memory"
    folder = tmp_path / ".a.memory.watching"
    (folder / "thumbs").mkdir(parents=True)
    (folder / "thumbs" / "0000000001.webp").write_bytes(b"old")
    (folder / "step.json").write_text(json.dumps({"key": "another", "name": "step-00000009"}))
    walk(film, out)
    assert library.verify(out) == []
    assert not (out / "thumbs" / "0000000001.webp").exists()
    assert not folder.exists()


def test_two_writers_of_one_memory_are_one_too_many(film: Path, tmp_path: Path) -> None:
    out = tmp_path / "a.memory"
    with journal.Journal(out, {"a": 1}), pytest.raises(BadInput, match="another watch is writing"):
        walk(film, out)


def test_memory_of_watching_does_not_grow_with_the_film(tmp_path: Path) -> None:
    """Fifty minutes more cost their notes (well under 2 MB), not their pixels (9 MB at this small size)."""
    import tracemalloc

    peaks = []
    for minutes in (10, 60):
        path = tmp_path / f"{minutes}.mp4"
        draw(path, seconds=60 * minutes, seed=1, fps=1.0)
        tracemalloc.start()
        walk(path, tmp_path / f"{minutes}.memory")
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
    assert peaks[1] - peaks[0] < 2e6, peaks


def test_an_empty_question_is_refused(film: Path, tmp_path: Path) -> None:
    out = walk(film, tmp_path / "a.memory", "everything")
    stored = library.load(out)
    parts = recipe.load("everything").parts(Bodies())
    parts.memory.restore(stored.state)
    with pytest.raises(BadInput, match="the question is empty"):
        pipeline.ask(parts, [Query("  ")])


def test_the_work_ahead_ends_when_the_reader_leaves() -> None:
    made: list[int] = []

    def numbers() -> Iterator[int]:
        for i in range(1000):
            made.append(i)
            yield i

    ahead = pipeline._ahead(numbers())
    assert next(ahead) == 0
    ahead.close()
    assert len(made) < 10


def test_a_fault_while_decoding_reaches_the_caller() -> None:
    def broken() -> Iterator[int]:
        yield 1
        raise BadInput("no")

    with pytest.raises(BadInput, match="no"):
        list(pipeline._ahead(broken()))
