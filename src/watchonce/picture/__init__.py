"""Pictures: one answer, and where in time it lies; one token memory, and what it kept.

Beside the PNG goes a CSV of the same name with what the colours mean: `start,end,score,text`, a note a
line, or `start,end,y,x,size,saliency`, a token a line. It reads memories and answers; it does not know how
either was made.
"""

from __future__ import annotations

import csv
import io
import os
from dataclasses import replace
from pathlib import Path

from PIL import Image

from watchonce.memory import Memory
from watchonce.ops.words import NoteIndex, asked_span, content_words
from watchonce.picture.kept import KeptPage
from watchonce.picture.page import Page
from watchonce.types import Answer, BadInput, Note, Query

__all__ = ["check_path", "draw_answer", "draw_kept", "relevance"]


def draw_answer(memory: Memory, query: Query, answer: Answer, path: Path) -> Path:
    """Writes `path` (a .png, replaced if it exists) and the CSV beside it; returns `path`.

    Raises BadInput for a path that cannot be written, DamagedMemory for a thumbnail that is no picture.
    """
    check_path(path)
    scored = relevance(memory, query)
    rows = [(f"{n.start:.3f}", f"{n.end:.3f}", f"{n.score or 0:.4f}", n.text) for n in scored]
    return _save(path, Page(memory, query, answer, scored).paint(), ("start", "end", "score", "text"), rows)


def draw_kept(memory: Memory, path: Path) -> Path:
    """Draws which tokens a memory kept, from when and where; and the CSV beside it. Returns `path`.

    Raises BadInput for a path that cannot be written and for a memory without tokens, DamagedMemory for a
    thumbnail that is no picture.
    """
    check_path(path)
    tokens = memory.parts.memory.read(Query()).tokens
    if tokens is None or not len(tokens):
        raise BadInput(
            f"{memory.path.name} keeps no tokens; its notes are drawn by: watchonce ask"
            f" {memory.path.name} QUESTION --picture {path.name}"
        )
    columns = [tokens.start, tokens.end, tokens.y, tokens.x, tokens.size]
    listed = [column.tolist() for column in columns]
    scores = [""] * len(tokens) if tokens.saliency is None else [f"{v:.4f}" for v in tokens.saliency.tolist()]
    rows = [
        (f"{start:.3f}", f"{end:.3f}", f"{y:.4f}", f"{x:.4f}", f"{size:g}", score)
        for start, end, y, x, size, score in zip(*listed, scores, strict=True)
    ]
    return _save(path, KeptPage(memory, tokens).paint(), ("start", "end", "y", "x", "size", "saliency"), rows)


def _save(path: Path, page: Image.Image, header: tuple[str, ...], rows: list[tuple[str, ...]]) -> Path:
    picture, table = io.BytesIO(), io.StringIO()
    page.save(picture, "PNG", optimize=True)
    written = csv.writer(table, lineterminator="\n")
    written.writerow(header)
    written.writerows(rows)
    _replace(path.with_suffix(".csv"), table.getvalue().encode())
    _replace(path, picture.getvalue())
    return path


def check_path(path: Path) -> None:
    """Raises BadInput for a path that no picture can be written to."""
    if path.suffix.lower() != ".png":
        raise BadInput(f"a picture is a .png file, got {str(path)!r}: name it {path.stem or 'answer'}.png")
    if not path.parent.is_dir():
        raise BadInput(f"the folder {str(path.parent)!r} does not exist; make it first")


def relevance(memory: Memory, query: Query) -> list[Note]:
    """Every note with how well its words fit the question, 0..1, in time order.

    A question that only names a time fits the notes of that time wholly. A memory without notes has none.
    """
    if not memory.notes:
        return []
    index = NoteIndex(memory.notes)
    named, words = asked_span(query.text)
    span = query.span or named
    bare = span is not None and not content_words(words)
    hits = index.search(words, len(memory.notes), span=span, before=query.before)
    fits = {hit.row: 1.0 if bare else hit.cover for hit in hits}
    scored = [replace(note, score=fits.get(row, 0.0)) for row, note in enumerate(memory.notes)]
    return sorted(scored, key=lambda note: (note.start, note.end))


def _replace(path: Path, content: bytes) -> None:
    part = path.with_name(f".{path.name}.{os.getpid()}.part")
    try:
        part.write_bytes(content)
        part.replace(path)
    finally:
        part.unlink(missing_ok=True)
