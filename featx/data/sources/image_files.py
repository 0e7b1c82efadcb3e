"""Files on disk: which of them count as images, and how one is read."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from featx.data.sources.side_files import is_system_file
from featx.data.sources.tree import Tree
from featx.files import read_regular_file

__all__ = ["MAX_IMAGE_BYTES", "is_system_file", "read_file", "walk"]

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


def walk(folder: str) -> Iterator[str]:
    """Yield every picture below a folder, sorted by path; side files and what is not a picture are passed over.

    Raises
    ------
    DataError
        If a folder cannot be read.
    """
    tree = Tree(str(Path(folder)))
    yield from tree.files(tree.scan(tree.root))
