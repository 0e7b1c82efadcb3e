"""Copies of objects on the local disk: parts and headers that were read, the least recently used removed first."""

from __future__ import annotations

import hashlib
import logging
import os
import re
import tempfile
import threading
import time
from contextlib import suppress
from pathlib import Path

from featx.errors import RequestError
from featx.files import TEMPORARY, atomic_file, open_regular, remove_given_up, write_all
from featx.storage.opened import OpenedFile
from featx.storage.paths import ObjectMeta, ObjectPath

log = logging.getLogger(__name__)

MOST_GIGABYTES = 20.0
"""Room for copies, unless $FEATX_LOCAL_CACHE_GB says otherwise."""

LEFT_FULL = 0.9
"""Share of the room that is left filled when copies are removed: removing looks at all of them."""

FRESH_SECONDS = 60.0
"""How long a copy counts as just used, so that not every opening writes a time."""

HEAD = ".head"


def read_room() -> float:
    """Say how many bytes copies may take.

    Raises
    ------
    RequestError
        If `$FEATX_LOCAL_CACHE_GB` is not a number.
    """
    text = os.environ.get("FEATX_LOCAL_CACHE_GB")
    if not text:
        return MOST_GIGABYTES * 1e9
    if not re.fullmatch(r"\d{1,9}(\.\d{1,9})?", text):
        raise RequestError(f"FEATX_LOCAL_CACHE_GB is '{text}': it must be a number of gigabytes, such as 20")
    return float(text) * 1e9


class Copies:
    """Copies below one folder. Each is of one state of an object: its name says which, by the object's tag.

    Nothing depends on them: whoever uses one checks it like any other file, and they may be removed at any time. A disk
    that is full costs speed, and a warning.

    Parameters
    ----------
    folder : pathlib.Path
        Created when the first copy is kept.
    most_bytes : float
        Room for all of them.
    """

    def __init__(self, folder: Path, most_bytes: float) -> None:
        self.folder = folder
        self.most_bytes = most_bytes
        self._added = 0
        self._lock = threading.Lock()
        self._has_warned = False

    def locate(self, path: ObjectPath, meta: ObjectMeta, suffix: str = "") -> Path:
        """Say where the copy of an object in one state lies."""
        state = hashlib.sha256(f"{meta.size} {meta.tag}".encode()).hexdigest()[:16]
        return self.folder_of(path) / f"{path.name}.{state}{suffix}"

    def folder_of(self, path: ObjectPath) -> Path:
        """Say where the copies of a folder's objects lie."""
        return self.folder / "parts" / hashlib.sha256(str(path.parent).encode()).hexdigest()[:16]

    def open(self, path: ObjectPath, meta: ObjectMeta, suffix: str = "") -> OpenedFile | None:
        """Open a copy; None if there is none."""
        try:
            handle = open_regular(self.locate(path, meta, suffix))
        except OSError:
            return None
        with suppress(OSError):
            if time.time() - os.fstat(handle).st_mtime > FRESH_SECONDS:
                os.utime(handle)
        return OpenedFile(handle, meta.size, not suffix, meta.modified)

    def has(self, path: ObjectPath, meta: ObjectMeta) -> bool:
        """Whether there is a copy of an object or of its head."""
        return any(self.locate(path, meta, suffix).exists() for suffix in ("", HEAD))

    def keep(self, path: ObjectPath, meta: ObjectMeta, data: bytes | memoryview, suffix: str = "") -> None:
        """Keep a copy, and make room for it; a disk that is full or read-only is a warning."""
        if len(data) > self.most_bytes:
            return
        try:
            with atomic_file(self.locate(path, meta, suffix), is_synced=False) as (handle, _):
                write_all(handle, data)
        except OSError as error:
            self._warn(error)
            return
        self._make_room(len(data))

    def _warn(self, error: OSError) -> None:
        with self._lock:
            is_first = not self._has_warned
            self._has_warned = True
        if is_first:
            log.warning(
                "the local cache '%s' cannot be written (%s): featx goes on without; make room, or choose another "
                "folder with --local-cache",
                self.folder,
                error.strerror or error,
            )

    def _make_room(self, added: int) -> None:
        """Remove the copies that were not used for longest, once all of them take more than their room."""
        with self._lock:
            # Looking at all copies takes time: at first, and whenever a twentieth of the room was added.
            is_due = self._added == 0 or self._added + added > self.most_bytes / 20
            self._added = 1 if is_due else self._added + added
            if is_due:
                self.remove_oldest()

    def remove_oldest(self) -> None:
        """Remove the copies that were not used for longest, as far as all of them take too much room."""
        files = []
        for folder, _, names in os.walk(self.folder / "parts"):
            for name in names:
                with suppress(OSError):
                    status = os.stat(os.path.join(folder, name))  # noqa: PTH116, PTH118 - there may be many
                    files.append((status.st_mtime, status.st_size, os.path.join(folder, name)))  # noqa: PTH118
        size = sum(file[1] for file in files)
        if size <= self.most_bytes:
            return
        for _, file_size, name in sorted(files):
            if size <= LEFT_FULL * self.most_bytes:
                return
            with suppress(OSError):
                # Whoever has it open reads on.
                Path(name).unlink()
                size -= file_size

    def forget(self, path: ObjectPath) -> bool:
        """Remove all copies of an object; tell whether there were any."""
        is_removed = False
        with suppress(OSError):
            for file in list(self.folder_of(path).iterdir()):
                if file.name.startswith(f"{path.name}."):
                    file.unlink(missing_ok=True)
                    is_removed = True
        return is_removed

    def remove_given_up(self) -> list[str]:
        """Remove copies that were never finished, since their writers are dead."""
        unfinished = (self.folder / "parts").rglob(f"{TEMPORARY}*")
        return [str(file) for file in unfinished if remove_given_up(file)]


def open_in_memory(data: bytes | memoryview, meta: ObjectMeta, is_whole: bool) -> OpenedFile:
    """Make a file without a name of what was read: in memory on Linux, in the folder for temporary files elsewhere.

    Raises
    ------
    OSError
        If there is no room for it.
    """
    if hasattr(os, "memfd_create"):
        handle = os.memfd_create("featx")
    else:
        with tempfile.TemporaryFile() as file:
            handle = os.dup(file.fileno())
    try:
        write_all(handle, data)
    except BaseException:
        os.close(handle)
        raise
    return OpenedFile(handle, meta.size, is_whole, meta.modified)
