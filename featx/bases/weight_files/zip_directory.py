"""Reads what an archive states about its members, before any of them is unpacked."""

from __future__ import annotations

import struct
from collections.abc import Iterator
from dataclasses import dataclass

from featx.bases.weight_files.weights_file import NotWeights, Span, WeightsFile

END = struct.Struct("<4s4H2LH")
END_SIGNATURE = b"PK\x05\x06"
MAX_COMMENT_BYTES = 2**16

LOCATOR64 = struct.Struct("<4sLQL")
LOCATOR64_SIGNATURE = b"PK\x06\x07"
END64 = struct.Struct("<4sQ2H2L4Q")
END64_SIGNATURE = b"PK\x06\x06"

ENTRY = struct.Struct("<4s6H3L5H2L")
ENTRY_SIGNATURE = b"PK\x01\x02"
LOCAL = struct.Struct("<4s5H3L2H")
LOCAL_SIGNATURE = b"PK\x03\x04"

FULL32 = 0xFFFFFFFF
"""A size of 32 bits that stands for one of 64 in the extra field."""

EXTRA64 = 1
"""Number of the extra field with sizes of 64 bits."""

ENCRYPTED = 1

STORED = 0
DEFLATE_METHOD = 8

MAX_DIRECTORY_BYTES = 2**25
"""An archive of a hundred thousand tensors has a directory of a third of that."""


@dataclass(frozen=True)
class Member:
    """A member of an archive, as the directory describes it."""

    name: str
    method: int
    flags: int
    packed_size: int
    size: int
    header: int

    def find(self, file: WeightsFile) -> Span:
        """Find its bytes in the file.

        Raises
        ------
        NotWeights
            If they are not there, or packed in a way that is not read.
        """
        if self.flags & ENCRYPTED:
            raise NotWeights("it is an archive with a password")
        if self.method not in (STORED, DEFLATE_METHOD):
            raise NotWeights("it is compressed in a way that is not read: save it with torch.save")
        signature, *_, name_bytes, extra_bytes = LOCAL.unpack(file.read(self.header, LOCAL.size))
        place = self.header + LOCAL.size + name_bytes + extra_bytes
        if signature != LOCAL_SIGNATURE or place + self.packed_size > file.size:
            raise NotWeights("it is truncated or damaged")
        if self.method == DEFLATE_METHOD:
            return Span(file, place, self.size, self.packed_size)
        if self.size != self.packed_size:
            raise NotWeights("it is damaged: a member has another size than it states")
        return Span(file, place, self.size)


def read_central_directory(file: WeightsFile) -> dict[str, Member]:
    """Read the directory of an archive.

    Raises
    ------
    NotWeights
        If it is damaged, too large, or names a member twice.
    """
    place, size = find_central_directory(file)
    if size > MAX_DIRECTORY_BYTES:
        raise NotWeights("it is an archive of more members than any network has")
    members: dict[str, Member] = {}
    for member in read_entries(bytes(file.read(place, size))):
        if member.name in members:
            raise NotWeights("it is an archive that holds a member twice")
        members[member.name] = member
    return members


def find_central_directory(file: WeightsFile) -> tuple[int, int]:
    """Find where the directory of an archive begins and how long it is.

    Raises
    ------
    NotWeights
        If there is none.
    """
    tail_size = min(file.size, END.size + MAX_COMMENT_BYTES)
    tail_place = file.size - tail_size
    tail = file.read(tail_place, tail_size)
    start = tail.rfind(END_SIGNATURE)
    if start < 0 or start + END.size > len(tail):
        raise NotWeights("it is truncated or damaged")
    *_, size, place, _ = END.unpack_from(tail, start)
    locator_start = start - LOCATOR64.size
    if locator_start >= 0 and tail.startswith(LOCATOR64_SIGNATURE, locator_start):
        _, _, end64_place, _ = LOCATOR64.unpack_from(tail, locator_start)
        signature, *_, size, place = END64.unpack(file.read(end64_place, END64.size))
        if signature != END64_SIGNATURE:
            raise NotWeights("it is truncated or damaged")
    return place, size


def read_entries(directory: bytes) -> Iterator[Member]:
    """Read the entries of a directory.

    Raises
    ------
    NotWeights
        If it is damaged.
    """
    place = 0
    while place < len(directory):
        if place + ENTRY.size > len(directory):
            raise NotWeights("it is truncated or damaged")
        signature, _, _, flags, method, *sizes, _, _, _, header = ENTRY.unpack_from(directory, place)
        _, _, _, packed_size, size, name_bytes, extra_bytes, comment_bytes = sizes
        if signature != ENTRY_SIGNATURE:
            raise NotWeights("it is truncated or damaged")
        place += ENTRY.size
        name = directory[place : place + name_bytes].decode("utf-8", "replace")
        extra = directory[place + name_bytes : place + name_bytes + extra_bytes]
        size, packed_size, header = widen(extra, [size, packed_size, header])
        place += name_bytes + extra_bytes + comment_bytes
        yield Member(name, method, flags, packed_size, size, header)


def widen(extra: bytes, numbers: list[int]) -> list[int]:
    """Take the numbers that do not fit 32 bits from the extra field.

    Raises
    ------
    NotWeights
        If one is missing.
    """
    place = 0
    field64 = b""
    while place + 4 <= len(extra):
        number, length = struct.unpack_from("<2H", extra, place)
        if number == EXTRA64:
            field64 = extra[place + 4 : place + 4 + length]
        place += 4 + length
    widened = []
    for value in numbers:
        if value == FULL32:
            if len(field64) < 8:
                raise NotWeights("it is truncated or damaged")
            value = int.from_bytes(field64[:8], "little")
            field64 = field64[8:]
        widened.append(value)
    return widened
