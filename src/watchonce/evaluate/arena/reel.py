"""One film in the arena: decoded and encoded once, then cut by every method and asked every question.

Every method is handed the whole film as one stretch. A frame the model was not to read is not read: what a
selector leaves out, and what a compressor drops, never reaches the prompt. Options are weighed by likelihood,
as everywhere here. This file measures; it does not judge.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from torch import Tensor

from watchonce import signals
from watchonce.bench import Benchmark, Case
from watchonce.contracts import VLM, Bodies, Budget, Compressor, Selector
from watchonce.evaluate.arena.entrants import ALL, UNIFORM, Entrant, uniform
from watchonce.models.gauge import Load, choose, flops, weigh
from watchonce.types import Answer, BadInput, Query, Scan, Tokens, Video

# once: signals that a film pays for once; score: those of every question
STAGES = ("once", "score", "select", "compress")


@dataclass(frozen=True, slots=True)
class Cut:
    """What an entrant hands over for one question, and what choosing it took."""

    tokens: Tokens
    frames: int  # whose tokens a compressor saw, or the model reads
    seconds: dict[str, float]


@dataclass
class Reel:
    """A film's tokens, its questions, and what the bare model makes of them."""

    video: Video
    bodies: Bodies
    fps: float | None
    cases: tuple[Case, ...]
    benchmark: Benchmark
    cache: signals.Cache

    _bare: dict[tuple[int, int | None], Tensor] = field(default_factory=dict, init=False, repr=False)
    _flops: dict[int, int] = field(default_factory=dict, init=False, repr=False)

    def __post_init__(self) -> None:
        began = time.perf_counter()
        encoding, parts, frames = 0.0, [], 0
        for batch in self.video.frames(self.fps, size=self.vlm.size):
            before = time.perf_counter()
            parts.append(self.vlm.encode(batch))
            encoding += time.perf_counter() - before
            frames += len(batch)
        if not frames:
            raise BadInput(f"{self.video.name} has no frame at budget.fps={self.fps}; set a higher one")
        self.tokens = Tokens.cat(parts)
        moments = torch.unique(self.tokens.start)
        self.frames, self.per = len(moments), len(self.tokens) // len(moments)
        self.cost = {"decode": time.perf_counter() - began - encoding, "encode": encoding}
        self._even = uniform()
        self.most = self._readable()
        self.added = self._added()

    @property
    def vlm(self) -> VLM:
        """The model that sees and answers."""
        assert self.bodies.vlm is not None
        return self.bodies.vlm

    def facts(self) -> dict[str, Any]:
        """The film as plain values. frames: sets of tokens at one time; readable: as many fit one prompt."""
        return {
            "film": self.video.name,
            "duration": self.video.duration,
            "frames": self.frames,
            "tokens_a_frame": self.per,
            "readable": self.most,
            "questions": len(self.cases),
            **{f"{stage}_seconds": seconds for stage, seconds in self.cost.items()},
        }

    def ask(self, entrant: Entrant, budget: int | None, draw: int) -> Iterator[dict[str, Any]]:
        """A row a question: what was handed over, what entered, what was answered, what each stage took."""
        select, compress = entrant.parts(draw, self.bodies)
        limits = self._limits(entrant, budget, compress)
        read = entrant.signals()
        deep = any(signals.PROVIDERS[name].of_tokens is not None for name in read)
        fixed = None
        for number, case in enumerate(self.cases):
            query = Query(case.query.text, case.query.choices)
            waits = select.waits or (compress is not None and compress.waits)
            if fixed is None or waits:
                fixed = self._cut(select, compress, query, limits)
            looks = {
                "encoded": self.frames if deep else fixed.frames,
                "scored": self.frames if read else 0,
            }
            answer = self._answer(entrant, budget, fixed, case, number)
            yield {"case": number, "waits": waits, **looks, **answer}

    def _limits(self, entrant: Entrant, budget: int | None, compress: Compressor | None) -> Budget:
        if compress is not None:
            return Budget(fps=self.fps, frames=entrant.frames, tokens=budget)
        if not entrant.capped or budget is None:
            return Budget(fps=self.fps, frames=min(entrant.frames or self.most, self.most))
        if budget < self.per:
            raise BadInput(
                f"budget.tokens={budget} holds no frame of {self.per} tokens; give {self.per} or more"
            )
        return Budget(fps=self.fps, frames=min(budget // self.per, self.frames), tokens=budget)

    def _cut(self, select: Selector, compress: Compressor | None, query: Query, limits: Budget) -> Cut:
        seconds: dict[str, float] = dict.fromkeys(STAGES, 0.0)
        asked = query if select.waits else None
        with self._scored(seconds):
            scan = self._scan(select.signals, asked)
        with _timed(seconds, "select"):
            plan = select.select(scan, asked, limits)
        if plan.size is not None:
            raise BadInput(
                f"{type(select).__name__} wants frames of {plan.size} px; the arena sees at one size"
            )
        mask = torch.isin(
            self.tokens.start, torch.from_numpy(np.asarray(plan.times)).to(self.tokens.start.device)
        )
        tokens = self.tokens[mask]
        if compress is not None:
            asked = query if compress.waits else None
            with self._scored(seconds):
                marked = signals.mark(tokens, compress.reads, asked, self.bodies, self.cache)
            with _timed(seconds, "compress"):
                tokens = compress.compress(marked, asked, limits)
        return Cut(tokens, len(plan), seconds)

    def _scan(self, names: tuple[str, ...], query: Query | None) -> Scan:
        pixels = [n for n in names if signals.PROVIDERS.get(n) and signals.PROVIDERS[n].of_tokens is None]
        scan = signals.from_tokens(
            self.tokens, [n for n in names if n not in pixels], query, self.bodies, self.cache
        )
        if not pixels:
            return scan
        seen = signals.scan(self.video, pixels, self.fps, self.bodies, size=self.vlm.size, cache=self.cache)
        rows = np.searchsorted(seen.start, scan.start)
        return Scan(scan.start, scan.end, {**scan.signals, **{n: seen.signals[n][rows] for n in pixels}})

    @contextmanager
    def _scored(self, seconds: dict[str, float]) -> Iterator[None]:
        """Counts what signals are worth, also those that an earlier unit has paid for."""
        began, made, worth = time.perf_counter(), self.cache.made, dict(self.cache.worth)
        yield
        handling = time.perf_counter() - began - (self.cache.made - made)
        seconds["once"] += self.cache.worth["video"] - worth["video"]
        seconds["score"] += handling + self.cache.worth["question"] - worth["question"]

    def _answer(
        self, entrant: Entrant, budget: int | None, cut: Cut, case: Case, number: int
    ) -> dict[str, Any]:
        prompt = self.vlm.prompt(case.query.text, tokens=cut.tokens)
        load = weigh(self.vlm, prompt)
        began = time.perf_counter()
        scores = choose(self.vlm, load, case.query.choices)
        answering = time.perf_counter() - began
        best = int(np.argmax(np.nan_to_num(scores, nan=-np.inf)))
        key = len(prompt)
        if key not in self._flops:
            self._flops[key] = flops(self.vlm, prompt)
        return {
            "choice": best,
            "answer": case.query.choices[best],
            "right": self.benchmark.correct(case, Answer(case.query.choices[best], choice=best)),
            "frames": cut.frames,
            "plan": len(cut.tokens),
            "entered": load.tokens - self.added,
            "available": self.most * self.per,
            "layered": load.layered - self.added,
            "flops": self._flops[key],
            "kv": load.kv,
            **self._moved(entrant, budget, load, number),
            "seconds": {**cut.seconds, "prefill": load.seconds, "answer": answering},
        }

    def _moved(
        self, entrant: Entrant, budget: int | None, load: Load, number: int
    ) -> dict[str, float | None]:
        """How far the first word's logits are from all tokens', and from uniform's at as many tokens."""
        moved = _apart(load.logits, self._logits(number, None))
        if entrant.name in (UNIFORM, ALL) or not entrant.capped:
            return {"moved": moved, "beside": None}
        return {"moved": moved, "beside": _apart(load.logits, self._logits(number, budget))}

    def _logits(self, number: int, budget: int | None) -> Tensor:
        """First logits of uniform frames within `budget` tokens; of as many as can be read for None."""
        if (number, budget) not in self._bare:
            frames = self.most if budget is None else max(1, min(budget // self.per, self.frames))
            prompt = self.vlm.prompt(self.cases[number].query.text, tokens=self._uniform(frames))
            self._bare[number, budget] = weigh(self.vlm, prompt).logits
        return self._bare[number, budget]

    def _uniform(self, frames: int) -> Tokens:
        return self._cut(self._even, None, Query(), Budget(fps=self.fps, frames=frames)).tokens

    def _added(self) -> int:
        """Visual rows a family adds of its own, whatever is handed over: LLaVA's closing newline."""
        tokens = self._uniform(1)
        return int(self.vlm.prompt("", tokens=tokens).slots.sum()) - len(tokens)

    def _readable(self) -> int:
        """The most frames, all their tokens, that fit one prompt with any of the questions."""
        longest = max((case.query.text for case in self.cases), key=len, default="")
        low, high = 0, self.frames
        while low < high:
            middle = (low + high + 1) // 2
            try:
                self.vlm.prompt(longest, tokens=self._uniform(middle))
                low = middle
            except BadInput:
                high = middle - 1
        if not low:
            raise BadInput(f"{self.vlm.name} cannot read one frame and a question in one prompt")
        return low


def _apart(one: Tensor, other: Tensor) -> float:
    return float((one - other).abs().max())


@contextmanager
def _timed(seconds: dict[str, float], stage: str) -> Iterator[None]:
    began = time.perf_counter()
    yield
    seconds[stage] += time.perf_counter() - began
