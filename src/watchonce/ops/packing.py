"""Token sets in few bytes: 8 bits a feature with one exponent a token, a cell in place of its centre.

`rounded` gives tokens that `packed` and `unpacked` carry over exactly, so what is worked out from a memory
does not change when it is written and read. This file does not know why tokens are kept.
"""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor

from watchonce.ops.state import only
from watchonce.types import DamagedMemory, Tokens

BITS = 7  # of a feature, beside its sign
LEAST, MOST = -24, 16 - BITS  # exponents of a step: float16 holds the product of step and code exactly
NAMES = ("code", "exponent", "start", "end", "cell")
KINDS = (torch.int8, torch.int8, torch.float64, torch.float64, torch.int16)


def rounded(tokens: Tokens, grid: tuple[int, int]) -> Tokens:
    """Features to 1/64 to 1/128 of the largest of their token, float16 on the CPU; places to cell centres.

    Sizes become 1 and saliency is left out.
    """
    code, exponent = _coded(tokens.data.detach().cpu().float())
    return _tokens(code, exponent, tokens.start.cpu(), tokens.end.cpu(), _cell(tokens, grid), grid)


def packed(tokens: Tokens, grid: tuple[int, int]) -> dict[str, Tensor]:
    """Of N rounded tokens: int8 code `[N, D]` and exponent `[N]`, float64 start and end, int16 cell.

    saliency goes along as it is, where there is one.
    """
    values = (*_coded(tokens.data.float()), tokens.start, tokens.end, _cell(tokens, grid))
    named: dict[str, Tensor] = dict(zip(NAMES, values, strict=True))
    return named if tokens.saliency is None else {**named, "saliency": tokens.saliency}


def unpacked(tensors: Mapping[str, Tensor], grid: tuple[int, int]) -> Tokens:
    """The tokens again; DamagedMemory where a column is missing, or holds what `packed` never writes."""
    if missing := [name for name in NAMES if name not in tensors]:
        raise DamagedMemory(
            f"the memory's tokens have no column {missing[0]!r}; it was written by an older version, so"
            " watch the video again"
        )
    only(tensors, {*NAMES, "saliency"})
    code, exponent, start, end, cell = (tensors[name] for name in NAMES)
    for name, kind in zip(NAMES, KINDS, strict=True):
        given = tensors[name]
        if given.dtype != kind or given.ndim != 1 + (name == "code") or len(given) != len(code):
            raise DamagedMemory(
                f"the memory's tokens have {name} as {given.dtype} {list(given.shape)}; watch the video again"
            )
    whole = ((exponent >= LEAST) & (exponent <= MOST) & (cell >= 0) & (cell < grid[0] * grid[1])).all()
    if not whole or not (end >= start).all():
        raise DamagedMemory(
            f"the memory's tokens lie outside their grid of {grid[0]}x{grid[1]}, or end before they start;"
            " watch the video again"
        )
    return _tokens(code, exponent, start, end, cell, grid, tensors.get("saliency"))


def _coded(data: Tensor) -> tuple[Tensor, Tensor]:
    """int8 codes `[N, D]` and exponents `[N]`: data is about code x 2 ** exponent."""
    largest = data.abs().amax(dim=1)
    exponent = (torch.frexp(largest).exponent - BITS).clamp(LEAST, MOST)
    code = torch.ldexp(data, -exponent[:, None]).round().clamp(-127, 127)
    return code.to(torch.int8), exponent.to(torch.int8)


def _cell(tokens: Tokens, grid: tuple[int, int]) -> Tensor:
    """The cell that holds each token's centre, row by row, int16 `[N]`."""
    rows, columns = grid
    down = (tokens.y.cpu() * rows).long().clamp(0, rows - 1)
    across = (tokens.x.cpu() * columns).long().clamp(0, columns - 1)
    return (down * columns + across).to(torch.int16)


def _tokens(
    code: Tensor,
    exponent: Tensor,
    start: Tensor,
    end: Tensor,
    cell: Tensor,
    grid: tuple[int, int],
    saliency: Tensor | None = None,
) -> Tokens:
    data = torch.ldexp(code.float(), exponent.int()[:, None]).half()
    down, across = cell.long() // grid[1], cell.long() % grid[1]
    y, x = ((place.float() + 0.5) / count for place, count in zip((down, across), grid, strict=True))
    return Tokens(data, start, end, y, x, torch.ones(len(code)), saliency)
