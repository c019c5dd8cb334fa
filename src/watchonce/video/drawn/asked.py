"""What an asked question is, and what questions of a clip and of a film share. No pixel, no model."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Protocol, TypeVar

import numpy as np

from watchonce.types import Span
from watchonce.video.drawn.phrases import sentence
from watchonce.video.drawn.world import Event, Instance, Visit

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Asked:
    """A question with its one right answer, the spans that prove it, and choices (the answer among them)."""

    question: str
    answer: str
    kind: str
    evidence: tuple[Span, ...]
    choices: tuple[str, ...] = ()


class Script(Protocol):
    """What a question about a whole film needs to know: a World has it, and so has its written truth."""

    @property
    def instances(self) -> Sequence[Instance]: ...
    @property
    def visits(self) -> Sequence[Visit]: ...
    @property
    def events(self) -> Sequence[Event]: ...


def one(rng: np.random.Generator, options: Sequence[T]) -> T:
    """One of the options."""
    return options[int(rng.integers(len(options)))]


def choices_for(
    rng: np.random.Generator, right: str, near: Iterable[str], far: Iterable[str] = ()
) -> tuple[str, ...]:
    """The right answer and three wrong ones, those of `near` first, in random order."""
    wrong: list[str] = []
    for pool in (near, far):
        fresh = sorted(set(pool) - {right, *wrong})
        wrong += [fresh[int(i)] for i in rng.permutation(len(fresh))]
    options = [right, *wrong[:3]]
    return tuple(options[int(i)] for i in rng.permutation(len(options)))


class Cast:
    """Names of a script's instances, and which events they take part in."""

    def __init__(self, script: Script) -> None:
        self.name = {instance.id: instance.name for instance in script.instances}
        self.names = sorted(self.name.values())

    def say(self, event: Event) -> str:
        """The caption of an event."""
        return sentence(event.activity, self.name[event.instance], event.room)

    def look_alikes(self, name: str) -> list[str]:
        """Names in the video that share a word with `name`."""
        colour, category = name.split(" ")
        return [n for n in self.names if n != name and (n.startswith(colour) or n.endswith(category))]
