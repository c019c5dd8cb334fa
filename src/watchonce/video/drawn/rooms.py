"""The five rooms of the drawn world as backgrounds: pale and grey, so that the objects' colours stand out.

A look is one number: the phase, tint and furniture of a room in one video. This file knows no
object and no time.
"""

from __future__ import annotations

import functools

import numpy as np

from watchonce.video.drawn.world import CANVAS, ROOMS

PAD = 4.0  # of 96, drawn beyond each edge, for the camera to sway into
INKS: dict[str, tuple[tuple[int, int, int], tuple[int, int, int]]] = {
    "kitchen": ((204, 211, 214), (176, 186, 192)),
    "bedroom": ((216, 198, 192), (194, 174, 172)),
    "office": ((156, 166, 172), (132, 142, 150)),
    "garage": ((122, 114, 108), (98, 92, 88)),
    "garden": ((170, 190, 156), (138, 164, 128)),
}
WOODS = ((146, 128, 110), (112, 104, 100), (176, 164, 148), (128, 134, 140))


@functools.lru_cache(maxsize=1400)
def background(room: str, look: int, size: int) -> np.ndarray:
    """uint8 `[S, S, 3]`, S = size plus PAD on each side, read-only."""
    rng = np.random.default_rng([look, ROOMS.index(room)])
    scale = size / CANVAS
    side = size + 2 * round(PAD * scale)
    axis = (np.arange(side) + 0.5) / scale - PAD
    x, y = axis[None, :], axis[:, None]
    shift = rng.uniform(0, 24, 2)
    share = _pattern(room, x + shift[0], y + shift[1], rng)[..., None]
    light, dark = (np.array(ink, np.float64) for ink in INKS[room])
    wall = light * share + dark * (1 - share)
    for _ in range(int(rng.integers(2, 5))):
        _furnish(wall, x, y, rng)
    for top in (50.0, 90.0):  # the shelves on which things stand
        shelf = np.clip((1.5 - abs(y - top - 1.2)) * scale, 0, 1) * np.ones_like(x)
        wall += (np.array((92, 84, 80)) - wall) * (0.7 * shelf[..., None])
    tint = rng.uniform(0.93, 1.07) * rng.uniform(0.97, 1.03, 3)
    picture = np.clip(wall * tint, 0, 255).astype(np.uint8)
    picture.setflags(write=False)
    return picture


def _pattern(room: str, x: np.ndarray, y: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """float `[S, S]` in 0..1, 1 where the light ink shows; x, y are the coordinates of 96."""
    if room == "kitchen":
        return ((x // 8 + y // 8) % 2).astype(np.float64)
    if room == "bedroom":
        return 0.5 + 0.5 * np.sin(x * (2 * np.pi / 9)) + 0 * y
    if room == "office":
        return 1.0 - ((x % 16 < 1.5) | (y % 16 < 1.5))
    if room == "garage":
        return 1.0 - ((y % 10 < 1.5) | ((x + 11 * (y // 10 % 2)) % 22 < 1.5))
    cells = rng.random((40, 40))
    return cells[(y // 3.5).astype(int) % 40, (x // 3.5).astype(int) % 40]


def _furnish(wall: np.ndarray, x: np.ndarray, y: np.ndarray, rng: np.random.Generator) -> None:
    """A cupboard, a window, a crate: one muted block with a darker edge."""
    left, top = rng.uniform(-4, 80), rng.uniform(-4, 80)
    width, height = rng.uniform(10, 30), rng.uniform(8, 24)
    ink = np.array(WOODS[int(rng.integers(len(WOODS)))]) * rng.uniform(0.9, 1.1)
    inside = (x >= left) & (x < left + width) & (y >= top) & (y < top + height)
    core = (x >= left + 1) & (x < left + width - 1) & (y >= top + 1) & (y < top + height - 1)
    wall[inside] = wall[inside] * 0.25 + ink * 0.55
    wall[core] = wall[core] * 0.4 + ink * 0.55
