"""Times as people write them: read 90, 1:30, 00:01:30.5 or 1m30s; print HH:MM:SS.mmm. Knows nothing else."""

from __future__ import annotations

import re

from watchonce.types import BadInput, Span

_COLONS = re.compile(r"(?:(\d+):)?(\d{1,2}):(\d{1,2}(?:\.\d+)?)")
_UNITS = re.compile(r"(?:(\d+)h)?(?:(\d+)m)?(?:(\d+(?:\.\d+)?)s)?")


def clock(seconds: float) -> str:
    """HH:MM:SS.mmm of a non-negative number of seconds (hours may pass 99)."""
    milliseconds = round(seconds * 1000)
    whole, milliseconds = divmod(milliseconds, 1000)
    return f"{whole // 3600:02d}:{whole // 60 % 60:02d}:{whole % 60:02d}.{milliseconds:03d}"


def span_text(start: float, end: float) -> str:
    """`HH:MM:SS.mmm-HH:MM:SS.mmm`."""
    return f"{clock(start)}-{clock(end)}"


def parse_clock(text: str) -> float:
    """Seconds of `90`, `90.5`, `1:30`, `00:01:30.5` or `1m30s`; raises BadInput on anything else."""
    text = text.strip()
    try:
        if (found := _COLONS.fullmatch(text)) is not None:
            hours, minutes, seconds = found.groups()
            return int(hours or 0) * 3600 + int(minutes) * 60 + float(seconds)
        if text and (found := _UNITS.fullmatch(text)) is not None:
            hours, minutes, seconds = found.groups()
            return int(hours or 0) * 3600 + int(minutes or 0) * 60 + float(seconds or 0)
        value = float(text)
    except ValueError:
        value = -1.0
    if not 0 <= value < 1e9:
        raise BadInput(f"{text!r} is not a time; write seconds (90), 1:30, 00:01:30.5 or 1m30s")
    return value


def parse_span(text: str) -> Span:
    """`START-END`, each a time; raises BadInput when it is not one or ends before it starts."""
    start, dash, end = text.partition("-")
    if not dash:
        raise BadInput(f"{text!r} is not a span; write START-END, for example 1:30-2:00")
    return Span(parse_clock(start), parse_clock(end))
