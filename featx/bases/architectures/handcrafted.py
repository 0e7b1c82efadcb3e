"""Hand-crafted features as bases: what was used before networks, so that a table shows what a network buys.

The optional extra `featx[handcrafted]` brings scikit-image, which computes them.
"""

from __future__ import annotations

import importlib.util
from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from featx.errors import RequestError

Image = NDArray[np.float32]
GRID = 4
"""Histograms are taken of 4 x 4 parts of an image, so that the pooling `pyramid` knows where things are."""

GREY = np.array([0.299, 0.587, 0.114], np.float32)
"""Weights of red, green and blue in the brightness (ITU-R BT.601)."""


class Descriptor(nn.Module):
    """Runs a function over images one by one, as if it were a layer of a network without weights.

    Parameters
    ----------
    compute : callable
        (height, width, 3) float32 from 0 to 1, to (channels, height', width').
    """

    def __init__(self, compute: Callable[[Image], NDArray[Any]]) -> None:
        super().__init__()
        self.compute = compute

    def forward(self, x: Tensor) -> Tensor:
        """Map (n, 3, height, width) float32 to (n, channels, height', width') float32."""
        if x.device.type == "meta":
            shape = self.compute(np.zeros((*x.shape[2:], 3), np.float32)).shape
            return torch.empty(len(x), *shape, device="meta")
        images = x.float().permute(0, 2, 3, 1).cpu().numpy()
        found = np.stack([self.compute(image) for image in images]).astype(np.float32)
        return torch.from_numpy(found).to(x.device, x.dtype)


def grey(image: Image) -> Image:
    """Brightness of an image: (height, width, 3) to (height, width), both from 0 to 1."""
    return image @ GREY


def cells(image: Image) -> NDArray[Any]:
    """Describe blocks of cells by histograms of oriented gradients (Dalal and Triggs, 2005): (36, blocks, blocks)."""
    from skimage.feature import hog

    blocks = hog(grey(image), 9, (16, 16), (2, 2), "L2-Hys", transform_sqrt=True, feature_vector=False)
    found: NDArray[Any] = blocks.reshape(*blocks.shape[:2], -1).transpose(2, 0, 1)
    return found


def histograms(codes: NDArray[np.intp], bins: int) -> NDArray[np.float32]:
    """Count codes in each part of a grid: (height, width) to shares (bins, GRID, GRID)."""
    rows = np.arange(codes.shape[0]) * GRID // codes.shape[0]
    columns = np.arange(codes.shape[1]) * GRID // codes.shape[1]
    part = rows[:, None] * GRID + columns[None, :]
    counts = np.bincount((part * bins + codes).ravel(), minlength=GRID * GRID * bins).reshape(GRID, GRID, bins)
    return (counts / counts.sum(axis=2, keepdims=True)).transpose(2, 0, 1).astype(np.float32)


def local_patterns(image: Image) -> NDArray[np.float32]:
    """Count uniform local binary patterns at radii 1, 2 and 3 (Ojala, Pietikainen and Maenpaa, 2002): (54, GRID, GRID).

    Square roots of the shares, so that a linear classifier compares them by Hellinger's distance.
    """
    from skimage.feature import local_binary_pattern

    bright = (255 * grey(image)).round().astype(np.uint8)
    found = []
    for radius in (1, 2, 3):
        codes = local_binary_pattern(bright, 8 * radius, radius, "uniform").astype(np.intp)
        found.append(histograms(codes, 8 * radius + 2))
    return np.sqrt(np.concatenate(found))


def dense_daisy(image: Image) -> NDArray[Any]:
    """Describe every eighth place by its gradients around (Tola, Lepetit and Fua, 2010): (104, height', width')."""
    from skimage.feature import daisy

    found: NDArray[Any] = daisy(grey(image), step=8, radius=15, rings=2, histograms=6, orientations=8)
    return found.transpose(2, 0, 1)


def colours(image: Image) -> NDArray[np.float32]:
    """Count colours, 8 hues by 3 saturations by 3 values (Swain and Ballard, 1991): square roots, (72, GRID, GRID)."""
    from skimage.color import rgb2hsv

    steps = np.array([8, 3, 3])
    hue, saturation, value = np.moveaxis(np.minimum((rgb2hsv(image) * steps).astype(np.intp), steps - 1), 2, 0)
    return np.sqrt(histograms((hue * 3 + saturation) * 3 + value, 72))


def sequence(**stages: nn.Module) -> nn.Sequential:
    """Put named stages in order; scikit-image must be there to compute them.

    Raises
    ------
    RequestError
        If it is not installed.
    """
    if importlib.util.find_spec("skimage") is None:
        raise RequestError("hand-crafted features need scikit-image: pip install 'featx[handcrafted]'")
    network = nn.Sequential()
    for name, module in stages.items():
        network.add_module(name.replace("_", "-"), module)
    return network


def hog() -> nn.Sequential:
    """Build `hog`: the map of its blocks, then all of them in one vector, as the descriptor is used."""
    return sequence(blocks=Descriptor(cells), hog=nn.Flatten())


def lbp() -> nn.Sequential:
    """Build `lbp`: histograms of local binary patterns."""
    return sequence(lbp=Descriptor(local_patterns))


def daisy() -> nn.Sequential:
    """Build `daisy`: dense descriptors, to be pooled over the image."""
    return sequence(daisy=Descriptor(dense_daisy))


def color_histogram() -> nn.Sequential:
    """Build `color-histogram`: histograms of hue, saturation and value."""
    return sequence(color_histogram=Descriptor(colours))
