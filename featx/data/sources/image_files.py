"""Files on disk and in memory: which of them count as images, and how one is read."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from featx.data.listing import ImageFile
from featx.data.sources.side_files import is_system_file
from featx.files import read_regular_file, show_size

__all__ = ["MAX_IMAGE_BYTES", "ON_DISK", "DiskFile", "DiskFiles", "MemoryFiles", "is_system_file", "read_file"]

MAX_IMAGE_BYTES = 2**28
"""Larger files are refused before they are read: a video in a class folder must not fill the memory."""

LARGEST_STAMP = 2**63 - 1
"""The largest number in a stamp."""


def read_file(path: str) -> bytes:
    """Read an image file.

    Raises
    ------
    OSError
        If it is gone, unreadable, above `MAX_IMAGE_BYTES`, or a pipe, device or socket, which are never waited for.
    """
    return read_regular_file(path, MAX_IMAGE_BYTES, "one image")


def refuse_large(size: int) -> None:
    """Refuse a file of too many bytes before it is read.

    Raises
    ------
    OSError
        If they are more than `MAX_IMAGE_BYTES`.
    """
    if size > MAX_IMAGE_BYTES:
        raise OSError(f"{show_size(size)} are more than the {show_size(MAX_IMAGE_BYTES)} that are read of one image")


def read_stamp(path: str) -> tuple[int, int, int, int]:
    """Ask for size, modification time, change time and inode of a file; -1 each where it is gone."""
    try:
        return make_stamp(os.stat(path))  # noqa: PTH116 - a Path a row is slow at a million rows
    except (OSError, ValueError):
        return (-1, -1, -1, -1)


def make_stamp(status: os.stat_result) -> tuple[int, int, int, int]:
    """Take size, modification time, change time and inode from what the system says of a file."""
    # Times after 2262 and some inodes leave 64 bits with a sign.
    modified, changed = (min(LARGEST_STAMP, nanoseconds) for nanoseconds in (status.st_mtime_ns, status.st_ctime_ns))
    return (status.st_size, modified, changed, status.st_ino & LARGEST_STAMP)


class DiskFile(NamedTuple):
    """A file of its own."""

    path: str

    def find_size(self) -> int:
        """Ask for its size; 0 where there is no such file, or where it is too large to be read."""
        try:
            size = os.stat(self.path).st_size  # noqa: PTH116 - a Path a row is slow at a million rows
        except (OSError, ValueError):
            return 0
        return size if size <= MAX_IMAGE_BYTES else 0

    def read(self) -> bytes:
        """Read it.

        Raises
        ------
        OSError
            As `read_file` does.
        """
        return read_file(self.path)


class DiskFiles:
    """Files whose paths are those of the file system."""

    are_stored = True
    are_shareable = True
    are_far = False

    def find(self, path: str) -> ImageFile:
        """Take the path as it is."""
        return DiskFile(path)

    def read_stamps(self, paths: Sequence[str]) -> NDArray[np.int64]:
        """Ask the system for each file: (n, 4) int64."""
        return np.array([read_stamp(path) for path in paths], np.int64).reshape(len(paths), 4)


ON_DISK = DiskFiles()
"""What all listings of files have in common."""


@dataclass(frozen=True)
class MemoryFile:
    """A file that a function makes."""

    path: str
    make: Callable[[str], bytes]

    def find_size(self) -> int:
        """Nobody knows before it is made."""
        return 0

    def read(self) -> bytes:
        """Make it.

        Raises
        ------
        OSError
            If that fails.
        """
        return self.make(self.path)


@dataclass(frozen=True)
class MemoryFiles:
    """Files that a function makes of their paths, which are names only; nothing of them is remembered.

    Attributes
    ----------
    make : callable
        Path to the bytes of the file; raises OSError.
    """

    make: Callable[[str], bytes]

    are_stored = False
    are_shareable = False
    are_far = False

    def find(self, path: str) -> ImageFile:
        """Say how the file is made."""
        return MemoryFile(path, self.make)

    def read_stamps(self, paths: Sequence[str]) -> NDArray[np.int64]:
        """Nothing shows a change: (n, 4) int64, all -1."""
        return np.full((len(paths), 4), -1, np.int64)
