"""Digests of bytes, and files that either exist whole or do not exist."""

from __future__ import annotations

import errno
import fcntl
import hashlib
import os
import platform
import re
import secrets
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from featx.errors import StoreError

TEMPORARY = ".tmp-featx-"
"""How the names of unfinished files begin."""

TEMPORARY_NAME = re.compile(re.escape(TEMPORARY) + r"(?P<host>[^/]*)-\d+-[0-9a-f]{8}(-.*)?")

TARGET_CHARACTERS = 80
"""Characters of the target's name in that of its temporary file: file systems allow 255 bytes in all."""

FOREIGN_AGE = 24 * 3600
"""Seconds after which an unfinished file of another machine, whose locks may not reach here, counts as given up."""


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


def make_folder(folder: Path) -> None:
    """Create a folder and those above it so that they survive a power cut.

    Raises
    ------
    OSError
        If one cannot be created, or is a file.
    """
    if folder.is_dir():
        return
    if folder.parent != folder:
        make_folder(folder.parent)
    # Another writer may have created it meanwhile.
    with suppress(FileExistsError):
        folder.mkdir()
        sync_folder(folder.parent)
    if not folder.is_dir():
        raise NotADirectoryError(errno.ENOTDIR, "a file is in the way", str(folder))


def write_all(handle: int, data: bytes | memoryview) -> None:
    """Write all of the data, however many calls the system needs."""
    view = memoryview(data).cast("B")
    while view:
        view = view[os.write(handle, view) :]


def host_name() -> str:
    """Give the name of this machine as it stands in the names of temporary files."""
    return re.sub(r"[^\w.]", "_", platform.node())[:64]


def open_unfinished(target: Path) -> tuple[int, Path]:
    """Create and lock a file beside the target: the lock says that its writer lives, and ends with it."""
    while True:
        name = f"{TEMPORARY}{host_name()}-{os.getpid()}-{secrets.token_hex(4)}-{target.name[:TARGET_CHARACTERS]}"
        path = target.parent / name
        handle = os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o666)
        # A file system without locks: age alone decides (see `remove_given_up`).
        with suppress(OSError):
            fcntl.flock(handle, fcntl.LOCK_EX)
        if os.fstat(handle).st_nlink:
            return handle, path
        # Another process removed it between creation and lock, as if its writer had died: try again.
        os.close(handle)


@contextmanager
def atomic_file(target: Path) -> Iterator[tuple[int, Path]]:
    """Give an open temporary file beside the target; on leaving, sync it and rename it to the target.

    Readers see the old file or the whole new one, never a part of it. When the block raises, the temporary file is
    removed and the target is as it was. A writer that is killed leaves a temporary file, which `remove_given_up`
    recognises.

    Parameters
    ----------
    target : pathlib.Path
        Where the file goes; missing folders above it are created.

    Yields
    ------
    handle : int
        Open for reading and writing.
    path : pathlib.Path
        Path of the temporary file.

    Raises
    ------
    OSError
        If the folder cannot be written or the disk is full.
    """
    make_folder(target.parent)
    handle, unfinished = open_unfinished(target)
    try:
        yield handle, unfinished
        os.fsync(handle)
        os.replace(unfinished, target)
    except BaseException:
        with suppress(OSError):
            unfinished.unlink()
        raise
    finally:
        os.close(handle)
    sync_folder(target.parent)


@contextmanager
def atomic_path(target: Path) -> Iterator[Path]:
    """Give the path of a temporary file as `atomic_file` does, for libraries that open files by path."""
    with atomic_file(target) as (_, unfinished):
        yield unfinished


def remove_given_up(unfinished: Path) -> bool:
    """Remove a temporary file whose writer is dead; tell whether it was removed.

    A writer is dead when nobody holds its lock and, if it ran on another machine, a day has passed since it last wrote.
    """
    match = TEMPORARY_NAME.fullmatch(unfinished.name)
    if match is None:
        return False
    try:
        handle = os.open(unfinished, os.O_RDWR)
    except OSError:
        return False
    try:
        is_dead = time.time() - os.fstat(handle).st_mtime > FOREIGN_AGE
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
            is_dead |= match["host"] == host_name()
        except BlockingIOError:
            return False
        # A file system without locks: age decides.
        except OSError:
            pass
        if is_dead:
            # While the lock is held: a writer that waits for it in `open_unfinished` sees that the file is gone.
            unfinished.unlink()
        return is_dead
    except OSError:
        return False
    finally:
        os.close(handle)


def remove_given_up_beside(target: Path) -> None:
    """Remove what killed writers of this very file left beside it."""
    suffix = f"-{target.name[:TARGET_CHARACTERS]}"
    with suppress(OSError):
        for path in list(target.parent.iterdir()):
            if path.name.startswith(TEMPORARY) and path.name.endswith(suffix):
                remove_given_up(path)


def write_atomic(target: Path, data: bytes) -> None:
    """Write a whole file at once, atomically (see `atomic_file`).

    Raises
    ------
    OSError
        If the folder cannot be written or the disk is full.
    """
    with atomic_file(target) as (handle, _):
        write_all(handle, data)


def write_text(target: Path, text: str) -> None:
    """Write a text file that a user asked for, atomically.

    Raises
    ------
    StoreError
        If it cannot be written.
    """
    try:
        # Names of files need not be UTF-8: they are written as the bytes that the file system holds.
        write_atomic(target, text.encode(errors="surrogateescape"))
    except OSError as error:
        raise StoreError(f"'{target}' cannot be written: {error.strerror or error}") from error
