"""JPEG decoded at a half, a quarter or an eighth of its size: libjpeg makes 4 x 4 pixels of a block of 8 x 8, or fewer.

What is made so are means of the pixels, nearly: the lowest frequencies of a block, transformed back (DCT scaling). The
compressed bytes are read as ever, so time does not fall below what these take.
"""

from __future__ import annotations

from typing import cast

from PIL import Image, JpegImagePlugin

from featx.images.formats.file_structure import find_first_scan
from featx.images.formats.tiff import ORIENTATION
from featx.images.upright import note_shown_box

KINDS = ("JPEG", "MPO")
"""Formats of Pillow: MPO is a JPEG with further ones behind it, as some phones and cameras write."""

SCALES = (8, 4, 2)
"""What sides are divided by. Pillow offers no others, and libjpeg-turbo has no fast code for them."""

COEFFICIENT_BYTES = 2
"""Bytes of a number that libjpeg keeps of each pixel and colour, all at once where a file has several scans."""

BYTES_PER_PIXEL = 8
BYTES_PER_UPRIGHT_PIXEL = {"RGB": 4, "L": 5}
PROGRESSIVE_BYTES_PER_PIXEL = 4
"""What decoding takes at its peak, conversion to RGB included: in general, by mode where nothing is to be turned, and
what a progressive JPEG takes beside that."""


def choose_scale(side: int, least_side: int | None) -> int:
    """Choose what the sides of a JPEG are divided by.

    Parameters
    ----------
    side : int
        Pixels of the shorter side.
    least_side : int or None
        Pixels that must be left of it; None leaves all.

    Returns
    -------
    int
        8, 4, 2 or 1, the largest that leaves them.
    """
    if least_side is not None:
        for scale in SCALES:
            if side >= scale * least_side:
                return scale
    return 1


def measure_side(opened: Image.Image) -> int:
    """Give the pixels of the shorter side of an opened JPEG; 0 of any other kind of file."""
    return min(opened.size) if is_jpeg(opened) else 0


def scale_down(opened: Image.Image, least_side: int | None) -> None:
    """Have an opened, not yet loaded picture decoded at a part of its size, if it is a JPEG that is large enough.

    What it shows is noted beside its pixels where it ends within one of them.
    """
    scale = choose_scale(measure_side(opened), least_side)
    if scale > 1:
        width, height = opened.size
        opened.draft(None, (width // scale, height // scale))
        if width % scale or height % scale:
            note_shown_box(opened, (0.0, 0.0, width / scale, height / scale))


def find_scale(opened: Image.Image) -> int:
    """Say what the sides of a picture are divided by that `scale_down` has seen."""
    if not is_jpeg(opened):
        return 1
    # Pillow notes here what it will ask of libjpeg; nothing before a draft.
    noted = cast(JpegImagePlugin.JpegImageFile, opened).decoderconfig
    return int(noted[0]) if noted else 1


def count_coefficient_bytes(opened: Image.Image, data: bytes) -> int:
    """Count the bytes that libjpeg takes beside the pixels of a picture that `scale_down` has scaled.

    Where a file has several scans, as a progressive one, it keeps the numbers of all pixels of the whole picture.
    """
    scan = find_first_scan(data)
    if scan is not None and scan.is_only:
        return 0
    width, height = opened.size
    whole_pixels = width * height * find_scale(opened) ** 2
    return whole_pixels * len(opened.getbands()) * COEFFICIENT_BYTES


def is_jpeg(opened: Image.Image) -> bool:
    """Whether an opened picture is a JPEG, or the first of several in one file."""
    return opened.format in KINDS


def count_bytes_per_pixel(opened: Image.Image) -> int:
    """Say how many bytes a pixel takes; of a scaled picture those of `count_coefficient_bytes` come to it."""
    if find_scale(opened) > 1:
        return BYTES_PER_PIXEL
    of_pixel = BYTES_PER_UPRIGHT_PIXEL.get(opened.mode, BYTES_PER_PIXEL) if is_upright(opened) else BYTES_PER_PIXEL
    return of_pixel + PROGRESSIVE_BYTES_PER_PIXEL * ("progressive" in opened.info)


def is_upright(opened: Image.Image) -> bool:
    """Whether an opened JPEG is surely not to be turned, which takes a copy."""
    try:
        return opened.getexif().get(ORIENTATION, 1) == 1
    except Exception:  # whatever is wrong with it is an error when it is decoded
        return False
