"""Drawn films as files: exact times after re-opening, the right picture at each, whole or not at all."""

from __future__ import annotations

import hashlib
import warnings
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest

from watchonce.types import BadInput
from watchonce.video.drawn.film import Reel, draw, tag_of
from watchonce.video.drawn.needles import needle_box
from watchonce.video.drawn.paint import Painter
from watchonce.video.drawn.truth import GENERATOR, load_truth
from watchonce.video.drawn.world import make_world


def opened(path: Path) -> tuple[list[Fraction], np.ndarray]:
    """Exact times and frames `[T, H, W, 3]`, as the container and the decoder give them."""
    times, frames = [], []
    with av.open(str(path)) as container:
        for frame in container.decode(video=0):
            assert frame.pts is not None
            assert frame.time_base is not None
            times.append(frame.pts * frame.time_base)
            frames.append(frame.to_ndarray(format="rgb24"))
    return times, np.stack(frames)


def digest(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def difference(one: Path, other: Path) -> str:
    """Where two encoded films part: sizes, and the first packet that differs."""
    packets: list[list[bytes]] = []
    for path in (one, other):
        with av.open(str(path)) as container:
            packets.append([bytes(p) for p in container.demux(video=0)])
    first = next((n for n, (a, b) in enumerate(zip(*packets, strict=False)) if a != b), None)
    return f"{one.stat().st_size} and {other.stat().st_size} bytes, first other packet {first}"


def length(stream: av.VideoStream) -> Fraction:
    """Seconds the container says the stream lasts."""
    assert stream.duration is not None
    assert stream.time_base is not None
    return stream.duration * stream.time_base


@pytest.fixture(scope="module")
def film(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two minutes and a bit, with needles."""
    path = tmp_path_factory.mktemp("film") / "film.mp4"
    assert draw(path, seconds=127.3, seed=7, needles=4, threads=1) == path.with_suffix(".json")
    return path


def test_every_frame_bears_its_exact_time_and_shows_the_world_then(film: Path) -> None:
    times, frames = opened(film)
    assert times == [Fraction(k, 5) for k in range(637)]
    painted = Painter(make_world(7, 127.3, needles=4)).draw(np.array([float(t) for t in times]))
    error = np.abs(frames.astype(int) - painted).mean((1, 2, 3))
    assert error.max() < 9
    # in motion, the frame a second later is a worse match than the right one
    late = np.abs(frames[:-5].astype(int) - painted[5:]).mean((1, 2, 3))
    assert (late > error[:-5]).mean() > 0.95


def test_the_container_says_what_it_is_and_how_long(film: Path) -> None:
    with av.open(str(film)) as container:
        stream = container.streams.video[0]
        assert container.metadata["title"] == GENERATOR
        assert container.metadata["comment"] == tag_of(make_world(7, 127.3))
        assert container.metadata["comment"] == "watchonce drawn world 1 seed=7 split=test seconds=127.3"
        assert stream.codec_context.name == "h264"
        assert stream.codec_context.pix_fmt == "yuv420p"
        assert length(stream) == Fraction(1273, 10)
        keys = [p.pts * p.time_base for p in container.demux(stream) if p.pts is not None and p.is_keyframe]
    assert keys[0] == 0
    assert max(np.diff([float(k) for k in keys])) <= 10.0


def test_a_seed_draws_the_same_film_again(film: Path, tmp_path: Path) -> None:
    again = tmp_path / "another name.mp4"
    draw(again, seconds=127.3, seed=7, needles=4, threads=1)
    assert digest(again.with_suffix(".json")) == digest(film.with_suffix(".json"))
    times, frames = opened(film)
    times_again, frames_again = opened(again)
    assert times_again == times
    assert np.abs(frames_again.astype(int) - frames).mean((1, 2, 3)).max() < 1
    if digest(again) != digest(film):  # the encoder's doing, not ours: seen on one machine, once
        warnings.warn(f"x264 wrote other bytes for the same frames: {difference(film, again)}", stacklevel=1)
    other = tmp_path / "val.mp4"
    draw(other, seconds=127.3, seed=7, needles=4, split="val", threads=1)
    assert load_truth(other).events != load_truth(film).events


def test_a_seed_paints_the_same_pixels_again() -> None:
    times = np.arange(0.0, 127.0, 0.7)
    first, second = (Painter(make_world(7, 127.3, needles=4)).draw(times) for _ in range(2))
    assert hashlib.sha256(first.tobytes()).digest() == hashlib.sha256(second.tobytes()).digest()


def test_variable_rate_is_variable_and_exact(tmp_path: Path) -> None:
    path = tmp_path / "vary.mp4"
    draw(path, seconds=75, seed=3, vary=True)
    times, frames = opened(path)
    expected = [Fraction(k, 5) for k in range(100)] + [Fraction(20 + k) for k in range(20)]
    expected += [40 + Fraction(k, 5) for k in range(100)] + [Fraction(60 + k) for k in range(15)]
    assert times == expected
    painted = Painter(make_world(3, 75.0)).draw(np.array([float(t) for t in times]))
    assert np.abs(frames.astype(int) - painted).mean((1, 2, 3)).max() < 9
    with av.open(str(path)) as container:
        stream = container.streams.video[0]
        assert length(stream) == 75  # the last frame is on for its whole second
    assert load_truth(path).variable
    assert load_truth(path).frames == len(times)


@pytest.mark.parametrize(
    ("fps", "seconds", "rate"),
    [(29.97, 12.0, Fraction(2997, 100)), (0.5, 31.0, Fraction(1, 2)), (24, 11, Fraction(24))],
)
def test_any_rate_keeps_exact_times(tmp_path: Path, fps: float, seconds: float, rate: Fraction) -> None:
    draw(tmp_path / "f.mp4", seconds=seconds, seed=2, fps=fps)
    times, _ = opened(tmp_path / "f.mp4")
    assert times == [k / rate for k in range(len(times))]
    assert times[-1] < seconds <= times[-1] + 1 / rate


@pytest.mark.parametrize("size", [(320, 240), (64, 48), (384, 768)])
def test_any_even_size_shows_the_same_world(tmp_path: Path, size: tuple[int, int]) -> None:
    draw(tmp_path / "f.mp4", seconds=10, seed=2, size=size, crf=12)
    times, frames = opened(tmp_path / "f.mp4")
    assert frames.shape[1:] == (size[1], size[0], 3)
    painted = Painter(make_world(2, 10.0)).draw(np.array([float(t) for t in times]))
    # both brought to 16 x 16, where sub-pixel edges and noise no longer count
    small = frames[:, : size[1] // 16 * 16].reshape(len(times), 16, size[1] // 16, 16, -1, 3).mean((2, 4))
    coarse = painted.reshape(len(times), 16, 6, 16, 6, 3).mean((2, 4))
    assert np.abs(small - coarse).mean() < 5
    assert load_truth(tmp_path / "f.mp4").size == size


def test_needles_are_in_the_film_where_the_truth_says(film: Path, tmp_path: Path) -> None:
    plain = tmp_path / "plain.mp4"
    draw(plain, seconds=127.3, seed=7, threads=1)
    truth = load_truth(film)
    assert not load_truth(plain).needles
    assert [n.kind for n in truth.needles] == ["word", "picture", "word", "picture"]
    times, frames = opened(film)
    _, without = opened(plain)
    seconds = np.array([float(t) for t in times])
    changed = np.abs(frames.astype(int) - without).max(-1) > 40
    for needle in truth.needles:
        shown = (seconds >= needle.start) & (seconds < needle.end)
        x1, y1, x2, y2 = (round(edge * 96) for edge in needle_box(needle))
        assert changed[shown][:, y1:y2, x1:x2].mean() > 0.3
        away = (seconds < needle.start - 1) & (seconds > needle.start - 3)
        assert changed[away].mean() < 0.02


def test_a_film_appears_whole_or_not_at_all(tmp_path: Path) -> None:
    path = tmp_path / "film.mp4"
    draw(path, seconds=20, seed=1)
    before = path.read_bytes(), path.with_suffix(".json").read_bytes()

    class Stopped(Exception):
        pass

    def stop(done: float, whole: float) -> None:
        if done > 40:
            raise Stopped

    with pytest.raises(Stopped):
        draw(path, seconds=120, seed=2, progress=stop)
    assert (path.read_bytes(), path.with_suffix(".json").read_bytes()) == before
    assert sorted(p.name for p in tmp_path.iterdir()) == ["film.json", "film.mp4"]


def test_h265_is_another_way_to_write_it(tmp_path: Path) -> None:
    draw(tmp_path / "f.mp4", seconds=10, seed=1, codec="libx265", threads=1)
    times, frames = opened(tmp_path / "f.mp4")
    assert times == [Fraction(k, 5) for k in range(50)]
    painted = Painter(make_world(1, 10.0)).draw(np.arange(50) / 5)
    assert np.abs(frames.astype(int) - painted).mean() < 9


def test_progress_counts_up_to_the_end(tmp_path: Path) -> None:
    seen: list[tuple[float, float]] = []
    draw(tmp_path / "f.mp4", seconds=100.1, seed=1, progress=lambda done, whole: seen.append((done, whole)))
    assert [done for done, _ in seen] == sorted({done for done, _ in seen})
    assert seen[-1] == (pytest.approx(100.1), 100.1)


def test_a_reel_of_a_day_is_counted_not_kept() -> None:
    """432,000 shots come one by one, on ticks that fit the container's 32-bit rate."""
    reel = Reel(Fraction(5), 96, 96, False, "libx264", 20, 10.0, 1)
    count, last = 0, (0, 0)
    for shot in reel.shots(86400.0):
        assert shot[0] == sum(last)
        count, last = count + 1, shot
    assert count == 432_000
    assert sum(last) == 86400 * reel.ticks


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ({"path": "film.avi"}, r"an \.mp4 file, got '.*film\.avi': name it film\.mp4"),
        ({"path": "none/film.mp4"}, "does not exist; make it first"),
        ({"size": (97, 96)}, "even both ways for H.264 4:2:0, got 97x96; try 98x96"),
        ({"size": (16, 96)}, "32 to 4096 pixels either way, got 16x96"),
        ({"size": (96.5, 96)}, "whole pixels"),
        ({"fps": 0.0}, "0.1 to 60 frames a second, got 0"),
        ({"fps": float("nan")}, "got nan"),
        ({"seconds": 5.0}, "10 to 172800 seconds, got 5"),
        ({"split": "dev"}, "got 'dev'"),
        ({"seed": -3}, "got -3"),
        ({"crf": 60}, "crf must be 0 .* 51 .*, got 60"),
        ({"gop": 0.0}, "gop must be 0.1 to 600 seconds between key frames, got 0"),
        ({"codec": "gif"}, "codec must be one of libx264, libx265, got 'gif'"),
        ({"threads": 0}, "threads must be 1 to 64, got 0"),
        ({"questions": -1}, "questions must be 0 or above, got -1"),
    ],
)
def test_bad_arguments_are_named_with_their_cure(tmp_path: Path, arguments: dict, words: str) -> None:
    given = {"path": "film.mp4", "seconds": 10.0, "seed": 1, **arguments}
    with pytest.raises(BadInput, match=words) as caught:
        draw(tmp_path / given.pop("path"), **given)
    assert "\n" not in str(caught.value)
    assert list(tmp_path.iterdir()) == []
