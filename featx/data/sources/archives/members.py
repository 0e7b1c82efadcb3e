"""Members of archives: image files that lie in other files, each read by its place without reading the rest."""

from __future__ import annotations

import os
from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from featx.data.listing import ImageFile
from featx.data.sources.image_files import LARGEST_STAMP, MAX_IMAGE_BYTES, make_stamp, read_stamp, refuse_large
from featx.files import open_regular, read_at

SIZE, MODIFIED, CHANGED, INODE = range(4)
"""Places in a stamp."""

MIXERS = (0x9E3779B97F4A7C15, 0xC2B2AE3D27D4EB4F, 0x165667B19E3779F9)
"""Odd numbers of 64 bits by which inode, size and place are multiplied, so that sums of different ones differ."""


class Archive(NamedTuple):
    """An archive as it was when its members were listed: its path, and its stamp as `read_stamp` gives it."""

    path: str
    stamp: tuple[int, int, int, int]


@contextmanager
def opened(archive: Archive) -> Iterator[int]:
    """Open an archive whose members are known.

    Raises
    ------
    OSError
        If it is gone, unreadable, or not what it was when its members were listed.
    """
    handle = open_regular(archive.path)
    try:
        now = make_stamp(os.fstat(handle))
        # The change time may differ: a link to the file, or another name, changes no byte of it.
        if (now[SIZE], now[MODIFIED], now[INODE]) != take_identity(archive.stamp):
            raise OSError(f"'{archive.path}' was changed after its contents were listed: run the command again")
        yield handle
    finally:
        os.close(handle)


def take_identity(stamp: tuple[int, int, int, int]) -> tuple[int, int, int]:
    """Take from a stamp what changes with the bytes of a file."""
    return stamp[SIZE], stamp[MODIFIED], stamp[INODE]


def read_span(handle: int, place: int, count: int) -> bytes:
    """Read so many bytes from a place in an open file, from any thread.

    Raises
    ------
    OSError
        If they are not all there.
    """
    data = os.pread(handle, count, place) if hasattr(os, "pread") else b""
    if len(data) == count:
        return data
    # Systems may give less than was asked for; Windows has no such call.
    whole = bytearray(count)
    whole[: len(data)] = data
    done = len(data)
    while done < count:
        more = read_at(handle, memoryview(whole)[done:], place + done)
        if not more:
            raise OSError("it ends beyond the end of the archive, which is cut short or damaged")
        done += more
    return bytes(whole)


def check_span(archive: Archive, place: int, count: int) -> None:
    """Refuse bytes that are not in an archive, or too many, before memory is taken for them.

    Raises
    ------
    OSError
        With the sizes.
    """
    refuse_large(count)
    if place < 0 or count < 0 or place + count > archive.stamp[SIZE]:
        raise OSError("it ends beyond the end of the archive, which is cut short or damaged")


class ByteRange(NamedTuple):
    """An image that lies as it is at a place in an archive."""

    archive: Archive
    place: int
    size: int

    def find_size(self) -> int:
        """Say what the archive states; 0 where it is too large to be read."""
        return self.size if 0 <= self.size <= MAX_IMAGE_BYTES else 0

    def read(self) -> bytes:
        """Read it.

        Raises
        ------
        OSError
            If the archive is gone or changed, or the image is too large or not there.
        """
        return self.read_head(self.size)

    def read_head(self, count: int) -> bytes:
        """Read its first bytes, or all if there are fewer.

        Raises
        ------
        OSError
            As `read` does.
        """
        count = min(count, self.size)
        check_span(self.archive, self.place, count)
        with opened(self.archive) as handle:
            return read_span(handle, self.place, count)


class NoMember(NamedTuple):
    """What stands for an image that is not there, and why."""

    path: str
    reason: str = "there is no such member in the archive"

    def find_size(self) -> int:
        """There is nothing."""
        return 0

    def read(self) -> bytes:
        """Nothing can be read.

        Raises
        ------
        OSError
            Always.
        """
        raise OSError(self.reason)


@dataclass(frozen=True)
class ArchivedFiles(ABC):
    """Members of one or several archives, by their paths in the listing.

    Attributes
    ----------
    archives : sequence of Archive
    archive_of : (n,) int32
        Place of each member's archive among them.
    rows : mapping of str to int
        Path to the row of the arrays.
    places, sizes : (n,) int64
        Where each member lies in its archive, and the bytes that it has.
    """

    archives: Sequence[Archive]
    archive_of: NDArray[np.int32]
    rows: Mapping[str, int]
    places: NDArray[np.int64]
    sizes: NDArray[np.int64]

    are_stored = True
    are_shareable = True
    are_far = False

    @abstractmethod
    def make_file(self, archive: Archive, row: int) -> ImageFile:
        """Say how a member is read: something small that can be pickled."""

    def find(self, path: str) -> ImageFile:
        """Find a member by its path."""
        row = self.rows.get(path)
        return NoMember(path) if row is None else self.make_file(self.archives[self.archive_of[row]], row)

    def read_stamps(self, paths: Sequence[str]) -> NDArray[np.int64]:
        """Give each member the times of its archive, which is asked for once.

        Returns
        -------
        (n, 4) int64
            Size of the member; modification and change time of its archive; and a number for the archive's inode and
            size and the member's place. All -1 where the archive is not what it was when its members were listed.
        """
        rows = np.array([self.rows.get(path, -1) for path in paths], np.int64)
        stamps = np.full((len(paths), 4), -1, np.int64)
        is_there = rows >= 0
        rows = rows[is_there]
        of_archives = np.array([self.find_stamp(archive) for archive in self.archives], np.int64).reshape(-1, 4)
        of_members = of_archives[self.archive_of[rows]]
        has_stamp = of_members[:, SIZE] >= 0
        numbers = mix_numbers(of_members[:, INODE], of_members[:, SIZE], self.places[rows])
        columns = (self.sizes[rows], of_members[:, MODIFIED], of_members[:, CHANGED], numbers)
        stamps[is_there] = np.where(has_stamp[:, None], np.stack(columns, axis=1), -1)
        return stamps

    def find_stamp(self, archive: Archive) -> tuple[int, int, int, int]:
        """Ask for the stamp of an archive; -1 each where it is another file than that whose members were listed."""
        now = read_stamp(archive.path)
        return now if take_identity(now) == take_identity(archive.stamp) else (-1, -1, -1, -1)


class RangedFiles(ArchivedFiles):
    """Members that lie as they are in their archives."""

    def make_file(self, archive: Archive, row: int) -> ImageFile:
        """Say where a member lies."""
        return ByteRange(archive, int(self.places[row]), int(self.sizes[row]))


def mix_numbers(*columns: NDArray[np.int64]) -> NDArray[np.int64]:
    """Make one number of 63 bits of several: (n,) int64 each."""
    mixed = np.zeros(len(columns[0]), np.uint64)
    for column, mixer in zip(columns, MIXERS, strict=True):
        # Overflow is meant: sums of products in 64 bits.
        mixed += column.astype(np.uint64) * np.uint64(mixer)
        mixed ^= mixed >> np.uint64(29)
    return (mixed & np.uint64(LARGEST_STAMP)).astype(np.int64)


def number_paths(paths: Sequence[str]) -> dict[str, int]:
    """Give the row of each path."""
    return {path: row for row, path in enumerate(paths)}
