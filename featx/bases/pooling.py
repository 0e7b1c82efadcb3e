"""Poolings: from an activation to what is stored of it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Literal

from torch import Tensor

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


POOLINGS: dict[str, Callable[[Tensor, Layout], Tensor]] = {
    "avg": average,
    "max": maximum,
    "flat": flat,
}
"""Name of a pooling: what it does to a batch of activations of a given layout."""
