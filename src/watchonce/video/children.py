"""The asking side of decoding processes: has children forked, leases them, tells how they ended.

One child reads one file and is never given another, so a file that took hold of its decoder takes hold
of nothing else. A child that has answered is kept for the next question to the same file; the number of
idle ones is small and fixed. A child whose answer is not wanted to the end is killed. Knows no video.
"""

from __future__ import annotations

import os
import signal
import socket
import threading
import weakref
from collections import OrderedDict
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from watchonce import types
from watchonce.types import DecoderDied, WatchonceError
from watchonce.video import server
from watchonce.video.channel import Asking, Garbled, Head, Stalled, make_arena
from watchonce.video.forkserver import STATUS
from watchonce.video.limits import Limits

IDLE = 4  # children kept for their next question, all files together
_START = 60.0  # seconds the fork server may take to load FFmpeg
_LAST_WORDS = 5.0  # seconds to wait for the status of a child that has gone
_HEADROOM = 1 << 20  # bytes of an answer that are times, not pixels


class Child:
    """A decoding process for the file at `path`. Closing it, or losing it, ends the process."""

    def __init__(
        self, path: Path, limits: Limits, line: socket.socket, lifeline: socket.socket, arena: int
    ) -> None:
        self._path, self._line, self._lifeline = path, line, lifeline
        self._asking = Asking(line, arena, limits.bytes + _HEADROOM, limits.stall, limits.wall)
        lifeline.settimeout(_START)
        self.pid = self._number()
        if self.pid is None:
            raise ConnectionError("the fork server has gone")
        lifeline.settimeout(_LAST_WORDS)

    def ask(self, **words: Any) -> Iterator[tuple[Head, list[np.ndarray]]]:
        """Answers to a command; the last is `{"end": ...}`.

        Raises the child's own typed error, DecoderDied when it ended otherwise, RuntimeError for a bug.
        """
        try:
            self._asking.command(**words)
            while True:
                head, arrays = self._asking.hear()
                if "error" in head:
                    raise _typed(str(head["error"]))(str(head.get("text")))
                if "fault" in head:
                    raise RuntimeError(f"a fault in the decoding process:\n{head['fault']}")
                yield head, arrays
                if "end" in head:
                    return
        except Stalled as silence:
            self.close()
            raise DecoderDied(f"{self._path}: its decoder {silence} and was stopped; {_CURE}") from None
        except Garbled as nonsense:
            self.close()
            raise DecoderDied(f"{self._path}: its decoder gave {nonsense} and was stopped; {_CURE}") from None
        except (EOFError, OSError):
            raise DecoderDied(f"{self._path}: its decoder {self._fate()}; {_CURE}") from None

    def close(self) -> None:
        """Ends the process, whatever it is doing. The server reaps it."""
        self._line.close()
        self._lifeline.close()

    def _fate(self) -> str:
        """How the process ended, in words."""
        status = self._number()
        self.close()
        if status is None:
            return "went without a word"
        if os.WIFSIGNALED(status):
            number = os.WTERMSIG(status)
            name = signal.Signals(number).name
            if number == signal.SIGKILL:
                return f"was killed ({name}), as happens when the machine runs out of memory"
            return f"crashed ({name})"
        return f"stopped with exit status {os.WEXITSTATUS(status)}"

    def _number(self) -> int | None:
        """The next number on the lifeline; None when it is cut or silent."""
        try:
            said = self._lifeline.recv(STATUS.size)
        except OSError:
            return None
        return STATUS.unpack(said)[0] if len(said) == STATUS.size else None


_CURE = "re-encode the file, or cut the damaged part out"


def _typed(name: str) -> type[WatchonceError]:
    found = getattr(types, name, None)
    return found if isinstance(found, type) and issubclass(found, WatchonceError) else types.UnreadableVideo


_alive: weakref.WeakSet[Child] = weakref.WeakSet()
_lock = threading.RLock()  # the collector may drop a file while this very thread holds it
_idle: OrderedDict[tuple[int, int], Child] = OrderedDict()  # (file, turn) -> child, oldest first
_turn = 0


def fresh(path: Path, limits: Limits) -> Child:
    """A child for a file, which it has not opened yet; a server that was killed is replaced once."""
    for _ in range(2):
        try:
            child = _fork(path, limits)
        except ConnectionError:
            server.stop()
        else:
            _alive.add(child)
            return child
    raise DecoderDied(
        f"{path}: the process that decoders are forked from does not stay alive; is memory short?"
    )


def _fork(path: Path, limits: Limits) -> Child:
    line, its_line = socket.socketpair()
    lifeline, its_lifeline = socket.socketpair()
    arena = make_arena()
    try:
        with its_line, its_lifeline:
            server.prepare().fork(its_line.fileno(), arena, its_lifeline.fileno())
        return Child(path, limits, line, lifeline, arena)
    except OSError:
        line.close()
        lifeline.close()
        raise
    finally:
        os.close(arena)


def take(file: int) -> Child | None:
    """An idle child that has the file open, if there is one."""
    with _lock:
        for key in reversed(list(_idle)):
            if key[0] == file:
                return _idle.pop(key, None)
    return None


def keep(file: int, child: Child) -> None:
    """Keeps a child for the next question to its file; the oldest idle one goes."""
    global _turn
    with _lock:
        _turn += 1
        _idle[file, _turn] = child
        oldest = _idle.popitem(last=False)[1] if len(_idle) > IDLE else None
    if oldest is not None:
        oldest.close()


def drop(file: int) -> None:
    """Ends the idle children of a file that is no longer wanted."""
    while (child := take(file)) is not None:
        child.close()


def _forget() -> None:
    """In a forked copy of this process: the children are its parent's; the server is shared."""
    global _lock
    _lock = threading.RLock()
    _idle.clear()
    for child in list(_alive):
        child.close()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_forget)
