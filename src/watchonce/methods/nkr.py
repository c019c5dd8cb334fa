"""nkr · weights memory, answerer · NKR, neural knowledge representations (Guan et al., 2606.11913, 2026).

An agent studies the video and a LoRA on the frozen VLM learns what it found; a question is then read alone,
and the answer and its time come out of the weights.

Of the paper only the abstract is public; what is below it is ours. The carrier is a LoRA on all seven
projections of the language model (as Knowledge Modules and PRAG have for documents; PEFT and vLLM serve it),
its rank by the length of the video (`study/asset.py`); losses are in `study/distil.py`, legs and stopping in
`study/school.py`, the agent in `study/agent.py`. The notes kept beside it are for the eye: no answer is read
from them where there is a model.
"""

from __future__ import annotations

import json
import shutil
import time
from collections.abc import Sequence
from contextlib import nullcontext
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any, ClassVar

from watchonce.clock import span_text
from watchonce.contracts import VLM, Answerer, Bodies, Budget, Memory, MemoryState
from watchonce.ops.state import only
from watchonce.ops.words import NoteIndex
from watchonce.study import asset, times
from watchonce.study.agent import TRACE, Agent, Effort
from watchonce.study.captions import PENDING, CaptionStream
from watchonce.study.distil import Course
from watchonce.study.rewording import reword, says_nothing, settle
from watchonce.study.rows import ask
from watchonce.study.school import School
from watchonce.types import Answer, BadInput, Cost, FrameBatch, Note, Query, Recall, Span, Tokens

SHOWN = 10  # notes for the eye


@dataclass
class NKR(Memory):
    """Studies a video into an adapter."""

    carrier: ClassVar[str] = "weights"

    segment: float = 8.0  # seconds one description looks at
    stride: float = 2.0  # seconds it vouches for
    prompt: str = "Describe what happens."
    limit: int = 48  # tokens of one description
    keep_notes: bool = True  # the events beside the adapter, for timeline and thumbnails
    rounds: float = 20.0  # times every question is read, on average
    rate: float = 4e-3  # of learning; 2e-4 for models of 7 billion numbers
    legs: int = 1  # of training, at most; an exam after each decides
    tours: int = 1  # of the agent; a second looks again where the first exam showed gaps
    seed: int = 0

    _index: NoteIndex | None = field(default=None, init=False, repr=False)
    _stream: CaptionStream = field(init=False, repr=False)
    _notes: list[Note] = field(default_factory=list, init=False, repr=False)
    _folders: dict[str, Path] = field(default_factory=dict, init=False, repr=False)

    def __post_init__(self) -> None:
        self._stream = CaptionStream(None, self.prompt, self.segment, self.stride, self.limit)

    def bind(self, bodies: Bodies) -> NKR:
        """Hands over the models."""
        self.bodies, self._stream.vlm = bodies, bodies.vlm
        return self

    # -- writing

    def write(self, frames: FrameBatch, tokens: Tokens | None, budget: Budget) -> None:
        """Describes every look that is now complete; BadInput in a watch without a model that could learn."""
        if self.desk is not None and self.bodies.vlm is None:
            raise BadInput("nkr teaches the video to a vision-language model and has none; add --model")
        self._notes += self._stream.push(tokens)

    def add_notes(self, notes: Sequence[Note]) -> None:
        """Keeps the file's own notes (subtitles)."""
        self._notes.extend(notes)

    def finish(self, budget: Budget) -> None:
        """Explores, teaches, packs; without a desk or a model only notes are left, within the budget."""
        self._notes += self._stream.close()
        vlm = self.bodies.vlm
        if self.desk is None or vlm is None:
            self._notes = self._notes[: budget.memory]
            return
        began, desk = time.perf_counter(), self.desk
        agent = Agent(desk, vlm, self._notes, Effort(fps=budget.fps or 1.0, seed=self.seed))
        corpus = agent.explore()
        explored = time.perf_counter() - began
        study, adapter = desk.folder / "study", desk.folder / "adapter"
        study.mkdir(exist_ok=True)
        lora = asset.lora_for(vlm, desk.video.duration, budget.memory, self.seed)
        course = Course(self.rounds, rate=self.rate, seed=self.seed)
        again = agent.again if self.tours > 1 else None
        school = School(desk, vlm, lora, course, self.legs, again)
        corpus = school.teach(corpus, adapter)
        corpus.write(study / "corpus.jsonl")
        shutil.copy(desk.folder / TRACE, study / TRACE)
        cost = {"explore_seconds": round(explored, 3), "distil_seconds": school.report.seconds}
        cost |= {"distil_cpu_seconds": school.report.cpu_seconds}
        (study / "cost.json").write_text(json.dumps(cost, indent=1) + "\n", encoding="utf-8")
        asset.pack(adapter, desk, vlm, corpus, lora, asdict(agent.findings), school.report.facts())
        self._folders = {"adapter": adapter, "study": study}
        events = [Note(e.text, e.start, e.end, "caption", e.score) for e in corpus.events]
        self._notes = [*events, *(n for n in self._notes if n.source != "caption")] if self.keep_notes else []

    # -- reading

    def read(self, query: Query) -> Recall:
        """The adapter, whatever is asked; and for the eye the notes that share words with the question."""
        if self._index is None:
            self._index = NoteIndex(self._notes)
        hits = self._index.search(query.text, SHOWN, span=query.span, before=query.before)
        notes = tuple(replace(hit.note, score=round(hit.score, 4)) for hit in hits)
        return Recall(weights=self._folders.get("adapter"), notes=notes)

    # -- keeping

    def state(self) -> MemoryState:
        """Before the end: what was said and the tail of the stream. After it: the folders, and the notes."""
        import torch

        tensors = {"number": torch.tensor(self._stream.number), **self._stream.state()}
        return MemoryState({} if self._folders else tensors, tuple(self._notes), self._folders)

    def restore(self, state: MemoryState) -> None:
        """Takes up a snapshot."""
        only(state.tensors, {"number"}, PENDING)
        self._notes, self._folders, self._index = list(state.notes), dict(state.folders), None
        if "number" in state.tensors:
            self._stream.restore(int(state.tensors["number"]), state.tensors)


@dataclass
class Recite(Answerer):
    """Asks the model that wears the adapter, with nothing in view."""

    at_once: ClassVar[int] = 16

    limit: int = 32  # tokens of an answer
    wordings: int = 8  # ways to ask, at most; their replies vote

    def answer(self, recalls: Sequence[Recall], queries: Sequence[Query]) -> list[Answer]:
        """One answer a pair, in order; pairs of different memories share a batch."""
        vlm = self.bodies.vlm
        if vlm is None or not recalls:
            return [_quoted(recall) for recall in recalls]
        asked = [reword(query.text, vlm.phrasebook)[: self.wordings] for query in queries]
        prompts = [[ask(vlm, wording) for wording in wordings] for wordings in asked]
        worn = [r.weights for r, mine in zip(recalls, prompts, strict=True) for _ in mine]
        said = iter(vlm.generate([p for mine in prompts for p in mine], self.limit, adapters=worn))
        answers = []
        for recall, query, mine in zip(recalls, queries, prompts, strict=True):
            prompt, reply = mine[0], settle([next(said) for _ in mine])
            text, spans = times.parse(reply.text, vlm.words)
            found = tuple(Span(s.start, s.end, reply.sure) for s in spans)
            late = query.before is not None and any(s.start >= query.before for s in found)
            lost = late or says_nothing(text, found)
            cost = Cost(tokens=sum(map(len, mine)) + reply.tokens)
            choice, scores = self._choose(vlm, recall, query, prompt) if query.choices else (None, ())
            if lost:
                answers.append(Answer("not found", choice, scores, not_found=True, cost=cost))
                continue
            words = text if choice is None else query.choices[choice]
            answers.append(Answer(words or _clocks(found), choice, scores, evidence=found, cost=cost))
        return answers

    @staticmethod
    def _choose(vlm: VLM, recall: Recall, query: Query, prompt: Any) -> tuple[int, tuple[float, ...]]:
        """The likeliest option and the scores of all."""
        with nullcontext() if recall.weights is None else vlm.mount(recall.weights):
            scores = vlm.score([prompt], [list(query.choices)])[0]
        return int(scores.argmax()), tuple(float(s) for s in scores)


def _clocks(spans: Sequence[Span]) -> str:
    return " and ".join(span_text(span.start, span.end) for span in spans)


def _quoted(recall: Recall) -> Answer:
    """Without a model there is only what is kept for the eye."""
    if not recall.notes:
        return Answer("not found", not_found=True)
    best = max(recall.notes, key=lambda note: note.score or 0.0)
    return Answer(best.text, evidence=(best.span,))
