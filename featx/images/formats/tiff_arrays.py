"""TIFF pictures of more than 8 bits that Pillow does not read, such as floating-point colour, through tifffile.

An extra (`pip install 'featx[tiff]'`). Memory is bounded before it is taken: by the picture's size, and by what every
compressed piece of it may hold.
"""

from __future__ import annotations

import io
import logging
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image, UnidentifiedImageError

from featx.errors import first_line
from featx.images.depth import BAND_PIXELS, Depth, RangeUse, find_stated_range, scale_to_8_bits
from featx.images.formats.tiff import RGB, UNCOMPRESSED, WHITE_IS_ZERO, TiffPage, read_first_page
from featx.keys import ValueRange

DEFLATE = {8, 32946}
"""Compressions, as TIFF 6.0's supplement 2 numbers them, and as they were numbered before."""

GREY_PHOTOMETRICS = {WHITE_IS_ZERO, 1}

NUMBERS = "fiu"
"""Kinds of numpy's types that pictures hold."""

SCALING_BYTES_PER_PIXEL = 8
"""What 8 bits of colour and what follows them take, beside the values."""

VALUE_COPIES = 2
"""How often the values are in memory: as they are decoded, and in their place."""

SAVE_OTHERWISE = "save it as 8 or 16 bits, or as grey"


class UnreadableTiff(ValueError):
    """A TIFF that is neither grey nor colour, or whose values cannot be decoded."""


@dataclass(frozen=True)
class TiffArray:
    """A TIFF picture whose header is read.

    Attributes
    ----------
    page : tifffile.TiffPage
    tags : TiffPage
        What featx reads itself.
    data : bytes
        The file.
    width, height : int
    """

    page: Any
    tags: TiffPage
    data: bytes
    width: int
    height: int

    @property
    def orientation(self) -> int:
        """How the picture is to be turned, as in EXIF."""
        return self.tags.orientation

    def count_bytes(self) -> int:
        """Estimate the bytes that decoding takes."""
        values = self.width * self.height * self.page.samplesperpixel
        chunk = int(np.prod(self.page.chunks, dtype=np.float64))
        in_memory = (VALUE_COPIES * values + chunk) * self.page.dtype.itemsize
        return in_memory + self.width * self.height * SCALING_BYTES_PER_PIXEL

    def read(self, value_range: ValueRange | None) -> tuple[Image.Image, RangeUse]:
        """Decode the pixels to 8 bits of grey or colour, and tell what they hold.

        Raises
        ------
        UnreadableTiff
            If they are compressed in a way that is not read, or damaged; or if no range is known.
        """
        is_colour = self.tags.photometric == RGB
        is_float = self.page.dtype.kind == "f"
        # Light without an upper end, as in HDR photos, is as common here as 0 to 1.
        if is_float and is_colour and value_range is None and self.tags.stated_range is None:
            raise UnreadableTiff(
                f"{self.tags.description} that does not state its range: give --value-range, as in 0:1"
            )
        self.check_compression()
        try:
            values = self.page.asarray(maxworkers=1)
        except Exception as error:  # tifffile raises what it likes
            reason = first_line(error).rstrip(".")
            raise UnreadableTiff(f"{self.tags.description} that cannot be decoded: {reason}") from error
        if self.page.axes == "SYX":
            values = np.moveaxis(values, 0, 2)
        values = values.reshape(self.height, self.width, -1)
        values = values[..., :3] if is_colour else values[..., 0]
        depth = Depth(
            find_stated_range(self.tags),
            is_float=is_float,
            is_inverted=not is_colour and self.tags.is_inverted,
        )
        bands = partial(iterate_array, values, BAND_PIXELS)
        mode = "RGB" if is_colour else "L"
        return scale_to_8_bits(depth, bands, mode, (self.width, self.height), value_range)

    def check_compression(self) -> None:
        """Refuse what is compressed in other ways than by deflate, and pieces that hold more than they state.

        Raises
        ------
        UnreadableTiff
        """
        compression = int(self.page.compression)
        if compression == UNCOMPRESSED:
            return
        if compression not in DEFLATE:
            name = getattr(self.page.compression, "name", compression)
            raise UnreadableTiff(f"{self.tags.description} compressed by {name}: save it with deflate, or without")
        most_bytes = int(np.prod(self.page.chunks, dtype=np.float64)) * self.page.dtype.itemsize
        for offset, count in zip(self.page.dataoffsets, self.page.databytecounts, strict=False):
            if holds_more_than(self.data[offset : offset + count], most_bytes):
                raise UnreadableTiff(f"{self.tags.description}, of which a piece holds more than its size")


def holds_more_than(compressed: bytes, most_bytes: int) -> bool:
    """Whether deflated data inflate to more than so many bytes; damaged data do not."""
    try:
        return len(zlib.decompressobj().decompress(compressed, most_bytes + 1)) > most_bytes
    except zlib.error:
        return False


def iterate_array(values: NDArray[Any], band_pixels: int) -> Iterator[tuple[int, NDArray[np.float32]]]:
    """Yield an array in bands of lines: the first line of each, and its values."""
    lines = max(1, band_pixels // values.shape[1])
    for top in range(0, values.shape[0], lines):
        with np.errstate(over="ignore"):  # float64 beyond float32 becomes infinite, which is beyond every range
            yield top, values[top : top + lines].astype(np.float32)


def is_tiff_array(data: bytes) -> bool:
    """Whether a file is a TIFF of more than 8 bits that Pillow cannot open, or would misread."""
    tags = read_first_page(data)
    if tags is None or not tags.is_deep:
        return False
    if tags.has_deep_planes:
        return True
    try:
        with Image.open(io.BytesIO(data), formats=["TIFF"]):
            return False
    except UnidentifiedImageError:
        return True
    except Exception:  # damaged: what follows names the damage
        return False


def open_tiff_array(data: bytes) -> TiffArray:
    """Read the header of a TIFF that `is_tiff_array` found.

    Raises
    ------
    UnreadableTiff
        If it is neither grey nor colour, or damaged.
    """
    # Here, since only few pictures need it.
    import tifffile

    # It would log every oddity of a damaged file.
    logging.getLogger("tifffile").disabled = True
    tags = read_first_page(data)
    assert tags is not None
    try:
        with tifffile.TiffFile(io.BytesIO(data)) as file:
            page: Any = file.pages[0]
            samples = int(page.samplesperpixel)
            width = int(page.imagewidth)
            height = int(page.imagelength)
            is_flat = page.axes in ("YX", "YXS", "SYX") and page.imagedepth == 1
            is_number = page.dtype is not None and page.dtype.kind in NUMBERS
    except Exception as error:  # tifffile raises what it likes
        raise UnreadableTiff(f"a TIFF that cannot be read ({first_line(error).rstrip('.')})") from error
    is_colour = tags.photometric == RGB and samples >= 3
    is_grey = tags.photometric in GREY_PHOTOMETRICS and samples <= 2
    if not (is_colour or is_grey) or not is_flat or not is_number or width < 1 or height < 1:
        raise UnreadableTiff(f"{tags.description} that is neither grey nor RGB: {SAVE_OTHERWISE}")
    return TiffArray(page, tags, data, width, height)
