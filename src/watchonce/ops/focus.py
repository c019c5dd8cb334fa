"""A small network that hears a question: it scores the frames of a film and sketches those that are let go.

Time is counted in frames here, so it reads films at the rate that it was taught at (one a second, as it
ships). It does not know what is done with a score, how many frames are kept, nor whose tokens it reads.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from watchonce.ops import merge
from watchonce.ops.words import CLOCK, asked_span

WORD = re.compile(r"[a-z]+")
REACH = (2.0, 10.0, 60.0)  # seconds over which nearness to a time that the question names fades


@dataclass(frozen=True)
class Shape:
    """Sizes of the taught part. words: its vocabulary. own, joint: frames between the taps of each layer.

    features: width of a token. cones, rods: at most so many, whatever the budget.
    """

    words: tuple[str, ...]
    features: int
    width: int = 96
    inner: int = 64
    taps: int = 5
    own: tuple[int, ...] = (1, 2)
    joint: tuple[int, ...] = (1, 3, 9, 27)
    cones: int = 8
    rods: int = 16

    def __post_init__(self) -> None:
        for name in ("words", "own", "joint"):  # JSON knows no tuples
            object.__setattr__(self, name, tuple(getattr(self, name)))


class Heard(NamedTuple):
    """Q questions as the network reads them: word ids `[Q, L]`, 0 for none, and nearness `[Q, T, 4]`."""

    words: Tensor
    near: Tensor


class Mixed(nn.Module):
    """One layer over time, residual: every channel mixes frames `apart` steps apart, then channels mix."""

    def __init__(self, width: int, taps: int, apart: int) -> None:
        super().__init__()
        self.apart = apart
        self.norm = nn.LayerNorm(width)
        self.taps = nn.Parameter(torch.randn(taps, width) * taps**-0.5)
        self.up, self.down = nn.Linear(width, 2 * width), nn.Linear(2 * width, width)

    def forward(self, x: Tensor) -> Tensor:
        """`[B, T, width]` to the same."""
        reach = self.apart * (len(self.taps) // 2)
        padded = functional.pad(self.norm(x), (0, 0, reach, reach))
        # shifted sums: torch's convolution by channel is three times slower on a CPU
        shifted = (padded[:, i * self.apart :][:, : x.shape[1]] * tap for i, tap in enumerate(self.taps))
        return x + self.down(functional.gelu(self.up(torch.stack(list(shifted)).sum(0))))


class Focus(nn.Module):
    """Scores frames by how well they prove an answer, and sketches the frames that are let go."""

    def __init__(self, shape: Shape) -> None:
        super().__init__()
        self.shape = shape
        wide, inner, features = shape.width, shape.inner, shape.features
        self.known = {word: number for number, word in enumerate(shape.words, 1)}
        self.word_embed = nn.Embedding(len(shape.words) + 1, inner, padding_idx=0)
        with torch.no_grad():  # an unknown word, and none, say nothing
            self.word_embed.weight.normal_(std=0.3)[0] = 0.0
        self.ask = nn.Sequential(
            nn.LayerNorm(inner), nn.Linear(inner, 2 * wide), nn.GELU(), nn.Linear(2 * wide, 2 * wide)
        )
        self.norm, self.see = nn.LayerNorm(features), nn.Linear(features, wide)
        self.join = nn.Linear(2 * wide, wide)
        self.own = nn.ModuleList([Mixed(wide, shape.taps, apart) for apart in shape.own])
        self.seen = nn.LayerNorm(wide)
        self.match, self.bare = nn.Linear(wide, inner), nn.Linear(wide, inner, bias=False)
        self.asked, self.time = nn.Linear(wide, inner), nn.Linear(1 + len(REACH), inner)
        self.joint = nn.ModuleList([Mixed(inner, shape.taps, apart) for apart in shape.joint])
        self.out = nn.Sequential(nn.LayerNorm(inner), nn.Linear(inner, 1))
        self.look = nn.Linear(inner, features)
        self.rod = nn.Linear(2 * features, features)
        nn.init.zeros_(self.rod.weight)  # a rod begins as a mean
        nn.init.zeros_(self.rod.bias)

    def hear(self, questions: Sequence[str], at: np.ndarray) -> Heard:
        """Questions for frames whose middles are `at`, float64 `[T]` seconds."""
        rows = [
            [self.known.get(word, 0) for word in WORD.findall(CLOCK.sub(" ", text.lower()))]
            for text in questions
        ]
        words = torch.zeros(len(rows), max(1, *map(len, rows)), dtype=torch.long)
        near = np.zeros((len(rows), len(at), 1 + len(REACH)), np.float32)
        for number, (row, text) in enumerate(zip(rows, questions, strict=True)):
            words[number, : len(row)] = torch.tensor(row, dtype=torch.long)
            span, _ = asked_span(text)
            if span is not None:
                away = np.maximum(np.maximum(span.start - at, at - span.end), 0.0)
                near[number] = np.stack([np.ones_like(at), *(np.exp(-away / r) for r in REACH)], 1)
        return Heard(words, torch.from_numpy(near))

    def forward(self, frames: Tensor, heard: Heard) -> Tensor:
        """Scores `[Q, T]`, logits of being evidence, of frames `[T, P, features]` of one film."""
        seen = functional.gelu(self.see(self.norm(frames)))
        x = self.join(torch.cat([seen.mean(1), seen.amax(1)], -1))[None]
        for layer in self.own:
            x = layer(x)
        x = self.seen(x)
        gain, said = self.ask(self.word_embed(heard.words).sum(1)).chunk(2, -1)
        joint = self.match(x * gain[:, None]) + self.bare(x) + self.asked(said)[:, None]
        joint = joint + self.time(heard.near)
        for layer in self.joint:
            joint = layer(joint)
        return self.out(joint)[..., 0]

    def sketch(self, data: Tensor, group: Tensor, groups: int, words: Tensor) -> Tensor:
        """Rods `[groups, features]` of tokens `[N, features]`, each in a group, for a question's ids `[L]`.

        A rod is its tokens' mean, and a projection of the mean and of the tokens weighted by how well each
        answers the question.
        """
        pull = data @ self.look(self.word_embed(words).sum(0)) * data.shape[1] ** -0.5
        top = pull.new_full((groups,), -torch.inf).scatter_reduce(0, group, pull.detach(), "amax")
        weight = torch.exp(pull - top[group])[:, None]
        ones = torch.ones_like(weight)
        mean, context = (
            merge.total(data * w, group, groups) / merge.total(w, group, groups) for w in (ones, weight)
        )
        return mean + self.rod(torch.cat([mean, context], -1))
