"""Subtitles as dated notes: .srt and .vtt files beside the video, and text tracks inside it.

Knows cue syntax and text encodings; knows no pixels.
"""

from __future__ import annotations

import html
import re
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

from av.error import FFmpegError
from av.packet import Packet
from av.subtitles.stream import SubtitleStream
from av.subtitles.subtitle import AssSubtitle

from watchonce.types import Note
from watchonce.video.opening import listen, open_container

SIDECARS = (".srt", ".vtt")
TEXT_CODECS = frozenset({"mov_text", "subrip", "srt", "webvtt", "ass", "ssa", "text"})
MAX_BYTES = 64 << 20  # a subtitle file larger than this is something else

_EMPTY_CUE = 2  # a mov_text packet of two bytes is the pause between cues

_TIMES = re.compile(
    r"(?:(\d+):)?(\d{1,2}):(\d{1,2})[.,](\d{1,3})\s*-->\s*(?:(\d+):)?(\d{1,2}):(\d{1,2})[.,](\d{1,3})"
)
_ASIDES = ("NOTE", "STYLE", "REGION")  # WebVTT blocks that are no cues
_MARKUP = re.compile(r"<[^>]*>|\{\\[^}]*\}")
_BLANK = re.compile(r"\n[ \t]*\n")


@dataclass(frozen=True, slots=True)
class Subtitles:
    """Cues read, and how many were skipped because their times made no sense."""

    notes: list[Note]
    skipped: int


def read_subtitles(path: Path, offset: Fraction, shift: Fraction) -> Subtitles:
    """All cues of the video at `path`, in time order, in seconds since its first frame.

    offset: seconds from the container's zero to the first frame (for tracks inside). shift: seconds to
    add to times counted as players count them, from the container's start (for files beside it).
    """
    notes: list[Note] = []
    skipped = 0
    for file in sidecars(path):
        found = parse_cues(decode_text(_head(file)), shift)
        notes += found.notes
        skipped += found.skipped
    if not notes:
        notes, skipped = _embedded(path, offset)
    unique = {(n.start, n.end, n.text): n for n in notes}
    return Subtitles(sorted(unique.values(), key=lambda n: (n.start, n.end, n.text)), skipped)


def sidecars(path: Path) -> list[Path]:
    """Files beside the video that bear its name: film.srt, film.en.vtt, sorted by name."""
    try:
        beside = sorted(p for p in path.parent.iterdir() if p.suffix.lower() in SIDECARS)
    except OSError:
        return []
    stem = path.stem
    return [p for p in beside if p.is_file() and (p.stem == stem or p.stem.startswith(f"{stem}."))]


def _head(file: Path) -> bytes:
    """The file, or as much of it as a subtitle file may hold."""
    with file.open("rb") as opened:
        return opened.read(MAX_BYTES)


def decode_text(raw: bytes) -> str:
    """UTF-8 or UTF-16 by their marks, else UTF-8, else Windows-1252 with Latin-1 for its holes."""
    if raw.startswith((b"\xff\xfe", b"\xfe\xff")):
        return raw.decode("utf-16", errors="replace")
    try:
        return raw.decode("utf-8-sig")
    except UnicodeDecodeError:
        try:
            return raw.decode("cp1252")
        except UnicodeDecodeError:
            return raw.decode("latin-1")


def parse_cues(text: str, shift: Fraction = Fraction(0)) -> Subtitles:
    """Cues of SubRip or WebVTT text. Broken ones are skipped and counted; markup is removed."""
    notes: list[Note] = []
    skipped = 0
    for block in _BLANK.split(text.replace("\r\n", "\n").replace("\r", "\n")):
        lines = block.strip("\n").split("\n")
        if "-->" not in block or lines[0].startswith(_ASIDES):
            continue
        at = next(i for i, line in enumerate(lines) if "-->" in line)
        match = _TIMES.search(lines[at])
        body = plain_text("\n".join(lines[at + 1 :]))
        if match is None:
            skipped += 1
            continue
        start, end = _seconds(match.groups()[:4]) + shift, _seconds(match.groups()[4:]) + shift
        if end <= start or end <= 0:
            skipped += 1
        elif body:
            notes.append(Note(body, float(max(start, Fraction(0))), float(end), "subtitle"))
    return Subtitles(notes, skipped)


def plain_text(text: str) -> str:
    """One line of words: tags, style codes and line breaks removed."""
    bare = html.unescape(_MARKUP.sub("", text)).replace("\\N", " ").replace("\\n", " ")
    return " ".join(bare.split())


def _seconds(parts: tuple[str | None, ...]) -> Fraction:
    hours, minutes, seconds, fraction = parts
    whole = int(hours or 0) * 3600 + int(minutes or 0) * 60 + int(seconds or 0)
    text = fraction or "0"
    return whole + Fraction(int(text), 10 ** len(text))


def _embedded(path: Path, offset: Fraction) -> tuple[list[Note], int]:
    """Cues of the first text track, and how many were skipped."""
    notes: list[Note] = []
    skipped = 0
    source = open_container(path)
    try:
        tracks = [
            s for s in source.streams.subtitles if s.codec_context and s.codec_context.name in TEXT_CODECS
        ]
        for packet in listen(source, tracks[0]) if tracks else ():
            cue = _cue(packet)
            if cue is None or cue[1] <= cue[0] or cue[1] <= offset:
                skipped += packet.size > _EMPTY_CUE
                continue
            start, end, text = cue
            notes.append(Note(text, float(max(start - offset, Fraction(0))), float(end - offset), "subtitle"))
    finally:
        source.close()
    return notes, skipped


def _cue(packet: Packet[SubtitleStream]) -> tuple[Fraction, Fraction, str] | None:
    """Start, end (container seconds) and words of a subtitle packet; None when it shows nothing."""
    if packet.pts is None or not packet.duration:
        return None
    try:
        shown = packet.decode()
    except (FFmpegError, ValueError):
        return None
    words = (decode_text(s.dialogue) for s in shown if isinstance(s, AssSubtitle))
    text = plain_text(" ".join(words))
    start = packet.pts * Fraction(packet.time_base)
    return (start, start + packet.duration * Fraction(packet.time_base), text) if text else None
