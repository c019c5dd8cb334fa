"""The cutting of streams: long stretches in parts, open groups, seeking, packets looked at from outside."""

from __future__ import annotations

import struct
from pathlib import Path

import numpy as np
import pytest

from watchonce.types import FrameBatch
from watchonce.video import intervals, open_video
from watchonce.video.intervals import Demuxer, seek_before
from watchonce.video.opening import open_source
from watchonce.video.packets import is_entry, is_sound, length_size
from watchonce.video.receipt import LATE

from .films import X264, Film, decode, has_encoder, write

VP9 = {"g": "9999", "cpu-used": "5", "deadline": "realtime"}
OPEN = {**X264, "g": "100", "keyint_min": "100", "x264-params": "open-gop=1"}
NO_KEYS = {"g": "9999", "keyint_min": "9999", "sc_threshold": "0", "crf": "28"}
LONG = [
    Film("long.mp4", frames=300, options={**NO_KEYS, "bf": "3", "preset": "medium"}),
    Film("long.ts", frames=300, options={**NO_KEYS, "bf": "3", "preset": "medium"}),
    Film("long.webm", frames=300, codec="libvpx-vp9", options=VP9),
    Film("mixed.mkv", frames=300, options=OPEN),
]  # fmt: skip


@pytest.mark.parametrize("film", LONG, ids=lambda f: f.name)
@pytest.mark.parametrize("cap", [33, 40, 97])
def test_stretches_without_keyframes_are_read_in_parts(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, film: Film, cap: int
) -> None:
    if not has_encoder(film.codec):
        pytest.skip(f"this FFmpeg cannot write {film.codec}")
    path = write(tmp_path, film)
    plain = decode(path)
    video = open_video(path, threads=1)
    whole = FrameBatch.cat(list(video.frames()))
    windows = list(video.windows(2, 3))
    receipts = [video.coverage]
    monkeypatch.setattr(intervals, "MAX_PACKETS", cap)
    parts = list(Demuxer(open_source(path)).onward(True))
    assert len(parts) >= 3
    assert any(not p.fresh for p in parts)
    assert all(len(p.packets) <= cap + intervals.REORDER + 8 for p in parts)
    stamps = [s for p in parts for s in p.stamps]
    assert stamps == sorted(stamps)
    assert len(stamps) == 300
    for threads in (1, 3):
        video = open_video(path, threads=threads)
        got = FrameBatch.cat(list(video.frames()))
        assert np.array_equal(got.pixels, plain.pixels)
        assert np.array_equal(got.start, whole.start)
        assert np.array_equal(got.end, whole.end)
        tiled = list(video.windows(2, 3))
        for (a, x), (b, y) in zip(windows, tiled, strict=True):
            assert a == b
            assert np.array_equal(x.pixels, y.pixels)
        assert not video.coverage.gaps
        assert video.coverage.watched == receipts[0].watched
        tail = list(video.windows(2, 3, start=4.0))
        assert all(
            np.array_equal(x.pixels, y.pixels) for (_, x), (_, y) in zip(tail, windows[2:], strict=True)
        )
        keys = FrameBatch.cat(list(open_video(path, threads=threads, keyframes=True).frames()))
        assert len(keys) == sum(p.key is not None for p in parts)


def test_intervals_cover_every_picture_once(tmp_path: Path) -> None:
    for params in ("open-gop=0", "open-gop=1"):
        path = write(tmp_path, Film("gops.mp4", frames=100, options={**X264, "x264-params": params}))
        source = open_source(path)
        pieces = list(Demuxer(source).onward(True))
        assert len(pieces) >= 8
        stamps = [s for p in pieces for s in p.stamps]
        assert len(set(stamps)) == len(stamps) == 100
        assert stamps == sorted(stamps)
        ends = [e for p in pieces for e in p.ends]
        assert ends[:-1] == stamps[1:]
        assert all(p.key == p.packets[0].pts and p.sound for p in pieces)
        overlaps = [len(p.packets) - len(p.stamps) for p in pieces[:-1]]
        assert any(overlaps) == (params == "open-gop=1")


@pytest.mark.parametrize("name", ["seek.mp4", "seek.mkv", "seek.ts"])
def test_seeking_lands_at_or_before_the_goal(tmp_path: Path, name: str) -> None:
    path = write(tmp_path, Film(name, frames=200, options=X264))
    video = open_video(path)
    unit = video.clock.unit
    for target in np.linspace(0, 7.9, 23):
        goal = video.clock.last_stamp(float(target))
        source = open_source(path)
        if seek_before(source, goal):
            first = next(p for p in Demuxer(source).packets() if p.is_keyframe)
            assert first.pts is not None
            assert first.pts <= goal
            assert (goal - first.pts) * unit < 1.5  # not from far back either
        else:
            assert target < 1
        source.close()


def test_one_wild_stamp_costs_one_picture(tmp_path: Path) -> None:
    path = write(tmp_path, Film("wild.flv", options={**X264, "bf": "0"}))
    raw, at, tags = bytearray(path.read_bytes()), 13, []
    while at + 15 <= len(raw):
        tags.append(at)
        at += 15 + int.from_bytes(raw[at + 1 : at + 4], "big")
    pictures = [t for t in tags if raw[t] == 9]
    for index in (20, 55):
        raw[pictures[index] + 7] = 0x58  # the top byte of the time: 17 days ahead
    path.write_bytes(raw)
    for threads in (1, 3):
        video = open_video(path, threads=threads)
        windows = list(video.windows(1))
        assert len(windows) == 3
        assert sum(len(b) for _, b in windows) == 58
        assert LATE in video.coverage.warnings


def test_packets_are_judged_from_outside(tmp_path: Path) -> None:
    path = write(tmp_path, Film("sound.mp4", options=X264))
    source = open_source(path)
    context = source.stream.codec_context
    prefix = length_size(context.name, context.extradata)
    assert prefix == 4
    packets = list(Demuxer(source).packets())
    assert all(is_sound(p, "h264", prefix) for p in packets)
    assert sum(is_entry(p, "h264", prefix) for p in packets) == sum(p.is_keyframe for p in packets) == 5
    rng = np.random.default_rng(0)
    caught = 0
    for packet in packets:
        raw = bytearray(bytes(packet))
        raw[len(raw) // 2 :] = bytes(len(raw) - len(raw) // 2)
        raw[:4] = struct.pack(">I", int(rng.integers(1, 2**31)))
        packet.update(bytes(raw))
        caught += not is_sound(packet, "h264", prefix)
        packet.update(bytes(len(raw)))
        assert not is_sound(packet, "h264", prefix)
    assert caught == len(packets)


def test_gradual_refresh_is_no_entry(tmp_path: Path) -> None:
    options = {**X264, "bf": "0", "g": "20", "x264-params": "intra-refresh=1"}
    path = write(tmp_path, Film("refresh.ts", frames=100, options=options))
    source = open_source(path)
    packets = list(Demuxer(source).packets())
    flagged = [p for p in packets if p.is_keyframe]
    entries = [p for p in packets if is_entry(p, "h264", 0)]
    assert len(flagged) > len(entries) == 1


def edited(path: Path, media_time: int) -> Path:
    """The same MP4 with its edit list beginning later in the media (ISO 14496-12, 8.6.6)."""
    raw = bytearray(path.read_bytes())
    at = raw.index(b"elst") + 4
    version, count = raw[at], struct.unpack_from(">I", raw, at + 4)[0]
    assert (version, count) == (0, 1)
    duration, begin = struct.unpack_from(">Ii", raw, at + 8)
    # the movie counts in milliseconds here, the media 12800 ticks a second
    struct.pack_into(">Ii", raw, at + 8, duration - media_time * 1000 // 12800, begin + media_time)
    out = path.with_name(f"edited_{media_time}.mp4")
    out.write_bytes(raw)
    return out


@pytest.mark.parametrize("frames", [1, 5, 12, 17])
def test_edit_lists_are_obeyed(tmp_path: Path, frames: int) -> None:
    path = write(tmp_path, Film("plain.mp4", options=X264))
    uncut = decode(path)
    cut = edited(path, frames * 512)
    plain = decode(cut)
    assert len(plain.times) == len(uncut.times) - frames
    for threads in (1, 3):
        video = open_video(cut, threads=threads)
        got = FrameBatch.cat(list(video.frames()))
        assert np.array_equal(got.pixels, plain.pixels)
        assert np.array_equal(got.pixels, uncut.pixels[frames:])
        assert got.start.tolist() == [float(t) for t in plain.times]
        assert not video.coverage.gaps
        assert len(video.frames_at(got.start[::7])) == len(got.start[::7])
        tail = FrameBatch.cat([b for _, b in video.windows(0.5, 5, start=0.5)])
        assert np.isin(tail.start, got.start).all()


def test_a_bomb_of_declared_hours_is_bounded(tmp_path: Path) -> None:
    path = write(tmp_path, Film("bomb.mp4", frames=2, options=X264))
    raw = bytearray(path.read_bytes())
    for box, scale_at in ((b"mvhd", 12), (b"mdhd", 12)):
        at = raw.index(box) + 4
        scale = struct.unpack_from(">I", raw, at + scale_at)[0]
        struct.pack_into(">I", raw, at + scale_at + 4, min(2**32 - 1, 36_000 * scale))
    at = raw.index(b"tkhd") + 4
    struct.pack_into(">I", raw, at + 20, 36_000_000)
    path.write_bytes(raw)
    video = open_video(path)
    windows = list(video.windows(60, 1))
    assert sum(len(b) for _, b in windows) == 1
    assert len(windows) <= 601
    assert video.coverage.watched == pytest.approx(2 / 25)
