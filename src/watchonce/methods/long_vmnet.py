"""long_vmnet · tokens memory and relational answerer · Long-VMNet (arXiv 2503.13707).

A neural sampler keeps m token records of a whole video, clip by clip; an encoder-decoder answers activity,
object and time questions from them. What differs from the paper and why: losers of the selection get a
counterfactual gradient (the paper's gather leaves them none, and did not learn); the question meets the
memory in the decoder alone, so a memory is encoded once; attention is biased by match and distance (see
`ops/reader.py`). The paper's own choices are options of `Shape`, together in the preset `paper`.
"""

from __future__ import annotations

from dataclasses import replace

import torch
from torch import Tensor, nn
from torch.nn import functional

from watchonce.ops.attention import EncoderLayer
from watchonce.ops.position import place_code, time_code
from watchonce.ops.reader import Known, Projection, Reader, Shape
from watchonce.ops.records import Outputs, Questions, Records
from watchonce.ops.topk import select
from watchonce.types import BadInput

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

    With no layers a record is scored by itself, so the memory does not depend on how clips were cut.
    """

    places: Tensor

    def __init__(self, shape: Shape) -> None:
        super().__init__()
        d = shape.width
        self.shape = shape
        self.project = Projection(shape.features, d)
        sizes = (d, shape.heads, shape.inner, shape.dropout)
        self.layers = nn.ModuleList([EncoderLayer(*sizes) for _ in range(shape.sampler_layers)])
        self.norm, self.score = nn.LayerNorm(d), nn.Linear(d, 1)
        nn.init.zeros_(self.score.weight)  # the first selections are uniform
        nn.init.zeros_(self.score.bias)
        self.register_buffer("places", place_code(shape.grid, d), persistent=False)

    def forward(self, records: Records) -> Tensor:
        """Scores `[B, L]`; of padding they mean nothing."""
        x = self.project(records.feat)
        code = time_code(records.time, self.shape.width, self.shape.temperature) + self.places[records.patch]
        for layer in self.layers:
            x = layer(x, code, records.valid)
        return self.score(self.norm(x))[..., 0]


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
