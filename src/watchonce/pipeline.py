"""The walk of a video: scan, select, decode, encode, compress, write; and of a question: read, answer.

The only file that knows the order. It knows no codec, no model family and no method by name.
"""

from __future__ import annotations

import io
import os
import queue
import threading
import time
from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from watchonce import __version__, discovery, disk, library, signals
from watchonce.contracts import VLM, Answerer, Bodies, Desk, Memory, MemoryState, Part, Vision
from watchonce.journal import Journal, clear
from watchonce.library import Catalogue
from watchonce.recipe import Parts, Recipe
from watchonce.types import (
    Answer,
    BadInput,
    Coverage,
    FrameBatch,
    Gap,
    Plan,
    Query,
    Recall,
    Scan,
    Span,
    Tokens,
    Video,
)
from watchonce.video import merge_coverage

WINDOW = 64.0  # seconds decoded, encoded and written together
SMALL = 160  # shortest side, in pixels, of frames no model will see
THUMB_EVERY = 10.0  # seconds
THUMB_WIDTH = 160  # pixels


@dataclass(frozen=True, slots=True)
class Progress:
    """Where a watch stands: `done` of `total` seconds of video, at `speed` times real time."""

    stage: str
    done: float
    total: float
    speed: float


Report = Callable[[Progress], None]


def _silent(progress: Progress) -> None:
    del progress


# -- watching


def watch(
    video: Video,
    out: Path,
    plan: Recipe,
    bodies: Bodies,
    *,
    force: bool = False,
    report: Report = _silent,
    catalogue: Catalogue | None = None,
) -> Path:
    """Watches a video into the memory folder `out`; an interrupted watch of the same job goes on.

    Returns `out`. A finished memory of the same source, recipe and models is left as it is; any other
    file there raises BadInput unless `force`, and so does another watch at work on `out`. CannotWrite when
    the disk refuses: what was at `out` stays, and so does the last checkpoint.
    """
    job = _job(video, plan, bodies)
    shelf = catalogue or Catalogue()
    with disk.writing(out):
        out.parent.mkdir(parents=True, exist_ok=True)
    disk.settle(out)
    if not force and _there(out, job):
        clear(out)  # what a kill between publishing and tidying left
    else:
        shelf.begin(out, video.fingerprint)
        with Journal(out, job) as journal:
            if force or not _there(out, job):  # another watch may have ended since
                state, coverage = _Walk(video, plan, bodies, journal, report).run()
                manifest = _manifest(video, plan, bodies, job, coverage)
                library.publish(journal.final(), out, manifest, state, replace=force)
            journal.close()
    shelf.add(out, library.read_manifest(out))
    return out


def _there(out: Path, job: Mapping[str, Any]) -> bool:
    """Whether the memory of this job is there, whole; BadInput where something else is."""
    if not os.path.lexists(out):
        return False
    if out.is_dir() and not library.verify(out) and library.load(out).manifest["job"] == job:
        return True
    raise BadInput(f"{out} exists and is another memory; choose another -o, or --force to replace it")


class _Walk:
    """One pass over one video, from the last checkpoint to the end."""

    def __init__(self, video: Video, plan: Recipe, bodies: Bodies, journal: Journal, report: Report) -> None:
        self.video, self.bodies, self.journal, self.report = video, bodies, journal, report
        self.budget = plan.budget
        self.parts: Parts = plan.parts(bodies)
        self.seer = _seer(self.parts.memory, bodies)
        self.size = self.seer.size if self.seer is not None else SMALL
        self.coverage: Coverage | None = None  # of the windows written by this run and those before it
        self.thumbs = 0  # the next thumbnail's number
        self.began = time.monotonic()

    def run(self) -> tuple[MemoryState, Coverage]:
        """The finished memory's state, and the receipt of the whole reading."""
        memory, first, whole = self.parts.memory, 0, False
        memory.desk = Desk(self.video, self.journal.desk(), self._tell)
        if (found := self.journal.resume()) is not None:
            first, extra, state = found
            memory.restore(state)
            self.coverage, self.thumbs = _as_coverage(extra["coverage"]), extra["thumbs"]
            whole = extra["whole"]
        else:
            memory.add_notes(self.video.notes())
        if not whole:
            self._write_all(first)
        self._tell("finish", self.video.duration, self.video.duration)
        receipt = self.coverage or self.video.coverage
        memory.desk = replace(memory.desk, coverage=receipt)
        memory.finish(self.budget)
        return memory.state(), receipt

    def _write_all(self, first: int) -> None:
        """Every window from `first` to the end, with a checkpoint now and then and one at the end."""
        total = max(self.video.duration, 1e-9)
        skipped, before, number = first * WINDOW, self.coverage, first
        for number, (span, frames, receipt) in enumerate(_ahead(self._windows(first)), first):
            self._write(frames)
            self.coverage = receipt if before is None else merge_coverage(before, receipt)
            if self.journal.due():
                self._checkpoint(number + 1)
            speed = (span.end - skipped) / max(1e-9, time.monotonic() - self.began)
            self.report(Progress("watch", min(span.end, total), total, speed))
        self._checkpoint(number + 1, whole=True)  # a memory may take minutes to finish

    def _tell(self, stage: str, done: float, total: float) -> None:
        self.report(Progress(stage, done, max(total, 1e-9), 0.0))

    def _checkpoint(self, following: int, *, whole: bool = False) -> None:
        coverage = asdict(self.coverage or self.video.coverage)
        extra = {"coverage": coverage, "thumbs": self.thumbs, "whole": whole}
        self.journal.save(following, extra, self.parts.memory.state())

    def _windows(self, first: int) -> Iterator[tuple[Span, FrameBatch, Coverage]]:
        """Every window from `first`: its span, the wanted frames, the receipt of this run so far."""
        scan = self._scan()
        select = self.parts.select
        plan = Plan(scan.start) if select.waits else select.select(scan, None, self.budget)
        whole = len(plan) == len(scan)
        size = plan.size or self.size
        if whole:
            for span, frames in self.video.windows(WINDOW, self.budget.fps, start=first * WINDOW, size=size):
                yield span, frames, self.video.coverage
            return
        receipt: Coverage | None = None
        for number in range(first, max(1, int(np.ceil(self.video.duration / WINDOW)))):
            span = Span(number * WINDOW, (number + 1) * WINDOW)
            times = plan.times[(plan.times >= span.start) & (plan.times < span.end)]
            frames = self.video.frames_at(times, size=size)
            seen = self.video.coverage
            receipt = seen if receipt is None else merge_coverage(receipt, seen)
            yield span, frames, receipt

    def _scan(self) -> Scan:
        """The times that may be looked at, with the signals the selector asks for now."""
        wanted = self.parts.select.signals
        if not wanted or self.parts.select.waits:
            rate = self.budget.fps or 1.0
            ticks = np.arange(max(1, int(np.ceil(self.video.duration * rate)))) / rate
            return Scan(ticks, np.append(ticks[1:], max(self.video.duration, ticks[-1])))
        return signals.scan(
            self.video,
            wanted,
            self.budget.fps,
            self.bodies,
            size=self.size,
            report=lambda done: self.report(Progress("scan", done, self.video.duration, 0.0)),
        )

    def _write(self, frames: FrameBatch) -> None:
        self._keep_thumbs(frames)
        tokens: Tokens | None = None
        if self.seer is not None and len(frames):
            tokens = self.seer.encode(frames)
            compress = self.parts.compress
            if compress is not None and not compress.waits:
                marked = signals.mark(tokens, compress.reads, None, self.bodies)
                tokens = compress.compress(marked, None, self.budget)
        self.parts.memory.write(frames, tokens, self.budget)

    def _keep_thumbs(self, frames: FrameBatch) -> None:
        """One small picture every ten seconds, named by its millisecond."""
        from PIL import Image

        for row in range(len(frames)):
            start = float(frames.start[row])
            if start < self.thumbs * THUMB_EVERY:
                continue
            self.thumbs = int(start // THUMB_EVERY) + 1
            high = max(1, round(THUMB_WIDTH * self.video.height / max(1, self.video.width)))
            picture = Image.fromarray(frames.pixels[row].transpose(1, 2, 0)).resize(
                (THUMB_WIDTH, min(high, 320))
            )
            file = self.journal.folder / library.THUMBS / f"{round(start * 1000):010d}.webp"
            content = io.BytesIO()
            picture.save(content, "WEBP", quality=70, method=2)
            disk.write_new(file, content.getvalue(), synced=False)


def _ahead(items: Iterator[Any], depth: int = 2) -> Generator[Any, None, None]:
    """Runs an iterator in a thread of its own, so that decoding goes on while the model encodes."""
    box: queue.Queue[tuple[str, Any]] = queue.Queue(depth)
    stop = threading.Event()

    def put(kind: str, item: Any) -> bool:
        while not stop.is_set():
            try:
                box.put((kind, item), timeout=0.1)
                return True
            except queue.Full:
                continue
        return False

    def run() -> None:
        try:
            for item in items:
                if not put("item", item):
                    return
            put("end", None)
        except BaseException as error:  # noqa: BLE001 -- handed over whole, and raised by the consumer
            put("error", error)

    thread = threading.Thread(target=run, name="decode", daemon=True)
    thread.start()
    try:
        while True:
            kind, item = box.get()
            if kind == "end":
                return
            if kind == "error":
                raise item
            yield item
    finally:
        stop.set()
        thread.join()


def _seer(memory: Memory, bodies: Bodies) -> VLM | Vision | None:
    """The one body that looks at the frames; BadInput when the memory cannot do without and has none."""
    if memory.sees == "vision" and bodies.vision is None:
        raise BadInput(
            f"{type(memory).__name__} sees with a vision tower and has none; add --model tiny, or"
            " --set models.vision=tiny"
        )
    return {"vlm": bodies.vlm, "vision": bodies.vision, "none": None}[memory.sees]


def _as_coverage(values: Mapping[str, Any]) -> Coverage:
    gaps = tuple(Gap(**gap) for gap in values["gaps"])
    return Coverage(**{**values, "gaps": gaps, "warnings": tuple(values["warnings"])})


def _job(video: Video, plan: Recipe, bodies: Bodies) -> dict[str, Any]:
    """What makes two watches the same: source, recipe, models, files the parts depend on, and version."""
    parts = plan.parts(bodies)
    made: list[Part] = [part for part in (parts.select, parts.compress, parts.memory) if part is not None]
    return {
        "parts": {part.kind: part.fingerprint() for part in made if part.fingerprint()},
        "source": video.fingerprint,
        "recipe": plan.as_dict(),
        "vlm": None if bodies.vlm is None else bodies.vlm.revision,
        "text": None if bodies.text is None else bodies.text.name,
        "vision": None if bodies.vision is None else bodies.vision.revision,
        "version": __version__,
    }


def _manifest(
    video: Video, plan: Recipe, bodies: Bodies, job: Mapping[str, Any], coverage: Coverage
) -> dict[str, Any]:
    vlm, vision = (
        None if body is None else {"name": body.name, "revision": body.revision}
        for body in (bodies.vlm, bodies.vision)
    )
    text = None if bodies.text is None else {"name": bodies.text.name}
    return {
        "schema": library.SCHEMA,
        "version": __version__,
        "source": {
            "name": video.name,
            "fingerprint": video.fingerprint,
            "duration": video.duration,
            "width": video.width,
            "height": video.height,
        },
        "models": {"vlm": vlm, "text": text, "vision": vision},
        "recipe": plan.as_dict(),
        "job": dict(job),
        "coverage": asdict(coverage),
    }


# -- asking


def ask(parts: Parts, queries: Sequence[Query]) -> list[Answer]:
    """Reads the memory for each query and answers, as many at once as the answerer likes.

    Costs are per query: its own reading, and its share of the answering. The video is not touched.
    """
    for query in queries:
        if query.asks not in parts.answer.understands:
            raise BadInput(_misunderstood(query.asks, parts.answer))
        if query.asks == "words" and not query.text.strip():
            raise BadInput("the question is empty; ask something, for example: what happened at 1:30?")
    size = parts.answer.at_once
    batches = [queries[first : first + size] for first in range(0, len(queries), size)]
    return [answer for batch in batches for answer in _ask_at_once(parts, batch)]


def recalled(parts: Parts, query: Query) -> Recall:
    """What the memory has for the question, after the parts that waited for it."""
    recall = parts.memory.read(query)
    tokens, bodies = recall.tokens, parts.answer.bodies
    if tokens is None:
        return recall
    select, compress = parts.select, parts.compress
    if select.waits:
        scan = signals.from_tokens(tokens, select.signals, query, bodies)
        plan = select.select(scan, query, parts.budget)
        start = tokens.start.cpu().numpy()
        tokens = tokens[np.flatnonzero(np.isin(start, plan.times))]
    if compress is not None and compress.waits:
        marked = signals.mark(tokens, compress.reads, query, bodies)
        tokens = compress.compress(marked, query, parts.budget)
    chosen = select.waits and parts.budget.frames is not None
    return replace(recall, tokens=tokens, fitted=chosen or compress is not None)


def _misunderstood(kind: str, answerer: Answerer) -> str:
    answerers = {n: c for n, c in discovery.parts("answer").items() if issubclass(c, Answerer)}
    mine = next((name for name, cls in answerers.items() if cls is type(answerer)), type(answerer).__name__)
    able = (
        ", ".join(name for name, cls in answerers.items() if kind in cls.understands) or "none is installed"
    )
    if kind == "words":
        how = "give two of an activity, an object and a span"
        return (
            f"{mine} understands no words: {how}, or watch the video again with an answerer that does: {able}"
        )
    how = f"to ask for the {kind}, watch the video again with another answerer: {able}"
    return f"{mine} understands {', '.join(answerer.understands)} alone; {how}"


def _ask_at_once(parts: Parts, queries: Sequence[Query]) -> list[Answer]:
    recalls, readings = [], []
    for query in queries:
        began = time.perf_counter()
        recalls.append(recalled(parts, query))
        readings.append(time.perf_counter() - began)
    began = time.perf_counter()
    answers = parts.answer.answer(recalls, queries)
    share = (time.perf_counter() - began) / len(queries)
    return [
        replace(answer, cost=replace(answer.cost, seconds=reading + share, recall=reading))
        for answer, reading in zip(answers, readings, strict=True)
    ]
