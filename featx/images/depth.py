"""Pictures of more than 8 bits: which values mean black and white, and how they become 8 bits.

The range is fixed by the format, by what the file itself states, or by the user; never by the values of a picture or of
its neighbours. What a picture holds beside that range is reported, so that a wrong range does not go unnoticed.
"""

from __future__ import annotations

import io
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from featx.images.formats.tiff import FLOAT, SIGNED, TiffPage, read_first_page
from featx.keys import ValueRange

BAND_PIXELS = 2**20
"""Pixels that are scaled at a time: as float32 they take a few megabytes, whatever the picture's size."""

FULL_16_BITS: ValueRange = (0.0, 65535.0)
FLOATS: ValueRange = (0.0, 1.0)

LITTLE_ENDIAN = sys.byteorder == "little"

LOW_BYTES = {
    "RGB;16B": "RGB;16L",
    "RGB;16L": "RGB;16B",
    "RGB;16N": "RGB;16B" if LITTLE_ENDIAN else "RGB;16L",
    "RGBA;16B": "RGBA;16L",
    "RGBA;16L": "RGBA;16B",
    "RGBA;16N": "RGBA;16B" if LITTLE_ENDIAN else "RGBA;16L",
    "RGBX;16L": "RGBX;16B",
    "RGBX;16B": "RGBX;16L",
    "LA;16B": "RGBA",
}
"""How Pillow reads the upper bytes of 16-bit colour: how it reads the lower ones. Both bytes of grey and of its alpha
are four channels to it."""

GREY_LOW_BYTE = 1
"""Channel that holds the lower byte of grey where "LA;16B" is read as "RGBA"."""


@dataclass(frozen=True)
class Depth:
    """How the values of a picture of more than 8 bits are to be read.

    Attributes
    ----------
    stated : pair of float
        Values that mean black and white by the format or the file.
    is_float : bool
    is_inverted : bool
        Whether the lower end of the range is white.
    is_wrapped : bool
        Whether Pillow gives unsigned numbers of 32 bits as signed ones.
    unit : float
        What a value of Pillow's is in the file's own numbers, where Pillow scales.
    significant_bits : int or None
        What a PNG's sBIT states, if that is less than its depth.
    rawmode : str or None
        Of colour, how Pillow reads the upper bytes; None of grey.
    wide_offset : int or None
        Place of big-endian RGB of 16 bits in the file, where Pillow gives 8 of them.
    """

    stated: ValueRange = FULL_16_BITS
    is_float: bool = False
    is_inverted: bool = False
    is_wrapped: bool = False
    unit: float = 1.0
    significant_bits: int | None = None
    rawmode: str | None = None
    wide_offset: int | None = None

    @property
    def is_colour(self) -> bool:
        """Whether Pillow gives the upper 8 bits only."""
        return self.rawmode is not None


@dataclass(frozen=True)
class RangeUse:
    """What a picture of more than 8 bits holds beside the range that it was read by.

    Attributes
    ----------
    is_float : bool
    low, high : float
        The range.
    least, greatest : float
        Of its finite values.
    has_nan : bool
    alignment : {"", "low", "high"}
        Of a PNG that states fewer bits than it has: whether its values lie in the lowest of them, or fill them all.
    """

    is_float: bool
    low: float
    high: float
    least: float
    greatest: float
    has_nan: bool = False
    alignment: str = ""


Bands = Callable[[], Iterator[tuple[int, NDArray[np.float32]]]]
"""Gives the values of a picture anew, in bands: the first line of each, and its (lines, width, ...) values."""


class UnreadableDepth(ValueError):
    """A value range that cannot be applied to this kind of picture."""


def find_depth(image: Image.Image, data: bytes) -> Depth | None:
    """Say how an opened, not yet loaded picture of more than 8 bits is to be read; None for 8 bits."""
    kind = image.format
    rawmode = find_rawmode(image)
    if kind == "TIFF":
        return find_tiff_depth(image, data, rawmode)
    if kind == "PNG":
        return find_png_depth(data, rawmode)
    if kind == "PPM":
        return find_ppm_depth(image, rawmode)
    if kind == "JPEG2000":
        return find_jpeg2000_depth(image, data)
    if kind == "SGI" and data[3:4] == b"\x02":
        return Depth(rawmode="SGI")
    if image.mode == "F":
        return Depth(FLOATS, is_float=True)
    return Depth() if image.mode.startswith("I") else None


def find_rawmode(image: Image.Image) -> str:
    """Say how Pillow is about to read the pixels."""
    tiles = getattr(image, "tile", [])
    if not tiles:
        return ""
    args = tiles[0][3]
    return str(args[0] if isinstance(args, tuple) and args else args)


def find_tiff_depth(image: Image.Image, data: bytes, rawmode: str) -> Depth | None:
    """Read the depth of a TIFF off its tags."""
    page = read_first_page(data)
    is_grey = image.mode.startswith("I") or image.mode == "F"
    if page is None:
        return Depth(FLOATS if image.mode == "F" else FULL_16_BITS, image.mode == "F") if is_grey else None
    if not page.is_deep or not (is_grey or ";16" in rawmode):
        return None
    return Depth(
        find_stated_range(page),
        is_float=image.mode == "F",
        is_inverted=is_grey and page.is_inverted,
        is_wrapped=image.mode == "I" and page.bits == 32 and page.sample_format not in (SIGNED, FLOAT),
        rawmode=None if is_grey else rawmode,
    )


def find_stated_range(page: TiffPage) -> ValueRange:
    """Give the values that mean black and white by a TIFF's tags, else by the kind of its numbers."""
    if page.stated_range is not None:
        return page.stated_range
    if page.sample_format == FLOAT:
        return FLOATS
    if page.sample_format == SIGNED:
        return -(2.0 ** (page.bits - 1)), 2.0 ** (page.bits - 1) - 1
    return 0.0, 2.0**page.bits - 1


def find_png_depth(data: bytes, rawmode: str) -> Depth | None:
    """Read the depth of a PNG off its header and its chunk sBIT."""
    if data[24:25] != b"\x10":
        return None
    is_grey = rawmode.startswith("I")
    return Depth(significant_bits=read_significant_bits(data), rawmode=None if is_grey else rawmode)


def read_significant_bits(data: bytes) -> int | None:
    """Read the most bits that a PNG's sBIT states of a colour; None if it states none, or all."""
    place = 8
    colours = {0: 1, 2: 3, 4: 1, 6: 3}.get(data[25], 0) if len(data) > 25 else 0
    while place + 8 <= len(data):
        length = int.from_bytes(data[place : place + 4], "big")
        name = data[place + 4 : place + 8]
        if name in (b"IDAT", b"IEND"):
            return None
        if name == b"sBIT":
            bits = max(data[place + 8 : place + 8 + min(length, colours)], default=16)
            return bits if 0 < bits < 16 else None
        place += 12 + length
    return None


def find_ppm_depth(image: Any, rawmode: str) -> Depth | None:
    """Read the depth of a PGM, PPM or PFM off the maximum that its header states; Pillow scales by that."""
    if image.mode == "F":
        return Depth(FLOATS, is_float=True)
    decoder, _, offset, args = image.tile[0]
    greatest = args[1] if isinstance(args, tuple) and len(args) > 1 else 65535
    if image.mode == "I":
        return Depth((0.0, float(greatest)), unit=greatest / 65535)
    if image.mode != "RGB" or greatest <= 255 or not isinstance(args, tuple) or len(args) < 2:
        return None
    return Depth((0.0, float(greatest)), rawmode="PPM", wide_offset=offset if decoder == "ppm" else None)


def find_jpeg2000_depth(image: Image.Image, data: bytes) -> Depth | None:
    """Read the depth of a JPEG 2000 off its SIZ marker; Pillow scales grey to 16 bits, and colour to 8."""
    marker = data.find(b"\xff\x4f\xff\x51")
    bits = (data[marker + 42] & 0x7F) + 1 if 0 <= marker < len(data) - 42 else 16
    if image.mode.startswith("I"):
        # Shifted by whole bits: 4095 of 12 bits becomes 65520. White stays at 65535, as it has been.
        return Depth(FULL_16_BITS if bits >= 16 else (0.0, 65535 / 2 ** (16 - bits)), unit=2.0 ** (min(bits, 16) - 16))
    return Depth((0.0, 2.0**bits - 1), rawmode="JPEG 2000") if bits > 8 else None


def needs_low_bytes(depth: Depth, value_range: ValueRange | None) -> bool:
    """Whether the upper 8 bits of a colour are not enough."""
    if not depth.is_colour or depth.rawmode == "JPEG 2000":
        return depth.is_colour and value_range is not None
    is_full = depth.stated == FULL_16_BITS and depth.significant_bits is None
    return value_range is not None or (not is_full and depth.rawmode in LOW_BYTES)


def read_values(
    depth: Depth, image: Image.Image, data: bytes, band_pixels: int = BAND_PIXELS
) -> Iterator[tuple[int, NDArray[np.float32]]]:
    """Yield a loaded picture in bands: the first line of each, and its values in the file's own numbers.

    Grey has (lines, width) values; colour (lines, width, 3).
    """
    if depth.is_colour:
        yield from read_colour_values(depth, image, data, band_pixels)
        return
    for top, values in iterate_bands(image, band_pixels):
        if depth.is_wrapped:
            values = np.where(values < 0, values + np.float32(2**32), values)
        yield top, values


def iterate_bands(image: Image.Image, band_pixels: int) -> Iterator[tuple[int, NDArray[np.float32]]]:
    """Yield a picture in bands: the first line of each, and its (lines, width, ...) float32 values."""
    lines = max(1, band_pixels // image.width)
    for top in range(0, image.height, lines):
        box = (0, top, image.width, min(top + lines, image.height))
        yield top, np.asarray(image.crop(box), dtype=np.float32)


def read_colour_values(
    depth: Depth, image: Image.Image, data: bytes, band_pixels: int
) -> Iterator[tuple[int, NDArray[np.float32]]]:
    """Yield the values of 16-bit colour in bands, from the upper bytes in hand and the lower ones read anew.

    Raises
    ------
    UnreadableDepth
        If Pillow gives the upper 8 bits of this kind of picture only.
    """
    if depth.wide_offset is not None:
        shape = (image.height, image.width, 3)
        wide = np.frombuffer(data, ">u2", image.height * image.width * 3, depth.wide_offset).reshape(shape)
        lines = max(1, band_pixels // image.width)
        for top in range(0, image.height, lines):
            yield top, wide[top : top + lines].astype(np.float32)
        return
    low_bytes = read_low_bytes(depth.rawmode or "", image.format, data)
    lines = max(1, band_pixels // image.width)
    for top in range(0, image.height, lines):
        box = (0, top, image.width, min(top + lines, image.height))
        high = np.asarray(image.crop(box))[..., :3]
        low = np.asarray(low_bytes.crop(box))
        low = low[..., [GREY_LOW_BYTE] * 3] if depth.rawmode == "LA;16B" else low[..., :3]
        yield top, high.astype(np.float32) * 256 + low


def read_low_bytes(rawmode: str, kind: str | None, data: bytes) -> Image.Image:
    """Decode a picture of 16-bit colour once more, for the lower bytes of its values."""
    other = LOW_BYTES.get(rawmode)
    if other is None:
        raise UnreadableDepth(
            f"colour of more than 8 bits in this kind of {kind} can only be read by the full range: "
            "convert it to RGB as PNG or TIFF, or leave out --value-range"
        )
    low = Image.open(io.BytesIO(data), formats=[kind or ""])
    tiles: list[Any] = []
    for tile in low.tile:
        args = (other, *tile[3][1:]) if isinstance(tile[3], tuple) else other
        tiles.append(tile._replace(args=args))
    low.tile = tiles
    low.load()
    return low


def to_8_bits(
    depth: Depth, image: Image.Image, data: bytes, value_range: ValueRange | None, band_pixels: int = BAND_PIXELS
) -> tuple[Image.Image, RangeUse]:
    """Scale a loaded picture of more than 8 bits by its range; values beyond it become black or white, NaN black.

    Parameters
    ----------
    depth : Depth
        As `find_depth` found it before the picture was loaded.
    image : PIL.Image.Image
        As it lies in the file, not yet turned upright.
    data : bytes
        The file.
    value_range : pair of float or None
        What the user says of the range.
    band_pixels : int
        Pixels that are scaled at a time, in whole lines; more take more memory and give the same picture.

    Returns
    -------
    PIL.Image.Image
        Mode L, or RGB of a colour picture.
    RangeUse
    """
    if depth.is_colour and depth.wide_offset is None and not needs_low_bytes(depth, value_range):
        return image, describe_upper_bytes(depth, image)
    bands = partial(read_values, depth, image, data, band_pixels)
    if depth.wide_offset is not None and value_range is None:
        # Pillow has scaled it by the maximum that the file states.
        return image, find_use(depth, bands)
    mode = "RGB" if depth.is_colour else "L"
    return scale_to_8_bits(depth, bands, mode, image.size, value_range)


def scale_to_8_bits(
    depth: Depth, bands: Bands, mode: str, size: tuple[int, int], value_range: ValueRange | None
) -> tuple[Image.Image, RangeUse]:
    """Scale the values of a picture, which come in bands, to 8 bits; see `to_8_bits`.

    Parameters
    ----------
    depth : Depth
    bands : callable
        Begins anew with each call, and yields the first line of each band and its values.
    mode : {"L", "RGB"}
    size : tuple of int
        Width and height.
    value_range : pair of float or None

    Returns
    -------
    PIL.Image.Image
    RangeUse
    """
    use = find_use(depth, bands)
    if value_range is not None:
        use = replace(use, low=value_range[0], high=value_range[1])
    elif depth.significant_bits is not None:
        # By the specification values fill all 16 bits, whatever sBIT says; many programs leave them where they are.
        stated = 2.0**depth.significant_bits - 1
        use = replace(use, alignment="high") if use.greatest > stated else replace(use, high=stated, alignment="low")
    low = use.low / depth.unit
    span = (use.high - use.low) / depth.unit
    scaled_picture = Image.new(mode, size)
    for top, values in bands():
        with np.errstate(all="ignore"):  # values may lie further apart than float32 reaches
            scaled = (values - low) / span
            if depth.is_inverted:
                scaled = 1 - scaled
            scaled = np.nan_to_num(scaled, nan=0.0, posinf=1.0, neginf=0.0)
        eight_bits = np.rint(scaled.clip(0, 1) * 255).astype(np.uint8)
        scaled_picture.paste(Image.fromarray(eight_bits), (0, top))
    return scaled_picture, use


def describe_upper_bytes(depth: Depth, image: Image.Image) -> RangeUse:
    """Say what 16-bit colour holds, as far as its upper 8 bits tell: a value may be up to 255 greater."""
    bands = image.getextrema()
    colours = bands[:3] if isinstance(bands[0], tuple) else (bands,)
    least = min(int(band[0]) for band in colours)
    greatest = max(int(band[1]) for band in colours)
    step = (depth.stated[1] + 1) / 256
    top = (greatest + 1) * step - 1 if greatest else 0.0
    return RangeUse(False, *depth.stated, least * step, top)


def find_use(depth: Depth, bands: Bands) -> RangeUse:
    """Find the least and greatest finite value, two zeros if there are none; and whether there is NaN."""
    lows = []
    highs = []
    has_nan = False
    for _, values in bands():
        finite = values[np.isfinite(values)]
        has_nan = has_nan or bool(np.isnan(values).any())
        if finite.size:
            lows.append(float(finite.min()))
            highs.append(float(finite.max()))
    least = min(lows, default=0.0) * depth.unit
    greatest = max(highs, default=0.0) * depth.unit
    return RangeUse(depth.is_float, *depth.stated, least, greatest, has_nan)
