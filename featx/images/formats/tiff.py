"""The few tags of a TIFF's first page that say how its values are to be read; Pillow hides some, and raw photos lie."""

from __future__ import annotations

import struct
from dataclasses import dataclass
from typing import Any

NEW_SUBFILE_TYPE = 254
BITS_PER_SAMPLE = 258
COMPRESSION = 259
PHOTOMETRIC = 262
MAKE = 271
ORIENTATION = 274
SAMPLES_PER_PIXEL = 277
PLANAR_CONFIGURATION = 284
SUB_IFDS = 330
SAMPLE_FORMAT = 339
S_MIN_SAMPLE_VALUE = 340
S_MAX_SAMPLE_VALUE = 341
DNG_VERSION = 50706
WANTED = {
    *(NEW_SUBFILE_TYPE, BITS_PER_SAMPLE, COMPRESSION, PHOTOMETRIC, MAKE, ORIENTATION, SAMPLES_PER_PIXEL),
    *(PLANAR_CONFIGURATION, SUB_IFDS, SAMPLE_FORMAT),
    *(S_MIN_SAMPLE_VALUE, S_MAX_SAMPLE_VALUE, DNG_VERSION),
}
"""Numbers of tags: TIFF 6.0, its supplement 1 and the DNG specification."""

WHITE_IS_ZERO = 0
RGB = 2
"""Photometric interpretations: 0 is white, and colour."""

UNCOMPRESSED = 1

SEPARATE_PLANES = 2
"""Planar configuration of pictures whose colours lie one after the other."""

UNSIGNED, SIGNED, FLOAT = 1, 2, 3
"""Sample formats."""

TYPES = {1: "B", 2: "B", 3: "H", 4: "I", 6: "b", 7: "B", 8: "h", 9: "i", 11: "f", 12: "d", 13: "I", 16: "Q", 18: "Q"}
"""Type of a tag's values to their `struct` format; fractions are not among the tags that are wanted."""

BYTE_KINDS = {1, 2, 7}
FLOAT_KINDS = {11, 12}

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
    planar_field : (str, int), or None
        Format and place of the value of the tag PlanarConfiguration, if it is there.
    """

    tags: dict[int, tuple[Any, ...]]
    has_more_pages: bool
    planar_field: tuple[str, int] | None = None

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
    def samples(self) -> int:
        """Samples of a pixel."""
        return int(self.first(SAMPLES_PER_PIXEL, 1))

    @property
    def compression(self) -> int:
        """How the pixels are compressed."""
        return int(self.first(COMPRESSION, UNCOMPRESSED))

    @property
    def photometric(self) -> int:
        """What the samples mean."""
        return int(self.first(PHOTOMETRIC, 1))

    @property
    def orientation(self) -> int:
        """How the picture is to be turned, as in EXIF; 1: not at all."""
        return int(self.first(ORIENTATION, 1))

    @property
    def has_deep_planes(self) -> bool:
        """Whether colours of more than 8 bits lie one after the other, uncompressed: Pillow takes them for 8 bits."""
        is_planar = self.samples > 1 and self.first(PLANAR_CONFIGURATION, 1) == SEPARATE_PLANES
        return bool(is_planar and self.is_deep and self.compression == UNCOMPRESSED)

    @property
    def has_lone_plane(self) -> bool:
        """Whether the only sample is said to lie in a plane of its own, uncompressed."""
        is_planar = self.samples == 1 and self.first(PLANAR_CONFIGURATION, 1) == SEPARATE_PLANES
        return bool(is_planar and self.compression == UNCOMPRESSED)

    @property
    def is_lone_plane_misread(self) -> bool:
        """Whether Pillow takes such a plane for 8 bits, for numbers of its own byte order, or for a positive."""
        return self.has_lone_plane and (self.bits not in (1, 8) or self.is_inverted)

    @property
    def is_inverted(self) -> bool:
        """Whether 0 is white."""
        return self.photometric == WHITE_IS_ZERO

    @property
    def description(self) -> str:
        """Name of the kind of TIFF, by its samples and bits."""
        kind = "floating-point" if self.sample_format == FLOAT else "integer"
        return f"a TIFF of {self.samples} x {self.bits} bits ({kind})"

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


def read_first_page(data: bytes) -> TiffPage | None:
    """Read the tags of a TIFF's or BigTIFF's first page; None if it is not one, or damaged."""
    try:
        return read_directory(data)
    except (struct.error, OverflowError, UnicodeDecodeError, ValueError):
        return None


def declare_contiguous(data: bytes) -> bytes:
    """Let a TIFF of one sample a pixel say that its samples lie side by side, where it says that they lie in planes.

    Both mean the same there (TIFF 6.0, PlanarConfiguration), but Pillow would misread planes. Other files are given
    back as they are.
    """
    page = read_first_page(data)
    if page is None or page.planar_field is None or not page.is_lone_plane_misread:
        return data
    value_format, place = page.planar_field
    changed = bytearray(data)
    struct.pack_into(value_format, changed, place, 1)
    return bytes(changed)


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
    planar_field = None
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
            if tag == PLANAR_CONFIGURATION and count == 1:
                planar_field = order + TYPES[kind], value_place
        place += directory.entry_bytes
    following = data[place : place + size]
    return TiffPage(tags, any(following), planar_field)


def is_kind_of(tag: int, kind: int) -> bool:
    """Whether a wanted tag may have values of a type: a width that is NaN, or a name of floats, is none."""
    if tag == MAKE:
        return kind in BYTE_KINDS
    if tag in (S_MIN_SAMPLE_VALUE, S_MAX_SAMPLE_VALUE):
        return kind in TYPES
    return kind in TYPES and kind not in FLOAT_KINDS
