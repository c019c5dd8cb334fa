"""Sinusoidal codes of when and where, computed on the fly.

Carion et al. 2020 (DETR) for the place, Vaswani et al. 2017 for the time. This file does not know what is
coded.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

from watchonce.types import BadInput


def time_code(seconds: Tensor, width: int, temperature: float = 1e4) -> Tensor:
    """Sine and cosine in turn of times at growing wavelengths: seconds `[...]` -> `[..., width]`.

    The longest wavelength is 2 pi x temperature seconds. A code whose wavelengths all fit into the films
    of training has been seen in every phase, so it also holds in films that are much longer.
    """
    if width % 2:
        raise BadInput(f"a sinusoidal code needs an even width, got {width}")
    pair = torch.arange(width // 2, dtype=torch.float64, device=seconds.device)
    angle = seconds.double()[..., None] * torch.exp(-math.log(temperature) * 2 * pair / width)
    return torch.stack([angle.sin(), angle.cos()], dim=-1).flatten(-2).float()


def place_code(grid: tuple[int, int], width: int, temperature: float = 1e4) -> Tensor:
    """DETR's code of a grid's cells, row-major: `[rows * columns, width]`, half of it for y, half for x."""
    if width % 4:
        raise BadInput(f"a code of two axes needs a width divisible by 4, got {width}")
    rows, columns = grid
    down = (torch.arange(rows) + 1.0) / rows * 2 * math.pi
    across = (torch.arange(columns) + 1.0) / columns * 2 * math.pi
    y = time_code(down, width // 2, temperature)[:, None].expand(rows, columns, -1)
    x = time_code(across, width // 2, temperature)[None].expand(rows, columns, -1)
    return torch.cat([y, x], dim=-1).flatten(0, 1)


def cell_centres(grid: tuple[int, int]) -> Tensor:
    """Centres x, y in 0..1 of a grid's cells, row-major: `[rows * columns, 2]`."""
    rows, columns = grid
    y, x = torch.meshgrid(
        (torch.arange(rows) + 0.5) / rows, (torch.arange(columns) + 0.5) / columns, indexing="ij"
    )
    return torch.stack([x, y], dim=-1).flatten(0, 1)
