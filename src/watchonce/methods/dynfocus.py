"""dynfocus · compressor · DynFocus (arXiv 2411.12355, CVPR 2025), without training or taught on a model.

Frames are clustered to event prototypes and the prototypes that matter are chosen (DPE); the frame of a
chosen one becomes a cone, many tokens, every other frame a rod, one or two (CCE). On 16 x 16 tokens a cone
has 38: 16 of its prototype, 16 and 6 merged of the frame. What differs from the release and why: a
prototype's frame is its medoid (the release keeps the random frame its k-means began with); the score is
question match x novelty x size in place of a trained network that never sees the question; tokens stay in the
language model's own space, so there is no projector to train and no learned scale; a rod's second token is
the mean of what stands out of its frame, where the release asks its Q-Former. The number of cones follows
from the budget, a share `focus` of which is theirs, and prototypes are as many as the release's .45 makes of
that; `prototypes` = 80 brings back the paper's. Frames of few tokens keep all of them as a cone and their
mean as a rod. Rods that the budget has no room for are let go evenly over time.

Taught (`weights`), small networks do both halves on one model's tokens. Every frame is scored in its context
and with the question's words, and that from known evidence, where the release's score never sees the question
and learns through the loss alone. Prototypes are then made of the best-scored frames, not of all: this is as
cheap for an hour as for a minute, and a short event keeps a prototype of its own. Cones are no more than the
model reads well at once; the rest of the film becomes at most so many rods, a projection of the mean of a
stretch and of what in it answers the question; `focus` = 1 has none. So a large budget is not spent.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from watchonce.contracts import Bodies, Budget, Compressor
from watchonce.ops import merge
from watchonce.ops.allocate import spread
from watchonce.ops.cluster import density_peaks, distances, kmeans
from watchonce.ops.focus import Focus, Shape
from watchonce.ops.frames import framed, stacked
from watchonce.ops.score import best, of_frames, unit
from watchonce.ops.weights import digest_of, load_shaped, shipped
from watchonce.types import BadInput, Query, Tokens

SIDE = 4  # a prototype's grid: 16 tokens
FINE, COARSE = 16, 6  # merged tokens of a cone's frame
NEAR, WIDE = 8, 3  # neighbours of density, for the fine and the coarse
CONE, ROD = SIDE * SIDE + FINE + COARSE, 2
RICH = 64  # tokens a frame from which cones are merged; below, a cone is the frame and a rod its mean
CHOSEN = 0.45  # of the prototypes
PRIME = 80  # prototypes of the paper
WIDER, CLOSE = 2, 4  # frames scored best, a cone, of which prototypes are made; neighbours of density there


@lru_cache(maxsize=4)
def taught(weights: str) -> tuple[Focus, dict[str, Any]]:
    """The network in a file of weights, and its facts."""
    tensors, shape, facts = load_shaped(_file(weights), Shape)
    if "model" not in facts:
        raise BadInput(f"{_file(weights)} does not say its model; write it with watchonce train dynfocus")
    network = Focus(shape)
    network.load_state_dict(tensors)
    return network.eval().requires_grad_(False), facts


def _file(weights: str) -> Path:
    """The file of weights: "shipped" is the one that comes with the package."""
    return shipped("dynfocus") if weights == "shipped" else Path(weights).expanduser()


@dataclass
class DynamicFocus(Compressor):
    """Detail where the question points, a sketch of the rest."""

    waits: ClassVar[bool] = True
    saliency: ClassVar[str] = "similarity"

    focus: float = 0.94  # share of the budget that is for cones, 36 x 38 of 1456; 0 = rods alone, 1 = cones
    prototypes: int = 0  # 0 = as many as 1 / .45 of the cones; the paper's is 80
    question: float = 1.0  # power of the question's match in the score; 0 = the question is not heard
    seed: int = 0
    weights: str = ""  # "" = without training; "shipped", or a file that watchonce train dynfocus wrote

    @property
    def reads(self) -> str:
        """The taught network is its own measure."""
        return "" if self.weights else self.saliency

    def bind(self, bodies: Bodies) -> DynamicFocus:
        """Hands over the models; BadInput for a model whose tokens the weights do not know."""
        super().bind(bodies)
        if self.weights and bodies.vlm is not None:
            model = taught(self.weights)[1]["model"]
            if bodies.vlm.revision != model:
                raise BadInput(
                    f"these dynfocus weights read tokens of the model {model[:12]}, not of {bodies.vlm.name}"
                    f" ({bodies.vlm.revision[:12]}); leave compress.weights out to go without training"
                )
        return self

    def fingerprint(self) -> str:
        """The weights' digest."""
        return digest_of(_file(self.weights)) if self.weights else ""

    def compress(self, tokens: Tokens, query: Query | None, budget: Budget) -> Tokens:
        """At most `budget.tokens` tokens; without a budget the paper's cones and rods."""
        if not len(tokens):
            return tokens
        if self.weights:
            total = len(tokens) if budget.tokens is None else budget.tokens
            rods = math.ceil((1 - self.focus) * total - 1e-9)
            return focused(taught(self.weights)[0], tokens, query, total, rods)
        frame, count = framed(tokens)
        match = of_frames(tokens, frame, count, "dynfocus")
        each = -(-len(tokens) // count)
        cone, rod = (CONE, ROD) if each >= RICH else (each, 1)
        if budget.tokens is None:
            cones = math.ceil(CHOSEN * min(PRIME, count))
            total, rods = cones * cone + (count - cones) * rod, count - cones
        else:
            total = budget.tokens
            cones, rods = split_budget(total, count, cone, rod, self.focus)
        if len(tokens) <= total:
            return tokens
        points = self._points(tokens, frame, count)
        wanted = min(count, cones + 1)  # one more than whole cones, for what is left over
        many = min(count, max(self.prototypes, math.ceil(wanted / CHOSEN)))
        centres, group = kmeans(points, many, self.seed, restarts=1)
        order = self._ranked(points, centres, group, match)
        keep = np.zeros(count, np.int64)
        others = np.setdiff1d(np.arange(count), order[:cones])
        keep[others[spread(len(others), rods)]] = rod
        keep[order[:cones]] = cone
        for room in (cone, each):  # what is left over makes more cones, then larger ones
            for row in order:
                keep[row] += max(0, min(total - int(keep.sum()), room - int(keep[row])))
        return merge.layers(tokens, _drawn(tokens, frame, keep, group, each))

    def _points(self, tokens: Tokens, frame: Tensor, count: int) -> np.ndarray:
        """Every frame as its tokens averaged over a 4 x 4 grid, in a row: float64 `[T, 16 D]`."""
        pooled = merge.by_label(tokens, merge.pool(tokens, frame, np.full((count, 2), SIDE)))
        rows = stacked(pooled, *framed(pooled))
        return rows.reshape(count, -1).cpu().numpy().astype(np.float64)

    def _ranked(
        self, points: np.ndarray, centres: np.ndarray, group: np.ndarray, match: np.ndarray
    ) -> np.ndarray:
        """The medoids of the prototypes, best first: int64 `[k]`; of equals the earliest first."""
        far = distances(points, centres)
        own = far[np.arange(len(points)), group]
        rows = [int(np.flatnonzero(group == g)[own[group == g].argmin()]) for g in range(len(centres))]
        size = np.bincount(group, minlength=len(centres))
        heard = np.full(len(centres), -np.inf)
        np.maximum.at(heard, group, unit(match))
        novel = unit(distances(centres, points.mean(0)[None])[:, 0])
        score = (0.05 + heard) ** self.question * (0.05 + novel) * size / (1 + size)
        return np.array(sorted(rows, key=lambda row: (-score[group[row]], row)), np.int64)


def focused(network: Focus, tokens: Tokens, query: Query | None, total: int, rods: int) -> Tokens:
    """At most `total` tokens, as many cones as the network may have and then at most `rods` rods.

    Differentiable by the network's sketch.
    """
    if query is None or not query.text.strip():
        raise BadInput("dynfocus was taught to hear a question and got none; ask with words")
    if tokens.data.shape[1] != network.shape.features:
        raise BadInput(
            f"these dynfocus weights read tokens {network.shape.features} wide, got {tokens.data.shape[1]};"
            " leave compress.weights out to go without training"
        )
    frame, count = framed(tokens)
    rows = stacked(tokens, frame, count)
    first = torch.searchsorted(frame.contiguous(), torch.arange(count, device=frame.device))
    heard = network.hear([query.text], ((tokens.start + tokens.end) / 2)[first].cpu().numpy())
    with torch.no_grad():
        score = network(rows, heard)[0].cpu().numpy()
    each = -(-len(tokens) // count)
    cones = min(network.shape.cones, max(1, total // each))
    chosen = prototypes(score, rows.flatten(1).cpu().numpy(), cones)
    keep = np.zeros(count, np.int64)
    keep[chosen] = min(each, total)
    parts = [merge.layers(tokens, _drawn(tokens, frame, keep, np.arange(count), each))]
    rods = min(rods, network.shape.rods, total - int(keep.sum()), count - len(chosen))
    if rods > 0:
        parts.append(sketched(network, tokens, frame, chosen, rods, heard.words[0]))
    whole = Tokens.cat(parts)
    return whole[torch.argsort(whole.start, stable=True)]


def prototypes(score: np.ndarray, points: np.ndarray, many: int) -> np.ndarray:
    """Frames to be cones, ascending int64 `[min(many, T)]`: density peaks among those scored best.

    score: `[T]`; points: `[T, D]`.
    """
    found = best(score, WIDER * many)
    centres, _ = density_peaks(torch.from_numpy(points[found]), many, CLOSE)
    return found[centres.numpy()]


def sketched(
    network: Focus, tokens: Tokens, frame: Tensor, cones: np.ndarray, rods: int, words: Tensor
) -> Tokens:
    """The frames that are no cones as `rods` tokens, each of an equal stretch of them."""
    others = torch.from_numpy(np.setdiff1d(np.arange(int(frame.max()) + 1), cones)).to(frame.device)
    label = torch.full((int(frame.max()) + 1,), -1, device=frame.device)
    label[others] = torch.arange(len(others), device=frame.device) * rods // len(others)
    mine = torch.nonzero(label[frame] >= 0)[:, 0]
    plain = merge.by_label(tokens, label[frame])
    data = network.sketch(tokens.data[mine].float(), label[frame][mine], rods, words.to(frame.device))
    return replace(plain, data=data.to(plain.data.dtype))


def split_budget(total: int, frames: int, cone: int, rod: int, focus: float) -> tuple[int, int]:
    """How many cones and how many rods: cones * cone + rods * rod <= total, together at most `frames`.

    Where rods for all frames cost no more than 1 - focus of the total, all have at least one and cones
    take the rest; otherwise cones take their share and rods what is left.
    """
    if frames * rod <= (1 - focus) * total:
        cones = min(frames, (total - frames * rod) // max(1, cone - rod))
        return cones, frames - cones
    cones = min(frames, int(focus * total + 1e-9) // cone)
    return cones, min(frames - cones, (total - cones * cone) // rod)


def _drawn(
    tokens: Tokens, frame: Tensor, keep: np.ndarray, group: np.ndarray, each: int
) -> list[tuple[Tensor, str]]:
    """The layers of cones and rods: fine tokens, coarse tokens, prototypes; labels as `merge.layers` takes.

    keep: tokens of every frame. group: every frame's prototype. each: tokens of a whole frame.
    """
    fine, coarse, sketch = (torch.full_like(frame, -1) for _ in range(3))
    offset = np.cumsum(keep) - keep
    members = torch.from_numpy(group).to(frame.device)[frame]
    cells = merge.pool(tokens, torch.zeros_like(frame), np.array([[SIDE, SIDE]]))
    for row in np.flatnonzero(keep).tolist():
        rows = torch.nonzero(frame == row)[:, 0]
        data, first, wanted = tokens.data[rows].float(), int(offset[row]), int(keep[row])
        if wanted >= len(rows):
            fine[rows] = torch.arange(len(rows), device=frame.device) + first
        elif wanted == 1:
            fine[rows] = first
        elif each >= RICH and wanted == ROD:
            fine[rows] = first
            coarse[rows[_standing_out(data)]] = first
        elif each >= RICH and wanted == CONE:
            centres, small = density_peaks(data, FINE, NEAR)
            _, large = density_peaks(data[centres], COARSE, WIDE)
            fine[rows], coarse[rows] = small + first, large[small] + first
            inside = (members == int(group[row])) & (cells >= 0)
            sketch[inside] = cells[inside] + first
        else:
            fine[rows] = density_peaks(data, wanted, min(wanted, NEAR))[1] + first
    return [(labels, "mean") for labels in (sketch, coarse, fine) if bool((labels >= 0).any())]


def _standing_out(data: Tensor) -> Tensor:
    """Rows of the quarter of a frame's tokens that are least like its mean."""
    like = functional.cosine_similarity(data, data.mean(0, keepdim=True), dim=-1)
    return torch.argsort(like, stable=True)[: max(1, len(data) // 4)]
