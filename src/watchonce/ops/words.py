"""Dated notes, searched by words (SQLite FTS5) and, when vectors are given, by meaning.

The index lives in memory and is built from the notes when a memory is loaded; nothing is stored.
It knows neither models nor files: vectors come in as arrays.
"""

from __future__ import annotations

import math
import re
import sqlite3
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from watchonce.types import Note, Span

# Words that carry the form of a question, not its subject. FTS5 would match them everywhere.
STOP = frozenset(
    """a about after all am an and any anyone anybody anything are as at be been before being between but by
    can could did do does doing during each ever every few for from get gets give had has have having he
    her him his how i if in into is it its itself just last first list long many may me might minute
    minutes moment more most much must my next no not now object objects of off on once one ones or other
    our out over part people person please second seconds see seen shall she should show shown so some
    somebody someone something tell than that the their them then there these they thing things this
    those thing time times to too under until up use used very video was we were what when where which
    while who whom whose why will with within would you your yes happen happens happened happening go
    going place took take taken done made make often times right describe occur occurs occurred occurring
    begin begins began start starts started end ends ended point kind video film clip""".split()
)
WORD = re.compile(r"[^\W_]+", re.UNICODE)
CLOCK = re.compile(r"\b(?:(\d{1,2}):)?(\d{1,2}):(\d{2})(?:\.(\d+))?\b")


def content_words(text: str) -> list[str]:
    """The words of a question that a note could contain, lower case, in order, each once; no clock times."""
    words = (w.lower() for w in WORD.findall(CLOCK.sub(" ", text)))
    return list(dict.fromkeys(w for w in words if w not in STOP and len(w) > 1))


@dataclass(frozen=True, slots=True)
class Hit:
    """A note and how well it fits: `score` orders; `cover`, 0..1, is the share of the question in it."""

    row: int
    note: Note
    score: float
    cover: float


class NoteIndex:
    """Notes in time order, searchable. Rows are positions in `notes`."""

    def __init__(self, notes: Sequence[Note], vectors: np.ndarray | None = None) -> None:
        """vectors: float32 `[len(notes), D]` of unit rows, or None for words alone."""
        self.notes = list(notes)
        self.vectors = vectors
        self.starts = np.array([n.start for n in self.notes])
        self.ends = np.array([n.end for n in self.notes])
        self._rows: dict[str, np.ndarray] = {}
        # One connection may serve a threaded server: reads only, guarded by SQLite's own mutex.
        self._db = sqlite3.connect(":memory:", check_same_thread=False)
        self._db.execute("CREATE VIRTUAL TABLE note USING fts5(text, tokenize='porter unicode61')")
        self._db.executemany(
            "INSERT INTO note(rowid, text) VALUES (?, ?)", ((i, n.text) for i, n in enumerate(self.notes))
        )

    def rarity(self, word: str) -> float:
        """Inverse document frequency: near 0 for a word of every note, top for one of none."""
        return math.log((len(self.notes) + 1) / (len(self._holding(word)) + 1)) + 1e-6

    def _holding(self, word: str) -> np.ndarray:
        """Rows of the notes that hold a word in any of its forms, int64; remembered where there are any."""
        found = self._rows.get(word)
        if found is None:
            rows = self._db.execute("SELECT rowid FROM note WHERE note MATCH ?", (_quote(word),)).fetchall()
            found = np.array([row for (row,) in rows], np.int64)
            if len(found):
                self._rows[word] = found
        return found

    def search(
        self,
        text: str,
        limit: int,
        *,
        vector: np.ndarray | None = None,
        span: Span | None = None,
        before: float | None = None,
    ) -> list[Hit]:
        """The best `limit` notes for a question, best first.

        vector: the question's unit vector `[D]`, used when the index has vectors too. Only notes that
        touch `span` and start before `before` count. Without any word to search, a span gives all its notes.
        """
        words = content_words(text)
        allowed = self._allowed(span, before)
        cover = np.where(allowed, self._cover(words), 0.0)
        score, found = cover.copy(), cover > 0
        if vector is not None and self.vectors is not None:
            cosine = np.where(allowed, self.vectors @ vector, -1.0)
            best = np.argsort(-cosine, kind="stable")[: 4 * limit]
            best = best[cosine[best] > 0]
            score[best] += 0.5 * cosine[best]
            found[best] = True
        if span is not None and not words:
            found |= allowed
        rows = np.flatnonzero(found)
        # "the last time" is about late notes: among equals they come first
        way = -1 if "last" in WORD.findall(text.lower()) else 1
        order = np.lexsort((rows, way * self.starts[rows], -np.round(score[rows], 6)))[:limit]
        return [Hit(r, self.notes[r], float(score[r]), float(cover[r])) for r in rows[order].tolist()]

    def around(self, row: int, count: int, before: float | None = None) -> list[int]:
        """Up to `count` rows on either side: those that start earlier, then those that start later."""
        note = self.notes[row]
        left, right = [], []
        for other in range(row - 1, max(-1, row - 1 - 8 * count), -1):
            if self.notes[other].start < note.start and len(left) < count:
                left.append(other)
        for other in range(row + 1, min(len(self.notes), row + 1 + 8 * count)):
            if self.notes[other].start > note.start and len(right) < count:
                right.append(other)
        return [r for r in left + right if before is None or self.notes[r].start < before]

    def unknown(self, words: Sequence[str]) -> list[str]:
        """Those of the words that stand in no note at all."""
        return [w for w in words if self.rarity(w) >= math.log(len(self.notes) + 1)]

    def _allowed(self, span: Span | None, before: float | None) -> np.ndarray:
        mask = np.ones(len(self.notes), bool)
        if span is not None:
            mask &= (self.ends > span.start) & (self.starts < max(span.end, span.start + 1e-9))
        if before is not None:
            mask &= self.starts < before
        return mask

    def _cover(self, words: list[str]) -> np.ndarray:
        """The share of the words, weighed by rarity, that each note holds: float64 `[len(notes)]`."""
        strange = set(self.unknown(words))
        known = [self.rarity(w) for w in words if w not in strange]
        # A word of no note weighs as much as the others do: it may be the subject, or only politeness.
        usual = sum(known) / len(known) if known else 1.0
        total = sum(known) + usual * len(strange)
        share = np.zeros(len(self.notes))
        for word in words:
            share[self._holding(word)] += self.rarity(word) / total
        return share


def _quote(word: str) -> str:
    return '"' + word.replace('"', '""') + '"'


def asked_span(text: str) -> tuple[Span | None, str]:
    """The stretch of time a question names, and the question without it.

    `at 12:30` and `at 1:02:03` name an instant, `between 1:00 and 2:00` and `1:00-2:00` a stretch,
    `after 5:00` and `before 5:00` everything on that side, `minute 12` (or `in minute 12`) those 60 seconds.
    """
    times = [_seconds(m) for m in CLOCK.finditer(text)]
    rest = CLOCK.sub(" ", text)
    if len(times) >= 2:
        return Span(min(times[:2]), max(times[:2])), rest
    if len(times) == 1:
        lead = text[: next(CLOCK.finditer(text)).start()].lower().rstrip()
        if lead.endswith(("after", "since", "from")):
            return Span(times[0], math.inf), rest
        if lead.endswith(("before", "until", "till", "by")):
            return Span(0.0, times[0]), rest
        return Span(times[0], times[0]), rest
    minute = re.search(r"\bminute (\d{1,5})\b", text, re.IGNORECASE)
    if minute is not None:
        start = 60.0 * int(minute[1])
        return Span(start, start + 60.0), text[: minute.start()] + text[minute.end() :]
    return None, text


def _seconds(found: re.Match[str]) -> float:
    hours, minutes, seconds, fraction = found.groups()
    return int(hours or 0) * 3600 + int(minutes) * 60 + int(seconds) + float(f"0.{fraction or 0}")
