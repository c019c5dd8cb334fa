"""Facts about this machine and what is installed on it. Imports nothing heavy."""

from __future__ import annotations

import os
import platform
import sqlite3
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from watchonce import __version__

PACKAGES = (
    "torch",
    "torchvision",
    "transformers",
    "av",
    "numpy",
    "pillow",
    "safetensors",
    "tokenizers",
    "peft",
)


def installed(package: str) -> str | None:
    """The version of an installed package, None where there is none."""
    try:
        return version(package)
    except PackageNotFoundError:
        return None


def versions() -> dict[str, str | None]:
    """watchonce, Python, SQLite and the packages that decide results."""
    own = {
        "watchonce": __version__,
        "python": platform.python_version(),
        "sqlite": sqlite3.sqlite_version,
    }
    return own | {name: installed(name) for name in PACKAGES}


def cores() -> int:
    """Cores this process may use, which a container or taskset may have cut down."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def memory_bytes() -> int | None:
    """Memory of the machine, or of the container where that is less; None where neither says."""
    found = []
    for file in ("/sys/fs/cgroup/memory.max", "/sys/fs/cgroup/memory/memory.limit_in_bytes"):
        text = _line(Path(file))
        if text.isdigit():
            found.append(int(text))
    if {"SC_PAGE_SIZE", "SC_PHYS_PAGES"} <= getattr(os, "sysconf_names", {}).keys():
        found.append(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES"))
    return min(found, default=None)


def processor() -> str:
    """The processor's name."""
    for line in _text(Path("/proc/cpuinfo")).splitlines():
        if line.startswith("model name"):
            return line.partition(":")[2].strip()
    return platform.processor() or platform.machine()


def hardware() -> dict[str, Any]:
    """Processor, cores, memory in bytes, system, and how loaded it was just now."""
    load = os.getloadavg()[0] if hasattr(os, "getloadavg") else None
    return {
        "processor": processor(),
        "cores": cores(),
        "memory": memory_bytes(),
        "system": f"{platform.system()} {platform.release()} {platform.machine()}",
        "load": load,
    }


def _line(path: Path) -> str:
    return _text(path).partition("\n")[0].strip()


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8", errors="replace")
    except OSError:
        return ""
