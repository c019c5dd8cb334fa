"""Tiny random models of every family, built once a session."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch

from watchonce.models.vlm import load_vlm

from .builders import BUILDERS, SIZES

torch.set_num_threads(1)


@pytest.fixture(scope="session")
def family_folder(tmp_path_factory: pytest.TempPathFactory) -> Any:
    """family name -> its saved folder."""
    built: dict[str, Path] = {}

    def get(name: str) -> Path:
        if name not in built:
            built[name] = BUILDERS[name](tmp_path_factory.mktemp("models") / f"tiny-{name}")
        return built[name]

    return get


@pytest.fixture(scope="session")
def family_vlm(family_folder: Any) -> Any:
    """family name -> its adapter, on CPU in float32."""
    loaded: dict[str, Any] = {}

    def get(name: str) -> Any:
        if name not in loaded:
            size = SIZES[name] if name.startswith("qwen") else None
            loaded[name] = load_vlm(family_folder(name), device="cpu", size=size)
        return loaded[name]

    return get
