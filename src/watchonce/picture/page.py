"""Paints the page: words, cards, timelines, legend, from top to bottom. It knows no file but thumbnails."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from PIL import Image, ImageDraw, UnidentifiedImageError

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
    tick_step,
    wrap,
)
from watchonce.types import Answer, DamagedMemory, Note, Query, Span

TALLEST = 4000
LANE = 84  # height of a timeline
CARDS = 5
PAPER, INK, GREY, FAINT = "#FFFFFF", "#1B1F24", "#66707A", "#E3E6E8"
PROOF, NONE = "#0B62C4", "#A23B2A"
# half of a question's words stand in half of the notes of a day: colour is kept for more than that
HEAT = (
    (0.0, (243, 242, 238)),
    (0.5, (250, 237, 205)),
    (0.7, (255, 214, 128)),
    (0.85, (247, 148, 66)),
    (1.0, (214, 62, 42)),
)


@dataclass
class Page:
    """A page that grows downwards: `y` is where the next block begins."""

    memory: Memory
    query: Query
    answer: Answer
    notes: list[Note]
    y: int = 52

    def paint(self) -> Image.Image:
        """All of it, cut to its height."""
        self.sheet = Image.new("RGB", (WIDTH, TALLEST), PAPER)
        self.pen = ImageDraw.Draw(self.sheet)
        # Numbered by worth, laid out by time, so that the lines from card to timeline never cross.
        ranked = list(enumerate(self.answer.evidence[:CARDS], 1))
        self.proofs = sorted(ranked, key=lambda item: (item[1].start, item[1].end))
        self._head()
        stems = self._cards() if self.proofs else []
        self._timeline(Span(0.0, max(self.memory.duration, 1e-3)), stems)
        self._closer()
        self._legend()
        return self.sheet.crop((0, 0, WIDTH, self.y + 36))

    # -- words

    def _head(self) -> None:
        self._text(self.query.text.strip() or "(no question)", 34, INK, bold=True, lines=6)
        self.y += 10
        if self.answer.not_found:
            self._text("Not found: nothing in this memory answers the question.", 28, NONE, lines=2)
        else:
            self._text(self.answer.text.strip() or "(no words)", 28, PROOF, lines=6)
        self.y += 10
        wrote = self.memory.manifest["models"]["vlm"]
        facts = [
            self.memory.path.name.removesuffix(".memory"),
            short_clock(self.memory.duration, self.memory.duration),
            f"recipe {self.memory.recipe.name}",
            f"model {wrote['name']}" if wrote and self.memory.bodies.vlm else "no model",
        ]
        self._text("   ·   ".join(facts), 19, GREY, lines=1)
        self.y += 26

    def _text(self, text: str, size: int, ink: str, *, bold: bool = False, lines: int = 1) -> None:
        font = face(size, bold)
        for line in wrap(text, font.getlength, ROOM, lines):
            self.pen.text((MARGIN, self.y), line, ink, font)
            self.y += round(size * 1.34)

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
            self._badge(x + 15, y + 15, rank)
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
        try:
            with Image.open(file) as opened:
                thumb = opened.convert("RGB")
        except (UnidentifiedImageError, OSError) as error:
            raise DamagedMemory(f"{file}: not a picture ({error}); see `watchonce verify`") from error
        scale = min(wide / thumb.width, high / thumb.height)
        size = max(1, round(thumb.width * scale)), max(1, round(thumb.height * scale))
        at = x + (wide - size[0]) // 2, y + (high - size[1]) // 2
        self.pen.rectangle((x, y, x + wide - 1, y + high - 1), "#F4F5F6")
        self.sheet.paste(thumb.resize(size, Image.Resampling.LANCZOS), at)
        self.pen.rectangle((x, y, x + wide - 1, y + high - 1), outline=FAINT)
        lead = "frame at" if span.start <= seconds <= span.end else "nearest frame"
        note, font = f"{lead} {clock(seconds)[:8]}", face(15)
        length = font.getlength(note)
        self.pen.rectangle((x + wide - length - 12, y + high - 25, x + wide - 1, y + high - 1), "#1B1F24")
        self.pen.text((x + wide - length - 6, y + high - 22), note, "#FFFFFF", font)

    def _said(self, span: Span) -> str:
        """The best fitting of the notes that lie under a span."""
        under = [n for n in self.notes if n.span.overlap(span) > 0 or n.start == span.start]
        best = max(under, key=lambda n: (n.score or 0.0, n.span.iou(span)), default=None)
        return best.text if best else ""

    def _badge(self, x: float, y: float, rank: int) -> None:
        self.pen.ellipse((x - 14, y - 14, x + 14, y + 14), PROOF)
        self.pen.text((x, y), str(rank), "#FFFFFF", face(18, True), anchor="mm")

    # -- time

    def _timeline(self, span: Span, stems: Sequence[tuple[int, int]]) -> None:
        """The whole video, and a line from every card to its place."""
        top = self.y + (46 if stems else 8)
        for (x, y), (_, proof) in zip(stems, self.proofs, strict=True):
            foot = across(span, (proof.start + proof.end) / 2)
            self._line(((x, y), (x, self.y + 16), (foot, top - 8), (foot, top - 4)), "#6FA3DD", 2.0)
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
            self._line(((x, top), (x, top + 8), (corner, foot - 8), (corner, foot)), GREY, 1.4)
        self._line(((left, top), (right, top)), GREY, 2.0)
        self.y = foot
        self._lane(near)

    def _line(self, points: Sequence[tuple[float, float]], ink: str, width: float) -> None:
        """A smooth line: drawn four times as large, then shrunk."""
        xs, ys = [p[0] for p in points], [p[1] for p in points]
        left, top = int(min(xs)) - 4, int(min(ys)) - 4
        size = int(max(xs)) - left + 8, int(max(ys)) - top + 8
        large = Image.new("L", (size[0] * 4, size[1] * 4))
        moved = [((x - left) * 4, (y - top) * 4) for x, y in points]
        ImageDraw.Draw(large).line(moved, 255, round(width * 4), joint="curve")
        self.sheet.paste(Image.new("RGB", size, ink), (left, top), large.resize(size, Image.Resampling.BOX))

    def _lane(self, span: Span) -> None:
        """A stretch of time as a band: heat, holes, evidence, a clock below."""
        top = self.y
        strip = self._heat(span)
        self.sheet.paste(Image.fromarray(np.broadcast_to(strip, (LANE, *strip.shape[1:]))), (MARGIN, top))
        for gap in self.memory.manifest["coverage"]["gaps"]:
            self._hatch(span, Span(gap["start"], gap["end"]), top)
        self.pen.rectangle((MARGIN - 1, top - 1, MARGIN + ROOM, top + LANE), outline="#B7BDC3")
        for rank, proof in sorted(self.proofs, reverse=True):
            if proof.end >= span.start and proof.start <= span.end:
                self._mark(span, proof, rank, top)
        self.y = top + LANE
        self._ticks(span)

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

    def _hatch(self, span: Span, gap: Span, top: int) -> None:
        if gap.overlap(span) <= 0 and not span.start <= gap.start <= span.end:
            return
        left, right = int(across(span, gap.start)), int(across(span, gap.end))
        right = max(right, left + 3)
        tile = Image.new("RGB", (right - left, LANE), "#ECEEF0")
        pen = ImageDraw.Draw(tile)
        for x in range(-LANE, right - left, 11):
            pen.line(((x, LANE), (x + LANE, 0)), "#8A929A", 2)
        self.sheet.paste(tile, (left, top))

    def _mark(self, span: Span, proof: Span, rank: int, top: int) -> None:
        left, right = across(span, proof.start), across(span, proof.end)
        if right - left < 6:
            left, right = (left + right) / 2 - 3, (left + right) / 2 + 3
        self.pen.rectangle((left, top - 4, right, top + LANE + 3), outline=PROOF, width=3)
        if right - left > 40:
            self._badge(min(max(left + 22, MARGIN + 22), WIDTH - MARGIN - 22), top + 22, rank)

    def _ticks(self, span: Span) -> None:
        font, step = face(18), tick_step(span.length)
        self.y += 4
        time = np.ceil(span.start / step) * step
        while time <= span.end + 1e-6:
            x = across(span, float(time))
            self.pen.line(((x, self.y), (x, self.y + 9)), GREY, 2)
            label = short_clock(float(time), span.end)
            half = font.getlength(label) / 2
            at = min(max(x, half + 8), WIDTH - half - 8)
            self.pen.text((at, self.y + 13), label, GREY, font, anchor="mt")
            time += step
        self.y += 48

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
            self.pen.rectangle((x, self.y, x + 30, self.y + 20), "#ECEEF0")
            for start in (0, 10, 20):
                self.pen.line(((x + start, self.y + 20), (x + start + 10, self.y)), "#8A929A", 2)
            x += 42
            label("not seen")
        self.y += 20
