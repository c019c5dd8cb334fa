"""`watchonce delete`: of a video nothing is left, in no file and in no free page; others keep all theirs."""

from __future__ import annotations

import json
import sqlite3
from pathlib import Path

import numpy as np
import pytest

from tests.contract.conftest import walk
from tests.test_cli import call
from watchonce import journal, library, removal
from watchonce.library import Catalogue
from watchonce.signals import Cache
from watchonce.types import BadInput
from watchonce.video.drawn.film import draw


@pytest.fixture(scope="module")
def films(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """Two films with telling names."""
    folder = tmp_path_factory.mktemp("films")
    for seed, name in ((3, "private-wedding"), (4, "public-lecture")):
        draw(folder / f"{name}.mp4", seconds=20, seed=seed, fps=2.0)
    return folder / "private-wedding.mp4", folder / "public-lecture.mp4"


def test_nothing_of_a_deleted_video_is_left(films: tuple[Path, Path], tmp_path: Path) -> None:
    home = tmp_path / "home"
    shelf, cache = Catalogue(home), Cache(home / "signals")
    prints = [library.digest(film) for film in films]
    for film, of in zip(films, prints, strict=True):
        walk(film, home / "memories" / f"{film.stem}.memory", home=home)
        walk(film, tmp_path / f"{film.stem}-2.memory", home=home)
        cache.get({"signal": "motion", "video": of, "fps": "1.0"}, lambda: {"motion": np.ones(3)})
        begun = tmp_path / f"{film.stem}-3.memory"
        shelf.begin(begun, of)
        with journal.Journal(begun, {"source": of}) as unfinished:
            (unfinished.folder / "step.json").write_text(json.dumps({"source": of}))
    cache.get({"signal": "frames", "tokens": "t", "question": "who weds?"}, lambda: {"rows": np.ones(3)})
    captions = [note.text for note in library.load(home / "memories" / "private-wedding.memory").state.notes]
    telling = [prints[0].encode(), b"private-wedding", b"who weds?"]
    assert len(removal.traces(home, telling)[0]) >= 5
    assert captions

    refused = call(tmp_path, "delete", str(films[0]))
    assert (refused.returncode, "--yes" in refused.stderr) == (2, True)
    assert len(removal.kept_of(prints[0], shelf)) >= 6
    done = call(tmp_path, "delete", str(films[0]), "--yes")
    assert done.returncode == 0, done.stderr
    assert "nothing of it is left" in done.stdout

    assert removal.traces(tmp_path, telling)[0] == []
    raw = (home / "catalogue.sqlite").read_bytes()
    assert not any(needle in raw for needle in telling)
    with sqlite3.connect(home / "catalogue.sqlite") as db:
        assert db.execute("PRAGMA freelist_count").fetchone() == (0,)
    assert films[0].is_file()
    assert sorted(row["name"] for row in shelf.rows()) == ["public-lecture", "public-lecture-2"]
    assert len(removal.kept_of(prints[1], shelf)) >= 4
    for row in shelf.rows():
        assert library.verify(Path(row["path"])) == []
    again = call(tmp_path, "delete", prints[0], "--yes", "--json")
    assert (again.returncode, json.loads(again.stdout)["removed"]) == (0, 0)


def test_a_path_where_something_else_is_now_is_left_alone(films: tuple[Path, Path], tmp_path: Path) -> None:
    home, out = tmp_path / "home", tmp_path / "a.memory"
    walk(films[0], out, home=home)
    out.rename(tmp_path / "elsewhere")
    out.mkdir()
    (out / "letters.txt").write_text("not yours")
    kept = removal.kept_of(library.digest(films[0]), Catalogue(home))
    assert kept.memories == ()
    assert kept.rows == (out,)
    removal.delete(kept, Catalogue(home))
    assert (out / "letters.txt").is_file()
    assert Catalogue(home).rows() == []


def test_what_names_no_video_is_refused(tmp_path: Path) -> None:
    with pytest.raises(BadInput, match="no video file, no memory and no fingerprint"):
        removal.fingerprint_of("nothing", Catalogue(tmp_path / "home"))


def test_a_memory_that_is_named_goes_wherever_it_lies(films: tuple[Path, Path], tmp_path: Path) -> None:
    walk(films[1], tmp_path / "there.memory", home=tmp_path / "elsewhere")
    assert call(tmp_path, "delete", "there.memory").returncode == 2
    done = call(tmp_path, "delete", "there.memory", "--yes")
    assert done.returncode == 0, done.stderr
    assert not (tmp_path / "there.memory").exists()
    none = call(tmp_path, "delete", str(films[1]))
    assert (none.returncode, "nothing is known" in none.stderr) == (2, True)
