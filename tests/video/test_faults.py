"""Damaged, truncated, hostile and plainly wrong files: what can be seen is seen, the rest is said."""

from __future__ import annotations

import gc
import os
import resource
import socket
import struct
from collections.abc import Iterable
from fractions import Fraction
from pathlib import Path
from typing import Any, cast

import av
import numpy as np
import pytest
from av.video.frame import VideoFrame
from PIL import Image

from watchonce.types import BadInput, FrameBatch, UnreadableVideo
from watchonce.video import FileVideo, merge_coverage, open_video
from watchonce.video.receipt import DAMAGED, ENDED

from .films import X264, Film, decode, frames_of, picture, remux, write

SECONDS, RATE, HOLE = 120, 30, 400_000


@pytest.fixture(scope="module")
def long_film(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two minutes of noise at 30 frames a second: about 24 MB, so that 400 KB are half a percent."""
    path = tmp_path_factory.mktemp("long") / "long.mp4"
    width, height = 160, 120
    noise = np.random.default_rng(1).integers(0, 256, (height + 64, width + 64), dtype=np.uint8)
    chroma = np.full(width * height // 2, 128, np.uint8)
    with av.open(str(path), "w", options={"movflags": "faststart"}) as out:
        stream = cast(Any, out.add_stream("libx264", rate=RATE))
        stream.width, stream.height, stream.pix_fmt = width, height, "yuv420p"
        stream.options = {"preset": "ultrafast", "qp": "28", "g": "60", "bf": "2"}
        for i in range(SECONDS * RATE):
            y, x = (i * 3) % 64, (i * 5) % 64
            luma = noise[y : y + height, x : x + width] // 2 + i % 64
            planes = np.concatenate([luma.reshape(-1), chroma]).reshape(height * 3 // 2, width)
            frame = VideoFrame.from_ndarray(planes, format="yuv420p")
            frame.pts, frame.time_base = i, Fraction(1, RATE)
            out.mux(stream.encode(frame))
        out.mux(stream.encode())
    return path


def with_hole(source: Path, target: Path) -> Path:
    raw = bytearray(source.read_bytes())
    middle = len(raw) // 2
    raw[middle : middle + HOLE] = bytes(HOLE)
    target.write_bytes(raw)
    return target


def joined(batches: Iterable[FrameBatch]) -> FrameBatch:
    return FrameBatch.cat(list(batches))


def plain_pixels(path: Path) -> dict[float, np.ndarray]:
    """Luma of every frame of an undamaged file, by time."""
    with av.open(str(path)) as inp:
        stream = inp.streams.video[0]
        return {float(cast(Any, f.time)): f.to_ndarray(format="gray") for f in frames_of(inp, stream)}


@pytest.mark.parametrize("kind", ["mp4", "mkv", "ts"])
def test_zeros_in_the_middle_cost_only_what_they_cover(long_film: Path, tmp_path: Path, kind: str) -> None:
    source = long_film if kind == "mp4" else remux(long_film, tmp_path / f"whole.{kind}")
    path = with_hole(source, tmp_path / f"hole.{kind}")
    serial, parallel = open_video(path, threads=1), open_video(path, threads=3)
    every = joined(serial.frames(size=40))
    receipt = serial.coverage
    assert len(every) >= 0.98 * SECONDS * RATE
    assert every.end[-1] == pytest.approx(SECONDS)
    assert receipt.decoded == receipt.kept == len(every)
    assert DAMAGED in receipt.warnings
    assert receipt.gaps
    lost = sum(g.end - g.start for g in receipt.gaps)
    assert receipt.watched + lost == pytest.approx(SECONDS, abs=0.01)
    assert all(55 < g.start < g.end < 65 for g in receipt.gaps)
    # bit for bit the same in parallel, by rate, and resumed behind or inside the damage
    other = joined(parallel.frames(size=40))
    assert np.array_equal(every.pixels, other.pixels)
    assert receipt == parallel.coverage
    whole = list(serial.windows(10, 1, size=40))
    full = serial.coverage
    for first in (6, 7):
        tail = list(parallel.windows(10, 1, start=first * 10.0, size=40))
        for (a, x), (b, y) in zip(whole[first:], tail, strict=True):
            assert a == b
            assert np.array_equal(x.pixels, y.pixels)
            assert np.array_equal(x.start, y.start)
        receipts = []
        for _ in serial.windows(10, 1, size=40):
            receipts.append(serial.coverage)
        assert merge_coverage(receipts[first - 1], parallel.coverage) == full


def test_a_truncated_file_gives_its_half_and_says_so(long_film: Path, tmp_path: Path) -> None:
    path = tmp_path / "half.mp4"
    raw = long_film.read_bytes()
    path.write_bytes(raw[: len(raw) // 2])
    video = open_video(path)
    every = joined(video.frames(1, size=40))
    receipt = video.coverage
    assert receipt.declared == SECONDS
    assert receipt.watched == pytest.approx(SECONDS / 2, abs=2)
    assert receipt.fraction == pytest.approx(0.5, abs=0.02)
    assert ENDED in receipt.warnings
    assert receipt.gaps[-1].end == SECONDS
    assert every.end[-1] == pytest.approx(SECONDS / 2, abs=2)
    windows = list(video.windows(10, 1, size=40))
    assert len(windows) == 12
    assert [len(b) for _, b in windows[7:]] == [0] * 5
    assert video.coverage == receipt
    assert len(video.frames_at([100.0])) == 0


def test_a_file_without_its_index_is_refused(tmp_path: Path) -> None:
    path = write(tmp_path, Film("late_index.mp4", options=X264))
    raw = path.read_bytes()
    assert raw.index(b"mdat") < raw.index(b"moov")
    path.write_bytes(raw[: raw.index(b"moov") - 4])
    with pytest.raises(UnreadableVideo, match="late_index"):
        open_video(path)


def test_files_that_are_no_video(tmp_path: Path) -> None:
    def refuse(name: str, content: bytes, words: str) -> None:
        path = tmp_path / name
        path.write_bytes(content)
        with pytest.raises(UnreadableVideo, match=words) as caught:
            open_video(path)
        assert "\n" not in str(caught.value)
        assert name in str(caught.value)

    rng = np.random.default_rng(3)
    refuse("empty.mp4", b"", "empty")
    refuse("random.mp4", rng.bytes(100_000), "cannot be opened|not one frame")
    refuse("zeros.mp4", bytes(100_000), "cannot be opened|not one frame")
    refuse("text.mp4", b"hello, this is not a video at all\n" * 50, "cannot be opened")
    refuse("list.mp4", b"#EXTM3U\n#EXT-X-TARGETDURATION:10\n#EXTINF:10,\nfile:///etc/passwd\n", "playlist")
    refuse("concat.mp4", b"ffconcat version 1.0\nfile other.mp4\n", "playlist")
    refuse("late.mp4", b"\n\n# c\nffconcat version 1.0\nfile other.mp4\n", "cannot be opened")
    refuse("sdp.mp4", b"v=0\r\no=- 0 0 IN IP4 127.0.0.1\r\nm=video 9 RTP/AVP 96\r\n", "SDP")
    for kind in ("JPEG", "PNG", "BMP", "TIFF", "WEBP"):
        picture_path = tmp_path / f"{kind}.mp4"
        Image.fromarray(picture(0, 40, 60)).save(picture_path, format=kind)
        with pytest.raises(UnreadableVideo, match="picture"):
            open_video(picture_path)


def test_paths_that_are_no_file(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.mp4")
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(tmp_path / "s.mp4"))
        for name in ("pipe.mp4", "s.mp4"):
            with pytest.raises(UnreadableVideo, match="pipe, socket or device"):
                open_video(tmp_path / name)
    for path in (tmp_path, tmp_path / "none.mp4", Path("/dev/zero"), "a\0b", "https://example.com/a.mp4"):
        with pytest.raises(UnreadableVideo):
            open_video(path)


@pytest.mark.parametrize(
    "name", ["concat:a|b.mp4", "file:x.mp4", "日本 語 🎬.mp4", "-i.mp4", "%05d.mp4", "a'b\"c.mp4"]
)
def test_odd_names_are_only_names(tmp_path: Path, name: str) -> None:
    made = write(tmp_path, Film("plain.mp4", frames=10, options=X264))
    odd = tmp_path / name
    made.rename(odd)
    video = open_video(odd)
    assert video.name == name
    assert sum(map(len, video.frames())) == 10


def test_sound_alone_and_cover_pictures(tmp_path: Path) -> None:
    path = tmp_path / "song.m4a"
    with av.open(str(path), "w", format="mp4") as out:
        stream = cast(Any, out.add_stream("aac", rate=16000))
        frame = av.AudioFrame(format="fltp", layout="mono", samples=1024)
        for plane in frame.planes:
            plane.update(bytes(plane.buffer_size))
        frame.sample_rate, frame.pts = 16000, 0
        out.mux(stream.encode(frame))
        out.mux(stream.encode())
    with pytest.raises(UnreadableVideo, match="no video stream"):
        open_video(path)
    beside = write(tmp_path, Film("beside.mp4", options=X264, audio=5.0))
    video = open_video(beside)
    assert video.duration == pytest.approx(60 / 25)
    assert sum(map(len, video.frames())) == 60
    assert not video.coverage.warnings


def test_declared_giants_do_not_take_memory(tmp_path: Path) -> None:
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    for side in (65535, 16384, 9000):
        film = Film("giant.avi", codec="ffv1", width=64, height=64, frames=2, pixels="yuv444p")
        raw = bytearray(write(tmp_path, film).read_bytes())
        at = raw.index(b"strf") + 12  # BITMAPINFOHEADER: size, width, height
        assert struct.unpack_from("<ii", raw, at) == (64, 64)
        raw[at : at + 8] = struct.pack("<ii", side, side)
        path = tmp_path / f"giant_{side}.avi"
        path.write_bytes(raw)
        with pytest.raises(UnreadableVideo, match=f"giant_{side}"):
            open_video(path)
    path = write(tmp_path, Film("header.mp4", frames=5, options=X264))
    raw = bytearray(path.read_bytes())
    at = raw.index(b"avc1", raw.index(b"stsd")) + 28
    assert struct.unpack_from(">HH", raw, at) == (96, 64)
    raw[at : at + 4] = struct.pack(">HH", 65535, 65535)
    path.write_bytes(raw)
    assert open_video(path).width == 96  # the codec's own header is the one that counts
    after = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    assert after - before < 100_000  # KB


def test_a_frame_size_beyond_the_limit_is_named(tmp_path: Path) -> None:
    path = tmp_path / "wide.mkv"
    with av.open(str(path), "w") as out:
        stream = cast(Any, out.add_stream("ffv1", rate=25))
        stream.width, stream.height, stream.pix_fmt = 16400, 2, "gray"
        frame = VideoFrame(16400, 2, "gray")
        for plane in frame.planes:
            plane.update(bytes(plane.buffer_size))
        out.mux(stream.encode(frame))
        out.mux(stream.encode())
    with pytest.raises(UnreadableVideo, match=r"16400x2.*16384"):
        open_video(path)


def test_size_changes_mid_stream_are_evened_out(tmp_path: Path) -> None:
    parts = [
        write(tmp_path, Film(f"{w}.ts", width=w, height=h, frames=30, options={**X264, "bf": "0"}))
        for w, h in ((96, 64), (64, 96))
    ]
    path = tmp_path / "both.ts"
    # the second part's stamps are moved behind the first's, then the files are simply joined
    remux(parts[1], tmp_path / "moved.ts", shift=30 * 3600)
    path.write_bytes(parts[0].read_bytes() + (tmp_path / "moved.ts").read_bytes())
    for threads in (1, 3):
        video = open_video(path, threads=threads)
        every = joined(video.frames())
        assert every.pixels.shape == (60, 3, 64, 96)


def test_stamps_that_jump_back_do_not_go_backwards(tmp_path: Path) -> None:
    part = write(tmp_path, Film("part.ts", frames=30, options={**X264, "bf": "0"}))
    path = tmp_path / "twice.ts"
    path.write_bytes(part.read_bytes() * 2)
    video = open_video(path)
    every = joined(video.frames())
    assert (np.diff(every.start) > 0).all()
    assert len(every) >= 30
    assert video.coverage.warnings


def test_the_33_bit_clock_of_a_transport_stream_may_wrap(tmp_path: Path) -> None:
    source = write(tmp_path, Film("plain.ts", options=X264))
    path = remux(source, tmp_path / "wrap.ts", shift=2**33 - 200_000)
    plain, wrapped = open_video(source), open_video(path)
    a, b = joined(plain.frames()), joined(wrapped.frames())
    assert np.array_equal(a.start, b.start)
    assert np.array_equal(a.pixels, b.pixels)
    assert np.array_equal(
        joined(x for _, x in wrapped.windows(1, 5, start=1.0)).start,
        a.start[np.isin(a.start, joined(plain.frames(5, start=1.0)).start)],
    )


@pytest.mark.parametrize("cut", range(1, 20, 3))
def test_any_truncation_is_read_or_refused(tmp_path: Path, cut: int) -> None:
    for name in ("a.mkv", "a.ts", "a.webm"):
        codec = "libvpx" if name.endswith("webm") else "libx264"
        path = write(tmp_path, Film(name, codec=codec, frames=40, options=X264 if codec == "libx264" else {}))
        raw = path.read_bytes()
        path.write_bytes(raw[: len(raw) * cut // 20])
        try:
            video = open_video(path)
        except UnreadableVideo:
            continue
        count = sum(map(len, video.frames()))
        assert count == video.coverage.kept
        assert count >= 1


@pytest.mark.parametrize("seed", range(12))
def test_flipped_bytes_never_crash_or_disorder(tmp_path: Path, seed: int) -> None:
    rng = np.random.default_rng(seed)
    name = ("a.mp4", "a.mkv", "a.ts")[seed % 3]
    path = write(tmp_path, Film(name, frames=40, options=X264))
    raw = bytearray(path.read_bytes())
    for at in rng.integers(0, len(raw), 1 + len(raw) // 500):
        raw[at] = int(rng.integers(256))
    path.write_bytes(raw)
    try:
        serial, parallel = open_video(path, threads=1), open_video(path, threads=3)
        a, b = joined(serial.frames(size=16)), joined(parallel.frames(size=16))
    except UnreadableVideo:
        return
    assert np.array_equal(a.pixels, b.pixels)
    assert np.array_equal(a.start, b.start)
    assert (np.diff(a.start) > 0).all()
    assert serial.coverage == parallel.coverage


def test_bad_arguments_are_named(tmp_path: Path) -> None:
    path = write(tmp_path, Film("plain.mp4", frames=10, options=X264))
    video: FileVideo = open_video(path)
    calls = [
        lambda: list(video.frames(0)),
        lambda: list(video.frames(-1)),
        lambda: list(video.frames(1e9)),
        lambda: list(video.frames(float("nan"))),
        lambda: list(video.frames(1, start=-1)),
        lambda: list(video.frames(1, start=5, end=4)),
        lambda: list(video.frames(1, size=0)),
        lambda: list(video.frames(1, size=10**6)),
        lambda: list(video.frames(1, size=(3, 4, 5))),  # type: ignore[arg-type]
        lambda: list(video.windows(0)),
        lambda: list(video.windows(float("inf"))),
        lambda: list(video.windows(1, start=-2)),
        lambda: list(video.windows(10**9, 30)),
        lambda: video.frames_at([-1.0]),
        lambda: video.frames_at([float("nan")]),
        lambda: video.frames_at(np.arange(0, 10**6), size=2000),
        lambda: open_video(path, threads=0),
    ]
    for call in calls:
        with pytest.raises(BadInput) as caught:
            call()
        assert "\n" not in str(caught.value)


def flv_tags(path: Path, shift: int) -> bytes:
    """The tags of an FLV file, their times moved by `shift` milliseconds (FLV 10.1, annex E.4.1)."""
    raw, at, out = path.read_bytes(), 13, bytearray()
    while at + 15 <= len(raw):
        size = int.from_bytes(raw[at + 1 : at + 4], "big")
        time = int.from_bytes(raw[at + 4 : at + 7], "big") | raw[at + 7] << 24
        time += shift
        stamp = (time & 0xFFFFFF).to_bytes(3, "big") + bytes([time >> 24])
        if raw[at] == 9:  # pictures only
            out += raw[at : at + 4] + stamp + raw[at + 8 : at + 15 + size]
        at += 15 + size
    return bytes(out)


def test_codec_headers_that_change_on_the_way_are_kept(tmp_path: Path) -> None:
    parts = [
        write(tmp_path, Film(f"{w}.flv", width=w, height=h, frames=50, options=X264))
        for w, h in ((96, 64), (64, 96))
    ]
    path = tmp_path / "both.flv"
    path.write_bytes(parts[0].read_bytes()[:13] + flv_tags(parts[0], 0) + flv_tags(parts[1], 2000))
    plain = decode(path)
    assert len(plain.times) == 100
    for threads in (1, 3):
        video = open_video(path, threads=threads)
        got = joined(video.frames())
        assert np.array_equal(got.pixels, plain.pixels)
        assert not video.coverage.gaps
        tail = joined(b for _, b in video.windows(1, start=3.0))
        assert np.array_equal(tail.pixels, plain.pixels[-len(tail) :])


def open_files() -> int:
    return len(list(Path("/proc/self/fd").iterdir()))


@pytest.mark.skipif(not Path("/proc/self/fd").exists(), reason="counts open files through /proc")
def test_files_are_closed_however_reading_ends(tmp_path: Path) -> None:
    path = write(tmp_path, Film("plain.mp4", frames=100, options=X264))
    bad = tmp_path / "bad.mp4"
    bad.write_bytes(path.read_bytes()[:2000])
    next(open_video(path).frames())
    gc.collect()  # what earlier tests left held is let go before it is counted
    before = open_files()
    for round_ in range(40):
        video = open_video(path, threads=1 + round_ % 3)
        frames = video.frames()
        for _ in range(round_ % 4):
            next(frames)
        frames.close()  # type: ignore[attr-defined]
        video.frames_at([0.1, 3.9])
        video.notes()
        with pytest.raises(UnreadableVideo):
            open_video(bad)
    del video, frames  # a video that is still held may keep a child for its next question
    gc.collect()
    assert open_files() == before
