"""Makes small real video files with PyAV, and decodes them plainly: the oracle of the reader's tests."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from fractions import Fraction
from pathlib import Path
from typing import Any, cast

import av
import numpy as np
from av.codec.codec import UnknownCodecError
from av.error import FFmpegError
from av.video.codeccontext import VideoCodecContext
from av.video.frame import VideoFrame

from watchonce.video.pixels import Painter, Turn


@dataclass(frozen=True)
class Film:
    """How to write a file. stamps: in units of `unit`; None = regular frames at 25 a second."""

    name: str
    codec: str = "libx264"
    frames: int = 60
    width: int = 96
    height: int = 64
    pixels: str = "yuv420p"
    options: Mapping[str, str] = field(default_factory=dict)
    container: Mapping[str, str] = field(default_factory=dict)
    stamps: Sequence[int] | None = None
    unit: Fraction = Fraction(1, 25)
    audio: float = 0.0  # seconds of silence beside it


X264 = {"g": "12", "keyint_min": "12", "sc_threshold": "0", "bf": "3", "preset": "medium", "crf": "28"}


def picture(index: int, height: int, width: int) -> np.ndarray:
    """A moving texture that differs in every frame: uint8 [H, W, 3]."""
    y, x = np.mgrid[0:height, 0:width]
    red = (x * 5 + index * 7) % 256
    green = (y * 5 + index * 3) % 256
    blue = ((x + y) * 3 + 128 * ((x // 8 + y // 8 + index // 5) % 2)) % 256
    return np.stack([red, green, blue], -1).astype(np.uint8)


@contextmanager
def usual_priority() -> Iterator[None]:
    """SVT-AV1 moves a thread of root's that encodes to real time (FIFO 99), where it would stay."""
    if not hasattr(os, "sched_getscheduler"):  # Linux alone has it
        yield
        return
    policy, parameters = os.sched_getscheduler(0), os.sched_getparam(0)
    try:
        yield
    finally:
        os.sched_setscheduler(0, policy, parameters)


def write(folder: Path, film: Film) -> Path:
    """Writes the file and returns its path."""
    path = folder / film.name
    with usual_priority(), av.open(str(path), "w", options=dict(film.container)) as out:
        stream = cast(Any, out.add_stream(film.codec, rate=25))
        context = cast(VideoCodecContext, stream.codec_context)
        context.width, context.height, context.pix_fmt = film.width, film.height, film.pixels
        context.time_base = film.unit
        stream.time_base = film.unit
        context.options = dict(film.options)
        if film.audio:
            _silence(out, film.audio)
        stamps = film.stamps if film.stamps is not None else range(film.frames)
        for index, stamp in enumerate(stamps):
            frame = VideoFrame.from_ndarray(picture(index, film.height, film.width), format="rgb24")
            frame = frame.reformat(format=film.pixels)
            frame.pts, frame.time_base = stamp, film.unit
            out.mux(stream.encode(frame))
        out.mux(stream.encode())
    return path


def _silence(out: Any, seconds: float) -> None:
    stream = out.add_stream("aac", rate=16000)
    for index in range(int(seconds * 16000 / 1024)):
        frame = av.AudioFrame(format="fltp", layout="mono", samples=1024)
        for plane in frame.planes:
            plane.update(bytes(plane.buffer_size))
        frame.sample_rate, frame.pts, frame.time_base = 16000, index * 1024, Fraction(1, 16000)
        out.mux(stream.encode(frame))
    out.mux(stream.encode())


def remux(source: Path, target: Path, shift: int = 0, rotation: int | None = None) -> Path:
    """Copies packets to another container, every stamp moved by `shift` ticks."""
    with av.open(str(source)) as inp, av.open(str(target), "w") as out:
        old = inp.streams.video[0]
        new = out.add_stream_from_template(old)
        for packet in inp.demux(old):
            if packet.dts is None:
                continue
            packet.pts = packet.pts + shift if packet.pts is not None else None
            packet.dts += shift
            packet.stream = new
            out.mux(packet)
    return path_of(target)


def path_of(path: Path) -> Path:
    """The path, once it is really there."""
    assert path.stat().st_size > 0
    return path


@dataclass
class Plain:
    """What a plain loop over the file gives: exact times from 0, and painted pixels [T, 3, H, W]."""

    times: list[Fraction]
    pixels: np.ndarray
    offset: Fraction


def decode(path: Path, size: tuple[int, int] | None = None, turn: Turn | None = None) -> Plain:
    """Decodes every frame of the first video stream, one thread, in order, nothing skipped."""
    turn = turn or Turn()
    found: list[tuple[int, np.ndarray]] = []
    with av.open(str(path)) as inp:
        stream = inp.streams.video[0]
        stream.thread_type = "NONE"
        stream.codec_context.thread_count = 1
        painter: Painter | None = None
        for frame in frames_of(inp, stream):
            if painter is None:
                shape = size or (
                    (frame.width, frame.height) if turn.sideways else (frame.height, frame.width)
                )
                painter = Painter(*shape, turn)
            pixels = np.empty((3, painter.height, painter.width), np.uint8)
            painter.paint(frame, pixels)
            assert frame.pts is not None
            found.append((frame.pts, pixels))
        unit = Fraction(cast(Fraction, stream.time_base))
    first = found[0][0]
    return Plain([(p - first) * unit for p, _ in found], np.stack([x for _, x in found]), first * unit)


def frames_of(inp: Any, stream: Any) -> list[VideoFrame]:
    """All frames, past packets that do not decode."""
    frames: list[VideoFrame] = []
    for packet in inp.demux(stream):
        try:
            frames += packet.decode()
        except FFmpegError:
            continue
    return frames


def has_encoder(name: str) -> bool:
    """True when this build of FFmpeg can write the codec."""
    try:
        av.Codec(name, "w")
    except UnknownCodecError:
        return False
    return True
