"""Digests of bytes, and files that are either whole or not there."""

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
TEMPORARY_NAME = re.compile(re.escape(TEMPORARY) + r"(?P<host>[^/]*)-\d+-[0-9a-f]{8}(-.*)?")
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
    """Make a folder and those above it so that they survive a power cut.

    Raises
    ------
    OSError
        If one cannot be made, or is a file.
    """
    if folder.is_dir():
        return
    if folder.parent != folder:
        make_folder(folder.parent)
    with suppress(FileExistsError):  # another writer made it
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
    """Name of this machine as temporary files bear it."""
    return re.sub(r"[^\w.]", "_", platform.node())[:64]


def open_unfinished(target: Path) -> tuple[int, Path]:
    """Create and lock a file beside the target: the lock says that its writer lives, and dies with it."""
    while True:
        name = f"{TEMPORARY}{host_name()}-{os.getpid()}-{secrets.token_hex(4)}-{target.name[:80]}"
        path = target.parent / name
        handle = os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o666)
        with suppress(OSError):  # a file system without locks: age alone decides (see `remove_given_up`)
            fcntl.flock(handle, fcntl.LOCK_EX)
        if os.fstat(handle).st_nlink:
            return handle, path
        os.close(handle)  # removed between creation and lock, as if its writer had died


@contextmanager
def atomic_file(target: Path) -> Iterator[tuple[int, Path]]:
    """Give an open temporary file beside the target; on leaving, sync it and rename it to the target.

    Readers see the old file or the whole new one, never a part of it. When the block raises, the temporary file is
    removed and the target is as it was. A writer that is killed leaves a temporary
    file that `remove_given_up` finds.

    Parameters
    ----------
    target : pathlib.Path
        Where the file shall stand; missing folders above it are made.

    Yields
    ------
    handle : int
    path : pathlib.Path
        Of the temporary file.

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
    """Give the path of a temporary file as `atomic_file` does, to be opened and written by whoever."""
    with atomic_file(target) as (_, unfinished):
        yield unfinished


def remove_given_up(unfinished: Path) -> bool:
    """Remove a temporary file whose writer is dead; tell whether it was so.

    A writer is dead when nobody holds its lock and, if it ran on another machine, a day has passed since it last wrote.
    """
    named = TEMPORARY_NAME.fullmatch(unfinished.name)
    if named is None:
        return False
    try:
        handle = os.open(unfinished, os.O_RDWR)
    except OSError:
        return False
    try:
        is_removable = time.time() - os.fstat(handle).st_mtime > FOREIGN_AGE
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
            is_removable |= named["host"] == host_name()
        except BlockingIOError:
            return False
        except OSError:  # no locks here: age decides
            pass
        if is_removable:
            unfinished.unlink()  # while the lock is held: a writer that waits for it sees that the file is gone
        return is_removable
    except OSError:
        return False
    finally:
        os.close(handle)


def remove_given_up_beside(target: Path) -> None:
    """Remove what killed writers of this very file left beside it."""
    with suppress(OSError):
        for unfinished in list(target.parent.iterdir()):
            if unfinished.name.startswith(TEMPORARY) and unfinished.name.endswith(f"-{target.name[:80]}"):
                remove_given_up(unfinished)


def write_atomic(target: Path, data: bytes) -> None:
    """Write a whole file at once, atomically (see `atomic_file`)."""
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
        write_atomic(target, text.encode())
    except OSError as error:
        raise StoreError(f"'{target}' cannot be written: {error.strerror or error}") from error
