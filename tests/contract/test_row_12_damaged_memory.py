"""Row 12: a bit or a byte of any file of a memory; another schema; another base model, recipe or video."""

from __future__ import annotations

import json
import random
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.contract.conftest import KINDS, seal
from watchonce import library
from watchonce.memory import Memory
from watchonce.types import BadInput, DamagedMemory

Copy = Callable[[str], Path]


def files_of(memory: Path) -> list[Path]:
    return sorted(path for path in memory.rglob("*") if path.is_file())


@pytest.mark.parametrize("kind", KINDS)
def test_a_flipped_bit_in_every_file_is_named_and_refused(copy_of: Copy, kind: str) -> None:
    memory, rng = copy_of(kind), random.Random(12)
    for file in files_of(memory):
        whole = file.read_bytes()
        name = file.relative_to(memory).as_posix()
        for _ in range(3):
            spoilt = bytearray(whole or b"\n")
            spoilt[rng.randrange(len(spoilt))] ^= 1 << rng.randrange(8)
            file.write_bytes(spoilt)
            faults = dict(library.verify(memory))
            assert name in faults or (name == library.SUMS and faults), name
            if not name.startswith(library.THUMBS) and set(faults) - {
                n for n in faults if n.startswith(library.THUMBS)
            }:
                with pytest.raises(DamagedMemory):
                    library.load(memory)
        file.write_bytes(whole)
    assert library.verify(memory) == []


@pytest.mark.parametrize("kind", KINDS)
def test_every_file_cut_short_or_gone_is_named_and_refused(copy_of: Copy, kind: str) -> None:
    memory = copy_of(kind)
    for file in files_of(memory):
        whole = file.read_bytes()
        name = file.relative_to(memory).as_posix()
        for length in sorted(n for n in {0, 1, len(whole) // 2, len(whole) - 1} if 0 <= n < len(whole)):
            file.write_bytes(whole[:length])
            assert library.verify(memory), f"{name} cut to {length} bytes"
            if not name.startswith(library.THUMBS):
                with pytest.raises(DamagedMemory):
                    library.load(memory)
        file.unlink()
        assert library.verify(memory), f"{name} gone"
        file.write_bytes(whole)


def changed(memory: Path, change: Callable[[dict[str, Any]], object]) -> Path:
    """The memory with another manifest, sealed."""
    file = memory / library.MANIFEST
    manifest = json.loads(file.read_text())
    change(manifest)
    file.write_text(json.dumps(manifest))
    seal(memory)
    return memory


@pytest.mark.parametrize(
    ("says", "change"),
    [
        (r"schema 2 is not 1", lambda m: m.update(schema=2)),
        (r"schema 1\.0 is not 1", lambda m: m.update(schema=1.0)),
        (r"schema True is not 1", lambda m: m.update(schema=True)),
        (r"names no schema", lambda m: m.pop("schema")),
        (r"source\.duration is 'long'", lambda m: m["source"].update(duration="long")),
        (r"not a manifest", lambda m: m["source"].update(duration=float("nan"))),
        (r"source\.duration is '-1'", lambda m: m["source"].update(duration=-1)),
        (r"another video", lambda m: m["source"].update(fingerprint="0" * 64)),
        (r"another watch", lambda m: m["recipe"]["budget"].update(fps=2.0)),
        (r"recipe\.name", lambda m: m["recipe"].pop("name")),
        (r"models\.vlm is missing", lambda m: m["models"].pop("vlm")),
        (r"models\.vlm\.revision", lambda m: m["models"].update(vlm={"name": "tiny", "revision": 1})),
        (r"coverage\.gaps\.reason", lambda m: m["coverage"].update(gaps=[{"start": 0, "end": 1}])),
        (r"tensors are not those", lambda m: m["tensors"].update(progress=[3])),
        (r"notes are not those", lambda m: m["notes"].update(speech=1)),
        (r"folders are not those", lambda m: m["folders"].append("adapter")),
    ],
)
def test_a_manifest_of_another_memory_is_refused(
    copy_of: Copy, says: str, change: Callable[[dict[str, Any]], object]
) -> None:
    with pytest.raises(DamagedMemory, match=says) as caught:
        library.load(changed(copy_of("diary"), change))
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    "text", ["", "[]", "null", "{", "[" * 100_000, '{"schema": 1, "schema": 1}', "\ud800"]
)
def test_a_manifest_that_is_none_is_refused(copy_of: Copy, text: str) -> None:
    memory = copy_of("diary")
    (memory / library.MANIFEST).write_bytes(text.encode("utf-8", "surrogatepass"))
    seal(memory)
    with pytest.raises(DamagedMemory, match=r"manifest.json: not a manifest"):
        library.load(memory)


NOTE = {"text": "x", "start": 0.0, "end": 1.0, "source": "caption", "score": None}


@pytest.mark.parametrize(
    "change",
    [
        {"start": float("nan")},
        {"end": float("inf")},
        {"end": -1.0},
        {"start": "0"},
        {"start": True},
        {"text": None},
        {"source": "rumour"},
        {"score": "high"},
    ],
)
def test_a_note_that_is_none_names_its_line(copy_of: Copy, change: dict[str, Any]) -> None:
    memory = copy_of("diary")
    with (memory / library.TIMELINE).open("a") as lines:
        lines.write(json.dumps({**NOTE, **change}) + "\n")
    count = len((memory / library.TIMELINE).read_text().splitlines())
    seal(memory)
    with pytest.raises(DamagedMemory, match=f"timeline.jsonl: line {count} is not a note"):
        library.load(memory)


def test_another_base_model_is_refused(copy_of: Copy) -> None:
    """The revision pins the weights: a manifest that names another, or an adapter made for another."""
    memory = copy_of("nkr")
    other = "0123456789abcdef"
    changed(memory, lambda m: m["models"]["vlm"].update(revision=other))
    with pytest.raises(BadInput, match=f"written by tiny {other[:12]}"):
        Memory.open(memory, model="tiny")


def test_an_adapter_of_another_base_is_refused(copy_of: Copy) -> None:
    memory = copy_of("nkr")
    config = memory / "adapter" / "adapter_config.json"
    whole = json.loads(config.read_text())
    config.write_text(json.dumps({**whole, "revision": "0123456789abcdef"}))
    seal(memory)
    opened = Memory.open(memory, model="tiny")
    with pytest.raises((BadInput, DamagedMemory), match="0123456789abcdef"):
        opened.ask("When was the red cup washed?")


def test_a_recipe_that_cannot_be_is_refused(copy_of: Copy) -> None:
    def change(manifest: dict[str, Any]) -> None:
        manifest["job"] = {}
        manifest["recipe"]["memory"] = {"name": "everything"}

    with pytest.raises(DamagedMemory, match=re.escape("holds no everything memory")):
        Memory.open(changed(copy_of("diary"), change), model="none")


def test_an_endpoint_of_a_strangers_memory_is_not_called(copy_of: Copy) -> None:
    where = "http://169.254.169.254/v1#model"
    memory = changed(
        copy_of("diary"), lambda m: m["models"].update(vlm={"name": where, "revision": "remote:model"})
    )
    with pytest.raises(BadInput, match="if you trust it"):
        Memory.open(memory)
