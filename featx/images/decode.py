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
from featx.images.memory_budget import MemoryBudget

FORMATS = (
    *("JPEG", "PNG", "WEBP", "AVIF", "GIF", "TIFF", "BMP", "DIB", "JPEG2000"),
    *("PPM", "TGA", "ICO", "QOI", "PCX", "SGI"),
)
"""Formats that are read. Pillow knows others, but some of them start programs (EPS) or hold pictures in pictures."""

DECODING_MEMORY = 850_000_000
"""Bytes that all pictures being decoded at one time may take together, in however many threads."""

BYTES_PER_PIXEL = 8
PROGRESSIVE_BYTES_PER_PIXEL = 11
BYTES_PER_PIXEL_OF = {"WEBP": 22, "JPEG2000": 25, "AVIF": 16, "TIFF": 14, "MPO": 11}
"""What decoding takes at its peak, conversion to RGB included: in general, of a progressive JPEG, and by format."""

MAX_PIXELS = DECODING_MEMORY // BYTES_PER_PIXEL
"""More pixels (106 million) are refused before they are decoded, in pictures within a file, too."""

MAX_SLOW_PIXELS = {"QOI": 2**20}
"""Formats that Pillow decodes in plain Python, some microseconds a pixel."""

BAND_PIXELS = 2**20
"""Pixels of deep grey that are scaled at a time: as float32 they take a few megabytes, whatever the picture's size."""

BITS_PER_SAMPLE = 258
"""Number of the tag BitsPerSample in TIFF 6.0."""

# Pillow asks these when a picture lies within a picture, where no size can be seen from outside (ICO, TIFF, GIF). It
# warns from MAX_IMAGE_PIXELS on, and refuses from twice as many.
Image.MAX_IMAGE_PIXELS = MAX_PIXELS // 2
# Compressed texts in PNG files are decompressed while the file is opened: a bomb of its own.
PngImagePlugin.MAX_TEXT_MEMORY = 2**24
# Warnings about odd metadata would appear once for each file; what matters raises an error.
warnings.filterwarnings("ignore", module=r"PIL\.")

DECODING_BUDGET = MemoryBudget(DECODING_MEMORY)
"""What all threads of this process share while they decode."""


class BrokenImage(FeatxError, ValueError):
    """Bytes that are not an image, or an image that is damaged or too large."""


@contextmanager
def decoding(data: bytes) -> Iterator[Image.Image]:
    """Decode an image file, and keep its share of the memory until the picture has been used.

    See `decode` for what is decoded how; threads wait here while others take the memory.

    Parameters
    ----------
    data : bytes
        The whole file, in any of `FORMATS`.

    Yields
    ------
    PIL.Image.Image
        Mode RGB.

    Raises
    ------
    BrokenImage
        With a reason that can be shown to the user.
    """
    if not data:
        raise BrokenImage("empty file")
    with raising_broken_image():
        opened = Image.open(io.BytesIO(data), formats=FORMATS)
    with opened, DECODING_BUDGET.hold(check_size(opened)):
        with raising_broken_image():
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
def raising_broken_image() -> Iterator[None]:
    """Turn whatever a decoder raises into BrokenImage."""
    try:
        yield
    except BrokenImage:
        raise
    except MemoryError:
        raise BrokenImage("not enough memory to decode it") from None
    except Exception as error:  # decoders raise OSError, ValueError, SyntaxError, struct.error, IndexError ...
        raise BrokenImage(describe_decoder_error(error)) from error


def describe_decoder_error(error: Exception) -> str:
    """Say in a few words why a decoder gave up."""
    if isinstance(error, UnidentifiedImageError):
        return "not an image, or of an unknown format"
    if isinstance(error, Image.DecompressionBombError):
        return f"more than the {MAX_PIXELS / 1e6:.0f} million pixels that are decoded"
    return str(error).strip().rstrip(".") or type(error).__name__


def check_size(image: Image.Image) -> int:
    """Estimate the bytes that decoding takes, from the header alone.

    Raises
    ------
    BrokenImage
        If they are more than `DECODING_MEMORY`, or a slow format has more pixels than `MAX_SLOW_PIXELS`.
    """
    width, height = image.size
    kind = image.format or ""
    needed = width * height * estimate_bytes_per_pixel(image)
    if needed > DECODING_MEMORY:
        raise BrokenImage(
            f"{width} x {height} pixels would take {needed / 1e9:.1f} GB to decode, "
            f"more than {DECODING_MEMORY / 1e9:.2f} GB"
        )
    if width * height > MAX_SLOW_PIXELS.get(kind, MAX_PIXELS):
        raise BrokenImage(f"{width} x {height} pixels of {kind} would take too long to decode: convert it to PNG")
    return needed


def estimate_bytes_per_pixel(image: Image.Image) -> int:
    """Say how many bytes a pixel takes while its format is decoded."""
    if image.format == "JPEG" and "progressive" in image.info:
        return PROGRESSIVE_BYTES_PER_PIXEL
    return BYTES_PER_PIXEL_OF.get(image.format or "", BYTES_PER_PIXEL)


def to_rgb(image: Image.Image) -> Image.Image:
    """Convert a loaded picture of any mode to RGB, scaling deep grey modes to 8 bits."""
    if image.mode.startswith("I") or image.mode == "F":
        image = scale_grey(image)
    elif image.mode == "P" and isinstance(image.info.get("transparency"), bytes):
        # Pillow asks for this step where every colour of the palette has a transparency of its own, and warns without.
        image = image.convert("RGBA")
    if image.mode == "RGB":
        return image
    return image.convert("RGB")


def scale_grey(image: Image.Image, band_pixels: int = BAND_PIXELS) -> Image.Image:
    """Scale 16-bit, 32-bit or floating-point grey to 8 bits.

    The range is what the format states (16 bits, or fewer by a TIFF's tag); values beyond it, and floating-point
    pictures outside 0..1, are scaled by their own least and greatest value. NaN becomes black.

    Parameters
    ----------
    image : PIL.Image.Image
        Of a mode that begins with "I", or "F".
    band_pixels : int
        Pixels that are scaled at a time, in whole lines; more take more memory and give the same picture.

    Returns
    -------
    PIL.Image.Image
        Mode L.
    """
    low, high = read_stated_range(image)
    least, greatest = find_finite_range(image, band_pixels)
    if least < low or greatest > high:
        low, high = least, greatest
    span = (high - low) or 1.0
    grey = Image.new("L", image.size)
    for top, values in iterate_bands(image, band_pixels):
        with np.errstate(all="ignore"):  # values may lie further apart than float32 reaches
            scaled = np.nan_to_num((values - low) / span, nan=0.0, posinf=1.0, neginf=0.0)
        eight_bits = np.rint(scaled.clip(0, 1) * 255).astype(np.uint8)
        grey.paste(Image.fromarray(eight_bits), (0, top))
    return grey


def read_stated_range(image: Image.Image) -> tuple[float, float]:
    """Read which values mean black and white in a picture of deep grey."""
    if image.mode == "F":
        return 0.0, 1.0
    bits = read_bits_per_sample(getattr(image, "tag_v2", {}))
    return 0.0, 2.0**bits - 1


def read_bits_per_sample(tags: Any) -> int:
    """Read the bits of a grey value off a TIFF's tags; 16 where they say nothing, or what cannot be."""
    stated = tags.get(BITS_PER_SAMPLE, 16)
    if isinstance(stated, tuple):
        stated = stated[0]
    bits = int(stated)
    return bits if 8 < bits <= 16 else 16


def iterate_bands(image: Image.Image, band_pixels: int) -> Iterator[tuple[int, NDArray[np.float32]]]:
    """Yield a picture in bands: the first line of each, and its (lines, width) float32 values."""
    lines = max(1, band_pixels // image.width)
    for top in range(0, image.height, lines):
        box = (0, top, image.width, min(top + lines, image.height))
        yield top, np.asarray(image.crop(box), dtype=np.float32)


def find_finite_range(image: Image.Image, band_pixels: int) -> tuple[float, float]:
    """Find the least and greatest finite value; two zeros if there are none."""
    lows = []
    highs = []
    for _, values in iterate_bands(image, band_pixels):
        finite = values[np.isfinite(values)]
        if finite.size:
            lows.append(float(finite.min()))
            highs.append(float(finite.max()))
    return min(lows, default=0.0), max(highs, default=0.0)
