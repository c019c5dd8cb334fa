"""The folder of an unfinished watch: checkpoints that survive `kill -9`, and one writer at a time.

A checkpoint is a new pair of files; `step.json`, replaced atomically, says which pair counts. A folder
whose key (source, recipe, models, version) differs is another job's leftover and is cleared. It knows
nothing of what a memory holds.
"""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
import shutil
import time
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Any

from watchonce import disk
from watchonce.contracts import MemoryState
from watchonce.library import THUMBS, digest, dump_state, read_state
from watchonce.types import BadInput, CannotWrite, DamagedMemory

EVERY = 2.0  # seconds between checkpoints, at least
SHARE = 0.05  # of the time may go into checkpoints
STEP, FINAL = "step.json", "final"


class Journal:
    """Checkpoints of one watch, beside the memory it will become. Use as a context manager.

    A second writer of the same memory gets BadInput, a disk that refuses CannotWrite; the last checkpoint
    stays whole in both cases.
    """

    def __init__(self, out: Path, key: Mapping[str, Any]) -> None:
        self.folder = place(out)
        self.key = hashlib.sha256(json.dumps(key, sort_keys=True).encode()).hexdigest()
        self._out = out
        self._last = time.monotonic()
        self._wait = EVERY
        self._lock = -1

    def __enter__(self) -> Journal:
        with disk.writing(self.folder):
            self._lock = _locked(self.folder)
            if self._lock < 0:
                raise BadInput(f"another watch is writing {self._out}; wait for it, or choose another -o")
            if self._step().get("key") != self.key:
                self._clear()
            (self.folder / THUMBS).mkdir(exist_ok=True)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if kind is not None:  # what was built is of no use; the checkpoints are
            shutil.rmtree(self.folder / FINAL, ignore_errors=True)
        os.close(self._lock)

    def resume(self) -> tuple[int, dict[str, Any], MemoryState] | None:
        """The last checkpoint as `(next window, notes of the pipeline, state)`, or None to start anew."""
        step = self._step()
        if not step:
            return None
        try:
            name = step["name"]
            files = (f"{name}.safetensors", f"{name}.jsonl")
            if any(digest(self.folder / f) != step["sums"][f] for f in files):
                return None
            return step["window"], step["extra"], read_state(self.folder, *files)
        except (DamagedMemory, OSError, KeyError, TypeError):
            return None  # half a disk block of a checkpoint is worth less than watching those minutes again

    def due(self) -> bool:
        """Whether enough time has passed for another checkpoint."""
        return time.monotonic() - self._last >= self._wait

    def save(self, window: int, extra: Mapping[str, Any], state: MemoryState) -> None:
        """Makes a checkpoint: after a crash, work goes on at `window`."""
        began = time.monotonic()
        before = self._step().get("name")
        name = f"step-{window:08d}"
        if name == before:
            name += "b"  # a pair is never written over: a kill would leave none
        files = (f"{name}.safetensors", f"{name}.jsonl")
        try:
            dump_state(state, self.folder, *files)
            sums = {f: digest(self.folder / f) for f in files}
            step = {"key": self.key, "name": name, "window": window, "extra": dict(extra), "sums": sums}
            disk.write_whole(self.folder / STEP, json.dumps(step).encode())
        except CannotWrite:
            for file in files:
                (self.folder / file).unlink(missing_ok=True)
            raise
        if before:
            for suffix in ("safetensors", "jsonl"):
                (self.folder / f"{before}.{suffix}").unlink(missing_ok=True)
        self._last = time.monotonic()
        self._wait = max(EVERY, (self._last - began) / SHARE)

    def final(self) -> Path:
        """An empty folder to build the memory in; the thumbnails are linked into it."""
        final = self.folder / FINAL
        with disk.writing(final):
            if final.exists():
                shutil.rmtree(final)
            final.mkdir()
            thumbs = self.folder / THUMBS
            if any(thumbs.iterdir()):
                shutil.copytree(thumbs, final / THUMBS, copy_function=_link)
        return final

    def desk(self) -> Path:
        """A folder for the memory's own unfinished work; it goes when the memory is published."""
        desk = self.folder / "desk"
        desk.mkdir(exist_ok=True)
        return desk

    def close(self) -> None:
        """Removes the folder; call after the memory is published."""
        disk.remove(self.folder)

    def _step(self) -> dict[str, Any]:
        try:
            found = json.loads((self.folder / STEP).read_text(encoding="utf-8"))
        except (OSError, ValueError):
            return {}
        return found if isinstance(found, dict) else {}

    def _clear(self) -> None:
        for item in self.folder.iterdir():
            if item.name == "lock":
                continue
            shutil.rmtree(item) if item.is_dir() else item.unlink()


def place(out: Path) -> Path:
    """Where the unfinished watch of a memory is."""
    return disk.aside(out, "watching")


def clear(out: Path) -> bool:
    """Removes what an unfinished watch of `out` left; False, and all stays, while one is at work there."""
    folder = place(out)
    if not folder.is_dir():
        return True
    with disk.writing(folder):
        lock = _locked(folder)
    if lock < 0:
        return False
    try:
        disk.remove(folder)
    finally:
        os.close(lock)
    return True


def _locked(folder: Path) -> int:
    """A descriptor that holds the lock of the folder of that name, which is made; -1 when another has it."""
    while True:
        folder.mkdir(parents=True, exist_ok=True)
        try:
            lock = os.open(folder / "lock", os.O_CREAT | os.O_RDWR, 0o644)
        except FileNotFoundError:
            continue  # whoever had the folder has just taken it away
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            here = os.stat(folder / "lock")
        except BlockingIOError:
            os.close(lock)
            return -1
        except FileNotFoundError:
            os.close(lock)
            continue
        if here.st_ino == os.fstat(lock).st_ino:
            return lock
        os.close(lock)  # of a folder that is gone


def _link(old: str, new: str) -> str:
    """A second name for a file, or a copy where the file system has none."""
    try:
        os.link(old, new)
    except PermissionError:
        shutil.copyfile(old, new)
    return new
