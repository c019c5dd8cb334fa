"""A memory folder is checked before a tensor of it is read: names, sizes, hashes, claims, numbers.

A damaged or hostile one is refused without torch, in little memory, with the file named.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from watchonce.contracts import MemoryState
from watchonce.library.form import (
    CORE,
    MANIFEST,
    MOST,
    NOTE_FIELDS,
    SOURCES,
    SUMS,
    TENSORS,
    THUMBS,
    TIMELINE,
    digest,
    facts,
    unfit,
)
from watchonce.library.manifest import read_manifest
from watchonce.tensorfile import Header, check_finite
from watchonce.types import BadInput, DamagedMemory, Note

if TYPE_CHECKING:
    from torch import Tensor

TRIES = 5  # readings of a memory that is replaced meanwhile
AGAIN = "watch the video again"


@dataclass(frozen=True, slots=True)
class Stored:
    """A memory read from disk, checked. mark: which folder it was, though another may have its name now."""

    path: Path
    manifest: Mapping[str, Any]
    state: MemoryState
    mark: tuple[int, ...] = ()

    @property
    def thumbs(self) -> list[tuple[float, Path]]:
        """`(seconds, file)` of every thumbnail, in time order."""
        folder = self.path / THUMBS
        files = sorted(folder.glob("*.webp")) if folder.is_dir() else []
        return [(int(f.stem) / 1000, f) for f in files if f.stem.isdecimal()]

    @property
    def size(self) -> int:
        """Bytes on disk."""
        return sum(f.stat().st_size for f in self.path.rglob("*") if f.is_file())

    @property
    def replaced(self) -> bool:
        """Whether another memory has taken its place since it was read."""
        return bool(self.mark) and _mark(self.path) != self.mark


def load(path: Path) -> Stored:
    """Reads a memory, checks its core files and its own folders; raises DamagedMemory that names the file.

    A memory that is replaced while it is read is read again: what comes back is all old or all new.
    """
    for _ in range(TRIES):
        before = _mark(path)
        try:
            stored = replace(_load(path), mark=before)
        except (DamagedMemory, OSError):
            if _mark(path) == before:
                raise
            continue
        if _mark(path) == before:
            return stored
    raise DamagedMemory(f"{path} was replaced {TRIES} times while it was read; wait until its watch is done")


def _mark(path: Path) -> tuple[int, ...]:
    """Tells a folder from another that takes its name; empty where there is none."""
    try:
        found = path.stat()
    except (OSError, ValueError):
        return ()
    return found.st_dev, found.st_ino, found.st_mtime_ns


def _load(path: Path) -> Stored:
    for name, trouble in _check(path, whole=False):
        raise DamagedMemory(f"{path / name}: {trouble}; restore the file, or {AGAIN}")
    manifest = read_manifest(path)
    listed = _listed(path)
    folders = {name.split("/")[0] for name in listed if "/" in name} - {THUMBS}
    for name in sorted(n for n in listed if n.endswith(".safetensors") and n != TENSORS):
        check_finite(path / name, blame=DamagedMemory, cure=AGAIN)
    header, notes = _claims(path, TENSORS, TIMELINE)
    shapes = {name: entry.shape for name, entry in header.entries.items()}
    for key, held in facts(shapes, notes, folders).items():
        if manifest[key] != held:
            raise DamagedMemory(f"{path / MANIFEST}: {key} are not those of the memory; {AGAIN}")
    state = MemoryState(_tensors(path / TENSORS), notes, {name: path / name for name in sorted(folders)})
    return Stored(path, manifest, state)


def read_state(folder: Path, tensors: str = TENSORS, notes: str = TIMELINE) -> MemoryState:
    """The state written by `dump_state`; raises DamagedMemory."""
    _, read = _claims(folder, tensors, notes)
    return MemoryState(_tensors(folder / tensors), read)


def _claims(folder: Path, tensors: str, notes: str) -> tuple[Header, tuple[Note, ...]]:
    """The header of the tensors, none of which holds NaN, and the notes; no torch is needed yet."""
    header = check_finite(folder / tensors, blame=DamagedMemory, cure=AGAIN)
    return header, tuple(_read_notes(folder / notes))


def _tensors(file: Path) -> dict[str, Tensor]:
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    try:
        return load_file(file)
    except (SafetensorError, OSError) as error:
        raise DamagedMemory(f"{file}: {error}; {AGAIN}") from error


def verify(path: Path) -> list[tuple[str, str]]:
    """Every file that is damaged, missing or foreign, as `(file, what is wrong)`; empty when all is well."""
    return list(_check(path, whole=True))


def _check(path: Path, *, whole: bool) -> Iterator[tuple[str, str]]:
    if not path.is_dir():
        raise BadInput(f"no memory at {path}; give a folder made by `watchonce watch`, or a name from `list`")
    sums = path / SUMS
    if not sums.is_file():
        if not (path / MANIFEST).is_file():
            raise BadInput(f"{path} is not a memory (no {MANIFEST}); give a folder made by `watchonce watch`")
        yield SUMS, "missing"
        return
    try:
        expected = _listed(path)
    except ValueError as error:
        yield SUMS, str(error)
        return
    yield from ((name, f"not listed in {SUMS}") for name in CORE if name not in expected)
    for name, right in expected.items():
        if not whole and name.startswith(f"{THUMBS}/"):
            continue
        file = path / name
        linked = any((path / Path(*Path(name).parts[:depth])).is_symlink() for depth in _depths(name))
        if linked or not file.is_file():
            yield name, "missing"
        elif (trouble := unfit(file, name)) is not None:
            yield name, trouble
        elif digest(file) != right:
            yield name, "damaged: its checksum does not match"
    if whole:
        present = {p.relative_to(path).as_posix() for p in path.rglob("*") if p.is_symlink() or p.is_file()}
        yield from ((name, "not part of the memory") for name in sorted(present - expected.keys() - {SUMS}))


def _depths(name: str) -> range:
    return range(1, len(Path(name).parts) + 1)


def _listed(path: Path) -> dict[str, str]:
    """The digest of every listed file; ValueError for a line that is none."""
    sums = path / SUMS
    if sums.stat().st_size > MOST[SUMS]:
        raise ValueError(f"it has {sums.stat().st_size} bytes, at most {MOST[SUMS]} are read")
    listed: dict[str, str] = {}
    *lines, rest = sums.read_text(encoding="utf-8", errors="replace").split("\n")
    if rest:
        raise ValueError("its last line has no end")
    for line in lines:
        right, gap, name = line.partition("  ")
        parts = name.split("/")
        if not gap or len(right) != 64 or not name.isprintable() or {"", ".", ".."} & {*parts}:
            raise ValueError(f"unreadable line {line[:80]!r}")
        if name in listed:
            raise ValueError(f"{name[:80]!r} is listed twice")
        listed[name] = right
    return listed


def _read_notes(file: Path) -> Iterator[Note]:
    """The notes of a timeline, each of them checked; DamagedMemory names the line."""
    if file.stat().st_size > MOST[TIMELINE]:
        raise DamagedMemory(f"{file} has more than {MOST[TIMELINE]} bytes, which no watch writes; {AGAIN}")
    with file.open("rb") as lines:
        for number, line in enumerate(lines, 1):
            try:
                yield _note(json.loads(line.decode("utf-8")))
            except (ValueError, KeyError, TypeError, RecursionError) as error:
                raise DamagedMemory(f"{file}: line {number} is not a note; {AGAIN}") from error


def _note(row: Any) -> Note:
    """ValueError, KeyError or TypeError for what is none."""
    note = Note(**{name: row[name] for name in NOTE_FIELDS})
    numbers = [note.start, note.end] + ([] if note.score is None else [note.score])
    if any(type(n) not in (int, float) or not math.isfinite(n) for n in numbers):
        raise ValueError("a time or a score is no number")
    if not isinstance(note.text, str) or note.source not in SOURCES or note.end < note.start:
        raise ValueError("no text, a source that is unknown, or an end before the start")
    return note
