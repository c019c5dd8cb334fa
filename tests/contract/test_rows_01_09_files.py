"""Rows 1 to 9 of docs/contract.md: files that are no video, that are damaged, or that are strange.

Each is watched as a stranger would, by the command; what frames and receipts are worth on such files is
shown in tests/video. A watch without a model keeps scenes, thumbnails and the receipt.
"""

from __future__ import annotations

import io
import json
import resource
import struct
import time
from contextlib import redirect_stderr, redirect_stdout
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any, cast

import av
import numpy as np
import pytest
from PIL import Image

from tests.video.films import X264, Film, picture, remux, write
from watchonce import library, watch
from watchonce.cli import main
from watchonce.types import UnreadableVideo
from watchonce.video import Limits, open_video


@dataclass
class Done:
    code: int
    out: str
    err: str


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A library of the test's own."""
    folder = tmp_path / "home"
    monkeypatch.setenv("WATCHONCE_HOME", str(folder))
    return folder


def command(*words: str | Path) -> Done:
    """What the command says and how it ends."""
    out, err = io.StringIO(), io.StringIO()
    with redirect_stdout(out), redirect_stderr(err), pytest.raises(SystemExit) as ended:
        main([str(word) for word in words])
    return Done(int(ended.value.code or 0), out.getvalue(), err.getvalue())


def watched(path: Path, *more: str) -> dict[str, Any]:
    """The manifest of a memory made without a model."""
    out = path.with_name(f"{path.name}.memory")
    done = command("watch", path, "-o", out, "--model", "none", *more)
    assert done.code == 0, done.err
    assert library.verify(out) == []
    return json.loads((out / "manifest.json").read_text())


def refused(path: Path, words: str) -> None:
    """One line that names the file, exit code 3, and nothing published or left over."""
    before = sorted(path.parent.iterdir())
    done = command("watch", path, "-o", path.with_suffix(".memory"), "--model", "none")
    assert done.code == 3
    lines = done.err.strip().splitlines()
    assert len(lines) == 1
    assert path.name in lines[0]
    assert words in lines[0]
    assert sorted(path.parent.iterdir()) == before


def test_row_01_what_is_no_video_is_refused_and_nothing_is_published(tmp_path: Path) -> None:
    empty, random, still = (tmp_path / name for name in ("empty.mp4", "random.mp4", "still.mp4"))
    empty.write_bytes(b"")
    random.write_bytes(np.random.default_rng(1).bytes(200_000))
    Image.fromarray(picture(0, 40, 60)).save(still, format="JPEG")
    refused(empty, "is empty (0 bytes)")
    refused(random, "cannot be opened as a video")
    refused(still, "is a JPEG picture")


def test_row_02_half_a_file_gives_half_a_memory_and_a_file_without_index_none(tmp_path: Path) -> None:
    options = {**X264, "qp": "20"}
    whole = write(
        tmp_path, Film("half.mp4", frames=250, options=options, container={"movflags": "faststart"})
    )
    whole.write_bytes(whole.read_bytes()[: whole.stat().st_size // 2])
    receipt = watched(whole)["coverage"]
    assert receipt["declared"] == pytest.approx(10)
    assert receipt["watched"] / receipt["declared"] == pytest.approx(0.5, abs=0.05)
    assert "the file ends before its declared duration" in receipt["warnings"]
    assert receipt["gaps"][-1]["end"] == pytest.approx(10)
    late = write(tmp_path, Film("late.mp4", options=X264))
    raw = late.read_bytes()
    late.write_bytes(raw[: raw.index(b"moov") - 4])
    refused(late, "cannot be opened as a video")


def test_row_05_the_same_film_in_another_container_gives_the_same_memory(tmp_path: Path) -> None:
    def notes(path: Path) -> list[dict[str, Any]]:
        assert watched(path)["coverage"]["watched"] == pytest.approx(2.4, abs=0.002)
        lines = (path.with_name(f"{path.name}.memory") / "timeline.jsonl").read_text().splitlines()
        return [json.loads(line) for line in lines]

    plain = write(tmp_path, Film("plain.mp4", options=X264))
    transport = write(tmp_path, Film("plain.ts", options=X264))
    offset = remux(transport, tmp_path / "offset.ts", shift=90_000 * 500)
    wrap = remux(transport, tmp_path / "wrap.ts", shift=2**33 - 100_000)
    expected = notes(plain)
    assert expected
    for other in (transport, offset, wrap):
        assert notes(other) == expected, other.name


def test_row_06_pictures_that_change_on_the_way_are_evened_out(tmp_path: Path) -> None:
    ten = {"options": {**X264, "bf": "0"}, "pixels": "yuv420p10le"}
    parts = [
        write(tmp_path, Film("a.ts", frames=30, options={**X264, "bf": "0"})),
        write(tmp_path, Film("b.ts", frames=30, width=54, height=38, **ten)),
    ]
    moved = remux(parts[1], tmp_path / "moved.ts", shift=30 * 3600)
    path = tmp_path / "both.ts"
    path.write_bytes(parts[0].read_bytes() + moved.read_bytes())
    manifest = watched(path)
    assert (manifest["source"]["width"], manifest["source"]["height"]) == (96, 64)
    assert manifest["coverage"]["watched"] == pytest.approx(2.4, abs=0.1)
    for width, height in ((1, 1), (53, 37)):
        film = Film(f"{width}.mkv", codec="ffv1", frames=5, width=width, height=height, pixels="yuv444p")
        assert watched(write(tmp_path, film))["source"]["width"] == width


def test_row_07_bombs_meet_limits_of_size_number_and_time(tmp_path: Path) -> None:
    giant = write(tmp_path, Film("giant.avi", codec="ffv1", width=64, height=64, frames=2, pixels="yuv444p"))
    raw = bytearray(giant.read_bytes())
    at = raw.index(b"strf") + 12
    raw[at : at + 8] = struct.pack("<ii", 65535, 65535)
    giant.write_bytes(raw)
    refused(giant, "not one frame could be decoded")
    # ten hours of one pixel in two frames: read, and bounded by what is there, not by what is declared
    dot = Film("dot.mkv", codec="ffv1", width=1, height=1, pixels="yuv444p", stamps=[0, 25 * 36_000])
    path = write(tmp_path, dot)
    began, before = time.monotonic(), resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    receipt = watched(path)["coverage"]
    assert receipt["kept"] == 2
    assert receipt["declared"] >= 36_000
    assert time.monotonic() - began < 60
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 200_000  # KB
    many = write(tmp_path, Film("many.mkv", codec="ffv1", width=1, height=1, pixels="gray", frames=500))
    with pytest.raises(UnreadableVideo, match="more than 400 pictures"):
        watch(many, tmp_path / "many.memory", model="none", limits=Limits(frames=400))
    done = command("watch", many, "-o", tmp_path / "many.memory", "--limit", "frames=400")
    assert (done.code, done.err.count("\n")) == (3, 2)  # the line about the model, and the refusal
    assert watched(many, "--limit", "frames=500")["coverage"]["kept"] == 20


@pytest.mark.parametrize("sound", [0.0, 1.0, 6.0], ids=["none", "shorter", "longer"])
def test_row_08_sound_or_none_makes_no_words(tmp_path: Path, sound: float) -> None:
    manifest = watched(write(tmp_path, Film("film.mp4", options=X264, audio=sound)))
    assert set(manifest["notes"]) <= {"scene"}
    assert manifest["coverage"]["watched"] == pytest.approx(2.4)
    assert not manifest["coverage"]["warnings"]


def test_row_08_sound_alone_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "song.mp4"
    with av.open(str(path), "w") as out:
        stream = cast(Any, out.add_stream("aac", rate=16000))
        frame = av.AudioFrame(format="fltp", layout="mono", samples=1024)
        for plane in frame.planes:
            plane.update(bytes(plane.buffer_size))
        frame.sample_rate, frame.pts, frame.time_base = 16000, 0, Fraction(1, 16000)
        out.mux(stream.encode(frame))
        out.mux(stream.encode())
    refused(path, "has no video stream (it holds audio)")


@pytest.mark.parametrize("kind", ["black", "static", "strobe", "single"])
def test_row_09_dull_and_nervous_films_finish(tmp_path: Path, kind: str) -> None:
    path = tmp_path / f"{kind}.mp4"
    count = 1 if kind == "single" else 200
    light = {"black": lambda i: 0, "static": lambda i: 120, "strobe": lambda i: 255 * (i % 2)}
    with av.open(str(path), "w") as out:
        stream = cast(Any, out.add_stream("libx264", rate=25))
        stream.width, stream.height, stream.pix_fmt, stream.options = 64, 48, "yuv420p", X264
        for index in range(count):
            value = light.get(kind, light["static"])(index)
            frame = av.VideoFrame.from_ndarray(np.full((48, 64, 3), value, np.uint8), format="rgb24")
            frame.pts, frame.time_base = index, Fraction(1, 25)
            out.mux(stream.encode(frame))
        out.mux(stream.encode())
    manifest = watched(path, "--set", "budget.fps=25")
    assert manifest["coverage"]["kept"] == count
    assert manifest["coverage"]["watched"] == pytest.approx(count / 25)
    assert len(open_video(path).stamps()) == count
