"""Files on disk: which of them count as images, and how one is read."""

from __future__ import annotations

import os
from collections.abc import Iterator

MAX_IMAGE_BYTES = 2**28
"""Larger files are refused before they are read: a video in a class folder must not fill the memory."""

SYSTEM_FILES = {"thumbs.db", "desktop.ini"}


def read_file(path: str) -> bytes:
    """Read an image file.

    Raises
    ------
    OSError
        If it is gone, unreadable or above `MAX_IMAGE_BYTES`.
    """
    with open(path, "rb") as file:
        size = os.fstat(file.fileno()).st_size
        if size > MAX_IMAGE_BYTES:
            raise OSError(
                f"{size / 2**20:.0f} MiB are more than the {MAX_IMAGE_BYTES // 2**20} MiB that are read of one image"
            )
        return file.read()


def is_system_file(name: str) -> bool:
    """Whether a file is a side product of an operating system (`Thumbs.db`, `._photo.jpg`, `.DS_Store`)."""
    return name.startswith(".") or name.lower() in SYSTEM_FILES


def walk(folder: str) -> Iterator[str]:
    """Yield every file below a folder, sorted by path."""
    # Strings instead of Path objects: those are slow at a million rows.
    with os.scandir(folder) as entries:
        for entry in sorted(entries, key=lambda entry: entry.name):
            if entry.is_dir():
                yield from walk(entry.path)
            else:
                yield entry.path
