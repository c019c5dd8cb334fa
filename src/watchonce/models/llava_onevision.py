"""LLaVA-OneVision: SigLIP frames pooled 2x2, one newline row at the end of the video, Qwen2 language.

The newline belongs to no frame, so it is not among the tokens: a prompt adds it as its last slot.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

from watchonce.models.body import LocalVLM, Parts
from watchonce.models.layout import Shown
from watchonce.models.pixels import PixelRule
from watchonce.types import BadInput


class LlavaOneVision(LocalVLM):
    """LlavaOnevisionForConditionalGeneration behind the VLM contract."""

    stock = "LlavaOnevisionForConditionalGeneration"
    chunk = 16

    def __init__(self, parts: Parts) -> None:
        config = parts.model.config
        side = config.vision_config.image_size
        table = {"resample": 3, **parts.image, **parts.video}
        asked = table.get("size", {})
        if (asked.get("height", side), asked.get("width", side)) != (side, side):
            raise BadInput(
                f"{parts.name}: its processor makes {asked} frames, its vision tower reads {side} px"
            )
        cells = math.ceil(side // config.vision_config.patch_size / 2)
        rule = PixelRule.read(table, (side, side))
        super().__init__(parts, rule, (cells, cells), config.video_token_id, 32)

    @property
    def text_model(self) -> nn.Module:
        return self.model.model.language_model

    def see(self, pixels: Tensor) -> Tensor:
        seen = self.model.model.get_video_features(pixels[None], return_dict=True).pooler_output
        # transformers puts the newline behind the frames here, or later, by version.
        return seen[0, : len(pixels) * self.grid[0] * self.grid[1]].unflatten(0, (len(pixels), -1))

    def content(self, shown: Shown) -> list[dict[str, str]]:
        return [{"type": "video"}]

    def spell(self, rendered: str, shown: Shown) -> tuple[str, list[int]]:
        return rendered, [len(shown) * shown.per + 1]

    def rows(self, data: Tensor) -> Tensor:
        newline = self.model.model.image_newline
        return torch.cat([data, newline[None].to(data.device, data.dtype)])
