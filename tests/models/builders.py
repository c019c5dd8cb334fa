"""Tiny random models of the real classes, saved to disk as a hub model is: weights, tokenizer, processor."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch

from watchonce.types import FrameBatch

# Chat formats of the families, in our own words; only the placeholders and turn marks matter to a test.
PARTS = "{% for part in message['content'] %}{% if part['type'] == 'text' %}{{ part['text'] }}"
SMOL_CHAT = (
    "<|im_start|>{% for message in messages %}{{ message['role'] | capitalize }}: "
    + PARTS
    + "{% else %}<image>{% endif %}{% endfor %}<end_of_utterance>\n{% endfor %}"
    "{% if add_generation_prompt %}Assistant:{% endif %}"
)


def im_chat(video: str) -> str:
    """The <|im_start|> form of Qwen and LLaVA-OneVision."""
    return (
        "{% for message in messages %}<|im_start|>{{ message['role'] }}\n"
        + PARTS
        + "{% else %}"
        + video
        + "{% endif %}{% endfor %}<|im_end|>\n{% endfor %}"
        "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
    )


def tokenizer(special: list[str], end: str, start: str | None = None) -> Any:
    """Byte-level, no merges: any text goes in and comes out; `special` are single tokens."""
    from tokenizers import AddedToken, Tokenizer, decoders, models, pre_tokenizers
    from transformers import PreTrainedTokenizerFast

    letters = sorted(pre_tokenizers.ByteLevel.alphabet())
    words = Tokenizer(models.BPE({letter: i for i, letter in enumerate(letters)}, []))
    words.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    words.decoder = decoders.ByteLevel()
    words.add_special_tokens([AddedToken(s, special=True, normalized=False) for s in [*special, "<pad>"]])
    return PreTrainedTokenizerFast(
        tokenizer_object=words, eos_token=end, pad_token="<pad>", bos_token=start, padding_side="left"
    )


TEXT: dict[str, Any] = {
    "hidden_size": 32,
    "intermediate_size": 48,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "max_position_embeddings": 4096,
    "tie_word_embeddings": True,
}


def _save(folder: Path, model: Any, processor: Any) -> Path:
    # Random weights of the default scale give near-flat logits; larger ones make every input matter.
    generator = torch.Generator().manual_seed(7)
    with torch.no_grad():
        for weight in model.parameters():
            if weight.ndim > 1:
                weight.copy_(torch.randn(weight.shape, generator=generator) * 0.5 / weight.shape[-1] ** 0.25)
    model.save_pretrained(folder)
    processor.save_pretrained(folder)
    return folder


def save_smolvlm(folder: Path) -> Path:
    """64 px frames, 4 tokens each."""
    from transformers import (
        SmolVLMConfig,
        SmolVLMForConditionalGeneration,
        SmolVLMImageProcessor,
        SmolVLMProcessor,
        SmolVLMVideoProcessor,
    )

    special = [
        "<|im_start|>",
        "<end_of_utterance>",
        "<fake_token_around_image>",
        "<global-img>",
        "<image>",
        "<video>",
    ]
    words = tokenizer(special, "<end_of_utterance>", "<|im_start|>")
    side = {"longest_edge": 64}
    # Bicubic: for Lanczos, the hub models' filter, older transformers quietly take bicubic too.
    image = SmolVLMImageProcessor(size=side, max_image_size=side, do_image_splitting=False, resample=3)
    sampling: dict[str, Any] = {"video_sampling": {"fps": 1, "max_frames": 12, "video_size": side}}
    video = SmolVLMVideoProcessor(size=side, max_image_size=side, resample=3, **sampling)
    processor = SmolVLMProcessor(image, words, video, image_seq_len=4, chat_template=SMOL_CHAT)
    pad: dict[str, Any] = {"pad_token_id": words.pad_token_id}
    config = SmolVLMConfig(
        image_token_id=words.convert_tokens_to_ids("<image>"),
        scale_factor=2,
        vision_config={
            "hidden_size": 24,
            "intermediate_size": 40,
            "num_hidden_layers": 2,
            "num_attention_heads": 2,
            "image_size": 64,
            "patch_size": 16,
        },
        text_config={"model_type": "llama", "vocab_size": len(words), **TEXT},
        tie_word_embeddings=True,
        **pad,
    )
    return _save(folder, SmolVLMForConditionalGeneration(config), processor)


def save_llava_onevision(folder: Path) -> Path:
    """60 px frames in patches of 12: 5x5 pooled to 3x3 tokens each, and a newline per video."""
    from transformers import (
        LlavaOnevisionConfig,
        LlavaOnevisionForConditionalGeneration,
        LlavaOnevisionImageProcessor,
        LlavaOnevisionProcessor,
        LlavaOnevisionVideoProcessor,
    )

    words = tokenizer(["<|im_start|>", "<|im_end|>", "<image>", "<video>"], "<|im_end|>")
    side = {"height": 60, "width": 60}
    image = LlavaOnevisionImageProcessor(size=side, image_grid_pinpoints=[[60, 60]])
    video = LlavaOnevisionVideoProcessor(size=side)
    processor = LlavaOnevisionProcessor(
        image,
        words,
        video,
        num_image_tokens=25,
        vision_feature_select_strategy="full",
        chat_template=im_chat("<video>"),
    )
    config = LlavaOnevisionConfig(
        image_token_index=words.convert_tokens_to_ids("<image>"),
        video_token_index=words.convert_tokens_to_ids("<video>"),
        image_grid_pinpoints=[[60, 60]],
        vision_config={
            "model_type": "siglip_vision_model",
            "hidden_size": 24,
            "intermediate_size": 40,
            "num_hidden_layers": 2,
            "num_attention_heads": 2,
            "image_size": 60,
            "patch_size": 12,
            "vision_use_head": False,
        },
        text_config={"model_type": "qwen2", "vocab_size": len(words), **TEXT},
        vision_feature_layer=-1,
        tie_word_embeddings=True,
    )
    return _save(folder, LlavaOnevisionForConditionalGeneration(config), processor)


QWEN = ["<|im_start|>", "<|im_end|>", "<|vision_start|>", "<|vision_end|>", "<|image_pad|>", "<|video_pad|>"]
QWEN_CHAT = im_chat("<|vision_start|><|video_pad|><|vision_end|>")


def _qwen_ids(words: Any) -> dict[str, Any]:
    names = {"vision_start": 2, "vision_end": 3, "image": 4, "video": 5}
    return {f"{name}_token_id": words.convert_tokens_to_ids(QWEN[i]) for name, i in names.items()}


def save_qwen25(folder: Path) -> Path:
    """Cells of 28 px; frames of 56x84 give 2x3 tokens a pair."""
    from transformers import (
        Qwen2_5_VLConfig,
        Qwen2_5_VLForConditionalGeneration,
        Qwen2_5_VLProcessor,
        Qwen2VLImageProcessor,
        Qwen2VLVideoProcessor,
    )

    words = tokenizer(QWEN, "<|im_end|>")
    size = {"shortest_edge": 28 * 28, "longest_edge": 28 * 28 * 16}
    processor = Qwen2_5_VLProcessor(
        Qwen2VLImageProcessor(size=size), words, Qwen2VLVideoProcessor(size=size), chat_template=QWEN_CHAT
    )
    vision = {
        "hidden_size": 32,
        "out_hidden_size": 32,
        "intermediate_size": 40,
        "depth": 2,
        "num_heads": 2,
        "patch_size": 14,
        "window_size": 56,
        "fullatt_block_indexes": [1],
        "tokens_per_second": 2,
    }
    rope = {"rope_type": "default", "rope_theta": 10000.0, "mrope_section": [2, 1, 1]}
    text = {
        "vocab_size": len(words),
        "rope_parameters": rope,
        "bos_token_id": None,
        "eos_token_id": None,
        **TEXT,
    }
    config = Qwen2_5_VLConfig(
        vision_config=vision, text_config=text, tie_word_embeddings=True, **_qwen_ids(words)
    )
    return _save(folder, Qwen2_5_VLForConditionalGeneration(config), processor)


def save_qwen3(folder: Path) -> Path:
    """Cells of 32 px; frames of 64x96 give 2x3 tokens a pair; one deepstack layer."""
    from transformers import (
        Qwen2VLImageProcessor,
        Qwen3VLConfig,
        Qwen3VLForConditionalGeneration,
        Qwen3VLProcessor,
        Qwen3VLVideoProcessor,
    )

    words = tokenizer(QWEN, "<|im_end|>")
    size = {"shortest_edge": 32 * 32, "longest_edge": 32 * 32 * 64}
    processor = Qwen3VLProcessor(
        Qwen2VLImageProcessor(patch_size=16), words, Qwen3VLVideoProcessor(size=size), chat_template=QWEN_CHAT
    )
    vision = {
        "hidden_size": 32,
        "out_hidden_size": 32,
        "intermediate_size": 40,
        "depth": 3,
        "num_heads": 2,
        "patch_size": 16,
        "num_position_embeddings": 64,
        "deepstack_visual_indexes": [0, 1],
    }
    rope = {"rope_type": "default", "rope_theta": 10000.0, "mrope_section": [2, 1, 1]}
    text = {"vocab_size": len(words), "head_dim": 8, "rope_parameters": rope, **TEXT}
    config = Qwen3VLConfig(
        vision_config=vision, text_config=text, tie_word_embeddings=True, **_qwen_ids(words)
    )
    return _save(folder, Qwen3VLForConditionalGeneration(config), processor)


BUILDERS: dict[str, Callable[[Path], Path]] = {
    "smolvlm": save_smolvlm,
    "llava_onevision": save_llava_onevision,
    "qwen2_5_vl": save_qwen25,
    "qwen3_vl": save_qwen3,
}
SIZES = {"smolvlm": (64, 64), "llava_onevision": (60, 60), "qwen2_5_vl": (56, 84), "qwen3_vl": (64, 96)}


def noise(
    count: int, size: tuple[int, int], seed: int = 0, step: float = 1.0, first: float = 0.0
) -> FrameBatch:
    """Random frames `step` seconds apart, each shown for 20 ms."""
    pixels = np.random.default_rng(seed).integers(0, 256, (count, 3, *size), dtype=np.uint8)
    start = first + np.arange(count) * step
    return FrameBatch(pixels, start, start + 0.02)
