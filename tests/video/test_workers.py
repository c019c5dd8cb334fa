"""Ordered hand-over: order, bounded look-ahead, errors, and a consumer who leaves."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator

import pytest

from watchonce.video.workers import Job, OrderedWorkers


def workers(
    jobs: Iterator[int], count: int, made: list[int], fail_at: int | None = None
) -> OrderedWorkers[tuple[int, int]]:
    def make() -> Callable[[Job[tuple[int, int]]], bool]:
        def work(job: Job[tuple[int, int]]) -> bool:
            job.acquire()
            number = next(jobs, None)
            job.release()
            if number is None:
                return False
            time.sleep(0.002 * (number % 3))
            for part in range(number % 4):
                if number == fail_at:
                    raise ValueError(f"job {number}")
                made.append(number)
                job.put((number, part))
            return True

        return work

    return OrderedWorkers(make, count)


@pytest.mark.parametrize("count", [1, 2, 5])
def test_results_come_in_the_order_of_the_jobs(count: int) -> None:
    got = list(workers(iter(range(40)), count, []))
    assert got == [(n, p) for n in range(40) for p in range(n % 4)]


def test_workers_wait_for_a_slow_consumer() -> None:
    made: list[int] = []
    stream = iter(workers(iter(range(1, 10**6, 4)), 3, made))  # one result a job
    for _ in range(5):
        next(stream)
    time.sleep(0.2)
    assert len(made) <= 5 + 2 * 3 * 2  # look-ahead of 2 jobs a worker, 2 results a job
    stream.close()  # type: ignore[attr-defined]


def test_an_error_reaches_the_consumer_and_ends_the_threads() -> None:
    before = threading.active_count()
    with pytest.raises(ValueError, match="job 7"):
        list(workers(iter(range(40)), 3, [], fail_at=7))
    assert threading.active_count() == before


def test_a_consumer_may_leave() -> None:
    before = threading.active_count()
    for taken in range(6):
        stream = iter(workers(iter(range(1000)), 4, []))
        for _ in range(taken):
            next(stream)
        stream.close()  # type: ignore[attr-defined]
    assert threading.active_count() == before
