"""Shared fixtures: where the real videos are, and a quiet single-threaded torch."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

# On CI pytest shows the whole difference of two unequal values; of two long byte strings that takes hours.
os.environ.pop("CI", None)
os.environ.pop("BUILD_NUMBER", None)
os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("HF_HUB_OFFLINE", "1")

ROOT = Path(__file__).resolve().parents[1]
DATA = Path(os.environ.get("WATCHONCE_DATA", ROOT.parent / "shared" / "data"))


@pytest.fixture(scope="session")
def data() -> Path:
    """The folder of real videos, annotations and small weights; the test skips when it is absent."""
    if not DATA.is_dir():
        pytest.skip(f"no real data at {DATA}; set WATCHONCE_DATA to the folder that holds videos/")
    return DATA
