"""Token sets by the frame: the tokens of a frame share their start and stay together. Pure functions."""

from __future__ import annotations

from watchonce.types import Tokens


def thin(tokens: Tokens, frames: int) -> Tokens:
    """At most so many frames of a token set, evenly spaced."""
    import torch

    moments, frame = torch.unique(tokens.start, return_inverse=True)
    if len(moments) <= frames:
        return tokens
    rows = torch.round((torch.arange(frames) + 0.5) * len(moments) / frames - 0.5).long()
    return tokens[torch.isin(frame, rows.to(frame.device))]


def split(tokens: Tokens, pieces: int) -> list[Tokens]:
    """A token set cut into at most so many runs of whole frames, in time order."""
    import torch

    moments, frame = torch.unique(tokens.start, return_inverse=True)
    count = min(pieces, len(moments))
    piece = frame * count // max(1, len(moments))
    return [tokens[piece == i] for i in range(count)]
