"""diary · notes memory · no single paper: dated captions, as LLoVi, Goldfish and many agents keep.

Every `stride` seconds the VLM describes the `segment` seconds around it; the description vouches for the
middle `stride` seconds only, so neighbouring looks overlap while their notes tile the timeline. Each
sentence is a note of its own, and equal sentences that touch are one note with one span. Subtitles are
notes too. Without a VLM the diary holds what is true of any video: its scenes and its subtitles.

Reading is a search by words (and by meaning when a text embedder is given), with the notes just before
and after each of the best hits, in time order. A clock time in the question is a filter, not a word.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from watchonce.contracts import Bodies, Budget, Memory, MemoryState
from watchonce.ops.segment import Scene, SceneStream, sketch
from watchonce.ops.sentences import SentenceStream
from watchonce.ops.state import only
from watchonce.ops.words import Hit, NoteIndex, asked_span
from watchonce.study.captions import PENDING, CaptionStream
from watchonce.types import DamagedMemory, FrameBatch, Note, Query, Recall, Tokens

if TYPE_CHECKING:
    from torch import Tensor

ORDER = frozenset("before after then next previous previously following preceding since until".split())


@dataclass
class Diary(Memory):
    """Dated sentences, searched."""

    carrier: ClassVar[str] = "notes"

    segment: float = 8.0  # seconds one description looks at
    stride: float = 4.0  # seconds one description vouches for
    prompt: str = "Describe what happens."
    limit: int = 48  # tokens of one description
    support: int = 2  # looks that must agree, for a VLM of few words; others never repeat themselves exactly
    recall: int = 10  # notes handed to the answerer
    margin: float = 0.8  # of the best note's fit a note must reach to be handed over
    hints: int = 4  # notes for a VLM of few words where none has every word of the question
    nearby: int = 2  # notes on either side of the best hits, for questions about order

    _scenes: SceneStream = field(default_factory=SceneStream, init=False, repr=False)
    _captions: CaptionStream = field(init=False, repr=False)
    _terse: bool = field(default=False, init=False, repr=False)  # the VLM knows few words
    _said: SentenceStream = field(init=False, repr=False)
    _notes: list[Note] = field(default_factory=list, init=False, repr=False)
    _vectors: np.ndarray | None = field(default=None, init=False, repr=False)
    _index: NoteIndex | None = field(default=None, init=False, repr=False)

    def __post_init__(self) -> None:
        self._captions = CaptionStream(None, self.prompt, self.segment, self.stride, self.limit)
        self._said = SentenceStream(self.stride)

    def bind(self, bodies: Bodies) -> Diary:
        """Hands over the models; a model of few words says a true thing twice."""
        self.bodies = bodies
        self._captions.vlm = bodies.vlm
        if bodies.vlm is not None and bodies.vlm.words is not None:
            self._terse = True
            self._said.least = (self.support - 1) * self.stride
            self._said.patience = 3 * self.stride  # it takes itself back for a look or two
        return self

    # -- writing

    def write(self, frames: FrameBatch, tokens: Tokens | None, budget: Budget) -> None:
        """Describes every segment that is now complete; the stream keeps the tail for the next window."""
        self._add_scenes(self._scenes.push(sketch(frames.pixels), frames.start, frames.end))
        self._say(self._captions.push(tokens))

    def add_notes(self, notes: Sequence[Note]) -> None:
        """Keeps the file's own notes (subtitles)."""
        self._notes.extend(notes)

    def finish(self, budget: Budget) -> None:
        """Describes the last segments, closes every note, keeps at most `budget.memory`, embeds them."""
        self._add_scenes(self._scenes.flush())
        self._say(self._captions.close())
        self._notes += self._said.close(float("inf"))
        if budget.memory is not None and len(self._notes) > budget.memory:
            self._notes = sorted(
                self._notes, key=lambda n: (-(1.0 if n.score is None else n.score), n.start - n.end, n.start)
            )[: budget.memory]
        self._notes.sort(key=lambda n: (n.start, n.end, n.source, n.text))
        if self.bodies.text is not None and self._notes:
            self._vectors = self.bodies.text.embed([n.text for n in self._notes])

    def _say(self, looks: Sequence[Note]) -> None:
        for look in looks:
            self._notes += self._said.push(look.text, look.start, look.end, look.score)

    def _add_scenes(self, scenes: Sequence[Scene]) -> None:
        self._notes.extend(Note(f"scene: {s.look}", s.start, s.end, "scene") for s in scenes)

    # -- reading

    def read(self, query: Query) -> Recall:
        """The best notes and their neighbours in time order; `Note.score` is how well each fits."""
        index = self._searchable()
        span, text = asked_span(query.text)
        span = span if query.span is None else query.span
        vector = None
        if self._vectors is not None and self.bodies.text is not None:
            vector = self.bodies.text.embed([text])[0]
        hits = index.search(text, self.recall, vector=vector, span=span, before=query.before)
        hits = [h for h in hits if h.score >= self.margin * hits[0].score]
        if self._terse and hits and hits[0].cover < 1:
            hits = hits[: self.hints]
        chosen = {hit.row: hit for hit in hits}
        if span is None and ORDER & set(query.text.lower().split()):
            chosen = self._with_neighbours(index, hits, query.before)
        notes = [replace(h.note, score=round(h.score, 4)) for _, h in sorted(chosen.items())]
        return Recall(notes=tuple(notes))

    def _searchable(self) -> NoteIndex:
        """The index, made at the first question; where there are descriptions, bare scenes stay out of it."""
        if self._index is None:
            described = any(n.source == "caption" for n in self._notes)
            rows = [i for i, n in enumerate(self._notes) if not described or n.source != "scene"]
            vectors = None if self._vectors is None else self._vectors[rows]
            self._index = NoteIndex([self._notes[i] for i in rows], vectors)
        return self._index

    def _with_neighbours(self, index: NoteIndex, hits: Sequence[Hit], before: float | None) -> dict[int, Hit]:
        """The best hits with the notes around them, then as many of the other hits as there is room for."""
        chosen: dict[int, Hit] = {}
        for hit in hits[:2]:
            if hit.score >= 0.9 * hits[0].score:
                chosen[hit.row] = hit
                for row in index.around(hit.row, self.nearby, before):
                    chosen.setdefault(row, Hit(row, index.notes[row], 0.0, 0.0))
        for hit in hits:
            if len(chosen) < self.recall or hit.row in chosen:
                chosen[hit.row] = hit
        return dict(list(chosen.items())[: self.recall])

    # -- keeping

    def state(self) -> MemoryState:
        """Notes, the open ones marked by their place at the end, and the tail of the stream."""
        import torch

        opened = tuple(self._said.open.values())
        tensors: dict[str, Tensor] = {
            "progress": torch.tensor([self._captions.number, len(opened)]),
            "scenes": torch.from_numpy(self._scenes.state()),
        }
        tensors |= self._captions.state()
        if self._vectors is not None:
            tensors["vectors"] = torch.from_numpy(np.ascontiguousarray(self._vectors))
        return MemoryState(tensors, (*self._notes, *opened))

    def restore(self, state: MemoryState) -> None:
        """Takes up a snapshot."""
        tensors: dict[str, Any] = dict(state.tensors)
        only(tensors, {"progress", "scenes", "vectors"}, PENDING)
        number, opened = (int(v) for v in tensors["progress"])
        cut = len(state.notes) - opened
        rows = len(state.notes) if "vectors" not in tensors else len(tensors["vectors"])
        if not 0 <= opened <= len(state.notes) or rows != len(state.notes):
            raise DamagedMemory(
                f"it has {len(state.notes)} notes, {opened} of them open, {rows} with vectors"
            )
        self._notes = list(state.notes[:cut])
        self._said = SentenceStream(self._said.patience, self._said.least, state.notes[cut:])
        self._scenes.restore(tensors["scenes"].numpy())
        self._captions.restore(number, tensors)
        self._vectors = tensors["vectors"].numpy() if "vectors" in tensors else None
        self._index = None
