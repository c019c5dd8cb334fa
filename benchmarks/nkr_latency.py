"""How long a question takes: a mounted NKR against encoding the video again, by the length of the video.

    python benchmarks/nkr_latency.py --folder DIR                 # films of 5, 30 and 120 minutes
    python benchmarks/nkr_latency.py --folder DIR --minutes 5 --turns 20

The folder is that of nkr_accuracy.py: films and memories are made there unless they are. All are asked in one
process, one question at a time, the films and the ways in an order drawn by lot:

nkr       the adapter is mounted; the question is read in all wordings of its kind, which vote
once      the same in the wording that was asked alone
cold      the same from nothing but files: the memory is loaded and checked, the adapter mounted (few times)
again     no memory: the whole film is decoded (1 frame a second), every frame encoded, as many as the model
          can read at once are read before the question, the answer is written (few times)
glance    no memory: only the frames that the model reads best, 8 of the whole film, are decoded and encoded
prefix    the frames of `again` were read before and the cache of that is kept: question and answer alone
diary     the memory of captions: search, notes before the question, answer

Every way answers in the same words or fewer; times are of the wall, processor time is beside them.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from nkr_accuracy import Stage, made_of

from watchonce import library, machine, memory, recipe
from watchonce.models.body import LocalVLM
from watchonce.models.layout import cut
from watchonce.ops.frames import thin
from watchonce.types import Answer, FrameBatch, Query, Tokens
from watchonce.video import open_video

LIMIT = 24  # tokens of an answer of `again`, `glance` and `prefix`
ROOM = 80  # positions left for the question and the answer
BRIEF = ("memory.stride=8.0", "memory.rounds=1.0")  # how fast it answers does not hang on how well it learnt
RARE = ("again", "cold")  # asked a few times only: minutes each
WARM = 6  # turns that are not counted
Way = Callable[[Query], Any]


@dataclass
class Asked:
    """One film and the ways in which it can be asked. parts: seconds of `again`, by what they went to."""

    stage: Stage
    nkr: memory.Memory
    diary: memory.Memory
    parts: list[dict[str, float]] = field(default_factory=list)

    def __post_init__(self) -> None:
        vlm = self.stage.vlm
        assert isinstance(vlm, LocalVLM), "a cache is kept of a local model alone"
        self.vlm: LocalVLM = vlm
        frames = FrameBatch.cat(list(open_video(self.stage.path).frames(1.0, size=vlm.size)))
        tokens = vlm.encode(frames)
        self.count = fitting(vlm, tokens)
        self.seen = thin(tokens, self.count)
        self.cases = self.stage.cases("asked")
        plan = recipe.load("nkr", ["answer.wordings=1"])
        self.once = memory.Memory(self.nkr.stored, self.nkr.bodies, plan)
        head, _ = self.split("?")
        self.cache = vlm.prefill(head)
        layers = self.cache.layers
        self.cache_bytes = sum(t.nbytes for layer in layers for t in (layer.keys, layer.values))

    def ways(self) -> dict[str, Way]:
        """Every way by name."""
        return {
            "nkr": self.nkr.ask,
            "once": self.once.ask,
            "cold": self.cold,
            "again": self.again,
            "glance": self.glance,
            "prefix": self.prefix,
            "diary": self.diary.ask,
        }

    def cold(self, query: Query) -> Any:
        """The NKR from its files."""
        stored = library.load(self.nkr.path)
        held = memory.Memory(stored, self.nkr.bodies, self.nkr.recipe)
        return held.ask(query)

    def again(self, query: Query) -> Any:
        """Everything from the file on."""
        times = [time.perf_counter()]
        frames = FrameBatch.cat(list(open_video(self.stage.path).frames(1.0, size=self.vlm.size)))
        times.append(time.perf_counter())
        tokens = self.vlm.encode(frames)
        times.append(time.perf_counter())
        reply = self.vlm.generate([self.vlm.prompt(query.text, tokens=thin(tokens, self.count))], LIMIT)
        times.append(time.perf_counter())
        names = ("decode", "encode", "read and write")
        self.parts.append(dict(zip(names, np.diff(times).tolist(), strict=True)))
        return reply

    def glance(self, query: Query) -> Any:
        """A few frames of the file."""
        video, count = open_video(self.stage.path), self.vlm.clip
        times = (np.arange(count) + 0.5) * video.duration / count
        tokens = self.vlm.encode(video.frames_at(times, size=self.vlm.size))
        return self.vlm.generate([self.vlm.prompt(query.text, tokens=tokens)], LIMIT)

    def prefix(self, query: Query) -> Any:
        """The question behind what is kept."""
        return self.vlm.generate([self.split(query.text)[1]], LIMIT, cache=self.cache)

    def split(self, text: str) -> Any:
        """A prompt with the frames that fit, cut behind the last of them."""
        prompt = self.vlm.prompt(text, tokens=self.seen)
        return cut(prompt, int(prompt.slots.nonzero().max()) + 1)


def fitting(vlm: LocalVLM, tokens: Tokens) -> int:
    """How many frames the model can read at once, and still a question and an answer."""
    two, three = (vlm.prompt("?", tokens=thin(tokens, count)).positions.max().item() for count in (2, 3))
    return min(int(torch.unique(tokens.start).numel()), int((vlm.longest - ROOM - two) // (three - two)) + 2)


def timed(way: Way, query: Query) -> dict[str, float]:
    """Seconds of the wall and of processor time of one question."""
    worked, began = time.process_time(), time.perf_counter()
    answer = way(query)
    found = {"wall": time.perf_counter() - began, "cpu": time.process_time() - worked}
    if isinstance(answer, Answer):
        found["tokens"] = float(answer.cost.tokens)
    return found


def measure(films: dict[float, Asked], turns: int, rare: int) -> dict[str, dict[str, list[dict[str, float]]]]:
    """Times by length and way: a turn asks every film in every frequent way, some in the rare ones."""
    rng = np.random.default_rng(0)
    found: dict[str, dict[str, list[dict[str, float]]]] = {
        f"{minutes:g}": {way: [] for way in asked.ways()} for minutes, asked in films.items()
    }
    often = [name for name in next(iter(films.values())).ways() if name not in RARE]
    every = max(1, turns // max(1, rare))
    for turn in range(turns + WARM):
        late = turn >= WARM
        names = [*often, *(RARE if late and (turn - WARM) % every == 0 else ())]
        plan = [(minutes, name) for minutes in films for name in names]
        for row in rng.permutation(len(plan)).tolist():
            minutes, name = plan[row]
            cases = films[minutes].cases
            one = timed(films[minutes].ways()[name], cases[turn % len(cases)].query)
            if late and len(found[f"{minutes:g}"][name]) < (rare if name in RARE else turns):
                found[f"{minutes:g}"][name].append(one)
        print(f"\rturn {turn + 1}/{turns + WARM}   ", end="", flush=True)
    print()
    return found


def figures(rows: list[dict[str, float]]) -> dict[str, Any]:
    """p50 and p95 of the wall, p50 of processor time, and of how many."""
    wall, cpu = ([row[key] for row in rows] for key in ("wall", "cpu"))
    p50, p95 = (float(np.percentile(wall, percent)) for percent in (50, 95))
    told = [row["tokens"] for row in rows if "tokens" in row]  # of the question and its answer
    tokens = float(np.mean(told)) if told else None
    return {"p50": p50, "p95": p95, "cpu": float(np.percentile(cpu, 50)), "tokens": tokens, "n": len(rows)}


def report(films: dict[float, Asked], made: dict[str, Any], rows: Any) -> dict[str, Any]:
    """The figures of every film, and what follows from them."""
    found: dict[str, Any] = {}
    for minutes, asked in films.items():
        name = f"{minutes:g}"
        ways = {way: figures(times) for way, times in rows[name].items() if times}
        parts = {key: float(np.median([p[key] for p in asked.parts])) for key in asked.parts[0]}
        saved = ways["again"]["cpu"] - ways["nkr"]["cpu"]
        found[name] = {
            "ways": ways,
            "again_parts": parts,
            "ratio": {way: ways["again"]["p50"] / ways[way]["p50"] for way in ("nkr", "once")},
            "frames_read": asked.count,
            "cache_bytes": asked.cache_bytes,
            "made": made[name],
            "break_even": made[name]["study_seconds"] / saved,
        }
    flat = {}
    for way in ("nkr", "once"):
        middles = [film["ways"][way]["p50"] for film in found.values()]
        flat[way] = max(middles) / min(middles)
    return {"films": found, "flat": flat}


def show(result: dict[str, Any]) -> None:
    """Prints the figures."""
    for name, film in result["films"].items():
        print(f"\n{name} minutes{', an NKR that was studied briefly' if film['made']['brief'] else ''}")
        for way, one in film["ways"].items():
            print(
                f"  {way:7} p50 {one['p50'] * 1e3:10.1f} ms  p95 {one['p95'] * 1e3:10.1f} ms"
                f"  processor {one['cpu'] * 1e3:10.1f} ms  n {one['n']}"
                + ("" if one["tokens"] is None else f", {one['tokens']:.0f} tokens")
            )
        parts = ", ".join(f"{part} {seconds:.2f} s" for part, seconds in film["again_parts"].items())
        print(f"  again: {parts}; {film['frames_read']} frames read at once")
        ratio, weights = film["ratio"], film["made"]["adapter_bytes"] / 1e6
        print(
            f"  again / nkr {ratio['nkr']:.0f}, again / once {ratio['once']:.0f}; cached prefix"
            f" {film['cache_bytes'] / 1e6:.1f} MB, adapter {weights:.2f} MB; watching pays from question"
            f" {film['break_even']:.0f} on"
        )
    for way, flat in result["flat"].items():
        print(f"{way} p50, the slowest film to the fastest: {flat:.2f} x")


def main() -> None:
    """Reads the arguments, measures, prints."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--folder", type=Path, required=True, help="films and memories")
    parser.add_argument("--minutes", default="5,30,120", help="lengths of the films")
    parser.add_argument("--film", type=int, default=1, help="seed of the films")
    parser.add_argument("--seed", type=int, default=1, help="seed of the NKRs")
    parser.add_argument("--brief", default="", help="lengths whose NKR is studied less, for the time's sake")
    parser.add_argument("--turns", type=int, default=200, help="questions a film and frequent way")
    parser.add_argument("--rare", type=int, default=5, help="questions a film and rare way")
    parser.add_argument("--model", default="tiny")
    parser.add_argument("-o", "--out", type=Path, help="JSON file to write")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    films: dict[float, Asked] = {}
    made: dict[str, Any] = {}
    for minutes in (float(part) for part in arguments.minutes.split(",")):
        stage = Stage(arguments.folder, arguments.film, minutes, 100, arguments.model)
        brief = f"{minutes:g}" in arguments.brief.split(",")
        nkr, cost = stage.nkr(arguments.seed, overrides=BRIEF if brief else ())
        films[minutes] = Asked(stage, nkr, stage.watched("diary")[0])
        made[f"{minutes:g}"] = {**made_of(nkr), "study_seconds": cost["cpu_seconds"], "brief": brief}
    result = report(films, made, measure(films, arguments.turns, arguments.rare))
    result |= {"machine": machine.hardware(), "versions": machine.versions()}
    show(result)
    print(f"on {machine.processor()}, {machine.cores()} cores")
    if arguments.out is not None:
        arguments.out.write_text(json.dumps(result, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
