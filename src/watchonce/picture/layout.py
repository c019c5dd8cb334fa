"""Where things go on a page 1600 pixels wide, and in what letters. It knows neither memory nor answer."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import lru_cache

import numpy as np
from PIL import ImageFont

from watchonce.clock import clock
from watchonce.types import Span

WIDTH, MARGIN = 1600, 64
ROOM = WIDTH - 2 * MARGIN
GUTTER = 24
STEPS = (1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200, 10800, 14400, 21600, 43200, 86400)
FACES = {
    False: ("DejaVuSans.ttf", "NotoSans-Regular.ttf", "LiberationSans-Regular.ttf", "Arial.ttf", "arial.ttf"),
    True: ("DejaVuSans-Bold.ttf", "NotoSans-Bold.ttf", "LiberationSans-Bold.ttf", "arialbd.ttf"),
}
Font = ImageFont.FreeTypeFont | ImageFont.ImageFont


def across(span: Span, time: float) -> float:
    """The x of a time in a lane that shows `span`."""
    share = (time - span.start) / max(span.length, 1e-9)
    return MARGIN + ROOM * min(max(share, 0.0), 1.0)


def side_by_side(wishes: Sequence[float], pitch: int) -> list[int]:
    """Left edges for cards `pitch` apart or more, in the order given, each as near to its wish as fits."""
    room = WIDTH - MARGIN + GUTTER
    places: list[float] = []
    for number, wish in enumerate(wishes):
        latest = room - pitch * (len(wishes) - number)
        earliest = places[-1] + pitch if places else MARGIN
        places.append(max(min(wish, latest), earliest))
    return [round(place) for place in places]


def tick_step(seconds: float, most: int = 12) -> float:
    """The least round step that puts at most so many ticks on a stretch; tenths of a second at the finest."""
    for step in (0.1, 0.2, 0.5, *STEPS):
        if seconds / step <= most:
            return step
    return 86400.0 * np.ceil(seconds / 86400 / most)


def short_clock(time: float, longest: float) -> str:
    """`1:05`, `1:00:05` where the video is an hour or longer, `1:05.2` for tenths."""
    whole, tenth = divmod(round(time * 10), 10)
    minutes = f"{whole // 60 % 60}:{whole % 60:02d}"
    if longest >= 3600:
        minutes = f"{whole // 3600}:{whole // 60 % 60:02d}:{whole % 60:02d}"
    return minutes + (f".{tenth}" if tenth else "")


def card_times(span: Span) -> str:
    """Times of a card, to a tenth of a second; the hours are left out where both have none."""
    first, last = clock(span.start)[:-2], clock(span.end)[:-2]
    if first.startswith("00:") and last.startswith("00:"):
        first, last = first[3:], last[3:]
    return f"{first} - {last}"


def wrap(text: str, length: Callable[[str], float], width: float, lines: int) -> list[str]:
    """At most so many lines of at most `width`, broken at spaces or inside overlong words; … ends a cut."""
    found: list[str] = [""]
    for word in text.split():
        trial = f"{found[-1]} {word}".strip()
        if length(trial) <= width:
            found[-1] = trial
            continue
        if found[-1]:
            found.append("")
        for letter in word:
            if length(found[-1] + letter) > width:
                found.append("")
            found[-1] += letter
    if len(found) <= lines:
        return found
    last = found[lines - 1]
    while last and length(last + "…") > width:
        last = last[:-1]
    return [*found[: lines - 1], last.rstrip() + "…"]


@lru_cache(maxsize=32)
def face(size: int, bold: bool = False) -> Font:
    """A plain font of the system in pixels, or the one Pillow brings."""
    for name in FACES[bold]:
        try:
            return ImageFont.truetype(name, size)
        except OSError:
            continue
    return ImageFont.load_default(size)
