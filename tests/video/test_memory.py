"""Peak memory does not grow with the length of the video; measured in processes of their own."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import av
import pytest

from .films import X264, Film, write

MEASURE = """
import resource, sys
from watchonce.video import open_video, server
video = open_video(sys.argv[1], threads=2)
count = sum(len(b) for _, b in video.windows(10, 2))
assert count == round(video.duration * 2), (count, video.duration)
server.stop()  # what the decoding process took is known once it has been waited for
both = (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)
print(sum(resource.getrusage(who).ru_maxrss for who in both))
"""


def repeated(source: Path, target: Path, times: int) -> Path:
    """The same film over and over in one file, packets copied."""
    with av.open(str(target), "w") as out:
        stream: Any = None
        for turn in range(times):
            with av.open(str(source)) as inp:
                old = inp.streams.video[0]
                stream = stream or out.add_stream_from_template(old)
                for packet in inp.demux(old):
                    if packet.pts is not None and packet.dts is not None:
                        base = turn * (old.duration or 0)
                        packet.pts, packet.dts, packet.stream = packet.pts + base, packet.dts + base, stream
                        out.mux(packet)
    return target


def peak(path: Path) -> int:
    done = subprocess.run(
        [sys.executable, "-c", MEASURE, str(path)], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    return int(done.stdout)


@pytest.mark.slow
def test_ten_times_the_length_takes_the_same_memory(tmp_path: Path) -> None:
    options = {**X264, "g": "50", "preset": "ultrafast"}
    part = write(tmp_path, Film("part.mp4", frames=750, width=160, height=120, options=options))
    short = repeated(part, tmp_path / "short.mp4", 2)
    long = repeated(part, tmp_path / "long.mp4", 20)
    assert peak(long) <= 1.1 * peak(short)


def test_reading_a_video_imports_no_torch() -> None:
    code = "import sys, watchonce.video.reader, watchonce.video.subtitles; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
