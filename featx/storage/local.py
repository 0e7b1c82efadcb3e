"""A cache in a folder of this machine, or of a file system that machines share."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

from featx.errors import StoreError
from featx.files import (
    TEMPORARY,
    atomic_file,
    make_folder,
    open_regular,
    read_regular_file,
    remove_given_up,
    sync_folder,
    write_all,
)
from featx.storage.opened import Data, MeasureHead, OpenedFile


class LocalFolder:
    """The methods of `Storage` for paths of this machine."""

    part_rows = (2**5, 2**10)
    merged_part_bytes = 2**25

    def list_entries(self, folder: Path) -> list[Path]:
        """List the files and folders in a folder, sorted by name; nothing if it does not exist.

        Raises
        ------
        StoreError
            If it cannot be read.
        """
        try:
            # Names are sorted, not paths: comparing paths is many times slower, and a key may have thousands of parts.
            names = sorted(os.listdir(folder))  # noqa: PTH208
        except (FileNotFoundError, NotADirectoryError):
            return []
        except OSError as error:
            raise StoreError(f"'{folder}' cannot be read: {error.strerror or error}") from error
        return [folder / name for name in names]

    def list_folders(self, folder: Path) -> list[Path]:
        """List the folders in a folder, sorted by name, except hidden ones."""
        return [path for path in self.list_entries(folder) if path.is_dir() and not path.name.startswith(".")]

    def list_files(self, folder: Path) -> list[Path]:
        """List what is not a folder in a folder, sorted by name."""
        return [path for path in self.list_entries(folder) if not path.is_dir()]

    def exists(self, path: Path) -> bool:
        """Whether there is a file or a folder, if only a link that leads nowhere."""
        return os.path.lexists(path)

    def read_file(self, file: Path, most_bytes: int, what: str) -> bytes:
        """Read a whole small file."""
        return read_regular_file(file, most_bytes, what)

    def write_file(self, file: Path, data: Sequence[Data], is_read_again: bool = False) -> None:
        """Write a file under a temporary name, sync it and rename it."""
        with atomic_file(file) as (handle, _):
            for piece in data:
                write_all(handle, piece)

    def open_file(self, file: Path, measure_head: MeasureHead | None = None) -> OpenedFile:
        """Open a file for reading; it is always whole."""
        handle = open_regular(file)
        status = os.fstat(handle)
        return OpenedFile(handle, status.st_size, is_whole=True, modified=status.st_mtime)

    def open_anew(self, file: Path) -> OpenedFile:
        """Open a file for reading."""
        return self.open_file(file)

    def fetch_heads(self, files: Sequence[Path], measure_head: MeasureHead) -> None:
        """Do nothing: files of this machine are read where they lie."""

    def forget_copy(self, file: Path) -> bool:
        """Remove no copies, since there are none."""
        return False

    def read_modified(self, file: Path) -> int:
        """When a file was written, in ns since 1970."""
        return file.stat().st_mtime_ns

    def remove_file(self, file: Path) -> None:
        """Remove a file; no error where it is gone."""
        file.unlink(missing_ok=True)

    def finish_removal(self, folder: Path) -> None:
        """Make removals from a folder survive a power cut, or that of the folder itself."""
        while not folder.exists():
            folder = folder.parent
        sync_folder(folder)

    def remove_folder(self, folder: Path) -> None:
        """Remove an empty folder; OSError where it is not."""
        folder.rmdir()

    def remove_given_up(self, root: Path) -> list[str]:
        """Remove temporary files whose writers are dead, anywhere below a folder."""
        return [str(unfinished) for unfinished in self.find_unfinished(root) if remove_given_up(unfinished)]

    def find_unfinished(self, root: Path) -> Iterator[Path]:
        """Yield unfinished files anywhere below a folder."""
        # A list, not recursion: folders may be nested deeper than Python calls.
        folders = [root]
        while folders:
            for path in self.list_entries(folders.pop()):
                if path.is_dir() and not path.is_symlink():
                    folders.append(path)
                elif path.name.startswith(TEMPORARY):
                    yield path

    @contextmanager
    def holding(self, file: Path) -> Iterator[str]:
        """Give a text that tells this file from any that takes its name while the block lasts."""
        handle = None
        # Held open, its inode is given to no other file. What is not a file is not opened: no writer ever makes it.
        with suppress(OSError):
            handle = open_regular(file)
        try:
            yield str(file.lstat().st_ino)
        finally:
            if handle is not None:
                os.close(handle)

    def move_file(self, file: Path, target: Path, state: str) -> bool:
        """Move a file that `holding` gave this text of; tell whether it was that one."""
        make_folder(target.parent)
        os.replace(file, target)
        if str(target.lstat().st_ino) != state:
            # Replaced between the check and the move: what was moved is the new file, which goes back.
            os.replace(target, file)
            return False
        sync_folder(target.parent)
        sync_folder(file.parent)
        return True
