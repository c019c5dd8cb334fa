"""Still pictures come upright, in plain colours, or not at all."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from watchonce.types import BadInput
from watchonce.video.stills import read_still


def test_a_picture_is_planes_of_rgb(tmp_path: Path) -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (5, 7, 3), np.uint8)
    for name in ("a.png", "a.bmp", "a.webp"):
        Image.fromarray(pixels).save(tmp_path / name, lossless=True)
        assert (read_still(tmp_path / name) == pixels.transpose(2, 0, 1)).all()
    Image.fromarray(pixels[..., 0]).save(tmp_path / "grey.png")
    assert (read_still(tmp_path / "grey.png") == pixels[None, ..., 0]).all()


def test_what_is_clear_becomes_white_and_what_lies_down_is_put_upright(tmp_path: Path) -> None:
    clear = np.zeros((4, 4, 4), np.uint8)
    clear[:2] = (10, 20, 30, 255)
    Image.fromarray(clear).save(tmp_path / "clear.png")
    still = read_still(tmp_path / "clear.png")
    assert still[:, 0, 0].tolist() == [10, 20, 30]
    assert still[:, 3, 3].tolist() == [255, 255, 255]
    lying = Image.fromarray(np.arange(24, dtype=np.uint8).reshape(2, 4, 3))
    exif = lying.getexif()
    exif[0x0112] = 6  # a quarter turn clockwise puts it upright
    lying.save(tmp_path / "lying.png", exif=exif)
    assert read_still(tmp_path / "lying.png").shape == (3, 4, 2)
    assert (read_still(tmp_path / "lying.png") == np.rot90(np.asarray(lying), -1).transpose(2, 0, 1)).all()


def test_what_is_no_picture_is_refused_in_one_line(tmp_path: Path) -> None:
    (tmp_path / "words.png").write_text("words")
    Image.new("RGB", (64, 64), "red").save(tmp_path / "cut.png")
    whole = (tmp_path / "cut.png").read_bytes()
    (tmp_path / "cut.png").write_bytes(whole[: len(whole) // 2])
    for name, words in (("none.png", "no picture at"), ("words.png", "not a picture"), ("cut.png", "not a")):
        with pytest.raises(BadInput, match=words) as caught:
            read_still(tmp_path / name)
        assert "\n" not in str(caught.value)
    with pytest.raises(BadInput, match="not a picture"):
        read_still(tmp_path)
