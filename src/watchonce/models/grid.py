"""Where the tokens of a frame are: rows of a grid, each with its time and its place in the picture.

Knows numbers of rows and columns, no model.
"""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from watchonce.types import Tokens


def place(data: Tensor, start: np.ndarray, end: np.ndarray, grid: tuple[int, int]) -> Tokens:
    """Tokens of whole frames, or of sets of frames, in time, then row order.

    data `[S * rows * columns, D]`; start, end `[S]` seconds of each set; grid: (rows, columns).
    """
    rows, columns = grid
    sets, per = len(start), rows * columns
    assert len(data) == sets * per, f"{sets} frame sets gave {len(data)} tokens, not {sets} x {per}"
    y = (torch.arange(rows, dtype=torch.float32) + 0.5) / rows
    x = (torch.arange(columns, dtype=torch.float32) + 0.5) / columns
    tokens = Tokens(
        data=data,
        start=torch.from_numpy(start.copy()).repeat_interleave(per),
        end=torch.from_numpy(end.copy()).repeat_interleave(per),
        y=y.repeat_interleave(columns).repeat(sets),
        x=x.repeat(rows * sets),
        size=torch.ones(sets * per),
    )
    # Apple's GPU has no float64, and times are never narrowed: there tokens stay on the CPU.
    return tokens.to("cpu" if data.device.type == "mps" else data.device)
