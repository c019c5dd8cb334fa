"""Real memories for the contract: a diary, the tokens of long_vmnet, and an adapter; made once a session."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from tests.parts import Eye
from watchonce import library, pipeline, recipe
from watchonce.contracts import Bodies, MemoryState
from watchonce.library import Catalogue
from watchonce.models.source import TINY
from watchonce.types import Coverage, Note
from watchonce.video.drawn.film import draw
from watchonce.video.reader import Reader

KINDS = ("diary", "long_vmnet", "nkr")


@pytest.fixture(scope="session")
def film(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Seventy seconds, two windows."""
    path = tmp_path_factory.mktemp("film") / "home.mp4"
    draw(path, seconds=70, seed=3, fps=2.0)
    return path


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A library of the test's own."""
    monkeypatch.setenv("WATCHONCE_HOME", str(tmp_path / "home"))
    return tmp_path / "home"


class Here(Reader):
    """A video that is decoded in this process, which a test may fork or kill."""

    def __init__(self, path: Path) -> None:
        super().__init__(path)
        self.name, self.fingerprint = path.name, library.digest(path)

    def notes(self) -> list[Note]:
        """No subtitles."""
        return []


def walk(film: Path, out: Path, *, force: bool = False, home: Path | None = None) -> Path:
    """A diary by the hand-made eye."""
    bodies = Bodies(vlm=Eye())  # type: ignore[arg-type]
    plan, catalogue = recipe.load("diary"), Catalogue(home or out.parent / "home")
    return pipeline.watch(Here(film), out, plan, bodies, catalogue=catalogue, force=force)


def _relational(film: Path, out: Path) -> Path:
    from watchonce.models.vision import load_vision

    if not (TINY / "config.json").is_file():
        pytest.skip("the tiny model is not in this checkout; run watchonce train tiny")
    plan, bodies = recipe.load("long_vmnet"), Bodies(vision=load_vision("tiny"))
    return pipeline.watch(Here(film), out, plan, bodies, catalogue=Catalogue(out.parent / "home"))


def _adapter(film: Path, out: Path) -> Path:
    """A memory as nkr leaves it, with an adapter of the tiny model that changes nothing: its files matter."""
    from watchonce.models.source import weights_hash
    from watchonce.tensorfile import read_header

    if not (TINY / "config.json").is_file():
        pytest.skip("the tiny model is not in this checkout; run watchonce train tiny")
    adapter, work, revision = out.parent / "adapter", out.parent / "work", weights_hash(TINY)
    adapter.mkdir()
    work.mkdir()
    matrices = {}
    for name, entry in read_header(TINY / "model.safetensors").entries.items():
        if "text_model" in name and name.endswith("q_proj.weight"):
            stem = f"base_model.model.{name.removesuffix('.weight')}"
            matrices[f"{stem}.lora_A.weight"] = torch.full((2, entry.shape[1]), 0.01)
            matrices[f"{stem}.lora_B.weight"] = torch.zeros(entry.shape[0], 2)
    assert matrices, "the tiny model has other names: nothing would be adapted"
    save_file(matrices, adapter / "adapter_model.safetensors")
    config = {
        "peft_type": "LORA",
        "r": 2,
        "lora_alpha": 4,
        "target_modules": ["q_proj"],
        "base_model_name_or_path": "tiny",
        "revision": revision,
    }
    (adapter / "adapter_config.json").write_text(json.dumps(config))
    (adapter / "nkr.json").write_text(json.dumps({"format": "nkr/1"}))
    video = Here(film)
    facts = {
        "schema": library.SCHEMA,
        "version": "test",
        "source": {
            "name": video.name,
            "fingerprint": video.fingerprint,
            "duration": video.duration,
            "width": video.width,
            "height": video.height,
        },
        "models": {"vlm": {"name": "tiny", "revision": revision}, "text": None, "vision": None},
        "recipe": recipe.load("nkr").as_dict(),
        "job": {},
        "coverage": asdict(Coverage(70.0, 70.0, 140, 70, 1.0)),
    }
    state = MemoryState({}, (Note("someone washes the red cup", 1.0, 2.0),), {"adapter": adapter})
    library.publish(work, out, facts, state, replace=False)
    return out


@pytest.fixture(scope="session")
def originals(film: Path, tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    """A memory by kind; nobody may change it."""
    made: dict[str, Path] = {}
    makers = {"diary": walk, "long_vmnet": _relational, "nkr": _adapter}

    def get(kind: str) -> Path:
        if kind not in made:
            made[kind] = makers[kind](film, tmp_path_factory.mktemp(kind) / f"{kind}.memory")
        return made[kind]

    return get


@pytest.fixture
def copy_of(originals: Callable[[str], Path], tmp_path: Path) -> Callable[[str], Path]:
    """A copy of a memory by kind, to be spoilt."""

    def get(kind: str) -> Path:
        return Path(shutil.copytree(originals(kind), tmp_path / f"{kind}.memory"))

    return get


def seal(memory: Path) -> None:
    """Makes the checksums right again, as whoever wants to get in would."""
    files = sorted(p for p in memory.rglob("*") if p.is_file() and p.name != library.SUMS)
    lines = (f"{library.digest(p)}  {p.relative_to(memory).as_posix()}\n" for p in files)
    (memory / library.SUMS).write_text("".join(lines))
