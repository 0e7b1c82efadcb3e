"""Reads the directory of a zip file, which stands at its end, before any member is read."""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterator
from typing import NamedTuple

Read = Callable[[int, int], bytes | bytearray]
"""Reads so many bytes from a place of a file, and raises where they are not all there."""

END = struct.Struct("<4s4H2LH")
END_SIGNATURE = b"PK\x05\x06"
MAX_COMMENT_BYTES = 2**16

LOCATOR64 = struct.Struct("<4sLQL")
LOCATOR64_SIGNATURE = b"PK\x06\x07"
END64 = struct.Struct("<4sQ2H2L4Q")
END64_SIGNATURE = b"PK\x06\x06"

ENTRY = struct.Struct("<4s4s4H3L5H2L")
ENTRY_SIGNATURE = b"PK\x01\x02"
LOCAL = struct.Struct("<4s5H3L2H")
LOCAL_SIGNATURE = b"PK\x03\x04"

FULL32 = 0xFFFFFFFF
"""A size of 32 bits that stands for one of 64 in the extra field."""

EXTRA64 = 1
"""Number of the extra field with sizes of 64 bits."""

IS_ENCRYPTED = 1
"""Flag of a member that takes a password."""

IS_UTF8 = 1 << 11
"""Flag of a member whose name is UTF-8; of others it is what DOS had, code page 437."""

STORED = 0
DEFLATED = 8
"""Methods by which members are packed."""

LARGEST = 2**63 - 1
"""The largest number that is given; what is above it lies outside of any file."""


class DamagedDirectory(Exception):
    """What is wrong with a directory, in words that complete "it is not a whole zip file: ..."."""


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
    """A member, as the directory states it.

    Attributes
    ----------
    name : str
    header : int
        Place of its own header in the file; its bytes follow.
    packed, size : int
        Bytes in the file, and unpacked; `LARGEST` stands for what is larger.
    crc : int
        CRC-32 of the bytes unpacked.
    flags, method : int
    """

    name: str
    header: int
    packed: int
    size: int
    crc: int
    flags: int
    method: int


def find_directory(read: Read, file_size: int) -> DirectoryPlace:
    """Find the directory by the record at the end of the file.

    Parameters
    ----------
    read : callable
    file_size : int
        In bytes.

    Raises
    ------
    DamagedDirectory
        If there is none.
    """
    tail_size = min(file_size, END.size + MAX_COMMENT_BYTES)
    tail_begin = file_size - tail_size
    tail = read(tail_begin, tail_size)
    start = tail.rfind(END_SIGNATURE)
    if start < 0 or start + END.size > len(tail):
        raise DamagedDirectory("the directory that stands at its end is missing, as if it were cut short")
    *_, size, begin, _ = END.unpack_from(tail, start)
    end = tail_begin + start
    locator_start = start - LOCATOR64.size
    if locator_start >= 0 and tail.startswith(LOCATOR64_SIGNATURE, locator_start):
        end -= LOCATOR64.size + END64.size
        if end < 0:
            raise DamagedDirectory("its directory is damaged")
        signature, *_, size, begin = END64.unpack(read(end, END64.size))
        if signature != END64_SIGNATURE:
            raise DamagedDirectory("its directory is damaged")
    shift = end - size - begin
    if shift < 0:
        raise DamagedDirectory("its directory is damaged, or the file is one of several parts")
    return DirectoryPlace(begin + shift, size, shift)


def read_entries(directory: bytes | bytearray, shift: int = 0) -> Iterator[ZipEntry]:
    """Read the entries of a directory.

    Parameters
    ----------
    directory : bytes
    shift : int
        As `find_directory` gives it.

    Raises
    ------
    DamagedDirectory
        If it holds anything but entries.
    """
    place = 0
    while place < len(directory):
        if place + ENTRY.size > len(directory):
            raise DamagedDirectory("its directory is damaged")
        signature, _, flags, method, _, _, *numbers, _, _, _, header = ENTRY.unpack_from(directory, place)
        crc, packed, size, name_bytes, extra_bytes, comment_bytes = numbers
        place += ENTRY.size
        name = bytes(directory[place : place + name_bytes])
        extra_end = place + name_bytes + extra_bytes
        if signature != ENTRY_SIGNATURE or extra_end > len(directory):
            raise DamagedDirectory("its directory is damaged")
        if FULL32 in (size, packed, header):
            extra = bytes(directory[place + name_bytes : extra_end])
            size, packed, header = widen(extra, [size, packed, header])
        place = extra_end + comment_bytes
        yield ZipEntry(
            decode_name(name, flags),
            min(header + shift, LARGEST),
            min(packed, LARGEST),
            min(size, LARGEST),
            crc,
            flags,
            method,
        )


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


def find_bytes(read: Read, header: int) -> int | None:
    """Find where the bytes of a member begin, by its own header; None where there is no such header.

    Parameters
    ----------
    read : callable
    header : int
        Its place.
    """
    signature, *_, name_bytes, extra_bytes = LOCAL.unpack(read(header, LOCAL.size))
    if signature != LOCAL_SIGNATURE:
        return None
    return header + LOCAL.size + int(name_bytes) + int(extra_bytes)
