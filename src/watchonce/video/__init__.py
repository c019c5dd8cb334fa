"""Files and drawn worlds in, frames with their own times out.

`open_video` and `merge_coverage` are loaded on first use, so that the drawn world does not pay for FFmpeg.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from watchonce.video.reader import FileVideo, open_video
    from watchonce.video.receipt import merge_coverage

__all__ = ["FileVideo", "merge_coverage", "open_video"]


def __getattr__(name: str) -> Any:
    if name in ("open_video", "FileVideo"):
        from watchonce.video import reader

        return getattr(reader, name)
    if name == "merge_coverage":
        from watchonce.video.receipt import merge_coverage

        return merge_coverage
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
