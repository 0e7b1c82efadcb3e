"""Poolings: from an activation to the feature that is stored."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Literal

import torch
from torch import Tensor, nn

from featx.errors import UnsupportedLayout

Layout = Literal["map", "map_last", "tokens", "patches", "vector"]
"""How an activation's axes are ordered.

"map": (n, channels, height, width), "map_last": (n, height, width, channels), "tokens": (n, 1 + patches, channels), the
class token first, "patches": (n, patches, channels), "vector": (n, features).
"""


def layout_of(shape: Sequence[int]) -> Layout:
    """Infer the layout of one image's activation from its shape, for stages that do not declare it."""
    return "map" if len(shape) == 3 else "vector"


def places(shape: Sequence[int], layout: Layout) -> tuple[int, int] | None:
    """Height and width of one image's activation; None for a vector, and for a class token alone."""
    if layout == "map":
        return shape[1], shape[2]
    if layout == "map_last":
        return shape[0], shape[1]
    if layout == "vector":
        return None
    class_tokens = 1 if layout == "tokens" else 0
    side = math.isqrt(shape[0] - class_tokens)
    return (side, side) if side else None


def as_map(activation: Tensor, layout: Layout) -> Tensor:
    """View an activation that has places as (n, channels, height, width).

    Raises
    ------
    UnsupportedLayout
        If its patches do not fill a square.
    """
    if layout == "map":
        return activation
    if layout == "map_last":
        return activation.permute(0, 3, 1, 2)
    patches = activation[:, 1:] if layout == "tokens" else activation
    side = math.isqrt(patches.shape[1])
    if side * side != patches.shape[1]:
        raise UnsupportedLayout(f"{patches.shape[1]} patches do not fill a square: take the pooling 'cls' or 'flat'")
    return patches.transpose(1, 2).unflatten(2, (side, side))


def average(activation: Tensor, layout: Layout) -> Tensor:
    """Average over all places: (n, channels, height, width) to (n, channels); a vector stays as it is."""
    if layout == "vector":
        return activation.clone()
    return as_map(activation, layout).mean((2, 3))


def maximum(activation: Tensor, layout: Layout) -> Tensor:
    """Take the largest value of each channel: (n, channels, height, width) to (n, channels); a vector stays."""
    if layout == "vector":
        return activation.clone()
    return as_map(activation, layout).amax((2, 3))


def flat(activation: Tensor, layout: Layout) -> Tensor:
    """Keep the whole activation, such as (n, channels, height, width) or (n, features), as it is."""
    # A copy: the next stage may work in place.
    return activation.clone()


def average_and_maximum(activation: Tensor, layout: Layout) -> Tensor:
    """Put the average and the maximum of each channel side by side: a map to (n, 2 * channels)."""
    if layout == "vector":
        return activation.clone()
    return torch.cat([average(activation, layout), maximum(activation, layout)], 1)


def pyramid(activation: Tensor, layout: Layout) -> Tensor:
    """Average the whole map and its four quarters, so that it matters where things are: a map to (n, 5 * channels).

    The two upper levels of the spatial pyramid (Lazebnik, Schmid and Ponce, 2006).
    """
    if layout == "vector":
        return activation.clone()
    # Windows of an odd side overlap by a row, as torch defines it.
    quarters = nn.functional.adaptive_avg_pool2d(as_map(activation, layout), 2)
    return torch.cat([average(activation, layout), quarters.flatten(1)], 1)


def class_token(activation: Tensor, layout: Layout) -> Tensor:
    """Take the class token: (n, 1 + patches, channels) to (n, channels); a vector stays.

    Raises
    ------
    UnsupportedLayout
        If there is none.
    """
    if layout == "vector":
        return activation.clone()
    if layout != "tokens":
        raise UnsupportedLayout(
            "pooling 'cls' takes the class token of a vision transformer, and this layer has none: "
            "take avg, max, avg+max, pyramid or flat"
        )
    return activation[:, 0].clone()


POOLINGS: dict[str, Callable[[Tensor, Layout], Tensor]] = {
    "avg": average,
    "max": maximum,
    "avg+max": average_and_maximum,
    "pyramid": pyramid,
    "cls": class_token,
    "flat": flat,
}
"""Name of a pooling, as in `names.POOLING_NAMES`: its function of (n, ...) activations and their layout."""


def pooled_shape(pooling: str, shape: Sequence[int], layout: Layout) -> tuple[int, ...]:
    """Work out the shape that a pooling gives for one image.

    Parameters
    ----------
    pooling : str
        Name in `POOLINGS`.
    shape : sequence of int
        Shape of one image's activation.
    layout : Layout

    Raises
    ------
    UnsupportedLayout
        If the pooling does not fit the layout.
    """
    # A batch of no images costs nothing, and asks the pooling itself.
    pooled = POOLINGS[pooling](torch.empty(0, *shape), layout)
    return tuple(pooled.shape[1:])
