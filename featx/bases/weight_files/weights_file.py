"""An open file of weights, and places in it that may be compressed."""

from __future__ import annotations

import os
import zlib
from dataclasses import dataclass
from pathlib import Path

from featx.files import open_regular, read_at, show_size

MAX_INFLATED_BYTES = 2**28
"""Bytes that all compressed members of an archive may unpack to; torch itself compresses nothing."""


class NotWeights(Exception):
    """What is wrong with a file of weights, in words that complete "cannot be read: ..."."""


class WeightsFile:
    """An open file of weights: a regular one, of the size that it had when it was opened.

    Parameters
    ----------
    path : pathlib.Path

    Raises
    ------
    OSError
        If it is missing, unreadable, or not a regular file.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.handle = open_regular(path)
        self.size = os.fstat(self.handle).st_size
        self.inflated: dict[int, bytes] = {}

    def __enter__(self) -> WeightsFile:
        """Do nothing: the file is open."""
        return self

    def __exit__(self, *_: object) -> None:
        """Close the file."""
        os.close(self.handle)
        self.inflated.clear()

    def read(self, place: int, count: int) -> bytearray:
        """Read bytes from a place.

        Raises
        ------
        NotWeights
            If the file does not hold them.
        OSError
            If the disk fails.
        """
        if place < 0 or count < 0 or place + count > self.size:
            raise NotWeights("it is truncated or damaged")
        data = bytearray(count)
        view = memoryview(data)
        while view:
            came = read_at(self.handle, view, place)
            if not came:
                raise NotWeights("it became shorter while it was read")
            view = view[came:]
            place += came
        return data


@dataclass(frozen=True)
class Span:
    """Bytes in a file, which may be compressed there.

    Attributes
    ----------
    file : WeightsFile
    place : int
        Where they begin in the file.
    size : int
        How many there are, once unpacked.
    packed_size : int or None
        How many bytes of the file hold them, if they are deflated.
    """

    file: WeightsFile
    place: int
    size: int
    packed_size: int | None = None

    def read(self, start: int, count: int) -> bytes | bytearray:
        """Read some of the bytes.

        Raises
        ------
        NotWeights
            If they are not there.
        """
        if start < 0 or count < 0 or start + count > self.size:
            raise NotWeights("it is truncated or damaged")
        if self.packed_size is None:
            return self.file.read(self.place + start, count)
        return self.inflate()[start : start + count]

    def inflate(self) -> bytes:
        """Unpack all of the bytes, once; as many as were stated, whatever the packed ones would give.

        Raises
        ------
        NotWeights
            If they are damaged, or more or fewer than stated.
        """
        assert self.packed_size is not None
        kept = self.file.inflated.get(self.place)
        if kept is not None and len(kept) == self.size:
            return kept
        kept_bytes = sum(len(data) for data in self.file.inflated.values())
        if kept_bytes + self.size > MAX_INFLATED_BYTES:
            raise NotWeights(
                f"its compressed members unpack to more than {show_size(MAX_INFLATED_BYTES)}: save it with torch.save, "
                "which does not compress"
            )
        inflater = zlib.decompressobj(-zlib.MAX_WBITS)
        try:
            # One more byte is asked for, by which a member that holds more than it states is found.
            data = inflater.decompress(self.file.read(self.place, self.packed_size), self.size + 1)
        except zlib.error as error:
            raise NotWeights("it is truncated or damaged") from error
        if len(data) != self.size:
            raise NotWeights("it is damaged: a compressed member has another size than it states")
        self.file.inflated[self.place] = data
        return data
