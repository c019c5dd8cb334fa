"""Draws a world into a real H.264 file, any length, and writes its truth beside it.

Frames are painted and encoded a batch at a time, so a day needs no more memory than a minute. The
frame shown at time t is the world at time t, and t is the time stamp in the container. Both files
appear whole or not at all. This file does not know how a world is invented or painted.
"""

from __future__ import annotations

import itertools
import math
import os
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np

from watchonce.types import BadInput, MissingPackage
from watchonce.video.drawn.paint import Painter
from watchonce.video.drawn.questions import film_questions
from watchonce.video.drawn.truth import GENERATOR, to_json, truth_of
from watchonce.video.drawn.world import SPLITS, World, make_world

BATCH = 128  # frames painted at once
STRETCH = 20.0  # seconds at one rate before `vary` changes it
SLOWER = 5  # the slow stretches of `vary` show one frame in so many
LARGEST_CANVAS = 384
CODECS = ("libx264", "libx265")
Progress = Callable[[float, float], None]


@dataclass(frozen=True, slots=True)
class Reel:
    """How a world becomes a file: rate, size and the encoder's settings."""

    fps: Fraction
    width: int
    height: int
    vary: bool
    codec: str
    crf: int
    gop: float
    threads: int

    @property
    def canvas(self) -> int:
        """Side of the square that is painted, then scaled to width and height."""
        return max(96, min(LARGEST_CANVAS, min(self.width, self.height) // 96 * 96))

    @property
    def ticks(self) -> int:
        """Ticks a second: a whole number of them lie between any two frames; containers want many."""
        return self.fps.numerator * math.ceil(12800 / self.fps.numerator)

    def shots(self, seconds: float) -> Iterator[tuple[int, int]]:
        """(time stamp, length) of every frame of the film, in ticks; the last one ends with the film."""
        step = int(self.ticks / self.fps)
        end, now, slow = round(seconds * self.ticks), 0, False
        while now < end:
            turn = round(STRETCH * self.fps) * step if self.vary else end
            stop = min(now + turn, end)
            pace = step * (SLOWER if slow else 1)
            for at in range(now, stop, pace):
                yield at, min(at + pace, stop) - at
            now, slow = stop, not slow


def draw(
    path: str | Path,
    *,
    seconds: float,
    seed: int = 0,
    fps: float = 5.0,
    size: tuple[int, int] = (96, 96),
    split: str = "test",
    needles: int = 0,
    questions: int = 60,
    vary: bool = False,
    gop: float = 10.0,
    crf: int = 20,
    codec: str = "libx264",
    threads: int = 2,
    progress: Progress | None = None,
) -> Path:
    """Draws `path` (an .mp4, replaced if it exists) and returns the path of its truth, `path` with .json.

    seconds: 10 s to 48 h. size: width and height in pixels, both even; the world is square and is
    stretched to it. vary: stretches of 20 s at `fps` and at a fifth of it take turns. gop: seconds
    between key frames. questions: at most so many questions go into the truth. progress: called with
    the seconds drawn and the seconds in all. Raises BadInput for anything that cannot be drawn.
    """
    target = _target(path)
    reel = Reel(_rate(fps), *_size(size), vary, codec, crf, gop, threads)
    _check(reel)
    if questions < 0:
        raise BadInput(f"questions must be 0 or above, got {questions}")
    world = make_world(seed, seconds, split=split, needles=needles)
    truth_path = target.with_suffix(".json")
    parts = [p.with_name(f".{p.name}.{os.getpid()}.part") for p in (target, truth_path)]
    try:
        frames = _encode(parts[0], world, reel, progress)
        rng = np.random.default_rng([world.seed, SPLITS.index(split), 99])
        truth = truth_of(
            world,
            fps=float(reel.fps),
            variable=vary,
            size=(reel.width, reel.height),
            frames=frames,
            scale=reel.canvas / 96,
            questions=film_questions(world, rng, questions),
        )
        parts[1].write_text(to_json(truth), encoding="utf-8")
        os.replace(parts[1], truth_path)
        os.replace(parts[0], target)
    finally:
        for part in parts:
            with suppress(FileNotFoundError):
                part.unlink()
    return truth_path


def tag_of(world: World) -> str:
    """What a drawn film says of itself in its container: generator, seed, split, seconds."""
    return f"{GENERATOR} seed={world.seed} split={world.split} seconds={world.duration:g}"


def _encode(path: Path, world: World, reel: Reel, progress: Progress | None) -> int:
    """Paints and writes every frame; returns how many."""
    import av

    painter = Painter(world, reel.canvas)
    base = Fraction(1, reel.ticks)
    written = 0
    with av.open(str(path), "w", format="mp4", options={"movflags": "faststart"}) as container:
        container.metadata["title"] = GENERATOR
        container.metadata["comment"] = tag_of(world)
        stream: Any = container.add_stream(reel.codec, rate=reel.fps)
        stream.width, stream.height, stream.pix_fmt = reel.width, reel.height, "yuv420p"
        stream.codec_context.time_base = base
        stream.codec_context.thread_count = reel.threads
        stream.options = {
            "preset": "veryfast",
            "crf": str(reel.crf),
            "g": str(max(1, round(reel.gop * reel.fps))),
        }
        if reel.vary:  # reordered frames of uneven length would leave the file's duration wrong
            stream.options = {**stream.options, "bf": "0"}
        lengths: dict[int, int] = {}  # of the frames inside the encoder, by time stamp
        shots = reel.shots(world.duration)
        while batch := list(itertools.islice(shots, BATCH)):
            lengths.update(batch)
            times = np.array([at for at, _ in batch], np.float64) / reel.ticks
            for (at, _), pixels in zip(batch, painter.draw(times), strict=True):
                frame = av.VideoFrame.from_ndarray(pixels, format="rgb24").reformat(
                    width=reel.width, height=reel.height, format="yuv420p", interpolation="BICUBIC"
                )
                frame.pts, frame.time_base = at, base
                _put(container, stream.encode(frame), lengths)
            written += len(batch)
            if progress is not None:
                progress(sum(batch[-1]) / reel.ticks, world.duration)
        _put(container, stream.encode(), lengths)
    return written


def _put(container: Any, packets: list[Any], lengths: dict[int, int]) -> None:
    """Writes packets with the length of their frame, which encoders leave out for the last one."""
    for packet in packets:
        packet.duration = lengths.pop(packet.pts)
        container.mux(packet)


def _target(path: str | Path) -> Path:
    target = Path(path)
    if target.suffix.lower() != ".mp4":
        raise BadInput(f"a drawn film is an .mp4 file, got {str(path)!r}: name it {target.stem or 'out'}.mp4")
    if target.is_dir():
        raise BadInput(f"{str(path)!r} is a folder; name a file")
    if not target.parent.is_dir():
        raise BadInput(f"the folder {str(target.parent)!r} does not exist; make it first")
    return target


def _rate(fps: float) -> Fraction:
    if not 0.1 <= fps <= 60:
        raise BadInput(f"fps must be 0.1 to 60 frames a second, got {fps:g}")
    return Fraction(fps).limit_denominator(1001)


def _size(size: tuple[int, int]) -> tuple[int, int]:
    if len(size) != 2 or not all(isinstance(side, int | np.integer) for side in size):
        raise BadInput(f"size must be width and height in whole pixels, got {size!r}")
    width, height = (int(side) for side in size)
    if width % 2 or height % 2:
        even = f"{width + width % 2}x{height + height % 2}"
        raise BadInput(f"size must be even both ways for H.264 4:2:0, got {width}x{height}; try {even}")
    if not (32 <= width <= 4096 and 32 <= height <= 4096):
        raise BadInput(f"size must be 32 to 4096 pixels either way, got {width}x{height}")
    return width, height


def _check(reel: Reel) -> None:
    from av.codec import Codec
    from av.codec.codec import UnknownCodecError

    if not 0 <= reel.crf <= 51:
        raise BadInput(f"crf must be 0 (best) to 51 (worst), got {reel.crf}")
    if not 0.1 <= reel.gop <= 600:
        raise BadInput(f"gop must be 0.1 to 600 seconds between key frames, got {reel.gop:g}")
    if not 1 <= reel.threads <= 64:
        raise BadInput(f"threads must be 1 to 64, got {reel.threads}")
    if reel.codec not in CODECS:
        raise BadInput(f"codec must be one of {', '.join(CODECS)}, got {reel.codec!r}")
    try:
        Codec(reel.codec, "w")
    except UnknownCodecError as error:
        raise MissingPackage(f"this build of PyAV has no encoder {reel.codec!r}; use libx264") from error
