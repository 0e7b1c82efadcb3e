"""From the bytes of an image file to an RGB picture, with one policy for everything that can be odd or broken."""

from __future__ import annotations

import io
from typing import Any

import numpy as np
from PIL import Image, ImageOps

from featx.errors import FeatxError

MAX_PIXELS = 2**27
"""Pictures of more pixels (134 million) are refused before they are decoded: they would need over 0.5 GB each."""

BITS_PER_SAMPLE = 258  # TIFF tag


class BrokenImage(FeatxError, ValueError):
    """Bytes that are no image, or an image that is damaged or too large."""


def decode(data: bytes) -> Image.Image:
    """Decode an image file: first frame, turned upright as its EXIF data say, as RGB.

    Grey pictures of more than 8 bits are scaled by their range (Pillow alone clips them at 255, nearly white);
    transparency is dropped, as torchvision's image folders do.

    Parameters
    ----------
    data : bytes
        The whole file, in any format that Pillow reads.

    Returns
    -------
    PIL.Image.Image
        Mode RGB.

    Raises
    ------
    BrokenImage
        With a reason that can be shown to the user.
    """
    if not data:
        raise BrokenImage("empty file")
    try:
        with Image.open(io.BytesIO(data)) as image:
            check_size(image)
            image.load()  # once only: a second load of a truncated file can succeed without a word
            return to_rgb(ImageOps.exif_transpose(image))
    except BrokenImage:
        raise
    except MemoryError:
        raise BrokenImage("not enough memory to decode it") from None
    except Exception as error:  # decoders raise OSError, ValueError, SyntaxError, struct.error, IndexError ...
        raise BrokenImage(explain(error)) from error


def check_size(image: Image.Image) -> None:
    """Raise BrokenImage if the picture, not yet decoded, is larger than `MAX_PIXELS`."""
    width, height = image.size
    if width * height > MAX_PIXELS:
        raise BrokenImage(
            f"{width} x {height} pixels are more than the {MAX_PIXELS / 1e6:.0f} million that are decoded"
        )


def to_rgb(image: Image.Image) -> Image.Image:
    """Convert a loaded picture of any mode to RGB, scaling deep grey modes to 8 bits."""
    if image.mode.startswith("I") or image.mode == "F":
        image = scale_grey(image)
    elif image.mode == "P" and isinstance(image.info.get("transparency"), bytes):
        image = image.convert("RGBA")
    return image.convert("RGB")


def scale_grey(image: Image.Image) -> Image.Image:
    """Scale 16-bit, 32-bit or floating-point grey to 8 bits.

    The range is what the format states (16 bits, or fewer by a TIFF's tag); values beyond it, and floating-point
    pictures outside 0..1, are scaled by their own least and greatest value.
    """
    values = np.asarray(image, dtype=np.float32)
    bits = _bits(getattr(image, "tag_v2", {}))
    low, high = 0.0, 1.0 if image.mode == "F" else 2.0**bits - 1
    finite = values[np.isfinite(values)]
    if finite.size and (finite.min() < low or finite.max() > high):
        low, high = float(finite.min()), float(finite.max())
    span = (high - low) or 1.0
    grey = np.nan_to_num((values - low) / span, nan=0.0, posinf=1.0, neginf=0.0)
    return Image.fromarray(np.rint(grey.clip(0, 1) * 255).astype(np.uint8))


def _bits(tags: Any) -> int:
    stated = tags.get(BITS_PER_SAMPLE, 16)
    bits = stated[0] if isinstance(stated, tuple) else stated
    return int(bits) if 8 < int(bits) <= 16 else 16


def explain(error: Exception) -> str:
    """Say in a few words why a decoder gave up."""
    if isinstance(error, Image.UnidentifiedImageError):
        return "not an image, or of an unknown format"
    if isinstance(error, Image.DecompressionBombError):
        return f"more than the {MAX_PIXELS / 1e6:.0f} million pixels that are decoded"
    return str(error).strip().rstrip(".") or type(error).__name__
