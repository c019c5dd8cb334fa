"""Row 10: killed at any moment, a watch goes on and ends with the same bytes; no half memory is ever seen.

Here the moments are the writes themselves: the watch dies right before and right after the disk has each of
them. `benchmarks/kill.py` kills the real command at random times.
"""

from __future__ import annotations

import os
import signal
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.contract.conftest import walk
from watchonce import disk, journal, library


def bytes_of(folder: Path) -> dict[str, str]:
    files = sorted(p for p in folder.rglob("*") if p.is_file())
    return {p.relative_to(folder).as_posix(): library.digest(p) for p in files}


def dying(what: Callable[[], object], at: int, monkeypatch: pytest.MonkeyPatch) -> bool:
    """Runs it in a child that kills itself at the so-manieth wait for the disk; whether it died so."""
    child = os.fork()
    if child == 0:
        os.setsid()
        calls, real = 0, os.fsync

        def fsync(handle: int) -> None:
            nonlocal calls
            calls += 1
            if calls * 2 - 1 == at:
                os.kill(os.getpid(), signal.SIGKILL)
            real(handle)
            if calls * 2 == at:
                os.kill(os.getpid(), signal.SIGKILL)

        monkeypatch.setattr(disk.os, "fsync", fsync)
        what()
        os._exit(0)
    _, status = os.waitpid(child, 0)
    assert os.WIFSIGNALED(status) or os.WEXITSTATUS(status) == 0
    return os.WIFSIGNALED(status)


def test_killed_at_its_writes_it_ends_with_the_same_bytes(
    film: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(journal, "EVERY", 0.0)
    monkeypatch.setattr(journal, "SHARE", 1e9)
    calm = bytes_of(walk(film, tmp_path / "calm.memory"))
    out, deaths = tmp_path / "killed.memory", 0
    while dying(lambda: walk(film, out), 3 + 4 * deaths, monkeypatch):  # deeper into the watch each time
        deaths += 1
        assert deaths < 30
        assert not out.exists() or library.verify(out) == [], "a memory was seen before it was whole"
    assert deaths >= 3, "the watch ended before it was killed: the test proves nothing"
    assert bytes_of(out) == calm
    assert [p.name for p in tmp_path.iterdir() if p.name.startswith(".killed")] == []


def test_killed_while_it_replaces_a_memory_one_of_the_two_is_there(
    film: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    out = walk(film, tmp_path / "a.memory")
    before = bytes_of(out)
    at, seen = 1, 0
    while dying(lambda: walk(film, out, force=True), at, monkeypatch):
        assert library.verify(out) == []
        seen += bytes_of(out) == before
        at += 5
    assert seen >= 2
    assert bytes_of(out) == before
    assert [p.name for p in tmp_path.iterdir() if p.name.startswith(".")] == []
