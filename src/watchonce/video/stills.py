"""A still picture from a file, upright, as the pixels of one frame. Knows nothing of videos."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from watchonce.types import BadInput

LARGEST = 2**26  # pixels: a picture of 67 megapixels is 200 MB when opened


def read_still(path: str | Path) -> np.ndarray:
    """uint8 `[3, H, W]`, RGB, turned as its EXIF says; what is transparent becomes white.

    Raises BadInput for a file that is missing, is no picture or is too large.
    """
    from PIL import Image, ImageOps, UnidentifiedImageError

    if not Path(path).is_file():  # a pipe would be waited for
        what = f"{path} is not a picture that can be read" if Path(path).exists() else f"no picture at {path}"
        raise BadInput(f"{what}; give a PNG, JPEG or WebP of the object")
    try:
        with Image.open(path) as opened:
            if opened.width * opened.height > LARGEST:
                raise BadInput(
                    f"{path} is {opened.width}x{opened.height} pixels; give the object's crop alone"
                )
            upright = ImageOps.exif_transpose(opened).convert("RGBA")
    except (UnidentifiedImageError, OSError, SyntaxError, Image.DecompressionBombError) as error:
        raise BadInput(f"{path} is not a picture that can be read; give a PNG, JPEG or WebP") from error
    ground = Image.new("RGBA", upright.size, "white")
    ground.alpha_composite(upright)
    return np.ascontiguousarray(np.asarray(ground)[..., :3].transpose(2, 0, 1))
