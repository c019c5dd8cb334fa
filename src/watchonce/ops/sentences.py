"""Sentences said of a stream, piece by piece, become dated notes: equal ones that touch are one note."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import replace

from watchonce.types import Note

SENTENCE = re.compile(r"(?<=[.!?;])\s+|\n+")


class SentenceStream:
    """Takes what is said of successive stretches, in time order; gives notes when they are over.

    A sentence said again within `patience` seconds goes on as the same note; one look that missed it does
    not split it. Notes that lasted no longer than `least` seconds are dropped.
    """

    def __init__(self, patience: float, least: float = 0.0, open_notes: Iterable[Note] = ()) -> None:
        self.patience, self.least = patience, least
        self.open: dict[str, Note] = {n.text: n for n in open_notes}

    def push(self, text: str, start: float, end: float, score: float | None) -> list[Note]:
        """Takes the sentences of `text`, said of `[start, end)`; gives the notes that ended before."""
        over = self.close(start)
        for sentence in SENTENCE.split(text.strip()):
            said = " ".join(sentence.split())
            if not said.strip(" .;"):
                continue
            known = self.open.get(said)
            if known is None:
                self.open[said] = Note(said, start, end, "caption", score)
            else:
                surest = max((s for s in (known.score, score) if s is not None), default=None)
                self.open[said] = replace(known, end=end, score=surest)
        return over

    def close(self, now: float) -> list[Note]:
        """Gives and forgets the notes not said again in time, less those too short to be believed."""
        over = [text for text, note in self.open.items() if note.end + self.patience < now - 1e-6]
        ended = [self.open.pop(text) for text in over]
        return [note for note in ended if note.end - note.start > self.least]
