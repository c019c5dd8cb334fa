"""The receipt: booked by window it is the receipt of the whole, and merging is exact."""

from __future__ import annotations

from fractions import Fraction
from functools import reduce
from itertools import pairwise

from hypothesis import given, settings
from hypothesis import strategies as st

from watchonce.types import Coverage, Gap
from watchonce.video import merge_coverage
from watchonce.video.clock import Clock
from watchonce.video.receipt import DAMAGED, LOST, MISSING, Ledger, Settled

quiet = settings(deadline=None, derandomize=True, max_examples=80)
CLOCK = Clock(Fraction(1001, 30000), 7)


@st.composite
def readings(draw: st.DrawFn) -> list[Settled]:
    """Intervals of a file: lengths, some pictures lost, some torn."""
    stamp, pieces = CLOCK.origin, []
    for _ in range(draw(st.integers(1, 6))):
        lengths = draw(st.lists(st.integers(1, 9), min_size=1, max_size=12))
        stamps = [stamp + sum(lengths[:i]) for i in range(len(lengths))]
        ends = [s + n for s, n in zip(stamps, lengths, strict=True)]
        lost = frozenset(s for s in stamps if draw(st.integers(0, 5)) == 0)
        torn = {s: s + 1 for s, n in zip(stamps, lengths, strict=True) if n > 7 and s not in lost}
        decoded = [s for s in stamps if s not in lost and draw(st.booleans())]
        pieces.append(Settled(stamps, ends, lost, decoded, (), torn))
        stamp = ends[-1]
    return pieces


def book(pieces: list[Settled], edges: list[int | None]) -> list[Coverage]:
    """One receipt for each stretch between edges."""
    receipts = []
    for begin, limit in pairwise(edges):
        ledger = Ledger(CLOCK, 99.0, 2.0)
        for piece in pieces:
            ledger.arrive(piece)
        ledger.book(begin, limit)
        receipts.append(ledger.receipt())
    return receipts


@quiet
@given(readings(), st.lists(st.integers(8, 300), max_size=5))
def test_the_parts_merge_to_the_whole(pieces: list[Settled], cuts: list[int]) -> None:
    whole = book(pieces, [CLOCK.origin, None])[0]
    parts = book(pieces, [CLOCK.origin, *sorted(cuts), None])
    merged = reduce(merge_coverage, parts)
    assert merged == whole
    assert repr(merged.watched) == repr(whole.watched)


@quiet
@given(readings(), st.lists(st.integers(8, 300), max_size=5))
def test_booking_as_it_comes_equals_booking_at_once(pieces: list[Settled], cuts: list[int]) -> None:
    ledger = Ledger(CLOCK, 99.0, 2.0)
    begin = CLOCK.origin
    edges = sorted(set(cuts))
    for piece in pieces:
        ledger.arrive(piece)
        while edges and edges[0] <= piece.stamps[-1]:
            ledger.book(begin, edges[0])
            begin = edges.pop(0)
    ledger.book(begin, None)
    assert ledger.receipt() == book(pieces, [CLOCK.origin, None])[0]


@quiet
@given(readings())
def test_watched_and_gaps_fill_the_time_line(pieces: list[Settled]) -> None:
    receipt = book(pieces, [CLOCK.origin, None])[0]
    whole = CLOCK.seconds(pieces[-1].ends[-1])
    assert abs(receipt.watched + sum(g.end - g.start for g in receipt.gaps) - whole) < 1e-4
    assert {g.reason for g in receipt.gaps} <= {LOST, MISSING}
    assert (DAMAGED in receipt.warnings) == bool(receipt.gaps)
    for a, b in pairwise(receipt.gaps):
        assert a.end <= b.start
        assert a.end < b.start or a.reason != b.reason


def test_merging_joins_gaps_and_keeps_each_warning_once() -> None:
    a = Coverage(10, 4.5, 9, 5, 1.0, (Gap(4.5, 5.0, LOST),), (DAMAGED,))
    b = Coverage(10, 4.25, 8, 4, 1.0, (Gap(5.0, 5.75, LOST),), (DAMAGED,))
    merged = merge_coverage(a, b)
    assert merged == Coverage(10, 8.75, 17, 9, 1.0, (Gap(4.5, 5.75, LOST),), (DAMAGED,))
