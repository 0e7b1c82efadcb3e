"""Hand-crafted features as bases: what was used before networks, so that a table shows what a network gains.

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
"""An image: (height, width, 3) float32 from 0 to 1."""

GRID = 4
"""Histograms are taken of 4 x 4 parts of an image, so that the pooling `pyramid` knows where things are."""

SIFT_NUMBERS = 128
"""Numbers in one descriptor: 4 x 4 histograms of 8 directions."""

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
            # A black image tells the shape, which nothing else states.
            shape = self.compute(np.zeros((*x.shape[2:], 3), np.float32)).shape
            return torch.empty(len(x), *shape, device="meta")
        images = x.float().permute(0, 2, 3, 1).cpu().numpy()
        maps = np.stack([self.compute(image) for image in images]).astype(np.float32)
        return torch.from_numpy(maps).to(x.device, x.dtype)


def to_grey(image: Image) -> Image:
    """Brightness of an image: (height, width, 3) to (height, width), both from 0 to 1."""
    return image @ GREY


def compute_hog(image: Image) -> NDArray[Any]:
    """Describe blocks of cells by histograms of oriented gradients: (36, blocks, blocks).

    Dalal and Triggs, "Histograms of oriented gradients for human detection" (2005): 9 directions, 2 x 2 cells a block,
    normalised by L2-Hys. Cells have 16 pixels where theirs have 8, which keeps the vector at 1,764 numbers an image.
    """
    from skimage.feature import hog

    blocks = hog(
        to_grey(image),
        orientations=9,
        pixels_per_cell=(16, 16),
        cells_per_block=(2, 2),
        block_norm="L2-Hys",
        transform_sqrt=True,
        feature_vector=False,
    )
    descriptors: NDArray[Any] = blocks.reshape(*blocks.shape[:2], -1)
    return descriptors.transpose(2, 0, 1)


def count_codes(codes: NDArray[np.intp], bins: int) -> NDArray[np.float32]:
    """Count codes in each part of a grid: (height, width) int from 0 to bins - 1, to shares (bins, GRID, GRID)."""
    height, width = codes.shape
    rows = np.arange(height) * GRID // height
    columns = np.arange(width) * GRID // width
    part = rows[:, None] * GRID + columns[None, :]
    counts = np.bincount((part * bins + codes).ravel(), minlength=GRID * GRID * bins).reshape(GRID, GRID, bins)
    return (counts / counts.sum(axis=2, keepdims=True)).transpose(2, 0, 1).astype(np.float32)


def compute_lbp(image: Image) -> NDArray[np.float32]:
    """Count uniform local binary patterns at radii 1, 2 and 3 (Ojala, Pietikainen and Maenpaa, 2002): (54, GRID, GRID).

    Square roots of the shares, so that a linear classifier compares them by Hellinger's distance.
    """
    from skimage.feature import local_binary_pattern

    brightness = (255 * to_grey(image)).round().astype(np.uint8)
    histograms = []
    for radius in (1, 2, 3):
        points = 8 * radius
        codes = local_binary_pattern(brightness, points, radius, "uniform").astype(np.intp)
        # A uniform pattern is told by its number of ones, 0 to `points`; one more code stands for all others.
        histograms.append(count_codes(codes, points + 2))
    return np.sqrt(np.concatenate(histograms))


def compute_daisy(image: Image) -> NDArray[Any]:
    """Describe every eighth place by its gradients around (Tola, Lepetit and Fua, 2010): (104, height', width')."""
    from skimage.feature import daisy

    descriptors: NDArray[Any] = daisy(to_grey(image), step=8, radius=15, rings=2, histograms=6, orientations=8)
    return descriptors.transpose(2, 0, 1)


def compute_sift(image: Image) -> NDArray[np.float32]:
    """Summarise the keypoints of an image by mean and deviation of their descriptors: (256, 1, 1).

    SIFT (Lowe, 2004), each descriptor as the square root of its shares (RootSIFT: Arandjelovic and Zisserman, 2012,
    "Three things everyone should know to improve object retrieval"). An image without keypoints gives zeros.
    """
    from skimage.feature import SIFT

    sift = SIFT()
    try:
        sift.detect_and_extract(to_grey(image))
    # How scikit-image says that there is not one keypoint.
    except RuntimeError:
        return np.zeros((2 * SIFT_NUMBERS, 1, 1), np.float32)
    descriptors = np.asarray(sift.descriptors, np.float64)
    sums = descriptors.sum(axis=1, keepdims=True)
    roots = np.sqrt(descriptors / np.where(sums > 0, sums, 1))
    summary = np.concatenate([roots.mean(axis=0), roots.std(axis=0)])
    return summary.astype(np.float32).reshape(-1, 1, 1)


def compute_color_histogram(image: Image) -> NDArray[np.float32]:
    """Count colours, 8 hues by 3 saturations by 3 values (Swain and Ballard, 1991): square roots, (72, GRID, GRID)."""
    from skimage.color import rgb2hsv

    steps = np.array([8, 3, 3])
    # A value of exactly 1 belongs to the last step.
    levels = np.minimum((rgb2hsv(image) * steps).astype(np.intp), steps - 1)
    hue, saturation, value = np.moveaxis(levels, 2, 0)
    return np.sqrt(count_codes((hue * 3 + saturation) * 3 + value, 8 * 3 * 3))


def build_sequence(**stages: nn.Module) -> nn.Sequential:
    """Put named stages in order, "_" in a name standing for "-"; scikit-image must be there to compute them.

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


def build_hog() -> nn.Sequential:
    """Build `hog`: the map of its blocks, then all of them in one vector, as the descriptor is used."""
    return build_sequence(blocks=Descriptor(compute_hog), hog=nn.Flatten())


def build_lbp() -> nn.Sequential:
    """Build `lbp`: histograms of local binary patterns."""
    return build_sequence(lbp=Descriptor(compute_lbp))


def build_daisy() -> nn.Sequential:
    """Build `daisy`: dense descriptors, to be pooled over the image."""
    return build_sequence(daisy=Descriptor(compute_daisy))


def build_sift() -> nn.Sequential:
    """Build `sift`: descriptors of keypoints, summarised over the image."""
    return build_sequence(sift=Descriptor(compute_sift))


def build_color_histogram() -> nn.Sequential:
    """Build `color-histogram`: histograms of hue, saturation and value."""
    return build_sequence(color_histogram=Descriptor(compute_color_histogram))


DESCRIPTORS: dict[str, tuple[Callable[[], nn.Module], int]] = {
    "hog": (build_hog, 128),
    "lbp": (build_lbp, 224),
    "daisy": (build_daisy, 224),
    "sift": (build_sift, 224),
    "color-histogram": (build_color_histogram, 224),
}
"""Name of a base: what builds it, and the side in pixels of the square of the image that it describes."""
