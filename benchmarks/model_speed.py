"""What one VLM costs: frames encoded, captions written, a question answered from notes, options scored.

    python benchmarks/model_speed.py                     # the tiny model
    python benchmarks/model_speed.py --model FOLDER --frames 64 --json out.json

CPU and wall seconds, the median of some rounds, one thread. Frames are noise and answers are as long as
they may be (the stop tokens are taken away), so the figures do not depend on what the model has learnt.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from watchonce.types import FrameBatch, Note


def measure(work: Callable[[], Any], rounds: int) -> dict[str, float]:
    """Median milliseconds of CPU and wall, after one round that warms up."""
    work()
    cpu, wall = [], []
    for _ in range(rounds):
        first, second = time.process_time(), time.perf_counter()
        work()
        cpu.append(1000 * (time.process_time() - first))
        wall.append(1000 * (time.perf_counter() - second))
    return {"cpu_ms": round(statistics.median(cpu), 2), "wall_ms": round(statistics.median(wall), 2)}


def run(model: str, count: int, rounds: int) -> dict[str, Any]:
    """The table of one model."""
    import torch

    from watchonce.models.vlm import load_vlm

    torch.set_num_threads(1)
    began = time.process_time()
    vlm: Any = load_vlm(model)
    loading = time.process_time() - began
    vlm.language.forget_stops()
    pixels = np.random.default_rng(0).integers(0, 256, (count, 3, *vlm.size), dtype=np.uint8)
    start = np.arange(count, dtype=float)
    film = FrameBatch(pixels, start, start + 1)
    tokens = vlm.encode(film)
    clips = [tokens[(tokens.start >= i) & (tokens.start < i + vlm.clip)] for i in range(16)]
    captions = [vlm.prompt("Describe what happens.", clip) for clip in clips]
    notes = [Note("someone washes the red cup in the kitchen.", 30.0 * i, 30.0 * i + 14) for i in range(10)]
    question = "When was the red cup washed?"
    options = ["red cup", "blue box", "the kitchen", "not found"]
    return {
        "model": vlm.name,
        "revision": vlm.revision,
        "device": vlm.device_reason,
        "load_cpu_s": round(loading, 2),
        f"encode_{count}_frames": measure(lambda: vlm.encode(film), rounds),
        f"16_captions_of_{vlm.clip}_frames_16_tokens": measure(lambda: vlm.generate(captions, 16), rounds),
        "ask_10_notes_4_tokens": measure(
            lambda: vlm.generate([vlm.prompt(question, notes=notes)], 4), 4 * rounds
        ),
        "score_4_options": measure(
            lambda: vlm.score([vlm.prompt(question, notes=notes)], [options]), 4 * rounds
        ),
    }


def main() -> None:
    """Prints the table; --json keeps it."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--model", default="tiny", help="tiny, a folder or a hub id")
    parser.add_argument("--frames", type=int, default=1800)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--json", type=Path)
    args = parser.parse_args()
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    table = run(args.model, args.frames, args.rounds)
    print(json.dumps(table, indent=2))
    if args.json:
        args.json.write_text(json.dumps(table, indent=2) + "\n")


if __name__ == "__main__":
    main()
