"""Every kind of file: the same frames, times and pixels as a plain loop, however they are asked for."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from watchonce.types import FrameBatch, Video
from watchonce.video import FileVideo, open_video
from watchonce.video.reader import Reader

from .films import X264, Film, decode, has_encoder, write

VFR = [0, 1, 2, 3, 10, 11, 30, 31, 32, 60, 61, 90, 91, 92, 93, 94, 95, 96, 97, 98, 120, 121]
SVT = {"g": "12", "preset": "12", "svtav1-params": "pred-struct=2:lp=1"}
X265 = {"g": "12", "keyint_min": "12", "preset": "ultrafast", "x265-params": "log-level=none:bframes=3"}
DNX = {"profile": "dnxhr_lb"}
HIDDEN = {"g": "30", "auto-alt-ref": "1", "lag-in-frames": "16"}
KINDS = [
    Film("closed.mp4", options=X264),
    Film("closed.mkv", options=X264),
    Film("closed.ts", options=X264),
    Film("closed.flv", options=X264),
    Film("closed.mov", options={**X264, "bf": "0"}),
    Film("open_gop.mp4", options={**X264, "x264-params": "open-gop=1"}),
    Film("open_gop.ts", options={**X264, "x264-params": "open-gop=1"}),
    Film("pyramid.mkv", options={**X264, "bf": "8", "g": "40", "x264-params": "b-pyramid=normal:ref=5"}),
    Film("refresh.mp4", options={**X264, "bf": "0", "g": "20", "x264-params": "intra-refresh=1"}),
    Film("refresh.ts", options={**X264, "bf": "0", "g": "20", "x264-params": "intra-refresh=1"}),
    Film("interlaced.mp4", options={**X264, "flags": "+ildct+ilme", "x264-params": "interlaced=1"}),
    Film("intra.mp4", options={**X264, "g": "1"}),
    Film("one_key.mp4", options={**X264, "g": "999", "keyint_min": "999"}),
    Film("variable.mp4", options=X264, stamps=VFR, unit=Fraction(1, 30)),
    Film("variable.mkv", options=X264, stamps=VFR, unit=Fraction(1, 30)),
    Film("offset.mkv", options=X264, stamps=[500 + i for i in range(40)]),
    Film("offset.ts", options=X264, stamps=[500 + i for i in range(40)]),
    Film("negative.mkv", options={**X264, "bf": "0"}, stamps=[-50 + i for i in range(40)]),
    Film("odd.mp4", options=X264, width=53, height=37, pixels="yuv444p"),
    Film("dot.mkv", codec="ffv1", width=1, height=1, pixels="yuv444p", frames=5),
    Film("wide.mkv", codec="libx264", width=1921, height=1081, pixels="yuv444p", frames=3, options=X264),
    Film("ten_bit.mp4", options=X264, pixels="yuv420p10le"),
    Film("grey.mp4", options=X264, pixels="gray"),
    Film("full.mp4", options=X264, pixels="yuvj420p"),
    Film("hevc.mp4", codec="libx265", options=X265),
    Film("hevc_closed.mkv", codec="libx265", options={**X265, "x265-params": "log-level=none:open-gop=0"}),
    Film("hevc_ten.mkv", codec="libx265", options=X265, pixels="yuv420p10le"),
    Film("vp8.webm", codec="libvpx", options={"g": "12", "deadline": "realtime", "cpu-used": "8"}),
    Film("vp8_hidden.webm", codec="libvpx", frames=80, options={**HIDDEN, "b": "200k"}),
    Film("vp9.webm", codec="libvpx-vp9", frames=80, options={**HIDDEN, "cpu-used": "4"}),
    Film("av1.mp4", codec="libsvtav1", options=SVT),
    Film("av1.mkv", codec="libsvtav1", options=SVT),
    Film("mpeg4.mp4", codec="mpeg4", options={"g": "12", "bf": "2"}),
    Film("mpeg4.mkv", codec="mpeg4", options={"g": "12", "bf": "2"}),
    Film("mpeg2.ts", codec="mpeg2video", options={"g": "12", "bf": "2"}),
    Film("mjpeg.mov", codec="mjpeg", pixels="yuvj420p"),
    Film("ffv1.mkv", codec="ffv1"),
    Film("prores.mov", codec="prores_ks", pixels="yuv422p10le"),
    Film("mpeg1.mpg", codec="mpeg1video", options={"g": "12", "bf": "2"}),
    Film("flv1.flv", codec="flv", options={"g": "12"}),
    Film("wmv2.asf", codec="wmv2", options={"g": "12"}),
    Film("png.mov", codec="png", pixels="rgb24"),
    Film("lossless.mkv", codec="libx264rgb", pixels="rgb24", options={**X264, "qp": "0"}),
    Film("dnxhd.mov", codec="dnxhd", width=256, height=128, frames=9, pixels="yuv422p", options=DNX),
    Film("theora.ogv", codec="libtheora", options={"g": "12"}),
]  # fmt: skip
LOOSE = [  # formats without presentation times: order from the decoder, times from the container
    Film("simple.avi", codec="mpeg4", options={"g": "12"}),
    Film("b_frames.avi", codec="mpeg4", options={"g": "12", "bf": "2"}),
    Film("h264.avi", options=X264),
    Film("huffyuv.avi", codec="huffyuv", pixels="yuv422p"),
    Film("utvideo.avi", codec="utvideo"),
    Film("msmpeg4.avi", codec="msmpeg4", options={"g": "12"}),
    Film("mjpeg.avi", codec="mjpeg", pixels="yuvj420p"),
]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("kinds")


def made(folder: Path, film: Film) -> Path:
    if not has_encoder(film.codec):
        pytest.skip(f"this FFmpeg cannot write {film.codec}")
    path = folder / film.name
    return path if path.exists() else write(folder, film)


def joined(batches: Iterable[FrameBatch]) -> FrameBatch:
    return FrameBatch.cat(list(batches))


def same(a: FrameBatch, b: FrameBatch) -> bool:
    return all(np.array_equal(x, y) for x, y in ((a.pixels, b.pixels), (a.start, b.start), (a.end, b.end)))


@pytest.mark.parametrize("film", KINDS, ids=lambda f: f.name)
def test_every_frame_equals_a_plain_loop(folder: Path, film: Film) -> None:
    path = made(folder, film)
    plain = decode(path)
    video = open_video(path, threads=1)
    assert isinstance(video, Video)
    got = joined(video.frames())
    assert got.start.tolist() == [float(t) for t in plain.times]
    assert got.end[:-1].tolist() == got.start[1:].tolist()
    assert np.array_equal(got.pixels, plain.pixels)
    assert video.offset == float(plain.offset)
    receipt = video.coverage
    assert receipt.decoded == receipt.kept == len(plain.times)
    assert not receipt.gaps
    assert not receipt.warnings
    assert receipt.watched == pytest.approx(got.end[-1], abs=2e-6)


@pytest.mark.parametrize("film", KINDS + LOOSE, ids=lambda f: f.name)
def test_stamps_are_the_starts_of_all_frames(folder: Path, film: Film) -> None:
    video = open_video(made(folder, film))
    starts = np.concatenate([batch.start for batch in video.frames()])
    np.testing.assert_array_equal(video.stamps(), starts)


@pytest.mark.parametrize("film", KINDS + LOOSE, ids=lambda f: f.name)
def test_serial_parallel_and_resumed_readings_agree(folder: Path, film: Film) -> None:
    path = made(folder, film)
    serial, parallel = open_video(path, threads=1), open_video(path, threads=3)
    assert same(joined(serial.frames()), joined(parallel.frames()))
    assert serial.coverage == parallel.coverage
    whole = list(serial.windows(0.3, 7))
    receipt = serial.coverage
    assert [s.start for s, _ in whole] == pytest.approx([0.3 * i for i in range(len(whole))])
    for first in (1, len(whole) // 2, len(whole) - 1):
        tail = list(parallel.windows(0.3, 7, start=first * 0.3))
        assert len(tail) == len(whole) - first
        for (a, x), (b, y) in zip(whole[first:], tail, strict=True):
            assert a == b
            assert same(x, y)
    assert same(joined(b for _, b in whole), joined(parallel.frames(7)))
    assert receipt == parallel.coverage


@pytest.mark.parametrize("film", KINDS + LOOSE, ids=lambda f: f.name)
def test_a_rate_keeps_what_is_on_display_at_each_tick(folder: Path, film: Film) -> None:
    path = made(folder, film)
    video = open_video(path, threads=2)
    every = joined(video.frames())
    for rate in (Fraction(1), Fraction(7), Fraction(60), Fraction("0.4")):
        ticks = [k / rate for k in range(int(float(every.end[-1]) * rate) + 2)]
        # stamps are at least a microsecond apart from ticks they do not equal
        times = np.array([float(t) + 1e-9 for t in ticks])
        on_display = np.searchsorted(every.start, times, "right") - 1
        expected = sorted({int(i) for i, t in zip(on_display, times, strict=True) if t < every.end[i]})
        got = joined(video.frames(float(rate)))
        assert same(got, every[expected])
        assert video.coverage.kept == len(expected)


@pytest.mark.parametrize("film", KINDS + LOOSE, ids=lambda f: f.name)
def test_frames_at_gives_what_is_on_display(folder: Path, film: Film) -> None:
    video = open_video(made(folder, film), threads=1)
    every = joined(video.frames())
    rng = np.random.default_rng(7)
    times = rng.uniform(0, every.end[-1], 9)
    expected = sorted({int(np.searchsorted(every.start, t, "right")) - 1 for t in times})
    assert same(video.frames_at(times), every[expected])
    assert same(video.frames_at(every.start), every)
    assert len(video.frames_at([every.end[-1] + 1])) == 0


@pytest.mark.parametrize("film", KINDS + LOOSE, ids=lambda f: f.name)
def test_keyframes_are_some_of_the_frames(folder: Path, film: Film) -> None:
    path = made(folder, film)
    every = joined(open_video(path, threads=1).frames())
    video = open_video(path, threads=2, keyframes=True)
    keys = joined(video.frames())
    at = np.flatnonzero(np.isin(every.start, keys.start)).tolist()
    assert at[0] == 0
    assert same(keys, every[at])
    if film not in LOOSE:  # there the order of pictures is only known by decoding them all
        assert video.coverage.decoded == len(keys)


@pytest.mark.parametrize("film", KINDS[:6] + LOOSE, ids=lambda f: f.name)
def test_a_span_holds_all_that_is_on_display_in_it(folder: Path, film: Film) -> None:
    video = open_video(made(folder, film), threads=2)
    every = joined(video.frames())
    for start, end in ((0.0, 0.1), (0.5, 0.5), (0.7, 1.11), (1.9, 99.0)):
        inside = (every.start < end) & (every.end > start)
        got = list(video.frames(start=start, end=end))
        assert sum(map(len, got)) == inside.sum()
        if got:
            assert same(joined(got), every[np.flatnonzero(inside).tolist()])


def test_asked_sizes(folder: Path) -> None:
    path = made(folder, Film("closed.mp4", options=X264))
    video: FileVideo = open_video(path)
    assert next(video.frames(size=32)).pixels.shape[2:] == (32, 48)
    assert next(video.frames(size=(20, 30))).pixels.shape[2:] == (20, 30)
    got = joined(video.frames(size=(20, 30)))
    assert np.array_equal(got.pixels, decode(path, (20, 30)).pixels)
    assert video.frames_at([0.5], size=32).pixels.shape == (1, 3, 32, 48)


def digest(batches: Any) -> str:
    """One number for pixels, times and their order."""
    total = hashlib.sha256()
    for item in batches:
        span, batch = item if isinstance(item, tuple) else (None, item)
        total.update(repr((span, batch.pixels.shape)).encode())
        for array in (batch.pixels, batch.start, batch.end):
            total.update(array.tobytes())
    return total.hexdigest()


def receipts(video: Any, batches: Iterator[Any]) -> list[Any]:
    """The receipt after each batch, and after the last."""
    return [video.coverage for _ in batches] + [video.coverage]


@pytest.mark.parametrize("film", KINDS + LOOSE, ids=lambda f: f.name)
def test_a_child_gives_what_this_process_would(folder: Path, film: Film) -> None:
    path = made(folder, film)
    here, there = Reader(path, threads=2), open_video(path, threads=2)
    for name in ("width", "height", "duration", "offset", "codec", "clock", "tags"):
        assert getattr(here, name) == getattr(there, name)
    assert digest(here.frames()) == digest(there.frames())
    assert here.coverage == there.coverage
    assert digest(here.windows(0.3, 7, start=0.6)) == digest(there.windows(0.3, 7, start=0.6))
    assert receipts(here, here.windows(0.3, 7)) == receipts(there, there.windows(0.3, 7))
    times = np.linspace(0, here.duration, 7)
    assert digest([here.frames_at(times, size=32)]) == digest([there.frames_at(times, size=32)])
    assert here.coverage == there.coverage
    assert np.array_equal(here.stamps(), there.stamps())
    assert here.notes() == there.notes()
