"""One step of training: films, queries and memories in, named losses out.

Phase A teaches the reader on memories that are handed to it; phase B teaches sampler and reader together
on memories that the sampler itself writes, clip by clip, while the last queries of a film are asked again
(the online continual loss of arXiv 2503.13707). A batch follows from (seed, step) and the bank, and the
bank is part of the checkpoint, so a resumed run goes on as an undisturbed one. This file does not know
how weights are moved.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor, nn

from watchonce.bench.rest.queries import KINDS, LENGTHS
from watchonce.ops.records import Records
from watchonce.ops.relational import balanced_bce, relational_loss
from watchonce.ops.topk import gumbel, lot
from watchonce.train.relational.asks import Ask, asks_of, clip_of, questions, targets
from watchonce.train.relational.bank import Bank, gather, uniform_tokens
from watchonce.train.relational.batching import RaceFree, pasts, share
from watchonce.types import BadInput

if TYPE_CHECKING:
    from watchonce.engine.fit import Losses
    from watchonce.methods.long_vmnet import LongVMNet
    from watchonce.ops.reader import Known
    from watchonce.train.relational.films import Film

ORACLE = 0.7  # of phase A's memories hold what is needed; the rest are drawn evenly
WARM, COOL, COOLED = 1.5, 1.0, 0.7  # temperature of the relaxation: first, last, reached at this share


@dataclass(frozen=True)
class Study:
    """How a network studies. Sizes are per film and step.

    room: m, tokens of a memory. clip: T, frames of a clip. batch: films of a step, over all processes.
    past: p, earlier queries of the film asked again. each: queries of a kind and film an epoch. steps: of
    the whole phase, for the temperature. lasting: a token draws its lot once an epoch, not at every step.
    score: teach the sampler with labels of what shows an object in use, too.
    """

    steps: int
    room: int = 256
    clip: int = 32
    batch: int = 8
    past: int = 2
    each: int = 24
    cells: int = 128
    kinds: tuple[str, ...] = KINDS
    lengths: tuple[str, ...] = LENGTHS
    lasting: bool = True
    score: bool = True
    match: bool = True
    seed: int = 0


@dataclass(frozen=True, eq=False)
class Turn:
    """What a step works on: this process's films with their queries, and the queries asked again."""

    kind: str
    films: tuple[int, ...]  # -1: nobody
    asks: tuple[Ask, ...]
    again: tuple[tuple[int, Ask], ...]  # place in `asks`, query
    share: float  # of these asks in the batch, times the number of processes: weighs this process's mean
    first: bool  # of its epoch
    epoch: int


class Course(nn.Module):
    """The network and the bank it fills; `ready` and `rehearse` are the losses of phases A and B."""

    def __init__(
        self, network: LongVMNet, films: Sequence[Film], study: Study, rank: int = 0, ranks: int = 1
    ) -> None:
        super().__init__()
        self.network, self.bank = network, Bank(len(films), study.room)
        self.films, self.study, self.rank, self.ranks = list(films), study, rank, ranks
        self.sampler = RaceFree((study.each,) * len(films), study.batch, study.seed)
        if study.batch % ranks:
            raise BadInput(f"a batch of {study.batch} films cannot be shared by {ranks} processes evenly")
        self.epoch_steps = len(study.kinds) * len(self.sampler.epoch(0))
        self._asked: dict[tuple[int, int, str], list[Ask]] = {}

    def turn(self, step: int) -> Turn:
        """What this process does at `step`: kinds in turn, films as the race-free sampler deals them."""
        study = self.study
        epoch, within = divmod(step, self.epoch_steps)
        number, place = divmod(within, len(study.kinds))
        kind = study.kinds[place]
        batches = RaceFree(self.sampler.queries, study.batch, study.seed * 16 + place).epoch(epoch)
        mine = share(batches[number], self.rank, self.ranks)
        films = tuple(-1 if pick is None else pick.film for pick in mine)
        asks = tuple(self._asks(epoch, p.film, kind)[p.query] for p in mine if p is not None)
        again = []
        for row, film in enumerate(f for f in films if f >= 0):
            for query in pasts(batches, number, film, study.past):
                again.append((row, self._asks(epoch, film, kind)[query]))
        present = sum(pick is not None for pick in batches[number])
        weight = len(asks) * self.ranks / present
        return Turn(kind, films, asks, tuple(again), weight, within == 0, epoch)

    def _asks(self, epoch: int, film: int, kind: str) -> list[Ask]:
        """The queries of one film and kind in this epoch; those of earlier epochs are let go."""
        if self._asked and next(iter(self._asked))[0] != epoch:
            self._asked.clear()
        key = (epoch, film, kind)
        if key not in self._asked:
            study = self.study
            self._asked[key] = asks_of(
                self.films[film], kind, study.each, draw=1 + study.seed * 1000 + epoch, lengths=study.lengths
            )
        return self._asked[key]

    # -- phase A

    def ready(self, step: int, rng: np.random.Generator) -> Losses:
        """The reader on memories that hold what is needed, or that are drawn evenly from the film."""
        turn = self.turn(step)
        if not turn.asks:
            return self._nothing(turn)
        films = [ask.film for ask in turn.asks]
        seeds = self._streams(rng, turn)
        given = [
            film.oracle(self.study.room) if own.random() < ORACLE
            else uniform_tokens(film, self.study.room, own)
            for film, own in zip(films, seeds, strict=True)
        ]  # fmt: skip
        records = gather(films, [g[0] for g in given], [g[1] for g in given])
        losses = dict(self._asking(turn.asks, records, self.network.cache(records), seeds))
        if self.study.score:
            losses["score"] = self._score_loss(films, records, self.network.score(records))
        return {name: turn.share * value for name, value in losses.items()}

    # -- phase B

    def rehearse(self, step: int, rng: np.random.Generator) -> Losses:
        """Sampler and reader on memory and clip; the bank takes what was selected."""
        study, turn = self.study, self.turn(step)
        if turn.first:
            self.bank.reset(self.films, (study.seed, turn.epoch))
        if not turn.asks:
            self.bank.exchange(turn.films)
            return self._nothing(turn)
        seeds = self._streams(rng, turn)
        films = [ask.film for ask in turn.asks]
        rows = [f for f in turn.films if f >= 0]
        frames, patches = [], []
        for row, ask, own in zip(rows, turn.asks, seeds, strict=True):
            frame, patch = self.bank.get(row)
            clip = torch.from_numpy(clip_of(ask, study.clip, own))
            cells = ask.film.features.shape[1]
            frames.append(torch.cat([frame, clip.repeat_interleave(cells)]))
            patches.append(torch.cat([patch, torch.arange(cells).repeat(len(clip))]))
        joined = gather(films, frames, patches)
        scores = self.network.score(joined)
        noise = self._noise(joined, rows, turn.epoch, step)
        index, gate = self.network.select(joined, study.room, _tau(step, study.steps), noise, scores)
        records, gate = self.network.keep(joined, index, gate)
        known = self.network.cache(records, gate)
        losses = dict(self._asking(turn.asks, records, known, seeds))
        if turn.again:
            where = torch.tensor([row for row, _ in turn.again])
            past = [ask for _, ask in turn.again]
            more = self._asking(past, records.rows(where), known.rows(where), [seeds[int(r)] for r in where])
            losses |= {f"past_{name}": value for name, value in more.items()}
        if study.score:
            losses["score"] = self._score_loss(films, joined, scores)
        self._keep(rows, joined, frames, patches, index)
        self.bank.exchange(turn.films)
        return {name: turn.share * value for name, value in losses.items()}

    def _nothing(self, turn: Turn) -> Losses:
        """A loss of 0 that still has a gradient: this process has no film of a short batch."""
        return {turn.kind: torch.stack([p.sum() for p in self.network.parameters()]).sum() * 0.0}

    def _asking(
        self, asks: Sequence[Ask], records: Records, known: Known, seeds: Sequence[np.random.Generator]
    ) -> Losses:
        asked = questions(asks, seeds, cells=self.study.cells)
        right = targets(asks, asked, records if self.study.match else None)
        return relational_loss(asked.kind, self.network.read(records, asked, cached=known), right)

    def _score_loss(self, films: Sequence[Film], records: Records, scores: Tensor) -> Tensor:
        labels = torch.zeros_like(scores)
        for row, film in enumerate(films):
            frame = film.frame_at(records.time[row])
            labels[row] = torch.from_numpy(film.acting[frame, records.patch[row].numpy()]).float()
        return balanced_bce(scores, labels, records.valid)

    def _keep(
        self,
        rows: Sequence[int],
        joined: Records,
        frames: Sequence[Tensor],
        patches: Sequence[Tensor],
        index: Tensor,
    ) -> None:
        """Writes what was selected into the bank: places that are there, none twice."""
        there = joined.once().valid
        for place, row in enumerate(rows):
            kept = index[place][there[place, index[place]]]
            self.bank.put(row, frames[place][kept], patches[place][kept])

    def _noise(self, records: Records, rows: Sequence[int], epoch: int, step: int) -> Tensor:
        """Gumbel draws `[B, L]`; they belong to film, frame and cell, so no process count changes them."""
        when = epoch if self.study.lasting else 1_000_003 + step
        drawn = [
            lot(records.time[place], records.patch[place], (self.study.seed * 65_537 + when) * 4099 + row)
            for place, row in enumerate(rows)
        ]
        return gumbel(torch.stack(drawn)).float()

    def _streams(self, rng: np.random.Generator, turn: Turn) -> list[np.random.Generator]:
        """A generator a film, the same whichever process has it."""
        base = int(rng.integers(1 << 62))
        return [np.random.default_rng([base, film]) for film in turn.films if film >= 0]


def _tau(step: int, steps: int) -> float:
    return WARM - (WARM - COOL) * min(1.0, step / max(1.0, COOLED * steps))
