"""What a memory folder may hold: names, limits, and why a file does not belong there.

Writing and reading keep to the same page. This file opens nothing but to hash it.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Collection, Mapping, Sequence
from dataclasses import fields
from pathlib import Path
from typing import Any

from watchonce.tensorfile import PICKLES
from watchonce.types import Note

SCHEMA = 1
MANIFEST, TENSORS, TIMELINE, THUMBS, SUMS = (
    "manifest.json",
    "memory.safetensors",
    "timeline.jsonl",
    "thumbs",
    "CHECKSUMS",
)
CORE = (MANIFEST, TENSORS, TIMELINE)  # checked at every load, as folders are; thumbnails only by `verify`
FOLDER = re.compile(r"[a-z][a-z0-9_]*")
THUMB = re.compile(rf"{THUMBS}/\d{{10,16}}\.webp")  # named by its millisecond
NOTE_FIELDS = tuple(f.name for f in fields(Note))
SOURCES = ("caption", "subtitle", "scene", "speech")  # where a note may come from
# bytes read at most: a day of video, described every two seconds, makes a timeline of 8 MB
MOST = {MANIFEST: 2**22, TIMELINE: 2**25, SUMS: 2**23}


def facts(
    shapes: Mapping[str, Sequence[int]], notes: Sequence[Note], folders: Collection[str]
) -> dict[str, Any]:
    """What a manifest says of a state: notes by source, tensors by shape, folders."""
    kinds: dict[str, int] = {}
    for note in notes:
        kinds[note.source] = kinds.get(note.source, 0) + 1
    tensors = {name: list(shape) for name, shape in sorted(shapes.items())}
    return {"notes": kinds, "tensors": tensors, "folders": sorted(folders)}


def unfit(file: Path, name: str) -> str | None:
    """Why a file may not be in a memory under that name, or None."""
    if file.is_symlink():
        return "a link, where the file itself belongs"
    if not file.is_dir() and not file.is_file():
        return "neither a file nor a folder"
    if file.suffix.lower() in PICKLES:
        return "a pickle, which could run code and is never opened; save it with safetensors"
    if name.startswith(f"{THUMBS}/") and not THUMB.fullmatch(name):
        return "not named as a thumbnail is"
    return None if name.isprintable() else "a name that cannot be printed"


def digest(path: Path) -> str:
    """SHA-256 of a file, in hex."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
