"""The tiny model's words, and the folder it is saved in."""

from typing import Any

import numpy as np
import pytest
import torch

from watchonce.models.tiny import ANSWER, SIZE, TINY, TOKENS, build_model, build_tokenizer, save_tiny
from watchonce.video.drawn.phrases import CLIP, FILM, FORMS, fill, idle, sentence, words
from watchonce.video.drawn.world import ACTIVITIES, CATEGORIES, COLOURS, ROOMS

CAP = 8_000_000  # bytes


@pytest.fixture(scope="module")
def tokenizer():
    return build_tokenizer(words())


def test_every_caption_survives_the_tokenizer(tokenizer):
    texts = [idle(room) for room in ROOMS]
    for n, activity in enumerate(ACTIVITIES):
        name = f"{COLOURS[n % len(COLOURS)]} {CATEGORIES[n % len(CATEGORIES)]}"
        texts.append(sentence(activity, name, ROOMS[n % len(ROOMS)]))
    texts.append(" ".join(texts[:2]))
    texts += ["[2] kitchen", "[1] [3] washed and painted", "not found", "[10] [12] two"]
    for text in texts:
        assert tokenizer.decode(tokenizer.encode(text).ids) == text


def test_every_phrasing_is_known_words(tokenizer):
    for table in (CLIP, FILM):
        for phrasings in table.values():
            for phrasing in phrasings:
                for activity in FORMS:
                    text = fill(phrasing, activity=activity, name="red cup", room="garden", time="00:12:30")
                    assert "<unk>" not in tokenizer.encode(text).tokens, text


@pytest.mark.parametrize(
    "text",
    [
        "[1] 00:12:30.000-00:12:44.000 nothing happens in the garden",
        "[1] 12:30 - 12:44 nothing happens in the garden",
        "[1] at 0:12:30 to 0:12:44, nothing happens in the garden",
        "[1]<fake_token_around_image><global-img> Nothing happens, in the Garden?",
        "Frame from 00:04:[1] nothing happens in the garden",
        "You are provided the following series of eight frames from a 0:00:08 [H:MM:SS] video.\n\n"
        "[1] nothing happens in the garden",
    ],
)
def test_dates_and_frame_marks_are_not_read(tokenizer, text):
    assert tokenizer.encode(text).tokens == "[1] nothing happens in the garden".split()


def test_unknown_words_are_marked(tokenizer):
    assert tokenizer.encode("where was the zebra washed").tokens[3] == "<unk>"


def frames(count, seed=0):
    return np.random.default_rng(seed).integers(0, 256, (count, SIZE, SIZE, 3), dtype=np.uint8)


@pytest.fixture(scope="module")
def folder(tmp_path_factory, tokenizer):
    path = tmp_path_factory.mktemp("tiny")
    torch.manual_seed(0)
    save_tiny(path, build_model(tokenizer.get_vocab_size()), tokenizer)
    return path


def test_a_saved_folder_is_a_stock_smolvlm(folder):
    from PIL import Image
    from transformers import (
        AutoModelForImageTextToText,
        AutoProcessor,
        SmolVLMForConditionalGeneration,
    )

    processor = AutoProcessor.from_pretrained(folder)
    model: Any = AutoModelForImageTextToText.from_pretrained(folder, dtype=torch.float32)
    assert type(processor).__name__ == "SmolVLMProcessor"
    assert type(model) is SmolVLMForConditionalGeneration
    content = [{"type": "image"}] * 8 + [{"type": "text", "text": "What happens at 12:30?"}]
    text = processor.apply_chat_template([{"role": "user", "content": content}], add_generation_prompt=True)
    pixels = frames(8)
    batch = processor(text=text, images=[Image.fromarray(f) for f in pixels], return_tensors="pt")
    tokens = processor.tokenizer.convert_ids_to_tokens(batch["input_ids"][0].tolist())
    assert tokens == ["<|im_start|>", *["<image>"] * (8 * TOKENS), "what", "happens", "at", ANSWER]
    wanted = torch.from_numpy(pixels).permute(0, 3, 1, 2) / 127.5 - 1
    assert torch.allclose(batch["pixel_values"][0], wanted, atol=1e-5)
    generate: Any = model.generate  # type: ignore[reportAttributeAccessIssue]
    made = generate(**batch, max_new_tokens=4, do_sample=False)
    assert made.shape[1] > batch["input_ids"].shape[1]
    assert sum(p.stat().st_size for p in folder.iterdir()) <= CAP


def test_other_sizes_are_squared(folder):
    from PIL import Image
    from transformers import AutoProcessor

    processor = AutoProcessor.from_pretrained(folder)
    wide = Image.fromarray(np.repeat(frames(1)[0], 2, axis=1))
    batch = processor.image_processor([[wide]], return_tensors="pt")
    assert batch["pixel_values"].shape[-2:] == (SIZE, SIZE)


def test_the_shipped_folder_is_small_and_half():
    from safetensors import safe_open

    assert sum(p.stat().st_size for p in TINY.rglob("*") if p.is_file()) <= CAP
    with safe_open(TINY / "model.safetensors", framework="pt") as file:
        kinds = {file.get_tensor(name).dtype for name in file.keys()}  # noqa: SIM118
    assert kinds == {torch.float16}
    assert not [p.name for p in TINY.rglob("*") if p.suffix in {".bin", ".pt", ".pkl"}]
    assert "majority" in (TINY / "README.md").read_text()
