"""Augmentation by torchvision's v2 transforms. What is drawn depends on a seed alone, never on a generator's state.

So an augmentation can be computed again at any time, in any order and in any thread, with the same pixels.
"""

from __future__ import annotations

import hashlib
import math
import random
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from PIL import Image
from torchvision.transforms import v2

from featx.images.transform import to_pixels
from featx.images.views import FIXED_VIEWS, make_fixed_views
from featx.keys import InputTransform
from featx.types import Pixels


@dataclass(frozen=True)
class Preset:
    """How far a picture may be changed.

    Attributes
    ----------
    zoom : float
        Least area of the window that is kept, as a share of the largest square in the picture; it lies anywhere.
    aspect : float
        Greatest factor by which width and height of the window differ.
    flip : bool
        Whether half of the pictures are mirrored.
    rotation, shear : float
        Greatest angles in degrees, to either side.
    colour : float
        Brightness, contrast and saturation are each multiplied by a factor between 1 / (1 + colour) and 1 + colour.
    """

    zoom: float = 1.0
    aspect: float = 1.0
    flip: bool = False
    rotation: float = 0.0
    shear: float = 0.0
    colour: float = 0.0


PRESETS = {
    "none": Preset(),
    "light": Preset(zoom=0.6, aspect=1.1, flip=True),
    "standard": Preset(zoom=0.4, aspect=1.25, flip=True, rotation=15, shear=5, colour=0.25),
}
"""Name of a preset (`--augment`): how far it changes pictures; "none" leaves them as a frozen base sees them."""


def stream(*seed: object) -> random.Random:
    """Start a stream of random numbers; the same seed gives the same ones in every version of Python."""
    text = "/".join(write_plainly(value) for value in seed)
    # sha256 and not `hash`, which gives other numbers for the same text in every run of Python.
    digest = hashlib.sha256(text.encode()).digest()
    return random.Random(int.from_bytes(digest, "big"))


def write_plainly(value: object) -> str:
    """Write a part of a seed as text: bytes in hex, anything else as `str` does."""
    return value.hex() if isinstance(value, bytes) else str(value)


def draw_within(numbers: random.Random, limit: float) -> float:
    """Draw a number between -limit and limit."""
    return limit * (2 * numbers.random() - 1)


def augment(image: Image.Image, transform: InputTransform, preset: Preset, numbers: random.Random) -> Pixels:
    """Change a picture at random: window, mirror, rotation and shear, colours.

    Parameters
    ----------
    image : PIL.Image.Image
        Mode RGB.
    transform : InputTransform
    preset : Preset
    numbers : random.Random
        Decides on everything.

    Returns
    -------
    (crop, crop, 3) uint8
    """
    if preset == PRESETS["none"]:
        return to_pixels(image, transform)
    # The order is part of what a view means: each step takes the next numbers of the stream.
    image = crop_window(image, transform, preset, numbers)
    if preset.flip and numbers.random() < 0.5:
        image = v2.functional.horizontal_flip(image)
    if preset.rotation or preset.shear:
        image = rotate_and_shear(image, transform, preset, numbers)
    if preset.colour:
        image = change_colours(image, preset, numbers)
    return np.asarray(image)


def crop_window(image: Image.Image, transform: InputTransform, preset: Preset, numbers: random.Random) -> Image.Image:
    """Crop a window of random size, shape and place, and resize it to the crop of the transform."""
    side = min(image.size) * math.sqrt(1 - (1 - preset.zoom) * numbers.random())
    stretch = math.exp(draw_within(numbers, math.log(preset.aspect)) / 2)
    width = max(1, min(image.width, round(side * stretch)))
    height = max(1, min(image.height, round(side / stretch)))
    left = round(numbers.random() * (image.width - width))
    top = round(numbers.random() * (image.height - height))
    size = [transform.crop, transform.crop]
    mode = v2.InterpolationMode(transform.interpolation)
    return v2.functional.resized_crop(image, top, left, height, width, size, mode)


def rotate_and_shear(
    image: Image.Image, transform: InputTransform, preset: Preset, numbers: random.Random
) -> Image.Image:
    """Turn and lean a picture by random angles around its centre."""
    angle = draw_within(numbers, preset.rotation)
    shear = [draw_within(numbers, preset.shear), draw_within(numbers, preset.shear)]
    # Corners that come from outside the picture have the mean colour, which becomes zeros for the base.
    fill = [round(255 * value) for value in transform.mean]
    no_shift = [0.0, 0.0]
    same_size = 1.0
    return v2.functional.affine(image, angle, no_shift, same_size, shear, v2.InterpolationMode.BILINEAR, fill)


def change_colours(image: Image.Image, preset: Preset, numbers: random.Random) -> Image.Image:
    """Change brightness, contrast and saturation, each by a random factor."""
    for adjust in (v2.functional.adjust_brightness, v2.functional.adjust_contrast, v2.functional.adjust_saturation):
        factor = math.exp(draw_within(numbers, math.log1p(preset.colour)))
        image = adjust(image, factor)
    return image


def make_views(image: Image.Image, transform: InputTransform, digest: bytes, views: Sequence[int]) -> dict[int, Pixels]:
    """Make views of a picture, all from one decoding.

    View 0 is the picture as it is; 1 its mirror image; 2 to 5 its corners, two of them mirrored; from 6 on it is
    changed at random, as the preset "standard" says, by a seed of the view's number and the image's digest.

    Parameters
    ----------
    image : PIL.Image.Image
        Mode RGB.
    transform : InputTransform
    digest : bytes
        sha256 of the image file.
    views : sequence of int

    Returns
    -------
    dict of int to (crop, crop, 3) uint8
        In the order of `views`.
    """
    fixed = make_fixed_views(image, transform, [view for view in views if view < len(FIXED_VIEWS)])
    pixels_of: dict[int, Pixels] = {}
    for view in views:
        if view in fixed:
            pixels_of[view] = fixed[view]
        else:
            pixels_of[view] = augment(image, transform, PRESETS["standard"], stream("view", view, digest))
    return pixels_of
