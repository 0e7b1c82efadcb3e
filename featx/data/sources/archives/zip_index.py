"""Lists the members of a zip file as columns, since a data set may have millions of them."""

from __future__ import annotations

from array import array
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import partial

from featx.archives.zip_directory import DamagedDirectory, ZipEntry, find_directory, read_entries
from featx.data.sources.archives.members import SIZE, Archive, opened, read_span
from featx.errors import DataError
from featx.files import show_size

MAX_DIRECTORY_BYTES = 2**28
"""Directories above this are refused before they are read; that of the 1.3 million pictures of ImageNet has half."""


@dataclass
class ZipIndex:
    """All members that are files, as columns of n entries each.

    Attributes
    ----------
    names : list of str
    headers, packed, sizes, crcs : arrays of int64
        Place of each member's header, bytes as they are packed, bytes unpacked, and CRC-32 of these.
    flags, methods : arrays of uint16
    repeated : list of str
        Names of members that have the name of an earlier one, which are left out.
    """

    names: list[str] = field(default_factory=list)
    headers: array[int] = field(default_factory=lambda: array("q"))
    packed: array[int] = field(default_factory=lambda: array("q"))
    sizes: array[int] = field(default_factory=lambda: array("q"))
    crcs: array[int] = field(default_factory=lambda: array("q"))
    flags: array[int] = field(default_factory=lambda: array("H"))
    methods: array[int] = field(default_factory=lambda: array("H"))
    repeated: list[str] = field(default_factory=list)

    def add(self, entry: ZipEntry) -> None:
        """Add a member."""
        self.names.append(entry.name)
        self.headers.append(entry.header)
        self.packed.append(entry.packed)
        self.sizes.append(entry.size)
        self.crcs.append(entry.crc)
        self.flags.append(entry.flags)
        self.methods.append(entry.method)


def read_zip_index(archive: Archive) -> ZipIndex:
    """Read the directory of a zip file.

    Raises
    ------
    DataError
        If there is none, it is damaged or too large.
    OSError
        If the file cannot be read.
    """
    index = ZipIndex()
    seen: set[str] = set()
    try:
        for entry in read_directory(archive):
            if entry.name.endswith(("/", "\\")):
                continue
            if entry.name in seen:
                index.repeated.append(entry.name)
                continue
            seen.add(entry.name)
            index.add(entry)
    except DamagedDirectory as error:
        raise DataError(f"'{archive.path}' is not a whole zip file: {error}. Copy or download it again") from error
    return index


def read_directory(archive: Archive) -> Iterator[ZipEntry]:
    """Read the entries of a zip file's directory.

    Raises
    ------
    DamagedDirectory
        If there is none, or it is damaged.
    DataError
        If it is too large.
    OSError
        If the file cannot be read.
    """
    with opened(archive) as handle:
        place = find_directory(partial(read_span, handle), archive.stamp[SIZE])
        if place.size > MAX_DIRECTORY_BYTES:
            raise DataError(
                f"'{archive.path}' has a directory of {show_size(place.size)}, more than the "
                f"{show_size(MAX_DIRECTORY_BYTES)} that are read: divide it into several zip files or unpack it"
            )
        directory = read_span(handle, place.begin, place.size)
    yield from read_entries(directory, place.shift)
