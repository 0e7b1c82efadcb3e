"""Files on disk: which of them count as images, and how one is read."""

from __future__ import annotations

from featx.data.sources.side_files import is_system_file
from featx.files import read_regular_file

__all__ = ["MAX_IMAGE_BYTES", "is_system_file", "read_file"]

MAX_IMAGE_BYTES = 2**28
"""Larger files are refused before they are read: a video in a class folder must not fill the memory."""


def read_file(path: str) -> bytes:
    """Read an image file.

    Raises
    ------
    OSError
        If it is gone, unreadable, above `MAX_IMAGE_BYTES`, or a pipe, device or socket, which are never waited for.
    """
    return read_regular_file(path, MAX_IMAGE_BYTES, "one image")
