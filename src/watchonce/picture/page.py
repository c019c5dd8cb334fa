"""Paints the page: words, cards, timelines, legend, from top to bottom. It knows no file but thumbnails."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from PIL import Image

from watchonce.clock import clock
from watchonce.memory import Memory
from watchonce.picture.layout import (
    GUTTER,
    MARGIN,
    ROOM,
    WIDTH,
    across,
    card_times,
    face,
    short_clock,
    side_by_side,
    wrap,
)
from watchonce.picture.sheet import BARS, EDGE, GREY, HOLE, INK, NONE, PROOF, Sheet
from watchonce.types import Answer, Note, Query, Span

LANE = 84  # height of a timeline
CARDS = 5
BOX_NEAR = 1.0  # seconds from a thumbnail at which a box is still true of it
# half of a question's words stand in half of the notes of a day: colour is kept for more than that
HEAT = (
    (0.0, (243, 242, 238)),
    (0.5, (250, 237, 205)),
    (0.7, (255, 214, 128)),
    (0.85, (247, 148, 66)),
    (1.0, (214, 62, 42)),
)


class Page(Sheet):
    """The page of one answer."""

    def __init__(self, memory: Memory, query: Query, answer: Answer, notes: list[Note]) -> None:
        super().__init__()
        self.memory, self.query, self.answer, self.notes = memory, query, answer, notes

    def paint(self) -> Image.Image:
        """All of it, cut to its height."""
        # Numbered by worth, laid out by time, so that the lines from card to timeline never cross.
        ranked = list(enumerate(self.answer.evidence[:CARDS], 1))
        self.proofs = sorted(ranked, key=lambda item: (item[1].start, item[1].end))
        self._head()
        stems = self._cards() if self.proofs else []
        self._timeline(Span(0.0, max(self.memory.duration, 1e-3)), stems)
        self._closer()
        self._legend()
        return self.cut()

    # -- words

    def _head(self) -> None:
        self.text(self.query.text.strip() or "(no question)", 34, INK, bold=True, lines=6)
        self.y += 10
        if self.answer.not_found:
            self.text("Not found: nothing in this memory answers the question.", 28, NONE, lines=2)
        else:
            self.text(self.answer.text.strip() or "(no words)", 28, PROOF, lines=6)
        self.y += 10
        facts = [
            self.memory.path.name.removesuffix(".memory"),
            short_clock(self.memory.duration, self.memory.duration),
            f"recipe {self.memory.recipe.name}",
            f"model {self.memory.model}" if self.memory.model else "no model",
        ]
        self.text("   ·   ".join(facts), 19, GREY, lines=1)
        self.y += 26

    # -- evidence

    def _cards(self) -> list[tuple[int, int]]:
        """A card a span: its frame, times and words. Returns where the stem under each begins."""
        wide = (ROOM - (CARDS - 1) * GUTTER) // CARDS
        whole = Span(0.0, self.memory.duration)
        wishes = [across(whole, (s.start + s.end) / 2) - wide / 2 for _, s in self.proofs]
        high, words = self._card_height(wide), face(17)
        feet, stems = [], []
        for (rank, span), x in zip(self.proofs, side_by_side(wishes, wide + GUTTER), strict=True):
            y = self.y
            if high:
                self._frame(span, x, y, wide, high)
                y += high + 10
            self.badge(x + 15, y + 15, rank)
            self.pen.text((x + 40, y + 3), card_times(span), INK, face(19))
            y += 36
            for line in wrap(self._said(span), words.getlength, wide, 3):
                self.pen.text((x, y), line, GREY, words)
                y += 23
            stems.append((x + wide // 2, y + 8))
            feet.append(y)
        self.y = max(feet)
        return stems

    def _card_height(self, wide: int) -> int:
        """Pixels every frame gets: the tallest of them at full width, within reason; 0 without thumbnails."""
        thumbs = self.memory.stored.thumbs
        if not thumbs:
            return 0
        source = self.memory.manifest["source"]
        return min(round(wide * source["height"] / max(1, source["width"])), wide)

    def _frame(self, span: Span, x: int, y: int, wide: int, high: int) -> None:
        """The thumbnail nearest to the span and to its middle, with its own time."""
        seconds, file = min(
            self.memory.stored.thumbs,
            key=lambda thumb: (
                max(0.0, span.start - thumb[0], thumb[0] - span.end),
                abs(thumb[0] - (span.start + span.end) / 2),
            ),
        )
        lead = "frame at" if span.start <= seconds <= span.end else "nearest frame"
        left, top, right, foot = self.thumb(file, (x, y), (wide, high), f"{lead} {clock(seconds)[:8]}")
        near = min(self.answer.boxes, key=lambda box: abs(box[0] - seconds), default=None)
        if near is not None and abs(near[0] - seconds) < BOX_NEAR:
            (x1, x2), (y1, y2) = (
                (first + (last - first) * near[side], first + (last - first) * near[side + 2])
                for first, last, side in ((left, right, 1), (top, foot, 2))
            )
            self.pen.rectangle((x1, y1, x2, y2), outline=PROOF, width=3)

    def _said(self, span: Span) -> str:
        """The best fitting of the notes that lie under a span."""
        under = [n for n in self.notes if n.span.overlap(span) > 0 or n.start == span.start]
        best = max(under, key=lambda n: (n.score or 0.0, n.span.iou(span)), default=None)
        return best.text if best else ""

    # -- time

    def _timeline(self, span: Span, stems: Sequence[tuple[int, int]]) -> None:
        """The whole video, and a line from every card to its place."""
        top = self.y + (46 if stems else 8)
        for (x, y), (_, proof) in zip(stems, self.proofs, strict=True):
            foot = across(span, (proof.start + proof.end) / 2)
            self.line(((x, y), (x, self.y + 16), (foot, top - 8), (foot, top - 4)), "#6FA3DD", 2.0)
        self.y = top
        self._lane(span)

    def _closer(self) -> None:
        """The surroundings of the best evidence, where the whole timeline shows it too small."""
        if not self.answer.evidence:
            return
        best, whole = self.answer.evidence[0], self.memory.duration
        pad = max(20.0, 1.5 * best.length)
        near = Span(max(0.0, best.start - pad), min(whole, best.end + pad))
        if near.length <= 0 or near.length > whole / 3:
            return
        top, foot = self.y - 8, self.y + 44
        left, right = across(Span(0.0, whole), near.start), across(Span(0.0, whole), near.end)
        for x, corner in ((left, MARGIN), (right, WIDTH - MARGIN)):
            self.line(((x, top), (x, top + 8), (corner, foot - 8), (corner, foot)), GREY, 1.4)
        self.line(((left, top), (right, top)), GREY, 2.0)
        self.y = foot
        self._lane(near)

    def _lane(self, span: Span) -> None:
        """A stretch of time as a band: heat, holes, evidence, a clock below."""
        top = self.y
        strip = self._heat(span)
        self.sheet.paste(Image.fromarray(np.broadcast_to(strip, (LANE, *strip.shape[1:]))), (MARGIN, top))
        for gap in self.memory.manifest["coverage"]["gaps"]:
            self.hatch(span, Span(gap["start"], gap["end"]), top, LANE)
        self.pen.rectangle((MARGIN - 1, top - 1, MARGIN + ROOM, top + LANE), outline=EDGE)
        for rank, proof in sorted(self.proofs, reverse=True):
            if proof.end >= span.start and proof.start <= span.end:
                self._mark(span, proof, rank, top)
        self.y = top + LANE
        self.ticks(span)

    def _heat(self, span: Span) -> np.ndarray:
        """Colours of the columns of a lane, uint8 `[1, ROOM, 3]`: the best fit of the notes there."""
        fit = np.zeros(ROOM)
        for note in self.notes:
            if note.end < span.start or note.start > span.end or not note.score:
                continue
            first = int(across(span, note.start) - MARGIN)
            # a note of a second in a day still gets three columns
            last = max(int(across(span, note.end) - MARGIN), first + 3)
            fit[max(0, first) : last] = np.maximum(fit[max(0, first) : last], note.score)
        stops = [stop for stop, _ in HEAT]
        channels = [np.interp(fit, stops, [colour[c] for _, colour in HEAT]) for c in range(3)]
        return np.stack(channels, axis=-1).round().astype(np.uint8)[None]

    def _mark(self, span: Span, proof: Span, rank: int, top: int) -> None:
        left, right = across(span, proof.start), across(span, proof.end)
        if right - left < 6:
            left, right = (left + right) / 2 - 3, (left + right) / 2 + 3
        self.pen.rectangle((left, top - 4, right, top + LANE + 3), outline=PROOF, width=3)
        if right - left > 40:
            self.badge(min(max(left + 22, MARGIN + 22), WIDTH - MARGIN - 22), top + 22, rank)

    def _legend(self) -> None:
        self.y += 14
        x, font = MARGIN, face(17)

        def label(text: str) -> None:
            nonlocal x
            self.pen.text((x, self.y + 10), text, GREY, font, anchor="lm")
            x += round(font.getlength(text)) + 44

        if self.notes:
            for step in range(120):
                colour = tuple(
                    round(float(np.interp(step / 119, [s for s, _ in HEAT], [c[i] for _, c in HEAT])))
                    for i in range(3)
                )
                self.pen.line(((x + step, self.y), (x + step, self.y + 20)), colour)
            x += 132
            label("how much of the question a note there holds")
        if self.proofs:
            self.pen.rectangle((x, self.y, x + 30, self.y + 20), outline=PROOF, width=3)
            x += 42
            rest = len(self.answer.evidence) - len(self.proofs)
            label("evidence, 1 is best" + (f" ({rest} more not drawn)" if rest > 0 else ""))
        if self.memory.manifest["coverage"]["gaps"]:
            self.pen.rectangle((x, self.y, x + 30, self.y + 20), HOLE)
            for start in (0, 10, 20):
                self.pen.line(((x + start, self.y + 20), (x + start + 10, self.y)), BARS, 2)
            x += 42
            label("not seen")
        self.y += 20
