"""Pillow's resizing, for a box of the result alone: the pixels that resizing everything and cropping would give.

A picture of 1 x 60000 pixels becomes one of 232 x 13920000 before 224 x 224 of them are kept. Pillow's own `box` counts
in float32 and gives weights that differ in their last bits, so this is its arithmetic (src/libImaging/Resample.c and
Geometry.c) for the few rows and columns that a box is made of. It is used where the whole is too large; elsewhere
Pillow is faster.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from featx.types import Pixels

WEIGHT_BITS = 22
"""Bits of Pillow's weights behind the point."""

MOST_NEAREST_STEPS = 2**22
"""Pixels up to which places are added up one by one, as Pillow does; longer pictures than that it cannot resize."""

Box = tuple[int, int, int, int]
"""Left, top, right and bottom, in pixels."""


Distances = Any
"""A numpy array or a tensor, whose operators do the same: a GPU resizes by these filters, too."""


def triangle(x: Distances) -> Distances:
    """Weigh by distance: Pillow's bilinear filter."""
    return (1.0 - abs(x)).clip(min=0.0)


def cubic(x: Distances) -> Distances:
    """Weigh by distance: Pillow's bicubic filter.

    Keys, 1981, Cubic Convolution Interpolation for Digital Image Processing, with a = -0.5.
    """
    x = abs(x)
    near = (1.5 * x - 2.5) * x * x + 1.0
    far = (((x - 5.0) * x + 8.0) * x - 4.0) * -0.5
    return near * (x < 1.0) + far * ((x >= 1.0) & (x < 2.0))


class ResamplingKernel(NamedTuple):
    """A filter: how far it reaches, in pixels where nothing is made smaller, and what it weighs distances with."""

    reach: float
    weigh: Callable[[Distances], Distances]


KERNELS = {"bilinear": ResamplingKernel(1.0, triangle), "bicubic": ResamplingKernel(2.0, cubic)}
"""Interpolation of an `InputTransform`: its filter. "nearest" weighs nothing."""


class Taps(NamedTuple):
    """What the n pixels of a box are made of along one axis.

    Attributes
    ----------
    first : (n,) int64
        First source pixel of each.
    weights : (n, k) int64
        What it takes of this pixel and the following ones, in 2**-22; 0 beyond the last one.
    """

    first: NDArray[np.int64]
    weights: NDArray[np.int64]

    @property
    def end(self) -> int:
        """Place behind the last source pixel."""
        used = (self.weights != 0) * np.arange(1, self.weights.shape[1] + 1)
        return int((self.first + used.max(axis=1)).max())


def resize_box(image: Image.Image, size: tuple[int, int], box: Box, interpolation: str) -> Pixels:
    """Give a box of what a picture becomes by resizing; what lies outside of the result is black.

    Parameters
    ----------
    image : PIL.Image.Image
        Mode RGB.
    size : tuple of int
        Width and height of the whole result, which is never made.
    box : tuple of int
        Left, top, right and bottom in it.
    interpolation : str
        "nearest", or a name in `KERNELS`.

    Returns
    -------
    (bottom - top, right - left, 3) uint8
    """
    left, top, right, bottom = box
    pixels = np.zeros((bottom - top, right - left, 3), np.uint8)
    inner = (max(left, 0), max(top, 0), min(right, size[0]), min(bottom, size[1]))
    if inner[0] >= inner[2] or inner[1] >= inner[3]:
        return pixels
    inside = pixels[inner[1] - top : inner[3] - top, inner[0] - left : inner[2] - left]
    columns = compute_taps(image.width, size[0], (inner[0], inner[2]), interpolation)
    rows = compute_taps(image.height, size[1], (inner[1], inner[3]), interpolation)
    start = (int(columns.first.min()), int(rows.first.min()))
    source = np.asarray(image.crop((*start, columns.end, rows.end)))
    columns = columns._replace(first=columns.first - start[0])
    rows = rows._replace(first=rows.first - start[1])
    if begins_with_columns(image.size, size):
        inside[:] = resample(resample(source, rows).swapaxes(0, 1), columns).swapaxes(0, 1)
    else:
        inside[:] = resample(resample(source.swapaxes(0, 1), columns).swapaxes(0, 1), rows)
    return pixels


def compute_taps(length: int, goal: int, span: tuple[int, int], interpolation: str) -> Taps:
    """Compute what pixels are made of along one axis.

    Parameters
    ----------
    length, goal : int
        Pixels before and after resizing.
    span : tuple of int
        First pixel of the box, and the one behind its last.
    interpolation : str
    """
    # Pillow keeps the ends of its box as float32.
    scale = float(np.float32(length)) / goal
    if interpolation == "nearest":
        whole = np.full((span[1] - span[0], 1), 2**WEIGHT_BITS, np.int64)
        return Taps(find_nearest_pixels(length, scale, span), whole)
    reach, weigh = KERNELS[interpolation]
    stretch = max(scale, 1.0)
    centre = (np.arange(*span) + 0.5) * scale
    # Pillow adds a half and casts to int, which cuts towards zero.
    first = (centre - reach * stretch + 0.5).astype(np.int64).clip(min=0)
    counts = (centre + reach * stretch + 0.5).astype(np.int64).clip(max=length) - first
    offsets = np.arange(counts.max())
    distances = ((first[:, None] + offsets) - centre[:, None] + 0.5) * (1.0 / stretch)
    shares = weigh(distances)
    shares[offsets >= counts[:, None]] = 0.0
    # Added up from left to right, as Pillow does: `sum` has another order, and other last bits.
    shares /= np.cumsum(shares, axis=1)[:, -1:]
    # To whole numbers, halves away from zero.
    return Taps(first, (shares * 2.0**WEIGHT_BITS + np.where(shares < 0, -0.5, 0.5)).astype(np.int64))


def find_nearest_pixels(length: int, scale: float, span: tuple[int, int]) -> NDArray[np.int64]:
    """Find the source pixel of each pixel of a span."""
    if span[1] <= MOST_NEAREST_STEPS:
        steps = np.full(span[1], scale)
        steps[0] = scale * 0.5
        places = np.cumsum(steps)[span[0] :]
    else:
        places = (np.arange(*span) + 0.5) * scale
    return places.astype(np.int64).clip(max=length - 1)


def resample(source: NDArray[np.uint8], taps: Taps) -> NDArray[np.uint8]:
    """Weigh and add along the first axis: (length, other, 3) to (n, other, 3) uint8."""
    sums = np.full((len(taps.first), *source.shape[1:]), 2 ** (WEIGHT_BITS - 1), np.int32)
    for offset, weights in enumerate(taps.weights.T):
        # Beyond the end the weight is 0.
        places = (taps.first + offset).clip(max=len(source) - 1)
        sums += source[places] * weights[:, None, None].astype(np.int32)
    return (sums >> WEIGHT_BITS).clip(0, 255).astype(np.uint8)


def begins_with_columns(size: tuple[int, int], goal: tuple[int, int]) -> bool:
    """Whether Pillow resizes the height first: rounding in between makes other pixels of it."""
    lost_height = size[1] - goal[1]
    return lost_height > 0 and lost_height > 2 * (size[0] - goal[0]) and begins_tall_with_columns()


@cache
def begins_tall_with_columns() -> bool:
    """Whether this version of Pillow ever does so: tried once on noise (version 13 does, 12 does not)."""
    noise = np.random.default_rng(0).integers(0, 256, (64, 8, 3), dtype=np.uint8)
    goal = (11, 13)
    by_pillow = np.asarray(Image.fromarray(noise).resize(goal, Image.Resampling.BILINEAR))
    across = compute_taps(8, goal[0], (0, goal[0]), "bilinear")
    down = compute_taps(64, goal[1], (0, goal[1]), "bilinear")
    ours = resample(resample(noise, down).swapaxes(0, 1), across).swapaxes(0, 1)
    return np.array_equal(by_pillow, ours)
