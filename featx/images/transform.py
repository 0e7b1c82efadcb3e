"""From a decoded picture to a base's input: pixels by Pillow, numbers by torch."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor

from featx.keys import InputTransform

FILTERS = {
    "nearest": Image.Resampling.NEAREST,
    "bilinear": Image.Resampling.BILINEAR,
    "bicubic": Image.Resampling.BICUBIC,
}


def resized(width: int, height: int, shorter: int) -> tuple[int, int]:
    """Width and height after the shorter side became `shorter` pixels, the longer rounded down as torchvision does."""
    if width <= height:
        return shorter, int(shorter * height / width)
    return int(shorter * width / height), shorter


def crop_box(width: int, height: int, crop: int) -> tuple[int, int, int, int]:
    """Left, top, right and bottom of a centre crop; rounded half to even, as torchvision does."""
    left, top = round((width - crop) / 2), round((height - crop) / 2)
    return left, top, left + crop, top + crop


def to_pixels(image: Image.Image, transform: InputTransform) -> NDArray[np.uint8]:
    """Resize and crop a picture.

    Parameters
    ----------
    image : PIL.Image.Image
        Mode RGB.

    Returns
    -------
    (crop, crop, 3) uint8
    """
    width, height = resized(image.width, image.height, transform.resize)
    if (width, height) != image.size:
        image = image.resize((width, height), FILTERS[transform.interpolation])
    box = crop_box(width, height, transform.crop)
    return np.asarray(image.crop(box) if box != (0, 0, width, height) else image)


def to_input(pixels: Tensor, transform: InputTransform) -> Tensor:
    """Scale and normalise a batch of pixels, on whatever device it lies.

    Parameters
    ----------
    pixels : (n, crop, crop, 3) uint8

    Returns
    -------
    (n, 3, crop, crop) float32
        In channels_last memory, as it came; the numbers are torchvision's.
    """
    # Line by line, and turned last: then OpenVINO moves nothing in memory (its convolutions want channels last, too)
    # and computes on whole lines instead of three numbers at a time.
    n, height, width, channels = pixels.shape
    mean, std = (torch.tensor(each, device=pixels.device).repeat(width) for each in (transform.mean, transform.std))
    x = pixels.reshape(n, height, width * channels).float().div_(255).sub_(mean).div_(std)
    return x.view(n, height, width, channels).permute(0, 3, 1, 2)
