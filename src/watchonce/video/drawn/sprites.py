"""The small pictures of the drawn world: objects, tools, the bare hand, and what is needed to lay them down.

Every shape is drawn four times too large with Pillow and averaged down, once; after that laying it on
a frame is one multiply-add. Shapes are told in a square of 28 units. This file knows no world, no
time and no room.
"""

from __future__ import annotations

import colorsys
import functools
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from PIL import Image, ImageDraw

Rgb = tuple[int, int, int]
INKS: dict[str, Rgb] = {
    "red": (216, 38, 44),
    "green": (38, 158, 62),
    "blue": (42, 84, 214),
    "yellow": (244, 216, 46),
    "purple": (148, 52, 178),
    "orange": (246, 132, 24),
}
DARK: Rgb = (34, 30, 36)
WHITE: Rgb = (246, 246, 242)
SKIN: Rgb = (232, 184, 150)
STEEL: Rgb = (150, 158, 168)
WOOD: Rgb = (122, 82, 50)
UNIT = 28.0
FINE = 4  # drawn this many times too large


@dataclass(frozen=True, eq=False)
class Sprite:
    """A picture ready to lay down: `weighted` uint16 `[h, w, 3]` = colour x cover, `rest` = 256 - cover."""

    weighted: np.ndarray
    rest: np.ndarray  # uint16 [h, w, 1]
    solid: np.ndarray  # bool [h, w]

    @property
    def height(self) -> int:
        """Rows."""
        return self.rest.shape[0]

    @property
    def width(self) -> int:
        """Columns."""
        return self.rest.shape[1]

    def corner(self, x: float, y: float) -> tuple[int, int]:
        """Left and top pixel of the sprite centred at (x, y) pixels."""
        return math.floor(x - self.width / 2 + 0.5), math.floor(y - self.height / 2 + 0.5)

    def lay(self, frame: np.ndarray, left: int, top: int) -> None:
        """Blends the sprite into a uint8 `[H, W, 3]` frame, in place; what falls outside is cut."""
        x0, y0 = max(left, 0), max(top, 0)
        x1, y1 = min(left + self.width, frame.shape[1]), min(top + self.height, frame.shape[0])
        if x0 >= x1 or y0 >= y1:
            return
        part = (slice(y0 - top, y1 - top), slice(x0 - left, x1 - left))
        under = frame[y0:y1, x0:x1]
        # at most 255 * 256, as colour and ground share the 256: no overflow of 16 bits
        frame[y0:y1, x0:x1] = (under * self.rest[part] + self.weighted[part]) >> 8

    def mark(self, ids: np.ndarray, left: int, top: int, value: int) -> None:
        """Writes `value` into an integer `[H, W]` map where the sprite is solid."""
        x0, y0 = max(left, 0), max(top, 0)
        x1, y1 = min(left + self.width, ids.shape[1]), min(top + self.height, ids.shape[0])
        if x0 < x1 and y0 < y1:
            ids[y0:y1, x0:x1][self.solid[y0 - top : y1 - top, x0 - left : x1 - left]] = value


class Pen:
    """Draws in a square of 28 units; `side` is the sprite's side in final pixels."""

    def __init__(self, side: float) -> None:
        self.side = max(1, round(side))
        self.scale = self.side * FINE / UNIT
        self.image = Image.new("RGBA", (self.side * FINE, self.side * FINE), (0, 0, 0, 0))
        self.draw = ImageDraw.Draw(self.image)

    def _xy(self, points: Sequence[tuple[float, float]]) -> list[tuple[float, float]]:
        return [(x * self.scale, y * self.scale) for x, y in points]

    def line(self, points: Sequence[tuple[float, float]], ink: Rgb, width: float) -> None:
        """An open stroke with rounded joints."""
        self.draw.line(self._xy(points), fill=ink, width=max(1, round(width * self.scale)), joint="curve")

    def shape(self, points: Sequence[tuple[float, float]], ink: Rgb, edge: float = 1.2) -> None:
        """A filled polygon with a dark edge."""
        self.draw.polygon(self._xy(points), fill=ink)
        if edge:
            self.line([*points, points[0], points[1]], DARK, edge)

    def oval(
        self, x0: float, y0: float, x1: float, y1: float, ink: Rgb | None, edge: float = 1.2, rim: Rgb = DARK
    ) -> None:
        """A filled ellipse with an edge; no ink leaves a ring."""
        box = self._xy([(x0, y0), (x1, y1)])
        self.draw.ellipse(
            [box[0][0], box[0][1], box[1][0], box[1][1]],
            fill=ink,
            outline=rim if edge else None,
            width=max(1, round(edge * self.scale)) if edge else 0,
        )

    def finish(self, mirror: bool = False) -> Sprite:
        """Averages down and trims the empty border."""
        fine = np.asarray(self.image, np.float32)
        if mirror:
            fine = fine[:, ::-1]
        cover = fine[..., 3:] / 255.0
        blocks = np.concatenate([fine[..., :3] * cover, cover], 2)
        small = blocks.reshape(self.side, FINE, self.side, FINE, 4).mean((1, 3))
        solid = small[..., 3] > 0.35
        rows, columns = np.flatnonzero(solid.any(1)), np.flatnonzero(solid.any(0))
        trim = (slice(rows[0], rows[-1] + 1), slice(columns[0], columns[-1] + 1))
        rest = 256 - np.round(small[..., 3:] * 256).astype(np.uint16)
        weighted = np.minimum(np.round(small[..., :3] * 256), (256 - rest.astype(np.int32)) * 255)
        return Sprite(weighted[trim].astype(np.uint16), rest[trim], solid[trim])


def tone(ink: Rgb, light: float) -> Rgb:
    """The ink made lighter (above 1) or darker."""
    if light <= 1:
        return tuple(round(v * light) for v in ink)  # type: ignore[return-value]
    return tuple(round(v + (255 - v) * (light - 1)) for v in ink)  # type: ignore[return-value]


def _turned(ink: Rgb, hue: int) -> Rgb:
    """The same colour to the eye, a little off: about 4 degrees of hue and some brightness."""
    h, s, v = colorsys.rgb_to_hsv(*(c / 255 for c in ink))
    mixed = colorsys.hsv_to_rgb((h + hue * 0.011) % 1, s, min(1.0, v * (1 + 0.05 * hue)))
    return tuple(round(c * 255) for c in mixed)  # type: ignore[return-value]


def _cup(pen: Pen, ink: Rgb) -> None:
    pen.oval(15, 10, 27, 22, None, 3.0, tone(ink, 0.75))
    pen.shape([(2, 6), (21, 6), (18, 26), (5, 26)], ink)
    pen.oval(2, 2.5, 21, 9.5, tone(ink, 0.45))


def _ball(pen: Pen, ink: Rgb) -> None:
    pen.oval(1.5, 1.5, 26.5, 26.5, ink)
    pen.line([(4, 8), (10, 12), (18, 12), (24, 8)], WHITE, 2.4)
    pen.line([(4, 20), (10, 16.5), (18, 16.5), (24, 20)], WHITE, 2.4)


def _book(pen: Pen, ink: Rgb) -> None:
    pen.shape([(5, 24), (24, 24), (26, 27), (5, 27)], WHITE)
    pen.shape([(4, 1), (24, 1), (24, 24), (4, 24)], ink)
    pen.line([(7.5, 1.5), (7.5, 23.5)], tone(ink, 0.5), 1.8)
    pen.line([(11, 7), (20.5, 7)], WHITE, 2.2)
    pen.line([(11, 11.5), (18, 11.5)], WHITE, 2.2)


def _plant(pen: Pen, ink: Rgb) -> None:
    pen.line([(14, 19), (14, 8)], (60, 84, 50), 2.0)
    for x, y in ((14, 5), (6.5, 8), (21.5, 8), (8, 15), (20, 15)):
        pen.oval(x - 5, y - 4.4, x + 5, y + 4.4, ink, 1.0)
    pen.shape([(7.5, 19), (20.5, 19), (18.5, 27), (9.5, 27)], (150, 128, 112))


def _box(pen: Pen, ink: Rgb) -> None:
    pen.shape([(1.5, 10), (18.5, 10), (18.5, 27), (1.5, 27)], ink)
    pen.shape([(1.5, 10), (9, 3), (26.5, 3), (18.5, 10)], tone(ink, 1.45))
    pen.shape([(18.5, 10), (26.5, 3), (26.5, 20), (18.5, 27)], tone(ink, 0.62))
    pen.line([(10, 10), (10, 27)], WHITE, 2.2)


def _lamp(pen: Pen, ink: Rgb) -> None:
    pen.line([(14, 14), (14, 25)], DARK, 2.6)
    pen.shape([(6, 24), (22, 24), (23, 27), (5, 27)], (70, 66, 72))
    pen.shape([(9, 1), (19, 1), (26, 16), (2, 16)], ink)
    pen.oval(11, 14.5, 17, 19.5, (255, 250, 214), 0.8)


def _bottle(pen: Pen, ink: Rgb) -> None:
    pen.shape([(11.5, 5), (16.5, 5), (16.5, 10), (20, 14), (20, 27), (8, 27), (8, 14), (11.5, 10)], ink)
    pen.shape([(10.5, 1), (17.5, 1), (17.5, 5), (10.5, 5)], (90, 90, 96), 1.0)
    pen.shape([(8.5, 17), (19.5, 17), (19.5, 22.5), (8.5, 22.5)], WHITE, 0)


def _shoe(pen: Pen, ink: Rgb) -> None:
    pen.shape([(2, 5), (10, 5), (12, 11), (18, 14.5), (26, 17), (26.5, 22), (2, 22)], ink)
    pen.shape([(1.5, 21.5), (26.5, 21.5), (26.5, 25.5), (1.5, 25.5)], WHITE)
    pen.line([(12, 14.5), (15, 11)], WHITE, 1.6)
    pen.line([(15.5, 16.5), (18.5, 12.5)], WHITE, 1.6)


SHAPES: dict[str, Callable[[Pen, Rgb], None]] = {
    "cup": _cup, "ball": _ball, "book": _book, "plant": _plant,
    "box": _box, "lamp": _lamp, "bottle": _bottle, "shoe": _shoe,
}  # fmt: skip
# where a marking goes: on plain ink, of 28 x 28
SPOTS: dict[str, tuple[float, float]] = {
    "cup": (10.5, 16.5), "ball": (9, 5.5), "book": (16, 18), "plant": (14, 5),
    "box": (5.5, 18.5), "lamp": (14, 9), "bottle": (14, 14), "shoe": (6.5, 14),
}  # fmt: skip


@functools.lru_cache(maxsize=4096)
def object_sprite(category: str, colour: str, size: int, hue: int, marking: int, scale: float) -> Sprite:
    """An object; `size` of 96, `scale` = pixels per unit of 96, `marking` 0 none, 1 dot, 2 bar, 3 ring."""
    pen, ink = Pen(size * scale), _turned(INKS[colour], hue)
    SHAPES[category](pen, ink)
    x, y = SPOTS[category]
    if marking == 1:
        pen.oval(x - 2, y - 2, x + 2, y + 2, DARK, 0)
    elif marking == 2:
        pen.line([(x - 3, y), (x + 3, y)], tone(ink, 0.4), 2.0)
    elif marking == 3:
        pen.oval(x - 2.8, y - 2.8, x + 2.8, y + 2.8, None, 1.2, WHITE)
    return pen.finish()


def _fist(pen: Pen, x: float, y: float) -> None:
    pen.oval(x - 4.5, y - 4.5, x + 4.5, y + 4.5, SKIN)


def _wash(pen: Pen) -> None:
    pen.shape([(2, 14), (17, 12), (18, 21), (3, 23)], (250, 236, 150))
    for x, y, r in ((4, 9, 3.6), (11, 6, 4.4), (18.5, 8.5, 3.2)):
        pen.oval(x - r, y - r, x + r, y + r, (176, 232, 250), 1.2, (52, 140, 190))
    _fist(pen, 21, 20)


def _wipe(pen: Pen) -> None:
    pen.shape([(1, 8), (6, 5), (11, 9), (16, 5), (21, 9), (19, 26), (13, 22), (8, 27), (2, 23)], WHITE)
    pen.line([(4, 13), (18, 14)], (90, 130, 200), 1.6)
    pen.line([(4, 18), (17, 19)], (90, 130, 200), 1.6)
    _fist(pen, 20, 6)


def _cut(pen: Pen) -> None:
    pen.line([(2, 3), (17, 18)], DARK, 5.0)
    pen.line([(2, 15), (18, 13)], DARK, 5.0)
    pen.line([(2, 3), (17, 18)], STEEL, 3.0)
    pen.line([(2, 15), (18, 13)], STEEL, 3.0)
    pen.oval(16, 7, 26, 15, None, 2.8)
    pen.oval(15, 16, 25, 25, None, 2.8)
    _fist(pen, 23, 16)


def _paint(pen: Pen) -> None:
    pen.line([(9, 13), (25, 25)], DARK, 4.4)
    pen.line([(9, 13), (25, 25)], WOOD, 2.6)
    pen.shape([(6, 11), (11, 6.5), (15, 12), (10, 16.5)], STEEL)
    pen.shape([(1, 5), (6, 1), (11, 7), (6.5, 11)], (20, 150, 150))
    pen.oval(1, 12, 6, 19, (20, 150, 150), 0)
    _fist(pen, 21, 22)


def _fix(pen: Pen) -> None:
    pen.line([(9, 10), (24, 24)], DARK, 6.4)
    pen.line([(9, 10), (24, 24)], STEEL, 4.2)
    pen.oval(1, 1, 15, 15, STEEL, 1.4)
    pen.shape([(0, 4), (3, 0), (9, 6.5), (6, 9.5)], DARK, 0)
    _fist(pen, 21, 21)


def _spray(pen: Pen) -> None:
    for x, y in ((2, 4), (2, 10), (2, 16), (7, 7), (7, 13), (11, 10)):
        pen.oval(x - 1.8, y - 1.8, x + 1.8, y + 1.8, WHITE, 0.6, (110, 160, 200))
    pen.shape([(15, 11), (25, 11), (25, 27), (15, 27)], (218, 222, 228))
    pen.shape([(14, 6), (22, 6), (22, 11), (16, 11)], DARK)
    pen.line([(15.5, 18), (24.5, 18)], (60, 60, 70), 2.6)
    _fist(pen, 23.5, 22)


def _inspect(pen: Pen) -> None:
    pen.line([(15, 15), (25, 25)], DARK, 4.6)
    pen.oval(1, 1, 19, 19, (204, 232, 240), 2.8)
    pen.line([(5.5, 11), (11, 5.5)], WHITE, 2.0)
    _fist(pen, 22, 22)


def _hammer(pen: Pen) -> None:
    pen.line([(9, 9), (24, 24)], DARK, 5.0)
    pen.line([(9, 9), (24, 24)], (196, 140, 76), 3.0)
    pen.shape([(0, 11), (11, 0), (16, 5), (5, 16)], (66, 68, 78))
    _fist(pen, 21, 21)


def _hand(pen: Pen) -> None:
    for y, x in ((6.0, 5.0), (11.0, 2.5), (16.0, 2.5), (21.0, 5.0)):
        pen.line([(x, y), (16, (y + 14) / 2)], DARK, 5.4)
    pen.oval(9, 5, 25, 25, SKIN)
    for y, x in ((6.0, 5.0), (11.0, 2.5), (16.0, 2.5), (21.0, 5.0)):
        pen.line([(x + 0.8, y), (16, (y + 14) / 2)], SKIN, 3.4)
    pen.shape([(20, 10), (28, 12), (28, 22), (20, 21)], (70, 84, 120))


TOOLS: dict[str, Callable[[Pen], None]] = {
    "wash": _wash, "wipe": _wipe, "cut": _cut, "paint": _paint, "fix": _fix,
    "spray": _spray, "inspect": _inspect, "hammer": _hammer, "hand": _hand,
}  # fmt: skip
TOOL_SIZE = 17


@functools.lru_cache(maxsize=256)
def tool_sprite(tool: str, side: int, scale: float) -> Sprite:
    """A hand with a tool, or the bare "hand"; it points left when it is held at the right (`side` +1)."""
    pen = Pen(TOOL_SIZE * scale)
    TOOLS[tool](pen)
    return pen.finish(mirror=side < 0)


@functools.lru_cache(maxsize=64)
def shadow_sprite(width: int, scale: float) -> Sprite:
    """The shade an object leaves where it stood, so that a lifted thing is seen to hang."""
    pen = Pen(width * scale)
    pen.draw.ellipse(
        [0, 0.40 * UNIT * pen.scale, UNIT * pen.scale, 0.60 * UNIT * pen.scale], fill=(20, 20, 24, 150)
    )
    return pen.finish()


@functools.lru_cache(maxsize=64)
def track_sprite(width: int, scale: float) -> Sprite:
    """The scuff on the shelf along which a thing is pushed or pulled: the same for both."""
    pen = Pen(width * scale)
    for x in range(0, 28, 4):
        pen.line([(x, 14), (x + 2.2, 14)], (40, 38, 42), 1.0)
    return pen.finish()
