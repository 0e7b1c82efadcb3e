"""Resizes many pictures at once where the base runs, with the pixels that Pillow gives, bit for bit.

Of what a photo costs a core before the network sees it, resizing is half: where a GPU computes, it may as well resize.
Features must not depend on who did it, so this is Pillow's own arithmetic: weights in 22 bits, first along rows, then
along columns, and rounding to whole pixels after each. Both passes are matrix products. Weights are split into a high
and a low part, so that float32 holds every sum exactly, whatever the order in which it is added up.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from functools import cached_property

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from featx.images.transform import crop_box, resized, to_pixels
from featx.keys import InputTransform
from featx.types import Pixels

log = logging.getLogger(__name__)


BITS, LOW = 22, 8
"""Bits of Pillow's weights behind the point, and how many of them make the low part."""

MOST_PIXELS = 2**20
"""Larger pictures are resized where they are decoded: hundreds of them wait in memory at a time."""

MOST_TAPS = 2 ** (24 - LOW - 8)
"""Source pixels that a target pixel may be made of: more of them could overflow the 24 bits that float32 keeps."""

TOGETHER = 16
"""Pictures in one product; they are filled up to the largest of them."""


def triangle(x: Tensor) -> Tensor:
    """Weigh by distance: Pillow's bilinear filter."""
    return (1.0 - x.abs()).clamp(min=0.0)


def cubic(x: Tensor) -> Tensor:
    """Weigh by distance: Pillow's bicubic filter, Keys's of 1981 with a = -0.5."""
    x = x.abs()
    near = (1.5 * x - 2.5) * x * x + 1.0
    far = (((x - 5.0) * x + 8.0) * x - 4.0) * -0.5
    return torch.where(x < 1.0, near, torch.where(x < 2.0, far, torch.zeros_like(x)))


FILTERS: dict[str, tuple[float, Callable[[Tensor], Tensor]]] = {"bilinear": (1.0, triangle), "bicubic": (2.0, cubic)}
"""Name of an interpolation: how far its filter reaches, in pixels where nothing is made smaller, and the filter."""


class DeviceResizer:
    """Resizes and crops pictures of any sizes on a device.

    Parameters
    ----------
    transform : InputTransform
    device : torch.device
    """

    def __init__(self, transform: InputTransform, device: torch.device) -> None:
        self.transform, self.device = transform, device
        self.works = True  # until the device turns out to be no good for it

    def takes(self, image: Image.Image) -> bool:
        """Say whether a picture may be handed over as it is; one that may not is to be resized by `to_pixels`."""
        crop = self.transform.crop
        if not self.works or self.transform.interpolation not in FILTERS or image.size == (crop, crop):
            return False
        if image.height >= 2 * image.width:  # newer versions of Pillow begin with the columns of tall pictures
            return False
        reach, _ = FILTERS[self.transform.interpolation]
        shrink = max(1.0, min(image.size) / self.transform.resize)
        return image.width * image.height <= MOST_PIXELS and 2 * reach * shrink + 2 <= MOST_TAPS

    @cached_property
    def is_exact(self) -> bool:
        """Whether this device gives Pillow's pixels, tried once on noise."""
        noise = np.random.default_rng(0).integers(0, 256, (301, 418, 3), dtype=np.uint8)
        same = np.array_equal(self.resize([noise])[0].cpu().numpy(), to_pixels(Image.fromarray(noise), self.transform))
        if not same:
            log.info("%s does not give Pillow's pixels: resizing stays on the CPU", self.device)
        return same

    def __call__(self, images: Sequence[Pixels]) -> Tensor:
        """Bring pictures to one size: on the device, or by Pillow where that gives other pixels or lacks memory.

        Parameters
        ----------
        images : sequence of (height, width, 3) uint8
            Those of the size of the crop were resized before.

        Returns
        -------
        (n, crop, crop, 3) uint8
            On the device, or on the CPU where Pillow did it.
        """
        shape = (self.transform.crop, self.transform.crop, 3)
        raw = [place for place, image in enumerate(images) if image.shape != shape]
        if raw and self.works:
            try:
                if self.is_exact:
                    return self.gather(images, raw)
            except torch.OutOfMemoryError:
                log.info("%s has no memory left to resize pictures: done on the CPU", self.device)
            self.works = False
        small = [to_pixels(Image.fromarray(one), self.transform) if one.shape != shape else one for one in images]
        return torch.from_numpy(np.stack(small))

    @torch.inference_mode()
    def gather(self, images: Sequence[Pixels], raw: list[int]) -> Tensor:
        """Resize the pictures at the places `raw`, and put the others between them, on the device."""
        crop = self.transform.crop
        pixels = torch.empty((len(images), crop, crop, 3), dtype=torch.uint8, device=self.device)
        ready = sorted({*range(len(images))} - {*raw})
        if ready:
            pixels[ready] = self.send(torch.from_numpy(np.stack([images[place] for place in ready])))
        raw = sorted(raw, key=lambda place: images[place].shape)  # neighbours of one size need no filling up
        for first in range(0, len(raw), TOGETHER):
            places = raw[first : first + TOGETHER]
            pixels[places] = self.resize([images[place] for place in places])
        return pixels

    def resize(self, images: list[Pixels]) -> Tensor:
        """Resize and crop, (n, crop, crop, 3) uint8 on the device."""
        crop, n = self.transform.crop, len(images)
        height, width = (max(image.shape[axis] for image in images) for axis in (0, 1))
        filled = torch.zeros((n, height, width, 3), dtype=torch.uint8, pin_memory=self.device.type == "cuda")
        for place, image in enumerate(images):
            filled.numpy()[place, : image.shape[0], : image.shape[1]] = image
        x = self.send(filled).permute(0, 3, 1, 2).float()
        sizes = [(image.shape[1], image.shape[0]) for image in images]
        goals = [resized(*size, self.transform.resize) for size in sizes]
        starts = [crop_box(*goal, crop)[:2] for goal in goals]
        axes = torch.tensor([sizes, goals, starts], dtype=torch.float64, device=self.device)
        across, down = self.weights(axes[..., 0], width), self.weights(axes[..., 1], height)
        x = rounded(x.reshape(n, 3 * height, width) @ across.mT).view(n, 3, height, crop)
        x = rounded((down @ x.permute(0, 2, 1, 3).reshape(n, height, 3 * crop)).mT).view(n, 3, crop, crop)
        return x.permute(0, 3, 2, 1).to(torch.uint8)

    def weights(self, axis: Tensor, length: int) -> Tensor:
        """Compute what each target pixel takes of each source pixel along one axis.

        Parameters
        ----------
        axis : (3, n) float64
            For each picture its length before and after resizing, and the first pixel that the crop keeps.
        length : int
            The greatest length before resizing.

        Returns
        -------
        (n, 2 crop, length) float32
            Whole numbers: the high parts of all target pixels, then the low parts.
        """
        reach, weigh = FILTERS[self.transform.interpolation]
        size, goal, start = axis[:, :, None, None]
        source = torch.arange(length, dtype=torch.float64, device=self.device)
        target = start + torch.arange(self.transform.crop, dtype=torch.float64, device=self.device)[:, None]
        scale = size / goal
        stretch = scale.clamp(min=1.0)
        centre = (target + 0.5) * scale
        low = (centre - reach * stretch + 0.5).trunc().clamp(min=0.0)
        high = torch.minimum((centre + reach * stretch + 0.5).trunc(), size)
        shares = weigh((source - centre + 0.5) * (1.0 / stretch)) * ((source >= low) & (source < high))
        shares = shares / shares.sum(dim=-1, keepdim=True)
        fixed = (shares * 2.0**BITS + torch.where(shares < 0, -0.5, 0.5)).trunc()
        upper = (fixed / 2.0**LOW).floor()
        return torch.cat([upper, fixed - upper * 2.0**LOW], dim=1).float()

    def send(self, pixels: Tensor) -> Tensor:
        """Copy to the device without waiting for it."""
        return pixels.to(self.device, non_blocking=True)


def rounded(sums: Tensor) -> Tensor:
    """Put high and low sums, the halves of the last axis, together, and round to whole pixels as float32."""
    upper, lower = sums.to(torch.int32).chunk(2, dim=-1)
    whole = ((upper << LOW) + lower + (1 << (BITS - 1))) >> BITS
    return whole.clamp(0, 255).float()
