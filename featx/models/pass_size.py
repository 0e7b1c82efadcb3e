"""How many images a model's base computes at a time: a model file, which may come from anybody, decides on their size.

Networks in the sizes that they were published for are run as extraction runs them, and in the last bits alike. Larger
images, longer features and more views take fewer images and threads at a time, or are refused.
"""

from __future__ import annotations

import math
import os
from collections.abc import Sequence

from featx.bases.base import Base
from featx.bases.pooling import pooled_shape
from featx.data.slices import SLICE
from featx.engines.engine import CORE_BATCH
from featx.errors import ModelError
from featx.keys import FeatureKey

PASS_BYTES = 300_000_000
"""Activations of one forward pass: EfficientNet-B7, the largest published one, has 276 MB in a batch of eight."""

MOST_BYTES = 400_000_000
"""Activations of one image, or what a thread holds of a slice of images, that are computed unasked."""

FLOAT_BYTES = 4

JOINED_BYTES = 40
"""Bytes of a number of a feature on its way to the classifier: in float32 twice, and in float64 while it is scaled."""


def choose_pass(
    base: Base, keys: Sequence[FeatureKey], views: int, device_type: str, workers: int
) -> tuple[int | None, int]:
    """Choose how many images are computed in a forward pass, and in how many threads.

    Parameters
    ----------
    base : Base
    keys : sequence of FeatureKey
        What the model takes.
    views : int
        Views of each image.
    device_type : str
        As torch calls it: "cpu", "cuda", "mps".
    workers : int
        The most threads.

    Returns
    -------
    batch_size : int or None
        None is what suits the device.
    workers : int

    Raises
    ------
    ModelError
        If a single image takes more than it should.
    """
    slice_bytes = count_slice_bytes(base, keys, views)
    image_bytes = count_activation_bytes(base, keys)
    most = max(slice_bytes, image_bytes)
    if most > MOST_BYTES:
        side = base.id.transform.crop
        raise ModelError(
            f"the model takes {side} x {side} pixels of {base.id.architecture} in {views} views, which need "
            f"{most / 1e9:.1f} GB a thread: add --batch-size 1 --workers 1 if that is meant"
        )
    budget = max(2 * PASS_BYTES, count_memory() // 64)
    workers = min(workers, max(1, budget // slice_bytes))
    if device_type != "cpu" or CORE_BATCH * image_bytes <= PASS_BYTES:
        return None, workers
    batch_size = max(1, PASS_BYTES // 2 // image_bytes)
    return batch_size, min(workers, max(1, budget // 2 // (batch_size * image_bytes)))


def count_activation_bytes(base: Base, keys: Sequence[FeatureKey]) -> int:
    """Count what one image takes where its activations are largest: before and after a stage."""
    wanted = {key.layer for key in keys}
    deepest = max(layer.index for layer in base.layers if layer.name in wanted)
    before = 3 * base.id.transform.crop**2
    most = 0
    for layer in base.layers[: deepest + 1]:
        after = math.prod(layer.shape)
        most = max(most, before + after)
        before = after
    return FLOAT_BYTES * most


def count_slice_bytes(base: Base, keys: Sequence[FeatureKey], views: int) -> int:
    """Count what a thread holds of the images that it takes at a time: their pixels twice, and their features."""
    pixels = 2 * 3 * base.id.transform.crop**2
    return SLICE * views * (pixels + JOINED_BYTES * count_numbers(base, keys))


def count_numbers(base: Base, keys: Sequence[FeatureKey]) -> int:
    """Count the numbers that the layers of a model give of an image.

    Raises
    ------
    UnsupportedLayout
        If a pooling does not fit its layer.
    """
    length = 0
    for key in keys:
        layer = base.layer(key.layer)
        length += math.prod(pooled_shape(key.pooling, layer.shape, layer.layout))
    return length


def count_memory() -> int:
    """Count the bytes of memory of this machine; 0 where the system does not tell."""
    try:
        return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    except (AttributeError, ValueError, OSError):
        return 0
