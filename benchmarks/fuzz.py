"""Changes bytes of small videos and of memories, and watches what becomes of them.

    python benchmarks/fuzz.py --minutes 10 --folder fuzz

Every trial is read in a worker process, so that a crash or a hang is counted and not suffered. A video may be
refused by a typed error or read, with times that run forward. A memory whose bytes were changed may be
refused, or answer as the original does. One that was sealed again after the change (a forgery) may be refused
or answer anything, by a typed error or none. What went wrong is kept under `--folder` and tried again first.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import random
import shutil
import sys
import time
import traceback
from collections import Counter
from collections.abc import Callable, Iterator
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

PATIENCE = 90.0  # seconds until a trial hangs; a busy machine is slow
QUESTIONS = ("When was the cup washed?", "What happens first?", "What happened at 0:10?")
BAD = ("hang", "crash", "wrong")


# -- what is changed


def mutate(content: bytes, rng: random.Random) -> bytes:
    """The bytes after one to three changes."""
    spoilt = bytearray(content)
    for _ in range(rng.randint(1, 3)):
        at = rng.randrange(len(spoilt) + 1)
        end = min(len(spoilt), at + rng.choice((1, 2, 4, 16, 256, 4096)))
        how = rng.choice(("flip", "flip", "noise", "zeros", "cut", "drop", "repeat", "number"))
        if how == "flip" and at < len(spoilt):
            spoilt[at] ^= 1 << rng.randrange(8)
        elif how == "noise":
            spoilt[at:end] = rng.randbytes(end - at)
        elif how == "zeros":
            spoilt[at:end] = bytes(end - at)
        elif how == "cut":
            del spoilt[at:]
        elif how == "drop":
            del spoilt[at:end]
        elif how == "repeat":
            spoilt[at:at] = spoilt[at:end]
        elif how == "number":  # the sizes and counts that containers are made of
            spoilt[at : at + 4] = rng.choice((0, 1, 0x7FFFFFFF, 0x80000000, 0xFFFFFFFF)).to_bytes(4, "big")
    return bytes(spoilt)


def spoil_memory(memory: Path, rng: random.Random) -> bool:
    """Changes one file of a memory; whether the memory was sealed again."""
    from watchonce import library

    files = sorted(path for path in memory.rglob("*") if path.is_file())
    core = [path for path in files if path.parent.name != library.THUMBS]
    file = rng.choice(core if rng.random() < 0.9 else files)
    file.write_bytes(mutate(file.read_bytes(), rng))
    if sealed := rng.random() < 0.5:
        rest = [path for path in files if path.name != library.SUMS]
        lines = (f"{library.digest(p)}  {p.relative_to(memory).as_posix()}\n" for p in rest)
        (memory / library.SUMS).write_text("".join(lines))
    return sealed


# -- what becomes of it


def read_video(path: Path) -> str:
    """The words for a video that could be read; typed errors go up."""
    from watchonce.video import open_video

    last = -1.0
    for frames in open_video(path).frames(1.0, size=(48, 48)):
        if len(frames) and float(frames.start[0]) <= last:
            return "wrong"
        last = float(frames.start[-1]) if len(frames) else last
    return "read"


def answers(path: Path) -> list[Any]:
    """What a memory says, without its model."""
    from watchonce.memory import Memory
    from watchonce.types import Query, Span

    opened = Memory.open(path, model=None if "relational" in path.name else "none")
    if "relational" in path.name:
        asked = [Query(activity=name, span=Span(0, 20)) for name in opened.parts.answer.names()[:2]]  # type: ignore[attr-defined]
    else:
        asked = [Query(text) for text in QUESTIONS]
    return [[a.text, a.boxes, [(s.start, s.end) for s in a.evidence]] for a in opened.ask_all(asked)]


def work(pipe: Connection) -> None:
    """Reads what it is told to, one path after another."""
    from watchonce.types import WatchonceError

    true: dict[str, Any] = {}
    while True:
        kind, path, original, sealed = pipe.recv()
        try:
            if kind == "videos":
                found = read_video(path)
            else:
                if original not in true:
                    true[original] = answers(original)
                same = answers(path) == true[original]
                found = "forged and read" if sealed else "read" if same else "wrong"
            pipe.send((found, ""))
        except WatchonceError as error:
            pipe.send(("refused" if "\n" not in str(error) else "crash", type(error).__name__))
        except Exception:  # noqa: BLE001 -- an error of no type of ours is what is looked for
            pipe.send(("crash", traceback.format_exc()))


class Worker:
    """A process that reads; a new one after it hung or died."""

    def __init__(self) -> None:
        self._start()

    def _start(self) -> None:
        spawn = multiprocessing.get_context("spawn")
        self.pipe, theirs = spawn.Pipe()
        self.process = spawn.Process(target=work, args=(theirs,))
        self.process.start()
        theirs.close()

    def ask(self, *words: Any) -> tuple[str, str]:
        """What became of a trial, and why."""
        try:
            self.pipe.send(words)
            if self.pipe.poll(PATIENCE):
                return self.pipe.recv()
            found = "hang", f"no word for {PATIENCE} s"
        except (EOFError, ConnectionError):
            found = "crash", f"the worker ended with {self.process.exitcode}"
        self.end()
        self._start()
        return found

    def end(self) -> None:
        """Ends the process."""
        self.process.kill()
        self.process.join()
        self.pipe.close()


# -- the trials


def seeds(folder: Path) -> dict[str, list[Path]]:
    """Small films in several containers, and memories of two kinds; made once, kept."""
    from watchonce.memory import watch
    from watchonce.video.drawn.film import draw

    film = folder / "seeds" / "film.mp4"
    if not film.is_file():
        film.parent.mkdir(parents=True, exist_ok=True)
        draw(film, seconds=24, seed=5, fps=2.0, gop=4.0)
    memories = [film.with_name("diary.memory"), film.with_name("relational.memory")]
    for out, recipe in zip(memories, ("diary", "long_vmnet"), strict=True):
        watch(film, out, recipe=recipe)
    return {"videos": [film, *_remuxed(film)], "memories": memories}


def _remuxed(film: Path) -> list[Path]:
    import av

    made = []
    for ending in ("mkv", "ts"):
        out = film.with_suffix(f".{ending}")
        made.append(out)
        if out.is_file():
            continue
        with av.open(str(film)) as old, av.open(str(out), "w") as new:
            stream = new.add_stream_from_template(old.streams.video[0])
            for packet in old.demux(video=0):
                if packet.dts is not None:
                    packet.stream = stream
                    new.mux(packet)
    return made


def trials(kind: str, given: list[Path], folder: Path, seed: int) -> Iterator[tuple[Path, Path, bool]]:
    """Without end: a spoilt copy, what it was, and whether it was sealed. Findings of before come first."""
    for kept in sorted((folder / "findings").glob(f"{kind}-*")):
        meant = json.loads((kept / "facts.json").read_text())
        yield kept / meant["name"], Path(meant["original"]), meant["sealed"]
    place = folder / "trial"
    number = seed
    while True:
        rng = random.Random(f"{kind} {number}")
        number += 1
        original = rng.choice(given)
        shutil.rmtree(place, ignore_errors=True)
        place.mkdir(parents=True)
        trial, sealed = place / original.name, False
        if kind == "videos":
            trial.write_bytes(mutate(original.read_bytes(), rng))
        else:
            shutil.copytree(original, trial)
            sealed = spoil_memory(trial, rng)
        yield trial, original, sealed


def keep(folder: Path, kind: str, number: int, trial: Path, facts: dict[str, Any]) -> None:
    """Puts a trial that went wrong where it is found again."""
    place = folder / "findings" / f"{kind}-{number:06d}"
    if trial.is_relative_to(folder / "findings"):
        return
    place.mkdir(parents=True, exist_ok=True)
    copy: Callable[..., object] = shutil.copytree if trial.is_dir() else shutil.copyfile
    if not (place / trial.name).exists():
        copy(trial, place / trial.name)
    (place / "facts.json").write_text(json.dumps(facts, indent=1) + "\n")


def main() -> int:
    """Prints a JSON line a kind; exit code 1 when anything hung, crashed or answered wrongly."""
    parser = argparse.ArgumentParser(description="Change bytes of videos and memories; see what happens.")
    parser.add_argument("--minutes", type=float, default=10.0)
    parser.add_argument("--most", type=int, default=10**9, help="trials of a kind, at most")
    parser.add_argument("--kind", choices=("videos", "memories", "both"), default="both")
    parser.add_argument("--folder", type=Path, default=Path("fuzz"))
    parser.add_argument("--seed", type=int, default=int(time.time()))
    options = parser.parse_args()
    folder = options.folder.resolve()
    given = seeds(folder)
    kinds = ["videos", "memories"] if options.kind == "both" else [options.kind]
    bad = 0
    for kind in kinds:
        worker, counts, errors = Worker(), Counter[str](), Counter[str]()
        ends = time.monotonic() + 60 * options.minutes / len(kinds)
        for number, (trial, original, sealed) in enumerate(
            trials(kind, given[kind], folder, options.seed), 1
        ):
            found, why = worker.ask(kind, trial, original, sealed)
            counts[found] += 1
            errors[why] += found == "refused"
            if found in BAD:
                facts = {"name": trial.name, "original": str(original), "sealed": sealed}
                keep(folder, kind, options.seed + number, trial, {**facts, "found": found, "why": why})
            if time.monotonic() > ends or number >= options.most:
                break
        worker.end()
        tried = sum(counts.values())
        told = {name: counts[name] for name in ("refused", "read", "forged and read", *BAD)}
        print(json.dumps({"kind": kind, "tried": tried, **told, "by": dict(+errors), "seed": options.seed}))
        sys.stdout.flush()
        bad += sum(counts[name] for name in BAD)
    return 1 if bad else 0


if __name__ == "__main__":
    sys.exit(main())
