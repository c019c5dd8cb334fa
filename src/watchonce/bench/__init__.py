"""Benchmarks, one a file. A benchmark names no model and no method: it has videos, questions and truth."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from watchonce.types import Answer, Note, Query, Span


@dataclass(frozen=True, slots=True)
class Case:
    """One question with its truth; `oracle` = the true notes around the evidence, the ceiling's memory."""

    query: Query
    kind: str
    answer: str
    evidence: tuple[Span, ...]
    oracle: tuple[Note, ...] = ()


@dataclass(frozen=True, slots=True)
class Film:
    """A video of a benchmark and all that is asked about it."""

    path: Path
    cases: tuple[Case, ...]


class Benchmark(ABC):
    """Videos, questions, truth and the rule that says what is right."""

    @abstractmethod
    def films(self, split: str, seeds: tuple[int, ...], folder: Path) -> Iterator[Film]:
        """The videos of a split, written into `folder` where they must be made; one per seed."""

    @abstractmethod
    def prior(self, kinds: set[str]) -> dict[str, str]:
        """The most frequent answer of each kind on the training split: what blind guessing gets."""

    @abstractmethod
    def correct(self, case: Case, answer: Answer) -> bool:
        """Whether the answer's words are right (evidence is judged apart)."""
