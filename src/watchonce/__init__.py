"""watchonce: watch a long video once, into a small memory; ask it any number of questions.

    import watchonce
    memory = watchonce.watch("talk.mp4", model="HuggingFaceTB/SmolVLM2-500M-Video-Instruct")
    answer = memory.ask("When is the second slide shown?")
    print(answer.text, answer.evidence)

Names are loaded when they are first used, so that `watchonce --help` does not wait for torch.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from watchonce.memory import Memory, find, watch
    from watchonce.types import Answer, Note, Query, Span
    from watchonce.video import open_video

__version__ = "0.1.0"
__all__ = ["Answer", "Memory", "Note", "Query", "Span", "ask", "find", "open_video", "watch"]

_HOMES = {
    "Answer": "types",
    "Memory": "memory",
    "Note": "types",
    "Query": "types",
    "Span": "types",
    "find": "memory",
    "open_video": "video",
    "watch": "memory",
}


def ask(memory: str, question: str, **options: Any) -> Answer:
    """Opens a memory by folder or name and asks it one question; `options` as for `Memory.ask`."""
    from watchonce.memory import Memory

    return Memory.open(memory).ask(question, **options)


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'watchonce' has no attribute {name!r}")
    return getattr(import_module(f"watchonce.{_HOMES[name]}"), name)
