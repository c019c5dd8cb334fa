"""What the command line writes: JSON or words on stdout, progress and faults on stderr."""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from watchonce.clock import clock


def fail(message: str, kind: str, code: int, as_json: bool) -> int:
    """Says what went wrong in one line (and as an object on stdout with --json); returns the exit code."""
    line = " ".join(message.split())
    say(f"watchonce: {line}")
    if as_json:
        show({"error": line, "kind": kind, "exit_code": code})
    return code


def say(line: str) -> None:
    """One line on stderr."""
    sys.stderr.write(line + "\n")
    sys.stderr.flush()


def show(value: Any) -> None:
    """One JSON value on one line of stdout."""
    sys.stdout.write(json.dumps(value, ensure_ascii=False) + "\n")
    sys.stdout.flush()


def write(text: str) -> None:
    """Words on stdout."""
    sys.stdout.write(text + "\n")
    sys.stdout.flush()


def time_range(start: float, end: float) -> str:
    """`HH:MM:SS.mmm - HH:MM:SS.mmm` for people."""
    return f"{clock(start)} - {clock(end)}"


Report = Callable[[str, float, float, float], None]


@contextmanager
def progress_bar(title: str) -> Iterator[Report]:
    """Gives `report(stage, done, total, speed)`: a bar on a terminal, a line every ten seconds elsewhere."""
    if sys.stderr.isatty():
        with _bar(title) as bar:
            yield bar
        return
    last = time.monotonic()

    def line(stage: str, done: float, total: float, speed: float) -> None:
        nonlocal last
        if time.monotonic() - last >= 10:
            last = time.monotonic()
            if speed > 0:
                pace = f"{speed:.1f} x real time, {(total - done) / speed:.0f} s left"
                say(f"{title}: {stage} {clock(done)} of {clock(total)}, {pace}")
            else:  # no speed is known where what is counted is not video
                say(f"{title}: {stage} {done / max(total, 1e-9):.0%}")

    yield line


@contextmanager
def _bar(title: str) -> Iterator[Report]:
    from rich.console import Console
    from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

    columns = (
        TextColumn("{task.fields[title]}"),
        TextColumn("[bold]{task.fields[stage]}"),
        BarColumn(),
        TextColumn("{task.percentage:3.0f} %"),
        TextColumn("{task.fields[speed]}"),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task("", title=title, stage="open", speed="", total=None)

        def report(stage: str, done: float, total: float, speed: float) -> None:
            words = f"{speed:.1f} x real time" if speed > 0 else ""
            bar.update(task, completed=done, total=total, stage=stage, speed=words)

        yield report
