"""The process that decoding processes are forked from: it loads FFmpeg once and never opens a file.

It has one thread, so forking it is safe, and each file gets a child that knows nothing of the files
before. For every child it holds one end of a lifeline: where that closes the child is killed, however
deep in FFmpeg it hangs, and when the child ends its wait status is written there. When its own starter
goes, by exit or by kill -9, it kills what is left and ends. Knows nothing of what children do.
"""

from __future__ import annotations

import gc
import os
import selectors
import signal
import socket
import struct
import sys
from collections.abc import Callable
from contextlib import suppress

STATUS = struct.Struct("<i")  # on the lifeline: first the pid, then the wait status
FORK = b"f"


def serve(control: socket.socket, child: Callable[[socket.socket, int], None]) -> None:
    """Forks a child for every request: a byte with its socket, its arena and its lifeline attached."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the starter, whose end is ours
    wake, woken = socket.socketpair()
    for end in (wake, woken):
        end.setblocking(False)
    signal.set_wakeup_fd(woken.fileno(), warn_on_full_buffer=False)
    signal.signal(signal.SIGCHLD, lambda number, frame: None)
    gc.freeze()  # what is loaded by now stays shared with the children
    watch = selectors.DefaultSelector()
    watch.register(control, selectors.EVENT_READ)
    watch.register(wake, selectors.EVENT_READ)
    lines: dict[int, socket.socket] = {}  # pid -> lifeline
    while True:
        for key, _ in watch.select():
            if key.fileobj is control:
                fds = _request(control)
                if fds is None:
                    _end_all(lines)
                    return
                line, lifeline = socket.socket(fileno=fds[0]), socket.socket(fileno=fds[2])
                pid = os.fork()
                if pid == 0:
                    _become(child, line, fds[1], [control, wake, woken, lifeline, *lines.values()], watch)
                line.close()
                os.close(fds[1])
                lines[pid] = lifeline
                watch.register(lifeline, selectors.EVENT_READ, pid)
                _tell(lifeline, pid)
            elif key.fileobj is wake:
                wake.recv(4096)
                _reap(watch, lines)
            elif key.data in lines:
                watch.unregister(key.fileobj)
                os.kill(key.data, signal.SIGKILL)  # not reaped yet, or it would not be in `lines`


def _request(control: socket.socket) -> list[int] | None:
    try:
        said, fds, _, _ = socket.recv_fds(control, 1, 3)
    except ConnectionError:
        return None
    return fds if said == FORK and len(fds) == 3 else None


def _become(
    child: Callable[[socket.socket, int], None],
    line: socket.socket,
    arena: int,
    others: list[socket.socket],
    watch: selectors.BaseSelector,
) -> None:
    """Turns a forked copy into a child, which keeps nothing of the server's; never returns."""
    status = 70  # EX_SOFTWARE, unless the child ends by itself
    try:
        signal.set_wakeup_fd(-1)
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)
        watch.close()
        for other in others:
            other.close()
        child(line, arena)
        status = 0
    finally:
        os._exit(status)


def _reap(watch: selectors.BaseSelector, lines: dict[int, socket.socket]) -> None:
    while lines:
        pid, status = os.waitpid(-1, os.WNOHANG)
        if pid == 0:
            return
        lifeline = lines.pop(pid)
        if lifeline in watch.get_map():
            watch.unregister(lifeline)
        _tell(lifeline, status)
        lifeline.close()


def _tell(lifeline: socket.socket, number: int) -> None:
    with suppress(ConnectionError):  # perhaps nobody wants to know any more
        lifeline.sendall(STATUS.pack(number))


def _end_all(lines: dict[int, socket.socket]) -> None:
    for pid in lines:
        os.kill(pid, signal.SIGKILL)
    for pid in lines:
        os.waitpid(pid, 0)


def main() -> None:
    """Serves the socket whose number is the only argument."""
    from watchonce.video.child import answer_all

    serve(socket.socket(fileno=int(sys.argv[1])), answer_all)
