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

from featx.images.transform import FILTERS, resized, to_pixels
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
        Brightness, contrast and saturation change by a factor of at most 1 + colour, or one less as much.
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

LADDER = ((None, True), ((0, 0), False), ((1, 0), True), ((0, 1), True), ((1, 1), False))
"""Views 1 to 5: the corner that is cropped (None: the centre), and whether it is mirrored; further ones are drawn."""

MARGIN = 8 / 7
"""A picture that corners are cropped from is at least so much larger than the crop, as 256 pixels are for 224."""


def stream(*seed: object) -> random.Random:
    """Start a stream of random numbers; the same seed gives the same ones in every version of Python."""
    text = "/".join(value.hex() if isinstance(value, bytes) else str(value) for value in seed)
    return random.Random(int.from_bytes(hashlib.sha256(text.encode()).digest(), "big"))


def augment(image: Image.Image, transform: InputTransform, preset: Preset, drawn: random.Random) -> Pixels:
    """Change a picture at random: window, rotation, shear, mirror, colours.

    Parameters
    ----------
    image : PIL.Image.Image
        Mode RGB.
    transform : InputTransform
    preset : Preset
    drawn : random.Random
        Decides on everything.

    Returns
    -------
    (crop, crop, 3) uint8
    """
    if preset == PRESETS["none"]:
        return to_pixels(image, transform)

    def within(most: float) -> float:
        return most * (2 * drawn.random() - 1)

    side = min(image.size) * math.sqrt(1 - (1 - preset.zoom) * drawn.random())
    stretch = math.exp(within(math.log(preset.aspect)) / 2)
    width = max(1, min(image.width, round(side * stretch)))
    height = max(1, min(image.height, round(side / stretch)))
    left, top = round(drawn.random() * (image.width - width)), round(drawn.random() * (image.height - height))
    mode, size = v2.InterpolationMode(transform.interpolation), [transform.crop, transform.crop]
    image = v2.functional.resized_crop(image, top, left, height, width, size, mode)
    if preset.flip and drawn.random() < 0.5:
        image = v2.functional.horizontal_flip(image)
    if preset.rotation or preset.shear:
        turn, lean = within(preset.rotation), [within(preset.shear), within(preset.shear)]
        bare = [round(255 * value) for value in transform.mean]  # what turns into zeros for the base
        image = v2.functional.affine(image, turn, [0.0, 0.0], 1.0, lean, v2.InterpolationMode.BILINEAR, bare)
    if preset.colour:
        for adjust in (v2.functional.adjust_brightness, v2.functional.adjust_contrast, v2.functional.adjust_saturation):
            image = adjust(image, math.exp(within(math.log1p(preset.colour))))
    return np.asarray(image)


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
        Of the image file.
    views : sequence of int

    Returns
    -------
    dict of int to (crop, crop, 3) uint8
    """
    made: dict[int, Pixels] = {}
    corners: Image.Image | None = None
    for view in views:
        if view > len(LADDER):
            made[view] = augment(image, transform, PRESETS["standard"], stream("view", view, digest))
            continue
        corner, is_mirrored = LADDER[view - 1] if view else (None, False)
        if corner is None:
            pixels = made[0] if 0 in made else to_pixels(image, transform)
        else:
            corners = corners or enlarged(image, transform)
            pixels = crop_corner(corners, corner, transform.crop)
        made[view] = pixels[:, ::-1] if is_mirrored else pixels
    return made


def enlarged(image: Image.Image, transform: InputTransform) -> Image.Image:
    """Resize a picture so that corners can be cropped from it."""
    shorter = max(transform.resize, math.ceil(transform.crop * MARGIN))
    return image.resize(resized(image.width, image.height, shorter), FILTERS[transform.interpolation])


def crop_corner(image: Image.Image, corner: tuple[int, int], crop: int) -> Pixels:
    """Crop a corner: 0 is left or top, 1 right or bottom; (crop, crop, 3) uint8."""
    left, top = corner[0] * (image.width - crop), corner[1] * (image.height - crop)
    return np.asarray(image.crop((left, top, left + crop, top + crop)))
