"""Paths as a table writes them, and the files that they mean: on disk, or in the archive that the table lies in."""

from __future__ import annotations

import os
from pathlib import Path, PurePosixPath
from typing import Protocol

from featx.data.listing import ImageFiles
from featx.data.sources.image_files import ON_DISK
from featx.data.text_file import read_text
from featx.paths import URL, exists, expand_home, is_file, is_folder
from featx.storage.addresses import join_address
from featx.storage.paths import is_object_url, is_web_url


class TablePlace(Protocol):
    """Where tables lie, and the files that they name."""

    @property
    def files(self) -> ImageFiles:
        """How the files are read."""
        ...

    @property
    def is_on_disk(self) -> bool:
        """Whether its paths are those of the file system."""
        ...

    @property
    def takes_urls(self) -> bool:
        """Whether its tables may name objects of object stores."""
        ...

    def is_file(self, path: str) -> bool:
        """Whether there is a file at a path."""
        ...

    def exists(self, path: str) -> bool:
        """Whether there is anything at a path."""
        ...

    def list_folders(self, folder: str) -> list[str]:
        """List the visible folders in a folder, sorted by name; none where it may not be read."""
        ...

    def read_text(self, file: str) -> str:
        """Read a table.

        Raises
        ------
        DataError
            If it cannot be read, or is not UTF-8.
        """
        ...

    def name_path(self, path: str) -> str:
        """Give the path by which a listing finds a file."""
        ...


class Disk:
    """The file system.

    Parameters
    ----------
    takes_urls : bool
        Whether the table is one that the user named: of one that merely lies in a folder no URL is followed.
    """

    files = ON_DISK
    is_on_disk = True

    def __init__(self, takes_urls: bool = True) -> None:
        self.takes_urls = takes_urls

    def is_file(self, path: str) -> bool:
        """Whether there is a file at a path."""
        return is_file(path)

    def exists(self, path: str) -> bool:
        """Whether there is anything at a path."""
        return exists(path)

    def list_folders(self, folder: str) -> list[str]:
        """List the visible folders in a folder, sorted by name; none where it may not be read."""
        try:
            with os.scandir(folder) as entries:
                names = sorted(entry.name for entry in entries if is_visible(entry.name))
        except OSError:
            return []
        paths = [str(Path(folder) / name) for name in names]
        return [path for path in paths if is_folder(path)]

    def read_text(self, file: str) -> str:
        """Read a table."""
        return read_text(file)

    def name_path(self, path: str) -> str:
        """Take the path as it is."""
        return path


DISK = Disk()

FOLDER_ON_DISK = Disk(takes_urls=False)


def is_visible(name: str) -> bool:
    """Whether a folder may hold a data set: it is neither hidden nor made by a system."""
    return not name.startswith((".", "__", "@"))


def describe_absence(count: int) -> str:
    """Say that none of the files of a table is there."""
    return "the only file that it names does not exist" if count == 1 else f"none of its {count} files exists"


def suggest_folder(path: str) -> str:
    """Say that a path exists counted from the current folder, if it does."""
    if Path(path).is_absolute() or not exists(path):
        return ""
    return f". It exists in the current folder, '{Path.cwd()}': move the table there"


def find_path(folder: str, written: str, place: TablePlace = DISK) -> str:
    """Turn a path as it is written in a table into one that can be opened.

    `~` is the home folder. Blanks around a path are taken off, and backslashes are read as slashes, unless there is a
    file of the very name.
    """
    path = join_folder(folder, written.strip())
    if written == written.strip() and "\\" not in written:
        return path
    for spelling in (written, written.strip(), written.strip().replace("\\", "/")):
        if place.exists(join_folder(folder, spelling)):
            return join_folder(folder, spelling)
    return path


def join_folder(folder: str, path: str) -> str:
    """Let a path count from a folder, which may be a URL, or the path one of an object."""
    if is_object_url(path):
        return path
    if is_web_url(folder):
        return join_address(folder, path)
    if URL.match(folder):
        # A bucket knows neither the home folder of this machine nor its root.
        return f"{folder}/{PurePosixPath(path)}"
    # As text: Path objects are slow at a million rows. A Path also takes off "./", so that a row has one path only.
    return str(Path(folder) / expand_home(path))


def folder_of(file: str) -> str:
    """Give the folder that a file lies in, which may be a URL."""
    return file.rpartition("/")[0] if URL.match(file) else str(Path(file).parent)
