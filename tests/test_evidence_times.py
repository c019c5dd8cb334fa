"""Evidence lies where the container says it is: a variable-rate file with cuts at known time stamps."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest

from watchonce import watch

COLOURS = {"red": (200, 20, 20), "blue": (20, 20, 200), "green": (20, 190, 20), "purple": (150, 20, 190)}
# (colour, frames, frames a second): 30 -> 5 -> 24 -> 1; index / mean rate would be wrong by many seconds
PARTS = [("red", 300, 30), ("blue", 60, 5), ("green", 240, 24), ("purple", 12, 1)]


@pytest.fixture(scope="module")
def film(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, tuple[float, float, float]]]:
    """The file, and per colour: start, end and the length of its frames, in seconds."""
    path = tmp_path_factory.mktemp("vfr") / "vfr.mp4"
    truth, now = {}, Fraction(0)
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=30)
        stream.width = stream.height = 64
        stream.pix_fmt = "yuv420p"
        stream.time_base = stream.codec_context.time_base = Fraction(1, 120)
        for colour, count, rate in PARTS:
            begin = now
            for _ in range(count):
                pixels = np.broadcast_to(np.array(COLOURS[colour], np.uint8), (64, 64, 3)).copy()
                frame = av.VideoFrame.from_ndarray(pixels, format="rgb24")
                frame.pts, frame.time_base = int(now * 120), Fraction(1, 120)
                container.mux(stream.encode(frame))
                now += Fraction(1, rate)
            truth[colour] = (float(begin), float(now), 1 / rate)
        container.mux(stream.encode())
    return path, truth


@pytest.mark.parametrize("colour", [name for name, _, _ in PARTS])
def test_evidence_is_within_one_frame_of_the_time_stamps(
    film: tuple[Path, dict[str, tuple[float, float, float]]],
    colour: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("WATCHONCE_HOME", str(tmp_path / "home"))
    path, truth = film
    memory = watch(path, tmp_path / "vfr.memory", model="none", overrides=["budget.fps=60"])
    answer = memory.ask(f"when is it mostly {colour}?")
    assert not answer.not_found
    start, end, frame = truth[colour]
    best = answer.evidence[0]
    assert abs(best.start - start) <= frame
    assert abs(best.end - end) <= frame + 1e-6
    assert memory.manifest["coverage"]["kept"] == sum(count for _, count, _ in PARTS)
