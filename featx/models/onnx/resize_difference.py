"""How resizing by ONNX's operator differs from Pillow's, measured on pictures that are made here."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageFilter

from featx.images.transform import to_pixels
from featx.keys import InputTransform
from featx.models.onnx.model import open_session
from featx.models.onnx.whole_pictures import build_resizing
from featx.types import Pixels

SIZES = ((640, 480), (500, 375), (331, 500), (150, 130))
"""Width and height of the pictures: made smaller by several factors, lying and standing, and one that is enlarged."""


@dataclass(frozen=True)
class ResizeDifference:
    """Differences of pixels, in steps of 0 to 255.

    Attributes
    ----------
    mean, most : float
    """

    mean: float
    most: float

    def to_dict(self) -> dict[str, Any]:
        """Give plain values for JSON."""
        return asdict(self)


def measure_resize(transform: InputTransform) -> ResizeDifference:
    """Resize and crop pictures by the graph's operators and by Pillow, and compare the pixels."""
    session = open_session(build_resizing(transform))
    differences: list[NDArray[np.int64]] = []
    for seed, size in enumerate(SIZES):
        picture = make_picture(seed, size)
        (found,) = session.run(None, {session.get_inputs()[0].name: np.asarray(picture)[None]})
        expected: Pixels = to_pixels(picture, transform)
        differences.append(np.abs(found[0].astype(np.int64) - expected).ravel())
    joined = np.concatenate(differences)
    return ResizeDifference(round(float(joined.mean()), 4), float(joined.max()))


def make_picture(seed: int, size: tuple[int, int]) -> Image.Image:
    """Make a picture as sharp as photos are: noise of several scales, one over the other."""
    generator = np.random.default_rng(seed)
    total = np.zeros((size[1], size[0], 3))
    for cells in (4, 16, 64, 256):
        noise = Image.fromarray(generator.integers(0, 256, (cells, cells, 3), dtype=np.uint8))
        total += np.asarray(noise.resize(size, Image.Resampling.BICUBIC), float) / 4
    return Image.fromarray(total.astype(np.uint8)).filter(ImageFilter.UnsharpMask())
