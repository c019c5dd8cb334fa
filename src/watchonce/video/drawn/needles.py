"""Needles: a word burnt in over the film, or a picture card laid on it, for a few seconds.

The font is five by seven points and drawn twice as large, so a word is legible on the 96-pixel canvas.
This file does not know which needles a film gets, or when.
"""

from __future__ import annotations

import functools
import math

import numpy as np

from watchonce.video.drawn.sprites import WHITE, Pen, Sprite
from watchonce.video.drawn.world import CANVAS, Needle

# seven rows of five points a letter, each row a hexadecimal number, from the top
FONT = {
    "a": "0E 11 11 1F 11 11 11", "b": "1E 11 11 1E 11 11 1E", "c": "0E 11 10 10 10 11 0E",
    "d": "1E 11 11 11 11 11 1E", "e": "1F 10 10 1E 10 10 1F", "f": "1F 10 10 1E 10 10 10",
    "g": "0E 11 10 17 11 11 0E", "h": "11 11 11 1F 11 11 11", "i": "0E 04 04 04 04 04 0E",
    "j": "07 02 02 02 12 12 0C", "k": "11 12 14 18 14 12 11", "l": "10 10 10 10 10 10 1F",
    "m": "11 1B 15 15 11 11 11", "n": "11 19 15 15 13 11 11", "o": "0E 11 11 11 11 11 0E",
    "p": "1E 11 11 1E 10 10 10", "q": "0E 11 11 11 15 12 0D", "r": "1E 11 11 1E 14 12 11",
    "s": "0F 10 10 0E 01 01 1E", "t": "1F 04 04 04 04 04 04", "u": "11 11 11 11 11 11 0E",
    "v": "11 11 11 11 11 0A 04", "w": "11 11 11 15 15 1B 11", "x": "11 11 0A 04 0A 11 11",
    "y": "11 11 0A 04 04 04 04", "z": "1F 01 02 04 08 10 1F",
}  # fmt: skip
CARD = 30  # side of a picture card, of 96
TEAL = (0, 138, 150)


@functools.lru_cache(maxsize=128)
def needle_sprite(kind: str, what: str, scale: float) -> Sprite:
    """The sprite of a "word" or a "picture" needle; `scale` = pixels per unit of 96."""
    return _word(what, scale) if kind == "word" else _picture(what, scale)


def needle_box(needle: Needle, scale: float = 1.0) -> tuple[float, float, float, float]:
    """x1, y1, x2, y2 in 0..1 of a needle while it shows; needles do not move."""
    sprite = needle_sprite(needle.kind, needle.what, scale)
    left, top = sprite.corner(needle.x * scale, needle.y * scale)
    edges = (left, top, left + sprite.width, top + sprite.height)
    x1, y1, x2, y2 = (min(max(edge / (CANVAS * scale), 0.0), 1.0) for edge in edges)
    return x1, y1, x2, y2


def _word(word: str, scale: float) -> Sprite:
    """White letters on a dark band; the letters of FONT only."""
    rows = np.array([[int(row, 16) for row in FONT[letter].split()] for letter in word])  # [letters, 7]
    points = (rows[:, :, None] >> np.arange(4, -1, -1)) & 1  # [letters, 7, 5]
    line = np.pad(points, ((0, 0), (1, 1), (0, 1))).transpose(1, 0, 2).reshape(9, -1)
    fat = max(1, round(2 * scale))
    band = np.pad(line, ((0, 0), (2, 1))).repeat(fat, 0).repeat(fat, 1)[..., None]
    ink = np.where(band, np.array((255, 246, 150)), np.array((16, 14, 22)))
    none = np.zeros((*band.shape[:2], 1), np.uint16)
    return Sprite((ink * 256).astype(np.uint16), none, np.ones(band.shape[:2], bool))


def _picture(name: str, scale: float) -> Sprite:
    pen = Pen(CARD * scale)
    pen.shape([(0.8, 0.8), (27.2, 0.8), (27.2, 27.2), (0.8, 27.2)], WHITE, 1.6)
    if name in ("star", "sun"):
        turns, inner = (5, 0.42) if name == "star" else (12, 0.7)
        corners = [(11 * (1 if n % 2 == 0 else inner), math.pi * (n / turns - 0.5)) for n in range(2 * turns)]
        pen.shape([(14 + r * math.cos(a), 14 + r * math.sin(a)) for r, a in corners], TEAL)
    elif name == "heart":
        pen.oval(4, 5, 15, 16, TEAL, 0)
        pen.oval(13, 5, 24, 16, TEAL, 0)
        pen.shape([(4.8, 13), (14, 9), (23.2, 13), (14, 24)], TEAL, 0)
    elif name == "moon":
        pen.oval(4, 4, 23, 24, TEAL, 0)
        pen.oval(10, 3, 26, 19, WHITE, 0)
    elif name == "flag":
        pen.line([(7, 4), (7, 24)], TEAL, 2.2)
        pen.shape([(8, 5), (23, 9), (8, 15)], TEAL)
    else:
        pen.oval(3.5, 9, 13.5, 19, None, 3.0, TEAL)
        pen.line([(13, 14), (24.5, 14)], TEAL, 3.0)
        pen.line([(19, 14), (19, 19)], TEAL, 2.4)
        pen.line([(23.3, 14), (23.3, 19)], TEAL, 2.4)
    return pen.finish()
