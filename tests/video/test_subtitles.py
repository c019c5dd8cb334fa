"""Subtitles: cue syntax, encodings, files beside and tracks inside, and the offset rule."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path
from typing import Any, cast

import av
import pytest
from av.packet import Packet
from hypothesis import given, settings
from hypothesis import strategies as st

from watchonce.types import Note
from watchonce.video import open_video
from watchonce.video.subtitles import decode_text, parse_cues, plain_text, read_subtitles, sidecars

from .films import X264, Film, write

SRT = """1
00:00:00,500 --> 00:00:01,250
Hello <i>there</i>

2
00:00:01,500 --> 00:00:01,000
backwards

3
00:00:0x,500 --> 00:00:03,000
unreadable

4
00:00:02,000 --> 00:00:03,5
two
lines &amp; more
"""
VTT = """WEBVTT

NOTE a comment --> not a cue

intro
00:00.500 --> 00:01.250 align:start
<v Ann>Hello {\\an8}there</v>

01:00:02.000 --> 01:00:03.000
late
"""


def test_subrip() -> None:
    found = parse_cues(SRT)
    assert found.notes == [
        Note("Hello there", 0.5, 1.25, "subtitle"),
        Note("two lines & more", 2.0, 3.5, "subtitle"),
    ]
    assert found.skipped == 2


def test_webvtt() -> None:
    found = parse_cues(VTT.replace("\n", "\r\n"))
    assert [(n.text, n.start, n.end) for n in found.notes] == [
        ("Hello there", 0.5, 1.25),
        ("late", 3602.0, 3603.0),
    ]


@settings(deadline=None, derandomize=True)
@given(st.lists(st.tuples(st.integers(0, 10**8), st.integers(1, 10**5)), max_size=20))
def test_written_cues_are_read_back(cues: list[tuple[int, int]]) -> None:
    def stamp(ms: int) -> str:
        return f"{ms // 3600000:02}:{ms // 60000 % 60:02}:{ms // 1000 % 60:02},{ms % 1000:03}"

    text = "".join(f"{i}\n{stamp(a)} --> {stamp(a + n)}\nline {i}\n\n" for i, (a, n) in enumerate(cues))
    found = parse_cues(text)
    assert found.skipped == 0
    assert [(n.text, n.start, n.end) for n in found.notes] == [
        (f"line {i}", a / 1000, (a + n) / 1000) for i, (a, n) in enumerate(cues)
    ]


@settings(deadline=None, derandomize=True)
@given(st.text())
def test_any_text_is_survived(text: str) -> None:
    parse_cues(text)
    assert "\n" not in plain_text(text)


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "cp1252", "latin-1"])
def test_encodings(encoding: str) -> None:
    assert decode_text("Café über señor".encode(encoding)) == "Café über señor"


def test_files_beside_the_video(tmp_path: Path) -> None:
    path = write(tmp_path, Film("film.mp4", frames=30, options=X264))
    (tmp_path / "film.srt").write_text(SRT, encoding="utf-8")
    (tmp_path / "film.en.vtt").write_text(VTT, encoding="utf-8")
    (tmp_path / "filmography.srt").write_text(SRT, encoding="utf-8")
    assert [p.name for p in sidecars(path)] == ["film.en.vtt", "film.srt"]
    notes = open_video(path).notes()
    assert [n.text for n in notes] == ["Hello there", "two lines & more", "late"]
    assert read_subtitles(path, Fraction(0), Fraction(0)).skipped == 2


def with_text_track(path: Path, codec: str, stamps: list[int]) -> Path:
    """A film with a text track: cues at 1.0..1.5 s and 2.0..2.25 s of the container's clock."""
    plain = write(path.parent, Film(f"plain{path.suffix}", options={**X264, "bf": "0"}, stamps=stamps))
    with av.open(str(plain)) as inp, av.open(str(path), "w") as out:
        picture = inp.streams.video[0]
        copy = out.add_stream_from_template(picture)
        text = cast(Any, out.add_stream(codec))
        text.time_base = Fraction(1, 1000)
        text.codec_context.time_base = Fraction(1, 1000)
        text.codec_context.subtitle_header = b"[Script Info]\nScriptType: v4.00+\n"
        for start, length, words in ((1000, 500, "first cue"), (2000, 250, "second cue")):
            body = words.encode()
            packet = Packet(len(body).to_bytes(2, "big") + body if codec == "mov_text" else body)
            packet.pts = packet.dts = start
            packet.duration, packet.time_base, packet.stream = length, Fraction(1, 1000), text
            out.mux(packet)
        for packet in inp.demux(picture):
            if packet.dts is not None:
                packet.stream = copy
                out.mux(packet)
    return path


@pytest.mark.parametrize(
    ("name", "codec"), [("text.mkv", "subrip"), ("text.mkv", "webvtt"), ("text.mp4", "mov_text")]
)
@pytest.mark.parametrize("first", [0, 10])
def test_tracks_inside_follow_the_offset_of_the_frames(
    tmp_path: Path, name: str, codec: str, first: int
) -> None:
    path = with_text_track(tmp_path / name, codec, [first + i for i in range(70)])
    video = open_video(path)
    if name.endswith("mkv"):
        assert video.offset == first / 25
    notes = video.notes()
    assert [n.text for n in notes] == ["first cue", "second cue"]
    expected = [(1.0, 1.5), (2.0, 2.25)]
    got = [(n.start + video.offset, n.end + video.offset) for n in notes]
    assert got == pytest.approx([pytest.approx(e, abs=1e-3) for e in expected])
    assert all(n.source == "subtitle" for n in notes)
