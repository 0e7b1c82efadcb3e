"""Resizes many pictures at once where the base runs, with the pixels that Pillow gives, bit for bit.

Resizing is half of what a photo costs a core before the network sees it: where a GPU computes, it may as well resize.
Features must not depend on who did it, so this is Pillow's own arithmetic (src/libImaging/Resample.c): weights in 22
bits, first along rows, then along columns, and rounding to whole pixels after each. Both passes are matrix products.
Weights are split into a high and a low part, so that float32 holds every sum exactly, whatever the order in which it is
added up.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from functools import cached_property

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from featx.images.raw_pictures import LOW_BITS, may_stay_raw
from featx.images.resampling import KERNELS, WEIGHT_BITS
from featx.images.transform import compute_crop_box, scale_size, to_pixels
from featx.keys import InputTransform
from featx.types import Pixels

log = logging.getLogger(__name__)

PICTURES_PER_PRODUCT = 16
"""Pictures in one product; they are filled up to the largest of them."""


class DeviceResizer:
    """Resizes and crops pictures of any sizes on a device.

    Parameters
    ----------
    transform : InputTransform
    device : torch.device
        With float64, in which weights are computed.

    Attributes
    ----------
    is_usable : bool
        Whether the device is used at all: until it turns out to give other pixels than Pillow, or lacks memory.
    """

    def __init__(self, transform: InputTransform, device: torch.device) -> None:
        self.transform = transform
        self.device = device
        self.is_usable = True

    def takes(self, image: Image.Image) -> bool:
        """Say whether a picture may be handed over as it is; one that may not is to be resized by `to_pixels`."""
        return self.is_usable and may_stay_raw(image.size, self.transform)

    @cached_property
    def is_exact(self) -> bool:
        """Whether this device gives Pillow's pixels, tried once on noise."""
        # Odd sides, so that a rounding that differs would show.
        noise = np.random.default_rng(0).integers(0, 256, (301, 418, 3), dtype=np.uint8)
        ours = self.resize([noise])[0].cpu().numpy()
        is_same = np.array_equal(ours, to_pixels(Image.fromarray(noise), self.transform))
        if not is_same:
            log.info("%s does not give Pillow's pixels: resizing stays on the CPU", self.device)
        return is_same

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
        if raw and self.is_usable:
            try:
                if self.is_exact:
                    return self.gather(images, raw)
            except torch.OutOfMemoryError:
                log.info("%s has no memory left to resize pictures: done on the CPU", self.device)
            self.is_usable = False
        small = list(images)
        for place in raw:
            small[place] = to_pixels(Image.fromarray(images[place]), self.transform)
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
        for first in range(0, len(raw), PICTURES_PER_PRODUCT):
            places = raw[first : first + PICTURES_PER_PRODUCT]
            pixels[places] = self.resize([images[place] for place in places])
        return pixels

    def resize(self, images: list[Pixels]) -> Tensor:
        """Resize and crop pictures of any sizes: (n, crop, crop, 3) uint8 on the device."""
        n = len(images)
        crop = self.transform.crop
        x = self.send(self.fill_up(images)).permute(0, 3, 1, 2).float()
        height, width = x.shape[2:]
        sizes = [(image.shape[1], image.shape[0]) for image in images]
        goals = [scale_size(*size, self.transform.resize) for size in sizes]
        starts = [compute_crop_box(*goal, crop)[:2] for goal in goals]
        axes = torch.tensor([sizes, goals, starts], dtype=torch.float64, device=self.device)
        across = self.compute_weights(axes[..., 0], width)
        down = self.compute_weights(axes[..., 1], height)
        x = round_sums(x.reshape(n, 3 * height, width) @ across.mT).view(n, 3, height, crop)
        x = round_sums((down @ x.permute(0, 2, 1, 3).reshape(n, height, 3 * crop)).mT).view(n, 3, crop, crop)
        return x.permute(0, 3, 2, 1).to(torch.uint8)

    def fill_up(self, images: list[Pixels]) -> Tensor:
        """Put pictures of several sizes into one array, black where they end: (n, height, width, 3) uint8."""
        height = max(image.shape[0] for image in images)
        width = max(image.shape[1] for image in images)
        # Pinned memory lets the copy to a GPU run beside the computation.
        is_pinned = self.device.type == "cuda"
        filled = torch.zeros((len(images), height, width, 3), dtype=torch.uint8, pin_memory=is_pinned)
        for place, image in enumerate(images):
            filled.numpy()[place, : image.shape[0], : image.shape[1]] = image
        return filled

    def compute_weights(self, axis: Tensor, length: int) -> Tensor:
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
        reach, weigh = KERNELS[self.transform.interpolation]
        size, goal, start = axis[:, :, None, None]
        source = torch.arange(length, dtype=torch.float64, device=self.device)
        target = start + torch.arange(self.transform.crop, dtype=torch.float64, device=self.device)[:, None]
        scale = size / goal
        stretch = scale.clamp(min=1.0)
        centre = (target + 0.5) * scale
        # Pillow adds a half and casts to int, which cuts towards zero; `high` is the first pixel beyond the filter.
        low = (centre - reach * stretch + 0.5).trunc().clamp(min=0.0)
        high = torch.minimum((centre + reach * stretch + 0.5).trunc(), size)
        shares = weigh((source - centre + 0.5) * (1.0 / stretch)) * ((source >= low) & (source < high))
        shares = shares / shares.sum(dim=-1, keepdim=True)
        # To whole numbers, halves away from zero, as Pillow rounds its weights.
        fixed = (shares * 2.0**WEIGHT_BITS + torch.where(shares < 0, -0.5, 0.5)).trunc()
        upper = (fixed / 2.0**LOW_BITS).floor()
        return torch.cat([upper, fixed - upper * 2.0**LOW_BITS], dim=1).float()

    def send(self, pixels: Tensor) -> Tensor:
        """Copy to the device without waiting for it."""
        return pixels.to(self.device, non_blocking=True)


def round_sums(sums: Tensor) -> Tensor:
    """Put high and low sums, the halves of the last axis, together, and round to whole pixels as float32."""
    upper, lower = sums.to(torch.int32).chunk(2, dim=-1)
    # Half a pixel is added before the bits behind the point are dropped.
    whole = ((upper << LOW_BITS) + lower + (1 << (WEIGHT_BITS - 1))) >> WEIGHT_BITS
    return whole.clamp(0, 255).float()
