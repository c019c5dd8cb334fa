"""Four short drawn films as the trainer sees them, encoded once by the shipped tower."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

import pytest
import torch

from watchonce.methods.long_vmnet import LongVMNet, preset
from watchonce.models.vision import load_vision
from watchonce.train.relational.dealing import Study
from watchonce.train.relational.films import Film, FilmKey, open_film
from watchonce.video.drawn.world import ACTIVITIES

SECONDS = 150.0
STUDY = Study(steps=8, room=24, clip=6, batch=2, past=2, each=6, cells=24)


@dataclass
class Room:
    """Where the films' features lie, and the films."""

    cache: Path
    films: list[Film] = field(default_factory=list)


@pytest.fixture(scope="session")
def vision():
    torch.set_num_threads(1)
    return load_vision("tiny", device="cpu")


@pytest.fixture(scope="session")
def room(vision, tmp_path_factory) -> Room:
    cache = tmp_path_factory.mktemp("features")
    keys = [FilmKey(seed, "train", SECONDS) for seed in range(4)]
    return Room(cache, [open_film(key, vision, cache) for key in keys])


@pytest.fixture(scope="session")
def films(room) -> list[Film]:
    return room.films


def small_network(seed: int = 0, **changes: object) -> LongVMNet:
    torch.manual_seed(seed)
    sizes = {"features": 128, "grid": (4, 4), "scale": 3.0, "bounded": True, **changes}
    return LongVMNet(preset("unit", ACTIVITIES, **sizes))
