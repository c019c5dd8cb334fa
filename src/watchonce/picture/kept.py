"""What a token memory kept, as a page: how many tokens of every moment, of which cells, on which frames.

The tokens themselves say all of it: their times, their places, and how they were scored. It does not know
which method kept them.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
from PIL import Image

from watchonce.memory import Memory
from watchonce.picture.layout import GUTTER, MARGIN, ROOM, across, card_times, face, short_clock
from watchonce.picture.sheet import EDGE, GREY, INK, PROOF, Sheet
from watchonce.types import Span, Tokens

BARS = 120  # height of the count over time
CELLS = 240  # height of the lanes of all cells together
MOST = 16  # rows or columns told apart; a finer grid is drawn in this many
ACROSS, DOWN = 5, 2  # cards
COLD, HOT = np.array((205, 222, 243.0)), np.array((11, 60, 130.0))  # the least and the most of something


class KeptPage(Sheet):
    """The page of one memory's tokens; at least one token."""

    def __init__(self, memory: Memory, tokens: Tokens) -> None:
        super().__init__()
        self.memory = memory
        self.start, self.end = tokens.start.cpu().numpy(), tokens.end.cpu().numpy()
        (self.row, self.rows), (self.column, self.columns) = (
            _cells(axis.cpu().numpy()) for axis in (tokens.y, tokens.x)
        )
        self.whole = Span(0.0, max(memory.duration, float(self.end.max()), 1e-3))

    def paint(self) -> Image.Image:
        """All of it, cut to its height."""
        self._head()
        self._caption("tokens kept of every moment")
        self._count()
        self._caption(
            f"where in the frame they lie: {self.rows} rows of {self.columns} cells, the upper left one first"
        )
        self._lanes()
        if self.memory.stored.thumbs:
            self._caption(
                "the moments that most was kept of, in time order; the bluer a cell, the more of it"
            )
            self._cards()
        return self.cut()

    def _head(self) -> None:
        count = len(self.start)
        seen = int(self.memory.manifest["coverage"]["kept"]) * self.rows * self.columns
        of = f" of {seen:,} ({100 * count / seen:.3g} %)" if seen >= count else ""
        self.text(
            f"{self.memory.path.name.removesuffix('.memory')}: {count:,} tokens kept{of}", 34, INK, bold=True
        )
        self.y += 8
        half = float((self.start < self.whole.end / 2).mean())
        facts = [
            short_clock(self.memory.duration, self.memory.duration),
            f"{len(np.unique(self.start)):,} moments",
            f"{100 * half:.0f} % from the first half",
            f"recipe {self.memory.recipe.name}",
            f"seen by {self.memory.model}" if self.memory.model else "no model",
        ]
        self.text("   ·   ".join(facts), 19, GREY)
        self.y += 20

    def _caption(self, words: str) -> None:
        self.text(words, 19, GREY)
        self.y += 8

    # -- over time

    def _count(self) -> None:
        """A bar a column: the tokens that start there, against the fullest column."""
        columns = np.clip([int(across(self.whole, t)) - MARGIN for t in self.start], 0, ROOM - 1)
        step = max(2, round(ROOM / 240))
        counts = np.bincount(columns // step, minlength=-(-ROOM // step))
        top = self.y
        for number, count in enumerate(counts.tolist()):
            if count:
                high = max(2, round((BARS - 12) * count / int(counts.max())))
                left = MARGIN + number * step
                self.pen.rectangle((left, top + BARS - high, left + step - 2, top + BARS - 1), PROOF)
        self._frame(top, BARS)
        seconds = self.whole.end * step / ROOM
        note = f"{int(counts.max())} in {seconds:.1f} s"
        self.pen.text((MARGIN + ROOM - 8, top + 6), f"highest bar: {note}", GREY, face(15), anchor="ra")
        self.y = top + BARS
        self.ticks(self.whole)

    def _lanes(self) -> None:
        """A lane a cell, row by row; a mark a token."""
        cells = self.rows * self.columns
        lane = max(2, CELLS // cells)
        top = self.y
        for row in range(self.rows):
            y = top + row * self.columns * lane
            if row % 2 == 1:
                self.pen.rectangle((MARGIN, y, MARGIN + ROOM - 1, y + self.columns * lane - 1), "#F1F3F5")
            self.pen.text(
                (MARGIN - 8, y + self.columns * lane // 2), str(row + 1), GREY, face(15), anchor="rm"
            )
        thick = max(0, lane - 3)
        for start, end, cell in zip(
            self.start, self.end, (self.row * self.columns + self.column).tolist(), strict=True
        ):
            left, right = across(self.whole, start), across(self.whole, end)
            y = top + cell * lane + 1
            self.pen.rectangle((left, y, max(right - 1, left + 1), y + thick), PROOF)
        self._frame(top, cells * lane)
        self.y = top + cells * lane
        self.ticks(self.whole)

    def _frame(self, top: int, high: int) -> None:
        for gap in self.memory.manifest["coverage"]["gaps"]:
            self.hatch(self.whole, Span(gap["start"], gap["end"]), top, high)
        self.pen.rectangle((MARGIN - 1, top - 1, MARGIN + ROOM, top + high), outline=EDGE)

    # -- on frames

    def _cards(self) -> None:
        """The thumbnails under which most tokens lie, every cell tinted by how many of its own were kept."""
        thumbs = self.memory.stored.thumbs
        moments = [seconds for seconds, _ in thumbs]
        owner = np.clip(np.searchsorted(moments, self.start + 1e-3, side="right") - 1, 0, None)
        counts = np.bincount(owner, minlength=len(thumbs))
        chosen = np.sort(np.argsort(-counts, kind="stable")[: ACROSS * DOWN])
        chosen = chosen[counts[chosen] > 0]
        wide = (ROOM - (ACROSS - 1) * GUTTER) // ACROSS
        source = self.memory.manifest["source"]
        high = min(round(wide * source["height"] / max(1, source["width"])), wide)
        for number, thumb in enumerate(chosen.tolist()):
            if number and number % ACROSS == 0:
                self.y += high + 52
            x = MARGIN + number % ACROSS * (wide + GUTTER)
            after = moments[thumb + 1] if thumb + 1 < len(moments) else self.whole.end
            self._card(
                thumbs[thumb][1], owner == thumb, Span(moments[thumb], max(after, moments[thumb])), x, high
            )
        self.y += high + 52

    def _card(self, file: Path, mine: np.ndarray, span: Span, x: int, high: int) -> None:
        wide = (ROOM - (ACROSS - 1) * GUTTER) // ACROSS
        left, top, right, foot = self.thumb(file, (x, self.y), (wide, high))
        kept = np.zeros((self.rows, self.columns))
        np.add.at(kept, (self.row[mine], self.column[mine]), 1)
        for row, column in np.argwhere(kept).tolist():
            share = kept[row, column] / kept.max()
            box = (
                left + (right - left) * column // self.columns + 1,
                top + (foot - top) * row // self.rows + 1,
                left + (right - left) * (column + 1) // self.columns - 2,
                top + (foot - top) * (row + 1) // self.rows - 2,
            )
            ink = tuple(int(v) for v in (COLD + (HOT - COLD) * share).round())
            self.pen.rectangle(box, outline=ink, width=2 + round(3 * share))
        self.pen.text((x, self.y + high + 8), card_times(span), INK, face(17))
        self.pen.text((x + wide, self.y + high + 8), f"{int(mine.sum())} tokens", GREY, face(17), anchor="ra")


def _cells(places: np.ndarray) -> tuple[np.ndarray, int]:
    """Which row (or column) each place 0..1 lies in, and how many there are: as fine as the places tell."""
    gaps = np.diff(np.unique(places.round(6)))
    finest = float(gaps.min()) if len(gaps) else 1.0
    count = min(MOST, max(1, round(1 / finest)))
    return np.clip((places * count).astype(np.int64), 0, count - 1), count
