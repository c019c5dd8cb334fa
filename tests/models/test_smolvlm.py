"""What SmolVLM alone can do: frames as bare images, as the shipped model reads them."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from watchonce.models.vlm import load_vlm
from watchonce.types import FrameBatch

from .builders import noise


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory, family_folder: Any) -> Path:
    """The tiny SmolVLM with our own table in config.json."""
    folder = tmp_path_factory.mktemp("own") / "images"
    shutil.copytree(family_folder("smolvlm"), folder)
    config = json.loads((folder / "config.json").read_text())
    config["watchonce"] = {"clip": 3, "frames": "image", "lead": ""}
    (folder / "config.json").write_text(json.dumps(config))
    return folder


def test_bare_images_equal_the_stock_image_path(folder: Path) -> None:
    from transformers import AutoProcessor

    vlm: Any = load_vlm(folder, device="cpu")
    film = noise(4, (90, 120), seed=4)
    processor = AutoProcessor.from_pretrained(folder)
    content = [*[{"type": "image"}] * 4, {"type": "text", "text": "What happens?"}]
    turn = [{"role": "user", "content": content}]
    rendered = processor.apply_chat_template(turn, tokenize=False, add_generation_prompt=True)
    stock = processor(
        text=[rendered],
        images=[[torch.from_numpy(frame) for frame in film.pixels]],
        return_tensors="pt",
        add_special_tokens=False,
    )
    torch.testing.assert_close(vlm.rule.apply(film), stock["pixel_values"][0], atol=1e-6, rtol=0)
    prompt = vlm.prompt("What happens?", vlm.encode(film))
    assert prompt.ids.tolist() == stock["input_ids"][0].tolist()
    with torch.no_grad():
        expected = vlm.model(**stock).logits[0, -1]
        got = vlm.language.read([prompt]).logits[0, -1]
    torch.testing.assert_close(got, expected, atol=2e-5, rtol=2e-5)


def test_a_folder_says_how_many_frames_it_reads_best(folder: Path, family_vlm: Any) -> None:
    assert load_vlm(folder, device="cpu").clip == 3
    assert family_vlm("smolvlm").clip == 12  # max_frames of its processor


def test_grey_frames_are_not_taken_for_padding(folder: Path) -> None:
    """The stock feature call drops a frame whose normalised pixels are all zero; ours must not."""
    copy = folder.parent / "plain"
    shutil.copytree(folder, copy)
    joint = json.loads((copy / "processor_config.json").read_text())
    joint["image_processor"]["do_normalize"] = False  # black is zero then
    (copy / "processor_config.json").write_text(json.dumps(joint))
    vlm: Any = load_vlm(copy, device="cpu")
    film = noise(3, (64, 64))
    film.pixels[1] = 0
    assert (vlm.rule.apply(film)[1] == 0).all()
    tokens = vlm.encode(film)
    assert len(tokens) == 3 * 4
    assert tokens.start.tolist() == np.repeat(film.start, 4).tolist()
    alone = vlm.encode(FrameBatch(film.pixels[2:], film.start[2:], film.end[2:]))
    torch.testing.assert_close(tokens.data[8:], alone.data, atol=1e-5, rtol=1e-5)
