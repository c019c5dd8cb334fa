"""Starts the fork server, hands requests to it, and ends it. Loads nothing that takes time.

So a program can start it first of all (`prepare`), and FFmpeg is loaded beside what the program loads
itself. Knows nothing of what children do, nor how they are spoken to.
"""

from __future__ import annotations

import atexit
import os
import socket
import subprocess
import sys
import threading
from contextlib import suppress

from watchonce.video.forkserver import FORK

PROGRAM = "from watchonce.video.forkserver import main; main()"
_PARTING = 1.0  # seconds to wait for the fork server at the end


class ForkServer:
    """A process that forks children. It is started at once and answers when FFmpeg is loaded.

    Forked copies of this process share it: a request is one message, and its answer has a line of its own.
    """

    def __init__(self, program: str) -> None:
        self._owner = os.getpid()
        self._control, theirs = socket.socketpair()
        with theirs:
            path = os.pathsep.join(place for place in sys.path if place)  # never the current folder
            self.process = subprocess.Popen(
                [sys.executable, "-P", "-c", program, str(theirs.fileno())],
                pass_fds=[theirs.fileno()],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                env={**os.environ, "PYTHONPATH": path, "OPENBLAS_NUM_THREADS": "1"},
            )

    def fork(self, line: int, arena: int, lifeline: int) -> None:
        """Asks for a child that gets these three descriptors. ConnectionError when the server has gone."""
        socket.send_fds(self._control, [FORK], [line, arena, lifeline])

    def alive(self) -> bool:
        """False once it is known to have ended; a forked copy of its starter finds out by asking it."""
        return self._owner != os.getpid() or self.process.poll() is None

    def close(self) -> None:
        """Lets go of the server, which ends, with its children, when nobody holds on to it any more."""
        self._control.close()
        if self._owner == os.getpid():
            with suppress(subprocess.TimeoutExpired):  # a forked copy of this process may still need it
                self.process.wait(_PARTING)


_lock = threading.Lock()
_running: ForkServer | None = None


def prepare() -> ForkServer:
    """Starts the fork server, if none runs, and does not wait for it."""
    global _running
    with _lock:
        if _running is None or not _running.alive():
            _running = ForkServer(PROGRAM)
        return _running


@atexit.register
def stop() -> None:
    """Ends the fork server and all children; the next file starts anew."""
    global _running
    with _lock:
        server, _running = _running, None
    if server is not None:
        server.close()


def _unlock() -> None:
    """In a forked copy of this process, where nobody is left to give the lock back."""
    global _lock
    _lock = threading.Lock()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_unlock)
