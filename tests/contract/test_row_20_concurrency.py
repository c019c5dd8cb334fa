"""Row 20, as far as memories go: two writers, a reader while a memory is replaced, and its deletion."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from tests.contract.conftest import walk
from watchonce import journal, library, removal
from watchonce.journal import Journal
from watchonce.library import Catalogue
from watchonce.memory import Memory
from watchonce.types import BadInput, Note

Copy = Callable[[str], Path]


def test_of_two_writers_of_one_memory_one_wins_and_the_other_is_told(film: Path, tmp_path: Path) -> None:
    """Several processes at once; each ends well or with one line, and one whole memory is there."""
    out, children = tmp_path / "a.memory", []
    for _ in range(4):
        child = os.fork()
        if child == 0:
            try:
                walk(film, out)
            except BadInput as error:
                os._exit(7 if "another watch is writing" in str(error) else 1)
            os._exit(0)
        children.append(child)
    codes = [os.WEXITSTATUS(os.waitpid(child, 0)[1]) for child in children]
    assert set(codes) <= {0, 7}
    assert 0 in codes
    assert library.verify(out) == []
    assert [p.name for p in tmp_path.iterdir() if p.name.startswith(".")] == []


def test_a_lock_on_a_folder_that_is_gone_is_no_lock(tmp_path: Path) -> None:
    """A watch that ends takes its journal away, lock and all: who waited must not write into nothing."""
    out = tmp_path / "a.memory"
    with Journal(out, {"a": 1}) as first:
        with pytest.raises(BadInput, match="another watch"), Journal(out, {"a": 1}):
            pass
        first.close()
        with Journal(out, {"a": 1}) as second:
            assert second.folder.is_dir()
            assert not journal.clear(out)
    assert journal.clear(out)
    assert not journal.place(out).exists()


def test_a_reader_sees_the_old_memory_or_the_new_and_never_a_mixture(film: Path, tmp_path: Path) -> None:
    out = walk(film, tmp_path / "a.memory")
    first = library.load(out)
    versions = {}
    for word in ("old", "new"):
        notes = tuple(Note(f"{word} {n}", float(n), n + 1.0) for n in range(200))
        versions[word] = type(first.state)(first.state.tensors, notes)
    done = threading.Event()
    (tmp_path / "work").mkdir()
    library.publish(tmp_path / "work", out, first.manifest, versions["old"], replace=True)

    def replace_again_and_again() -> None:
        for number in range(12):
            work = tmp_path / f"work{number}"
            work.mkdir()
            state = versions["new" if number % 2 else "old"]
            library.publish(work, out, first.manifest, state, replace=True)
        done.set()

    writer = threading.Thread(target=replace_again_and_again)
    writer.start()
    seen: set[str] = set()
    while not done.is_set():
        notes = library.load(out).state.notes
        words = {note.text.split()[0] for note in notes}
        assert len(words) == 1
        seen |= words
    writer.join()
    assert {"old", "new"} <= seen


def test_weights_of_a_memory_that_was_replaced_are_not_taken_for_its_own(copy_of: Copy) -> None:
    memory = copy_of("nkr")
    opened = Memory.open(memory, model="none")
    opened.ask("When was the red cup washed?")
    away = memory.with_name("away")
    memory.rename(away)
    (memory.parent / "work").mkdir()
    state = replace(opened.stored.state, folders={"adapter": away / "adapter"})
    library.publish(memory.parent / "work", memory, opened.manifest, state, replace=False)
    with pytest.raises(BadInput, match="was replaced since it was opened"):
        opened.ask("When was the red cup washed?")


def test_nothing_is_deleted_while_a_watch_of_it_is_at_work(film: Path, tmp_path: Path) -> None:
    out = walk(film, tmp_path / "a.memory")
    shelf = Catalogue(tmp_path / "home")
    kept = removal.kept_of(library.digest(film), shelf)
    assert kept.memories == (out,)
    with Journal(out, {"again": 1}), pytest.raises(BadInput, match="is at work"):
        removal.delete(kept, shelf)
    assert library.verify(out) == []
