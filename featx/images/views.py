"""Views of a picture that nothing random decides on; those that are drawn are made by `augment`.

This needs neither torch nor torchvision, so that a process which only decodes starts in a fraction of a second.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from PIL import Image

from featx.images.raw_pictures import may_stay_raw
from featx.images.resampling import Box, resize_box
from featx.images.transform import is_elongated, resize, scale_shown_size, to_pixels
from featx.images.upright import find_shown_box
from featx.keys import InputTransform
from featx.types import Pixels


class FixedView(NamedTuple):
    """A view that nothing random decides on.

    Attributes
    ----------
    corner : tuple of (right, bottom) or None
        Which corner is cropped, each 0 or 1; None is the centre.
    is_mirrored : bool
    """

    corner: tuple[int, int] | None
    is_mirrored: bool


FIXED_VIEWS = (
    FixedView(None, False),
    FixedView(None, True),
    FixedView((0, 0), False),
    FixedView((1, 0), True),
    FixedView((0, 1), True),
    FixedView((1, 1), False),
)
"""Views 0 to 5; further ones are drawn. Two corners are mirrored, so that the six differ in both respects."""

CORNER_MARGIN = 8 / 7
"""A picture that corners are cropped from is at least so much larger than the crop, as 256 pixels are for 224."""


def keep_raw(
    image: Image.Image, transform: InputTransform, views: Sequence[int]
) -> tuple[dict[int, Pixels], Sequence[int]]:
    """Leave view 0 as it was decoded, for a device that resizes, where it may stay so.

    Parameters
    ----------
    image : PIL.Image.Image
        Mode RGB.
    transform : InputTransform
    views : sequence of int

    Returns
    -------
    dict of int to (height, width, 3) uint8
        View 0, or nothing.
    sequence of int
        The views that are left to be made.
    """
    if 0 in views and find_shown_box(image) is None and may_stay_raw(image.size, transform):
        return {0: np.asarray(image)}, [view for view in views if view]
    return {}, views


def make_fixed_views(image: Image.Image, transform: InputTransform, views: Sequence[int]) -> dict[int, Pixels]:
    """Make views 0 to 5 of a picture, as `augment.make_views` says what they are.

    Parameters
    ----------
    image : PIL.Image.Image
        Mode RGB.
    transform : InputTransform
    views : sequence of int
        Below the length of `FIXED_VIEWS`.

    Returns
    -------
    dict of int to (crop, crop, 3) uint8
    """
    pixels_of: dict[int, Pixels] = {}
    centre: Pixels | None = None
    corners: Corners | None = None
    for view in views:
        corner, is_mirrored = FIXED_VIEWS[view]
        # The centre and the enlarged picture serve two and four views: each is computed once, and only if asked for.
        if corner is None:
            if centre is None:
                centre = to_pixels(image, transform)
            pixels = centre
        else:
            corners = corners or Corners(image, transform)
            pixels = corners.crop(corner)
        pixels_of[view] = pixels[:, ::-1] if is_mirrored else pixels
    return pixels_of


class Corners:
    """A picture that is large enough to crop corners from.

    Parameters
    ----------
    image : PIL.Image.Image
        Mode RGB.
    transform : InputTransform
    """

    def __init__(self, image: Image.Image, transform: InputTransform) -> None:
        shorter = max(transform.resize, math.ceil(transform.crop * CORNER_MARGIN))
        self.image = image
        self.transform = transform
        self.size = scale_shown_size(image, shorter)
        self.enlarged: Image.Image | None = None
        if not is_elongated(*self.size):
            self.enlarged = resize(image, self.size, transform.interpolation)

    def crop(self, corner: tuple[int, int]) -> Pixels:
        """Crop a corner: 0 is left or top, 1 right or bottom; (crop, crop, 3) uint8."""
        box = self.locate(corner)
        if self.enlarged is not None:
            return np.asarray(self.enlarged.crop(box))
        return resize_box(self.image, self.size, box, self.transform.interpolation)

    def locate(self, corner: tuple[int, int]) -> Box:
        """Say where a corner lies in the enlarged picture."""
        right, bottom = corner
        crop = self.transform.crop
        left = right * (self.size[0] - crop)
        top = bottom * (self.size[1] - crop)
        return left, top, left + crop, top + crop
