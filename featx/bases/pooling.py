"""Poolings: from an activation to what is stored of it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Literal

import torch
from torch import Tensor, nn

Layout = Literal["map", "vector"]
"""How an activation's axes are ordered: "map" is (n, channels, height, width), "vector" (n, features)."""


def layout_of(shape: Sequence[int]) -> Layout:
    """Tell the layout of one image's activation from its shape."""
    return "map" if len(shape) == 3 else "vector"


def average(activation: Tensor, layout: Layout) -> Tensor:
    """Average over all places of a map: (n, channels, height, width) to (n, channels); a vector stays as it is."""
    return activation.mean((2, 3)) if layout == "map" else activation.clone()


def maximum(activation: Tensor, layout: Layout) -> Tensor:
    """Take the largest value of each channel: (n, channels, height, width) to (n, channels); a vector stays."""
    return activation.amax((2, 3)) if layout == "map" else activation.clone()


def flat(activation: Tensor, layout: Layout) -> Tensor:
    """Keep the whole activation: (n, channels, height, width) or (n, features), as it is."""
    return activation.clone()


def average_and_maximum(activation: Tensor, layout: Layout) -> Tensor:
    """Put the average and the maximum of each channel side by side: a map to (n, 2 * channels)."""
    if layout != "map":
        return activation.clone()
    return torch.cat([average(activation, layout), maximum(activation, layout)], 1)


def pyramid(activation: Tensor, layout: Layout) -> Tensor:
    """Average the whole map and its four quarters: a map to (n, 5 * channels), so that it counts where things are.

    The two upper levels of the spatial pyramid (Lazebnik, Schmid and Ponce, 2006).
    """
    if layout != "map":
        return activation.clone()
    quarters = nn.functional.adaptive_avg_pool2d(activation, 2)
    return torch.cat([average(activation, layout), quarters.flatten(1)], 1)


POOLINGS: dict[str, Callable[[Tensor, Layout], Tensor]] = {
    "avg": average,
    "max": maximum,
    "avg+max": average_and_maximum,
    "pyramid": pyramid,
    "flat": flat,
}
"""Name of a pooling: what it does to a batch of activations of a given layout."""
