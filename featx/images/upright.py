"""From a loaded picture of any mode to RGB, upright; and which part of its pixels shows something."""

from __future__ import annotations

from PIL import Image

from featx.images.depth import Depth, to_8_bits
from featx.images.formats.tiff import ORIENTATION

TURNS = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
"""Orientation to what turns a picture upright."""


ShownBox = tuple[float, float, float, float]
"""Left, top, right and bottom of what a picture shows, in its pixels and parts of them."""

SHOWN_BOX = "featx shown box"
"""Name among what Pillow keeps beside a picture's pixels. A file can put text there under any name, and only text."""


def find_shown_box(picture: Image.Image) -> ShownBox | None:
    """Say which part of a picture shows something; None for all of it.

    Sides that a scaled JPEG's scale does not divide end within a pixel.
    """
    box = picture.info.get(SHOWN_BOX)
    return box if isinstance(box, tuple) else None


def note_shown_box(picture: Image.Image, box: ShownBox | None) -> None:
    """Note beside a picture's pixels which part of it shows something."""
    if box is not None:
        picture.info[SHOWN_BOX] = box


def find_upright_box(opened: Image.Image) -> ShownBox | None:
    """Say which part of a picture will show something once it is turned as its EXIF data say; None for all of it."""
    box = find_shown_box(opened)
    return None if box is None else turn_box(box, opened.size, opened.getexif().get(ORIENTATION, 1))


def turn_box(box: ShownBox, size: tuple[int, int], orientation: int) -> ShownBox:
    """Say where a part of a picture of some width and height lies once that is upright."""
    left, top, right, bottom = box
    width, height = size
    mirrored = (width - right, width - left)
    flipped = (height - bottom, height - top)
    # Where the columns and the rows of the upright picture come from.
    columns, rows = {
        2: (mirrored, (top, bottom)),
        3: (mirrored, flipped),
        4: ((left, right), flipped),
        5: ((top, bottom), (left, right)),
        6: (flipped, (left, right)),
        7: (flipped, mirrored),
        8: ((top, bottom), mirrored),
    }.get(orientation, ((left, right), (top, bottom)))
    return columns[0], rows[0], columns[1], rows[1]


def turn_upright(picture: Image.Image, orientation: int) -> Image.Image:
    """Turn or mirror a picture as its EXIF orientation says."""
    turn = TURNS.get(orientation)
    return picture if turn is None else picture.transpose(turn)


def to_rgb(image: Image.Image) -> Image.Image:
    """Convert a loaded picture of any mode to RGB, scaling grey of more than 8 bits by the range of its mode."""
    if image.mode.startswith("I") or image.mode == "F":
        depth = Depth((0.0, 1.0), is_float=True) if image.mode == "F" else Depth()
        image, _ = to_8_bits(depth, image, b"", None)
    elif image.mode == "P" and isinstance(image.info.get("transparency"), bytes):
        # Pillow asks for this step where every colour of the palette has a transparency of its own, and warns without.
        image = image.convert("RGBA")
    if image.mode == "RGB":
        return image
    return image.convert("RGB")
