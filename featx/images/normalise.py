"""From the pixels of pictures to the numbers that a base takes, by torch."""

from __future__ import annotations

import torch
from torch import Tensor

from featx.keys import InputTransform


def to_input(pixels: Tensor, transform: InputTransform) -> Tensor:
    """Scale and normalise a batch of pixels, on whatever device it lies.

    Parameters
    ----------
    pixels : (n, crop, crop, 3) uint8
    transform : InputTransform

    Returns
    -------
    (n, 3, crop, crop) float32
        In channels_last memory, as it came; the numbers are torchvision's.
    """
    # Line by line, and turned last: then OpenVINO moves nothing in memory (its convolutions want channels last, too)
    # and computes on whole lines instead of three numbers at a time.
    n, height, width, channels = pixels.shape
    mean = torch.tensor(transform.mean, device=pixels.device).repeat(width)
    std = torch.tensor(transform.std, device=pixels.device).repeat(width)
    lines = pixels.reshape(n, height, width * channels).float().div_(255).sub_(mean).div_(std)
    return lines.view(n, height, width, channels).permute(0, 3, 1, 2)
