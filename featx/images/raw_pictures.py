"""Which pictures a device may resize itself: what `gpu_resize` holds exactly, and what may wait in memory."""

from __future__ import annotations

from featx.images.resampling import KERNELS
from featx.keys import InputTransform

LOW_BITS = 8
"""How many bits of a weight make its low part."""

FLOAT32_BITS = 24
PIXEL_BITS = 8
MAX_TAPS = 2 ** (FLOAT32_BITS - LOW_BITS - PIXEL_BITS)
"""Source pixels that a target pixel may be made of: more of them could overflow the 24 bits that float32 keeps."""

MAX_RAW_PIXELS = 2**20
"""Larger pictures are resized where they are decoded: hundreds of them wait in memory at a time."""

MAX_RAW_SIDE = 2**12
"""Longer pictures too: all of a product are filled up to the longest of each side, and weights are as long."""


def may_stay_raw(size: tuple[int, int], transform: InputTransform) -> bool:
    """Say whether a picture of this width and height may be handed to a device as it was decoded."""
    width, height = size
    kernel = KERNELS.get(transform.interpolation)
    if kernel is None or size == (transform.crop, transform.crop):
        return False
    if height >= 2 * width:  # newer versions of Pillow begin with the columns of tall pictures
        return False
    if width * height > MAX_RAW_PIXELS or max(size) > MAX_RAW_SIDE:
        return False
    shrink = max(1.0, min(size) / transform.resize)
    return 2 * kernel.reach * shrink + 2 <= MAX_TAPS
