"""Scenes: a cut is seen, drift is not, and the state goes on bit for bit."""

from __future__ import annotations

import numpy as np
import pytest

from watchonce.ops.segment import SceneStream, look, sketch


def flat(colour: tuple[int, int, int], count: int, size: tuple[int, int] = (24, 32)) -> np.ndarray:
    return np.broadcast_to(np.array(colour, np.uint8)[None, :, None, None], (count, 3, *size)).copy()


def test_a_sketch_is_the_mean_colour_of_each_cell() -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (2, 3, 16, 24), np.uint8)
    rows = sketch(pixels).reshape(2, 3, 8, 8)
    for y in range(8):
        for x in range(8):
            cell = pixels[:, :, 2 * y : 2 * y + 2, 3 * x : 3 * x + 3].mean(axis=(2, 3)) / 255
            np.testing.assert_allclose(rows[:, :, y, x], cell, atol=1e-6)


@pytest.mark.parametrize("size", [(1, 1), (3, 5), (8, 8), (7, 100), (1081, 17)])
def test_any_size_has_a_sketch(size: tuple[int, int]) -> None:
    rows = sketch(flat((255, 0, 128), 3, size))
    assert rows.shape == (3, 192)
    np.testing.assert_allclose(rows.reshape(3, 3, 64).mean(axis=2), [[1, 0, 128 / 255]] * 3, atol=1e-6)


def scenes(pixels: np.ndarray, cut: int | None = None) -> list:
    start = np.arange(len(pixels), dtype=np.float64)
    stream = SceneStream()
    rows = sketch(pixels)
    if cut is None:
        found = stream.push(rows, start, start + 1)
    else:
        found = stream.push(rows[:cut], start[:cut], start[:cut] + 1)
        second = SceneStream()
        second.restore(stream.state())
        stream = second
        found += stream.push(rows[cut:], start[cut:], start[cut:] + 1)
    return found + stream.flush()


def film() -> np.ndarray:
    drift = np.concatenate([flat((100 + 2 * i, 100, 100), 1) for i in range(20)])
    return np.concatenate([drift, flat((20, 20, 200), 15), flat((240, 240, 240), 10)])


def test_cuts_are_found_and_drift_is_not() -> None:
    found = scenes(film())
    assert [(s.start, s.end) for s in found] == [(0, 20), (20, 35), (35, 45)]
    assert "blue" in found[1].look
    assert "still" in found[1].look
    assert "bright" in found[2].look
    assert "grey" in found[2].look


@pytest.mark.parametrize("cut", [0, 1, 19, 20, 21, 34, 45])
def test_scenes_go_on_from_their_state(cut: int) -> None:
    assert scenes(film(), cut) == scenes(film())


def test_no_frames_no_scene() -> None:
    assert scenes(flat((0, 0, 0), 0)) == []
    assert look(np.zeros(192), 0.0) == "dark, mostly grey, still"
