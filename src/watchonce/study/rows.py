"""What a student reads and has to say: items laid out as prompts, a teacher's expectations, what to keep.

The teacher is the same model without the adapter, with the clip in view; its expectations are computed once.
A row to keep is something the bare model says anyway, which the adapter must not change. This file does not
know how steps are taken.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import Tensor

from watchonce.contracts import VLM, Prompt, Student
from watchonce.study import times
from watchonce.study.items import Item
from watchonce.types import FrameBatch, Span, Tokens, Video

SYSTEM = (
    "You have watched one video and know it by heart. Answer from memory, and say from when to when the proof"
    " is. If the video does not show it, say: not found."
)
LIKELIEST = 20  # ids of a teacher's distribution that are kept; the others count as one
PROOF = 0.2  # weight of the times that follow an answer's words
BATCH = 16  # rows a call of the teacher; fixed, so that a resumed study repeats the same arithmetic
CLIPS = 96  # encoded clips kept at hand

Clip = Callable[[Span], Tokens]


@dataclass(frozen=True, slots=True, eq=False)
class Expected:
    """The K likeliest ids at each of the first N places of an answer, and their log-probabilities: [N, K]."""

    ids: Tensor
    logs: Tensor

    def __len__(self) -> int:
        return len(self.ids)


@dataclass(frozen=True, slots=True, eq=False)
class Row:
    """A prompt, the ids to be said after it, how much they count, and what a teacher expects there."""

    prompt: Prompt
    target: tuple[int, ...]
    weight: float = 1.0
    expected: Expected | None = None
    fact: str = ""
    words: int = 0  # ids of the answer's words; the times that prove it follow
    asked: int = 0  # ids before them that still belong to the question

    def __len__(self) -> int:
        return len(self.prompt) + len(self.target)

    @property
    def weights(self) -> list[float]:
        """How much each id of the target counts: the proof of an answer less than its words."""
        proof = PROOF if self.words else 1.0
        return [self.weight * (1.0 if at < self.words else proof) for at in range(len(self.target))]


class Layout:
    """Items as rows of one student: the question alone in, answer and evidence out."""

    def __init__(self, vlm: VLM, student: Student) -> None:
        self.vlm, self.student = vlm, student

    def row(self, item: Item) -> Row:
        """The item closed book."""
        prompt = ask(self.vlm, item.question)
        target = self.student.ids(times.target(item, self.vlm.words))
        words = len(self.student.ids(item.answer)) - 1 if item.answer else 0
        return Row(prompt, tuple(target), item.weight, None, item.fact, words)

    def rows(self, items: Sequence[Item]) -> list[Row]:
        """All of them, in order."""
        return [self.row(item) for item in items]

    @torch.no_grad()
    def taught(self, items: Sequence[Item], clip: Clip) -> tuple[list[Row], dict[str, int]]:
        """Rows with what the teacher expects of the answer's words, where it would have said them itself.

        Gives also how many facts had a teacher that agreed, one that did not, and none.
        """
        wanted = {
            (item.view, item.evidence[0], item.answer): None
            for item in items
            if item.view and item.evidence and not item.absent
        }
        known: dict[tuple[str, Span, str], Expected] = {}
        jobs = list(wanted)
        for first in range(0, len(jobs), BATCH):
            batch = jobs[first : first + BATCH]
            prompts = [self.vlm.prompt(view, tokens=clip(span)) for view, span, _ in batch]
            targets = [self.student.ids(answer) for _, _, answer in batch]
            with self.student.off():
                said = self.student.logits(prompts, targets)
            for job, target, logits in zip(batch, targets, said, strict=True):
                # the stop is left out: here an answer ends, closed book its times follow
                words = logits[: len(target) - 1]
                if words.argmax(-1).tolist() == target[:-1]:
                    known[job] = likeliest(words)
        rows = [
            replace(row, expected=known.get((item.view, item.evidence[0], item.answer)))
            if item.view and item.evidence
            else row
            for row, item in zip(self.rows(items), items, strict=True)
        ]
        facts = {
            item.fact: (item.view, item.evidence[0], item.answer) if item.evidence else None for item in items
        }
        agreed = sum(key in known for key in facts.values() if key is not None)
        seen = sum(key in wanted for key in facts.values() if key is not None)
        return rows, {"agreed": agreed, "differed": seen - agreed, "unseen": len(facts) - seen}

    @torch.no_grad()
    def kept(self, prompts: Sequence[Prompt], limit: int = 24) -> list[Row]:
        """What the bare model expects at every step of its answers, and of the words that ask."""
        rows = []
        for first in range(0, len(prompts), BATCH):
            batch = list(prompts[first : first + BATCH])
            with self.student.off():
                replies = self.vlm.generate(batch, limit)
                targets = [self.student.ids(reply.text)[:limit] for reply in replies if reply.text]
                opened = [opening(p) for p, reply in zip(batch, replies, strict=True) if reply.text]
                whole = [[*asked, *target] for (_, asked), target in zip(opened, targets, strict=True)]
                said = self.student.logits([shown for shown, _ in opened], whole) if whole else []
            rows += [
                Row(shown, tuple(ids), expected=likeliest(logits), asked=len(asked))
                for (shown, asked), ids, logits in zip(opened, whole, said, strict=True)
            ]
        return rows


def opening(prompt: Prompt) -> tuple[Prompt, list[int]]:
    """A prompt up to the last thing it shows, or its first token, and the ids of the words that follow."""
    seen = prompt.slots.nonzero()
    at = int(seen[-1]) + 1 if len(seen) else 1
    rest = prompt.ids[at:].tolist()
    return replace(
        prompt, ids=prompt.ids[:at], slots=prompt.slots[:at], positions=prompt.positions[..., :at]
    ), rest


def ask(vlm: VLM, question: str) -> Prompt:
    """A question without anything in view, its times in words the model can read."""
    return vlm.prompt(times.rewrite(question, vlm.words), system=SYSTEM)


def likeliest(logits: Tensor) -> Expected:
    """The top of a distribution, `[N, V]` logits."""
    logs, ids = logits.log_softmax(-1).topk(min(LIKELIEST, logits.shape[-1]))
    return Expected(ids, logs)


def clips_of(video: Video, vlm: VLM) -> Clip:
    """Clips of a video as tokens: as many frames as the model reads best, spread over the span."""
    held: dict[Span, Tokens] = {}

    def clip(span: Span) -> Tokens:
        if span not in held:
            if len(held) >= CLIPS:
                del held[next(iter(held))]
            held[span] = vlm.encode(frames_of(video, vlm, span))
        return held[span]

    return clip


def frames_of(video: Video, vlm: VLM, span: Span) -> FrameBatch:
    """The frames a clip of a span is made of."""
    last = max(0.0, video.duration - 1e-3)
    moments = span.start + (np.arange(vlm.clip) + 0.5) * span.length / vlm.clip
    return video.frames_at(np.unique(moments.clip(0.0, last)), size=vlm.size)
