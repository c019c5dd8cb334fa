"""Every real video: times equal the container's stamps, and the receipt is right."""

from __future__ import annotations

import hashlib
from fractions import Fraction
from pathlib import Path
from typing import cast

import av
import numpy as np
import pytest

from watchonce.types import FrameBatch
from watchonce.video import open_video

SLOW = "big_buck_bunny_596s.mp4"
NAMES = [
    "film_elephants_dream_clip_16s.mp4",
    "film_sintel_trailer_52s.mp4",
    "lecture_slides_talk_123s.mp4",
    "mdn_flower.webm",
    "mdn_friday.mp4",
    "nasa_13013_13s.mp4",
    "pancake_10s.mkv",
    "surveil_bottle_detection_40s.mp4",
    "surveil_one_by_one_person_139s.mp4",
    "traffic_highway_30s.avi",
    "asl_gestures/learn.mkv",
    "asl_gestures/milk.mkv",
]
LOST = {"traffic_highway_30s.avi": 2}  # two of its packets hold no picture


def packet_times(path: Path) -> list[Fraction]:
    """Exact presentation times of the first video stream's packets, ascending, from the first on."""
    with av.open(str(path)) as inp:
        stream = inp.streams.video[0]
        unit = Fraction(cast(Fraction, stream.time_base))
        stamps = sorted(p.pts for p in inp.demux(stream) if p.size and p.pts is not None)
    return [(s - stamps[0]) * unit for s in stamps]


@pytest.mark.parametrize("name", [*NAMES, pytest.param(SLOW, marks=pytest.mark.slow)])
def test_times_are_the_containers_and_the_receipt_is_right(data: Path, name: str) -> None:
    path = data / "videos" / name
    if not path.exists():
        pytest.skip(f"{path} is absent")
    times = packet_times(path)
    video = open_video(path, threads=2)
    rate = 1.0 if name in (SLOW, "lecture_slides_talk_123s.mp4") else None
    batches = list(video.frames(rate, size=32))
    start = np.concatenate([b.start for b in batches])
    end = np.concatenate([b.end for b in batches])
    receipt = video.coverage
    exact = np.array([float(t) for t in times])
    assert np.isin(start, exact).all()
    following = dict(zip(exact[:-1].tolist(), exact[1:].tolist(), strict=True))
    assert all(following.get(s, e) == e for s, e in zip(start.tolist(), end.tolist(), strict=True))
    lost = LOST.get(name, 0)
    if rate is None:
        assert len(start) == len(times) - lost
        assert receipt.decoded == receipt.kept == len(start)
    else:
        ticks = np.arange(int(exact[-1]) + 1)
        assert start.tolist() == exact[np.searchsorted(exact, ticks, "right") - 1].tolist()
        assert receipt.kept == len(start) <= receipt.decoded <= len(times)
    assert bool(receipt.gaps) == bool(lost)
    gone = sum(g.end - g.start for g in receipt.gaps)
    assert receipt.watched + gone == pytest.approx(video.duration, abs=0.06)
    assert receipt.fps == rate


@pytest.mark.parametrize(
    "name", ["pancake_10s.mkv", "mdn_flower.webm", "traffic_highway_30s.avi", "nasa_13013_13s.mp4"]
)
def test_windows_resume_bit_for_bit(data: Path, name: str) -> None:
    path = data / "videos" / name
    video = open_video(path, threads=2)
    whole = list(video.windows(2, 3, size=32))
    assert whole[0][0].start == 0
    assert whole[-1][0].end >= video.duration
    for first in range(1, len(whole)):
        tail = list(open_video(path, threads=1).windows(2, 3, start=2.0 * first, size=32))
        assert [s for s, _ in tail] == [s for s, _ in whole[first:]]
        a, b = (FrameBatch.cat([x for _, x in part]) for part in (tail, whole[first:]))
        assert np.array_equal(a.pixels, b.pixels)
        assert np.array_equal(a.start, b.start)


def test_embedded_subtitles_of_a_real_file(data: Path) -> None:
    notes = open_video(data / "videos" / "nasa_13013_13s.mp4").notes()
    assert notes[0].text == "NAR: This is the optical and science segment of the Webb"
    assert (notes[0].start, notes[0].end) == (0.21, 4.26)
    assert all(n.source == "subtitle" for n in notes)


def test_the_fingerprint_follows_the_bytes_alone(data: Path, tmp_path: Path) -> None:
    source = data / "videos" / "mdn_friday.mp4"
    raw = bytearray(source.read_bytes())
    copy = tmp_path / "other name.mp4"
    copy.write_bytes(raw)
    same = open_video(source).fingerprint
    assert open_video(copy).fingerprint == same
    assert same == hashlib.sha256(raw).hexdigest()
    raw[len(raw) // 2] ^= 1
    copy.write_bytes(raw)
    assert open_video(copy).fingerprint != same
