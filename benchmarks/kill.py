"""Kills `watchonce watch` at random moments, runs it again, and compares the memory byte for byte.

    python benchmarks/kill.py --minutes 10 --kills 50

Every round starts the real command in a process of its own and sends SIGKILL after a random time, within
the time an undisturbed watch takes, until `--kills` have landed and the last run has ended by itself.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

WATCH = [sys.executable, "-c", "from watchonce.cli import main; main()", "watch"]


def digest(folder: Path) -> str:
    """One hash of every file's name and content."""
    whole = hashlib.sha256()
    for path in sorted(p for p in folder.rglob("*") if p.is_file()):
        whole.update(path.relative_to(folder).as_posix().encode() + b"\0" + path.read_bytes())
    return whole.hexdigest()


def main() -> int:
    """Prints one JSON object; exit code 1 when a memory differs."""
    parser = argparse.ArgumentParser(description="Kill a watch at random moments; compare the memory.")
    parser.add_argument("--minutes", type=float, default=10.0)
    parser.add_argument("--kills", type=int, default=20)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    folder = Path(tempfile.mkdtemp(prefix="watchonce-kill-"))
    env = {**os.environ, "WATCHONCE_HOME": str(folder / "home")}
    film, calm = folder / "film.mp4", folder / "calm.memory"
    draw = [*WATCH[:-1], "draw", str(film), "--minutes", str(options.minutes), "--seed", "7"]
    subprocess.run(draw, env=env, check=True, capture_output=True)
    began = time.monotonic()
    subprocess.run([*WATCH, str(film), "-o", str(calm)], env=env, check=True, capture_output=True)
    whole = time.monotonic() - began
    rng, landed, after_checkpoint, equal, memories = random.Random(options.seed), 0, 0, 0, 0
    good = 0  # kills after which the watch went on to the same bytes
    while landed < options.kills:
        out, before = folder / "killed.memory", landed
        while not out.exists():
            child = subprocess.Popen(
                [*WATCH, str(film), "-o", str(out)],
                env=env,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
            )
            moment = rng.uniform(0.2, 1.1) * whole if landed < options.kills else whole * 20
            try:
                child.wait(moment)
            except subprocess.TimeoutExpired:
                child.send_signal(signal.SIGKILL)
                child.wait()
                landed += 1
                after_checkpoint += (folder / ".killed.memory.watching" / "step.json").exists()
        memories += 1
        same = digest(out) == digest(calm)
        equal += same
        good += (landed - before) * same
        shutil.rmtree(out)
    result = {
        "minutes": options.minutes,
        "undisturbed_s": round(whole, 1),
        "kills": landed,
        "kills_after_a_checkpoint": after_checkpoint,
        "memories": memories,
        "byte_identical": equal,
        "resumed_to_the_same_bytes": f"{good} of {landed}",
    }
    print(json.dumps(result))
    shutil.rmtree(folder)
    return 0 if equal == memories else 1


if __name__ == "__main__":
    sys.exit(main())
