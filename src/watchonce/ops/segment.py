"""Where one scene ends and the next begins, and the few things true of any picture.

Plain numpy on small frames; it knows no model and no file.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

GRID = 8  # cells a side
# Hue in degrees -> the word; bounds are upper ends, red wraps around.
HUES = (
    (20, "red"),
    (45, "orange"),
    (70, "yellow"),
    (165, "green"),
    (200, "cyan"),
    (255, "blue"),
    (330, "purple"),
)


def sketch(pixels: np.ndarray) -> np.ndarray:
    """A frame as an 8 x 8 mean-colour grid: uint8 `[T, 3, H, W]` -> float32 `[T, 192]` in 0..1."""
    count, _, height, width = pixels.shape
    rows = np.linspace(0, height, GRID + 1).astype(int)[:-1]
    columns = np.linspace(0, width, GRID + 1).astype(int)[:-1]
    rows, columns = np.unique(rows), np.unique(columns)
    summed = np.add.reduceat(np.add.reduceat(pixels, rows, axis=2, dtype=np.uint32), columns, axis=3)
    high = np.diff(np.append(rows, height))[:, None]
    wide = np.diff(np.append(columns, width))[None, :]
    cells = (summed / (high * wide) / 255.0).astype(np.float32)
    full = cells.repeat(-(-GRID // len(rows)), axis=2)[:, :, :GRID].repeat(-(-GRID // len(columns)), axis=3)
    return full[:, :, :, :GRID].reshape(count, 3 * GRID * GRID)


@dataclass(frozen=True, slots=True)
class Scene:
    """A stretch without a cut, in seconds, and how it looks."""

    start: float
    end: float
    look: str


class SceneStream:
    """Cuts a stream of sketches into scenes with bounded state.

    A frame begins a scene when it differs from the frame before by more than `threshold` (mean absolute
    difference, 0..1), more than `ratio` times the median of the last `around` differences, and the scene
    has lasted `shortest` seconds.
    """

    def __init__(
        self, threshold: float = 0.10, ratio: float = 3.0, around: int = 8, shortest: float = 2.0
    ) -> None:
        self.threshold, self.ratio, self.around, self.shortest = threshold, ratio, around, shortest
        self._start = self._end = 0.0
        self._frames = 0
        self._sum = np.zeros(3 * GRID * GRID)
        self._last = np.zeros(3 * GRID * GRID)
        self._moved = 0.0
        self._steps = np.zeros(0)

    def push(self, sketches: np.ndarray, start: np.ndarray, end: np.ndarray) -> list[Scene]:
        """Takes sketches `[T, 192]` with their times; gives the scenes that have ended."""
        done: list[Scene] = []
        for row, since, until in zip(sketches.astype(np.float64), start, end, strict=True):
            step = float(np.abs(row - self._last).mean()) if self._frames else 0.0
            usual = float(np.median(self._steps)) if len(self._steps) else 0.0
            cut = step > self.threshold and step > self.ratio * usual
            if self._frames and cut and since - self._start >= self.shortest:
                done.append(self._scene(float(since)))
            elif self._frames:
                self._moved += step
            if not self._frames:
                self._start = float(since)
            self._steps = np.append(self._steps, step)[-self.around :] if self._frames else self._steps
            self._frames += 1
            self._sum += row
            self._last, self._end = row, float(until)
        return done

    def flush(self) -> list[Scene]:
        """The scene still open at the end of the video, if any frame was seen."""
        return [self._scene(self._end)] if self._frames else []

    def _scene(self, end: float) -> Scene:
        scene = Scene(
            self._start, end, look(self._sum / self._frames, self._moved / max(1, self._frames - 1))
        )
        self._frames, self._moved = 0, 0.0
        self._sum = np.zeros_like(self._sum)
        self._steps = np.zeros(0)
        return scene

    def state(self) -> np.ndarray:
        """All of it as one float64 row, for a checkpoint."""
        head = [self._start, self._end, self._frames, self._moved]
        return np.concatenate([head, self._sum, self._last, self._steps])

    def restore(self, state: np.ndarray) -> None:
        """Takes up a row made by `state`."""
        width = 3 * GRID * GRID
        self._start, self._end, self._moved = float(state[0]), float(state[1]), float(state[3])
        self._frames = int(state[2])
        self._sum, self._last = state[4 : 4 + width].copy(), state[4 + width : 4 + 2 * width].copy()
        self._steps = state[4 + 2 * width :].copy()


def look(mean: np.ndarray, moving: float) -> str:
    """What can be said of any scene without a model: light, main colour, movement.

    mean: `[192]`, the mean sketch; moving: mean change between neighbouring frames.
    """
    cells = mean.reshape(3, -1)  # [3, 64]
    light = float(cells.max(axis=0).mean())
    words = ["dark" if light < 0.25 else "bright" if light > 0.65 else "medium light"]
    vivid = cells.max(axis=0) - cells.min(axis=0) > 0.08
    words.append("mostly grey" if vivid.mean() < 0.2 else "mostly " + _hue_word(cells[:, vivid]))
    words.append("still" if moving < 0.004 else "lively" if moving > 0.04 else "moving")
    return ", ".join(words)


def _hue_word(cells: np.ndarray) -> str:
    red, green, blue = cells
    high, low = cells.max(axis=0), cells.min(axis=0)
    chroma = high - low
    hue = np.where(
        high == red,
        (green - blue) / chroma % 6,
        np.where(high == green, (blue - red) / chroma + 2, (red - green) / chroma + 4),
    )
    names = [next((word for bound, word in HUES if angle < bound), "red") for angle in hue * 60]
    weights: dict[str, float] = {}
    for name, weight in zip(names, chroma, strict=True):
        weights[name] = weights.get(name, 0.0) + float(weight)
    return max(weights, key=lambda name: (weights[name], name))
