"""Runs jobs on threads and hands their results over in the order of the jobs, a few at a time.

A worker that runs ahead waits once its results fill a small queue, so memory does not depend on how
many jobs there are. Knows nothing of video.
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Generic, TypeVar

R = TypeVar("R")


class _StoppedError(Exception):
    """Raised inside a worker when the consumer has gone."""


@dataclass(slots=True, eq=False)
class _Slot(Generic[R]):
    items: deque[R] = field(default_factory=deque)
    done: bool = False


class OrderedWorkers(Generic[R]):
    """`count` threads; each repeats `work(job)` until it returns False.

    make: called once in every thread, gives `work`. work(job) calls `job.acquire()`, draws its input while
    no other worker can, calls `job.release()`, and then puts results. depth: results a job may have waiting.
    """

    def __init__(self, make: Callable[[], Callable[[Job[R]], bool]], count: int, depth: int = 2) -> None:
        self._make, self._depth = make, depth
        self._state = threading.Condition()
        self._source = threading.Lock()
        self._slots: deque[_Slot[R]] = deque()
        self._ahead = 2 * count
        self._stop = False
        self._error: BaseException | None = None
        self._running = count
        self._threads = [threading.Thread(target=self._run, daemon=True) for _ in range(count)]

    def __iter__(self) -> Iterator[R]:
        for thread in self._threads:
            thread.start()
        try:
            while (item := self._next()) is not None:
                yield item[0]
        finally:
            with self._state:
                self._stop = True
                self._state.notify_all()
            for thread in self._threads:
                thread.join()

    def _next(self) -> tuple[R] | None:
        with self._state:
            while True:
                if self._error is not None:
                    raise self._error
                if self._slots:
                    slot = self._slots[0]
                    if slot.items:
                        item = slot.items.popleft()
                        self._state.notify_all()
                        return (item,)
                    if slot.done:
                        self._slots.popleft()
                        self._state.notify_all()
                        continue
                elif self._running == 0:
                    return None
                self._state.wait()

    def _run(self) -> None:
        try:
            work = self._make()
            while True:
                job = Job(self)
                try:
                    if not work(job):
                        return
                finally:
                    job.close()
        except _StoppedError:
            return
        except BaseException as error:  # noqa: BLE001  the consumer raises it
            with self._state:
                self._error = self._error or error
        finally:
            with self._state:
                self._running -= 1
                self._state.notify_all()


class Job(Generic[R]):
    """One worker's turn: the right to draw a job, then a slot to put its results in."""

    def __init__(self, workers: OrderedWorkers[R]) -> None:
        self._workers = workers
        self._slot: _Slot[R] = _Slot()
        self._holding = False

    def acquire(self) -> None:
        """Waits for this worker's turn to draw, and opens its place in the order."""
        owner = self._workers
        with owner._state:
            owner._state.wait_for(lambda: owner._stop or len(owner._slots) < owner._ahead)
            if owner._stop:
                raise _StoppedError
        owner._source.acquire()
        self._holding = True
        with owner._state:
            if owner._stop:
                raise _StoppedError
            owner._slots.append(self._slot)

    def release(self) -> None:
        """Lets the next worker draw."""
        if self._holding:
            self._holding = False
            self._workers._source.release()

    def put(self, item: R) -> None:
        """Hands a result over; waits while the job has `depth` of them unread."""
        owner = self._workers
        with owner._state:
            owner._state.wait_for(lambda: owner._stop or len(self._slot.items) < owner._depth)
            if owner._stop:
                raise _StoppedError
            self._slot.items.append(item)
            owner._state.notify_all()

    def close(self) -> None:
        """Marks the job finished."""
        self.release()
        with self._workers._state:
            self._slot.done = True
            self._workers._state.notify_all()
