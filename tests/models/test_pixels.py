"""Pixel rules: sizes on the way, the fused normalisation, and nothing sampled."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import Image

from watchonce.models.pixels import PixelRule, fit_longest
from watchonce.types import BadInput, FrameBatch

from .builders import noise


def test_frames_of_the_right_size_are_only_scaled() -> None:
    film = noise(3, (8, 10))
    rule = PixelRule.read({"image_mean": [0.5, 0.4, 0.3], "image_std": [0.2, 0.3, 0.4]}, (8, 10))
    mean, std = np.array([0.5, 0.4, 0.3]), np.array([0.2, 0.3, 0.4])
    expected = (film.pixels / 255 - mean[:, None, None]) / std[:, None, None]
    assert rule.apply(film).numpy() == pytest.approx(expected, abs=1e-5)
    assert rule.route(8, 10) == []


def test_a_processor_that_does_not_normalise() -> None:
    film = noise(1, (4, 4))
    rule = PixelRule.read({"do_normalize": False, "rescale_factor": 1 / 255}, (4, 4))
    assert rule.apply(film).numpy() == pytest.approx(film.pixels / 255, abs=1e-6)
    with pytest.raises(BadInput, match="do_rescale=false is not supported"):
        PixelRule.read({"do_rescale": False}, (4, 4))


def test_the_longest_side_first_then_the_square() -> None:
    rule = PixelRule((64, 64), longest=128)
    assert rule.route(360, 640) == [(72, 128), (64, 64)]
    assert rule.route(128, 128) == [(64, 64)]
    assert fit_longest(720, 1280, 511) == (288, 511)  # 287 is odd
    assert fit_longest(1, 4000, 100) == (1, 100)


def test_no_frame_is_lost_and_read_only_frames_are_left_alone() -> None:
    film = noise(7, (30, 50))
    film.pixels.flags.writeable = False
    before = film.pixels.copy()
    rule = PixelRule((16, 16))
    assert rule.apply(film).shape == (7, 3, 16, 16)
    assert (film.pixels == before).all()
    assert rule.apply(FrameBatch.empty(30, 50)).shape[0] == 0


@pytest.mark.parametrize(("resample", "worst"), [(1, 1), (2, 1), (3, 1)])
def test_resizing_is_what_pillow_does(resample: int, worst: int) -> None:
    film = noise(2, (90, 120))
    rule = PixelRule.read({"do_normalize": False, "resample": resample}, (40, 64))
    mine = np.rint(rule.apply(film).numpy() * 255).astype(int)
    for got, frame in zip(mine, film.pixels, strict=True):
        picture = Image.fromarray(frame.transpose(1, 2, 0)).resize((64, 40), resample)
        assert np.abs(got - np.asarray(picture).transpose(2, 0, 1)).max() <= worst
