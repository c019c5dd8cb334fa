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

from watchonce.contracts import MemoryState
from watchonce.disk import write_synced
from watchonce.library import THUMBS, dump_state, read_state
from watchonce.types import BadInput, DamagedMemory

EVERY = 2.0  # seconds between checkpoints, at least
SHARE = 0.05  # of the time may go into checkpoints


class Journal:
    """Checkpoints of one watch, beside the memory it will become. Use as a context manager."""

    def __init__(self, out: Path, key: Mapping[str, Any]) -> None:
        self.folder = out.with_name(f".{out.name}.watching")
        self.key = hashlib.sha256(json.dumps(key, sort_keys=True).encode()).hexdigest()
        self._out = out
        self._last = time.monotonic()
        self._wait = EVERY
        self._lock = -1

    def __enter__(self) -> Journal:
        self.folder.mkdir(parents=True, exist_ok=True)
        self._lock = os.open(self.folder / "lock", os.O_CREAT | os.O_RDWR)
        try:
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            os.close(self._lock)
            raise BadInput(
                f"another watch is writing {self._out}; wait for it, or choose another -o"
            ) from error
        if self._step().get("key") != self.key:
            self._clear()
        (self.folder / THUMBS).mkdir(exist_ok=True)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        os.close(self._lock)

    def resume(self) -> tuple[int, dict[str, Any], MemoryState] | None:
        """The last checkpoint as `(next window, notes of the pipeline, state)`, or None to start anew."""
        step = self._step()
        if not step:
            return None
        name = step["name"]
        try:
            files = (f"{name}.safetensors", f"{name}.jsonl")
            if any(_digest(self.folder / f) != step["sums"][f] for f in files):
                return None
            return step["window"], step["extra"], read_state(self.folder, *files)
        except (DamagedMemory, OSError):
            return None  # half a disk block of a checkpoint is worth less than watching those minutes again

    def due(self) -> bool:
        """Whether enough time has passed for another checkpoint."""
        return time.monotonic() - self._last >= self._wait

    def save(self, window: int, extra: Mapping[str, Any], state: MemoryState) -> None:
        """Makes a checkpoint: after a crash, work goes on at `window`."""
        began = time.monotonic()
        before = self._step().get("name")
        name = f"step-{window:08d}"
        files = (f"{name}.safetensors", f"{name}.jsonl")
        dump_state(state, self.folder, *files)
        sums = {f: _digest(self.folder / f) for f in files}
        step = {"key": self.key, "name": name, "window": window, "extra": dict(extra), "sums": sums}
        write_synced(self.folder / "step.tmp", json.dumps(step).encode())
        (self.folder / "step.tmp").replace(self.folder / "step.json")
        if before and before != name:
            for suffix in ("safetensors", "jsonl"):
                (self.folder / f"{before}.{suffix}").unlink(missing_ok=True)
        self._last = time.monotonic()
        self._wait = max(EVERY, (self._last - began) / SHARE)

    def final(self) -> Path:
        """An empty folder to build the memory in; the thumbnails are linked into it."""
        final = self.folder / "final"
        if final.exists():
            shutil.rmtree(final)
        final.mkdir()
        thumbs = self.folder / THUMBS
        if any(thumbs.iterdir()):
            shutil.copytree(thumbs, final / THUMBS, copy_function=os.link)
        return final

    def desk(self) -> Path:
        """A folder for the memory's own unfinished work; it goes when the memory is published."""
        desk = self.folder / "desk"
        desk.mkdir(exist_ok=True)
        return desk

    def close(self) -> None:
        """Removes the folder; call after the memory is published."""
        shutil.rmtree(self.folder)

    def _step(self) -> dict[str, Any]:
        try:
            return json.loads((self.folder / "step.json").read_text(encoding="utf-8"))
        except (OSError, ValueError):
            return {}

    def _clear(self) -> None:
        for item in self.folder.iterdir():
            if item.name == "lock":
                continue
            shutil.rmtree(item) if item.is_dir() else item.unlink()


def _digest(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
