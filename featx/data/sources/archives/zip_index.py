"""Reads the directory of a zip file, which stands at its end, before any member is read."""

from __future__ import annotations

import struct
from array import array
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import NamedTuple

from featx.data.sources.archives.members import SIZE, Archive, opened, read_span
from featx.errors import DataError
from featx.files import show_size

END = struct.Struct("<4s4H2LH")
END_SIGNATURE = b"PK\x05\x06"
MAX_COMMENT_BYTES = 2**16

LOCATOR64 = struct.Struct("<4sLQL")
LOCATOR64_SIGNATURE = b"PK\x06\x07"
END64 = struct.Struct("<4sQ2H2L4Q")
END64_SIGNATURE = b"PK\x06\x06"

ENTRY = struct.Struct("<4s4s4H3L5H2L")
ENTRY_SIGNATURE = b"PK\x01\x02"

FULL32 = 0xFFFFFFFF
"""A size of 32 bits that stands for one of 64 in the extra field."""

EXTRA64 = 1
"""Number of the extra field with sizes of 64 bits."""

IS_UTF8 = 1 << 11
"""Flag of a member whose name is UTF-8; of others it is what DOS had, code page 437."""

MAX_DIRECTORY_BYTES = 2**28
"""Directories above this are refused before they are read; that of the 1.3 million pictures of ImageNet has half."""

LARGEST = 2**63 - 1
"""The largest number that is kept; what is above it lies outside of any file."""


class DirectoryPlace(NamedTuple):
    """Where the directory of a zip lies.

    Attributes
    ----------
    begin, size : int
        In bytes.
    shift : int
        Bytes that stand before the zip in its file; the places in the directory do not count them.
    """

    begin: int
    size: int
    shift: int


class ZipEntry(NamedTuple):
    """A member, as the directory states it."""

    name: str
    header: int
    packed: int
    size: int
    crc: int
    flags: int
    method: int


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
        self.packed.append(min(entry.packed, LARGEST))
        self.sizes.append(min(entry.size, LARGEST))
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
    with opened(archive) as handle:
        place = find_directory(handle, archive)
        directory = read_span(handle, place.begin, place.size)
    index = ZipIndex()
    seen: set[str] = set()
    for entry in read_entries(directory, place.shift, archive):
        if entry.name.endswith(("/", "\\")):
            continue
        if entry.name in seen:
            index.repeated.append(entry.name)
            continue
        seen.add(entry.name)
        index.add(entry)
    return index


def damaged(archive: Archive, what: str) -> DataError:
    """Build the error for a zip whose directory cannot be read."""
    return DataError(f"'{archive.path}' is not a whole zip file: {what}. Copy or download it again")


def find_directory(handle: int, archive: Archive) -> DirectoryPlace:
    """Find the directory by the record at the end of the file.

    Raises
    ------
    DataError
        If there is none, or it is too large.
    """
    tail_size = min(archive.stamp[SIZE], END.size + MAX_COMMENT_BYTES)
    tail_begin = archive.stamp[SIZE] - tail_size
    tail = read_span(handle, tail_begin, tail_size)
    start = tail.rfind(END_SIGNATURE)
    if start < 0 or start + END.size > len(tail):
        raise damaged(archive, "the directory that stands at its end is missing, as if it were cut short")
    *_, size, begin, _ = END.unpack_from(tail, start)
    end = tail_begin + start
    locator_start = start - LOCATOR64.size
    if locator_start >= 0 and tail.startswith(LOCATOR64_SIGNATURE, locator_start):
        end -= LOCATOR64.size + END64.size
        if end < 0:
            raise damaged(archive, "its directory is damaged")
        signature, *_, size, begin = END64.unpack(read_span(handle, end, END64.size))
        if signature != END64_SIGNATURE:
            raise damaged(archive, "its directory is damaged")
    shift = end - size - begin
    if shift < 0:
        raise damaged(archive, "its directory is damaged, or the file is one of several parts")
    if size > MAX_DIRECTORY_BYTES:
        raise DataError(
            f"'{archive.path}' has a directory of {show_size(size)}, more than the {show_size(MAX_DIRECTORY_BYTES)} "
            "that are read: divide it into several zip files or unpack it"
        )
    return DirectoryPlace(begin + shift, size, shift)


def read_entries(directory: bytes, shift: int, archive: Archive) -> Iterator[ZipEntry]:
    """Read the entries of a directory.

    Raises
    ------
    DataError
        If it is damaged.
    """
    place = 0
    while place < len(directory):
        if place + ENTRY.size > len(directory):
            raise damaged(archive, "its directory is damaged")
        signature, _, flags, method, _, _, *numbers, _, _, _, header = ENTRY.unpack_from(directory, place)
        crc, packed, size, name_bytes, extra_bytes, comment_bytes = numbers
        place += ENTRY.size
        name = directory[place : place + name_bytes]
        extra_end = place + name_bytes + extra_bytes
        if signature != ENTRY_SIGNATURE or extra_end > len(directory):
            raise damaged(archive, "its directory is damaged")
        if FULL32 in (size, packed, header):
            extra = directory[place + name_bytes : extra_end]
            size, packed, header = widen(extra, [size, packed, header])
        place = extra_end + comment_bytes
        yield ZipEntry(decode_name(name, flags), min(header + shift, LARGEST), packed, size, crc, flags, method)


def decode_name(name: bytes, flags: int) -> str:
    """Read the name of a member. Many programs write UTF-8 without saying so, which is rarely anything else."""
    if flags & IS_UTF8 or not name.isascii():
        try:
            return name.decode()
        except UnicodeDecodeError:
            return name.decode("cp437")
    return name.decode("ascii")


def widen(extra: bytes, numbers: list[int]) -> list[int]:
    """Take the numbers that do not fit 32 bits from the extra field; one that is missing there stays as it is."""
    place = 0
    field64 = b""
    while place + 4 <= len(extra):
        number, length = struct.unpack_from("<2H", extra, place)
        if number == EXTRA64:
            field64 = extra[place + 4 : place + 4 + length]
        place += 4 + length
    widened = []
    for value in numbers:
        if value == FULL32 and len(field64) >= 8:
            value = int.from_bytes(field64[:8], "little")
            field64 = field64[8:]
        widened.append(value)
    return widened
