"""What is installed, what would be used, and what is missing for what, with the cure. Changes nothing.

Every fact is looked up when asked. A part that is broken is a fact too: it is listed under `problems`,
and the rest is still told.
"""

from __future__ import annotations

import os
import shutil
import sqlite3
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

from watchonce import library, machine
from watchonce.types import WatchonceError

SAFE_WAL = (3, 51, 3)  # before it, resetting a write-ahead log could corrupt a database
FULL = 2 * 10**9  # bytes; with less free a long film or a hub model may not fit
# package -> what is worse without it, and the cure
OPTIONAL = {
    "torchcodec": ("nothing but a comparison in the decode benchmark", 'pip install "watchonce[fast]"'),
    "accelerate": ("large models cannot be spread over several devices", "pip install accelerate"),
    "hf-xet": ("hub models download more slowly", "pip install hf-xet"),
}
ON = ("1", "on", "yes", "true")


def describe() -> dict[str, Any]:
    """All facts as plain values; `problems` is the list of what should be mended. Never raises."""
    problems: list[str] = []
    versions = machine.versions()
    problems += [
        f"{name} is not installed: pip install --force-reinstall watchonce"
        for name in machine.PACKAGES
        if versions[name] is None
    ]
    return {
        "watchonce": versions["watchonce"],
        "python": f"{versions['python']} at {sys.executable}",
        "packages": {name: versions[name] for name in machine.PACKAGES},
        "machine": machine.hardware(),
        "device": _device(problems),
        "ffmpeg": _ffmpeg(problems),
        "sqlite": _sqlite(problems),
        "tiny": _tiny(problems),
        "hub": _hub(),
        "optional": _optional(),
        "library": _library(problems),
        "problems": problems,
    }


def text(facts: Mapping[str, Any]) -> str:
    """The facts in lines for people."""
    lines: list[str] = []
    for name, value in facts.items():
        if name == "problems":
            continue
        inner = value if isinstance(value, Mapping) else {"": value}
        for number, (key, fact) in enumerate(inner.items()):
            lines.append(f"{name if number == 0 else '':11}{key:13}{_plain(key, fact)}".rstrip())
    lines += ["", *(f"problem: {problem}" for problem in facts["problems"])]
    return "\n".join(lines if facts["problems"] else [*lines, "all is well"])


def _plain(key: str, fact: Any) -> str:
    if fact is None:
        return "-"
    if isinstance(fact, bool):
        return "yes" if fact else "no"
    if isinstance(fact, int) and (key in ("memory", "bytes") or key.endswith("_bytes")):
        return f"{fact / 1e9:.2f} GB" if fact >= 1e8 else f"{fact / 1e6:.2f} MB"
    if isinstance(fact, Mapping):
        return ", ".join(f"{k} {v}" for k, v in fact.items())
    return f"{fact:.2f}" if isinstance(fact, float) else str(fact)


def _device(problems: list[str]) -> dict[str, Any]:
    """The device a model would run on, and why."""
    try:
        import torch

        from watchonce.models.source import pick_device
    except (ImportError, OSError) as error:  # OSError: a shared library of torch is missing or foreign
        problems.append(f"torch does not load ({error}): pip install --force-reinstall torch")
        return {"chosen": None, "why": "torch does not load", "threads": None}
    chosen, why = pick_device("auto")
    return {"chosen": chosen, "why": why, "threads": torch.get_num_threads()}


def _ffmpeg(problems: list[str]) -> dict[str, Any]:
    """The FFmpeg that came inside the wheel of PyAV, and the codecs that matter here."""
    try:
        import av
        from av.codec import Codec
        from av.codec.codec import UnknownCodecError
    except (ImportError, OSError) as error:
        problems.append(f"PyAV does not load ({error}): pip install --force-reinstall av")
        return {"libraries": {}}
    found: dict[str, Any] = {"version": getattr(av, "ffmpeg_version_info", None)}
    found["libraries"] = {
        name: ".".join(map(str, number)) for name, number in sorted(av.library_versions.items())
    }
    wanted: tuple[tuple[Literal["r", "w"], str, tuple[str, ...]], ...] = (
        ("r", "reads", ("h264", "hevc", "vp8", "vp9", "av1", "mpeg4")),
        ("w", "writes", ("libx264",)),
    )
    for mode, what, names in wanted:
        known = []
        for name in names:
            try:
                Codec(name, mode)
                known.append(name)
            except UnknownCodecError:
                problems.append(f"this PyAV cannot {what[:-1]} {name}: pip install --force-reinstall av")
        found[what] = " ".join(known)
    return found


def _sqlite(problems: list[str]) -> dict[str, Any]:
    version = sqlite3.sqlite_version_info
    try:
        with sqlite3.connect(":memory:") as db:
            db.execute("CREATE VIRTUAL TABLE probe USING fts5(text)")
        search = True
    except sqlite3.OperationalError:
        search = False
        problems.append("this Python's SQLite has no FTS5, which searching notes needs: use another Python")
    safe = version >= SAFE_WAL
    return {
        "version": sqlite3.sqlite_version,
        "fts5": search,
        "wal_safe": safe,
        "journal": "rollback" + ("" if safe else " (a write-ahead log is safe from 3.51.3 on)"),
    }


def _tiny(problems: list[str]) -> dict[str, Any]:
    """The model that ships."""
    try:
        from watchonce.models.source import find

        source = find("tiny")
    except (WatchonceError, OSError) as error:
        problems.append(f"tiny model: {error}")
        return {"present": False, "revision": None, "bytes": None, "cure": str(error)}
    size = sum(file.stat().st_size for file in source.folder.iterdir() if file.is_file())
    return {"present": True, "revision": source.revision, "bytes": size}


def _hub() -> dict[str, Any]:
    """How models would be fetched: whether the hub may be asked, the cache, whether there is a token."""
    cache = os.environ.get("HF_HUB_CACHE") or str(
        Path(os.environ.get("HF_HOME") or Path.home() / ".cache" / "huggingface") / "hub"
    )
    return {
        "offline": os.environ.get("HF_HUB_OFFLINE", "").lower() in ON,
        "cache": cache,
        "models": sum(1 for _ in Path(cache).glob("models--*")),
        "token": bool(os.environ.get("HF_TOKEN")),
    }


def _optional() -> dict[str, str]:
    found = {}
    for name, (loss, cure) in OPTIONAL.items():
        found[name] = machine.installed(name) or f"not installed; without it: {loss}; cure: {cure}"
    return found


def _library(problems: list[str]) -> dict[str, Any]:
    """Where memories without -o go, how many are known, and the room left."""
    folder = library.home()
    there = folder
    while not there.exists():
        there = there.parent
    writable = os.access(there, os.W_OK)
    if not writable:
        problems.append(f"{there} cannot be written: set WATCHONCE_HOME to a folder of yours")
    free = shutil.disk_usage(there).free
    if free < FULL:
        problems.append(
            f"only {free / 1e9:.1f} GB free at {there}: make room, or set WATCHONCE_HOME elsewhere"
        )
    memories: int | None = 0
    if (folder / "catalogue.sqlite").is_file():
        try:
            memories = len(library.Catalogue(folder).rows())
        except WatchonceError as error:
            memories = None
            problems.append(str(error))
    return {"folder": str(folder), "memories": memories, "writable": writable, "free_bytes": free}
