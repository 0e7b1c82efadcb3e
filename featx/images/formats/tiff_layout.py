"""How the first page of a TIFF is stored: what decoding it takes, whatever the size of the picture."""

from __future__ import annotations

import struct
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from featx.images.formats.tiff import (
    BITS_PER_SAMPLE,
    COMPRESSION,
    FLOAT_KINDS,
    SAMPLES_PER_PIXEL,
    TYPES,
    TiffDirectory,
    find_directory,
)

IMAGE_WIDTH = 256
IMAGE_LENGTH = 257
ROWS_PER_STRIP = 278
TILE_WIDTH = 322
TILE_LENGTH = 323
STRIP_OFFSETS = 273
STRIP_BYTE_COUNTS = 279
TILE_OFFSETS = 324
TILE_BYTE_COUNTS = 325
"""Numbers of further tags, as TIFF 6.0 has them."""

VALUE_BYTES = {1: 1, 2: 1, 3: 2, 4: 4, 5: 8, 6: 1, 7: 1, 8: 2, 9: 4, 10: 8, 11: 4, 12: 8, 13: 4, 16: 8, 17: 8, 18: 8}
"""Type of a tag's values to the bytes of one."""


@dataclass(frozen=True)
class TiffLayout:
    """How the first page of a TIFF is stored.

    Attributes
    ----------
    entries : int
        Tags.
    tag_bytes : int
        Bytes of all their values.
    width, height : int
    tile_width, tile_height : int
        Of a tile, or of a strip.
    sample_bytes : int
        Bytes of the samples of a pixel, at least 1.
    compression : int
    offsets, byte_counts : (tiles,) int64
        Where tiles or strips lie, and how long they are; empty where this is not stated.
    """

    entries: int
    tag_bytes: int
    width: int
    height: int
    tile_width: int
    tile_height: int
    sample_bytes: int
    compression: int
    offsets: NDArray[np.int64]
    byte_counts: NDArray[np.int64]

    @property
    def tile_bytes(self) -> int:
        """Bytes of a tile or strip once it is decompressed."""
        return self.tile_width * self.tile_height * self.sample_bytes


def read_layout(data: bytes) -> TiffLayout | None:
    """Read how the first page of a TIFF is stored; None if it is not one, or damaged.

    Raises
    ------
    TooManyTags
        If it states more tags than a page can have.
    """
    try:
        directory = find_directory(data)
        return measure_layout(data, directory) if directory is not None else None
    except (struct.error, OverflowError):
        return None


def measure_layout(data: bytes, directory: TiffDirectory) -> TiffLayout:
    """Read how a page is stored; parameters as found by `find_directory`.

    Raises
    ------
    struct.error
        If the file ends within a tag's values.
    """
    end = directory.place + directory.entries * directory.entry_bytes
    entry = f"{directory.order}HH{directory.word}{directory.word_bytes}s"
    tag_bytes = 0
    arrays: dict[int, NDArray[np.int64]] = {}
    for tag, kind, count, value in struct.iter_unpack(entry, data[directory.place : end]):
        size = VALUE_BYTES.get(kind, 1) * count
        if size > directory.word_bytes:
            tag_bytes += size
        # The first one counts, as it does for Pillow.
        if tag in LAYOUT_TAGS and tag not in arrays and kind in TYPES and kind not in FLOAT_KINDS:
            arrays[tag] = read_integers(data, directory, kind, count, value)
    width = first_of(arrays, IMAGE_WIDTH, 0)
    height = first_of(arrays, IMAGE_LENGTH, 0)
    tile_width = width
    tile_height = min(first_of(arrays, ROWS_PER_STRIP, height), height)
    is_tiled = TILE_OFFSETS in arrays
    if is_tiled:
        tile_width = first_of(arrays, TILE_WIDTH, width)
        tile_height = first_of(arrays, TILE_LENGTH, height)
    no_values = np.zeros(0, np.int64)
    bits = int(arrays.get(BITS_PER_SAMPLE, no_values).max(initial=1))
    return TiffLayout(
        entries=directory.entries,
        tag_bytes=tag_bytes,
        width=width,
        height=height,
        tile_width=tile_width,
        tile_height=tile_height,
        sample_bytes=-(-bits * first_of(arrays, SAMPLES_PER_PIXEL, 1) // 8),
        compression=first_of(arrays, COMPRESSION, 1),
        offsets=arrays.get(TILE_OFFSETS if is_tiled else STRIP_OFFSETS, no_values),
        byte_counts=arrays.get(TILE_BYTE_COUNTS if is_tiled else STRIP_BYTE_COUNTS, no_values),
    )


LAYOUT_TAGS = {
    *(IMAGE_WIDTH, IMAGE_LENGTH, BITS_PER_SAMPLE, COMPRESSION, SAMPLES_PER_PIXEL, ROWS_PER_STRIP),
    *(TILE_WIDTH, TILE_LENGTH, STRIP_OFFSETS, STRIP_BYTE_COUNTS, TILE_OFFSETS, TILE_BYTE_COUNTS),
}
"""Tags that say how a page is stored."""


def first_of(arrays: dict[int, NDArray[np.int64]], tag: int, default: int) -> int:
    """Give the first value of a tag."""
    values = arrays.get(tag)
    return default if values is None or not len(values) else int(values[0])


def read_integers(data: bytes, directory: TiffDirectory, kind: int, count: int, value: bytes) -> NDArray[np.int64]:
    """Read all values of a tag, wherever they lie.

    Raises
    ------
    struct.error
        If the file ends within them.
    """
    kind_of_numbers = np.dtype(f"{directory.order}{TYPES[kind]}")
    size = kind_of_numbers.itemsize * count
    if size <= directory.word_bytes:
        return np.frombuffer(value[:size], kind_of_numbers).astype(np.int64)
    start = struct.unpack(directory.order + directory.word, value)[0]
    if start + size > len(data):
        raise struct.error("the file ends within the values of a tag")
    return np.frombuffer(data, kind_of_numbers, count, start).astype(np.int64)
