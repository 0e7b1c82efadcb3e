"""The few tags of a TIFF's first page that say how its values are to be read; Pillow hides some, and raw photos lie."""

from __future__ import annotations

import struct
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

NEW_SUBFILE_TYPE = 254
IMAGE_WIDTH = 256
IMAGE_LENGTH = 257
BITS_PER_SAMPLE = 258
COMPRESSION = 259
PHOTOMETRIC = 262
MAKE = 271
STRIP_OFFSETS = 273
SAMPLES_PER_PIXEL = 277
ROWS_PER_STRIP = 278
STRIP_BYTE_COUNTS = 279
TILE_WIDTH = 322
TILE_LENGTH = 323
TILE_OFFSETS = 324
TILE_BYTE_COUNTS = 325
SUB_IFDS = 330
SAMPLE_FORMAT = 339
S_MIN_SAMPLE_VALUE = 340
S_MAX_SAMPLE_VALUE = 341
DNG_VERSION = 50706
WANTED = {
    *(NEW_SUBFILE_TYPE, BITS_PER_SAMPLE, PHOTOMETRIC, MAKE, SAMPLES_PER_PIXEL, SUB_IFDS, SAMPLE_FORMAT),
    *(S_MIN_SAMPLE_VALUE, S_MAX_SAMPLE_VALUE, DNG_VERSION),
}
"""Numbers of tags: TIFF 6.0, its supplement 1 and the DNG specification."""

WHITE_IS_ZERO = 0
"""Photometric interpretation where 0 is white."""

UNSIGNED, SIGNED, FLOAT = 1, 2, 3
"""Sample formats."""

TYPES = {1: "B", 2: "B", 3: "H", 4: "I", 6: "b", 7: "B", 8: "h", 9: "i", 11: "f", 12: "d", 13: "I", 16: "Q", 18: "Q"}
"""Type of a tag's values to their `struct` format; fractions are not among the tags that are wanted."""

BYTE_KINDS = {1, 2, 7}
FLOAT_KINDS = {11, 12}

VALUE_BYTES = {1: 1, 2: 1, 3: 2, 4: 4, 5: 8, 6: 1, 7: 1, 8: 2, 9: 4, 10: 8, 11: 4, 12: 8, 13: 4, 16: 8, 17: 8, 18: 8}
"""Type of a tag's values to the bytes of one."""

MOST_VALUES = 32
"""Values of a tag that are read: a sample each, or the letters of a maker's name."""

MOST_ENTRIES = 2**16 - 1
"""Tags of a page: what a TIFF can state. A BigTIFF can state any number, and real ones have some dozens."""


class TooManyTags(ValueError):
    """A page with more than `MOST_ENTRIES` tags."""


@dataclass(frozen=True)
class TiffPage:
    """What the first page of a TIFF states.

    Attributes
    ----------
    tags : dict of int to tuple of numbers
        Those of `WANTED` that are there.
    has_more_pages : bool
    """

    tags: dict[int, tuple[Any, ...]]
    has_more_pages: bool

    def first(self, tag: int, default: Any) -> Any:
        """Give the first value of a tag."""
        return next(iter(self.tags.get(tag, ())), default)

    @property
    def bits(self) -> int:
        """Bits of a sample."""
        return int(max(self.tags.get(BITS_PER_SAMPLE, (1,))))

    @property
    def sample_format(self) -> int:
        """How a sample's bits are to be read."""
        return int(self.first(SAMPLE_FORMAT, UNSIGNED))

    @property
    def is_deep(self) -> bool:
        """Whether its values are more than 8 bits, or floating-point."""
        return self.bits > 8

    @property
    def is_inverted(self) -> bool:
        """Whether 0 is white."""
        return bool(self.first(PHOTOMETRIC, 1) == WHITE_IS_ZERO)

    @property
    def make(self) -> str:
        """Name of the camera's maker, in capitals."""
        return bytes(self.tags.get(MAKE, ())).decode("latin-1").upper()

    @property
    def stated_range(self) -> tuple[float, float] | None:
        """What the tags SMinSampleValue and SMaxSampleValue state."""
        if S_MAX_SAMPLE_VALUE not in self.tags:
            return None
        low = float(min(self.tags.get(S_MIN_SAMPLE_VALUE, (0,))))
        high = float(max(self.tags[S_MAX_SAMPLE_VALUE]))
        return (low, high) if -1e30 < low < high < 1e30 else None


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


def read_first_page(data: bytes) -> TiffPage | None:
    """Read the tags of a TIFF's or BigTIFF's first page; None if it is not one, or damaged."""
    try:
        return read_directory(data)
    except (struct.error, OverflowError, UnicodeDecodeError, ValueError):
        return None


@dataclass(frozen=True)
class TiffDirectory:
    """Where the first directory of tags lies in a file.

    Attributes
    ----------
    order : str
        Of bytes, as `struct` writes it.
    word : str
        `struct` format of offsets and counts.
    place : int
        Of the first tag.
    entries : int
    """

    order: str
    word: str
    place: int
    entries: int

    @property
    def word_bytes(self) -> int:
        """Bytes of an offset."""
        return struct.calcsize(self.order + self.word)

    @property
    def entry_bytes(self) -> int:
        """Bytes of a tag."""
        return 4 + 2 * self.word_bytes


def find_directory(data: bytes) -> TiffDirectory | None:
    """Find the first directory of tags of a TIFF or BigTIFF; None if it is not one.

    Raises
    ------
    struct.error
        If the file ends before it.
    TooManyTags
        If it states more tags than a page can have.
    """
    order = {b"II": "<", b"MM": ">"}.get(data[:2])
    if order is None:
        return None
    version = struct.unpack_from(order + "H", data, 2)[0]
    if version not in (42, 43):
        return None
    word, count_format, header = ("Q", "Q", 8) if version == 43 else ("I", "H", 4)
    start = struct.unpack_from(order + word, data, header)[0]
    if start >= len(data):
        raise struct.error("the first page lies behind the end of the file")
    entries = struct.unpack_from(order + count_format, data, start)[0]
    directory = TiffDirectory(order, word, start + struct.calcsize(order + count_format), entries)
    # A directory that claims more entries than the file has bytes ends in an error, not in a long loop.
    if directory.place + entries * directory.entry_bytes > len(data):
        raise struct.error("the file ends within its tags")
    if entries > MOST_ENTRIES:
        raise TooManyTags(f"a TIFF with {entries} tags, of which a page has some dozens: save it anew")
    return directory


def read_directory(data: bytes) -> TiffPage | None:
    """Read the wanted tags of the first page.

    Raises
    ------
    struct.error
        If the file ends before it.
    TooManyTags
        If it states more tags than a page can have.
    """
    directory = find_directory(data)
    if directory is None:
        return None
    order = directory.order
    word = directory.word
    size = directory.word_bytes
    place = directory.place
    tags = {}
    for _ in range(directory.entries):
        tag, kind = struct.unpack_from(order + "HH", data, place)
        if tag in WANTED and is_kind_of(tag, kind):
            count = struct.unpack_from(order + word, data, place + 4)[0]
            value_format = f"{order}{min(count, MOST_VALUES)}{TYPES[kind]}"
            value_place = place + 4 + size
            if struct.calcsize(f"{order}{TYPES[kind]}") * count > size:
                value_place = struct.unpack_from(order + word, data, value_place)[0]
            values = struct.unpack_from(value_format, data, value_place)
            if values:
                tags[tag] = values
        place += directory.entry_bytes
    following = data[place : place + size]
    return TiffPage(tags, has_more_pages=any(following))


def is_kind_of(tag: int, kind: int) -> bool:
    """Whether a wanted tag may have values of a type: a width that is NaN, or a name of floats, is none."""
    if tag == MAKE:
        return kind in BYTE_KINDS
    if tag in (S_MIN_SAMPLE_VALUE, S_MAX_SAMPLE_VALUE):
        return kind in TYPES
    return kind in TYPES and kind not in FLOAT_KINDS


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
