"""The first stage: the vision tower and the connector learn to name what is in every patch and quarter.

Crowded random scenes, labelled patch by patch, and frames of films, both worn as by a codec. It knows the
vision half of the tiny model, not its language.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from watchonce.train.facts import SCALE, SIZES, STARTS, codes, pairs, weights_of_labels, weights_of_world
from watchonce.video.drawn.paint import Painter, dense_scenes
from watchonce.video.drawn.world import CATEGORIES, COLOURS, World

if TYPE_CHECKING:
    from transformers import SmolVLMForConditionalGeneration

HEADS = {
    "category": 9, "colour": 7, "tool": 10, "activity": 10, "category_of_active": 9, "colour_of_active": 7,
    "displacement": 13, "pair": 49, "pair_of_active": 49,
}  # fmt: skip
SHARP = 6.0  # of a read-out of the code, before the softmax
NEGATIVE = 0.5  # weight of patches where nothing is, beside those where something is


def wear(frames: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """What H.264 in yuv420p does to frames `[N, 96, 96, 3]`: coarse colour, quantised 8 x 8 blocks.

    Half the frames get it, each at its own strength.
    """
    chosen = np.flatnonzero(rng.random(len(frames)) < 0.5)
    if not len(chosen):
        return frames
    rgb = frames[chosen].astype(np.float32)
    luma = rgb @ np.array([0.299, 0.587, 0.114], np.float32)
    chroma = np.stack([rgb[..., 2] - luma, rgb[..., 0] - luma], -1)
    count, side = len(chosen), frames.shape[1]
    small = chroma.reshape(count, side // 2, 2, side // 2, 2, 2).mean((2, 4))
    step = rng.uniform(2.0, 14.0, (count, 1, 1, 1, 1)).astype(np.float32)
    luma = _quantise(luma, step)
    blue, red = (_quantise(small[..., i], step * 0.8).repeat(2, 1).repeat(2, 2) for i in range(2))
    green = luma - (0.299 * red + 0.114 * blue) / 0.587
    worn = frames.copy()
    worn[chosen] = np.clip(np.stack([luma + red, green, luma + blue], -1), 0, 255).astype(np.uint8)
    return worn


def _quantise(plane: np.ndarray, step: np.ndarray) -> np.ndarray:
    """Blocks of 8 x 8 to cosines, rounded to multiples of `step`, and back: `[N, S, S]`."""
    count, side = plane.shape[0], plane.shape[1]
    blocks = plane.reshape(count, side // 8, 8, side // 8, 8).transpose(0, 1, 3, 2, 4)
    cosines = _COSINES @ blocks @ _COSINES.T
    back = _COSINES.T @ (np.round(cosines / step) * step) @ _COSINES
    return back.transpose(0, 1, 3, 2, 4).reshape(count, side, side)


_N = np.arange(8)
_COSINES = (
    np.cos((2 * _N[None, :] + 1) * _N[:, None] * np.pi / 16) * np.where(_N[:, None], 0.5, 8**-0.5)
).astype(np.float32)


def pixels(frames: np.ndarray) -> Tensor:
    """uint8 `[N, S, S, 3]` to the float `[N, 3, S, S]` in -1..1 that the processor of the folder makes."""
    return torch.from_numpy(frames).permute(0, 3, 1, 2).float().div_(127.5).sub_(1.0)


class Eye(nn.Module):
    """Vision tower, connector, and the patch heads that are thrown away after this stage."""

    def __init__(self, model: SmolVLMForConditionalGeneration) -> None:
        super().__init__()
        self.vision, self.connector = model.model.vision_model, model.model.connector
        self.heads = nn.Linear(self.vision.config.hidden_size, sum(HEADS.values()))
        self.room = nn.Linear(self.vision.config.hidden_size, 5)
        self.register_buffer("codes", torch.from_numpy(codes()), persistent=False)

    def forward(self, images: Tensor) -> tuple[Tensor, Tensor]:
        """Patch features `[N, 64, D]` and tokens `[N, 4, W]` of images `[N, 3, S, S]`."""
        features = self.vision(pixel_values=images).last_hidden_state
        return features, self.connector(features)

    def losses(self, frames: np.ndarray, labels: dict[str, np.ndarray]) -> dict[str, Tensor]:
        """Named losses: a cross-entropy per patch label, the room, and the code of every quarter."""
        features, tokens = self(pixels(frames))
        found: dict[str, Tensor] = {}
        scores = self.heads(features).split(list(HEADS.values()), -1)
        for (name, _), logits in zip(HEADS.items(), scores, strict=True):
            found[name] = _balanced(
                logits.flatten(0, 1), torch.from_numpy(with_pairs(labels)[name]).flatten()
            )
        found["room"] = cross_entropy(self.room(features.mean(1)), torch.from_numpy(labels["room"]))
        wanted = torch.from_numpy(weights_of_labels(labels)) @ self.get_buffer("codes")
        found["code"] = ((tokens - wanted) ** 2).sum(-1).mean()
        return found

    def film_losses(self, frames: np.ndarray, weights: np.ndarray, active: np.ndarray) -> dict[str, Tensor]:
        """The code again, on frames of films, where objects stand as they do when it matters.

        frames `[N, S, S, 3]`; weights `[N, 4, COUNT]` of the facts; active `[N]`, the number of the one
        object in hand, -100 where there is none or more than one: read with the code itself, it must win.
        """
        _, tokens = self(pixels(frames))
        first = STARTS["pair_of_active"]
        known: Tensor = self.codes  # type: ignore[assignment]
        read = (tokens @ known.T / SCALE**2)[..., first : first + SIZES["pair_of_active"]].sum(1)
        return {
            "film": ((tokens - torch.from_numpy(weights) @ known) ** 2).sum(-1).mean(),
            "active": cross_entropy(SHARP * read, torch.from_numpy(active)),
        }


def with_pairs(labels: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    """The painter's labels with those of colour and category together."""
    return {
        **labels,
        "pair": pairs(labels["category"], labels["colour"]),
        "pair_of_active": pairs(labels["category_of_active"], labels["colour_of_active"]),
    }


def _balanced(logits: Tensor, target: Tensor) -> Tensor:
    loss = cross_entropy(logits, target, reduction="none")
    there = (target > 0).float()
    positive = (loss * there).sum() / there.sum().clamp(min=1)
    return positive + NEGATIVE * (loss * (1 - there)).sum() / (1 - there).sum().clamp(min=1)


def film_batch(
    rng: np.random.Generator, worlds: list[World], count: int
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """`count` frames of each world, mostly inside events, half of them worn: for `film_losses`."""
    frames, weights, active = [], [], []
    for world in worlds:
        events = [world.events[int(i)] for i in rng.integers(len(world.events), size=count)]
        times = np.array([rng.uniform(e.start, min(e.end, world.duration - 0.01)) for e in events])
        stray = rng.random(count) < 0.15
        times[stray] = rng.uniform(0, world.duration - 0.01, int(stray.sum()))
        times.sort()
        frames.append(Painter(world).draw(times))
        weights.append(weights_of_world(world, times))
        active += [_held(world, float(time)) for time in times]
    return wear(np.concatenate(frames), rng), np.concatenate(weights), np.array(active)


def _held(world: World, time: float) -> int:
    going = world.events_at(time)
    if len(going) != 1:
        return -100
    instance = world.instances[going[0].instance]
    return CATEGORIES.index(instance.category) * len(COLOURS) + COLOURS.index(instance.colour)


def eye_batch(rng: np.random.Generator, count: int = 64) -> tuple[np.ndarray, dict[str, np.ndarray]]:
    """Fresh crowded scenes, half of them worn, and their labels."""
    frames, labels = dense_scenes(rng, count)
    return wear(frames, rng), labels
