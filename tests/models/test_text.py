"""Text embedders: the static one on real weights and by hand, an encoder on a tiny random BERT."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from watchonce.models.text import EncoderText, load_text
from watchonce.types import BadInput


def words_tokenizer(folder: Path, words: list[str]) -> None:
    from tokenizers import Tokenizer, models, pre_tokenizers

    tokenizer = Tokenizer(models.WordLevel({w: i for i, w in enumerate(words)}, unk_token="[UNK]"))
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    folder.mkdir(parents=True, exist_ok=True)
    tokenizer.save(str(folder / "tokenizer.json"))


def static_folder(folder: Path, **tensors: np.ndarray) -> Path:
    from safetensors.numpy import save_file

    words_tokenizer(folder, ["[UNK]", "red", "cup", "box"])
    (folder / "config.json").write_text(json.dumps({"model_type": "model2vec"}))
    save_file(tensors, str(folder / "model.safetensors"))
    return folder


ROWS = np.array([[9, 9], [1, 0], [0, 1], [3, 4]], np.float32)


def test_static_is_the_mean_of_word_vectors(tmp_path: Path) -> None:
    embedder = load_text(static_folder(tmp_path / "m", embeddings=ROWS))
    assert embedder is not None
    got = embedder.embed(["red cup", "box", "zebra", "", "zebra red"])
    assert got.dtype == np.float32
    half = 1 / np.sqrt(2)
    assert got == pytest.approx(np.array([[half, half], [0.6, 0.8], [0, 0], [0, 0], [1, 0]]), abs=1e-6)


def test_static_with_shared_rows_and_weights(tmp_path: Path) -> None:
    mapping = np.array([0, 1, 0, 1], np.int32)  # red and box share [0, 1]; cup has [2, 0]
    weights = np.array([0.0, 1.0, 0.5, 2.0])
    rows = np.array([[2, 0], [0, 1]], np.float32)
    embedder = load_text(static_folder(tmp_path / "q", embeddings=rows, mapping=mapping, weights=weights))
    assert embedder is not None
    # red + cup = ([0, 1] * 1 + [2, 0] * .5) / 2; cup + box = ([2, 0] * .5 + [0, 1] * 2) / 2
    expected = np.array([[1, 1], [1, 2]]) / np.array([[np.sqrt(2)], [np.sqrt(5)]])
    assert embedder.embed(["red cup", "cup box"]) == pytest.approx(expected, abs=1e-6)


def test_static_that_does_not_match_its_words_is_refused(tmp_path: Path) -> None:
    with pytest.raises(BadInput, match="4 words and 2 vectors"):
        load_text(static_folder(tmp_path / "short", embeddings=ROWS[:2]))
    with pytest.raises(BadInput, match="needs embeddings"):
        load_text(static_folder(tmp_path / "other", vectors=ROWS))


def test_real_static_weights_bring_paraphrases_together(data: Path) -> None:
    folder = data / "weights" / "model2vec_vq64"
    embedder = load_text(folder)
    assert embedder is not None
    assert embedder.name == "model2vec_vq64"
    vectors = embedder.embed(
        [
            "a man washes a cup in the kitchen",
            "someone cleans a mug at the sink",
            "stock prices fell on Monday",
        ]
    )
    assert vectors.shape == (3, 64)
    assert np.linalg.norm(vectors, axis=1) == pytest.approx(1.0, abs=1e-5)
    near, far = float(vectors[0] @ vectors[1]), float(vectors[0] @ vectors[2])
    assert near > 0.4
    assert far < 0.2


def bert_folder(folder: Path, **pooling: bool) -> Path:
    import torch
    from transformers import BertConfig, BertModel, PreTrainedTokenizerFast

    words_tokenizer(folder, ["[UNK]", "[PAD]", "red", "cup", "box", "blue"])
    torch.manual_seed(0)
    config = BertConfig(
        vocab_size=6, hidden_size=16, num_hidden_layers=2, num_attention_heads=2, intermediate_size=24
    )
    BertModel(config).save_pretrained(folder)
    PreTrainedTokenizerFast(
        tokenizer_file=str(folder / "tokenizer.json"), pad_token="[PAD]", unk_token="[UNK]"
    ).save_pretrained(folder)
    if pooling:
        (folder / "1_Pooling").mkdir()
        (folder / "1_Pooling" / "config.json").write_text(json.dumps(pooling))
    return folder


def plain_states(folder: Path, text: str) -> Any:
    from transformers import AutoModel, AutoTokenizer

    words = AutoTokenizer.from_pretrained(folder)([text], return_tensors="pt")
    return AutoModel.from_pretrained(folder).eval()(**words).last_hidden_state[0].detach().numpy()


@pytest.mark.parametrize(
    "pooling", [{}, {"pooling_mode_mean_tokens": True}, {"pooling_mode_cls_token": True}]
)
def test_encoder_pools_as_its_folder_says(tmp_path: Path, pooling: dict[str, bool]) -> None:
    folder = bert_folder(tmp_path / "bert", **pooling)
    embedder = load_text(folder, device="cpu")
    assert isinstance(embedder, EncoderText)
    texts = ["red cup", "blue box red cup box", "cup"]
    got = embedder.embed(texts)
    for text, row in zip(texts, got, strict=True):
        states = plain_states(folder, text)
        expected = states[0] if "pooling_mode_cls_token" in pooling else states.mean(0)
        assert row == pytest.approx(expected / np.linalg.norm(expected), abs=1e-5)


def test_encoder_with_unknown_pooling_is_refused(tmp_path: Path) -> None:
    with pytest.raises(BadInput, match="pools neither"):
        load_text(bert_folder(tmp_path / "bert", pooling_mode_max_tokens=True), device="cpu")


def test_none_is_no_embedder() -> None:
    assert load_text("none") is None
