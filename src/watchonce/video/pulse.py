"""The sign of life of a process that decodes: a number that grows with every packet and picture.

The cell is private until `share` puts it where another process can see it. Knows nothing of video.
"""

from __future__ import annotations

from array import array

_WRAP = 1 << 60
_cell: array[int] | memoryview = array("Q", [0])


def share(cell: memoryview) -> None:
    """From now on beats are counted in `cell`: one unsigned 64-bit number that others may read."""
    global _cell
    _cell = cell


def beat() -> None:
    """Says that something has been done. Beats lost between threads do no harm."""
    _cell[0] = (_cell[0] + 1) % _WRAP
