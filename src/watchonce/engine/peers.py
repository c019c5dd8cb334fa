"""Processes that train one network together: who they are, and how their gradients become one.

`torchrun` says through the environment how many there are; alone, everything here does nothing. They talk
over gloo. This file does not know what is trained.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from torch import nn


@dataclass(frozen=True)
class Peers:
    """This process's number and how many there are; number 0 writes files."""

    rank: int = 0
    count: int = 1

    @property
    def first(self) -> bool:
        """Whether this is the process that writes files and speaks."""
        return self.rank == 0

    def wait(self) -> None:
        """Until all have come this far."""
        if self.count > 1:
            import torch.distributed as dist

            dist.barrier()

    def average(self, parameters: Sequence[nn.Parameter]) -> None:
        """Replaces every gradient by its mean over the processes; one that none has stays None.

        A process without a gradient for a parameter counts as zero.
        """
        if self.count == 1 or not parameters:
            return
        import torch
        import torch.distributed as dist

        zeros = [torch.zeros_like(p) if p.grad is None else p.grad for p in parameters]
        there = torch.tensor([0.0 if p.grad is None else 1.0 for p in parameters], device=zeros[0].device)
        flat = torch.cat([there, *(z.flatten() for z in zeros)])
        dist.all_reduce(flat)
        whole = flat[len(parameters) :] / self.count
        parts = whole.split([p.numel() for p in parameters])
        for parameter, part, known in zip(parameters, parts, flat[: len(parameters)].tolist(), strict=True):
            parameter.grad = part.view_as(parameter).clone() if known else None


@contextmanager
def peers_of_environment() -> Iterator[Peers]:
    """The processes `torchrun` started, joined for as long as the block lasts; one alone without it."""
    count = int(os.environ.get("WORLD_SIZE", "1"))
    if count == 1:
        yield Peers()
        return
    import torch.distributed as dist

    dist.init_process_group("gloo")
    try:
        yield Peers(dist.get_rank(), count)
    finally:
        dist.destroy_process_group()
