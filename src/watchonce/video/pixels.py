"""From a decoded frame to RGB bytes of a fixed size, upright: scaling, colour, rotation.

swscale does the work, once per kept frame, on one thread and with bit-exact arithmetic, so the same
frame gives the same bytes in every thread and on every run. Pixel aspect ratio is ignored: stored
pixels are delivered. This file knows nothing of time or files.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from typing import Any, cast

import numpy as np
from av.sidedata.sidedata import Type
from av.video.frame import VideoFrame
from av.video.reformatter import Colorspace, Interpolation, VideoReformatter

from watchonce.video.limits import Size

_UNSPECIFIED = 2  # AVCOL_SPC_UNSPECIFIED
_HD_LINES = 720  # untagged video is BT.709 from here up, BT.601 below: what players assume


# (a, b, c, d) of the display matrix for 0..3 anticlockwise quarter turns; a mirror negates a and c
_QUARTERS = ((1, 0, 0, 1), (0, -1, 1, 0), (-1, 0, 0, -1), (0, 1, -1, 0))


@dataclass(frozen=True, slots=True)
class Turn:
    """How stored pixels are put upright: `quarters` anticlockwise quarter turns, then a mirror."""

    quarters: int = 0
    mirror: bool = False

    @property
    def sideways(self) -> bool:
        """True when width and height change places."""
        return self.quarters % 2 == 1

    def apply(self, pixels: np.ndarray) -> np.ndarray:
        """Turns `[..., H, W]`."""
        turned = np.rot90(pixels, self.quarters, axes=(-2, -1)) if self.quarters else pixels
        return turned[..., ::-1] if self.mirror else turned


def read_turn(frame: VideoFrame) -> Turn:
    """The turn asked for by the frame's display matrix; none when there is no matrix."""
    try:
        raw = bytes(cast(Any, frame.side_data)[Type.DISPLAYMATRIX])
    except KeyError:
        return Turn()
    a, b, _, c, d, *_ = struct.unpack("<9i", raw[:36])  # x' = ax + cy, y' = bx + dy, y down
    scores = {
        turn: a * p + b * q + c * r + d * s
        for k, (p, q, r, s) in enumerate(_QUARTERS)
        for turn, p, r in ((Turn(k, False), p, r), (Turn(k, True), -p, -r))
    }
    return max(scores, key=lambda turn: scores[turn])


def target_size(width: int, height: int, size: Size) -> tuple[int, int]:
    """(height, width) of delivered frames, for upright frames of `width` x `height`.

    An int is the shortest side; the aspect is kept. A pair is (height, width), taken as it is.
    """
    if size is None:
        return height, width
    if isinstance(size, int):
        short = min(width, height)
        return max(1, round(height * size / short)), max(1, round(width * size / short))
    return int(size[0]), int(size[1])


class Painter:
    """Writes frames as uint8 RGB planes of one size. One per thread: it holds scaler state.

    height, width: of delivered (upright) frames.
    """

    def __init__(self, height: int, width: int, turn: Turn) -> None:
        self.height, self.width, self.turn = height, width, turn
        self._scaler = VideoReformatter()

    def paint(self, frame: VideoFrame, out: np.ndarray) -> None:
        """Fills `out` `[3, height, width]` with the frame."""
        height, width = (self.width, self.height) if self.turn.sideways else (self.height, self.width)
        unknown = frame.colorspace == _UNSPECIFIED and not frame.format.is_rgb
        space = (Colorspace.ITU709 if frame.height >= _HD_LINES else Colorspace.ITU601) if unknown else None
        planar = self._scaler.reformat(
            frame,
            width=width,
            height=height,
            format="gbrp",
            src_colorspace=space,
            interpolation=Interpolation.BILINEAR | Interpolation.ACCURATE_RND | Interpolation.BITEXACT,
            threads=1,
        )
        for channel, plane in zip((1, 2, 0), planar.planes, strict=True):
            rows = np.frombuffer(memoryview(plane), np.uint8).reshape(-1, plane.line_size)[:height, :width]
            out[channel] = self.turn.apply(rows)
