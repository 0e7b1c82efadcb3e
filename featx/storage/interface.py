"""What a place of caches has to do, whatever it is."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import AbstractContextManager
from typing import Protocol, cast

from featx.storage.local import LocalFolder
from featx.storage.opened import Data, MeasureHead, OpenedFile
from featx.storage.paths import CachePath, ObjectPath


class Storage(Protocol):
    """Files below a folder or in a bucket. All errors are OSError; FileNotFoundError where a file is not there."""

    part_rows: tuple[int, int]
    """Rows of a full part when it is written, at least and at most."""
    merged_part_bytes: int
    """Bytes up to which parts are merged."""

    def list_entries(self, folder: CachePath) -> list[CachePath]:
        """List the files and folders in a folder, sorted by name; nothing if it does not exist."""
        ...

    def list_folders(self, folder: CachePath) -> list[CachePath]:
        """List the folders in a folder, sorted by name, except hidden ones."""
        ...

    def list_files(self, folder: CachePath) -> list[CachePath]:
        """List what is not a folder in a folder, sorted by name."""
        ...

    def exists(self, path: CachePath) -> bool:
        """Whether there is a file or a folder."""
        ...

    def read_file(self, file: CachePath, most_bytes: int, what: str) -> bytes:
        """Read a whole small file, refused by its size where it is larger."""
        ...

    def write_file(self, file: CachePath, data: Sequence[Data], is_read_again: bool = False) -> None:
        """Write a file, or replace it: readers see the old or the new one; it survives a crash after this returns.

        What is soon read again is kept as a copy where files lie far away.
        """
        ...

    def open_file(self, file: CachePath, measure_head: MeasureHead | None = None) -> OpenedFile:
        """Open a file for reading: whole, or its head only where that is less work and will do."""
        ...

    def open_anew(self, file: CachePath) -> OpenedFile:
        """Open a file whole, as it is now where it lies, whatever copies of it there are."""
        ...

    def fetch_heads(self, files: Sequence[CachePath], measure_head: MeasureHead) -> None:
        """Get ready to open these files one after another, where that saves time."""
        ...

    def forget_copy(self, file: CachePath) -> bool:
        """Remove local copies of a file, which may be damaged; tell whether there were any."""
        ...

    def read_modified(self, file: CachePath) -> int:
        """When a file was written, in ns since 1970."""
        ...

    def remove_file(self, file: CachePath) -> None:
        """Remove a file; no error where it is gone."""
        ...

    def finish_removal(self, folder: CachePath) -> None:
        """Make removals from a folder survive a crash."""
        ...

    def remove_folder(self, folder: CachePath) -> None:
        """Remove an empty folder; OSError where it is not."""
        ...

    def remove_given_up(self, root: CachePath) -> list[str]:
        """Remove what dead writers left unfinished below a folder; list what it was."""
        ...

    def holding(self, file: CachePath) -> AbstractContextManager[str]:
        """Give a text that tells this file from any that takes its name while the block lasts."""
        ...

    def move_file(self, file: CachePath, target: CachePath, state: str) -> bool:
        """Move a file that `holding` gave this text of; tell whether it was that one, else it stays."""
        ...


LOCAL = LocalFolder()


def storage_of(path: CachePath) -> Storage:
    """Give the storage that a path belongs to.

    Raises
    ------
    RequestError
        If it is an object's, and obstore is not installed.
    """
    if isinstance(path, ObjectPath):
        # Only here: nothing of this is loaded for folders.
        from featx.storage.objects import storage_of_bucket

        return cast(Storage, storage_of_bucket(path.bucket, path.copies))
    # It takes the paths that it is asked for, which the type of an interface cannot say.
    return cast(Storage, LOCAL)
