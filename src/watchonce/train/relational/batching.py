"""Which queries go together: never two of one film in a batch, the same on every rank and after a restart.

`RaceFree` deals out whole epochs; a plan is a function of (seed, epoch) alone. It knows film names and
how many queries each has, not what they ask.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from watchonce.types import BadInput


@dataclass(frozen=True, slots=True)
class Pick:
    """One query of one film, by their places in the lists the sampler was given."""

    film: int
    query: int


Batch = tuple[Pick | None, ...]  # None: nobody's turn; a batch always has its full length


@dataclass(frozen=True)
class RaceFree:
    """Global batches of `size` picks of different films (arXiv 2503.13707, section on training).

    queries: how many queries each film has. Memories are written when a batch is done, so two queries of
    one film in a batch would race for its memory. All batches are full exactly when no film has more than
    its share of the queries (their sum over `size`); else the last ones are padded with None.
    """

    queries: tuple[int, ...]
    size: int
    seed: int = 0

    def __post_init__(self) -> None:
        if not 1 <= self.size <= len(self.queries):
            raise BadInput(
                f"a batch of {self.size} needs as many different films, there are {len(self.queries)}; "
                "make the batch smaller or take more films"
            )
        if min(self.queries) < 0:
            raise BadInput("a film cannot have fewer than 0 queries")

    def epoch(self, number: int) -> list[Batch]:
        """The batches of one epoch, every query once: greedily the films with most left, ties at random."""
        rng = np.random.default_rng([self.seed, number, 5])
        order = [rng.permutation(count).tolist() for count in self.queries]
        left = np.array(self.queries)
        batches: list[Batch] = []
        while left.any():
            ranked = np.lexsort((rng.random(len(left)), -left))[: self.size]
            films = [int(f) for f in ranked if left[f]]
            picks = [Pick(film, order[film].pop()) for film in films]
            left[films] -= 1
            batches.append((*picks, *[None] * (self.size - len(picks))))
        return batches

    def short(self, number: int) -> int:
        """How many batches of the epoch are padded."""
        return sum(None in batch for batch in self.epoch(number))


def share(batch: Batch, rank: int, ranks: int) -> Batch:
    """The part of a global batch that one of `ranks` processes works on; together they are the batch."""
    if len(batch) % ranks:
        raise BadInput(f"a batch of {len(batch)} cannot be shared by {ranks} processes evenly")
    each = len(batch) // ranks
    return batch[rank * each : (rank + 1) * each]


def walk(sampler: RaceFree, start: int = 0) -> Iterator[tuple[int, int, Batch]]:
    """(step, epoch, batch) from step `start` on, without end."""
    step = epoch = 0
    while True:
        batches = sampler.epoch(epoch)
        if step + len(batches) > start:
            for number, batch in enumerate(batches):
                if step + number >= start:
                    yield step + number, epoch, batch
        step, epoch = step + len(batches), epoch + 1


def pasts(batches: Sequence[Batch], number: int, film: int, length: int) -> tuple[int, ...]:
    """The last `length` queries of a film dealt in this epoch before batch `number`, oldest first."""
    before = [p.query for batch in batches[:number] for p in batch if p is not None and p.film == film]
    return tuple(before[max(0, len(before) - length) :])
