"""From the bytes of an image file to an RGB picture, with one policy for everything that can be odd or broken."""

from __future__ import annotations

import io
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageOps, PngImagePlugin, UnidentifiedImageError

from featx.errors import FeatxError
from featx.images.memory_budget import Budget

FORMATS = (
    *("JPEG", "PNG", "WEBP", "AVIF", "GIF", "TIFF", "BMP", "DIB", "JPEG2000"),
    *("PPM", "TGA", "ICO", "QOI", "PCX", "SGI"),
)
"""Formats that are read. Pillow knows others, but some of them start programs (EPS) or hold pictures in pictures."""

MEMORY = 850_000_000
"""Bytes that all pictures being decoded at one time may take together, in however many threads."""

BYTES_A_PIXEL = {"WEBP": 22, "JPEG2000": 25, "AVIF": 16, "TIFF": 14, "MPO": 11}
"""What decoding takes at its peak, conversion to RGB included; 8 for other formats, 11 for JPEG in several scans."""

MAX_PIXELS = MEMORY // 8
"""More pixels (106 million) are refused before they are decoded, in pictures within a file, too."""

MAX_SLOW_PIXELS = {"QOI": 2**20}
"""Formats that Pillow decodes in plain Python, some microseconds a pixel."""

BAND = 2**20
"""Pixels of deep grey that are scaled at a time."""

# Pillow asks these when a picture lies within a picture, where no size can be seen from outside (ICO, TIFF, GIF).
Image.MAX_IMAGE_PIXELS = MAX_PIXELS // 2
PngImagePlugin.MAX_TEXT_MEMORY = 2**24
warnings.filterwarnings("ignore", module=r"PIL\.")

BUDGET = Budget(MEMORY)
BITS_PER_SAMPLE = 258  # TIFF tag


class BrokenImage(FeatxError, ValueError):
    """Bytes that are no image, or an image that is damaged or too large."""


@contextmanager
def decoding(data: bytes) -> Iterator[Image.Image]:
    """Decode an image file, and keep its share of the memory until the picture has been used.

    See `decode` for what is decoded how; threads wait here while others take the memory.

    Raises
    ------
    BrokenImage
        With a reason that can be shown to the user.
    """
    if not data:
        raise BrokenImage("empty file")
    with explained():
        opened = Image.open(io.BytesIO(data), formats=FORMATS)
    with opened, BUDGET.hold(check_size(opened)):
        with explained():
            opened.load()  # once only: a second load of a truncated file can succeed without a word
            ImageOps.exif_transpose(opened, in_place=True)
            picture = to_rgb(opened)
        yield picture


def decode(data: bytes) -> Image.Image:
    """Decode an image file: first frame, turned upright as its EXIF data say, as RGB.

    Grey pictures of more than 8 bits are scaled by their range (Pillow alone clips them at 255, nearly white);
    transparency is dropped, as torchvision's image folders do.

    Parameters
    ----------
    data : bytes
        The whole file, in any of `FORMATS`.

    Returns
    -------
    PIL.Image.Image
        Mode RGB.

    Raises
    ------
    BrokenImage
        With a reason that can be shown to the user.
    """
    with decoding(data) as picture:
        return picture


@contextmanager
def explained() -> Iterator[None]:
    """Turn whatever a decoder raises into BrokenImage."""
    try:
        yield
    except BrokenImage:
        raise
    except MemoryError:
        raise BrokenImage("not enough memory to decode it") from None
    except Exception as error:  # decoders raise OSError, ValueError, SyntaxError, struct.error, IndexError ...
        raise BrokenImage(explain(error)) from error


def check_size(image: Image.Image) -> int:
    """Estimate the bytes that decoding takes, from the header alone.

    Raises
    ------
    BrokenImage
        If they are more than `MEMORY`, or a slow format has more pixels than `MAX_SLOW_PIXELS`.
    """
    (width, height), kind = image.size, image.format or ""
    progressive = kind == "JPEG" and "progressive" in image.info
    need = width * height * (11 if progressive else BYTES_A_PIXEL.get(kind, 8))
    if need > MEMORY:
        raise BrokenImage(
            f"{width} x {height} pixels would take {need / 1e9:.1f} GB to decode, more than {MEMORY / 1e9:.2f} GB"
        )
    if width * height > MAX_SLOW_PIXELS.get(kind, MAX_PIXELS):
        raise BrokenImage(f"{width} x {height} pixels of {kind} would take too long to decode: convert it to PNG")
    return need


def to_rgb(image: Image.Image) -> Image.Image:
    """Convert a loaded picture of any mode to RGB, scaling deep grey modes to 8 bits."""
    if image.mode.startswith("I") or image.mode == "F":
        image = scale_grey(image)
    elif image.mode == "P" and isinstance(image.info.get("transparency"), bytes):
        image = image.convert("RGBA")
    return image if image.mode == "RGB" else image.convert("RGB")


def scale_grey(image: Image.Image) -> Image.Image:
    """Scale 16-bit, 32-bit or floating-point grey to 8 bits.

    The range is what the format states (16 bits, or fewer by a TIFF's tag); values beyond it, and floating-point
    pictures outside 0..1, are scaled by their own least and greatest value.
    """
    bits = _bits(getattr(image, "tag_v2", {}))
    low, high = 0.0, 1.0 if image.mode == "F" else 2.0**bits - 1
    least, greatest = finite_range(image)
    if least < low or greatest > high:
        low, high = least, greatest
    span = (high - low) or 1.0
    grey = Image.new("L", image.size)
    for top, values in bands(image):
        with np.errstate(all="ignore"):  # values may lie further apart than float32 reaches
            scaled = np.nan_to_num((values - low) / span, nan=0.0, posinf=1.0, neginf=0.0)
        grey.paste(Image.fromarray(np.rint(scaled.clip(0, 1) * 255).astype(np.uint8)), (0, top))
    return grey


def bands(image: Image.Image) -> Iterator[tuple[int, NDArray[np.float32]]]:
    """Yield a picture in bands: the first line of each, and its (lines, width) float32 values."""
    lines = max(1, BAND // image.width)
    for top in range(0, image.height, lines):
        box = (0, top, image.width, min(top + lines, image.height))
        yield top, np.asarray(image.crop(box), dtype=np.float32)


def finite_range(image: Image.Image) -> tuple[float, float]:
    """Find the least and greatest finite value; two zeros if there are none."""
    ranges = []
    for _, values in bands(image):
        finite = values[np.isfinite(values)]
        if finite.size:
            ranges.append((float(finite.min()), float(finite.max())))
    return (min(low for low, _ in ranges), max(high for _, high in ranges)) if ranges else (0.0, 0.0)


def _bits(tags: Any) -> int:
    stated = tags.get(BITS_PER_SAMPLE, 16)
    bits = stated[0] if isinstance(stated, tuple) else stated
    return int(bits) if 8 < int(bits) <= 16 else 16


def explain(error: Exception) -> str:
    """Say in a few words why a decoder gave up."""
    if isinstance(error, UnidentifiedImageError):
        return "not an image, or of an unknown format"
    if isinstance(error, Image.DecompressionBombError):
        return f"more than the {MAX_PIXELS / 1e6:.0f} million pixels that are decoded"
    return str(error).strip().rstrip(".") or type(error).__name__
