"""How fast one frame a second is read from a 720p30 H.264 file (GOP 60), beside other readers.

    python benchmarks/decode.py                      # makes the file, runs all contenders, prints a table
    python benchmarks/decode.py --video mine.mp4 --rounds 5 --json out.json
    python benchmarks/decode.py --torchcodec-python /path/to/python

Every contender runs in a process of its own and hands over RGB frames at full size; wall, CPU and peak
memory are that process's. Rounds are interleaved (A B C, A B C, ...) and medians reported, so that other
load on the machine meets all alike. A contender that is not installed is reported as skipped.
"""

from __future__ import annotations

import argparse
import importlib.util
import json
import os
import resource
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from fractions import Fraction
from pathlib import Path
from typing import Any, cast

import numpy as np

WIDTH, HEIGHT, RATE, GOP = 1280, 720, 30, 60


def make(path: Path, seconds: int) -> None:
    """Writes moving texture with grain and a moving block: H.264 veryfast, 3 B-frames, GOP 60."""
    import av
    from av.video.frame import VideoFrame

    rng = np.random.default_rng(0)
    coarse = rng.integers(0, 200, (HEIGHT // 8 + 50, WIDTH // 8 + 60), dtype=np.uint8)
    texture = coarse.repeat(8, 0).repeat(8, 1)
    grain = rng.integers(0, 8, (HEIGHT + 64, WIDTH + 64), dtype=np.uint8)
    chroma = rng.integers(90, 160, (HEIGHT // 16, WIDTH // 8), dtype=np.uint8).repeat(8, 0).repeat(8, 1)
    with av.open(str(path), "w") as out:
        stream = cast(Any, out.add_stream("libx264", rate=RATE))
        stream.width, stream.height, stream.pix_fmt = WIDTH, HEIGHT, "yuv420p"
        stream.options = {
            "preset": "veryfast",
            "crf": "23",
            "g": str(GOP),
            "keyint_min": str(GOP),
            "sc_threshold": "0",
        }
        for i in range(seconds * RATE):
            y, x = (i * 2) % 300, (i * 3) % 400
            luma = texture[y : y + HEIGHT, x : x + WIDTH] + grain[i % 60 :, i * 7 % 60 :][:HEIGHT, :WIDTH]
            row, column = int(HEIGHT / 2 * (1 + np.sin(i / 25))), int(WIDTH / 2 * (1 + np.cos(i / 40)))
            luma[max(0, row - 60) : row + 60, max(0, column - 60) : column + 60] = i % 256
            frame = VideoFrame.from_ndarray(
                np.concatenate([luma, chroma.reshape(-1, WIDTH)]), format="yuv420p"
            )
            frame.pts, frame.time_base = i, Fraction(1, RATE)
            out.mux(stream.encode(frame))
        out.mux(stream.encode())


def repeat(source: Path, target: Path, times: int) -> None:
    """The same film `times` over in one file, without encoding again."""
    import av

    with av.open(str(target), "w") as out:
        stream: Any = None
        base = 0
        for _ in range(times):
            with av.open(str(source)) as inp:
                old = inp.streams.video[0]
                stream = stream or out.add_stream_from_template(old)
                for packet in inp.demux(old):
                    if packet.dts is None or packet.pts is None:
                        continue
                    packet.pts, packet.dts, packet.stream = packet.pts + base, packet.dts + base, stream
                    out.mux(packet)
                base += old.duration or 0


def read_ours(path: Path, keyframes: bool = False, threads: int | None = None) -> int:
    """This project's reader; `frames(1)`. What its decoding process took is known once that has ended."""
    from watchonce.video import open_video, server

    count = sum(len(batch) for batch in open_video(path, keyframes=keyframes, threads=threads).frames(1))
    server.stop()
    return count


def read_pyav(path: Path) -> int:
    """The loop everybody writes: decode all with automatic threads, convert one a second."""
    import av

    count, due = 0, 0.0
    with av.open(str(path)) as inp:
        stream = inp.streams.video[0]
        stream.thread_type = "AUTO"
        for frame in inp.decode(stream):
            if frame.time is not None and frame.time >= due:
                frame.to_ndarray(format="rgb24")
                count, due = count + 1, due + 1
    return count


def read_torchcodec(path: Path) -> int:
    """torchcodec, exact seek mode, times asked in batches of 32, its own choice of threads."""
    from torchcodec.decoders import VideoDecoder  # pyright: ignore[reportMissingImports]

    decoder = VideoDecoder(str(path), seek_mode="exact", num_ffmpeg_threads=0)
    times = list(range(int(decoder.metadata.duration_seconds)))
    return sum(len(decoder.get_frames_played_at(seconds=times[i : i + 32])) for i in range(0, len(times), 32))


def read_ffmpeg(path: Path) -> int:
    """The ffmpeg program with its fps filter, raw RGB through a pipe."""
    command = [
        "ffmpeg",
        "-v",
        "error",
        "-nostdin",
        "-i",
        str(path),
        "-vf",
        "fps=1:round=down",
        "-f",
        "rawvideo",
    ]
    total, block = 0, bytearray(1 << 20)
    with subprocess.Popen([*command, "-pix_fmt", "rgb24", "-"], stdout=subprocess.PIPE) as child:
        assert child.stdout is not None
        while got := cast(Any, child.stdout).readinto(block):
            total += got
    return total // (WIDTH * HEIGHT * 3)


READERS: dict[str, Callable[[Path], int]] = {
    "watchonce": read_ours,
    "watchonce, 1 thread": lambda path: read_ours(path, threads=1),
    "watchonce, keyframes": lambda path: read_ours(path, keyframes=True),
    "PyAV loop": read_pyav,
    "torchcodec exact": read_torchcodec,
    "ffmpeg fps=1": read_ffmpeg,
}


def child(name: str, path: Path) -> None:
    """Runs one contender and prints its measurements."""
    begin = time.perf_counter()
    frames = READERS[name](path)
    wall = time.perf_counter() - begin
    own, under = resource.getrusage(resource.RUSAGE_SELF), resource.getrusage(resource.RUSAGE_CHILDREN)
    cpu = own.ru_utime + own.ru_stime + under.ru_utime + under.ru_stime
    print(
        json.dumps(
            {"frames": frames, "wall": wall, "cpu": cpu, "rss_mb": max(own.ru_maxrss, under.ru_maxrss) / 1024}
        )
    )


def measure(name: str, path: Path, python: str) -> dict[str, float]:
    """One run in a fresh process; wall includes starting Python and importing."""
    begin = time.perf_counter()
    command = [python, __file__, "--child", name, "--video", str(path)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise RuntimeError(f"{name} failed: {done.stderr.strip().splitlines()[-1:]}")
    return {**json.loads(done.stdout), "total": time.perf_counter() - begin}


def available(name: str, python: str) -> str | None:
    """Why a contender cannot run, or None."""
    if name.startswith("ffmpeg"):
        return None if shutil.which("ffmpeg") else "no ffmpeg program on PATH"
    if name.startswith("torchcodec"):
        if python == sys.executable and importlib.util.find_spec("torchcodec") is None:
            return "torchcodec is not installed"
        probe = subprocess.run([python, "-c", "import torchcodec.decoders"], capture_output=True, check=False)
        return "torchcodec does not load (it needs a shared FFmpeg)" if probe.returncode else None
    return None


def compare(path: Path, rounds: int, codec_python: str) -> dict[str, Any]:
    """Interleaved rounds of all contenders; medians."""
    runs: dict[str, list[dict[str, float]]] = {}
    skipped: dict[str, str] = {}
    for name in READERS:
        python = codec_python if name.startswith("torchcodec") else sys.executable
        reason = available(name, python)
        if reason:
            skipped[name] = reason
        else:
            runs[name] = []
    for _ in range(rounds):
        for name in runs:
            python = codec_python if name.startswith("torchcodec") else sys.executable
            runs[name].append(measure(name, path, python))
    table = {
        name: {key: statistics.median(run[key] for run in found) for key in found[0]} | {"runs": found}
        for name, found in runs.items()
    }
    return {"table": table, "skipped": skipped}


def memory(path: Path, folder: Path) -> dict[str, float]:
    """Peak memory while reading the file, and the file ten times over."""
    long = folder / "ten_times.mp4"
    repeat(path, long, 10)
    short = measure("watchonce", path, sys.executable)
    whole = measure("watchonce", long, sys.executable)
    long.unlink()
    return {
        "short_frames": short["frames"],
        "long_frames": whole["frames"],
        "short_mb": short["rss_mb"],
        "long_mb": whole["rss_mb"],
        "ratio": whole["rss_mb"] / short["rss_mb"],
    }


def show(result: dict[str, Any]) -> None:
    """Prints the table."""
    table = result["table"]
    others = {n: r for n, r in table.items() if not n.startswith("watchonce")}
    best = min((r["wall"] for r in others.values()), default=table["watchonce"]["wall"])
    print(f"{'reader':22}{'frames':>8}{'wall s':>9}{'CPU s':>9}{'peak MB':>9}{'best other / this':>19}")
    for name, row in table.items():
        print(
            f"{name:22}{row['frames']:8.0f}{row['wall']:9.2f}{row['cpu']:9.2f}"
            f"{row['rss_mb']:9.0f}{best / row['wall']:18.2f}x"
        )
    for name, reason in result["skipped"].items():
        print(f"{name:22}  skipped: {reason}")
    if memory := result.get("memory"):
        print(
            f"peak memory, {memory['short_frames']:.0f} s of video: {memory['short_mb']:.1f} MB; "
            f"{memory['long_frames']:.0f} s: {memory['long_mb']:.1f} MB; ratio {memory['ratio']:.3f}"
        )


def main() -> None:
    """Reads the options and runs."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--video", type=Path, help="measure this file instead of a generated one")
    parser.add_argument("--seconds", type=int, default=180, help="length of the generated file")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--json", type=Path, help="write all measurements here")
    parser.add_argument("--torchcodec-python", default=sys.executable, help="interpreter that has torchcodec")
    parser.add_argument("--no-memory", action="store_true", help="leave out the ten-times-longer file")
    parser.add_argument("--child", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.child:
        child(options.child, options.video)
        return
    with tempfile.TemporaryDirectory() as folder:
        path = options.video or Path(folder) / "film.mp4"
        if options.video is None:
            make(path, options.seconds)
        result = compare(path, options.rounds, options.torchcodec_python)
        if not options.no_memory:
            result["memory"] = memory(path, Path(folder))
    result["machine"] = {"cores": os.cpu_count(), "load": os.getloadavg()}
    show(result)
    if options.json:
        options.json.write_text(json.dumps(result, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
