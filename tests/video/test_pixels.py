"""Upright, sized, coloured: the eight orientations, sizes, and known colours."""

from __future__ import annotations

import struct
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest

from watchonce.types import FrameBatch
from watchonce.video import open_video
from watchonce.video.pixels import target_size

from .films import X264, Film, decode, write

ONE = 1 << 16
ORIENTATIONS = [(a, b, c, d) for a, b, c, d in (
    (1, 0, 0, 1), (-1, 0, 0, 1), (1, 0, 0, -1), (-1, 0, 0, -1),
    (0, 1, -1, 0), (0, -1, 1, 0), (0, 1, 1, 0), (0, -1, -1, 0),
)]  # fmt: skip


def oriented(path: Path, matrix: tuple[int, int, int, int]) -> Path:
    """The same MP4 with another matrix in its track header (ISO 14496-12, 8.3.2)."""
    a, b, c, d = matrix
    raw = bytearray(path.read_bytes())
    at = raw.index(b"tkhd") + 4 + 40
    assert struct.unpack_from(">9i", raw, at) == (ONE, 0, 0, 0, ONE, 0, 0, 0, 1 << 30)
    raw[at : at + 36] = struct.pack(">9i", a * ONE, b * ONE, 0, c * ONE, d * ONE, 0, 0, 0, 1 << 30)
    out = path.with_name(f"turned{a}{b}{c}{d}.mp4")
    out.write_bytes(raw)
    return out


@pytest.mark.parametrize("matrix", ORIENTATIONS)
def test_the_display_matrix_is_applied(tmp_path: Path, matrix: tuple[int, int, int, int]) -> None:
    a, b, c, d = matrix
    path = oriented(write(tmp_path, Film("flat.mp4", frames=5, options=X264)), matrix)
    stored = decode(path).pixels
    height, width = stored.shape[2:]
    upright = (width, height) if b else (height, width)
    expected = np.zeros((5, 3, *upright), np.uint8)
    y, x = np.mgrid[0:height, 0:width]
    # x' = ax + cy, y' = bx + dy, moved so that the smallest is 0
    to_x, to_y = a * x + c * y, b * x + d * y
    expected[:, :, to_y - to_y.min(), to_x - to_x.min()] = stored
    video = open_video(path)
    assert (video.height, video.width) == upright
    got = FrameBatch.cat(list(video.frames()))
    assert np.array_equal(got.pixels, expected)
    small = next(video.frames(size=32)).pixels
    assert min(small.shape[2:]) == 32
    assert (small.shape[2] > small.shape[3]) == (upright[0] > upright[1])


@pytest.mark.parametrize(("space", "tag"), [("bt709", 1), ("smpte170m", 6), ("", 2)])
@pytest.mark.parametrize("height", [64, 720])
def test_colours_come_back(tmp_path: Path, space: str, tag: int, height: int) -> None:
    import av
    from av.video.frame import VideoFrame
    from av.video.reformatter import Colorspace

    path = tmp_path / "colour.mkv"
    colours = [(200, 30, 40), (20, 180, 60), (30, 60, 220), (128, 128, 128)]
    matrix = Colorspace.ITU709 if space == "bt709" or (not space and height >= 720) else Colorspace.ITU601
    with av.open(str(path), "w") as out:
        stream = out.add_stream("libx264", rate=25)
        stream.width, stream.height, stream.pix_fmt = 128, height, "yuv444p"  # type: ignore[attr-defined]
        stream.options = {"qp": "0", **({"colorspace": space} if space else {})}  # type: ignore[attr-defined]
        stream.codec_context.colorspace = tag  # type: ignore[attr-defined]
        for i, colour in enumerate(colours):
            flat = np.broadcast_to(np.array(colour, np.uint8), (height, 128, 3)).copy()
            frame = VideoFrame.from_ndarray(flat, format="rgb24").reformat(
                format="yuv444p", dst_colorspace=matrix
            )
            frame.colorspace = tag
            frame.pts, frame.time_base = i, Fraction(1, 25)
            out.mux(stream.encode(frame))  # type: ignore[attr-defined]
        out.mux(stream.encode())  # type: ignore[attr-defined]
    got = FrameBatch.cat(list(open_video(path).frames()))
    for pixels, colour in zip(got.pixels, colours, strict=True):
        assert np.abs(pixels.astype(int).mean((1, 2)) - np.array(colour)).max() < 3


def test_target_sizes() -> None:
    assert target_size(1920, 1080, None) == (1080, 1920)
    assert target_size(1920, 1080, 360) == (360, 640)
    assert target_size(1080, 1920, 360) == (640, 360)
    assert target_size(1000, 1, 1) == (1, 1000)
    assert target_size(10, 4000, (7, 9)) == (7, 9)
