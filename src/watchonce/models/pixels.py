"""Frames to the numbers a vision tower expects, as the model's own processor would, without it.

Resizes (torchvision, antialiased, the processor's filter), rescales and normalises. Never samples:
what goes in comes out, frame for frame. Knows processor settings, not models.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from watchonce.types import BadInput, FrameBatch

if TYPE_CHECKING:
    from torch import Tensor

# PIL's numbers for the filters, as processor configs store them.
FILTERS = {0: "nearest", 1: "lanczos", 2: "bilinear", 3: "bicubic", 4: "box", 5: "hamming"}


@dataclass(frozen=True, slots=True)
class PixelRule:
    """How frames of any size become float32 `[T, 3, H, W]` for one vision tower."""

    size: tuple[int, int]  # (height, width) that leaves
    longest: int | None = None  # longest side of a first resize that keeps the shape; None = one resize
    resample: int = 3
    scale: float = 1 / 255
    mean: tuple[float, float, float] = (0.5, 0.5, 0.5)
    std: tuple[float, float, float] = (0.5, 0.5, 0.5)

    @staticmethod
    def read(table: Mapping[str, Any], size: tuple[int, int], longest: int | None = None) -> PixelRule:
        """From a processor's settings; absent ones take the defaults of transformers' SigLIP family."""
        if table.get("do_rescale", True) is False:
            raise BadInput("a processor with do_rescale=false is not supported: set it to true")
        plain = table.get("do_normalize", True) is False
        mean = (0.0, 0.0, 0.0) if plain else _triple(table.get("image_mean", 0.5))
        std = (1.0, 1.0, 1.0) if plain else _triple(table.get("image_std", 0.5))
        resample = int(table.get("resample", 3))
        return PixelRule(size, longest, resample, float(table.get("rescale_factor", 1 / 255)), mean, std)

    def route(self, height: int, width: int) -> list[tuple[int, int]]:
        """The sizes a frame passes through, in order; [] when it already has the size."""
        steps = []
        if self.longest is not None:
            steps.append(fit_longest(height, width, self.longest))
        steps.append(self.size)
        here = (height, width)
        kept = []
        for step in steps:
            if step != here:
                kept.append(step)
            here = step
        return kept

    def apply(self, frames: FrameBatch) -> Tensor:
        """float32 `[T, 3, H, W]`, one row per frame, in order."""
        import torch

        raw = frames.pixels if frames.pixels.flags.writeable else frames.pixels.copy()
        pixels = torch.from_numpy(raw)
        for step in self.route(*frames.pixels.shape[2:]):
            pixels = _resize(pixels, step, self.resample)
        mean = torch.tensor(self.mean) * (1.0 / self.scale)
        std = torch.tensor(self.std) * (1.0 / self.scale)
        return pixels.to(torch.float32).sub_(mean[:, None, None]).div_(std[:, None, None])


def fit_longest(height: int, width: int, longest: int) -> tuple[int, int]:
    """The size with `longest` as its longer side and the shorter rounded up to even (SmolVLM's rule)."""
    longest = min(longest, 4096)
    if width >= height:
        short = int(longest / (width / height))
        return max(short + short % 2, 1), longest
    short = int(longest * (width / height))
    return longest, max(short + short % 2, 1)


def _triple(value: Any) -> tuple[float, float, float]:
    values = [float(value)] * 3 if isinstance(value, int | float) else [float(v) for v in value]
    return (values[0], values[1], values[2])


def _resize(pixels: Tensor, size: tuple[int, int], resample: int) -> Tensor:
    import torchvision
    from torchvision.transforms.v2 import InterpolationMode
    from torchvision.transforms.v2 import functional as transform

    name = FILTERS.get(resample, "bicubic")
    # torchvision learnt Lanczos in 0.27; transformers falls back the same way before it.
    if name == "lanczos" and tuple(int(p) for p in torchvision.__version__.split(".")[:2]) < (0, 27):
        name = "bicubic"
    return transform.resize(pixels, list(size), interpolation=InterpolationMode(name), antialias=True)
