"""The tokens of every frame while there is room, and of evenly spaced frames from then on.

Whenever the tokens outgrow the room, every second kept frame goes, and from then on only every second
frame is taken: the frames kept are always equally far apart, whatever the length of the video, and the
state stays bounded. This file knows no model and no method.
"""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor

from watchonce.ops.state import only
from watchonce.types import DamagedMemory, Tokens


class EveryFrame:
    """Tokens `add`ed window by window, in time order; `tokens` are those kept."""

    def __init__(self) -> None:
        self.seen = 0  # frames shown so far
        self.stride = 1  # one frame in so many is kept
        self._parts: list[Tokens] = []

    @property
    def tokens(self) -> Tokens | None:
        """All that is kept, the same object until more is added; None before the first frame."""
        if len(self._parts) > 1:
            self._parts = [Tokens.cat(self._parts)]
        return self._parts[0] if self._parts else None

    def add(self, tokens: Tokens, room: int | None = None) -> None:
        """Takes a window's tokens and thins out while there are more than `room`.

        Of one frame that alone outgrows the room its first tokens stay.
        """
        moments, frame = torch.unique(tokens.start, return_inverse=True)
        wanted = (frame + self.seen) % self.stride == 0
        self.seen += len(moments)
        self._parts.append(tokens[wanted])
        while room is not None and sum(map(len, self._parts)) > room:
            kept = self.tokens
            assert kept is not None
            moments, frame = torch.unique(kept.start, return_inverse=True)
            if len(moments) == 1:
                self._parts = [kept[:room]]
                return
            self._parts = [kept[frame % 2 == 0]]
            self.stride *= 2

    def state(self) -> dict[str, Tensor]:
        """The tokens, and where the thinning stands."""
        named = {"progress": torch.tensor([self.seen, self.stride])}
        kept = self.tokens
        return named | ({f"tokens.{name}": v for name, v in kept.state().items()} if kept is not None else {})

    @staticmethod
    def of(tensors: Mapping[str, Tensor]) -> EveryFrame:
        """From what `state` gave; DamagedMemory where there is more, or tokens of another kind."""
        only(tensors, {"progress"}, "tokens.")
        made = EveryFrame()
        made.seen, made.stride = (int(v) for v in tensors["progress"])
        named = {k.removeprefix("tokens."): v for k, v in tensors.items() if k.startswith("tokens.")}
        made._parts = [Tokens(**named)] if named else []
        times = {value.dtype for name, value in named.items() if name in ("start", "end")}
        if made.stride < 1 or (named and (times != {torch.float64} or not named["data"].is_floating_point())):
            raise DamagedMemory("its tokens have times or data of another type; watch the video again")
        return made
