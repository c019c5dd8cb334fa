"""A sheet of paper 1600 pixels wide that is written from top to bottom, and the marks every page makes on it.

It knows letters, colours, times and thumbnails; what they mean is the page's.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw, UnidentifiedImageError

from watchonce.picture.layout import MARGIN, ROOM, WIDTH, across, face, short_clock, tick_step, wrap
from watchonce.types import DamagedMemory, Span

TALLEST = 4000
PAPER, INK, GREY, FAINT, EDGE = "#FFFFFF", "#1B1F24", "#66707A", "#E3E6E8", "#B7BDC3"
PROOF, NONE = "#0B62C4", "#A23B2A"
HOLE, BARS = "#ECEEF0", "#8A929A"


class Sheet:
    """The paper; `y` is where the next block begins."""

    def __init__(self) -> None:
        self.y = 52
        self.sheet = Image.new("RGB", (WIDTH, TALLEST), PAPER)
        self.pen = ImageDraw.Draw(self.sheet)

    def cut(self) -> Image.Image:
        """What is written, cut to its height."""
        return self.sheet.crop((0, 0, WIDTH, self.y + 36))

    def text(self, text: str, size: int, ink: str, *, bold: bool = False, lines: int = 1) -> None:
        """Words across the whole width, at most so many lines."""
        font = face(size, bold)
        for line in wrap(text, font.getlength, ROOM, lines):
            self.pen.text((MARGIN, self.y), line, ink, font)
            self.y += round(size * 1.34)

    def badge(self, x: float, y: float, rank: int) -> None:
        """A number in a disc."""
        self.pen.ellipse((x - 14, y - 14, x + 14, y + 14), PROOF)
        self.pen.text((x, y), str(rank), "#FFFFFF", face(18, True), anchor="mm")

    def line(self, points: Sequence[tuple[float, float]], ink: str, width: float) -> None:
        """A smooth line: drawn four times as large, then shrunk."""
        xs, ys = [p[0] for p in points], [p[1] for p in points]
        left, top = int(min(xs)) - 4, int(min(ys)) - 4
        size = int(max(xs)) - left + 8, int(max(ys)) - top + 8
        large = Image.new("L", (size[0] * 4, size[1] * 4))
        moved = [((x - left) * 4, (y - top) * 4) for x, y in points]
        ImageDraw.Draw(large).line(moved, 255, round(width * 4), joint="curve")
        self.sheet.paste(Image.new("RGB", size, ink), (left, top), large.resize(size, Image.Resampling.BOX))

    def hatch(self, span: Span, gap: Span, top: int, high: int) -> None:
        """Stripes over a stretch of a band that shows `span`, where the stretch meets it."""
        if gap.overlap(span) <= 0 and not span.start <= gap.start <= span.end:
            return
        left, right = int(across(span, gap.start)), int(across(span, gap.end))
        right = max(right, left + 3)
        tile = Image.new("RGB", (right - left, high), HOLE)
        pen = ImageDraw.Draw(tile)
        for x in range(-high, right - left, 11):
            pen.line(((x, high), (x + high, 0)), BARS, 2)
        self.sheet.paste(tile, (left, top))

    def ticks(self, span: Span) -> None:
        """A clock under a band that shows `span`."""
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

    def thumb(
        self, file: Path, at: tuple[int, int], size: tuple[int, int], note: str = ""
    ) -> tuple[int, int, int, int]:
        """A thumbnail fitted into a box, a note in its corner if any; returns where its pixels lie.

        Raises DamagedMemory for a file that is no picture.
        """
        (x, y), (wide, high) = at, size
        try:
            with Image.open(file) as opened:
                thumb = opened.convert("RGB")
        except (UnidentifiedImageError, OSError) as error:
            raise DamagedMemory(f"{file}: not a picture ({error}); see `watchonce verify`") from error
        scale = min(wide / thumb.width, high / thumb.height)
        fit = max(1, round(thumb.width * scale)), max(1, round(thumb.height * scale))
        corner = x + (wide - fit[0]) // 2, y + (high - fit[1]) // 2
        self.pen.rectangle((x, y, x + wide - 1, y + high - 1), "#F4F5F6")
        self.sheet.paste(thumb.resize(fit, Image.Resampling.LANCZOS), corner)
        self.pen.rectangle((x, y, x + wide - 1, y + high - 1), outline=FAINT)
        if note:
            length = face(15).getlength(note)
            self.pen.rectangle((x + wide - length - 12, y + high - 25, x + wide - 1, y + high - 1), INK)
            self.pen.text((x + wide - length - 6, y + high - 22), note, PAPER, face(15))
        return (*corner, corner[0] + fit[0], corner[1] + fit[1])
