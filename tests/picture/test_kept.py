"""The picture of a token memory: marks at the times and in the cells of the tokens, and nowhere else."""

from __future__ import annotations

import csv
from dataclasses import asdict
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from watchonce import library, picture, recipe
from watchonce.contracts import Bodies, Budget, MemoryState
from watchonce.memory import Memory
from watchonce.methods.everything import Everything
from watchonce.picture.kept import KeptPage
from watchonce.picture.layout import MARGIN, ROOM, across
from watchonce.types import BadInput, Coverage, FrameBatch, Span, Tokens

MARK = (11, 98, 196)


def tokens_at(places: list[tuple[float, int, int]], grid: int = 4) -> Tokens:
    """A token of a second for every (time, row, column)."""
    start = torch.tensor([time for time, _, _ in places], dtype=torch.float64)
    y = torch.tensor([(row + 0.5) / grid for _, row, _ in places])
    x = torch.tensor([(column + 0.5) / grid for _, _, column in places])
    return Tokens(torch.ones(len(places), 2), start, start + 1, y, x, torch.ones(len(places)))


def made(folder: Path, seconds: float, tokens: Tokens | None, *, thumbs: int = 0) -> Memory:
    """A real memory folder that keeps the tokens, with thumbnails at equal distances."""
    plan = recipe.load("everything")
    work = folder / "work"
    (work / library.THUMBS).mkdir(parents=True)
    for number in range(thumbs):
        at = seconds * number / thumbs
        Image.new("RGB", (160, 160), (240, 240, 240)).save(
            work / library.THUMBS / f"{round(at * 1000):010d}.webp"
        )
    keeper = Everything()
    keeper.write(FrameBatch.empty(), tokens, Budget())
    manifest = {
        "schema": library.SCHEMA,
        "version": "test",
        "source": {"name": "f", "fingerprint": "x", "duration": seconds, "width": 160, "height": 160},
        "models": {"vlm": None, "text": None, "vision": None},
        "recipe": plan.as_dict(),
        "job": {},
        "coverage": asdict(Coverage(seconds, seconds, int(seconds), int(seconds), 1.0)),
    }
    state = MemoryState(keeper.state().tensors)
    library.publish(work, folder / "f.memory", manifest, state, replace=False)
    return Memory(library.load(folder / "f.memory"), Bodies(), plan)


EVERY_CELL = [(time, row, column) for time in (10.0, 80.0) for row in range(4) for column in range(4)]


def bands(pixels: np.ndarray) -> list[tuple[int, int]]:
    """(first row, last row) of every band: rows of its frame's colour, by pairs."""
    edge = (pixels[:, MARGIN - 1 : MARGIN + ROOM] == (183, 189, 195)).all(-1).mean(1) > 0.5
    rows = np.flatnonzero(edge).tolist()
    return list(zip(rows[::2], rows[1::2], strict=True))


def test_marks_lie_at_their_times_and_in_their_cells(tmp_path: Path) -> None:
    memory = made(tmp_path, 100.0, tokens_at([*EVERY_CELL, (50.0, 2, 1)]))
    path = picture.draw_kept(memory, tmp_path / "kept.png")
    pixels = np.asarray(Image.open(path).convert("RGB"))
    (bars, _), (top, foot) = bands(pixels)
    whole = Span(0, 100)
    at = round(across(whole, 50.5))
    marked = (pixels[top + 1 : foot, at] == MARK).all(-1)
    lane = (foot - top - 1) // 16
    assert {int(row) // lane for row in np.flatnonzero(marked)} == {2 * 4 + 1}
    full = (pixels[top + 1 : foot, round(across(whole, 10.5))] == MARK).all(-1)
    assert {int(row) // lane for row in np.flatnonzero(full)} == set(range(16))
    assert not (pixels[top + 1 : foot, round(across(whole, 30))] == MARK).all(-1).any()
    blue = (pixels[bars : bars + 121] == MARK).all(-1).sum(0)
    tall = [int(blue[int(across(whole, t)) - 6 : int(across(whole, t)) + 6].max()) for t in (10, 50)]
    assert tall[0] > 8 * tall[1] > 0


def test_the_table_lists_every_token(tmp_path: Path) -> None:
    tokens = tokens_at(EVERY_CELL)
    picture.draw_kept(made(tmp_path, 100.0, tokens), tmp_path / "kept.png")
    with (tmp_path / "kept.csv").open(encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    assert [float(row["start"]) for row in rows] == tokens.start.tolist()
    assert [float(row["y"]) for row in rows] == tokens.y.tolist()
    assert {row["saliency"] for row in rows} == {""}


def test_cells_are_framed_on_the_thumbnails_that_most_was_kept_of(tmp_path: Path) -> None:
    kept = [(20.0, 0, 0), (21.0, 0, 0), (22.0, 3, 3), (70.0, 1, 2), (70.0, 0, 1)]
    memory = made(tmp_path, 100.0, tokens_at(kept), thumbs=10)
    page = KeptPage(memory, memory.parts.memory.read(picture.Query()).tokens)  # type: ignore[arg-type]
    pixels = np.asarray(page.paint())
    card = pixels[bands(pixels)[1][1] + 90 :]
    dark = (card == (11, 60, 130)).all(-1)
    rows, columns = np.nonzero(dark)
    assert len(rows)
    wide = (ROOM - 4 * 24) // 5
    first = columns[columns < MARGIN + wide]
    assert first.max() - MARGIN <= wide / 4 + 1, "the cell most was kept of is the upper left one"
    assert not dark[:, MARGIN + 2 * (wide + 24) :].any(), "moments of which nothing was kept have no card"


@pytest.mark.parametrize("seconds", [1.5, 90000.0])
def test_a_moment_and_a_day_are_drawn(tmp_path: Path, seconds: float) -> None:
    memory = made(tmp_path, seconds, tokens_at([(seconds - 1, 0, 0)]), thumbs=1)
    picture.draw_kept(memory, tmp_path / "kept.png")
    assert Image.open(tmp_path / "kept.png").width == 1600


def test_a_memory_without_tokens_says_what_can_be_drawn(tmp_path: Path) -> None:
    with pytest.raises(BadInput, match="keeps no tokens; its notes are drawn by: watchonce ask"):
        picture.draw_kept(made(tmp_path, 60.0, None), tmp_path / "kept.png")
