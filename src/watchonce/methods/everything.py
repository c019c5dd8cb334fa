"""everything · tokens memory · no paper: what a memory would be if room were free.

Keeps every token of every frame it is shown. Under `budget.memory` it stays a uniform sample in time
with bounded state: whenever the tokens outgrow the cap, every second kept frame goes, and from then on
only every second frame is taken, so the frames kept are always equally far apart.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, ClassVar

from watchonce.contracts import Budget, Memory, MemoryState
from watchonce.types import FrameBatch, Query, Recall, Tokens

if TYPE_CHECKING:
    from torch import Tensor


@dataclass
class Everything(Memory):
    """All tokens, or a uniform sample of frames that fits the budget."""

    carrier: ClassVar[str] = "tokens"

    _kept: Tokens | None = field(default=None, init=False, repr=False)
    _seen: int = field(default=0, init=False, repr=False)  # frames shown so far
    _stride: int = field(default=1, init=False, repr=False)  # one frame in so many is kept

    def write(self, frames: FrameBatch, tokens: Tokens | None, budget: Budget) -> None:
        """Appends the window's tokens; thins out when they exceed `budget.memory`."""
        import torch

        if tokens is None or len(tokens) == 0:
            return
        moments, frame = torch.unique(tokens.start, return_inverse=True)
        wanted = (frame + self._seen) % self._stride == 0
        self._seen += len(moments)
        fresh = tokens[wanted]
        self._kept = fresh if self._kept is None else Tokens.cat([self._kept, fresh])
        while budget.memory is not None and len(self._kept) > budget.memory:
            moments, frame = torch.unique(self._kept.start, return_inverse=True)
            if len(moments) == 1:  # one frame alone outgrows the budget
                self._kept = self._kept[: budget.memory]
                break
            self._kept = self._kept[frame % 2 == 0]
            self._stride *= 2

    def read(self, query: Query) -> Recall:
        """The tokens inside `query.span` that start before `query.before`."""
        if self._kept is None:
            return Recall()
        kept = self._kept
        mask = kept.start >= 0
        if query.span is not None:
            mask &= (kept.end > query.span.start) & (kept.start < query.span.end)
        if query.before is not None:
            mask &= kept.start < query.before
        kept = kept[mask]
        return Recall(tokens=kept) if len(kept) else Recall()

    def state(self) -> MemoryState:
        """The tokens, and where the thinning stands."""
        import torch

        tensors: dict[str, Tensor] = {"progress": torch.tensor([self._seen, self._stride])}
        if self._kept is not None:
            tensors |= {f"tokens.{name}": value for name, value in self._kept.state().items()}
        return MemoryState(tensors)

    def restore(self, state: MemoryState) -> None:
        """Takes up a snapshot."""
        self._seen, self._stride = (int(v) for v in state.tensors["progress"])
        named = {k.removeprefix("tokens."): v for k, v in state.tensors.items() if k.startswith("tokens.")}
        self._kept = Tokens(**named) if named else None
