"""Files and drawn worlds in, frames with their own times out.

Names are loaded on first use, so that the drawn world does not pay for what reads files.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from watchonce.video.file import FileVideo, open_video
    from watchonce.video.limits import Limits
    from watchonce.video.receipt import merge_coverage
    from watchonce.video.server import prepare

__all__ = ["FileVideo", "Limits", "merge_coverage", "open_video", "prepare"]

_HOMES = {
    "FileVideo": "file",
    "Limits": "limits",
    "merge_coverage": "receipt",
    "open_video": "file",
    "prepare": "server",
}


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"watchonce.video.{_HOMES[name]}"), name)
