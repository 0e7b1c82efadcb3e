"""Reads a member of a zip file, stored or deflated, within what it states and what one image may have."""

from __future__ import annotations

import zlib
from functools import partial
from typing import NamedTuple

from featx.archives.zip_directory import DEFLATED, IS_ENCRYPTED, LOCAL, STORED, find_bytes
from featx.data.sources.archives.members import Archive, check_span, opened, read_span
from featx.data.sources.image_files import MAX_IMAGE_BYTES, refuse_large

OVERLAPPING = 0xFFFF
"""Stands for the method of a member that reaches into another one."""

RAW = -15
"""What zlib calls deflated data without a header of its own."""


class ZipMember(NamedTuple):
    """A member as the directory states it.

    Attributes
    ----------
    archive : Archive
    header : int
        Place of its own header; its bytes follow.
    packed, size : int
        Bytes in the archive, and of the image.
    crc : int
        CRC-32 of the image.
    flags, method : int
    """

    archive: Archive
    header: int
    packed: int
    size: int
    crc: int
    flags: int
    method: int

    def find_size(self) -> int:
        """Say what reading it takes: the image, and what it is unpacked from; 0 where it will be refused."""
        if max(self.size, self.packed) > MAX_IMAGE_BYTES:
            return 0
        return self.size if self.method == STORED else self.size + self.packed

    def read(self) -> bytes:
        """Read and unpack it.

        Raises
        ------
        OSError
            If it is too large, encrypted, packed in another way, or damaged; or the archive is gone or changed.
        """
        packed = self.read_packed(self.packed)
        data = packed if self.method == STORED else self.inflate(packed, self.size + 1)
        if len(data) != self.size or zlib.crc32(data) != self.crc:
            raise OSError("is damaged: its bytes are not those that the zip file states")
        return data

    def read_head(self, count: int) -> bytes:
        """Read the first bytes of the image, or all if there are fewer.

        Raises
        ------
        OSError
            As `read` does.
        """
        # Deflated data begins with a table of some hundred bytes at most.
        packed = self.read_packed(min(self.packed, count + 1024))
        return packed[:count] if self.method == STORED else self.inflate(packed, count)

    def read_packed(self, count: int) -> bytes:
        """Read the first bytes as they lie in the archive.

        Raises
        ------
        OSError
            As `read` does.
        """
        if self.flags & IS_ENCRYPTED:
            raise OSError("is encrypted: unpack the zip file with its password")
        if self.method == OVERLAPPING:
            raise OSError("overlaps another member: the zip file is damaged, or made to unpack to more than it holds")
        if self.method not in (STORED, DEFLATED):
            raise OSError(f"is compressed by method {self.method}, and only stored and deflated members are read")
        refuse_large(self.size)
        check_span(self.archive, self.header, LOCAL.size)
        check_span(self.archive, self.header, self.packed)
        with opened(self.archive) as handle:
            begin = find_bytes(partial(read_span, handle), self.header)
            if begin is None:
                raise OSError("is damaged: its header is not where the zip file states")
            check_span(self.archive, begin, self.packed)
            return read_span(handle, begin, count)

    def inflate(self, packed: bytes, most: int) -> bytes:
        """Unpack at most so many bytes.

        Raises
        ------
        OSError
            If they cannot be unpacked.
        """
        try:
            return zlib.decompressobj(RAW).decompress(packed, most)
        except zlib.error as error:
            raise OSError(f"is damaged: it cannot be unpacked ({error})") from error
