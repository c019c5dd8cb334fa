"""The memory handle: which model a memory is asked with."""

from __future__ import annotations

from pathlib import Path

import pytest

from watchonce import library
from watchonce.memory import Memory, watch
from watchonce.models.source import TINY
from watchonce.video.drawn.film import draw


def test_a_folder_called_tiny_is_not_taken_for_the_model_that_ships(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    if not (TINY / "config.json").is_file():
        pytest.skip("the tiny model is not in this checkout; run watchonce train tiny")
    monkeypatch.setenv("WATCHONCE_HOME", str(tmp_path / "home"))
    monkeypatch.chdir(tmp_path)
    Path("tiny").mkdir()  # where `watchonce train tiny` writes by default
    draw("film.mp4", seconds=20, seed=2)
    made = watch("film.mp4", "film.memory")
    assert made.manifest["models"]["vlm"]["name"] == "tiny"
    assert library.Catalogue().model(made.manifest["models"]["vlm"]["revision"]) == "tiny"
    again = Memory.open("film.memory")
    assert again.bodies.vlm is not None
    assert again.bodies.vlm.revision == made.manifest["models"]["vlm"]["revision"]
