"""The asset: a plain PEFT folder with a manifest `nkr.json`, its size by rule, and two of them as one.

The manifest says what model, what video and what study it came from, and how it did; PEFT and vLLM pass it
by. This file trains nothing (`school.py` does) and answers nothing.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from watchonce.contracts import VLM, Desk, Lora
from watchonce.study.items import Corpus
from watchonce.tensorfile import check_finite
from watchonce.types import BadInput, DamagedMemory

if TYPE_CHECKING:
    from torch import Tensor

CONFIG, WEIGHTS, MANIFEST = "adapter_config.json", "adapter_model.safetensors", "nkr.json"
RANKS = ((600.0, 8), (3600.0, 16), (7200.0, 32), (float("inf"), 64))  # seconds of video up to which, rank
SIDES = ("lora_A", "lora_B")
BASE = ("base_model_name_or_path", "revision")


def lora_for(vlm: VLM, seconds: float, numbers: int | None, seed: int) -> Lora:
    """The rank that the length of the video asks for, halved until the matrices have at most `numbers`."""
    rank = next(rank for longest, rank in RANKS if seconds <= longest)
    if numbers is not None:
        with vlm.learn(Lora(1, 2)) as student:
            one = sum(p.numel() for p in student.module.parameters())
        if one > numbers:
            raise BadInput(f"budget.memory = {numbers} holds no adapter; the least one has {one} numbers")
        while rank * one > numbers:
            rank //= 2
    return Lora(rank, 2 * rank, seed)


def pack(
    folder: Path,
    desk: Desk,
    vlm: VLM,
    corpus: Corpus,
    lora: Lora,
    found: Mapping[str, Any],
    taught: Mapping[str, Any],
) -> None:
    """Writes the manifest into an adapter's folder.

    found, taught: what agent and school report, without clock times.
    """
    video = desk.video
    facts = {
        "format": "nkr/1",
        "base": {"name": vlm.name, "revision": vlm.revision},
        "carrier": {"type": "lora", "rank": lora.rank, "alpha": lora.alpha, "seed": lora.seed},
        "video": {"name": video.name, "fingerprint": video.fingerprint, "duration": video.duration},
        "coverage": None if desk.coverage is None else asdict(desk.coverage),
        "study": {
            "events": len(corpus.events),
            "items": len(corpus.items),
            "probe": len(corpus.probe),
            "dropped": dict(corpus.dropped),
            "findings": dict(found),
        },
        "school": dict(taught),
    }
    text = json.dumps(facts, indent=1, sort_keys=True, ensure_ascii=False) + "\n"
    (folder / MANIFEST).write_text(text, encoding="utf-8")


def shape_of(folder: Path) -> tuple[int, int]:
    """Rank and alpha of an adapter's folder."""
    try:
        config = json.loads((folder / CONFIG).read_text(encoding="utf-8"))
        return int(config["r"]), int(config["lora_alpha"])
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise DamagedMemory(f"{folder / CONFIG} cannot be read ({error}): copy or train it again") from error


def merge(folders: Sequence[Path], out: Path, weights: Sequence[float] | None = None) -> Path:
    """One adapter whose change of every matrix is the weighted sum of theirs, exactly; ranks add up.

    All must be plain (`models/folded.py`), of one base, and adapt the same modules; alpha / rank may differ.
    The default weights are 1. What the one knows the other's change disturbs: an adapter that is to know two
    videos is better taught with both (docs/nkr.md).
    """
    from safetensors.torch import load_file, save_file

    from watchonce.models.adapter import read_config
    from watchonce.models.folded import is_plain

    weights = [1.0] * len(folders) if weights is None else list(weights)
    if len(folders) < 2 or len(weights) != len(folders):
        raise BadInput(
            f"a merge takes two adapters or more and a weight each, got {len(folders)}, {len(weights)}"
        )
    configs = [read_config(folder) for folder in folders]
    for folder in folders:
        check_finite(folder / WEIGHTS, cure="copy or train the adapter again")
    parts = [load_file(folder / WEIGHTS) for folder in folders]
    for folder, part, config in zip(folders, parts, configs, strict=True):
        if not is_plain(config, part.keys()):
            raise BadInput(
                f"{folder} is more than W x + (alpha / r) B A x: only plain adapters can be merged"
            )
        if part.keys() != parts[0].keys() or any(config.get(k) != configs[0].get(k) for k in BASE):
            raise BadInput(f"{folder} and {folders[0]} are not adapters of one model: they cannot be one")
    rank = sum(int(config["r"]) for config in configs)
    scales = [w * c["lora_alpha"] / c["r"] for w, c in zip(weights, configs, strict=True)]
    joined = {key: _joined(key, parts, scales) for key in sorted(parts[0])}
    out.mkdir(parents=True, exist_ok=True)
    save_file(joined, out / WEIGHTS, metadata={"format": "pt"})
    config = {**configs[0], "r": rank, "lora_alpha": rank}  # the scales are in B already
    (out / CONFIG).write_text(json.dumps(config, indent=1, sort_keys=True) + "\n", encoding="utf-8")
    return out


def _joined(key: str, parts: Sequence[Mapping[str, Tensor]], scales: Sequence[float]) -> Tensor:
    """All A below one another, all B beside one another and scaled, in float16."""
    import torch

    if SIDES[0] in key:
        return torch.cat([part[key] for part in parts]).contiguous()
    return torch.cat(
        [(part[key].float() * s).half() for part, s in zip(parts, scales, strict=True)], 1
    ).contiguous()
