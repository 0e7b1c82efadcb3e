"""Digests of bytes, and files that either exist whole or do not exist."""

from __future__ import annotations

import errno
import hashlib
import logging
import multiprocessing
import os
import platform
import re
import secrets
import stat
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from featx.errors import StoreError
from featx.log import ANY_NAME
from featx.processes.parent import is_running
from featx.processes.posix import fcntl

log = logging.getLogger(__name__)

TEMPORARY = ".tmp-featx-"
"""How the names of unfinished files begin."""

TEMPORARY_NAME = re.compile(re.escape(TEMPORARY) + r"(?P<host>[^/]*)-(?P<process>\d+)-[0-9a-f]{8}(-.*)?")

TARGET_CHARACTERS = 80
"""Characters of the target's name in that of its temporary file: file systems allow 255 bytes in all."""

FOREIGN_AGE = 24 * 3600
"""Seconds after which an unfinished file of another machine, whose locks may not reach here, counts as given up."""

READ_FLAGS = os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0)
"""How files are opened to be read: without O_NONBLOCK, a pipe would wait for a writer for ever; Windows would change
line ends without O_BINARY."""

WRITE_FLAGS = os.O_RDWR | getattr(os, "O_BINARY", 0)

REFUSALS = {errno.EINVAL, errno.ENOTSUP, errno.EOPNOTSUPP, errno.ENOLCK, errno.ENOSYS}
"""What file systems answer that cannot sync or lock (CIFS, sshfs, some of NFS and FUSE); a broken disk has others."""

SPECIAL_FILES = {
    stat.S_IFDIR: "a folder",
    stat.S_IFIFO: "a named pipe",
    stat.S_IFSOCK: "a socket",
    stat.S_IFCHR: "a device",
    stat.S_IFBLK: "a device",
}
"""Kind of a file by its mode, and what users call it."""

seek_lock = threading.Lock()
"""Held where a file can only be read from its current position, which threads share."""

warning_lock = threading.Lock()
"""Held where threads ask who is the first to warn."""

has_warned = False
"""Whether this process has said that a file system cannot sync or lock."""


def digest(data: bytes | memoryview) -> bytes:
    """Return the sha256 of some bytes: 32 bytes."""
    return hashlib.sha256(data).digest()


def check_regular(mode: int) -> None:
    """Raise OSError unless the mode is that of a regular file."""
    if not stat.S_ISREG(mode):
        kind = SPECIAL_FILES.get(stat.S_IFMT(mode), "a special file")
        raise OSError(f"is {kind}, not a file")


def open_regular(path: str | os.PathLike[str]) -> int:
    """Open a regular file, or a link to one, for reading; nothing else is opened or waited for.

    Returns
    -------
    int
        A handle to be closed; `open(handle, "rb")` makes a file object of it that does so.

    Raises
    ------
    OSError
        If it is gone, unreadable, or a folder, pipe, device or socket.
    """
    # Before it is opened: opening a device may already do something.
    check_regular(os.stat(path).st_mode)  # noqa: PTH116 - a Path a row is slow at a million rows
    handle = os.open(path, READ_FLAGS)
    try:
        # Another file may have taken its name meanwhile.
        check_regular(os.fstat(handle).st_mode)
    except BaseException:
        os.close(handle)
        raise
    return handle


def read_regular_file(path: str | os.PathLike[str], most_bytes: int, what: str = "one file") -> bytes:
    """Read a whole regular file: as many bytes as it has when it is opened, though it may grow meanwhile.

    Parameters
    ----------
    path : str or os.PathLike
    most_bytes : int
        A larger file is refused before any of it is read, by the size that it states: holes count.
    what : str
        What the file is read as, for the message.

    Raises
    ------
    OSError
        If it is too large, or as `open_regular` does.
    """
    handle = open_regular(path)
    try:
        size = os.fstat(handle).st_size
        if size > most_bytes:
            raise OSError(f"{show_size(size)} are more than the {show_size(most_bytes)} that are read of {what}")
        data = os.read(handle, size)
        if len(data) == size:
            return data
        # Systems may give less than was asked for: Linux at most 2 GiB at a time.
        pieces = [data]
        missing = size - len(data)
        while missing and (piece := os.read(handle, missing)):
            pieces.append(piece)
            missing -= len(piece)
        return b"".join(pieces)
    finally:
        os.close(handle)


def show_size(count: int) -> str:
    """Write a number of bytes in the unit that suits it: 512 bytes, 256 MiB."""
    for power, unit in ((3, "GiB"), (2, "MiB"), (1, "KiB")):
        if count >= 1024**power:
            return f"{count / 1024**power:.0f} {unit}"
    return f"{count} bytes"


def forgive(error: OSError, path: Path) -> None:
    """Go on where a file system cannot sync or lock, and say so once; raise any other error."""
    global has_warned
    if error.errno not in REFUSALS:
        raise error
    with warning_lock:
        is_first = not has_warned
        has_warned = True
    # Processes that were started for a part of the work keep quiet: the one that the user started speaks.
    if is_first and multiprocessing.current_process().name == "MainProcess":
        log.warning(
            "the file system of '%s' cannot sync or lock (%s): featx goes on without; after a power cut, run "
            "featx cache verify",
            path,
            error.strerror,
        )


def sync_folder(folder: Path) -> None:
    """Make the names in a folder survive a power cut (a no-op where folders cannot be opened)."""
    with suppress(PermissionError, NotADirectoryError):
        handle = os.open(folder, os.O_RDONLY)
        try:
            sync(handle, folder)
        finally:
            os.close(handle)


def sync(handle: int, path: Path) -> None:
    """Make what was written survive a power cut, where the file system can.

    Raises
    ------
    OSError
        If the disk fails.
    """
    try:
        os.fsync(handle)
    except OSError as error:
        forgive(error, path)


def read_at(handle: int, out: memoryview, place: int) -> int:
    """Read bytes from a place in a file into memory, from any thread; tell how many came.

    Raises
    ------
    OSError
        If the disk fails.
    """
    if hasattr(os, "preadv"):
        return os.preadv(handle, [out], place)
    # Windows and older macOS.
    with seek_lock:
        os.lseek(handle, place, os.SEEK_SET)
        count = 0
        while count < len(out) and (data := os.read(handle, len(out) - count)):
            out[count : count + len(data)] = data
            count += len(data)
        return count


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
        handle = os.open(path, WRITE_FLAGS | os.O_CREAT | os.O_EXCL, 0o666)
        # Windows, or a file system without locks: age alone decides (see `remove_given_up`).
        if fcntl is not None:
            try:
                fcntl.flock(handle, fcntl.LOCK_EX)
            except OSError as error:
                with suppress(OSError):
                    forgive(error, target.parent)
        if os.fstat(handle).st_nlink:
            return handle, path
        # Another process removed it between creation and lock, as if its writer had died: try again.
        os.close(handle)


@contextmanager
def atomic_file(target: Path, is_synced: bool = True) -> Iterator[tuple[int, Path]]:
    """Give an open temporary file beside the target; on leaving, sync it and rename it to the target.

    Readers see the old file or the whole new one. When the block raises, the target is as it was. A writer that is
    killed leaves a temporary file, which `remove_given_up` recognises.

    Parameters
    ----------
    target : pathlib.Path
        Where the file goes; missing folders above it are created.
    is_synced : bool
        Whether it has to survive a power cut; copies need not.

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
    is_open = True
    try:
        yield handle, unfinished
        if is_synced:
            sync(handle, target.parent)
        if fcntl is None:
            # Windows renames no open file.
            os.close(handle)
            is_open = False
        os.replace(unfinished, target)
    except BaseException:
        with suppress(OSError):
            unfinished.unlink()
        raise
    finally:
        if is_open:
            os.close(handle)
    if is_synced:
        sync_folder(target.parent)


@contextmanager
def atomic_path(target: Path) -> Iterator[Path]:
    """Give the path of a temporary file as `atomic_file` does, for libraries that open files by path."""
    with atomic_file(target) as (_, unfinished):
        yield unfinished


def remove_given_up(unfinished: Path) -> bool:
    """Remove a temporary file whose writer is dead; tell whether it was removed.

    A writer is dead when nobody holds its lock and, if it ran on another machine, a day has passed since it last wrote.
    Where there are no locks, its number must not be that of a running process.
    """
    match = TEMPORARY_NAME.fullmatch(unfinished.name)
    if match is None:
        return False
    if fcntl is None and match["host"] == host_name():
        # By its number alone: Windows removes no file that is open, not even by us.
        if is_running(int(match["process"])):
            return False
        with suppress(OSError):
            unfinished.unlink()
        return not unfinished.exists()
    return remove_unlocked(unfinished, is_own=match["host"] == host_name())


def remove_unlocked(unfinished: Path, is_own: bool) -> bool:
    """Remove a temporary file that nobody has locked; one of another machine, or without locks, after a day only."""
    try:
        check_regular(unfinished.lstat().st_mode)
        handle = os.open(unfinished, WRITE_FLAGS)
    except OSError:
        return False
    try:
        is_dead = time.time() - os.fstat(handle).st_mtime > FOREIGN_AGE
        try:
            if fcntl is not None:
                fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
                is_dead |= is_own
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
    """Write a whole file at once, atomically; errors are those of `atomic_file`."""
    with atomic_file(target) as (handle, _):
        write_all(handle, data)


def write_text(target: Path, text: str) -> None:
    """Write a text file that a user asked for, atomically.

    Raises
    ------
    StoreError
        If it cannot be written.
    """
    remove_given_up_beside(target)
    try:
        # Names of files need not be UTF-8: they are written as the bytes that the file system holds.
        write_atomic(target, text.encode(errors=ANY_NAME))
    except OSError as error:
        raise StoreError(f"'{target}' cannot be written: {error.strerror or error}") from error
