"""Puts what a reading hands over into windows of equal length, and books the receipt window by window.

A window is closed once no frame that belongs to it can still come. This file knows no file and no
decoder; it turns stamps into frames with seconds.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from fractions import Fraction

import numpy as np

from watchonce.types import FrameBatch, Span
from watchonce.video.clock import Clock
from watchonce.video.reading import Kept
from watchonce.video.receipt import Ledger, Settled
from watchonce.video.selection import Selection


def batch_of(clock: Clock, item: Kept, chosen: Sequence[int]) -> FrameBatch:
    """The chosen pictures as a batch, their stamps as seconds."""
    whole = len(chosen) == len(item.stamps)
    return FrameBatch(
        item.pixels if whole else item.pixels[list(chosen)],
        np.array([clock.seconds(item.stamps[i]) for i in chosen], np.float64),
        np.array([clock.seconds(item.ends[i]) for i in chosen], np.float64),
    )


class Tiling:
    """Windows `[begin + i * length, begin + (i + 1) * length)`, in seconds, i = 0, 1, ...

    seen: the end, in seconds, of the last picture that arrived. shape: (height, width) of the frames.
    """

    def __init__(
        self, ledger: Ledger, selection: Selection, begin: Fraction, length: Fraction, shape: tuple[int, int]
    ) -> None:
        self.ledger, self.seen = ledger, begin
        self._clock, self._selection = ledger.clock, selection
        self._begin, self._length, self._shape = begin, length, shape
        self._index = 0
        self._held: list[tuple[int, FrameBatch]] = []

    @property
    def held(self) -> int:
        """Bytes of pixels in windows that are not closed yet."""
        return sum(batch.pixels.nbytes for _, batch in self._held)

    @property
    def edge(self) -> Fraction:
        """Where the open window begins."""
        return self._begin + self._index * self._length

    def put(self, item: Kept) -> None:
        """Takes kept pictures; those whose tick lies before the first window are let go."""
        places = [(self._selection.anchor(s) - self._begin) // self._length for s in item.stamps]
        for place in sorted({p for p in places if p >= 0}):
            chosen = [i for i, p in enumerate(places) if p == place]
            self._held.append((int(place), batch_of(self._clock, item, chosen)))

    def arrive(self, item: Settled) -> Iterator[tuple[Span, FrameBatch]]:
        """Takes a settled interval; gives the windows that are complete with it."""
        self.ledger.arrive(item)
        if item.stamps:
            self.seen = max(self.seen, self._clock.time(item.ends[-1]))
            # what is still to come starts at `seen` or later, and so do its ticks
            yield from self.until(self._clock.time(item.stamps[-1]))

    def until(self, time: Fraction) -> Iterator[tuple[Span, FrameBatch]]:
        """Closes the windows that end at or before `time`."""
        while self.edge + self._length <= time:
            yield self._close(self._clock.first_stamp(self.edge + self._length))

    def last(self) -> Iterator[tuple[Span, FrameBatch]]:
        """Closes the open window at the end of the file."""
        yield self._close(None)

    def _close(self, limit: int | None) -> tuple[Span, FrameBatch]:
        mine = [b for k, b in self._held if k == self._index]
        self._held = [(k, b) for k, b in self._held if k != self._index]
        self.ledger.kept += sum(len(b) for b in mine)
        self.ledger.book(self._clock.first_stamp(self.edge), limit)
        span = Span(float(self.edge), float(self.edge + self._length))
        self._index += 1
        return span, FrameBatch.cat(mine) if mine else FrameBatch.empty(*self._shape)
