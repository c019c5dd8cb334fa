"""Qwen2.5-VL and Qwen3-VL: two frames become one set of tokens, positions have three axes.

Qwen2.5-VL puts real seconds on the first axis; Qwen3-VL writes them as text before every pair and adds
features of early vision layers to early text layers ("deepstack"), which here are further columns of a
token. Frames are brought to one `size` for all videos, so that a token's place in the grid can be read
from its y and x at any later time; the stock processor would choose a size per video.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from watchonce.models.body import LocalVLM, Parts
from watchonce.models.layout import Shown
from watchonce.models.pixels import PixelRule
from watchonce.types import BadInput

DEFAULT_GRID = (12, 21)  # 252 tokens a pair, 7:4, near the 16:9 of most films


class QwenVL(LocalVLM):
    """What both generations share."""

    pair = 2
    chunk = 32

    def __init__(self, parts: Parts, table: dict[str, Any]) -> None:
        config = parts.model.config
        vision = config.vision_config
        cell = vision.patch_size * vision.spatial_merge_size
        size = parts.size or (DEFAULT_GRID[0] * cell, DEFAULT_GRID[1] * cell)
        if any(side <= 0 or side % cell for side in size):
            raise BadInput(f"{parts.name} reads frames in cells of {cell} px: no size {size[0]}x{size[1]}")
        if vision.temporal_patch_size != self.pair:
            raise BadInput(f"{parts.name} joins {vision.temporal_patch_size} frames: only 2 are supported")
        self._patch, self._merge = vision.patch_size, vision.spatial_merge_size
        rule = PixelRule.read({"resample": 3, **table}, size)
        super().__init__(parts, rule, (size[0] // cell, size[1] // cell), config.video_token_id, 32)

    @property
    def text_model(self) -> nn.Module:
        return self.model.model.language_model

    def content(self, shown: Shown) -> list[dict[str, str]]:
        return [{"type": "video"}]

    def patches(self, pixels: Tensor) -> tuple[Tensor, Tensor]:
        """Frames `[T, 3, H, W]` as the flat patches the tower takes, and their grid (pairs, rows, columns).

        Patches of one merged cell are neighbours: cell row, cell column, row, column.
        """
        side, merge = self._patch, self._merge
        pairs, rows, columns = len(pixels) // 2, pixels.shape[2] // side, pixels.shape[3] // side
        cells = pixels.view(pairs, 2, 3, rows // merge, merge, side, columns // merge, merge, side)
        flat = cells.permute(0, 3, 6, 4, 7, 2, 1, 5, 8).reshape(pairs * rows * columns, -1)
        return flat, torch.tensor([[pairs, rows, columns]], device=pixels.device)

    def _axes(self, start: int, times: np.ndarray) -> np.ndarray:
        """Positions [3, pairs * cells] of visual slots that begin at `start`; times int64 [pairs]."""
        rows, columns = self.grid
        when, row, column = np.meshgrid(times, np.arange(rows), np.arange(columns), indexing="ij")
        return np.stack([when, row, column]).reshape(3, -1) + start

    def positions(self, ids: np.ndarray, slots: np.ndarray, shown: Shown | None) -> np.ndarray:
        """Words advance all three axes by one, a run of visual slots by the longer side of its grid."""
        place = np.empty((3, len(ids)), np.int64)
        edges = np.flatnonzero(np.diff(slots.astype(np.int8), prepend=0, append=0))
        at, here = 0, 0
        for first, last in edges.reshape(-1, 2):
            place[:, at:first] = here + np.arange(first - at)
            here += int(first - at)
            place[:, first:last] = self._axes(here, self._when(shown, int(last - first)))
            here += max(self.grid)
            at = int(last)
        place[:, at:] = here + np.arange(len(ids) - at)
        return place

    def _when(self, shown: Shown | None, run: int) -> np.ndarray:
        """First-axis steps of the frame pairs of one run of slots."""
        return np.zeros(1, np.int64)


class Qwen25VL(QwenVL):
    """Qwen2_5_VLForConditionalGeneration behind the VLM contract."""

    stock = "Qwen2_5_VLForConditionalGeneration"

    def __init__(self, parts: Parts) -> None:
        # Checkpoints of 2.5 ship settings of the image processor alone; mean and filter are the same.
        clip_mean = {"image_mean": (0.48145466, 0.4578275, 0.40821073)}
        clip_std = {"image_std": (0.26862954, 0.26130258, 0.27577711)}
        self._pace = getattr(parts.model.config.vision_config, "tokens_per_second", 2)
        super().__init__(parts, {**clip_mean, **clip_std, **parts.image, **parts.video})

    def see(self, pixels: Tensor) -> Tensor:
        flat, grid = self.patches(pixels)
        seen = self.model.model.get_video_features(flat, grid, return_dict=True).pooler_output
        return _joined(seen).unflatten(0, (len(pixels) // 2, -1))

    def _when(self, shown: Shown | None, run: int) -> np.ndarray:
        assert shown is not None, "slots without tokens"
        # The guard keeps 0.1 * 20 from falling to 1; a millionth of a step is far below any frame time.
        return np.floor((shown.start - shown.start[0]) * self._pace + 1e-6).astype(np.int64)


class Qwen3VL(QwenVL):
    """Qwen3VLForConditionalGeneration behind the VLM contract."""

    stock = "Qwen3VLForConditionalGeneration"

    def __init__(self, parts: Parts) -> None:
        self._layers = len(parts.model.config.vision_config.deepstack_visual_indexes)
        half = {"image_mean": (0.5, 0.5, 0.5), "image_std": (0.5, 0.5, 0.5)}
        super().__init__(parts, {**half, **parts.image, **parts.video})
        self._pad = parts.tokenizer.convert_ids_to_tokens(self.mark)
        config = parts.model.config
        ids = [config.vision_start_token_id, config.vision_end_token_id]
        self._around = tuple(parts.tokenizer.convert_ids_to_tokens(ids))

    @property
    def token_width(self) -> int:
        return self.width * (1 + self._layers)

    def see(self, pixels: Tensor) -> Tensor:
        flat, grid = self.patches(pixels)
        seen = self.model.model.get_video_features(flat, grid, return_dict=True)
        deep = [_joined(layer) for layer in seen.deepstack_features]
        rows = torch.cat([_joined(seen.pooler_output), *deep], dim=1)  # [N, D * (1 + layers)]
        return rows.unflatten(0, (len(pixels) // 2, -1))

    def spell(self, rendered: str, shown: Shown) -> tuple[str, list[int]]:
        first, last = self._around
        middle = (shown.start + shown.end) / 2
        pairs = "".join(f"<{when:.1f} seconds>{first}{self._pad}{last}" for when in middle.tolist())
        return rendered.replace(self._pad, pairs, 1), [shown.per] * len(shown)

    def feed(self, embeds: Tensor, slots: Tensor, rows: Tensor) -> tuple[Tensor, dict[str, Any]]:
        first, *deep = rows.to(embeds.dtype).split(self.width, dim=1)
        embeds, _ = super().feed(embeds, slots, first)
        return embeds, {"visual_pos_masks": slots, "deepstack_visual_embeds": deep}


def _joined(rows: Any) -> Tensor:
    """Features `[N, D]`, which transformers gives whole or split by video, by version."""
    return rows if isinstance(rows, Tensor) else torch.cat(list(rows))
