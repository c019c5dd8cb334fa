"""tubedetr · tokens memory, relational answerer · TubeDETR (arXiv 2203.16434).

The baseline without a memory: every question walks all frames of its window again, clip by clip. Records
of a frame attend to each other and to the question; the query of a moment sees its own frame alone. As in
section 4.2 of Long-VMNet (arXiv 2503.13707): frozen features in place of a trained backbone, the object's
and the activity's tokens in place of text, no fast branch. What differs: the switches of `ops/reader.py`,
the same that Long-VMNet has here, so that the two differ by the memory alone; and of the clips' logits the
largest counts, not their mean (an option), which the many clips in which nothing happens drown out. Its
memory is a cache of features: a window is not decoded and encoded again for every question.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field, replace
from functools import lru_cache
from pathlib import Path
from typing import Any, ClassVar, cast

import torch
from torch import Tensor, nn

from watchonce.contracts import Bodies, Budget, Memory, MemoryState
from watchonce.ops.asking import Relational, check_vision
from watchonce.ops.attention import EXCLUDED, DecoderLayer
from watchonce.ops.every import EveryFrame
from watchonce.ops.position import time_code
from watchonce.ops.reader import Given, Known, Reader, Shape
from watchonce.ops.records import Outputs, Questions, Records
from watchonce.ops.weights import fill, load_network, shipped
from watchonce.types import BadInput, FrameBatch, Query, Recall, Tokens

CLIP = 120  # frames a clip has at most
JOINS = ("max", "mean")  # of the logits of a window's clips
UNSEEN = -30.0  # the logit of a match with a record that was not looked at


class TubeDETR(nn.Module):
    """Frames of a clip and questions to outputs; `watch` does so for a window of any length."""

    def __init__(self, shape: Shape) -> None:
        super().__init__()
        self.shape = shape
        self.reader = Reader(shape)

    def read(self, records: Records, questions: Questions, owner: Tensor | None = None) -> Outputs:
        """N questions about B clips: records `[B, T * G]` of whole frames in time order, padding last.

        owner: int64 `[N]`, the clip that each question is about; one question a clip where None. A
        question's times are answered each from the frame that is on view then.
        """
        reader, cells = self.reader, self.shape.cells
        if records.room % cells or not records.room:
            raise BadInput(f"TubeDETR reads whole frames of {cells} records, got {records.room} records")
        count, frames = len(questions), records.room // cells
        owner = torch.arange(count) if owner is None else owner
        given = reader.given(questions)
        known, base = self._frames(records, given, owner)
        shows, acts = reader.matches(given.thing, questions.activity, _clips(known, base, frames))
        seen = self._seen(records.rows(owner), questions)
        mine = known.rows((base[:, None] + seen).flatten())
        which = (torch.arange(count)[:, None] * frames + seen).flatten()
        own = [
            None if v is None else v.unflatten(1, (frames, cells)).flatten(0, 1)[which] for v in (shows, acts)
        ]
        fit = reader.bias(_alone(questions), mine, *own)
        said, weights = self._decode(given, questions, mine, fit)
        mass = weights.detach().mean(dim=1)[:, 0, :cells] * questions.there.reshape(-1, 1)
        spent = mass.new_zeros(count * frames, cells).index_add(0, which, mass).view(count, -1)
        common = Outputs(
            weight=spent / questions.there.sum(dim=1, keepdim=True).clamp(min=1), shows=shows, acts=acts
        )
        made = [self._heads(x, weights, questions, mine, common) for x in said]
        return replace(made[-1], aux=tuple(made[:-1]))

    def _frames(self, records: Records, given: Given, owner: Tensor) -> tuple[Known, Tensor]:
        """What is known of each frame, as of a video of its own, and where each question's frames begin."""
        cells = self.shape.cells
        late = self.shape.fusion == "late"
        records = records if late else records.rows(owner)
        frames = records.room // cells
        columns = (records.feat, records.time, records.patch, records.valid)
        alone = Records(*(v.unflatten(1, (frames, cells)).flatten(0, 1) for v in columns))
        if late:
            return self.reader.know(alone), owner * frames
        return self.reader.fuse(alone, given.repeated(frames)), torch.arange(len(owner)) * frames

    def _seen(self, records: Records, questions: Questions) -> Tensor:
        """The frame on view at each time, int64 `[B, Q]`: the last that is there and has begun."""
        starts, there = records.time[:, :: self.shape.cells], records.valid[:, :: self.shape.cells]
        starts = torch.where(there, starts, torch.inf).contiguous()
        return (torch.searchsorted(starts, questions.times.contiguous(), right=True) - 1).clamp(min=0)

    def _decode(
        self, given: Given, questions: Questions, mine: Known, fit: Tensor
    ) -> tuple[list[Tensor], Tensor]:
        """Per layer the looks `[B, Q, d]`; the last cross-attention's weights `[B * Q, H, 1, G + E]`."""
        count, looks = questions.times.shape
        code = time_code(questions.times, self.shape.width, self.shape.temperature)
        among = torch.where(questions.there, 0.0, EXCLUDED)[:, None, None, :]
        x, said, weights = given.target[:, None].expand(-1, looks, -1), [], fit
        for number, layer in enumerate(self.reader.decoder):
            layer = cast(DecoderLayer, layer)
            near = among
            if self.shape.near:
                near = self.reader.near[2 * number](among, questions.times, questions.times)
            x = layer.among(x, code, near)
            alone = (x + code).reshape(count * looks, 1, -1)
            mixed, weights = layer.cross(alone, mine.layers[number], bias=fit)
            x = layer.after(x, mixed.view(count, looks, -1))
            said.append(self.reader.norm(x))
        return said, weights

    def _heads(
        self, x: Tensor, weights: Tensor, questions: Questions, mine: Known, common: Outputs
    ) -> Outputs:
        """Boxes of every layer lean on the last one's attention."""
        reader, there = self.reader, questions.there
        if questions.kind == "activity":
            pooled = (x * there[..., None]).sum(dim=1) / there.sum(dim=1, keepdim=True).clamp(min=1)
            return replace(common, activity=reader.label(pooled))
        if questions.kind == "object":
            boxes = reader.boxes(x.reshape(there.numel(), 1, -1), weights[..., : self.shape.cells], mine)
            return replace(common, boxes=boxes.view(*there.shape, 4))
        start, end = (torch.where(there, head(x)[..., 0], -math.inf) for head in (reader.start, reader.end))
        return replace(common, start=start, end=end)

    # -- windows longer than a clip

    def watch(self, records: Records, question: Questions, clip: int = CLIP, join: str = JOINS[0]) -> Outputs:
        """One question about all frames of its window, records `[1, F * G]`: clips of `clip` frames.

        activity: a look a frame, the clips' logits joined; the last clip reaches back to be whole. object:
        each clip answers its own times. time: `clip` of the times, evenly spread, are answered in one go
        from their frames, and the others stay -inf (section 7 of the specification).
        """
        cells = self.shape.cells
        count = records.room // cells
        if question.kind == "time":
            return self._moments(records, question, clip)
        firsts = [min(f, max(0, count - clip)) for f in range(0, count, clip)]
        length = min(clip, count)
        frames = torch.tensor(firsts)[:, None] + torch.arange(length)
        index = (frames[..., None] * cells + torch.arange(cells)).flatten(1)
        clips = records.rows([0] * len(firsts)).take(index)
        if question.kind == "activity":
            asked = question.rows([0] * len(firsts))
            times = clips.time[:, ::cells]
            outputs = self.read(clips, replace(asked, times=times, there=torch.ones_like(times).bool()))
            assert outputs.activity is not None
            said = outputs.activity
            said = said.amax(0, True) if join == "max" else said.mean(0, True)
            return replace(_joined(outputs, index, records.room), activity=said)
        return self._tube(clips, question, records, index, clip)

    def _tube(
        self, clips: Records, question: Questions, records: Records, index: Tensor, clip: int
    ) -> Outputs:
        """Boxes of every clip, each for the times that fall on its frames, in the order asked."""
        seen = self._seen(records, question)[0]
        owner = torch.div(seen, clip, rounding_mode="floor")
        most = int(torch.bincount(owner, minlength=len(index)).max())
        times = question.times.new_zeros(len(index), most)
        there = torch.zeros(times.shape, dtype=torch.bool)
        places = torch.zeros(times.shape, dtype=torch.int64)
        for row in range(len(index)):
            mine = torch.nonzero(owner == row)[:, 0]
            times[row, : len(mine)], places[row, : len(mine)] = question.times[0, mine], mine
            there[row, : len(mine)] = True
        asked = replace(question.rows([0] * len(index)), times=times, there=there)
        outputs = self.read(clips, asked)
        assert outputs.boxes is not None
        boxes = outputs.boxes.new_zeros(1, question.times.shape[1], 4)
        boxes[0, places[there]] = outputs.boxes[there]
        return replace(_joined(outputs, index, records.room), boxes=boxes)

    def _moments(self, records: Records, question: Questions, clip: int) -> Outputs:
        cells = self.shape.cells
        number = int(question.there.sum())
        chosen = torch.div(torch.arange(min(clip, number)) * number, min(clip, number), rounding_mode="floor")
        times = question.times[:, chosen]
        seen = self._seen(records, replace(question, times=times, there=question.there[:, chosen]))[0]
        index = (seen[:, None] * cells + torch.arange(cells)).flatten()[None]
        outputs = self.read(
            records.take(index), replace(question, times=times, there=question.there[:, chosen])
        )
        whole = {}
        for name in ("start", "end"):
            logits = torch.full(question.times.shape, -math.inf)
            whole[name] = logits.index_copy(1, chosen, getattr(outputs, name))
        return replace(_joined(outputs, index, records.room), start=whole["start"], end=whole["end"])


def _joined(outputs: Outputs, index: Tensor, room: int) -> Outputs:
    """Values of clips' records put back among `room` records, at `index` `[clips, T * G]`."""

    def back(value: Tensor | None, empty: float) -> Tensor | None:
        if value is None:
            return None
        whole = torch.full((1, room), empty)
        whole[0, index.flatten()] = value.flatten()
        return whole

    weight, shows, acts = (back(outputs.weight, 0.0), back(outputs.shows, UNSEEN), back(outputs.acts, UNSEEN))
    assert weight is not None
    return replace(outputs, weight=weight / len(index), shows=shows, acts=acts, aux=())


def _alone(questions: Questions) -> Questions:
    """Every look of every question as a question of its own."""
    looks = questions.times.shape[1]
    rows = questions.rows(torch.arange(len(questions)).repeat_interleave(looks))
    return replace(rows, times=questions.times.reshape(-1, 1), there=questions.there.reshape(-1, 1))


def _clips(known: Known, base: Tensor, frames: int) -> Known:
    """Looks and acts of the frames of each question's clip in one row, without keys and values."""
    rows = (base[:, None] + torch.arange(frames)).flatten()
    looks, acts = (v[rows].unflatten(0, (len(base), frames)).flatten(1, 2) for v in (known.looks, known.acts))
    return replace(known, layers=(), looks=looks, acts=acts)


# -- the part


@lru_cache(maxsize=4)
def trained(weights: str) -> tuple[TubeDETR, dict[str, Any]]:
    """The network in a file of weights ("shipped": the one that comes with the package), and its facts."""
    path = shipped("tubedetr") if weights == "shipped" else Path(weights)
    tensors, shape, facts = load_network(path)
    return fill(TubeDETR(shape), tensors, path), facts


@dataclass
class FeatureCache(Memory):
    """Every frame's features, float16; evenly spaced frames where `budget.memory` allows no more."""

    carrier: ClassVar[str] = "tokens"
    sees: ClassVar[str] = "vision"

    _frames: EveryFrame = field(default_factory=EveryFrame, init=False, repr=False)

    def write(self, frames: FrameBatch, tokens: Tokens | None, budget: Budget) -> None:
        """Appends the window's features."""
        if tokens is not None and len(tokens):
            slim = replace(tokens, data=tokens.data.detach().half().cpu(), saliency=None)
            self._frames.add(slim, budget.memory)

    def read(self, query: Query) -> Recall:
        """All of them that start before `query.before`; which belong to the window the answerer knows."""
        kept = self._frames.tokens
        if kept is not None and query.before is not None:
            kept = kept[kept.start < query.before]
        return Recall(tokens=kept) if kept is not None and len(kept) else Recall()

    def state(self) -> MemoryState:
        """The features, and where the thinning stands."""
        return MemoryState(self._frames.state())

    def restore(self, state: MemoryState) -> None:
        """Takes up a snapshot."""
        self._frames = EveryFrame.of(state.tensors)


@dataclass
class TubeDETRAnswerer(Relational):
    """Activity, object and time queries, each from all frames of its window; reads a `FeatureCache`."""

    weights: str = "shipped"
    join: str = JOINS[0]  # how the logits of a window's clips become one answer

    _last: tuple[Tokens, Records] | None = field(default=None, init=False, repr=False)

    def bind(self, bodies: Bodies) -> TubeDETRAnswerer:
        """Hands over the models; raises BadInput for a vision tower the weights do not know."""
        super().bind(bodies)
        if self.join not in JOINS:
            raise BadInput(f"answer.join is one of {', '.join(JOINS)}, got {self.join!r}")
        if bodies.vision is not None:
            check_vision(bodies, trained(self.weights)[1], "tubedetr")
        return self

    def names(self) -> tuple[str, ...]:
        """The activities the weights know."""
        return trained(self.weights)[0].shape.activities

    def said(self, tokens: Tokens, questions: Questions) -> Outputs:
        """Outputs of all questions, one after the other."""
        network, _ = trained(self.weights)
        if self._last is None or self._last[0] is not tokens:
            self._last = (tokens, Records.of([tokens], network.shape.grid))
        records = self._last[1]
        rows = [self._one(network, records, questions.rows([row])) for row in range(len(questions))]
        names = ("activity", "boxes", "start", "end", "weight", "shows", "acts")
        columns = {name: [getattr(row, name) for row in rows] for name in names}
        joined: dict[str, Any] = {n: None if v[0] is None else torch.cat(v) for n, v in columns.items()}
        return Outputs(**joined)

    def _one(self, network: TubeDETR, records: Records, question: Questions) -> Outputs:
        """One question about the frames that begin in its window, or the one before if none does."""
        first, last = question.window[0].tolist()
        inside = (records.time[0] >= first) & (records.time[0] < last)
        if not bool(inside.any()):
            before = records.time[0][records.time[0] <= first]
            inside = records.time[0] == (before.max() if len(before) else records.time[0].min())
        index = torch.nonzero(inside)[:, 0][None]
        return _joined(network.watch(records.take(index), question, join=self.join), index, records.room)
