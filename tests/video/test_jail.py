"""What a confined process can still do: read what it was given and compute; and nothing else."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

TRY = """
import json, os, signal, socket, subprocess, sys, threading
from pathlib import Path
import numpy as np
from watchonce.video.jail import confine
from watchonce.video.limits import Limits

given, other, parent = Path(sys.argv[1]), Path(sys.argv[2]), int(sys.argv[3])
held = confine([given], given.parent, Limits(memory=2 << 30))

def outcome(deed):
    try:
        deed()
    except OSError as error:
        return type(error).__name__
    except (MemoryError, RuntimeError) as error:
        return type(error).__name__
    return "done"

def thread():
    started = threading.Thread(target=lambda: None)
    started.start()
    started.join()

deeds = {
    "read what was given": given.read_bytes,
    "list its folder": lambda: os.listdir(given.parent),
    "start a thread": thread,
    "use a library": lambda: __import__("colorsys"),
    "read another file": other.read_bytes,
    "read a password file": Path("/etc/passwd").read_bytes,
    "look at other processes": lambda: os.listdir("/proc"),
    "write what was given": lambda: given.open("ab"),
    "make a file": lambda: given.with_name("new").write_text("x"),
    "delete a file": given.unlink,
    "reach the network": lambda: socket.create_connection(("127.0.0.1", 9), 1),
    "open a socket": lambda: socket.socket(socket.AF_UNIX),
    "run a program": lambda: os.execv(sys.executable, [sys.executable]),
    "make a process": os.fork,
    "signal another": lambda: os.kill(parent, signal.SIGCONT),
    "take memory": lambda: np.ones(3 << 30, np.uint8),
}
print(json.dumps({"held": held, **{name: outcome(deed) for name, deed in deeds.items()}}))
"""


@pytest.mark.skipif(sys.platform != "linux", reason="Landlock and seccomp are Linux's")
def test_a_confined_process_reads_what_it_was_given_and_nothing_else(tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    given, other = tmp_path / "in" / "film.mp4", tmp_path / "other.txt"
    given.write_text("film")
    other.write_text("secret")
    done = subprocess.run(
        [sys.executable, "-c", TRY, str(given), str(other), str(os.getpid())],
        capture_output=True,
        text=True,
        check=True,
    )
    found = json.loads(done.stdout)
    held = found.pop("held")
    assert held[0] == "limits"
    assert found["take memory"] == "MemoryError"
    can = ("read what was given", "list its folder", "start a thread", "use a library")
    assert {found[name] for name in can} == {"done"}
    if not {"landlock", "seccomp"} <= set(held):
        pytest.skip(f"this kernel confines by {', '.join(held)} alone")
    cannot = set(found) - set(can) - {"take memory"}
    assert {name: found[name] for name in cannot} == dict.fromkeys(cannot, "PermissionError")
    assert given.read_text() == "film"
