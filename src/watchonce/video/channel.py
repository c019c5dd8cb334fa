"""How the decoding process and the one that asks speak: JSON heads, and arrays through shared memory.

An answer is a head and any number of arrays. Heads go over a socket; arrays pass through a small ring
of shared slots, chunk by chunk, so that memory does not depend on their size and nothing is unpickled.
The asking side owns the ring, copies out of it before it uses anything, checks every size against what
it is willing to hold, and looks at the pulse while it waits. Knows nothing of video.
"""

from __future__ import annotations

import json
import math
import mmap
import os
import socket
import struct
import tempfile
import time
from collections.abc import Sequence
from typing import Any

import numpy as np

SLOT, SLOTS = 1 << 20, 4  # a few megabytes stay in the cache, which makes both copies cheap
_PAGE = 4096  # holds the pulse
ARENA = _PAGE + SLOT * SLOTS
MAX_HEAD = 64 << 20
TICK = 0.5  # seconds between two looks at the pulse
_FRAME = struct.Struct("<IQ")  # bytes of the head, bytes of all arrays
_COMMAND = struct.Struct("<I")
_CHUNK = struct.Struct("<I")
_TAKEN = b"."
_DTYPES = {"u1": np.dtype(np.uint8), "f8": np.dtype(np.float64)}

Head = dict[str, Any]


class Garbled(Exception):
    """The other side said something that cannot be understood, or more than it may."""


class Stalled(Exception):
    """The other side is silent; the text says for how long, and which limit that is beyond."""


def make_arena() -> int:
    """A descriptor of shared memory that nobody can shrink, so that reading it never faults."""
    if hasattr(os, "memfd_create"):
        import fcntl

        arena = os.memfd_create("watchonce", os.MFD_CLOEXEC | os.MFD_ALLOW_SEALING)
        os.ftruncate(arena, ARENA)
        fcntl.fcntl(arena, fcntl.F_ADD_SEALS, fcntl.F_SEAL_SHRINK | fcntl.F_SEAL_GROW | fcntl.F_SEAL_SEAL)
        return arena
    with tempfile.TemporaryFile() as file:  # macOS: a file without a name
        file.truncate(ARENA)
        return os.dup(file.fileno())


def _slots(shared: mmap.mmap) -> list[np.ndarray]:
    return list(np.frombuffer(shared, np.uint8, offset=_PAGE).reshape(SLOTS, SLOT))


class Answering:
    """The decoding side: hears commands, sends answers."""

    def __init__(self, line: socket.socket, arena: int) -> None:
        self._line = line
        shared = mmap.mmap(arena, ARENA)
        os.close(arena)
        self.pulse = memoryview(shared)[:8].cast("Q")
        self._slots = _slots(shared)
        self._next, self._free = 0, SLOTS

    def hear(self) -> Head | None:
        """The next command; None when the other side has gone."""
        try:
            while self._free < SLOTS:
                self._await_slot()
            (length,) = _COMMAND.unpack(_exactly(self._line, _COMMAND.size))
            return json.loads(_exactly(self._line, length))
        except (EOFError, ConnectionError):
            return None

    def say(self, head: Head, arrays: Sequence[np.ndarray] = ()) -> None:
        """Sends an answer; waits while the ring is full. BrokenPipeError when nobody listens any more."""
        shapes = [(array.dtype.str[1:], list(array.shape)) for array in arrays]
        text = json.dumps({"head": head, "arrays": shapes}).encode()
        size = sum(array.nbytes for array in arrays)
        self._line.sendall(_FRAME.pack(len(text), size) + text)
        for array in arrays:
            if array.nbytes:
                self._pour(np.ascontiguousarray(array).reshape(-1).view(np.uint8))

    def _pour(self, flat: np.ndarray) -> None:
        for at in range(0, len(flat), SLOT):
            part = flat[at : at + SLOT]
            if self._free == 0:
                self._await_slot()
            self._slots[self._next][: len(part)] = part
            self._line.sendall(_CHUNK.pack(len(part)))
            self._next, self._free = (self._next + 1) % SLOTS, self._free - 1

    def _await_slot(self) -> None:
        taken = self._line.recv(SLOTS - self._free)
        if not taken:
            raise BrokenPipeError
        self._free += len(taken)


class Asking:
    """The other side. stall, wall: seconds without a beat, and of waiting for one command in all."""

    def __init__(self, line: socket.socket, arena: int, most: int, stall: float, wall: float) -> None:
        self._line, self._most, self._stall, self._wall = line, most, stall, wall
        shared = mmap.mmap(arena, ARENA)
        self._pulse = memoryview(shared)[:8].cast("Q")
        self._slots = _slots(shared)
        self._next = 0
        self._waited = 0.0
        line.settimeout(TICK)

    def command(self, **words: Any) -> None:
        """Sends a command; answers are then heard one by one."""
        self._waited = 0.0
        text = json.dumps(words).encode()
        self._line.settimeout(self._stall)
        try:
            self._line.sendall(_COMMAND.pack(len(text)) + text)
        except TimeoutError:
            raise Stalled(f"took no command for {self._stall:g} s") from None
        finally:
            self._line.settimeout(TICK)

    def hear(self) -> tuple[Head, list[np.ndarray]]:
        """The next answer. Raises EOFError when the other side has gone, Stalled, Garbled."""
        length, size = _FRAME.unpack(self._read(_FRAME.size))
        if length > MAX_HEAD or size > self._most:
            raise Garbled(f"an answer of {length} + {size} bytes")
        text = self._read(length)
        try:
            said = json.loads(text)
            head, shapes = said["head"], said["arrays"]
            arrays = [self._blank(kind, shape) for kind, shape in shapes]
        except (ValueError, KeyError, TypeError, RecursionError) as error:
            raise Garbled(f"an answer that is no answer ({type(error).__name__})") from None
        if sum(array.nbytes for array in arrays) != size or not isinstance(head, dict):
            raise Garbled("arrays that are not as long as they were said to be")
        for array in arrays:
            self._drink(array.reshape(-1).view(np.uint8))
        return head, arrays

    def _blank(self, kind: str, shape: list[int]) -> np.ndarray:
        dtype = _DTYPES[kind]
        if not all(type(n) is int and n >= 0 for n in shape) or len(shape) > 4:
            raise ValueError(shape)
        if math.prod(shape) * dtype.itemsize > self._most:
            raise ValueError(shape)
        return np.empty(shape, dtype)

    def _drink(self, flat: np.ndarray) -> None:
        at = 0
        while at < len(flat):
            (length,) = _CHUNK.unpack(self._read(_CHUNK.size))
            if not 0 < length <= min(SLOT, len(flat) - at):
                raise Garbled(f"a chunk of {length} bytes")
            flat[at : at + length] = self._slots[self._next][:length]
            at, self._next = at + length, (self._next + 1) % SLOTS
            try:
                self._line.send(_TAKEN)
            except ConnectionError:
                raise EOFError from None

    def _read(self, count: int) -> bytes:
        """Exactly `count` bytes, with an eye on the pulse."""
        parts: list[bytes] = []
        seen = self._pulse[0]
        since = began = time.monotonic()
        while count:
            try:
                part = self._line.recv(min(count, 1 << 20))
            except TimeoutError:
                now = time.monotonic()
                if self._pulse[0] != seen:
                    seen, since = self._pulse[0], now
                if now - since > self._stall:
                    raise Stalled(f"made no progress for {self._stall:g} s (limit stall)") from None
                self._check_wall(now - began)
                continue
            except ConnectionError:
                raise EOFError from None
            if not part:
                raise EOFError
            parts.append(part)
            count -= len(part)
        self._waited += time.monotonic() - began
        self._check_wall(0.0)
        return b"".join(parts)

    def _check_wall(self, more: float) -> None:
        if self._waited + more > self._wall:
            raise Stalled(f"took more than {self._wall:g} s (limit wall)")


def _exactly(line: socket.socket, count: int) -> bytes:
    parts: list[bytes] = []
    while count:
        part = line.recv(min(count, 1 << 20))
        if not part:
            raise EOFError
        parts.append(part)
        count -= len(part)
    return b"".join(parts)
