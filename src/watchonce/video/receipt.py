"""The coverage receipt: what was decoded and kept, what was missed and why, exact and mergeable.

Everything is booked when it is handed over, never when a thread happens to decode it, and lengths are
summed in whole microseconds; so the receipt of two halves, merged, is the receipt of the whole. This
file reads no video.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace

from watchonce.types import Coverage, Gap
from watchonce.video.clock import Clock

LOST = "frames could not be decoded"
MISSING = "frames are missing from the file"
DAMAGED = "the file is damaged"
PATCHED = "some frames after damage are patched from their neighbours"
ENDED = "the file ends before its declared duration"
STARVED = "the decoder was refused memory; raise the limit memory, or scale the video down"
LATE = "time stamps run backwards; frames that would lie in the past were left out"


@dataclass(frozen=True, slots=True)
class Settled:
    """The pictures of an interval whose fate is known.

    stamps, ends: in ticks, ascending. lost, decoded: stamps. notices: warnings to add. torn: pictures
    after which others are missing, and until when they themselves would have stayed.
    """

    stamps: list[int]
    ends: list[int]
    lost: frozenset[int]
    decoded: list[int]
    notices: tuple[str, ...] = ()
    torn: Mapping[int, int] = field(default_factory=dict)


@dataclass(slots=True)
class Ledger:
    """Books settled pictures, by the time they start, into a receipt."""

    clock: Clock
    declared: float
    fps: float | None
    micros: int = 0
    decoded: int = 0
    kept: int = 0
    gaps: list[Gap] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)
    ended: int | None = None  # stamp at which the last picture that arrived ends
    _waiting: list[Settled] = field(default_factory=list)

    def arrive(self, settled: Settled) -> None:
        """Takes an interval in; it is booked by `book`."""
        self._waiting.append(settled)
        if settled.ends:
            self.ended = max(settled.ends[-1], self.ended if self.ended is not None else settled.ends[-1])

    def book(self, begin: int | None, limit: int | None) -> None:
        """Books what starts in `[begin, limit)` (stamps, None = open), forgets what is before `limit`."""
        rest: list[Settled] = []
        for item in self._waiting:
            cut = _below(item.stamps, limit)
            first = _below(item.stamps, begin) if begin is not None else 0
            self._book(item, first, cut, begin, limit)
            if cut < len(item.stamps):
                rest.append(replace(item, stamps=item.stamps[cut:], ends=item.ends[cut:]))
        self._waiting = rest

    def _book(self, item: Settled, first: int, cut: int, begin: int | None, limit: int | None) -> None:
        for stamp, end in zip(item.stamps[first:cut], item.ends[first:cut], strict=True):
            if stamp in item.lost:
                self._gap(self.clock.seconds(stamp), self.clock.seconds(end), LOST)
                self.warn(DAMAGED)
            elif stamp in item.torn:
                self.micros += self.clock.micros(stamp, item.torn[stamp])
                self._gap(self.clock.seconds(item.torn[stamp]), self.clock.seconds(end), MISSING)
                self.warn(DAMAGED)
            else:
                self.micros += self.clock.micros(stamp, end)
        self.decoded += sum(
            1 for s in item.decoded if (begin is None or s >= begin) and (limit is None or s < limit)
        )
        if cut > first or not item.stamps:
            for notice in item.notices:
                self.warn(notice)

    def _gap(self, start: float, end: float, reason: str) -> None:
        self.gaps = list(_joined([*self.gaps[-1:], Gap(start, end, reason)], self.gaps[:-1]))

    def warn(self, text: str) -> None:
        """Adds a warning once."""
        if text not in self.warnings:
            self.warnings.append(text)

    def receipt(self) -> Coverage:
        """The receipt of what is booked so far."""
        return Coverage(
            declared=self.declared,
            watched=self.micros / 1e6,
            decoded=self.decoded,
            kept=self.kept,
            fps=self.fps,
            gaps=tuple(self.gaps),
            warnings=tuple(self.warnings),
        )


def _below(stamps: list[int], limit: int | None) -> int:
    """How many of the ascending stamps lie below the limit."""
    return len(stamps) if limit is None else bisect_left(stamps, limit)


def _joined(new: Iterable[Gap], before: Iterable[Gap] = ()) -> list[Gap]:
    """Gaps in order, those that touch and have one reason made one."""
    out = list(before)
    for gap in new:
        if out and out[-1].reason == gap.reason and gap.start <= out[-1].end:
            out[-1] = Gap(out[-1].start, max(out[-1].end, gap.end), gap.reason)
        else:
            out.append(gap)
    return out


def merge_coverage(first: Coverage, second: Coverage) -> Coverage:
    """The receipt of two readings of one video that do not overlap, `second` after `first`.

    Exact: merging the receipts of successive windows gives the receipt of one reading, bit for bit.
    """
    gaps = sorted([*first.gaps, *second.gaps], key=lambda g: (g.start, g.end, g.reason))
    return Coverage(
        declared=max(first.declared, second.declared),
        watched=(round(first.watched * 1e6) + round(second.watched * 1e6)) / 1e6,
        decoded=first.decoded + second.decoded,
        kept=first.kept + second.kept,
        fps=first.fps if first.fps is not None else second.fps,
        gaps=tuple(_joined(gaps)),
        warnings=tuple(dict.fromkeys([*first.warnings, *second.warnings])),
    )
