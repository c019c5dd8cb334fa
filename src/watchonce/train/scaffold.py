"""Two small heads that show the language model where to look, taken down after training.

Left to the answers alone, two skills came late or never: knowing which line of the notes a word belongs to,
and telling lift from lower and push from pull, whose single frames are alike. Both are asked of the states
inside the network, at every word and every frame. This file does not know how the answers are learned.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.functional import binary_cross_entropy_with_logits, cross_entropy

from watchonce.models.tiny import TOKENS, WIDTH
from watchonce.train.pages import LINES, Sheet, lines_of
from watchonce.video.drawn.world import ACTIVITIES

if TYPE_CHECKING:
    from tokenizers import Tokenizer

    from watchonce.train.lessons import Clip

LINE_LAYERS = (1, 2)
ACT_LAYERS = (2, 3)


class Scaffold(nn.Module):
    """Line numbers after the first layers, activities that go on after the middle ones."""

    def __init__(self, width: int = WIDTH) -> None:
        super().__init__()
        self.lines = nn.Linear(width, LINES + 1)
        self.acts = nn.Linear(width, len(ACTIVITIES))

    def line_loss(self, states: Sequence[Tensor], sheet: Sheet, tokenizer: Tokenizer) -> Tensor:
        """Cross-entropy of the line every word of the notes stands in."""
        lines = lines_of(sheet, tokenizer)
        there = lines > 0
        losses = [cross_entropy(self.lines(states[n][there]).float(), lines[there]) for n in LINE_LAYERS]
        return torch.stack(losses).mean()

    def act_loss(self, states: Sequence[Tensor], sheet: Sheet, clips: Sequence[Clip], image: int) -> Tensor:
        """Binary cross-entropy of the activities going on, at the last token of every frame."""
        last = (sheet.ids == image).nonzero()[TOKENS - 1 :: TOKENS]  # [F, 2], row and place
        wanted = torch.from_numpy(going_on(clips))
        losses = [
            binary_cross_entropy_with_logits(
                self.acts(states[n][last[:, 0], last[:, 1]]).float(), wanted, reduction="none"
            )
            for n in ACT_LAYERS
        ]
        return torch.stack(losses).sum(-1).mean()


def going_on(clips: Sequence[Clip]) -> np.ndarray:
    """float32 `[F, 12]`: 1 where the activity goes on at the frame's time, frames of all clips in order."""
    rows = []
    for clip in clips:
        for time in clip.times.tolist():
            acts = {event.activity for event in clip.world.events_at(time)}
            rows.append([float(activity in acts) for activity in ACTIVITIES])
    return np.asarray(rows, np.float32)
