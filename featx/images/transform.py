"""From a decoded picture to the pixels of a base's input, by Pillow; `normalise` makes numbers of them."""

from __future__ import annotations

import numpy as np
from PIL import Image

from featx.images.resampling import Box, resize_box
from featx.images.upright import find_shown_box
from featx.keys import InputTransform
from featx.types import Pixels

FILTERS = {
    "nearest": Image.Resampling.NEAREST,
    "bilinear": Image.Resampling.BILINEAR,
    "bicubic": Image.Resampling.BICUBIC,
}
"""Interpolation of an `InputTransform`: Pillow's filter, which smooths where it makes a picture smaller."""


MOST_RESIZED_PIXELS = 2**22
"""Pixels up to which a picture is resized as a whole: 16 MB for each thread."""

MOST_ELONGATED = 4
"""How many times as long as wide a larger picture may be: of a longer one, most is resized for nothing."""


def scale_size(width: float, height: float, shorter: int) -> tuple[int, int]:
    """Compute width and height once the shorter side has `shorter` pixels; the longer one is rounded down.

    So does torchvision's `Resize`.
    """
    if width <= height:
        return shorter, int(shorter * height / width)
    return int(shorter * width / height), shorter


def compute_crop_box(width: int, height: int, crop: int) -> Box:
    """Compute left, top, right and bottom of a centre crop, in pixels."""
    # Python rounds halves to even, and so does torchvision's CenterCrop: both matter for odd margins.
    left = round((width - crop) / 2)
    top = round((height - crop) / 2)
    return left, top, left + crop, top + crop


def is_elongated(width: int, height: int) -> bool:
    """Whether a picture would become so long by resizing that only the pixels that are kept are computed."""
    shorter, longer = sorted((width, height))
    return width * height > MOST_RESIZED_PIXELS and longer > MOST_ELONGATED * shorter


def resize(image: Image.Image, size: tuple[int, int], interpolation: str) -> Image.Image:
    """Resize what a picture shows to a width and height."""
    box = find_shown_box(image)
    if box is None:
        return image.resize(size, FILTERS[interpolation])
    return image.resize(size, FILTERS[interpolation], box)


def scale_shown_size(image: Image.Image, shorter: int) -> tuple[int, int]:
    """Compute width and height of what a picture shows, once the shorter side has `shorter` pixels."""
    box = find_shown_box(image)
    if box is None:
        return scale_size(image.width, image.height, shorter)
    return scale_size(box[2] - box[0], box[3] - box[1], shorter)


def to_pixels(image: Image.Image, transform: InputTransform) -> Pixels:
    """Resize and crop a picture.

    Parameters
    ----------
    image : PIL.Image.Image
        Mode RGB.
    transform : InputTransform

    Returns
    -------
    (crop, crop, 3) uint8
    """
    width, height = scale_shown_size(image, transform.resize)
    box = compute_crop_box(width, height, transform.crop)
    if is_elongated(width, height):
        return resize_box(image, (width, height), box, transform.interpolation)
    if (width, height) != image.size:
        image = resize(image, (width, height), transform.interpolation)
    if box != (0, 0, width, height):
        image = image.crop(box)
    return np.asarray(image)
