"""Digests of bytes, and files that are either whole or not there."""

from __future__ import annotations

import hashlib
import os
import secrets
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from featx.errors import StoreError

TEMPORARY = ".tmp-"


def digest(data: bytes | memoryview) -> bytes:
    """Return the sha256 of some bytes: 32 bytes."""
    return hashlib.sha256(data).digest()


def sync_folder(folder: Path) -> None:
    """Make the names in a folder survive a power cut (a no-op where folders cannot be opened)."""
    with suppress(PermissionError, NotADirectoryError):
        handle = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)


@contextmanager
def atomic_path(target: Path) -> Iterator[Path]:
    """Give a temporary path beside the target; on leaving, sync it and rename it to the target.

    Readers see the old file or the whole new one, never a part of it. When the block raises, the temporary file is
    removed and the target is as it was.

    Parameters
    ----------
    target : pathlib.Path
        Where the file shall stand; missing folders above it are made.

    Raises
    ------
    OSError
        If the folder cannot be written or the disk is full.
    """
    target.parent.mkdir(parents=True, exist_ok=True)
    unfinished = target.parent / f"{TEMPORARY}{target.name}-{os.getpid()}-{secrets.token_hex(4)}"
    try:
        yield unfinished
        with open(unfinished, "rb") as written:
            os.fsync(written.fileno())
        os.replace(unfinished, target)
    except BaseException:
        with suppress(OSError):
            unfinished.unlink()
        raise
    sync_folder(target.parent)


def write_atomic(target: Path, data: bytes) -> None:
    """Write a whole file at once, atomically (see `atomic_path`)."""
    with atomic_path(target) as unfinished:
        unfinished.write_bytes(data)


def write_text(target: Path, text: str) -> None:
    """Write a text file that a user asked for, atomically.

    Raises
    ------
    StoreError
        If it cannot be written.
    """
    try:
        write_atomic(target, text.encode())
    except OSError as error:
        raise StoreError(f"'{target}' cannot be written: {error.strerror or error}") from error
