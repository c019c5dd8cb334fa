"""A memory folder is built aside and gets its name in one step; nothing of it is left where that fails."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from watchonce import disk
from watchonce.contracts import MemoryState
from watchonce.library.form import (
    FOLDER,
    MANIFEST,
    MOST,
    SUMS,
    TENSORS,
    TIMELINE,
    digest,
    facts,
    unfit,
)
from watchonce.types import BadInput

if TYPE_CHECKING:
    from torch import Tensor


def dump_state(state: MemoryState, folder: Path, tensors: str = TENSORS, notes: str = TIMELINE) -> None:
    """Writes a state as one safetensors file and one line of JSON a note; both synced to disk.

    Raises BadInput for more notes than a memory may have, CannotWrite when the disk refuses.
    """
    from safetensors.torch import save

    named: dict[str, Tensor] = {}
    seen: set[int] = set()
    for name, value in sorted(state.tensors.items()):
        plain = value.detach().cpu().contiguous()
        # safetensors refuses two names on one storage; two fields may well be one tensor
        named[name] = plain.clone() if plain.data_ptr() in seen else plain
        seen.add(plain.data_ptr())
    disk.write_new(folder / tensors, save(named))
    lines = "".join(json.dumps(asdict(n), ensure_ascii=False, sort_keys=True) + "\n" for n in state.notes)
    content = lines.encode("utf-8", "replace")  # half a surrogate pair, of a broken subtitle, becomes ?
    if len(content) > MOST[TIMELINE]:
        raise BadInput(
            f"{len(state.notes)} notes make {len(content)} bytes, a memory keeps {MOST[TIMELINE]}; set"
            " budget.memory to fewer notes"
        )
    disk.write_new(folder / notes, content)


def publish(work: Path, out: Path, manifest: Mapping[str, Any], state: MemoryState, *, replace: bool) -> None:
    """Completes the folder `work` (which may hold thumbs/) and renames it to `out` in one step.

    The folders of the state are copied in; the manifest is told what the state holds. BadInput for a link, a
    pickle or a name that is not plain; CannotWrite when the disk refuses, and then `out` is as it was.
    """
    dump_state(state, work)
    for name, folder in sorted(state.folders.items()):
        _copy_in(folder, work, name)
    shapes = {name: value.shape for name, value in state.tensors.items()}
    whole = {**manifest, **facts(shapes, state.notes, state.folders)}
    text = json.dumps(whole, indent=1, sort_keys=True, ensure_ascii=False) + "\n"
    disk.write_new(work / MANIFEST, text.encode("utf-8", "replace"))
    files = sorted(p for p in work.rglob("*") if p.is_file() and p.name != SUMS)
    lines = "".join(f"{digest(p)}  {p.relative_to(work).as_posix()}\n" for p in files)
    disk.write_new(work / SUMS, lines.encode())
    disk.put(work, out, replace=replace)


def _copy_in(folder: Path, work: Path, name: str) -> None:
    """Copies a memory's own folder; the copies are synced to disk."""
    if not FOLDER.fullmatch(name) or (work / name).exists():
        raise BadInput(f"a memory cannot have a folder {name!r}; use letters, and none of its own names")
    for file in sorted(folder.rglob("*")):
        inside = f"{name}/{file.relative_to(folder).as_posix()}"
        if (trouble := unfit(file, inside)) is not None:
            raise BadInput(f"{inside}: {trouble}")
        if file.is_file():
            copy = work / inside
            with disk.writing(copy):
                copy.parent.mkdir(parents=True, exist_ok=True)
            disk.write_new(copy, file.read_bytes())
