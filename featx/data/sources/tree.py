"""Folders on disk as data sets see them: without side files, stores and loops of links; each real folder once."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path

from featx.data.listing import FailedImage
from featx.data.sources.content import is_picture
from featx.data.sources.passed_over import (
    HIDDEN_FOLDER,
    NOT_A_PICTURE,
    OWN_STORE,
    REPEATED_LINK,
    SIDE_FOLDER,
    SYSTEM_FILE,
)
from featx.data.sources.side_files import is_hidden, is_side_folder, is_system_file
from featx.errors import DataError

# The names of `featx.store` and `featx.data.digest_cache`: a store is known by what it holds, whatever it is called.
STORED_BASE = re.compile(r".+-[0-9a-f]{12}")
STORE_MARK = "base.json"
DIGESTS_FOLDER = "scans"
DIGESTS_FILE = re.compile(r"[0-9a-f]{16}\.(?:npz|digests|shard)")

STORE_ENTRIES = 1000
"""Entries of a folder that are looked at to know a store, which holds a folder a base and a few others."""


@dataclass(frozen=True)
class Folder:
    """A folder: its path as it is listed, and without links."""

    path: str
    real: str

    @property
    def name(self) -> str:
        """Last part of the path."""
        return Path(self.path).name


@dataclass(frozen=True)
class Contents:
    """What counts in a folder.

    Attributes
    ----------
    folder : Folder
    entries : list of str or Folder
        Paths of files, and folders, sorted by name.
    hidden : list of str
        Paths of hidden folders that no system is known to make: perhaps somebody's.
    """

    folder: Folder
    entries: list[str | Folder] = field(default_factory=list)
    hidden: list[str] = field(default_factory=list)

    @property
    def folders(self) -> list[Folder]:
        """The folders in it."""
        return [entry for entry in self.entries if isinstance(entry, Folder)]

    @property
    def files(self) -> list[str]:
        """Paths of the files in it."""
        return [entry for entry in self.entries if isinstance(entry, str)]

    def without_folders(self) -> Contents:
        """Give the same folder with its files only."""
        return Contents(self.folder, list(self.files))


class Tree:
    """Everything below a folder, read as it is asked for.

    Parameters
    ----------
    root : str
    cache : pathlib.Path, optional
        A folder that is never listed.
    strict : bool
        Whether files that are not pictures are listed, too.

    Attributes
    ----------
    skipped : list of FailedImage
        What was passed over so far.
    """

    is_on_disk = True
    """Whether its folders are those of the file system."""

    def __init__(self, root: str, cache: Path | None = None, strict: bool = False) -> None:
        self.root = Folder(root, os.path.realpath(root))
        self.strict = strict
        self.skipped: list[FailedImage] = []
        self._cache = os.path.realpath(cache) if cache else ""
        self._seen = {self.root.real}
        self._scanned: dict[str, Contents] = {}

    def scan(self, folder: Folder) -> Contents:
        """List a folder; whatever is passed over is noted, once.

        Raises
        ------
        DataError
            If it cannot be read.
        """
        if folder.path not in self._scanned:
            self._scanned[folder.path] = self._read(folder)
        return self._scanned[folder.path]

    def files(self, contents: Contents) -> Iterator[str]:
        """Yield every file of a folder and of those inside it, in the order of the names."""
        # A stack of our own: folders may be nested deeper than Python's calls.
        stack = [iter(contents.entries)]
        while stack:
            entry = next(stack[-1], None)
            if entry is None:
                stack.pop()
            elif isinstance(entry, Folder):
                stack.append(iter(self.scan(entry).entries))
            else:
                yield entry

    def holds_files(self, folder: Folder) -> bool:
        """Whether there is any file that counts in a folder or deeper."""
        return next(self.files(self.scan(folder)), None) is not None

    def skip(self, path: str, reason: str) -> None:
        """Note that something is passed over."""
        self.skipped.append(FailedImage(path, reason))

    def apart(self, path: str) -> Tree:
        """Give a tree of a folder that this one passes over."""
        return Tree(path)

    def _read(self, folder: Folder) -> Contents:
        contents = Contents(folder)
        # A Path takes off "./", and so do these paths: digests are remembered by path.
        prefix = "" if folder.path == "." else os.path.join(folder.path, "")  # noqa: PTH118
        for entry in scan_entries(folder.path):
            path = prefix + entry.name
            if leads_to_folder(entry):
                self._take_folder(contents, entry, path)
            elif is_system_file(entry.name):
                self.skip(path, SYSTEM_FILE)
            elif not self.strict and is_regular(entry) and not is_picture(path):
                self.skip(path, NOT_A_PICTURE)
            else:
                # Pipes, devices and broken links as well: reading them fails, with the reason.
                contents.entries.append(path)
        return contents

    def _take_folder(self, contents: Contents, entry: os.DirEntry[str], path: str) -> None:
        real = os.path.realpath(path) if entry.is_symlink() else os.path.join(contents.folder.real, entry.name)  # noqa: PTH118
        if is_side_folder(entry.name):
            self.skip(path, SIDE_FOLDER)
        elif is_hidden(entry.name):
            self.skip(path, HIDDEN_FOLDER)
            contents.hidden.append(path)
        elif real == self._cache or is_store(real):
            self.skip(path, OWN_STORE)
        elif real in self._seen or (entry.is_symlink() and self._is_read_anyway(real)):
            self.skip(path, REPEATED_LINK)
        else:
            self._seen.add(real)
            contents.entries.append(Folder(path, real))

    def _is_read_anyway(self, real: str) -> bool:
        """Whether the target of a link contains the whole tree, or lies in it where nothing is passed over."""
        root = self.root.real
        if is_inside(root, real):
            return True
        if not is_inside(real, root):
            return False
        names = Path(real).relative_to(root).parts
        return not any(is_hidden(name) or is_side_folder(name) for name in names)


def scan_entries(folder: str) -> list[os.DirEntry[str]]:
    """List the entries of a folder by name.

    Raises
    ------
    DataError
        If it cannot be read.
    """
    try:
        # Strings instead of Path objects: those are slow at a million rows.
        with os.scandir(folder) as entries:
            return sorted(entries, key=lambda entry: entry.name)
    except OSError as error:
        raise DataError(f"the folder '{folder}' cannot be read: {error.strerror or error}") from error


def leads_to_folder(entry: os.DirEntry[str]) -> bool:
    """Whether an entry is a folder or a link to one; False for a link that leads to itself."""
    try:
        return entry.is_dir()
    except OSError:
        return False


def is_regular(entry: os.DirEntry[str]) -> bool:
    """Whether an entry is a regular file or a link to one: no pipe, device or socket, which may block for ever."""
    try:
        return entry.is_file()
    except OSError:
        return False


def is_inside(path: str, folder: str) -> bool:
    """Whether a real path is a folder or lies in it."""
    return path == folder or path.startswith(os.path.join(folder, ""))  # noqa: PTH118


def is_store(folder: str) -> bool:
    """Whether a folder is a feature store: it holds a described base, or digests that were remembered."""
    try:
        with os.scandir(folder) as entries:
            return any(is_part_of_store(entry) for entry in islice(entries, STORE_ENTRIES))
    except OSError:
        return False


def is_part_of_store(entry: os.DirEntry[str]) -> bool:
    """Whether an entry can only be found in a feature store."""
    if STORED_BASE.fullmatch(entry.name):
        return os.path.isfile(os.path.join(entry.path, STORE_MARK))  # noqa: PTH113, PTH118
    if entry.name != DIGESTS_FOLDER or not leads_to_folder(entry):
        return False
    with os.scandir(entry.path) as entries:
        return any(DIGESTS_FILE.fullmatch(inner.name) for inner in islice(entries, STORE_ENTRIES))
