"""long_vmnet · tokens memory and relational answerer · Long-VMNet (arXiv 2503.13707).

A neural sampler keeps m token records of a whole video, clip by clip; an encoder-decoder answers activity,
object and time questions from them. What differs from the paper and why: losers of the selection get a
counterfactual gradient (the paper's gather leaves them none and learns less); each record keeps one lot for
good and gives way to others like it (a memory that draws anew at every clip forgets half each time); the
question meets the memory in the decoder alone, so a memory is encoded once; attention is biased by match
and distance (see `ops/reader.py`). The paper's own choices are options, together in the preset `paper`.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from functools import lru_cache
from pathlib import Path
from typing import Any, ClassVar

import torch
from torch import Tensor, nn
from torch.nn import functional

from watchonce.contracts import Bodies, Budget, Memory, MemoryState
from watchonce.ops.asking import Relational, check_vision
from watchonce.ops.attention import EncoderLayer
from watchonce.ops.packing import packed, rounded, unpacked
from watchonce.ops.position import place_code, time_code
from watchonce.ops.reader import Known, Projection, Reader, Shape
from watchonce.ops.records import Outputs, Questions, Records
from watchonce.ops.topk import even_lot, gumbel, select, top
from watchonce.ops.weights import digest_of, fill, load_network, shipped
from watchonce.types import BadInput, FrameBatch, Query, Recall, Tokens

ALIKE, NEAR = 0.8, 20.0  # cosine of looks, and seconds, within which records crowd each other

PRESETS: dict[str, dict] = {
    "unit": {"features": 32, "grid": (2, 2), "width": 32, "heads": 2, "inner": 64},
    "cpu-tiny": {"width": 64, "heads": 4, "inner": 128},
    "cpu-small": {"width": 128, "heads": 4, "inner": 256, "layers": 2, "sampler_layers": 2},
    "paper": {
        "features": 768,
        "grid": (7, 7),
        "width": 2048,
        "heads": 8,
        "inner": 4096,
        "layers": 2,
        "sampler_layers": 2,
        "dropout": 0.2,
        "temperature": 1e4,
        "fusion": "grid",
        "match": False,
        "near": False,
        "sink": False,
        "anchor": False,
    },
}


def preset(name: str, activities: tuple[str, ...], **changes: object) -> Shape:
    """A named size, with changes to single fields."""
    if name not in PRESETS:
        raise BadInput(f"no preset is called {name!r}; known: {', '.join(PRESETS)}")
    return replace(Shape(activities, **PRESETS[name]), **changes)  # type: ignore[arg-type]


class Sampler(nn.Module):
    """One score a record, from all records of memory and clip together (section 3.2 of the paper).

    With no layers a record is scored by itself, so the memory does not depend on how clips were cut; a
    hidden layer (`sampler_inner`) then takes the layers' place.
    """

    places: Tensor

    def __init__(self, shape: Shape) -> None:
        super().__init__()
        d = shape.width
        self.shape = shape
        self.project = Projection(shape.features, d)
        sizes = (d, shape.heads, shape.inner, shape.dropout)
        self.layers = nn.ModuleList([EncoderLayer(*sizes) for _ in range(shape.sampler_layers)])
        inner = shape.sampler_inner
        self.hidden = nn.Sequential(nn.Linear(d, inner), nn.GELU()) if inner else nn.Identity()
        self.norm, self.score = nn.LayerNorm(d), nn.Linear(inner or d, 1)
        nn.init.zeros_(self.score.weight)  # the first selections are uniform
        nn.init.zeros_(self.score.bias)
        self.register_buffer("places", place_code(shape.grid, d), persistent=False)

    def forward(self, records: Records) -> Tensor:
        """Scores `[B, L]`; of padding they mean nothing."""
        x = self.project(records.feat)
        code = time_code(records.time, self.shape.width, self.shape.temperature) + self.places[records.patch]
        for layer in self.layers:
            x = layer(x, code, records.valid)
        return self.score(self.hidden(self.norm(x)))[..., 0]


class LongVMNet(nn.Module):
    """Sampler and reader."""

    def __init__(self, shape: Shape) -> None:
        super().__init__()
        self.shape = shape
        self.sampler, self.reader = Sampler(shape), Reader(shape)

    def score(self, records: Records) -> Tensor:
        """The sampler's scores `[B, L]`."""
        return self.sampler(records)

    def keys(self, scores: Tensor) -> Tensor:
        """What records are kept by, before lots are added: scale x score, or x log sigmoid(score).

        Bounded keys with kept lots are a reservoir weighted by chance ** scale: the sure ones share the room
        evenly, where raw scores fill it with the few surest.
        """
        return self.shape.scale * (functional.logsigmoid(scores) if self.shape.bounded else scores)

    def lasting(self, records: Records, scores: Tensor, seed: int = 0) -> Tensor:
        """Keys `[B, L]` for a memory that is not to forget: with a lot that each record keeps for good.

        Lots are even in time, so what stays of an event is spread over it; a fresh draw at every clip would
        lose half of the past each time. With shape.crowding, a record gives way to those that look alike,
        are near in time and have larger keys: its chance falls as 1 / (1 + their number) ** crowding.
        """
        keys = self.keys(scores) + gumbel(even_lot(records.time, records.patch, seed)).float()
        if not self.shape.crowding:
            return keys
        if self.reader.match is None:
            raise BadInput("crowding needs a network with match, to tell which records look alike")
        looks = self.reader.match.looks(self.reader.project(records.feat))
        apart = (records.time[:, :, None] - records.time[:, None]).abs()
        rivals = (looks @ looks.transpose(1, 2) > ALIKE) & (apart < NEAR) & records.valid[:, None]
        ahead = (rivals & (keys[:, None] > keys[:, :, None])).sum(dim=2)
        return keys - self.shape.crowding * torch.log1p(ahead)

    def select(
        self,
        records: Records,
        m: int,
        tau: float = 1.0,
        noise: Tensor | None = None,
        scores: Tensor | None = None,
    ) -> tuple[Tensor, Tensor]:
        """The m records to keep: positions int64 `[B, min(m, L)]`, ascending, and gate `[B, L]`.

        The largest of `keys(scores)` + noise; of two records of one place and moment the later competes
        alone. noise: Gumbel draws `[B, L]`, None to choose without chance. scores: from `score`, if known.
        """
        scores = self.score(records) if scores is None else scores
        keys = torch.where(records.once().valid, self.keys(scores), -torch.inf)
        return select(keys, m, tau, noise)

    def keep(self, records: Records, index: Tensor, gate: Tensor) -> tuple[Records, Tensor]:
        """What the reader is to be given, by the estimator of the gradient: records and their gate.

        counterfactual: all of them, the losers at gate 0. gather: the winners alone, as the paper's text
        reads. Forward both say the same.
        """
        if self.shape.estimator == "counterfactual":
            return records, gate
        return records.take(index), gate.gather(1, index)

    def cache(self, records: Records, gate: Tensor | None = None) -> Known:
        """What no question changes, for `read`; late fusion only."""
        return self.reader.know(records, gate)

    def read(
        self,
        records: Records,
        questions: Questions,
        gate: Tensor | None = None,
        cached: Known | None = None,
    ) -> Outputs:
        """Outputs for B questions over B videos' records, or over one video where `cached` holds one."""
        return self.reader.read(records, questions, gate, cached)


# -- the parts


def _file(weights: str) -> Path:
    """The file of weights: "shipped" is the one that comes with the package."""
    return shipped("long_vmnet") if weights == "shipped" else Path(weights).expanduser()


@lru_cache(maxsize=4)
def trained(weights: str) -> tuple[LongVMNet, dict[str, Any]]:
    """The network in a file of weights, and its facts."""
    path = _file(weights)
    tensors, shape, facts = load_network(path)
    missing = [name for name in ("vision", "room", "clip", "lasting") if name not in facts]
    if missing:
        raise BadInput(
            f"{path} does not say its {', '.join(missing)}; write it with watchonce train long_vmnet"
        )
    return fill(LongVMNet(shape), tensors, path), facts


@dataclass
class LongVMNetMemory(Memory):
    """At most `budget.memory` records of a whole video (as many as in training, where there is no budget).

    Clips hold as many frames as in training however the windows fall, so a file and a stream of the same
    frames leave the same memory, bit for bit. Features are kept to 8 bits; saliency is the chance the sampler
    last gave a record.
    """

    weights: str = "shipped"  # or a file that watchonce train long_vmnet wrote

    carrier: ClassVar[str] = "tokens"
    sees: ClassVar[str] = "vision"

    _kept: Tokens | None = field(default=None, init=False, repr=False)
    _clip: Tokens | None = field(default=None, init=False, repr=False)  # frames not yet sampled

    def bind(self, bodies: Bodies) -> LongVMNetMemory:
        """Hands over the models; raises BadInput for a vision tower the weights do not know."""
        super().bind(bodies)
        if bodies.vision is not None:
            check_vision(bodies, trained(self.weights)[1], "long_vmnet")
        return self

    def fingerprint(self) -> str:
        """The weights' digest: a watch begun with others is not gone on with."""
        return digest_of(_file(self.weights))

    def write(self, frames: FrameBatch, tokens: Tokens | None, budget: Budget) -> None:
        """Gathers frames; every full clip meets the memory, and the sampler keeps what fits."""
        if tokens is None or len(tokens) == 0:
            return
        network, facts = trained(self.weights)
        if tokens.data.shape[1] != network.shape.features:
            raise BadInput(
                f"long_vmnet reads features {network.shape.features} wide, got {tokens.data.shape[1]};"
                " watch with the vision tower its weights were trained on"
            )
        fresh = rounded(tokens, network.shape.grid)
        self._clip = fresh if self._clip is None else Tokens.cat([self._clip, fresh])
        moments = torch.unique_consecutive(self._clip.start)
        for first in range(0, len(moments) - facts["clip"] + 1, facts["clip"]):
            self._sample(moments[first : first + facts["clip"]], budget)

    def finish(self, budget: Budget) -> None:
        """The frames of the last, shorter clip."""
        if self._clip is not None:
            self._sample(self._clip.start, budget)

    def _sample(self, moments: Tensor, budget: Budget) -> None:
        assert self._clip is not None
        clip = self._clip.start <= moments[-1]
        joined, rest = self._clip[clip], self._clip[~clip]
        if self._kept is not None:
            joined = Tokens.cat([self._kept, joined])
        self._kept, self._clip = self._fit(joined, budget), rest if len(rest) else None

    @torch.no_grad()
    def _fit(self, tokens: Tokens, budget: Budget) -> Tokens:
        """The records to keep of these, in their order."""
        network, facts = trained(self.weights)
        records = Records.of([tokens], network.shape.grid)
        scores = network.score(records)
        keys = network.lasting(records, scores) if facts["lasting"] else network.keys(scores)
        once = records.once().valid
        index = top(torch.where(once, keys, -torch.inf), budget.memory or facts["room"])
        chosen = index[0][once[0, index[0]]]
        return replace(tokens, saliency=torch.sigmoid(scores[0]).half())[chosen]

    def merge(self, later: LongVMNetMemory, budget: Budget) -> None:
        """Takes in a finished memory of what came after this one's frames; BadInput where they overlap.

        With a sampler of no layers it is the memory one watch of both would have left.
        """
        self.finish(budget)
        later.finish(budget)
        if later._kept is None or self._kept is None:
            self._kept = self._kept or later._kept
            return
        ends, starts = float(self._kept.end.max()), float(later._kept.start.min())
        if starts < ends - 1e-6:
            raise BadInput(
                f"memories to merge must follow each other; one ends at {ends}, the next starts at {starts}"
            )
        self._kept = self._fit(Tokens.cat([self._kept, later._kept]), budget)

    def read(self, query: Query) -> Recall:
        """All records that start before `query.before`, those of the clip that is not full yet among them."""
        parts = [part for part in (self._kept, self._clip) if part is not None]
        if not parts:
            return Recall()
        tokens = parts[0] if len(parts) == 1 else Tokens.cat([replace(p, saliency=None) for p in parts])
        if query.before is not None:
            tokens = tokens[tokens.start < query.before]
        return Recall(tokens=tokens) if len(tokens) else Recall()

    def state(self) -> MemoryState:
        """Both sets of tokens, packed."""
        parts = {"kept": self._kept, "clip": self._clip}
        if not any(part is not None for part in parts.values()):
            return MemoryState()
        grid = trained(self.weights)[0].shape.grid
        columns = {name: packed(part, grid) for name, part in parts.items() if part is not None}
        return MemoryState({f"{name}.{c}": v for name, part in columns.items() for c, v in part.items()})

    def restore(self, state: MemoryState) -> None:
        """Takes up a snapshot."""
        found: dict[str, dict[str, Tensor]] = {"kept": {}, "clip": {}}
        for name, value in state.tensors.items():
            part, _, column = name.partition(".")
            found[part][column] = value
        grid = trained(self.weights)[0].shape.grid
        self._kept, self._clip = (unpacked(v, grid) if v else None for v in (found["kept"], found["clip"]))


@dataclass
class LongVMNetAnswerer(Relational):
    """Activity, object and time queries in batches; what no query changes is worked out once a memory."""

    weights: str = "shipped"

    _last: tuple[Tokens, Known] | None = field(default=None, init=False, repr=False)

    def bind(self, bodies: Bodies) -> LongVMNetAnswerer:
        """Hands over the models; raises BadInput for a vision tower the weights do not know."""
        super().bind(bodies)
        if bodies.vision is not None:
            check_vision(bodies, trained(self.weights)[1], "long_vmnet")
        return self

    def names(self) -> tuple[str, ...]:
        """The activities the weights know."""
        return trained(self.weights)[0].shape.activities

    def said(self, tokens: Tokens, questions: Questions) -> Outputs:
        """Outputs for questions of one kind about one memory."""
        network, _ = trained(self.weights)
        if network.shape.fusion != "late":
            again = Records.of([tokens] * len(questions), network.shape.grid)
            return network.read(again, questions)
        if self._last is None or self._last[0] is not tokens:
            records = Records.of([tokens], network.shape.grid)
            self._last = (tokens, network.cache(records))
        known = self._last[1]
        return network.read(Records.none(1, network.shape.features), questions, cached=known)
