"""What is kept of a video, and its removal: memories, unfinished watches, measures, rows of the catalogue.

`delete` takes away all that was made of one video and then looks for its fingerprint in every byte below
the library's folder; `leftovers` are what no memory needs any more. The video itself is not touched, nor
are copies of memories that were made by other means. What the file system keeps of removed files on the
medium is not known here.
"""

from __future__ import annotations

import mmap
import os
import re
import shutil
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from watchonce import disk, journal, library
from watchonce.library import Catalogue
from watchonce.tensorfile import read_header
from watchonce.types import BadInput, WatchonceError

FINGERPRINT = re.compile(r"[0-9a-f]{64}")


@dataclass(frozen=True, slots=True)
class Kept:
    """All that is there of a video, or what no memory needs: what `delete` takes away."""

    memories: tuple[Path, ...] = ()
    unfinished: tuple[Path, ...] = ()  # memories that were being written
    measures: tuple[Path, ...] = ()  # files of signals
    rows: tuple[Path, ...] = ()  # paths the catalogue names, where nothing is
    parts: tuple[Path, ...] = ()  # leftovers of killed writers

    def __len__(self) -> int:
        return sum(map(len, (self.memories, self.unfinished, self.measures, self.rows, self.parts)))


def fingerprint_of(what: str, catalogue: Catalogue) -> str:
    """The fingerprint that a video file, a memory (folder or name) or 64 hex digits stand for; BadInput."""
    path = Path(what)
    if path.is_file():
        return library.digest(path)
    if FINGERPRINT.fullmatch(what):
        return what
    for row in catalogue.rows():
        if what in (row["name"], row["path"]) or str(path.resolve()) == row["path"]:
            return row["fingerprint"]
    if (path / library.MANIFEST).is_file():
        return library.read_manifest(path)["source"]["fingerprint"]
    raise BadInput(
        f"{what!r} is no video file, no memory and no fingerprint; see `watchonce list`, or give the 64"
        " digits that `watchonce info` calls content"
    )


def kept_of(fingerprint: str, catalogue: Catalogue, named: str = "") -> Kept:
    """Everything on this machine that was made of the video, as far as library and catalogue know.

    named: what the video was called; where that is the path of a memory, it is meant, known or not.
    """
    known = [Path(row["path"]) for row in catalogue.rows() if row["fingerprint"] == fingerprint]
    begun = [path for path, of in catalogue.unfinished() if of == fingerprint]
    own = [path for path in _own(catalogue) if _source(path) == fingerprint]
    if named and (Path(named) / library.MANIFEST).is_file():
        own.append(Path(named).resolve())
    memories = [path for path in dict.fromkeys([*known, *own]) if _is_memory(path, fingerprint)]
    journals = [path for path in dict.fromkeys([*known, *begun, *own]) if journal.place(path).is_dir()]
    # a measure of tokens does not say of which video they were; it is made again when it is needed
    measures = [file for file, of in _measures(catalogue) if of in (fingerprint, None)]
    rows = [path for path in dict.fromkeys([*known, *begun]) if path not in memories]
    return Kept(tuple(memories), tuple(journals), tuple(measures), tuple(rows))


def delete(kept: Kept, catalogue: Catalogue) -> None:
    """Takes it all away. BadInput, and every memory stays, while a watch is at work on one of them."""
    for path in dict.fromkeys((*kept.memories, *kept.unfinished)):
        if not journal.clear(path):
            raise BadInput(f"a watch of {path} is at work; wait until it is done, or end it")
    for path in kept.memories:
        disk.remove(path)
    for file in (*kept.measures, *kept.parts):
        with disk.writing(file):
            shutil.rmtree(file) if file.is_dir() else file.unlink(missing_ok=True)
    catalogue.forget(*kept.memories, *kept.unfinished, *kept.rows)


def traces(folder: Path, needles: Sequence[bytes]) -> tuple[list[Path], int]:
    """Every file below `folder` with one of the words in content or name, and the bytes looked through."""
    found, looked = [], 0
    for file in sorted(path for path in folder.rglob("*") if path.is_file() and not path.is_symlink()):
        size = file.stat().st_size
        looked += size
        name = str(file.relative_to(folder)).encode("utf-8", "surrogateescape")
        if any(needle in name for needle in needles) or (size and _holds(file, needles)):
            found.append(file)
    return found, looked


def _holds(file: Path, needles: Sequence[bytes]) -> bool:
    with file.open("rb") as opened, mmap.mmap(opened.fileno(), 0, access=mmap.ACCESS_READ) as content:
        return any(content.find(needle) >= 0 for needle in needles)


def leftovers(catalogue: Catalogue, *, unfinished: bool = False) -> Kept:
    """What no memory needs: rows without a folder, parts of killed writers, measures of videos unknown here.

    unfinished: the watches that were begun and not ended, too, which could otherwise go on.
    """
    rows = catalogue.rows()
    begun = catalogue.unfinished()
    fingerprints = {row["fingerprint"] for row in rows if row["present"]} | {of for _, of in begun}
    fingerprints |= {of for path in _own(catalogue) if (of := _source(path)) is not None}
    gone = [Path(row["path"]) for row in rows if not Path(row["path"]).is_dir()]
    lost = [path for path, _ in begun if not journal.place(path).is_dir()]
    left = [path for path, _ in begun if journal.place(path).is_dir()] if unfinished else []
    measures = [file for file, of in _measures(catalogue) if of is not None and of not in fingerprints]
    folders = {path.parent for path in (*(Path(r["path"]) for r in rows), *(p for p, _ in begun))}
    folders |= {catalogue.folder / "memories", catalogue.folder / "signals", catalogue.folder}
    return Kept((), tuple(left), tuple(measures), (*gone, *lost), tuple(_parts_in(folders)))


def _parts_in(folders: set[Path]) -> Iterator[Path]:
    """What a killed writer left: `.NAME.gone-123`, `.NAME.part-123`, `.NAME.123.part`, its process ended."""
    mark = re.compile(r"\..+\.(?:(?:gone|part)-(\d+)|(\d+)\.part)")
    for folder in sorted(folders):
        for path in sorted(folder.iterdir()) if folder.is_dir() else ():
            found = mark.fullmatch(path.name)
            if found is not None and not _alive(int(found[1] or found[2])):
                yield path


def _alive(process: int) -> bool:
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except PermissionError:  # there, and another's
        return True
    return True


def _own(catalogue: Catalogue) -> list[Path]:
    """The memories in the library's own folder, whether the catalogue knows them or not."""
    folder = catalogue.folder / "memories"
    return sorted(path for path in folder.glob("*.memory") if path.is_dir()) if folder.is_dir() else []


def _is_memory(path: Path, fingerprint: str) -> bool:
    """Whether a memory of the video is there, damaged or whole, and not by now something else."""
    of = _source(path)
    return of == fingerprint or (of is None and (path / library.SUMS).is_file())


def _source(memory: Path) -> str | None:
    """The fingerprint of the video a memory was made of; None where its manifest does not say."""
    try:
        return library.read_manifest(memory)["source"]["fingerprint"]
    except WatchonceError:
        return None


def _measures(catalogue: Catalogue) -> Iterator[tuple[Path, str | None]]:
    """Every file of signals, with the fingerprint of its video; None where it names none, or is damaged."""
    for file in sorted((catalogue.folder / "signals").glob("*.safetensors")):
        try:
            yield file, read_header(file).words.get("video")
        except BadInput:
            yield file, None
