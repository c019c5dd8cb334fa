"""How much of this machine one video file may take, and the words for what goes beyond.

Every limit has a default that no honest film meets; `open_video(path, limits=...)` and
`watchonce watch --limit stall=600` raise them. This file knows neither FFmpeg nor pixels, so that a
process which only talks to a decoder need not load one.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any

from watchonce.types import BadInput, UnreadableVideo

Size = int | tuple[int, int] | None


@dataclass(frozen=True, slots=True)
class Limits:
    """Hard caps on one file. All but `stall` and `wall` are checked before anything is allocated.

    side, pixels: of one frame as stored. bytes: pixels held for one window or one call of `frames_at`.
    frames: pictures met in one reading. memory: address space of the decoding process, bytes.
    stall: seconds without a single packet read or picture decoded. wall: seconds one reading may be
    waited for.
    """

    side: int = 16384
    pixels: int = 1 << 26  # 67 megapixels: twice an 8K frame
    bytes: int = 4 << 30
    frames: int = 1 << 24  # six days at 30 a second
    memory: int = 12 << 30
    stall: float = 60.0
    wall: float = 86400.0

    def __post_init__(self) -> None:
        for item in fields(self):
            value = getattr(self, item.name)
            if not 0 < value < 2**62:
                raise BadInput(f"limit {item.name} must be above 0 and below 2^62, got {value}")

    @classmethod
    def parse(cls, items: Sequence[str]) -> Limits:
        """The defaults, with `name=number` words applied: whole numbers, or seconds for stall and wall."""
        kinds = {item.name: type(item.default) for item in fields(cls)}
        given: dict[str, Any] = {}
        for item in items:
            name, _, value = item.partition("=")
            if name not in kinds:
                raise BadInput(f"limit {item!r} is not name=number; known: {', '.join(kinds)}")
            try:
                given[name] = kinds[name](value)
            except ValueError:
                raise BadInput(f"limit {name} must be a number, got {value!r}") from None
        return cls(**given)

    def as_dict(self) -> dict[str, Any]:
        """Plain values by name."""
        return asdict(self)

    def check_frame(self, path: Path, width: int, height: int) -> None:
        """Refuses a declared picture size above the limits, before anything of that size is allocated."""
        if width > self.side or height > self.side or width * height > self.pixels:
            raise UnreadableVideo(
                f"{path} declares frames of {width}x{height}; at most {self.side} a side and"
                f" {self.pixels >> 20} megapixels are read, scale it down first or raise the limits"
            )

    def check_bytes(self, need: int, cure: str) -> None:
        """Refuses a request for more pixels at once than may be held."""
        if need > self.bytes:
            raise BadInput(f"{need >> 20} MB of pixels in one {cure} (at most {self.bytes >> 20} MB)")

    def check_count(self, path: Path, met: int) -> None:
        """Refuses a file that goes on and on."""
        if met > self.frames:
            raise UnreadableVideo(
                f"{path} holds more than {self.frames} pictures; cut it, or raise the limit frames"
            )


DEFAULT = Limits()


def check_size_request(size: object, side: int = DEFAULT.side) -> None:
    """Refuses a frame size that is not None, a shortest side, or (height, width)."""
    sides = (size,) if isinstance(size, int) else size
    if sides is None:
        return
    if not isinstance(sides, tuple | list) or len(sides) not in (1, 2) or isinstance(size, bool):
        raise BadInput(f"size must be a shortest side, (height, width) or None, got {size!r}")
    for each in sides:
        if not isinstance(each, int) or not 1 <= each <= side:
            raise BadInput(f"size must be whole numbers from 1 to {side}, got {size!r}")
