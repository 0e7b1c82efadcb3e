"""From a loaded picture of any mode to RGB, upright."""

from __future__ import annotations

from PIL import Image

from featx.images.depth import Depth, to_8_bits

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
