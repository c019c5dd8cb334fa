"""A video file read by time, in this process: every frame, at a rate, at given times, or by windows.

Times are the container's own presentation stamps, counted from the first presented frame (`offset`
says where that lies in the container). The i-th frame's end is the next stamp in the stream. A rate
`fps` keeps the frame on display at each tick k/fps, once. This is what the decoding process runs
(`child.py`); the product holds a `file.FileVideo`. This file knows no model, no memory, no process.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing
from fractions import Fraction
from pathlib import Path

import numpy as np

from watchonce.types import BadInput, Coverage, FrameBatch, Gap, Note, Span, UnreadableVideo
from watchonce.video.clock import Clock, exact, exact_rate
from watchonce.video.intervals import Demuxer, seek_before
from watchonce.video.limits import DEFAULT, Limits, Size, check_size_request
from watchonce.video.opening import Source, first_frame, open_source
from watchonce.video.pixels import read_turn, target_size
from watchonce.video.reading import Kept, Order, read, read_on
from watchonce.video.receipt import ENDED, Ledger
from watchonce.video.selection import Every, Moments, Selection, Ticks
from watchonce.video.subtitles import read_subtitles
from watchonce.video.tiling import Tiling, batch_of

MAX_SECONDS = 31 * 86400
_FORWARD = 20.0  # seconds: nearer than this, reading on is cheaper than seeking
_SHORTFALL = 0.5  # seconds a video may end before its declared end without a warning


class Reader:
    """An open question to one file. See the head of the module for what its times mean.

    threads: decoders at work. keyframes: deliver only keyframes. width, height: upright, pixels.
    duration: seconds the container declares for the pictures. offset: seconds from the container's zero
    to the first frame. codec: decoder name.
    """

    def __init__(
        self, path: Path, *, threads: int = 1, keyframes: bool = False, limits: Limits = DEFAULT
    ) -> None:
        self.path, self.limits = path, limits
        self.threads, self.keyframes = threads, keyframes
        source = self._source()
        try:
            self._describe(source)
        finally:
            source.close()
        self._coverage = Coverage(self.duration, 0.0, 0, 0, None)

    def _source(self) -> Source:
        return open_source(self.path, self.limits)

    def _describe(self, source: Source) -> None:
        stream, container = source.stream, source.container
        frame = first_frame(source)
        unit = stream.time_base
        if frame.pts is None or unit is None:
            raise UnreadableVideo(
                f"{self.path} carries no time stamps (a bare codec stream); put it in an MP4 or MKV container"
            )
        self.codec = stream.codec_context.name
        self.clock = Clock(Fraction(unit), self._origin(source, frame.pts))
        self.offset = float(self.clock.offset)
        self._turn = read_turn(frame)
        sides = (frame.height, frame.width) if self._turn.sideways else (frame.width, frame.height)
        self.width, self.height = sides
        self._rate = Fraction(stream.guessed_rate or stream.average_rate or 30)
        self.tags: Mapping[str, str] = {k.lower(): str(v) for k, v in container.metadata.items()}
        self._shift = Fraction(container.start_time or 0, 1_000_000) - self.clock.offset
        self.duration = self._declared(source)

    def _origin(self, source: Source, stamp: int) -> int:
        if source.stamped:
            return stamp
        # without presentation times the first picture out has the smallest stamp of the first interval
        with_start = self._source()
        try:
            piece = next(Demuxer(with_start).intervals(True))
        finally:
            with_start.close()
        return min(piece.stamps[0], stamp)

    def _declared(self, source: Source) -> float:
        stream, container = source.stream, source.container
        declared = None
        if stream.duration is not None and stream.duration > 0:
            declared = Fraction(stream.duration) * self.clock.unit
        elif tagged := _clock_text(stream.metadata.get("DURATION", "")):
            declared = tagged - self.clock.offset
        elif container.duration is not None and container.duration > 0:
            declared = Fraction(container.duration, 1_000_000) + self._shift
        if declared is None or not 0 < declared <= MAX_SECONDS:
            return self._scanned()
        return float(declared)

    def _scanned(self) -> float:
        """Seconds to the end of the last picture, found by reading every packet."""
        source = self._source()
        try:
            ends = [piece.ends[-1] for piece in Demuxer(source).intervals(True) if piece.ends]
        finally:
            source.close()
        return self.clock.seconds(max(ends)) if ends else 0.0

    def stamps(self) -> np.ndarray:
        """The start of every picture shown, float64 `[F]`, seconds; every packet is read, none decoded."""
        source = self._source()
        try:
            shown = [stamp for piece in Demuxer(source).onward(True) for stamp in piece.stamps]
        finally:
            source.close()
        return np.array([self.clock.seconds(stamp) for stamp in shown], np.float64)

    @property
    def coverage(self) -> Coverage:
        """The receipt of the latest reading, as far as it has been handed over."""
        return self._coverage

    def frames(
        self, fps: float | None = None, *, start: float = 0.0, end: float | None = None, size: Size = None
    ) -> Iterator[FrameBatch]:
        """Frames in small batches, uint8 RGB `[T, 3, H, W]`.

        fps: None gives every frame on display within `[start, end)`; a rate gives the frame on display at
        each tick k/fps of that span, once. size: shortest side, (height, width) or None = as stored.
        """
        first, last = self._span(start, end)
        selection = self._selection(fps)
        order = self._order(selection, first, last, size)
        ledger = self._ledger(fps)
        begin, limit = self.clock.first_stamp(first), order.until
        for item in read(self.path, order):
            if isinstance(item, Kept):
                chosen = [
                    i for i in range(len(item.stamps)) if self._within(item, i, selection, fps, first, last)
                ]
                if chosen:
                    ledger.kept += len(chosen)
                    yield batch_of(self.clock, item, chosen)
            else:
                ledger.arrive(item)
                ledger.book(begin, limit)
                self._coverage = ledger.receipt()
        if limit is None:
            self._finish(ledger)

    def _within(
        self, item: Kept, i: int, selection: Selection, fps: float | None, first: float, last: float | None
    ) -> bool:
        if fps is None:
            begins = last is None or self.clock.seconds(item.stamps[i]) < last
            return begins and self.clock.seconds(item.ends[i]) > first
        anchor = float(selection.anchor(item.stamps[i]))
        return anchor >= first and (last is None or anchor < last)

    def frames_at(self, times: Sequence[float] | np.ndarray, *, size: Size = None) -> FrameBatch:
        """The frames on display at the given times (seconds), in time order, each once.

        A time that no frame covers (before the first, after the last, in a damaged stretch) gives none.
        """
        wanted = sorted({float(t) for t in np.asarray(times, np.float64).ravel()})
        if not all(math.isfinite(t) and t >= 0 for t in wanted):
            raise BadInput(f"times must be finite and 0 or later, got {wanted[0]} .. {wanted[-1]}")
        shape = self._shape(size)
        self.limits.check_bytes(
            3 * len(wanted) * shape[0] * shape[1], "frames_at: ask for fewer times or a smaller size"
        )
        ledger = self._ledger(None)
        batches: list[FrameBatch] = []
        newest: int | None = None
        for item in self._visit(wanted, size):
            fresh = [i for i, s in enumerate(item.stamps) if newest is None or s > newest]
            if fresh:
                newest = item.stamps[-1]
                batches.append(batch_of(self.clock, item, fresh))
                ledger.kept += len(fresh)
                ledger.decoded += len(fresh)
                ledger.micros += sum(self.clock.micros(item.stamps[i], item.ends[i]) for i in fresh)
        self._coverage = ledger.receipt()
        return FrameBatch.cat(batches) if batches else FrameBatch.empty(*shape)

    def _visit(self, times: list[float], size: Size) -> Iterator[Kept]:
        """The pictures at ascending times, seeking on one open file where they lie far apart."""
        source = self._source()
        try:
            for group in _groups(times):
                stamps = [self.clock.last_stamp(t) for t in group]
                order = self._order(Moments(self.clock, stamps), group[0], None, size, stamps[-1] + 1)
                if order.first is not None and seek_before(source, order.first):
                    items = read_on(source, order, True)
                else:
                    items = read(self.path, order)
                with closing(items):  # threads must be gone before the file is
                    yield from (item for item in items if isinstance(item, Kept))
        finally:
            source.close()

    def windows(
        self, seconds: float, fps: float | None = None, *, start: float = 0.0, size: Size = None
    ) -> Iterator[tuple[Span, FrameBatch]]:
        """Windows of equal length that tile `[start, duration)`, empty ones too; the last may reach beyond.

        A frame belongs to the window that holds its tick (or, without fps, its start). Beginning at a
        later window gives the same windows, bit for bit, as reading from 0, without decoding what is before.
        """
        length = exact(seconds, "seconds")
        if length <= 0:
            raise BadInput(f"seconds must be above 0, got {seconds}")
        begin = self._grid(start, length)
        selection = self._selection(fps)
        order = self._order(selection, begin, None, size)
        rate = exact_rate(fps) if fps is not None else self._rate
        shape = self._shape(size)
        cure = "window: fewer seconds, lower fps or smaller size"
        self.limits.check_bytes(3 * int(length * rate) * shape[0] * shape[1], cure)
        tiling = Tiling(self._ledger(fps), selection, begin, length, shape)
        for item in read(self.path, order):
            if isinstance(item, Kept):
                tiling.put(item)
                self.limits.check_bytes(tiling.held, cure)
                continue
            for window in tiling.arrive(item):
                self._coverage = tiling.ledger.receipt()
                yield window
        whole = max(tiling.seen, exact(self.duration, "duration"))
        # the window that reaches the end is closed last, with what the receipt says of the end
        for window in tiling.until(whole - Fraction(1, 10**9)):
            self._coverage = tiling.ledger.receipt()
            yield window
        if tiling.edge < whole:
            for window in tiling.last():
                self._finish(tiling.ledger)
                yield window

    def notes(self) -> list[Note]:
        """Subtitles, from files beside the video and from text tracks inside, as dated notes."""
        return read_subtitles(self.path, self.clock.offset, self._shift).notes

    def _grid(self, start: float, length: Fraction) -> Fraction:
        """`start`, put on the grid of windows when float arithmetic left it a hair beside it."""
        begin = exact(start, "start")
        if begin < 0:
            raise BadInput(f"start must be 0 or later, got {start}")
        near = round(begin / length) * length
        return near if abs(near - begin) < Fraction(1, 1_000_000) else begin

    def _span(self, start: float, end: float | None) -> tuple[float, float | None]:
        first = float(exact(start, "start"))
        last = None if end is None else float(exact(end, "end"))
        if first < 0 or (last is not None and last < first):
            raise BadInput(f"the span {start} .. {end} must not begin before 0 or end before it begins")
        return first, last

    def _selection(self, fps: float | None) -> Selection:
        return Every(self.clock) if fps is None else Ticks(self.clock, exact_rate(fps))

    def _shape(self, size: Size) -> tuple[int, int]:
        check_size_request(size, self.limits.side)
        return target_size(self.width, self.height, size)

    def _order(
        self,
        selection: Selection,
        first: Fraction | float,
        last: float | None,
        size: Size,
        until: int | None = None,
    ) -> Order:
        if until is None and last is not None:
            until = self.clock.first_stamp(last)
        return Order(
            selection=selection,
            first=self.clock.last_stamp(first) if first > 0 else None,
            until=until,
            size=self._shape(size),
            turn=self._turn,
            keyframes=self.keyframes,
            threads=self.threads,
            limits=self.limits,
        )

    def _ledger(self, fps: float | None) -> Ledger:
        return Ledger(self.clock, self.duration, None if fps is None else float(fps))

    def _finish(self, ledger: Ledger) -> None:
        """Closes the receipt at the end of the file: what was declared and never came is a gap."""
        if ledger.ended is not None:
            end = self.clock.seconds(ledger.ended)
            if self.duration - end > _SHORTFALL:
                ledger.gaps.append(Gap(end, self.duration, ENDED))
                ledger.warn(ENDED)
        self._coverage = ledger.receipt()


def _groups(times: list[float]) -> Iterator[list[float]]:
    """Runs of times that lie near enough to be read in one go."""
    group: list[float] = []
    for time in times:
        if group and time - group[-1] > _FORWARD:
            yield group
            group = []
        group.append(time)
    if group:
        yield group


def _clock_text(text: str) -> Fraction | None:
    """Seconds of a Matroska DURATION tag, "00:01:30.500000000"; None when it is not one."""
    parts = text.strip().split(":")
    if len(parts) != 3:
        return None
    try:
        hours, minutes, seconds = (Fraction(p) for p in parts)
    except ValueError:
        return None
    return hours * 3600 + minutes * 60 + seconds
