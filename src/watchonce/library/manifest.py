"""A memory's manifest, every part of it of the kind that its readers count on. It opens one file."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from watchonce.library.form import MANIFEST, MOST, SCHEMA
from watchonce.types import DamagedMemory

OPTIONAL = "?"  # at the end of a key's kinds: the value may be null
SOURCE = {"name": "text", "fingerprint": "text", "duration": "number", "width": "count", "height": "count"}
COVERAGE = {
    "declared": "number",
    "watched": "number",
    "decoded": "count",
    "kept": "count",
    "fps": f"number{OPTIONAL}",
    "gaps": "list",
    "warnings": "list",
}
GAP = {"start": "number", "end": "number", "reason": "text"}
TOP = {
    "version": "text",
    "source": "table",
    "models": "table",
    "recipe": "table",
    "job": "table",
    "coverage": "table",
    "notes": "table",
    "tensors": "table",
    "folders": "list",
}


def read_manifest(folder: Path) -> dict[str, Any]:
    """The manifest of a memory folder; DamagedMemory for one that is none or of another schema."""
    file = folder / MANIFEST
    try:
        if file.stat().st_size > MOST[MANIFEST]:
            raise ValueError(f"it has {file.stat().st_size} bytes, at most {MOST[MANIFEST]} are read")
        found = json.loads(file.read_text(encoding="utf-8"), object_pairs_hook=_once, parse_constant=_no)
        if not isinstance(found, dict) or "schema" not in found:
            raise ValueError("it names no schema")
    except (OSError, ValueError, RecursionError) as error:
        raise DamagedMemory(f"{file}: not a manifest ({error}); watch the video again") from error
    if type(found["schema"]) is not int or found["schema"] != SCHEMA:
        raise DamagedMemory(
            f"{folder}: schema {str(found['schema'])[:40]} is not {SCHEMA}; use the watchonce that wrote it"
        )
    try:
        _check(found)
    except ValueError as error:
        raise DamagedMemory(f"{file}: {error}; watch the video again") from error
    return found


def _check(found: Mapping[str, Any]) -> None:
    """ValueError that names the first value of a wrong kind."""
    _kinds(found, TOP, "")
    _kinds(found["source"], SOURCE, "source.")
    _kinds(found["coverage"], COVERAGE, "coverage.")
    for gap in found["coverage"]["gaps"]:
        _kinds(gap if isinstance(gap, dict) else {}, GAP, "coverage.gaps.")
    if not all(isinstance(line, str) for line in found["coverage"]["warnings"]):
        raise ValueError("coverage.warnings holds something that is no text")
    _kinds(found["recipe"], {"name": "text"}, "recipe.")
    if "vlm" not in found["models"]:
        raise ValueError("models.vlm is missing")
    for body, model in found["models"].items():
        if model is not None:
            pinned = {"name": "text"} if body == "text" else {"name": "text", "revision": "text"}
            _kinds(model if isinstance(model, dict) else {}, pinned, f"models.{body[:20]}.")
    if not all(_is(count, "count") for count in found["notes"].values()):
        raise ValueError("notes holds something that is no count")
    job, source = found["job"], found["source"]
    if job.get("source", source["fingerprint"]) != source["fingerprint"]:
        raise ValueError("job.source is not source.fingerprint: it is the manifest of another video")
    if job.get("recipe", found["recipe"]) != found["recipe"]:
        raise ValueError("job.recipe is not the recipe: it is the manifest of another watch")


def _kinds(table: Mapping[str, Any], kinds: Mapping[str, str], where: str) -> None:
    for key, kind in kinds.items():
        if key not in table:
            raise ValueError(f"{where}{key} is missing")
        if not _is(table[key], kind):
            raise ValueError(f"{where}{key} is {str(table[key])[:40]!r}, which is no {kind.rstrip(OPTIONAL)}")


def _is(value: Any, kind: str) -> bool:
    if value is None:
        return kind.endswith(OPTIONAL)
    if kind == "count":
        return type(value) is int and 0 <= value < 2**63
    if kind.startswith("number"):
        return type(value) in (int, float) and 0 <= value < 1e12 and math.isfinite(value)
    return isinstance(value, {"text": str, "table": dict, "list": list}[kind])


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """A JSON object whose names come once; ValueError."""
    found = dict(pairs)
    if len(found) != len(pairs):
        raise ValueError("a name comes twice")
    return found


def _no(constant: str) -> Any:
    raise ValueError(f"{constant} is no JSON")
