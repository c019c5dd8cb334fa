"""Films to learn relations from: drawn, looked at once by the frozen backbone, kept as features and truth.

A film's features lie in one file a (film, look, backbone revision), written whole or not at all and
mapped into memory when read. Boxes, events and labels are not stored: they follow from the seed. This
file does not know queries, memories or networks.
"""

from __future__ import annotations

import functools
import itertools
import os
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from watchonce.bench.rest.asking import crop
from watchonce.train.eye import wear
from watchonce.types import BadInput, DamagedMemory, FrameBatch, Span
from watchonce.video.drawn.paint import Painter
from watchonce.video.drawn.truth import Box, Truth, truth_of
from watchonce.video.drawn.world import ACTIVITIES, SPLITS, Event, make_world

if TYPE_CHECKING:
    from torch import Tensor

    from watchonce.contracts import Vision

LOOKS = ("plain", "flip", "colour", "both")
REPRESENTED = 4  # crops kept of every object, from as many different moments at rest
BATCH = 200  # frames painted and encoded at once
SHARE = 0.2  # of an object's box that lies in a cell: from there on the cell's token shows the object
PUSH, PULL = ACTIVITIES.index("push"), ACTIVITIES.index("pull")
MIRRORED = {PUSH: PULL, PULL: PUSH}  # what these look like in a mirror


@dataclass(frozen=True, slots=True)
class FilmKey:
    """Which film, seen how: world, seconds between frames of the features, augmentation."""

    seed: int
    split: str = "train"
    seconds: float = 1800.0
    look: str = "plain"  # one of LOOKS: mirrored, with other colours, or both
    fps: float = 1.0

    def __post_init__(self) -> None:
        if self.look not in LOOKS:
            raise BadInput(f"a look is one of {', '.join(LOOKS)}, got {self.look!r}")
        if self.split not in SPLITS:
            raise BadInput(f"split must be one of {', '.join(SPLITS)}, got {self.split!r}")

    @property
    def name(self) -> str:
        """Unlike that of any other film; a file name."""
        return f"{self.split}-{self.seed}-{self.seconds:g}s-{self.fps:g}fps-{self.look}"


@dataclass(frozen=True, eq=False)
class Film:
    """One film as the trainer sees it: T frames of G tokens, I objects.

    features: float16 `[T, G, D]`; times: float64 `[T]`, seconds. crops: float16 `[I, REPRESENTED, G, D]`, of
    every object at rest (one view repeated where there are no more; `shown` `[I]` is False where there is
    none). boxes: float32 `[I, T, 4]`, x1 y1 x2 y2 in 0..1, NaN where the object is not on view.
    """

    key: FilmKey
    truth: Truth
    times: np.ndarray
    features: Tensor
    crops: Tensor
    shown: Tensor
    boxes: np.ndarray
    grid: tuple[int, int]

    @functools.cached_property
    def cells(self) -> np.ndarray:
        """Share of every object's box that lies in every cell, float32 `[I, T, G]`, 0 off view."""
        return cell_shares(self.boxes, self.grid)

    @functools.cached_property
    def acts(self) -> np.ndarray:
        """bool `[A, T, G]`, in the order of ACTIVITIES: the token shows an object to which this is done."""
        found = np.zeros((len(ACTIVITIES), len(self.times), self.grid[0] * self.grid[1]), bool)
        for event in self.truth.events:
            during = self.frames_of(event)
            found[self.activity_of(event), during] |= self.cells[event.instance, during] >= SHARE
        return found

    def oracle(self, room: int) -> tuple[np.ndarray, np.ndarray]:
        """Frames and cells, int64, of at most `room` tokens that show events: each event in turn gets one.

        An event's tokens are taken farthest first: its cell that holds most of the object, at moments
        spread over the event; then its other cells.
        """
        queues = [self._tokens_of(event) for event in self.truth.events]
        taken: dict[tuple[int, int], None] = {}
        for turn in range(max((len(q) for q in queues), default=0)):
            for queue in queues:
                if turn < len(queue) and len(taken) < room:
                    taken[queue[turn]] = None
        places = np.array(sorted(taken), np.int64).reshape(-1, 2)
        return places[:, 0], places[:, 1]

    def _tokens_of(self, event: Event) -> list[tuple[int, int]]:
        frames, instance = self.frames_of(event), event.instance
        order = np.argsort([int(f"{n:016b}"[::-1], 2) for n in range(len(frames))], kind="stable")
        ranked = np.argsort(-self.cells[instance, frames], axis=1, kind="stable")
        return [
            (int(frames[n]), int(ranked[n, rank]))
            for rank in range(2)
            for n in order
            if self.cells[instance, frames[n], ranked[n, rank]] >= SHARE
        ]

    @functools.cached_property
    def acting(self) -> np.ndarray:
        """bool `[T, G]`: the token shows an object to which something is being done."""
        return np.asarray(self.acts.any(0))

    def shows(self, instance: int) -> np.ndarray:
        """bool `[T, G]`: the token shows this object."""
        return np.asarray(self.cells[instance] >= SHARE)

    def during(self, span: Span) -> np.ndarray:
        """Indices of the frames inside a span, int64."""
        return np.arange(*np.searchsorted(self.times, [span.start, span.end]))

    def frames_of(self, event: Event) -> np.ndarray:
        """Indices of the frames of an event, int64."""
        return self.during(Span(event.start, event.end))

    def frame_at(self, time: Tensor) -> np.ndarray:
        """Indices of the frames that start at these times, int64; times as records have them, float32."""
        return np.searchsorted(self.times, time.double().numpy() - 1e-3).clip(max=len(self.times) - 1)

    @property
    def mirror(self) -> bool:
        """Left and right are exchanged."""
        return self.key.look in ("flip", "both")

    def activity_of(self, event: Event) -> int:
        """Number of what an event looks like."""
        return self.activity(ACTIVITIES.index(event.activity))

    def activity(self, number: int) -> int:
        """What an activity of the truth looks like in this film: a mirror turns a push into a pull."""
        return MIRRORED.get(number, number) if self.mirror else number


def cell_shares(boxes: np.ndarray, grid: tuple[int, int]) -> np.ndarray:
    """Share of each box `[..., 4]` (x1 y1 x2 y2 in 0..1) in each cell, float32 `[..., G]`; of a NaN box 0."""
    rows, columns = grid

    def along(low: np.ndarray, high: np.ndarray, parts: int) -> np.ndarray:
        edges = np.arange(parts + 1, dtype=np.float32) / parts
        inside = np.minimum(high[..., None], edges[1:]) - np.maximum(low[..., None], edges[:-1])
        return inside.clip(min=0) / np.maximum(high - low, 1e-6)[..., None]

    across, down = along(boxes[..., 0], boxes[..., 2], columns), along(boxes[..., 1], boxes[..., 3], rows)
    share = (down[..., :, None] * across[..., None, :]).reshape(*boxes.shape[:-1], rows * columns)
    return np.nan_to_num(share, nan=0.0)


def open_film(key: FilmKey, vision: Vision, cache: Path) -> Film:
    """The film, its features from `cache`, or else computed and put there (5 CPU-seconds for 30 minutes).

    Raises DamagedMemory when the file in the cache cannot be read.
    """
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    world = make_world(key.seed, key.seconds, split=key.split)
    times = np.arange(int(np.ceil(key.seconds * key.fps))) / key.fps
    truth = truth_of(world, fps=key.fps, variable=False, size=(96, 96), frames=len(times), scale=1.0)
    path = cache / vision.revision[:16] / f"{key.name}.safetensors"
    if not path.exists():
        _encode(path, Painter(world), truth, times, key, vision)
    try:
        kept = load_file(path)
    except (SafetensorError, OSError) as error:
        raise DamagedMemory(f"features {path} cannot be read ({error}); delete the file") from error
    boxes = boxes_at(truth, times)
    if key.look in ("flip", "both"):
        boxes = mirrored(boxes)
    shown = kept["shown"].bool()
    return Film(key, truth, times, kept["features"], kept["crops"], shown, boxes, vision.grid)


def boxes_at(truth: Truth, times: np.ndarray) -> np.ndarray:
    """`Truth.box_at` for every object at every time: float32 `[I, T, 4]`, NaN off view."""
    found = np.full((len(truth.instances), len(times), 4), np.nan, np.float32)
    for track in truth.tracks:
        first, last = np.searchsorted(times, [track.start, track.end])
        at = times[first:last]
        box = np.stack([np.interp(at, track.boxes[:, 0], track.boxes[:, side]) for side in range(1, 5)], 1)
        box[(box[:, 2] <= box[:, 0]) | (box[:, 3] <= box[:, 1])] = np.nan
        found[track.instance, first:last] = box
    return found


def mirrored(boxes: np.ndarray) -> np.ndarray:
    """Boxes `[..., 4]` as a mirror shows them."""
    flipped = boxes.copy()
    flipped[..., 0], flipped[..., 2] = 1 - boxes[..., 2], 1 - boxes[..., 0]
    return flipped


def looked_at(frames: np.ndarray, look: str, colours: tuple[float, ...]) -> np.ndarray:
    """Frames uint8 `[N, S, S, 3]` as this look has them; `colours` = the gain of each channel."""
    if look in ("flip", "both"):
        frames = frames[:, :, ::-1]
    if look in ("colour", "both"):
        gained = np.clip(frames * np.array(colours, np.float32), 0, 255).astype(np.uint8)
        frames = gained & 0xF0 | 0x08  # sixteen levels a channel
    return np.ascontiguousarray(frames)


def rests(truth: Truth, instance: int, count: int) -> list[tuple[float, Box]]:
    """Up to `count` moments at which the object is on view and at rest, from different visits first."""
    own = [e for e in truth.events if e.instance == instance]
    found: list[tuple[float, float, Box]] = []
    for track in (t for t in truth.tracks if t.instance == instance):
        edges = sorted({track.start, track.end, *(t for e in own for t in (e.start, e.end))})
        inside = [edge for edge in edges if track.start <= edge <= track.end]
        gaps = [Span(a, b) for a, b in itertools.pairwise(inside)]
        free = [g for g in gaps if not any(g.overlap(Span(e.start, e.end)) for e in own)]
        for rank, gap in enumerate(sorted(free, key=lambda g: -g.length)):
            time = (gap.start + gap.end) / 2
            if (box := truth.box_at(instance, time)) is not None:
                found.append((rank + 1 / (1 + gap.length), time, box))
    return [(time, box) for _, time, box in sorted(found)[:count]]


def _encode(
    path: Path, painter: Painter, truth: Truth, times: np.ndarray, key: FilmKey, vision: Vision
) -> None:
    import torch
    from safetensors.torch import save_file

    rng = np.random.default_rng([key.seed, SPLITS.index(key.split), LOOKS.index(key.look), 31])
    colours = tuple(rng.uniform(0.75, 1.25, 3))

    def paint(at: np.ndarray) -> np.ndarray:
        return looked_at(wear(painter.draw(at), rng), key.look, colours)

    parts = []
    for first in range(0, len(times), BATCH):
        at = times[first : first + BATCH]
        frames = FrameBatch(paint(at).transpose(0, 3, 1, 2), at, at + 1 / key.fps)
        parts.append(vision.encode(frames).data.half().reshape(len(at), -1, vision.width))
    crops = torch.zeros(len(truth.instances), REPRESENTED, parts[0].shape[1], vision.width).half()
    shown = torch.zeros(len(truth.instances), dtype=torch.uint8)
    for instance in range(len(truth.instances)):
        views = []
        for time, box in rests(truth, instance, REPRESENTED):
            seen = mirrored(np.array(box)).tolist() if key.look in ("flip", "both") else box
            frame = paint(np.array([time]))[0].transpose(2, 0, 1)
            views.append(crop(frame, seen))
        if views:
            encoded = vision.encode_objects(views).half()
            crops[instance] = encoded[[k % len(views) for k in range(REPRESENTED)]]
            shown[instance] = 1
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_name(f".{path.name}.{os.getpid()}.part")
    save_file({"features": torch.cat(parts), "crops": crops, "shown": shown}, part)
    os.replace(part, path)
