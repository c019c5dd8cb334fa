"""Sentences to unit vectors: static embeddings (model2vec) with numpy alone, or a transformers encoder.

Search by words needs none of this; it makes notes findable by meaning. Knows nothing of notes.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from watchonce.contracts import TextEmbedder
from watchonce.models.source import Source, find, pick_device, quiet
from watchonce.types import BadInput

LONGEST = 512  # tokens of a text that count
BATCH = 32


def load_text(where: str | Path, *, device: str = "auto", revision: str | None = None) -> TextEmbedder | None:
    """The embedder `where` names; None for "none".

    A folder or hub id whose config.json says `model_type: model2vec` is read as static embeddings,
    any other as a transformers encoder. Raises BadInput and MissingPackage, each with the cure.
    """
    if str(where) == "none":
        return None
    source = find(where, revision)
    if source.table("config.json").get("model_type") == "model2vec":
        return StaticText(source)
    return EncoderText(source, device)


def unit_rows(rows: np.ndarray) -> np.ndarray:
    """float32 rows of length 1; a row of zeros stays one."""
    length = np.linalg.norm(rows, axis=1, keepdims=True)
    return (rows / np.where(length > 0, length, 1.0)).astype(np.float32)


class StaticText:
    """Mean of a vector per token, as model2vec saves them (github.com/MinishLab/model2vec).

    Tensors: embeddings `[K, D]`; where the vocabulary is quantised also mapping int `[V]` (token to row)
    and weights `[V]` (importance of the token); without them K = V and all weigh the same.
    """

    def __init__(self, source: Source) -> None:
        from safetensors.numpy import load_file
        from tokenizers import Tokenizer

        self.name = source.name
        self.revision = source.revision
        files = sorted(source.folder.glob("*.safetensors"))
        tensors = load_file(files[0])
        words = source.folder / "tokenizer.json"
        if "embeddings" not in tensors or not words.is_file():
            raise BadInput(f"{source.folder} is no model2vec folder: it needs embeddings and tokenizer.json")
        self._tokens = Tokenizer.from_file(str(words))
        self._tokens.no_padding()
        self._tokens.enable_truncation(LONGEST)
        self._rows = tensors["embeddings"].astype(np.float32)
        count = self._tokens.get_vocab_size()
        self._mapping = tensors.get("mapping", np.arange(len(self._rows)))
        self._weights = tensors.get("weights", np.ones(len(self._mapping))).astype(np.float32)
        if not len(self._mapping) == len(self._weights) >= count or self._mapping.max() >= len(self._rows):
            raise BadInput(f"{source.folder}: {count} words and {len(self._mapping)} vectors do not match")
        unknown = json.loads(self._tokens.to_str())["model"].get("unk_token")
        self._unknown = self._tokens.token_to_id(unknown) if unknown else None

    def embed(self, texts: Sequence[str]) -> np.ndarray:
        """float32 `[len(texts), D]`, rows of length 1 (or 0 for a text without known words)."""
        out = np.zeros((len(texts), self._rows.shape[1]), np.float32)
        for row, encoded in zip(
            out, self._tokens.encode_batch(list(texts), add_special_tokens=False), strict=True
        ):
            ids = np.array([i for i in encoded.ids if i != self._unknown], np.int64)
            if len(ids):
                row[:] = (self._rows[self._mapping[ids]] * self._weights[ids, None]).mean(0)
        return unit_rows(out)


class EncoderText:
    """A transformers encoder; mean of the last hidden states, or the first where its pooling file says so."""

    def __init__(self, source: Source, device: str) -> None:
        from safetensors import SafetensorError
        from transformers import AutoModel, AutoTokenizer

        self.name = source.name
        self.revision = source.revision
        place, self.device_reason = pick_device(device)
        folder = str(source.folder)
        with quiet():
            self._tokens = AutoTokenizer.from_pretrained(
                folder, local_files_only=True, trust_remote_code=False
            )
            try:
                model = AutoModel.from_pretrained(
                    folder, local_files_only=True, use_safetensors=True, trust_remote_code=False
                )
            except (OSError, RuntimeError, ValueError, SafetensorError) as error:
                why = str(error).strip().split("\n")[0][:160]
                raise BadInput(f"the text model {source.name} does not load ({why})") from error
        self._model: Any = model.eval().requires_grad_(False).to(place)
        pooling = source.table("1_Pooling/config.json")
        self._first = bool(pooling.get("pooling_mode_cls_token"))
        if pooling and not self._first and not pooling.get("pooling_mode_mean_tokens"):
            raise BadInput(
                f"{source.name} pools neither the mean nor the first token: use another text model"
            )
        fits = getattr(model.config, "max_position_embeddings", LONGEST)
        self._longest = min(LONGEST, fits, self._tokens.model_max_length)

    def embed(self, texts: Sequence[str]) -> np.ndarray:
        """float32 `[len(texts), D]`, rows of length 1."""
        import torch

        out = np.zeros((len(texts), self._model.config.hidden_size), np.float32)
        order = sorted(range(len(texts)), key=lambda i: len(texts[i]))
        with torch.inference_mode():
            for batch in (order[i : i + BATCH] for i in range(0, len(order), BATCH)):
                words = self._tokens(
                    [texts[i] for i in batch],
                    padding=True,
                    truncation=True,
                    max_length=self._longest,
                    return_tensors="pt",
                ).to(self._model.device)
                hidden = self._model(**words).last_hidden_state.float()
                mask = words["attention_mask"][..., None]
                pooled = hidden[:, 0] if self._first else (hidden * mask).sum(1) / mask.sum(1).clamp(min=1)
                out[batch] = pooled.cpu().numpy()
        return unit_rows(out)
