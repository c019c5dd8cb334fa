"""How long one question takes, of a one-minute video and of a long one: same process, same kinds, in turn.

    python benchmarks/ask_latency.py            # 1 minute against 2 hours
    python benchmarks/ask_latency.py --full     # 1 minute against 24 hours, both really drawn and watched
    python benchmarks/ask_latency.py --full --folder DIR   # keeps films and memories, and finds them again

Both memories are diaries written by the tiny model (or --model). A question of one is always asked beside
a question of the same kind of the other, in an order drawn by lot, so that what else the machine does
hits both. Loading and the first question (which builds the index) are shown apart.
"""

from __future__ import annotations

import argparse
import json
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np

from watchonce import library, machine, memory, pipeline, recipe
from watchonce.types import Query
from watchonce.video import open_video
from watchonce.video.drawn.asked import Asked
from watchonce.video.drawn.film import draw
from watchonce.video.drawn.truth import load_truth

SHORT = 60.0
SEED = 11


def made(
    folder: Path, seconds: float, fps: float, model: str, questions: int
) -> tuple[Path, list[Asked], dict[str, Any]]:
    """A drawn film and its diary, both made now unless they lie in the folder; and what that cost."""
    bodies = memory.bodies_for(model, "none")
    pin = "none" if bodies.vlm is None else bodies.vlm.revision[:12]  # other weights, another memory
    film, out = folder / f"{seconds:.0f}.mp4", folder / f"{seconds:.0f}-{pin}.memory"
    cost: dict[str, Any] = {"seconds": seconds, "film_fps": fps}
    if not film.exists():
        began = time.perf_counter()
        draw(film, seconds=seconds, seed=SEED, fps=fps, questions=questions)
        cost["draw_seconds"] = time.perf_counter() - began
    began = time.perf_counter()
    fresh = not out.exists()
    pipeline.watch(
        open_video(film),
        out,
        recipe.load("diary"),
        bodies,
        report=lambda p: print(
            f"\r{p.stage} {p.done:.0f}/{p.total:.0f} s, {p.speed:.0f} x", end="", flush=True
        ),
        catalogue=library.Catalogue(folder),
    )
    print()
    if fresh:
        cost["watch_seconds"] = time.perf_counter() - began
        cost["real_time"] = seconds / cost["watch_seconds"]
    return out, list(load_truth(film).questions), cost


def pairs(short: list[Asked], long: list[Asked], count: int) -> list[tuple[Asked, Asked]]:
    """Questions side by side, kind by kind in turn; kinds that one film lacks are left out."""
    kinds = [kind for kind in dict.fromkeys(a.kind for a in short) if any(b.kind == kind for b in long)]
    found = []
    for turn in range(count):
        kind = kinds[turn % len(kinds)]
        here, there = ([a for a in pool if a.kind == kind] for pool in (short, long))
        place = turn // len(kinds)
        found.append((here[place % len(here)], there[place % len(there)]))
    return found


def opened(path: Path, model: str) -> tuple[memory.Memory, dict[str, float]]:
    """A memory in this process, with what it takes to load it and to ask it for the first time."""
    bodies = memory.bodies_for(model, "none")  # loaded already: models are kept
    began = time.perf_counter()
    held = memory.Memory(library.load(path), bodies, recipe.load("diary"))
    loaded = time.perf_counter()
    held.ask("When was the red cup washed?")
    return held, {"load": loaded - began, "first": time.perf_counter() - loaded}


def timed(held: memory.Memory, asked: Asked) -> dict[str, float]:
    """Seconds of one question, in all and by part and of processor alone; tokens read and written."""
    worked, began = time.process_time(), time.perf_counter()
    answer = held.ask(Query(asked.question))
    total, worked = time.perf_counter() - began, time.process_time() - worked
    recall = answer.cost.recall
    tokens = float(answer.cost.tokens)
    return {"total": total, "recall": recall, "answer": total - recall, "processor": worked, "tokens": tokens}


def figures(rows: list[dict[str, float]]) -> dict[str, dict[str, float]]:
    """p50 and p95 of every part."""
    return {
        part: {
            "p50": float(np.percentile([row[part] for row in rows], 50)),
            "p95": float(np.percentile([row[part] for row in rows], 95)),
        }
        for part in ("total", "recall", "answer", "processor", "tokens")
    }


def measure(folder: Path, arguments: argparse.Namespace) -> dict[str, Any]:
    """Makes both memories, asks them in turn, and returns the figures."""
    long = 24 * 3600.0 if arguments.full else arguments.hours * 3600.0
    wanted = max(120, arguments.pairs)
    sides = [made(folder, s, arguments.fps, arguments.model, wanted) for s in (SHORT, long)]
    held = [opened(path, arguments.model) for path, _, _ in sides]
    rows: tuple[list[dict[str, float]], list[dict[str, float]]] = ([], [])
    rng = np.random.default_rng(0)
    plan = pairs(sides[0][1], sides[1][1], arguments.pairs + 10)
    for number, pair in enumerate(plan):
        for side in rng.permutation(2).tolist():
            row = timed(held[side][0], pair[side])
            if number >= 10:  # the first ten pairs warm up
                rows[side].append(row)
    names = ("short", "long")
    found: dict[str, Any] = {
        name: {
            **sides[side][2],
            **held[side][1],
            "notes": len(held[side][0].notes),
            "bytes": held[side][0].stored.size,
            **figures(rows[side]),
        }
        for side, name in enumerate(names)
    }
    found["ratio"] = {
        part: {p: found["long"][part][p] / found["short"][part][p] for p in ("p50", "p95")}
        for part in ("total", "recall", "answer", "processor")
    }
    vlm = held[0][0].bodies.vlm
    model = None if vlm is None else {"name": vlm.name, "revision": vlm.revision}
    return {
        "benchmark": "ask_latency",
        "pairs": arguments.pairs,
        "kinds": sorted({a.kind for a, _ in plan}),
        "model": model,
        **found,
        "machine": machine.hardware(),
        "versions": machine.versions(),
    }


def main() -> None:
    """Reads the arguments, measures, prints."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--full", action="store_true", help="the long video is 24 hours")
    parser.add_argument("--hours", type=float, default=2.0, help="length of the long video otherwise")
    parser.add_argument("--fps", type=float, default=1.0, help="frames a second of the films")
    parser.add_argument("--model", default="tiny")
    parser.add_argument("--pairs", type=int, default=100, help="pairs of questions that are timed")
    parser.add_argument("--folder", type=Path, help="keeps films and memories here")
    parser.add_argument("--out", type=Path, help="JSON file to write")
    arguments = parser.parse_args()
    if arguments.folder is not None:
        arguments.folder.mkdir(parents=True, exist_ok=True)
        found = measure(arguments.folder, arguments)
    else:
        with tempfile.TemporaryDirectory(prefix="watchonce-bench-") as name:
            found = measure(Path(name), arguments)
    for name in ("short", "long"):
        side = found[name]
        print(
            f"{side['seconds'] / 3600:6.2f} h  {side['notes']:6d} notes {side['bytes'] / 1e6:7.2f} MB"
            f"   load {side['load'] * 1e3:7.1f} ms   first {side['first'] * 1e3:7.1f} ms"
            f"   ask p50 {side['total']['p50'] * 1e3:6.1f} p95 {side['total']['p95'] * 1e3:6.1f} ms"
            f"   recall p50 {side['recall']['p50'] * 1e3:6.2f} p95 {side['recall']['p95'] * 1e3:6.2f} ms"
            f"   processor p50 {side['processor']['p50'] * 1e3:.1f} ms"
            f"   tokens p50 {side['tokens']['p50']:.0f}"
        )
    whole, worked = found["ratio"]["total"], found["ratio"]["processor"]
    print(
        f"long to short, p50: {whole['p50']:.2f}, p95: {whole['p95']:.2f};"
        f" of processor time alone {worked['p50']:.2f}, {worked['p95']:.2f}"
    )
    if arguments.out is not None:
        arguments.out.write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
