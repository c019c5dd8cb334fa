"""One reading of a file, from a given stamp on: intervals drawn in order, decoded on threads, kept
pictures painted, everything handed over in display order with the fate of every picture.

This file knows stamps and selections; windows, seconds and receipts are made of its output elsewhere.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from watchonce.video.decoding import Decoder, Report, portable
from watchonce.video.intervals import Demuxer, Interval, seek_before
from watchonce.video.limits import Limits
from watchonce.video.opening import Source, open_source
from watchonce.video.pixels import Painter, Turn
from watchonce.video.receipt import DAMAGED, LATE, PATCHED, STARVED, Settled
from watchonce.video.selection import Selection
from watchonce.video.workers import Job, OrderedWorkers

BATCH_BYTES = 16 << 20  # painted pixels a worker hands over at once
BATCH_FRAMES = 32
_TEAR = 2.5  # times the usual length; one lost picture doubles it, and jitter stays below


@dataclass(slots=True)
class Kept:
    """Painted pictures: uint8 `[T, 3, H, W]`, and their stamps and ends in ticks."""

    pixels: np.ndarray
    stamps: list[int]
    ends: list[int]


@dataclass(frozen=True, slots=True)
class Order:
    """What a reading is asked for.

    first: the stamp from which on pictures may be wanted, None = all; what ends by then is not decoded.
    until: stamp at which reading may stop, None = end of file. size: (height, width).
    """

    selection: Selection
    first: int | None
    until: int | None
    size: tuple[int, int]
    turn: Turn
    keyframes: bool
    threads: int
    limits: Limits


Result = Kept | Settled


def read(path: Path, order: Order) -> Generator[Result]:
    """Kept pictures and settled intervals, in order; a picture comes before the interval that settles it."""
    source = open_source(path, order.limits)
    try:
        sought = order.first is not None and seek_before(source, order.first)
        if sought or order.first is None or not source.seekable:
            yield from read_on(source, order, sought)
            return
    finally:
        source.close()
    # nothing to seek to: a fresh handle reads from the start, whatever the failed seek left behind
    source = open_source(path, order.limits)
    try:
        yield from read_on(source, order, False)
    finally:
        source.close()


def read_on(source: Source, order: Order, sought: bool) -> Generator[Result]:
    """As `read`, from where the open source stands: its start, or a keyframe that was sought."""
    intervals = _until(Demuxer(source).onward(not sought), order.until)
    if order.threads > 1 and portable(source):
        yield from OrderedWorkers(_make(source, intervals, order), order.threads)
    else:
        yield from _serial(source, intervals, order)


def _until(intervals: Iterator[Interval], stamp: int | None) -> Iterator[Interval]:
    for piece in intervals:
        if stamp is not None and piece.stamps and piece.stamps[0] >= stamp:
            return
        yield piece


def _serial(source: Source, intervals: Iterator[Interval], order: Order) -> Iterator[Result]:
    stage = _Stage(source, order)
    for piece in intervals:
        yield from stage.run(piece)


def _make(
    source: Source, intervals: Iterator[Interval], order: Order
) -> Callable[[], Callable[[Job[Result]], bool]]:
    def make() -> Callable[[Job[Result]], bool]:
        stage = _Stage(source, order)

        def work(job: Job[Result]) -> bool:
            job.acquire()
            piece = next(intervals, None)
            while piece is not None and not piece.final:
                # a stretch without keyframes belongs to one decoder: keep the turn until it ends
                for result in stage.run(piece):
                    job.put(result)
                piece = next(intervals, None)
            job.release()
            if piece is None:
                return False
            for result in stage.run(piece):
                job.put(result)
            return True

        return work

    return make


class _Stage:
    """A decoder and a painter for one thread."""

    def __init__(self, source: Source, order: Order) -> None:
        self._order = order
        self._decoder = Decoder(source)
        self._painter = Painter(*order.size, order.turn)
        height, width = order.size
        self._batch = max(1, min(BATCH_FRAMES, BATCH_BYTES // (3 * height * width)))
        self._ends: dict[int, int] = {}

    def run(self, piece: Interval) -> Iterator[Result]:
        """Decodes an interval; yields its kept pictures in batches, then its settled table."""
        if self._past(piece):
            yield Settled(piece.stamps, piece.ends, frozenset(), [])
            return
        table = dict(zip(piece.stamps, piece.ends, strict=True))
        ends = table if piece.fresh else self._ends | table
        report = Report()
        wanted = self._wanted(piece)
        stamps: list[int] = []
        pixels: np.ndarray | None = None
        notices = [text for said, text in ((piece.broken, DAMAGED), (piece.late, LATE)) if said]
        for stamp, frame in self._decoder.decode(piece, wanted, report, alone=self._order.keyframes):
            if pixels is None:
                pixels = np.empty((self._batch, 3, *self._order.size), np.uint8)
            self._painter.paint(frame, pixels[len(stamps)])
            stamps.append(stamp)
            if len(stamps) == self._batch:
                yield Kept(pixels, stamps, [ends[s] for s in stamps])
                stamps, pixels = [], None
        if pixels is not None:
            yield Kept(pixels[: len(stamps)], stamps, [ends[s] for s in stamps])
        yield self._settle(report, ends, notices, piece)
        settled = frozenset(report.settled)
        self._ends = {s: e for s, e in ends.items() if s not in settled}

    def _past(self, piece: Interval) -> bool:
        """True when all of the interval ends before anything is wanted, and nothing later leans on it."""
        first, whole = self._order.first, piece.fresh and piece.final
        return whole and first is not None and (not piece.ends or piece.ends[-1] <= first)

    def _wanted(self, piece: Interval) -> frozenset[int]:
        wants = self._order.selection.wants
        if not self._order.keyframes:
            return frozenset(s for s, e in zip(piece.stamps, piece.ends, strict=True) if wants(s, e))
        if piece.key is None or piece.key not in piece.stamps:
            return frozenset()
        # a keyframe stands for all until the next one
        return frozenset([piece.key]) if wants(piece.key, piece.ends[-1]) else frozenset()

    def _settle(self, report: Report, ends: dict[int, int], notices: list[str], piece: Interval) -> Settled:
        if report.late:
            notices.append(LATE)
        if report.errors:
            notices.append(DAMAGED)
        if report.doubtful:
            notices.append(PATCHED)
        if report.starved:
            notices.append(STARVED)
        until = [ends[s] for s in report.settled]
        trouble = piece.torn or report.errors or report.doubtful
        return Settled(
            report.settled,
            until,
            frozenset(report.lost),
            sorted(report.decoded),
            tuple(dict.fromkeys(notices)),
            _tears(report.settled, until, piece.usual) if trouble else {},
        )


def _tears(stamps: list[int], ends: list[int], usual: int) -> dict[int, int]:
    """Pictures of a damaged interval that stay far longer than is usual there, and their usual end."""
    return {s: s + usual for s, e in zip(stamps, ends, strict=True) if e - s > _TEAR * usual}
