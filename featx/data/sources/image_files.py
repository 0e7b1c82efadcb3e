"""Files on disk: which of them count as images, and how one is read."""

from __future__ import annotations

import os
import stat

from featx.data.sources.side_files import is_system_file

__all__ = ["MAX_IMAGE_BYTES", "is_system_file", "read_file"]

MAX_IMAGE_BYTES = 2**28
"""Larger files are refused before they are read: a video in a class folder must not fill the memory."""

# Windows has neither pipes that block nor the flag, and opens files as text unless it is told otherwise.
OPEN_FLAGS = os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0) | getattr(os, "O_CLOEXEC", 0)

SPECIAL_FILES = {
    stat.S_IFDIR: "a folder",
    stat.S_IFIFO: "a named pipe",
    stat.S_IFSOCK: "a socket",
    stat.S_IFCHR: "a device",
    stat.S_IFBLK: "a device",
}


def read_file(path: str) -> bytes:
    """Read an image file.

    Raises
    ------
    OSError
        If it is gone, unreadable, above `MAX_IMAGE_BYTES`, or a pipe, device or socket, which are never waited for.
    """
    # Before it is opened: opening a device may already do something.
    try:
        mode = os.stat(path).st_mode  # noqa: PTH116 - a Path a row is slow at a million rows
    except ValueError as error:
        raise OSError("no file can have such a name") from error
    check_regular(mode)
    with open(os.open(path, OPEN_FLAGS), "rb") as file:
        status = os.fstat(file.fileno())
        check_regular(status.st_mode)
        if status.st_size > MAX_IMAGE_BYTES:
            raise OSError(
                f"{status.st_size / 2**20:.0f} MiB are more than the {MAX_IMAGE_BYTES // 2**20} MiB that are read of "
                "one image"
            )
        return file.read()


def check_regular(mode: int) -> None:
    """Raise OSError unless the mode is that of a regular file."""
    if not stat.S_ISREG(mode):
        kind = SPECIAL_FILES.get(stat.S_IFMT(mode), "a special file")
        raise OSError(f"is {kind}, not a file")
