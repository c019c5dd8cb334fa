"""A video file as the product holds it: asked by time, decoded by a process of its own.

Times mean what `reader.py` says they mean, and every frame, time and receipt is bit for bit what a
`Reader` in this process would give; but no byte of the file is parsed here. Several readings of one
video may go on at once, each in a child. This file knows no FFmpeg, no model and no memory.
"""

from __future__ import annotations

import hashlib
import itertools
import os
import weakref
from collections.abc import Generator, Iterator, Mapping, Sequence
from contextlib import closing
from fractions import Fraction
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from watchonce.types import BadInput, Coverage, DecoderDied, FrameBatch, Gap, Note, Span, UnreadableVideo
from watchonce.video import children
from watchonce.video.children import Child
from watchonce.video.clock import Clock, exact, exact_rate
from watchonce.video.limits import DEFAULT, Limits, Size, check_size_request

_BLOCK = 1 << 20
_number = itertools.count()


def open_video(
    path: str | os.PathLike[str],
    *,
    threads: int | None = None,
    keyframes: bool = False,
    limits: Limits = DEFAULT,
) -> FileVideo:
    """Opens a video file; nothing but its first frame is decoded.

    threads: decoder threads, default all cores this process may use. keyframes: deliver only keyframes
    (several times faster; each stands for the time until the next one). limits: how much the file may take.
    Raises UnreadableVideo for whatever cannot be read as a video (DecoderDied when it takes its decoder
    with it), BadInput for bad options.
    """
    return FileVideo(Path(path), threads=threads, keyframes=keyframes, limits=limits)


class FileVideo:
    """A video file. See the head of `reader.py` for what its times mean.

    name: the file's name. width, height: upright, pixels. duration: seconds the container declares for
    the pictures. offset: seconds from the container's zero to the first frame. codec: decoder name.
    tags: the container's, by lower-case name. jail: what confines its decoders.
    A reading that is not taken to its end ends its process.
    """

    def __init__(
        self, path: Path, *, threads: int | None = None, keyframes: bool = False, limits: Limits = DEFAULT
    ) -> None:
        if threads is not None and not 1 <= threads <= 64:
            raise BadInput(f"threads must be from 1 to 64, got {threads}")
        self.path, self.name = path, path.name
        self.threads = threads or min(16, _cores())
        self.keyframes, self.limits = keyframes, limits
        self._file = next(_number)
        self._facts: dict[str, Any] | None = None
        child, facts = self._start()
        try:
            self._describe(facts)
        except (KeyError, TypeError, ValueError):
            child.close()
            raise DecoderDied(f"{path}: its decoder describes no video; re-encode the file") from None
        self._facts = facts
        weakref.finalize(self, children.drop, self._file).atexit = False
        children.keep(self._file, child)

    def _describe(self, facts: Mapping[str, Any]) -> None:
        self.width, self.height = int(facts["width"]), int(facts["height"])
        self.duration, self.codec = float(facts["duration"]), str(facts["codec"])
        self.clock = Clock(Fraction(*facts["unit"]), int(facts["origin"]))
        self.offset = float(self.clock.offset)
        self.tags: Mapping[str, str] = dict(facts["tags"])
        self.jail = tuple(map(str, facts["jail"]))
        self._coverage = Coverage(self.duration, 0.0, 0, 0, None)

    def _start(self) -> tuple[Child, dict[str, Any]]:
        """A child that has opened the file, and what it says of it."""
        child = children.fresh(self.path, self.limits)
        words = {
            "path": str(self.path),
            "cwd": None if self.path.is_absolute() else str(Path.cwd()),
            "threads": self.threads,
            "keyframes": self.keyframes,
            "limits": self.limits.as_dict(),
        }
        try:
            ((head, _),) = child.ask(do="open", **words)
        except BaseException:
            child.close()
            raise
        return child, head["end"]

    def _take(self) -> Child:
        child = children.take(self._file)
        if child is not None:
            return child
        child, facts = self._start()
        if facts != self._facts:
            child.close()
            raise UnreadableVideo(f"{self.path} has changed since it was opened; open it again")
        return child

    def _ask(self, do: str, **words: Any) -> Generator[tuple[dict[str, Any], list[np.ndarray]]]:
        """Answers of a child; it is kept when it has been heard to the end, and ended otherwise."""
        child = self._take()
        heard = False
        try:
            for head, arrays in child.ask(do=do, **words):
                said = head.get("end", head)
                if "coverage" in said:
                    self._coverage = _coverage(said["coverage"])
                if "end" in head:
                    heard = True
                else:
                    yield head, arrays
        except BadInput:
            heard = True
            raise
        except (KeyError, TypeError, ValueError) as error:
            raise DecoderDied(f"{self.path}: its decoder made no sense ({error})") from None
        finally:
            if heard:
                children.keep(self._file, child)
            else:
                child.close()

    @property
    def coverage(self) -> Coverage:
        """The receipt of the latest reading, as far as it has been handed over."""
        return self._coverage

    @property
    def fingerprint(self) -> str:
        """SHA-256 of every byte of the file, what `sha256sum` prints; the file's name plays no part."""
        return self._fingerprint

    @cached_property
    def _fingerprint(self) -> str:
        digest = hashlib.sha256()
        with self.path.open("rb") as file:
            while block := file.read(_BLOCK):
                digest.update(block)
        return digest.hexdigest()

    def stamps(self) -> np.ndarray:
        """The start of every picture shown, float64 `[F]`, seconds; every packet is read, none decoded."""
        ((_, (stamps,)),) = self._ask("stamps")
        return stamps

    def frames(
        self, fps: float | None = None, *, start: float = 0.0, end: float | None = None, size: Size = None
    ) -> Iterator[FrameBatch]:
        """Frames in small batches, uint8 RGB `[T, 3, H, W]`.

        fps: None gives every frame on display within `[start, end)`; a rate gives the frame on display at
        each tick k/fps of that span, once. size: shortest side, (height, width) or None = as stored.
        """
        words = {
            "fps": _rate(fps),
            "start": _exact(start, "start"),
            "end": None if end is None else _exact(end, "end"),
            "size": self._size(size),
        }
        with closing(self._ask("frames", **words)) as answers:
            for _, arrays in answers:
                yield FrameBatch(*arrays)

    def frames_at(self, times: Sequence[float] | np.ndarray, *, size: Size = None) -> FrameBatch:
        """The frames on display at the given times (seconds), in time order, each once.

        A time that no frame covers (before the first, after the last, in a damaged stretch) gives none.
        """
        wanted = np.asarray(times, np.float64).ravel().tolist()
        ((_, arrays),) = self._ask("frames_at", times=wanted, size=self._size(size))
        return FrameBatch(*arrays)

    def windows(
        self, seconds: float, fps: float | None = None, *, start: float = 0.0, size: Size = None
    ) -> Iterator[tuple[Span, FrameBatch]]:
        """Windows of equal length that tile `[start, duration)`, empty ones too; the last may reach beyond.

        A frame belongs to the window that holds its tick (or, without fps, its start). Beginning at a
        later window gives the same windows, bit for bit, as reading from 0, without decoding what is before.
        """
        words = {
            "seconds": _exact(seconds, "seconds"),
            "fps": _rate(fps),
            "start": _exact(start, "start"),
            "size": self._size(size),
        }
        with closing(self._ask("windows", **words)) as answers:
            for head, arrays in answers:
                yield Span(*head["span"]), FrameBatch(*arrays)

    def notes(self) -> list[Note]:
        """Subtitles, from files beside the video and from text tracks inside, as dated notes."""
        ((head, _),) = self._ask("notes")
        return [Note(**note) for note in head["notes"]]

    def _size(self, size: Size) -> Size:
        check_size_request(size, self.limits.side)
        return size


def _exact(value: float, name: str) -> str:
    return str(exact(value, name))


def _rate(fps: float | None) -> str | None:
    return None if fps is None else str(exact_rate(fps))


def _coverage(values: Mapping[str, Any]) -> Coverage:
    gaps = tuple(Gap(**gap) for gap in values["gaps"])
    return Coverage(**{**values, "gaps": gaps, "warnings": tuple(values["warnings"])})


def _cores() -> int:
    """Cores this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1
