"""What decoding in a child process costs, and whether a thousand files leave anything behind.

    python benchmarks/child.py                       # ratio of speeds, in this process and in a child
    python benchmarks/child.py --leaks 1000          # descriptors, processes and memory over cycles
    python benchmarks/child.py --start               # the first file of a fresh program

Contenders run in turn (here, child, here, child, ...), each round in a process of its own. Wall is that of
the fastest round, because other load on the machine only adds to it; CPU is the median over the rounds of the
whole process tree's, while it reads. Starting up is in neither.
"""

from __future__ import annotations

import argparse
import gc
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

CASES: dict[str, tuple[str, Callable[[Any], int]]] = {
    "rate": ("1 fps, 720p as stored", lambda video: sum(map(len, video.frames(1.0)))),
    "model": (
        "1 fps in windows of 64 s, shortest side 384",
        lambda video: sum(len(b) for _, b in video.windows(64, 1.0, size=384)),
    ),
    "every": (
        "every frame of 20 s, 720p as stored",
        lambda video: sum(map(len, video.frames(end=20.0))),
    ),
    "random": (
        "60 frames one by one, anywhere, shortest side 384",
        lambda video: sum(len(video.frames_at([k * 37.0 % 57], size=384)) for k in range(60)),
    ),
}


def tree() -> list[int]:
    """This process and all below it."""
    found = [os.getpid()]
    for pid in found:
        below = Path(f"/proc/{pid}/task/{pid}/children")
        found += [int(n) for n in below.read_text().split()] if below.exists() else []
    return found


def cpu() -> float:
    """Seconds the process tree has computed."""
    ticks = 0
    for pid in tree():
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
        ticks += int(fields[11]) + int(fields[12])
    return ticks / os.sysconf("SC_CLK_TCK")


def resident(pid: int) -> float:
    """Megabytes of a process in memory."""
    return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE") / 2**20


def once(case: str, where: str, path: Path) -> None:
    """Reads the film once, here or in a child, and prints the measurements."""
    video: Any
    if where == "here":
        from watchonce.video.file import _cores
        from watchonce.video.reader import Reader

        video = Reader(path, threads=_cores())
    else:
        from watchonce.video import open_video

        video = open_video(path)
    before, began = cpu(), time.perf_counter()
    frames = CASES[case][1](video)
    wall = time.perf_counter() - began
    print(json.dumps({"frames": frames, "wall": wall, "cpu": cpu() - before}))


def compare(path: Path, rounds: int) -> dict[str, Any]:
    """Every case, and the speed of the child as a share of the speed here."""
    result: dict[str, Any] = {}
    for case, (words, _) in CASES.items():
        runs: dict[str, list[dict[str, float]]] = {"here": [], "child": []}
        for _ in range(rounds):
            for where, found in runs.items():
                command = [sys.executable, __file__, "--once", case, "--where", where, "--video", str(path)]
                found.append(json.loads(subprocess.run(command, capture_output=True, check=True).stdout))
        assert len({run["frames"] for found in runs.values() for run in found}) == 1
        row: dict[str, Any] = {"what": words, "frames": runs["here"][0]["frames"]}
        for kind, middle in (("wall", min), ("cpu", statistics.median)):
            here, child = (middle([run[kind] for run in found]) for found in runs.values())
            row |= {f"{kind}_here": here, f"{kind}_child": child, f"{kind}_ratio": here / child}
        result[case] = row
        print(
            f"{words:46} {row['frames']:5.0f} frames  "
            f" wall {row['wall_here']:6.2f} / {row['wall_child']:6.2f} s"
            f" = {row['wall_ratio']:.3f}   CPU {row['cpu_here']:6.2f} / {row['cpu_child']:6.2f} s"
            f" = {row['cpu_ratio']:.3f}",
            flush=True,
        )
    return result


def leaks(path: Path, cycles: int) -> dict[str, Any]:
    """Opens and closes good, bad and half-read files; prints what is held every tenth of the way."""
    from watchonce.types import UnreadableVideo
    from watchonce.video import open_video

    bad = path.with_name("bad.mp4")
    bad.write_bytes(path.read_bytes()[:3000])
    rows = []
    began = time.perf_counter()
    for done in range(cycles + 1):
        if done % max(1, cycles // 10) == 0:
            gc.collect()
            time.sleep(0.3)  # children that were let go are killed and reaped beside us
            below = tree()[1:]
            rows.append(
                {
                    "cycles": done,
                    "descriptors": len(os.listdir("/proc/self/fd")),
                    "server_descriptors": len(os.listdir(f"/proc/{below[0]}/fd")) if below else 0,
                    "processes": len(below),
                    "rss_mb": round(resident(os.getpid()), 1),
                    "server_rss_mb": round(resident(below[0]), 1) if below else 0.0,
                }
            )
            print(json.dumps(rows[-1]), flush=True)
        video = open_video(path, threads=1)
        if done % 3 == 0:
            next(video.frames(size=64))  # left half read: its child is ended
        elif done % 3 == 1:
            video.frames_at([0.5], size=64)
        try:
            open_video(bad)
        except UnreadableVideo:
            continue
        raise AssertionError("half an index was opened")
    seconds = time.perf_counter() - began
    print(f"{2 * cycles} files in {seconds:.0f} s, {500 * seconds / max(1, cycles):.1f} ms each")
    return {"rows": rows, "seconds": seconds}


START = """
import time; began = time.perf_counter()
{module}
opened = time.perf_counter()
print(opened - began)
"""
HERE = "from pathlib import Path; from watchonce.video.reader import Reader; Reader(Path({path!r}))"
STARTS = {
    "here": HERE,
    "child": "from watchonce.video import open_video; open_video({path!r})",
    "child, prepared beside an import of torch": (
        "from watchonce.video import open_video, prepare; prepare(); import torch; open_video({path!r})"
    ),
    "here, after an import of torch": f"import torch; {HERE}",
}


def start(path: Path, rounds: int) -> dict[str, float]:
    """Seconds from a fresh Python to the first open file, medians."""
    runs: dict[str, list[float]] = {name: [] for name in STARTS}
    for _ in range(rounds):
        for name, found in runs.items():
            code = START.format(module=STARTS[name].format(path=str(path)))
            done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
            found.append(float(done.stdout))
    result = {name: statistics.median(found) for name, found in runs.items()}
    for name, seconds in result.items():
        print(f"{name:45} {seconds:6.3f} s")
    return result


def main() -> None:
    """Reads the options and runs."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--video", type=Path, help="measure this file instead of a generated one")
    parser.add_argument("--seconds", type=int, default=180, help="length of the generated film")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--leaks", type=int, metavar="CYCLES")
    parser.add_argument("--start", action="store_true")
    parser.add_argument("--json", type=Path, help="write all measurements here")
    parser.add_argument("--once", choices=CASES, help=argparse.SUPPRESS)
    parser.add_argument("--where", choices=("here", "child"), help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.once:
        once(options.once, options.where, options.video)
        return
    with tempfile.TemporaryDirectory() as folder:
        path = options.video or Path(folder) / "film.mp4"
        if options.video is None:
            from decode import make

            make(path, 4 if options.leaks or options.start else options.seconds)
        if options.leaks:
            result: Any = leaks(path, options.leaks)
        elif options.start:
            result = start(path, options.rounds)
        else:
            result = compare(path, options.rounds)
    machine = {"cores": os.cpu_count(), "load": os.getloadavg()}
    print(f"cores {machine['cores']}, load {machine['load'][0]:.1f}")
    if options.json:
        options.json.write_text(json.dumps({"machine": machine, "result": result}, indent=1) + "\n")


if __name__ == "__main__":
    main()
